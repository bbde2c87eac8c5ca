"""The maker of training clips: synthetic signers in sampled motions, rendered, with exact keypoints.

Everything follows from one seed and a clip's split and number, so a run that was stopped goes on where it was, and a
longer one begins with the same clips.

    OUTPUT/manifest.json          splits, with the seed of every clip's signer, written before any rendering
    OUTPUT/handshapes.npz         the library that motions draw from
    OUTPUT/SPLIT/NUMBER/          one clip, `num_frames` frames after one reference frame of the same signer
        frames.npy                uint8 [1 + num_frames, size, size, 3]
        keypoints.npy             float32 [1 + num_frames, 128, 2], exact, also outside the frame
        confidence.npy            float32 [1 + num_frames, 128]: 1 in the frame, 0 outside
        motion.npz                the body's true motion
        clip.json                 signer, kind of motion, sources, camera, which hands moved
        *.npy                     whatever the conditioning function adds
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from tqdm import tqdm

from gen.signers.appearance import Signer, sample_signer
from gen.signers.body import Body, keypoints_of, load_body
from gen.signers.dress import Figure, dress
from gen.signers.fit import BodyMotion, pose_vertices
from gen.signers.handshapes import (
    TRAINING_LANGUAGES,
    Handshapes,
    fit_handshapes,
    load_handshapes,
    save_handshapes,
)
from gen.signers.motion import FPS, Motion, sample_camera, sample_motion, sample_rest
from gen.signers.posing import Rig, rig_of
from gen.signers.render import render_frames
from poses.bounds import check_at_least
from poses.files import new_directory, new_file, read_json
from poses.fingerspelling import letter_clips
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

SPLITS = ("validation", "test", "train")
"""In the order of making: the first two are small, and one wants to see them first."""

SIGNERS_PER_SPLIT = 1_000_000
"""Signer seeds set aside for each split."""

HANDSHAPES = "handshapes.npz"
"""Where in the folder of a data set the library of handshapes lies."""

STRIDES = {1: 0.6, 2: 0.25, 3: 0.15}
"""Steps between a clip's frames at `FPS`, and how often each is chosen."""

DURATION_S = 1.8
"""How long the motion is that a clip is cut from, or as long as the clip takes."""

MOVED_SHARE = 12 / 256
"""A hand has moved when its joints are on average this share of the frame's width from where the reference has them."""

Condition = Callable[[UInt8[np.ndarray, "frames h w 3"], PoseSequence, np.random.Generator], dict[str, np.ndarray]]
"""Makes further arrays of a clip from its frames and poses, the reference's first; they are stored beside them."""


@dataclass(frozen=True)
class MakeConfig:
    """What to make."""

    output: Path
    """Folder of the data set; made when missing, continued when not."""
    train: int = 2500
    """Clips to train on."""
    validation: int = 120
    """Clips to look at while training."""
    test: int = 60
    """Clips for the last word."""
    num_frames: int = 8
    """Frames of a clip, the reference not counted."""
    size: int = 256
    """Pixels to a side."""
    clips_per_signer: int = 2
    """Clips of the same signer, each with its own motion and framing."""
    seed: int = 0
    """Decides everything."""
    workers: int = 2
    """Processes."""

    def __post_init__(self):
        check_at_least(0, train=self.train, validation=self.validation, test=self.test, seed=self.seed)
        check_at_least(1, num_frames=self.num_frames, clips_per_signer=self.clips_per_signer, workers=self.workers)
        check_at_least(32, size=self.size)


@dataclass(frozen=True, eq=False)
class MadeClip:
    """One clip, the reference frame first."""

    frames: UInt8[np.ndarray, "frames size size 3"]
    keypoints: Float32[np.ndarray, "frames 128 2"]
    confidence: Float32[np.ndarray, "frames 128"]
    motion: BodyMotion
    moved: Bool[np.ndarray, "frames 2"]
    """Whether the left and the right hand are elsewhere than in the reference frame, and in the frame in both."""
    kind: str
    reference_kind: str
    sources: tuple[str, ...]
    stride: int

    def poses(self, source: str) -> PoseSequence:
        """The exact keypoints as a pose sequence; points outside the frame are not seen."""
        size = self.frames.shape[1]
        seen = np.where(self.confidence[..., None] > 0, self.keypoints, np.float32(0))
        return PoseSequence(seen, self.confidence, FPS / self.stride, size, size, source)


@dataclass(frozen=True, eq=False)
class Actor:
    """A signer ready to be filmed."""

    body: Body
    rig: Rig
    figure: Figure


def prepare(signer: Signer) -> Actor:
    """Builds and dresses a signer's body."""
    body = load_body(signer.shape)
    return Actor(body, rig_of(body), dress(signer, body))


def make_clip(
    actor: Actor, shapes: Handshapes, clips: list[int], rng: np.random.Generator, *, num_frames: int, size: int
) -> MadeClip:
    """Films one clip: a motion, a framing, a reference frame from another moment.

    Args:
        actor: Who.
        shapes: The library of handshapes.
        clips: Those of its clips that may be used.
        rng: Decides everything.
        num_frames: Frames after the reference.
        size: Pixels to a side.
    """
    duration_s = max(DURATION_S, num_frames * max(STRIDES) / FPS)
    motion = sample_motion(rng, actor.rig, shapes, clips, duration_s=duration_s)
    stride = int(rng.choice(list(STRIDES), p=list(STRIDES.values())))
    chosen = _window(rng, actor.body, motion, num_frames, stride)
    driving = motion.frames(chosen)
    reference = _reference(rng, actor, shapes, clips, motion, chosen)
    camera = sample_camera(rng, actor.body, driving)
    film = reference.joined(driving).seen_by(camera)
    points = keypoints_of(actor.body, film.linear, film.positions, film.expression)
    keypoints = camera.project(points)[..., :2]
    confidence = np.asarray(((keypoints >= 0) & (keypoints < 1)).all(axis=-1), np.float32)
    frames = render_frames(actor.figure, pose_vertices(actor.body, film), camera, height=size, width=size)
    return MadeClip(
        frames=frames,
        keypoints=keypoints,
        confidence=confidence,
        motion=film,
        moved=_moved(keypoints, confidence),
        kind=motion.kind,
        reference_kind=reference.kind,
        sources=motion.sources,
        stride=stride,
    )


def make_signers(config: MakeConfig, condition: Condition | None = None) -> None:
    """Makes a data set, or what is missing of it, in parallel and with a progress bar; one at a time in a folder.

    Args:
        config: What to make.
        condition: Makes further arrays of every clip; a function of a module, since other processes call it.

    Raises:
        ValueError: The output holds something else, or a data set of other settings.
    """
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    _write_manifest(config, output)
    units = []
    for split in SPLITS:
        (output / split).mkdir(exist_ok=True)
        for unfinished in (output / split).glob("." + 16 * "[0-9a-f]"):  # left by a killed run
            shutil.rmtree(unfinished)
        units += [unit for unit in _units(config, split) if any(not path.exists() for _, path in unit[2])]
    if units:
        keep_handshapes(output / HANDSHAPES)
    total = sum(len(clips) for _, _, clips in units)
    with worker_pool(config.workers) as pool, tqdm(total=total, unit="clip", smoothing=0.05) as bar:
        jobs = [pool.submit(_make_unit, config, split, seed, clips, condition) for split, seed, clips in units]
        for job in as_completed(jobs):
            bar.update(job.result())


def keep_handshapes(path: Path) -> None:
    """Writes the library of handshapes of the training languages, unless it is there."""
    if not path.exists():
        clips = [clip for language in TRAINING_LANGUAGES for clip in letter_clips(language).values()]
        save_handshapes(fit_handshapes(clips, load_body()), path)


_Unit = tuple[str, int, list[tuple[int, Path]]]
"""Split, signer seed, and the number and folder of each of the signer's clips."""


def _units(config: MakeConfig, split: str) -> Iterator[_Unit]:
    first_seed = (config.seed * len(SPLITS) + SPLITS.index(split)) * SIGNERS_PER_SPLIT
    count = getattr(config, split)
    for signer, start in enumerate(range(0, count, config.clips_per_signer)):
        numbers = range(start, min(start + config.clips_per_signer, count))
        folder = Path(config.output) / split
        yield split, first_seed + signer, [(number, folder / f"{number:06d}") for number in numbers]


def _write_manifest(config: MakeConfig, output: Path) -> None:
    """Writes what will be made; a data set that is there must be the beginning of it."""
    settings = {name: getattr(config, name) for name in ("seed", "num_frames", "size", "clips_per_signer")}
    splits = {
        split: {str(path.relative_to(output)): seed for _, seed, clips in _units(config, split) for _, path in clips}
        for split in SPLITS
    }
    path = output / "manifest.json"
    if path.exists():
        there = read_json(path)
        if there["settings"] != settings:
            raise ValueError(f"{path}: must hold the settings {settings} to be continued, holds {there['settings']}.")
        for split in SPLITS:
            splits[split] = there["splits"][split] | splits[split]
    elif any(output.iterdir()):
        raise ValueError(f"{output}: must be an empty folder or a data set, but it holds something else.")
    manifest = {"settings": settings, "languages": TRAINING_LANGUAGES, "splits": splits}
    with new_file(path, overwrite=True) as aside:
        aside.write_text(json.dumps(manifest, indent=1), encoding="utf-8")


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each; what they haven't begun when this is left by an error, they don't begin."""
    context = get_context("spawn")
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),)) as pool,
    ):
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """New processes find this in their environment: as many processes as cores, and no threads on top."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _start_worker(parent: int) -> None:
    """One thread for drawing, and no process that outlives a killed parent."""
    cv2.setNumThreads(1)

    def watch():
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _make_unit(
    config: MakeConfig, split: str, seed: int, clips: list[tuple[int, Path]], condition: Condition | None
) -> int:
    """Makes the missing clips of one signer; returns how many."""
    actor = prepare(sample_signer(seed))
    shapes = load_handshapes(Path(config.output) / HANDSHAPES)
    missing = [(number, path) for number, path in clips if not path.exists()]
    for number, path in missing:
        rng = np.random.default_rng([config.seed, SPLITS.index(split), number])
        clip = make_clip(actor, shapes, shapes.split(split), rng, num_frames=config.num_frames, size=config.size)
        further = condition(clip.frames, clip.poses(f"{split}/{path.name}"), rng) if condition else {}
        with new_directory(path) as aside:
            _write_clip(clip, seed, further, aside)
    return len(missing)


def _write_clip(clip: MadeClip, signer: int, further: dict[str, np.ndarray], folder: Path) -> None:
    arrays = {"frames": clip.frames, "keypoints": clip.keypoints, "confidence": clip.confidence}
    for name, array in (arrays | further).items():
        np.save(folder / f"{name}.npy", array)
    motion = clip.motion
    np.savez_compressed(
        folder / "motion.npz",
        linear=motion.linear,
        positions=motion.positions,
        expression=motion.expression,
        head_turn_deg=motion.head_turn_deg,
    )
    camera = motion.camera
    about = {
        "signer": signer,
        "kind": clip.kind,
        "reference_kind": clip.reference_kind,
        "sources": clip.sources,
        "fps": FPS / clip.stride,
        "camera": {"scale": camera.scale, "center": camera.center, "aspect": camera.aspect},
        "moved": {"left_hand": clip.moved[:, 0].tolist(), "right_hand": clip.moved[:, 1].tolist()},
    }
    (folder / "clip.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def _window(rng: np.random.Generator, body: Body, motion: Motion, num_frames: int, stride: int) -> range:
    """Consecutive frames, rather some with a hand up."""
    up = _hand_up(body, motion)
    length = (num_frames - 1) * stride + 1
    for _ in range(6):
        start = int(rng.integers(len(motion) - length + 1))
        frames = range(start, start + length, stride)
        if up[frames].mean() > 0.7:
            break
    return frames


def _hand_up(body: Body, motion: Motion) -> Bool[np.ndarray, " frames"]:
    """Whether a hand is above the hips."""
    hips, *wrists = (body.bone(bone) for bone in ("upperleg01.L", "wrist.L", "wrist.R"))
    heights = motion.positions[..., 2]
    return heights[:, wrists].max(axis=1) > heights[:, hips]


def _reference(
    rng: np.random.Generator, actor: Actor, shapes: Handshapes, clips: list[int], motion: Motion, driving: range
) -> Motion:
    """One frame of another moment: at rest, in the same motion, or in another one."""
    kind = rng.random()
    far = [frame for frame in range(len(motion)) if frame < driving[0] - 8 or frame > driving[-1] + 8]
    if kind < 0.5:
        other = sample_rest(rng, actor.rig, shapes)
    elif kind < 0.7 and far:
        return motion.frames([int(rng.choice(far))])
    else:
        other = sample_motion(rng, actor.rig, shapes, clips, duration_s=1 / FPS)
    # Nobody comes back to the same spot exactly.
    return other.shifted(rng.normal(0, 0.015, 3) * (1, 0, 0.3))


def _moved(
    keypoints: Float32[np.ndarray, "frames 128 2"], confidence: Float32[np.ndarray, "frames 128"]
) -> Bool[np.ndarray, "frames 2"]:
    flags = []
    for hand in ("left_hand", "right_hand"):
        way = np.linalg.norm(keypoints[:, PARTS[hand]] - keypoints[:1, PARTS[hand]], axis=-1).mean(axis=1)
        seen = confidence[:, PARTS[hand]].mean(axis=1) > 0.5
        flags.append((way > MOVED_SHARE) & seen & seen[0])
    return np.stack(flags, axis=1)
