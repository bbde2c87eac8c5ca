"""Converts between COCO-WholeBody's 133 points, as rtmlib and mmpose give them, and the 128 of DWPose, with files.

Order: https://github.com/jin-s13/COCO-WholeBody/blob/master/imgs/Fig2_anno.png, 17 body, 6 feet, 68 face, 21 left hand,
21 right hand. Left is the signer's own left in both.
"""

import os

import numpy as np
from jaxtyping import Float32

from poses.formats.array_files import Given, frame_size, read_arrays, single_numbers, write_arrays
from poses.formats.checks import checked_sequence
from poses.formats.npz import open_npz, read_array
from poses.keypoints import BODY, PARTS, index
from poses.sequence import PoseFileError, PoseSequence

BODY_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
"""The 17 body and 6 foot points in order."""

NUM_WHOLEBODY = 133

_NECK = BODY.index("neck")
_SHOULDERS = index("right_shoulder", "left_shoulder")
_HERE = np.r_[[i for i in range(len(BODY)) if i != _NECK], PARTS["face"], PARTS["left_hand"], PARTS["right_hand"]]
_THERE = np.r_[[BODY_NAMES.index(name) for name in BODY if name != "neck"], len(BODY_NAMES) : NUM_WHOLEBODY]


def coco_wholebody_to_dwpose(
    keypoints: Float32[np.ndarray, "*frames 133 2"], confidence: Float32[np.ndarray, "*frames 133"]
) -> tuple[Float32[np.ndarray, "*frames 128 2"], Float32[np.ndarray, "*frames 128"]]:
    """Picks the 128 points. Lost are the six of the feet.

    The neck is the mean of the shoulders, as in DWPose, and as certain as the less certain one.

    Args:
        keypoints: In any unit, which is kept.
        confidence: 0 (not seen) to 1.
    """
    here = np.zeros((*keypoints.shape[:-2], 128, 2), np.float32)
    seen = np.zeros(here.shape[:-1], np.float32)
    here[..., _HERE, :] = keypoints[..., _THERE, :]
    seen[..., _HERE] = confidence[..., _THERE]
    here[..., _NECK, :] = here[..., _SHOULDERS, :].mean(axis=-2)
    seen[..., _NECK] = seen[..., _SHOULDERS].min(axis=-1)
    return np.where(seen[..., None] > 0, here, np.float32(0)), seen


def dwpose_to_coco_wholebody(
    keypoints: Float32[np.ndarray, "*frames 128 2"], confidence: Float32[np.ndarray, "*frames 128"]
) -> tuple[Float32[np.ndarray, "*frames 133 2"], Float32[np.ndarray, "*frames 133"]]:
    """Puts the 128 points into COCO-WholeBody's order. The feet get confidence 0. Lost is the neck."""
    there = np.zeros((*keypoints.shape[:-2], NUM_WHOLEBODY, 2), np.float32)
    seen = np.zeros(there.shape[:-1], np.float32)
    there[..., _THERE, :] = keypoints[..., _HERE, :]
    seen[..., _THERE] = confidence[..., _HERE]
    return there, seen


def read_coco_wholebody(path: str | os.PathLike[str], given: Given) -> PoseSequence:
    """Reads `keypoints` in pixels, [frames, 133, 2], and `scores`, [frames, 133], as rtmlib returns them.

    A third axis, [frames, people, 133, ...], is read too: its first person. Scores above 1, which rtmlib's largest
    models give, are taken for 1.

    Args:
        path: An `.npz` file, with `fps`, `width` and `height` where it is written by `write_coco_wholebody`.
        given: What the file does not say.

    Raises:
        PoseFileError: It is something else, is damaged, shows nobody, or its frame rate or size is not known.
    """
    with open_npz(path, path) as archive:
        several = read_array(archive, "scores.npy", path).ndim == 3
    people = (None,) * several
    arrays = read_arrays(path, {"keypoints": (*people, NUM_WHOLEBODY, 2), "scores": (*people, NUM_WHOLEBODY)})
    keypoints, scores = arrays["keypoints"], arrays["scores"]
    if keypoints.shape[:-1] != scores.shape or 0 in scores.shape:
        raise PoseFileError(
            f"{path}: keypoints.npy and scores.npy must hold the same people, "
            f"found {list(keypoints.shape)} and {list(scores.shape)}."
        )
    if several:
        keypoints, scores = keypoints[:, 0], scores[:, 0]
    fps, width, height = given.or_stated(path, single_numbers(arrays))
    with np.errstate(over="ignore"):
        points = coco_wholebody_to_dwpose(keypoints.astype(np.float32), np.clip(scores, 0, 1).astype(np.float32))
    return checked_sequence(path, points[0] / frame_size(width, height), points[1], fps=fps, width=width, height=height)


def write_coco_wholebody(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes what `read_coco_wholebody` reads.

    Lost are the neck's own place and confidence, the language, the glosses and the source.

    Raises:
        ValueError: `path` is taken.
    """
    keypoints, scores = dwpose_to_coco_wholebody(poses.pixels(), poses.confidence)
    write_arrays(path, {"keypoints": keypoints, "scores": scores}, poses, overwrite=overwrite)
