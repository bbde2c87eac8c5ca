"""What can be measured on a video's pictures: hands and face against a reference, and a video against itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image
from scipy.ndimage import uniform_filter

from poses.keypoints import PARTS

REGIONS = ("right_hand", "left_hand", "face")
"""What is cut out of a frame: whole frames are mostly background."""

CROP_PX = 64
MARGIN = 0.25
"""Room around the points of a region, as a share of its larger side."""

SMALLEST_PX = 8.0
"""Least side of a region in the frame, so that a few points in one place are no region of nothing."""

WINDOW = 7
"""Side of the windows that SSIM compares, pixels."""

PAIRS_AT_ONCE = 16
"""Pairs of pictures that are compared together: so few that they stay in the processor's cache."""

STILL_LEVELS = 0.1
"""Two frames whose small pictures differ by less than this mean number of grey levels (of 255) are the same picture."""

MOVING = 0.02
"""Shoulder widths that a wrist goes in one frame where the driving pose moves."""


@dataclass(frozen=True, eq=False)
class Crops:
    """What is kept of a video: small pictures.

    Attributes:
        regions: By `REGIONS`, every frame's cut-out, black where there is none.
        valid: Whether there is one.
        small: The whole frame in grey levels.
    """

    regions: UInt8[np.ndarray, "frames 3 64 64 3"]
    valid: Bool[np.ndarray, "frames 3"]
    small: Float32[np.ndarray, "frames 64 64"]

    def __len__(self) -> int:
        return len(self.small)

    def __getitem__(self, frames: slice) -> "Crops":
        return Crops(self.regions[frames], self.valid[frames], self.small[frames])


def region_boxes(
    pixels: Float[np.ndarray, "frames 128 2"], visible: Bool[np.ndarray, "frames 128"], width: int, height: int
) -> Float[np.ndarray, "frames 3 4"]:
    """Square boxes (left, top, right, bottom) around hands and face in pixels, NaN where less than half is visible.

    A box keeps its size at the frame's edge and is moved inside; one larger than the frame is cut.
    """
    boxes = np.full((len(pixels), len(REGIONS), 4), np.nan)
    for number, region in enumerate(REGIONS):
        points, seen = pixels[:, PARTS[region]], visible[:, PARTS[region]]
        frames = np.flatnonzero(seen.mean(axis=1) >= 0.5)
        if not len(frames):
            continue
        mask = ~seen[frames, :, None] & np.ones(2, bool)
        low = np.ma.array(points[frames], mask=mask).min(axis=1).data
        high = np.ma.array(points[frames], mask=mask).max(axis=1).data
        side = np.maximum((high - low).max(axis=1) * (1 + 2 * MARGIN), SMALLEST_PX)
        side = np.minimum(side, min(width, height))[:, None]
        corner = np.clip((low + high - side) / 2, 0, np.array([width, height]) - side)
        boxes[frames, number] = np.concatenate([corner, corner + side], axis=1)
    return boxes


def cut_frames(frames: Iterable[UInt8[np.ndarray, "height width 3"]], boxes: Float[np.ndarray, "frames 3 4"]) -> Crops:
    """Cuts hands and face out of every frame and keeps the frame itself small.

    Args:
        frames: Of one size. Nothing is cut out of those beyond the boxes.
        boxes: As fractions of the frame, so that videos of several sizes can be compared.

    Raises:
        ValueError: There is no frame.
    """
    regions, valid, small = [], [], []
    for frame, of_frame in zip(frames, chain(boxes, repeat(np.full((len(REGIONS), 4), np.nan))), strict=False):
        picture = Image.fromarray(frame)
        scale = np.array([picture.width, picture.height] * 2)
        cuts = np.zeros((len(REGIONS), CROP_PX, CROP_PX, 3), np.uint8)
        shown = np.isfinite(of_frame).all(axis=1)
        for number in np.flatnonzero(shown):
            box = tuple(of_frame[number] * scale)
            cuts[number] = np.asarray(picture.resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR, box=box))
        regions.append(cuts)
        valid.append(shown)
        small.append(picture.convert("L").resize((CROP_PX, CROP_PX), Image.Resampling.BOX))
    if not regions:
        raise ValueError("`frames` must hold at least one frame, got none.")
    return Crops(np.stack(regions), np.stack(valid), np.stack([np.asarray(one, np.float32) for one in small]))


def luma(pictures: UInt8[np.ndarray, "*pictures 3"]) -> Float32[np.ndarray, "*pictures"]:
    """Luma (ITU-R BT.601) of RGB, 0 to 255."""
    return pictures.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def similarity_by_region(
    shown: Crops, reference: Crops
) -> dict[str, tuple[Float[np.ndarray, " frames"], Float[np.ndarray, " frames"]]]:
    """SSIM (window 7) and PSNR (decibels, at most 100) of the luma of each region's cut-outs, by frame.

    A frame counts where both have the region.
    """
    figures = {}
    for number, region in enumerate(REGIONS):
        both = shown.valid[:, number] & reference.valid[:, number]
        pair = [luma(crops.regions[both, number]) for crops in (shown, reference)]
        figures[region] = (structural_similarities(*pair), signal_to_noise(*pair))
    return figures


def structural_similarities(
    first: Float[np.ndarray, "pictures height width"], second: Float[np.ndarray, "pictures height width"]
) -> Float[np.ndarray, " pictures"]:
    """SSIM of grey pictures in pairs, 0 to 255 (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861).

    As scikit-image's `structural_similarity` has it by default, of many pairs at once: flat windows of 7 pixels, sample
    covariance, windows that reach over the edge left out.
    """
    values = np.empty(len(first))
    for start in range(0, len(first), PAIRS_AT_ONCE):
        block = slice(start, start + PAIRS_AT_ONCE)
        x, y = first[block].astype(np.float64), second[block].astype(np.float64)
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = (_window_means(of) for of in (x, y, x * x, y * y, x * y))
        unbiased = WINDOW**2 / (WINDOW**2 - 1)
        variances = unbiased * (mean_xx - mean_x**2) + unbiased * (mean_yy - mean_y**2)
        covariance = unbiased * (mean_xy - mean_x * mean_y)
        small, smaller = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        like = (2 * mean_x * mean_y + small) * (2 * covariance + smaller)
        like /= (mean_x**2 + mean_y**2 + small) * (variances + smaller)
        values[block] = like.mean(axis=(1, 2))
    return values


def _window_means(pictures: Float[np.ndarray, "pictures height width"]) -> Float[np.ndarray, "pictures _ _"]:
    edge = WINDOW // 2
    return uniform_filter(pictures, (1, WINDOW, WINDOW))[:, edge:-edge, edge:-edge]


def signal_to_noise(
    first: Float[np.ndarray, "pictures height width"], second: Float[np.ndarray, "pictures height width"]
) -> Float[np.ndarray, " pictures"]:
    """PSNR of grey pictures in pairs, 0 to 255, in decibels: at most 100, which equal ones have."""
    errors = (np.subtract(first, second, dtype=np.float64) ** 2).mean(axis=(1, 2))
    return np.minimum(10 * np.log10(255**2 / np.maximum(errors, 1e-9)), 100)


def temporal_consistency(small: Float32[np.ndarray, "frames 64 64"]) -> float | None:
    """Mean SSIM of neighbouring frames. High for a steady video, and highest for one that stands still."""
    return float(structural_similarities(small[1:], small[:-1]).mean()) if len(small) > 1 else None


def frozen_share(small: Float32[np.ndarray, "frames 64 64"], wrist_steps: Float[np.ndarray, " steps"]) -> float | None:
    """Share of the steps in which the driving pose moves and the picture does not.

    DTW forgives standing still, since it may pair one frame with many: this does not.

    Args:
        small: The frames.
        wrist_steps: How far a wrist moves from each frame of the driving pose to the next, in shoulder widths.

    Returns:
        None where the driving pose never moves.
    """
    moving = wrist_steps >= MOVING
    still = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2)) < STILL_LEVELS
    return float(still[moving].mean()) if moving.any() else None
