"""Makes `hand_errors.safetensors`, for developers: `python -m gen.signers.make_hand_errors runs/hand-errors`.

Films synthetic signers, looks at them with MediaPipe, learns how far its hand points are off, and says how far they are
on signers and handshapes that it did not learn from, before and after. Nearly an hour on two cores, almost all of it
filming and looking. What was found is kept in the folder, so a run that was stopped goes on where it was.

    OUTPUT/handshapes.npz         the library that motions draw from
    OUTPUT/SPLIT/NUMBER.npz       the clips of one signer, the first frame of each another moment of the same signer
        CLIP-fps                  frames per second
        CLIP-exact-keypoints      float32 [1 + NUM_FRAMES, 128, 2]
        CLIP-exact-confidence     float32 [1 + NUM_FRAMES, 128]: 1 in the frame, 0 outside
        CLIP-found-...            the same as MediaPipe finds it, without the first frame
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from safetensors.numpy import save_file
from torch import nn
from tqdm import tqdm

from gen.signers.appearance import sample_signer
from gen.signers.hand_errors import ARM_FEATURES, ESTIMATOR, FARTHEST, features_of, look_at_hands, predict
from gen.signers.handshapes import load_handshapes
from gen.signers.make import (
    FPS,
    HANDSHAPES,
    MOVED_SHARE,
    SIGNERS_PER_SPLIT,
    SPLITS,
    keep_handshapes,
    make_clip,
    prepare,
    worker_pool,
)
from poses.estimators import create_estimator, extract_poses
from poses.files import new_file
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

SIGNERS = {"validation": 40, "train": 640}
CLIPS_PER_SIGNER = 4
NUM_FRAMES = 15
SIZE = 256
SEED = 77
"""Decides the motions; the signers are those of `signloop signers make`."""

HIDDEN = 384
STEPS = 6000
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1
DROPOUT = 0.25
ARMLESS = 0.25
"""Share of hands that are learned from as if nothing were known of the arm."""
NOISE = 0.15
"""Added to the features, whose spread is 1."""
SMALL_PX = 0.5
"""Errors much larger count as they are, smaller ones by their squares."""


@dataclass(frozen=True, eq=False)
class Hands:
    """Hands that were found, and how far each of their points is off, in the hand's own frame."""

    features: Float32[np.ndarray, "hands features"]
    ways: Float32[np.ndarray, "hands 21 2"]
    size_px: Float32[np.ndarray, " hands"]
    counted: Bool[np.ndarray, " hands"]
    """Whether it has moved since the signer's picture and is wholly in the frame."""


def film_signers(folder: Path, workers: int) -> None:
    """Films and looks at what is missing of `SIGNERS`."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_handshapes(folder / HANDSHAPES)
    paths = {(split, number): _path(folder, split, number) for split in SIGNERS for number in range(SIGNERS[split])}
    missing = [unit for unit, path in paths.items() if not path.exists()]
    with worker_pool(workers) as pool, tqdm(total=len(missing), unit="signer") as bar:
        jobs = [pool.submit(_film_signer, folder, *unit) for unit in missing]
        for job in as_completed(jobs):
            job.result()
            bar.update()


def _path(folder: Path, split: str, number: int) -> Path:
    return folder / split / f"{number:06d}.npz"


_estimator = cache(create_estimator)


def _film_signer(folder: Path, split: str, number: int) -> None:
    """Films one signer's clips and keeps where the joints are and where they are found."""
    part = SPLITS.index(split)
    actor = prepare(sample_signer(part * SIGNERS_PER_SPLIT + number))
    shapes = load_handshapes(folder / HANDSHAPES)
    arrays = {}
    for clip in range(CLIPS_PER_SIGNER):
        rng = np.random.default_rng([SEED, part, number * CLIPS_PER_SIGNER + clip])
        made = make_clip(actor, shapes, shapes.split(split), rng, num_frames=NUM_FRAMES, size=SIZE)
        fps = FPS / made.stride
        try:
            found = extract_poses(made.frames[1:], fps=fps, estimator=_estimator(ESTIMATOR))
        except ValueError:  # nobody is seen in any frame
            continue
        arrays |= {
            f"{clip}-fps": fps,
            f"{clip}-exact-keypoints": made.keypoints,
            f"{clip}-exact-confidence": made.confidence,
            f"{clip}-found-keypoints": found.keypoints,
            f"{clip}-found-confidence": found.confidence,
        }
    path = _path(folder, split, number)
    path.parent.mkdir(exist_ok=True)
    with new_file(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)


def read_clips(folder: Path, split: str) -> Iterator[tuple[PoseSequence, PoseSequence]]:
    """What MediaPipe finds in each clip but its first frame, and the exact poses of all its frames."""
    for number in range(SIGNERS[split]):
        with np.load(_path(folder, split, number)) as arrays:
            for clip in range(CLIPS_PER_SIGNER):
                if f"{clip}-fps" in arrays:
                    exact, found = (
                        PoseSequence(
                            arrays[f"{clip}-{kind}-keypoints"],
                            arrays[f"{clip}-{kind}-confidence"],
                            float(arrays[f"{clip}-fps"]),
                            SIZE,
                            SIZE,
                        )
                        for kind in ("exact", "found")
                    )
                    yield found, exact


def read_hands(folder: Path, split: str) -> Hands:
    """All hands of a split's clips."""
    parts = []
    for pair in read_clips(folder, split):
        for side in ("left", "right"):
            sight, exact = (look_at_hands(poses, side) for poses in pair)
            if not sight.seen.any():
                continue
            features, own = features_of(sight)
            true, picture = exact.points[1:][sight.seen], exact.points[0]
            moved = np.linalg.norm(true - picture, axis=-1).mean(axis=1) > MOVED_SHARE * SIZE
            inside = np.all(pair[1].confidence[1:, PARTS[f"{side}_hand"]] > 0, axis=1)[sight.seen]
            parts.append((features, own.take_ways(true - sight.points[sight.seen]), own.size, moved & inside))
    features, ways, size, counted = (np.concatenate(of) for of in zip(*parts, strict=True))
    return Hands(features, ways.astype(np.float32), size.astype(np.float32), counted)


def train(hands: Hands, seed: int = 0) -> dict[str, np.ndarray]:
    """Learns what `gen.signers.hand_errors` reads."""
    torch.manual_seed(seed)
    mean, spread = hands.features.mean(axis=0), hands.features.std(axis=0) + 1e-2
    features = torch.from_numpy(((hands.features - mean) / spread).clip(-FARTHEST, FARTHEST))
    armless = torch.from_numpy((-mean / spread)[ARM_FEATURES].clip(-FARTHEST, FARTHEST))
    ways, size = torch.from_numpy(hands.ways), torch.from_numpy(hands.size_px)
    layers = [nn.Linear(features.shape[1], HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 42)]
    drop = nn.Dropout(DROPOUT)
    network = nn.Sequential(layers[0], nn.ReLU(), drop, layers[1], nn.ReLU(), drop, layers[2])
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in tqdm(range(STEPS), unit="step"):
        batch = torch.randint(len(features), (BATCH,))
        told = features[batch]
        told[torch.rand(BATCH) < ARMLESS, ARM_FEATURES] = armless
        told = told + NOISE * torch.randn(BATCH, features.shape[1])
        off = (network(told).view(-1, 21, 2) - ways[batch]) * size[batch, None, None]
        loss = (off.square().sum(dim=-1) + SMALL_PX**2).sqrt().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    weights = {"mean": mean, "spread": spread}
    for number, layer in enumerate(layers):
        weights[f"{number}.weight"] = layer.weight.detach().numpy()
        weights[f"{number}.bias"] = layer.bias.detach().numpy()
    return {name: np.ascontiguousarray(tensor, np.float16) for name, tensor in weights.items()}


def main() -> None:
    """Films, learns, prints figures, and writes the weights into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder where found points are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    film_signers(arguments.output, arguments.workers)
    training, validation = (read_hands(arguments.output, split) for split in ("train", "validation"))
    weights = train(training)
    guess = predict(validation.features, {name: tensor.astype(np.float32) for name, tensor in weights.items()})
    for name, ways in (("found", 0), ("corrected", guess)):
        error = (np.linalg.norm(validation.ways - ways, axis=-1) * validation.size_px[:, None])[validation.counted]
        print(f"{name}: median error {np.median(error):.2f} px, mean {error.mean():.2f} px")
    print(f"{len(training.ways)} hands to learn from, {validation.counted.sum()} to look at")
    save_file(weights, Path(__file__).with_name("hand_errors.safetensors"))


if __name__ == "__main__":
    main()
