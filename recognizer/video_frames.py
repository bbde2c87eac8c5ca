"""What the video recognizer sees of a clip: the signer cut out, at one size, at evenly spaced moments."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn import functional as F

from poses.keypoints import index
from poses.sequence import PoseSequence

SIDE, ABOVE_NECK = 2.7, 1.2
"""The cut-out's side, and how far it reaches above the neck, in shoulder widths: hands reach its edges."""

SPEED, ZOOM, SHIFT = 0.2, 0.15, 0.15
"""Largest changes by `vary_views`: shares of the clip's tempo, of the signer's size, and of half a side."""

CONTRAST, TINT, BRIGHTNESS = 0.3, 0.2, 0.3
"""Largest changes of colour: shares of the whole contrast and of a channel's, and parts of the half range."""


def signer_box(poses: PoseSequence) -> Float[np.ndarray, "4"]:
    """A square around head, trunk and hands of a clip: left, top, right, bottom in pixels, maybe beyond the frame.

    Raises:
        ValueError: The shoulders are never both seen.
    """
    width = poses.shoulder_width_px()
    if not width > 0:
        raise ValueError(f"{poses.source or '`poses`'}: must show both shoulders, by which the signer is cut out.")
    neck = index("neck")
    seen = poses.confidence[:, neck] > 0
    x, y = np.median(poses.pixels()[seen, neck], axis=0)
    left, top = x - SIDE / 2 * width, y - ABOVE_NECK * width
    return np.array([left, top, left + SIDE * width, top + SIDE * width])


def see_signer(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]], poses: PoseSequence, num_frames: int, size: int
) -> UInt8[np.ndarray, "num_frames size size 3"]:
    """Cuts the signer out at `num_frames` evenly spaced moments, the first and the last frame included.

    Args:
        frames: RGB.
        poses: Of these frames.
        num_frames: Moments; a short clip repeats frames.
        size: Pixels to a side. What lies beyond the frame repeats its edge.
    """
    left, top, right, _ = signer_box(poses)
    scale = size / (right - left)
    # Shrunk first, since a warp alone would skip pixels.
    shrink = min(1.0, 2 * scale)
    seen = np.empty((num_frames, size, size, 3), np.uint8)
    for row, moment in enumerate(np.linspace(0, len(frames) - 1, num_frames).round().astype(int)):
        frame = frames[moment]
        if shrink < 1:
            frame = cv2.resize(frame, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        step = scale / shrink
        warp = np.array([[step, 0, -left * scale], [0, step, -top * scale]])
        seen[row] = cv2.warpAffine(frame, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen


def vary_views(
    pixels: Float[torch.Tensor, "batch frames 3 size size"], generator: torch.Generator
) -> Float[torch.Tensor, "batch frames 3 size size"]:
    """Classical augmentation, the same for all frames of a clip: colour, contrast, place, size, speed.

    Nothing is mirrored: a sign made with the other hand may be another sign.

    Args:
        pixels: -1 to 1.
        generator: Of all draws.
    """
    batch, frames = pixels.shape[:2]

    def draw(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(batch, *shape, generator=generator) - 1

    speed, start = 1 + SPEED * draw(1), SPEED * draw(1) * frames / 2
    moments = (torch.arange(frames) - (frames - 1) / 2) * speed + (frames - 1) / 2 + start
    moments = moments.round().long().clamp(0, frames - 1)
    pixels = pixels[torch.arange(batch)[:, None], moments]
    scale = 1 + ZOOM * draw()
    affine = torch.zeros(batch, 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = scale
    affine[:, :, 2] = SHIFT * draw(2)
    grid = F.affine_grid(affine, [batch, 1, *pixels.shape[-2:]], align_corners=False)
    moved = F.grid_sample(pixels.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    pixels = moved.unflatten(1, (frames, 3))
    tint = CONTRAST * draw(1, 1, 1, 1) + TINT * draw(1, 3, 1, 1)
    return (pixels * (1 + tint) + BRIGHTNESS * draw(1, 1, 1, 1)).clamp(-1, 1)
