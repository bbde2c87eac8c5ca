"""Makes `hand_errors.safetensors`, for developers: `python -m gen.signers.make_hand_errors runs/signers-256`.

Looks at every training clip of `signloop signers make` with MediaPipe (a fifth of a second a frame, once: what it finds
is kept in `--found`), learns how far its hand points are off, and says how far they are on the validation clips, before
and after. A few minutes for all but the looking.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from safetensors.numpy import save_file
from torch import nn
from tqdm import tqdm

from gen.signers.hand_errors import ARM_FEATURES, ESTIMATOR, FARTHEST, features_of, look_at_hands, predict
from gen.signers.make import MOVED_SHARE
from poses.estimators import create_estimator, extract_poses
from poses.estimators.extract import Estimator
from poses.files import new_file
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

HIDDEN = 256
STEPS = 4000
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.3
DROPOUT = 0.4
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


def find_poses(folder: Path, found: Path, estimator: Estimator) -> tuple[PoseSequence, PoseSequence] | None:
    """What the estimator finds in a clip but its first frame, and the exact poses; None where it finds nobody."""
    about = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
    keypoints, confidence = (np.load(folder / f"{name}.npy") for name in ("keypoints", "confidence"))
    path = found / folder.parent.name / f"{folder.name}.npz"
    if not path.exists():
        frames = np.load(folder / "frames.npy")[1:]
        try:
            poses = extract_poses(frames, fps=about["fps"], estimator=estimator, source=str(folder))
        except ValueError:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as aside, aside.open("wb") as file:
            np.savez(file, keypoints=poses.keypoints, confidence=poses.confidence)
    size = np.load(folder / "frames.npy", mmap_mode="r").shape[1]
    exact = PoseSequence(keypoints, confidence, about["fps"], size, size)
    with np.load(path) as arrays:
        return replace(exact[1:], **arrays), exact


def read_hands(split: Path, found: Path) -> Hands:
    """All hands of a split's clips."""
    estimator = create_estimator(ESTIMATOR)
    parts = []
    for folder in tqdm(sorted(path.parent for path in split.glob("*/clip.json")), unit="clip"):
        pair = find_poses(folder, found, estimator)
        if pair is None:
            continue
        for side in ("left", "right"):
            sight, exact = (look_at_hands(poses, side) for poses in pair)
            if not sight.seen.any():
                continue
            features, own = features_of(sight)
            true, picture = exact.points[1:][sight.seen], exact.points[0]
            moved = np.linalg.norm(true - picture, axis=-1).mean(axis=1) > MOVED_SHARE * pair[1].width
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
    """Learns, prints figures, and writes the weights into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signers", type=Path, help="what `signloop signers make` made, such as runs/signers-256")
    parser.add_argument("--found", type=Path, default=Path("runs/hand-errors"), help="where found poses are kept")
    arguments = parser.parse_args()
    training, validation = (read_hands(arguments.signers / split, arguments.found) for split in ("train", "validation"))
    weights = train(training)
    guess = predict(validation.features, {name: tensor.astype(np.float32) for name, tensor in weights.items()})
    for name, ways in (("found", 0), ("corrected", guess)):
        error = (np.linalg.norm(validation.ways - ways, axis=-1) * validation.size_px[:, None])[validation.counted]
        print(f"{name}: median error {np.median(error):.2f} px, mean {error.mean():.2f} px")
    print(f"{len(training.ways)} hands to learn from, {validation.counted.sum()} to look at")
    save_file(weights, Path(__file__).with_name("hand_errors.safetensors"))


if __name__ == "__main__":
    main()
