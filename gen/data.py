"""Training data of the renderer: clips with their maps on disk, windows and crops out of them."""

from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from gen.conditioning import map_frames
from gen.conditions import to_keypoints
from gen.reference import IS_HAND, read_reference
from gen.signers.body import load_body
from gen.signers.fit import fit_body
from gen.signers.hand_errors import correct_hands
from gen.signers.make import worker_pool
from poses import PoseSequence
from poses.bounds import check_at_least
from poses.files import new_file, read_json
from poses.keypoints import PARTS as POINT_PARTS

DOUBTFUL_SHARE, LEAST_DOUBTFUL = 0.1, 0.4
"""Share of hands that are doubtful, and the least confidence that they have."""


def disturb(poses: PoseSequence, rng: np.random.Generator, *, jitter_px: float = 0.3) -> PoseSequence:
    """Makes exact keypoints a little uncertain: every clip has its own strength, every part and point its own error.

    An estimator's error is larger (MediaPipe's on renders is about 2 px to the joint), but what it does to a picture
    should be left standing: a network that is shown maps far from the true frame learns to blur what it can't know,
    one that is shown maps near to it learns to draw hands where the maps say.

    In every tenth frame a hand is doubtful: its confidence is low and its error larger in proportion.

    Args:
        poses: Exact keypoints.
        rng: Decides everything.
        jitter_px: Typical error in pixels of a 256-pixel frame.
    """
    frames = len(poses)
    strength = jitter_px / 256 * rng.gamma(2.0, 0.5)
    keypoints, confidence = poses.keypoints.copy(), poses.confidence.copy()
    for name, part in POINT_PARTS.items():
        shift = rng.normal(size=(frames, 1, 2))
        shake = rng.normal(size=(frames, part.stop - part.start, 2))
        scale = 0.5 if name == "face" else 1.0
        sure = np.ones((frames, 1), np.float32)
        if name.endswith("hand"):
            doubtful = rng.random(frames) < DOUBTFUL_SHARE
            sure[doubtful] = rng.uniform(LEAST_DOUBTFUL, 1, size=(doubtful.sum(), 1))
        keypoints[:, part] += (scale * strength * (0.6 * shift + 0.8 * shake) / sure[..., None]).astype(np.float32)
        confidence[:, part] *= sure
    keypoints[confidence == 0] = 0
    return replace(poses, keypoints=keypoints, confidence=confidence)


def condition_clip(
    frames: UInt8[np.ndarray, "frames h w 3"], poses: PoseSequence, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What the network is told about a clip whose first frame is the signer's picture.

    Args:
        frames: True frames.
        poses: Keypoints of all of them, the picture's included: exact, or as an estimator found them.
        rng: Decides how uncertain the keypoints become.

    Returns:
        `maps` and `driving` keypoints of all frames but the first, and the `reference` maps.
    """
    body = load_body()
    # As the renderer does, and each by itself: the picture is of another moment.
    corrected = [correct_hands(part).keypoints for part in (poses[:1], poses[1:])]
    noisy = disturb(replace(poses, keypoints=np.concatenate(corrected)), rng)
    reference = read_reference(frames[0], body, fit_body(noisy[:1], body))
    driving = noisy[1:]
    maps = map_frames(reference, body, fit_body(driving, body), driving, slice(0, len(driving)))
    return {"maps": maps, "driving": to_keypoints(driving), "reference": reference.maps()}


@dataclass(frozen=True)
class PrepareConfig:
    """Which clips to prepare."""

    data: Path
    """Folder made by `signloop signers make` or `film`."""
    workers: int = 2
    """Processes."""

    def __post_init__(self):
        check_at_least(1, workers=self.workers)


def prepare_clips(config: PrepareConfig) -> int:
    """Makes what the network is told of every clip that lacks it, such as where `maps.npy` was deleted for a new fit.

    Returns:
        How many clips lacked it.

    Raises:
        ValueError: There are no clips.
    """
    clips = [path.parent for path in sorted(config.data.glob("*/*/frames.npy"))]
    if not clips:
        raise ValueError(f"`data` must hold clips that `signloop signers` made, found none in {config.data}.")
    missing = [clip for clip in clips if not _is_prepared(clip)]
    with worker_pool(config.workers) as pool, tqdm(total=len(missing), unit="clip") as bar:
        for job in as_completed([pool.submit(_prepare, folder) for folder in missing]):
            job.result()
            bar.update()
    return len(missing)


def _is_prepared(folder: Path) -> bool:
    return (folder / "maps.npy").exists() and (folder / "driving.npy").exists()


def _prepare(folder: Path) -> None:
    frames, keypoints, confidence = (np.load(folder / f"{name}.npy") for name in ("frames", "keypoints", "confidence"))
    about = read_json(folder / "clip.json")
    seen = np.where(confidence[..., None] > 0, keypoints, np.float32(0))
    height, width = frames.shape[1:3]
    estimator = about.get("estimator", "")  # only films need one
    poses = PoseSequence(seen, confidence, about["fps"], width, height, folder.name, estimator=estimator)
    rng = np.random.default_rng(list(f"{folder.parent.name}/{folder.name}".encode()))
    made = condition_clip(frames, poses, rng)
    for name in ("driving", "reference", "maps"):  # maps last, by which a clip is known to be whole
        with new_file(folder / f"{name}.npy", overwrite=True) as aside, aside.open("wb") as file:
            np.save(file, made[name])


@dataclass(frozen=True)
class Clip:
    """One clip on disk, opened without being read."""

    frames: UInt8[np.ndarray, "frames h w 3"]
    maps: UInt8[np.ndarray, "frames h w 12"]
    driving: Float32[np.ndarray, "frames 128 3"]
    reference: UInt8[np.ndarray, "h w 7"]


def open_clip(folder: Path) -> Clip:
    """Memory-maps a clip; the first of its frames is the signer's picture and has no maps."""
    load = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frames", "maps", "driving", "reference")}
    return Clip(load["frames"][1:], load["maps"], load["driving"], load["reference"])


class WindowDataset(Dataset):
    """A run of cropped windows, each decided by the seed and its number alone, so that a run can resume.

    Args:
        folder: A split's folder, one folder a clip.
        num_windows: How many windows there are.
        num_frames: Frames in a window.
        crop_size: Pixels to a side.
        seed: Decides clips, frames and crops.
        hand_share: Share of crops that are centred near a hand.
    """

    def __init__(
        self, folder: Path, *, num_windows: int, num_frames: int, crop_size: int, seed: int, hand_share: float = 0.75
    ):
        self.clips = sorted(path.parent for path in folder.glob("*/maps.npy") if _is_prepared(path.parent))
        if not self.clips:
            raise ValueError(
                f"`data` must hold clips with maps, found none in {folder}; `signloop signers prepare` makes them."
            )
        self.num_windows, self.num_frames, self.crop_size = num_windows, num_frames, crop_size
        self.seed, self.hand_share = seed, hand_share

    def __len__(self) -> int:
        return self.num_windows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        clip = open_clip(self.clips[rng.integers(len(self.clips))])
        if self.num_frames > len(clip.frames):
            raise ValueError(f"`num_frames` must be at most the clips' {len(clip.frames)}, got {self.num_frames}.")
        start = rng.integers(len(clip.frames) - self.num_frames + 1)
        frames = slice(start, start + self.num_frames)
        top, left = self._place_crop(clip.maps[start, ..., 8], rng)
        rows, columns = slice(top, top + self.crop_size), slice(left, left + self.crop_size)
        arrays = {
            "frames": clip.frames[frames, rows, columns],
            "maps": clip.maps[frames, rows, columns],
            "keypoints": clip.driving[frames] - np.array([left, top, 0], np.float32),
            "reference": clip.reference[rows, columns],
            "keep": self._place_keep(rng),
        }
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

    def _place_keep(self, rng: np.random.Generator) -> Bool[np.ndarray, "h w"]:
        """A rectangle somewhere, at most half as high and wide as the crop."""
        mask = np.zeros((self.crop_size, self.crop_size), bool)
        (top, left), (height, width) = (
            rng.integers(self.crop_size, size=2),
            rng.integers(1, self.crop_size // 2, size=2),
        )
        mask[top : top + height, left : left + width] = True
        return mask

    def _place_crop(self, part: UInt8[np.ndarray, "h w"], rng: np.random.Generator) -> tuple[int, int]:
        """Top left corner: near a random pixel of a hand, or anywhere."""
        height, width = part.shape
        room = (height - self.crop_size, width - self.crop_size)
        if min(room) < 0:
            raise ValueError(f"`crop_size` must be at most the frames' {width} x {height}, got {self.crop_size}.")
        rows, columns = np.nonzero(IS_HAND[part])
        if len(rows) == 0 or rng.random() > self.hand_share:
            return int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
        pick = rng.integers(len(rows))
        offset = self.crop_size // 2 + rng.integers(-self.crop_size // 4, self.crop_size // 4 + 1, size=2)
        return (
            int(np.clip(rows[pick] - offset[0], 0, room[0])),
            int(np.clip(columns[pick] - offset[1], 0, room[1])),
        )
