"""Training data of the renderer: clips with their maps on disk, windows and crops out of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from gen.conditioning import IS_HAND, map_frames, read_reference
from gen.signers.body import load_body
from gen.signers.fit import fit_body
from poses import PoseSequence
from poses.keypoints import PARTS as POINT_PARTS


def disturb(poses: PoseSequence, rng: np.random.Generator, *, jitter_px: float = 0.3) -> PoseSequence:
    """Makes exact keypoints a little uncertain: every clip has its own strength, every part and point its own error.

    An estimator's error is larger (MediaPipe's on renders is about 2 px to the joint), but what it does to a picture
    should be left standing: a network that is shown maps far from the true frame learns to blur what it can't know,
    one that is shown maps near to it learns to draw hands where the maps say.

    Args:
        poses: Exact keypoints.
        rng: Decides everything.
        jitter_px: Typical error in pixels of a 256-pixel frame.
    """
    frames = len(poses)
    strength = jitter_px / 256 * rng.gamma(2.0, 0.5)
    keypoints = poses.keypoints.copy()
    for name, part in POINT_PARTS.items():
        shift = rng.normal(size=(frames, 1, 2))
        shake = rng.normal(size=(frames, part.stop - part.start, 2))
        scale = 0.5 if name == "face" else 1.0
        keypoints[:, part] += (scale * strength * (0.6 * shift + 0.8 * shake)).astype(np.float32)
    keypoints[poses.confidence == 0] = 0
    return replace(poses, keypoints=keypoints)


def condition_clip(
    frames: UInt8[np.ndarray, "frames h w 3"], poses: PoseSequence, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What the network is told about a clip whose first frame is the signer's picture.

    Args:
        frames: True frames.
        poses: Exact keypoints of all of them, the picture's included.
        rng: Decides how uncertain the keypoints become.

    Returns:
        `maps` of all frames but the first, and the `reference` maps.
    """
    body = load_body()
    noisy = disturb(poses, rng)
    reference = read_reference(frames[0], body, fit_body(noisy[:1], body))
    driving = noisy[1:]
    maps = map_frames(reference, body, fit_body(driving, body), driving, slice(0, len(driving)))
    return {"maps": maps, "reference": reference.maps()}


@dataclass(frozen=True)
class Clip:
    """One clip on disk, opened without being read."""

    frames: UInt8[np.ndarray, "frames h w 3"]
    maps: UInt8[np.ndarray, "frames h w 12"]
    reference: UInt8[np.ndarray, "h w 7"]


def open_clip(folder: Path) -> Clip:
    """Memory-maps a clip; the first of its frames is the signer's picture and has no maps."""
    load = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frames", "maps", "reference")}
    return Clip(load["frames"][1:], load["maps"], load["reference"])


class WindowDataset(Dataset):
    """An endless run of cropped windows, each decided by the seed and its number alone, so that a run can resume.

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
        self.clips = sorted(path.parent for path in folder.glob("*/maps.npy"))
        if not self.clips:
            raise ValueError(f"`data` must hold clips with maps, found none in {folder}.")
        self.num_windows, self.num_frames, self.crop_size = num_windows, num_frames, crop_size
        self.seed, self.hand_share = seed, hand_share

    def __len__(self) -> int:
        return self.num_windows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        clip = open_clip(self.clips[rng.integers(len(self.clips))])
        start = rng.integers(len(clip.frames) - self.num_frames + 1)
        frames = slice(start, start + self.num_frames)
        top, left = self._place_crop(clip.maps[start, ..., 8], rng)
        rows, columns = slice(top, top + self.crop_size), slice(left, left + self.crop_size)
        return {
            "frames": torch.from_numpy(np.array(clip.frames[frames, rows, columns])),
            "maps": torch.from_numpy(np.array(clip.maps[frames, rows, columns])),
            "reference": torch.from_numpy(np.array(clip.reference[rows, columns])),
        }

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
