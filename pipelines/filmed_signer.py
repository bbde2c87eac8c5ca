"""Films of one signer as training clips, so that the renderer can learn that signer: `signloop signers film`.

    OUTPUT/SPLIT/NUMBER/          `num_frames` frames in a row after another frame of the film, the signer's picture
        frames.npy                uint8 [1 + num_frames, size, size, 3]
        keypoints.npy             float32 [1 + num_frames, 128, 2], as they were found
        confidence.npy            float32 [1 + num_frames, 128]
        maps.npy, reference.npy   what the renderer is told: `gen.data.condition_clip`
        clip.json                 the film, the numbers of its frames, who found the keypoints, consent, settings

Frames are cut to a square around the signer. Everything follows from the films and the seed.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from gen.data import condition_clip
from pipelines.estimators import create_estimator
from pipelines.extraction import find_videos
from pipelines.inputs import CONSENTS, extract_from_video
from pipelines.progress import Stages
from poses.bounds import check_at_least
from poses.files import new_directory, read_json
from poses.keypoints import PARTS, index
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info

PICTURES = 8
"""Frames of a film that serve as the signer's picture, each for some of the clips."""
VALIDATION_EVERY = 10
"""One clip of so many is not trained on: the second, the twelfth and so on, so that a short film has one, too."""
NECK_HEIGHT = 0.45
"""How far down the square the neck should be, where the frame leaves a choice."""

Frame = UInt8[np.ndarray, "size size 3"]

_SHOULDERS = index("right_shoulder", "left_shoulder")
_NECK = index("neck")


@dataclass(frozen=True)
class FilmConfig:
    """What to make of films of a signer."""

    films: Path
    """A film of one signer, alone and whole in the picture, a minute or more; or a folder of such films."""
    output: Path
    """Folder of the data set; clips of the same films and settings that are there already are kept."""
    consent: str = ""
    """Who is in the films, which must be said: self, written, synthetic or public-domain."""
    num_frames: int = 8
    """Frames of a clip, the signer's picture not counted."""
    size: int = 256
    """Pixels to a side."""
    seed: int = 0
    """Decides which picture goes with which clip."""

    def __post_init__(self):
        if self.consent not in CONSENTS:
            raise ValueError(f"`consent` must be one of {', '.join(CONSENTS)}, got {self.consent or 'none'}.")
        check_at_least(1, num_frames=self.num_frames)
        check_at_least(64, size=self.size)


@dataclass(frozen=True)
class Square:
    """What is cut out of every frame, in pixels of the frame."""

    left: int
    top: int
    side: int

    def frames(self, film: Path, size: int) -> Iterator[Frame]:
        """The square out of every frame."""
        for frame in read_frames(film):
            cut = frame[self.top : self.top + self.side, self.left : self.left + self.side]
            yield cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)

    def poses(self, poses: PoseSequence, size: int) -> PoseSequence:
        """The same poses in the square; what lies outside is unseen."""
        keypoints = (poses.pixels() - np.array([self.left, self.top], np.float32)) / np.float32(self.side)
        inside = ((keypoints >= 0) & (keypoints <= 1)).all(axis=-1)
        confidence = np.where(inside, poses.confidence, np.float32(0))
        keypoints[confidence == 0] = 0
        return replace(poses, keypoints=keypoints, confidence=confidence, width=size, height=size, glosses=())


def film_signer(config: FilmConfig, *, show: bool = True) -> dict[str, int]:
    """Finds the poses in films and writes clips to train on, or goes on with that.

    Returns:
        How many clips each split holds.

    Raises:
        ValueError: A film is none, shows nobody, or is too short for a clip, or `output` holds clips of other films or
            settings.
    """
    films = list(find_videos(config.films).values()) if config.films.is_dir() else [config.films]
    for path in films:
        read_info(path)  # so that a wrong file is told at once
    stages, estimator = Stages(show=show), create_estimator("mediapipe")
    counts = {"train": 0, "validation": 0}
    for path in films:
        poses = extract_from_video(path, estimator, stages)
        square = find_square(poses)
        poses = square.poses(poses, config.size)
        starts, pictures = clip_starts(poses, config.num_frames), choose_pictures(poses)
        if not starts or not pictures:
            raise ValueError(
                f"{path}: must show a face, both shoulders and a hand, for {config.num_frames} frames in a row, "
                "found no such place."
            )
        with path.open("rb") as film:
            content = hashlib.file_digest(film, "sha256").hexdigest()[:16]
        shown = {at: frame for at, frame in enumerate(square.frames(path, config.size)) if at in pictures}
        with stages.stage("clips", len(starts), unit="clips") as track:
            for start, frames in track(_windows(square.frames(path, config.size), starts, config.num_frames)):
                number = sum(counts.values())
                split = "validation" if number % VALIDATION_EVERY == 1 else "train"
                counts[split] += 1
                rng = np.random.default_rng([config.seed, number])
                picture = pictures[rng.integers(len(pictures))]
                numbers = [picture, *range(start, start + config.num_frames)]
                about = {"film": path.name, "content": content, "fps": poses.fps, "estimator": poses.estimator}
                about |= {"consent": config.consent, "size": config.size, "seed": config.seed, "frames": numbers}
                clip = replace(poses, keypoints=poses.keypoints[numbers], confidence=poses.confidence[numbers])
                folder = config.output / split / f"{number:06d}"
                if folder.exists():
                    _check_same(folder, about)
                else:
                    _write_clip(folder, np.concatenate([shown[picture][None], frames]), clip, about, rng)
    numbered = [path.parent for path in config.output.glob("*/[0-9]*/clip.json")]
    if left := min((path for path in numbered if int(path.name) >= sum(counts.values())), default=None):
        raise ValueError(f"{left}: is a clip of none of these films; choose another folder.")
    return counts


def find_square(poses: PoseSequence) -> Square:
    """The largest square of the frame, about the signer."""
    side = min(poses.width, poses.height)
    seen = poses.confidence[:, _NECK] > 0
    x, y = np.median(poses.pixels()[seen, _NECK], axis=0) if seen.any() else (poses.width / 2, poses.height / 2)
    left = int(np.clip(x - side / 2, 0, poses.width - side))
    return Square(left, int(np.clip(y - NECK_HEIGHT * side, 0, poses.height - side)), side)


def clip_starts(poses: PoseSequence, num_frames: int) -> list[int]:
    """First frames of clips, one after another, in all of which shoulders and a hand are seen."""
    usable = _sees_shoulders(poses) & (_seen(poses, PARTS["right_hand"]) | _seen(poses, PARTS["left_hand"]))
    starts, at = [], 0
    while at + num_frames <= len(poses):
        missing = np.flatnonzero(~usable[at : at + num_frames])
        if len(missing) == 0:
            starts.append(at)
            at += num_frames
        else:
            at += int(missing[-1]) + 1
    return starts


def choose_pictures(poses: PoseSequence) -> list[int]:
    """Frames, evenly spread, that show shoulders and face."""
    good = np.flatnonzero(_sees_shoulders(poses) & _seen(poses, PARTS["face"]))
    return good[np.unique(np.linspace(0, len(good) - 1, min(PICTURES, len(good))).astype(int))].tolist()


def _seen(poses: PoseSequence, part: slice) -> Bool[np.ndarray, " frames"]:
    return np.mean(poses.confidence[:, part] > 0, axis=1) > 0.5


def _sees_shoulders(poses: PoseSequence) -> Bool[np.ndarray, " frames"]:
    return poses.confidence[:, _SHOULDERS].min(axis=1) > 0


def _windows(
    frames: Iterator[Frame], starts: list[int], num_frames: int
) -> Iterator[tuple[int, UInt8[np.ndarray, "frames size size 3"]]]:
    """Start and frames of each clip, holding no more of the film than one."""
    wanted = iter(starts)
    start, held = next(wanted), []
    for number, frame in enumerate(frames):
        if number >= start:
            held.append(frame)
        if len(held) == num_frames:
            yield start, np.stack(held)
            if (following := next(wanted, None)) is None:
                return
            start, held = following, []


def _check_same(folder: Path, about: dict[str, Any]) -> None:
    """Refuses a clip that another film, or another call, has left."""
    held = read_json(folder / "clip.json")
    for key, value in about.items():
        if held.get(key) != value:
            raise ValueError(f"{folder}: was made with {key} {held.get(key)!r}, not {value!r}; choose another folder.")


def _write_clip(
    folder: Path,
    frames: UInt8[np.ndarray, "frames size size 3"],
    clip: PoseSequence,
    about: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    arrays = {"frames": frames, "keypoints": clip.keypoints, "confidence": clip.confidence}
    arrays |= condition_clip(frames, clip, rng)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_directory(folder) as aside:
        for name, array in arrays.items():
            np.save(aside / f"{name}.npy", array)
        (aside / "clip.json").write_text(json.dumps(about), encoding="utf-8")
