"""Lays a driving pose over the signer in a picture."""

import numpy as np

from gen.renderers.base import Placement
from poses import PoseSequence
from poses.keypoints import index

_ANCHORS = ("neck", "right_shoulder", "left_shoulder", "nose")


def place_over(poses: PoseSequence, picture: PoseSequence, *, height: int, width: int) -> Placement:
    """Finds the scale and shift that bring shoulders, neck and nose over those of the signer in the picture.

    Least squares over the anchors' median positions; hands are not looked at: a sign keeps its size.

    Args:
        poses: The driving poses.
        picture: The pose held in the picture, one frame.
        height: Pixels of the rendered frame.
        width: Pixels of the rendered frame.

    Raises:
        ValueError: Fewer than two of the anchors are ever seen in both.
    """
    anchors = index(*_ANCHORS)
    driving, target = _median_points(poses, anchors), _median_points(picture, anchors)
    target *= np.array([width, height]) / np.array([picture.width, picture.height])
    known = np.isfinite(driving[:, 0]) & np.isfinite(target[:, 0])
    spread = np.ptp(driving[known], axis=0).max() if known.any() else 0
    if known.sum() < 2 or spread < 1:
        raise ValueError(
            f"{poses.source or '`poses`'}: expected shoulders and nose to place the signer by, "
            f"found {int(known.sum())} of {', '.join(_ANCHORS)}."
        )
    driving, target = driving[known], target[known]
    centre, goal = driving.mean(axis=0), target.mean(axis=0)
    scale = float(((driving - centre) * (target - goal)).sum() / ((driving - centre) ** 2).sum())
    if scale <= 0:
        raise ValueError(f"{poses.source or '`poses`'}: expected an upright signer facing the camera.")
    offset = goal - scale * centre
    return Placement(scale, float(offset[0]), float(offset[1]), width, height)


def _median_points(poses: PoseSequence, points: list[int]) -> np.ndarray:
    """Median position of each point over the frames in which it was seen, in pixels, NaN where it never was."""
    pixels, seen = poses.pixels()[:, points], poses.confidence[:, points] > 0
    medians = np.full((len(points), 2), np.nan)
    for i in range(len(points)):
        if seen[:, i].any():
            medians[i] = np.median(pixels[seen[:, i], i], axis=0)
    return medians
