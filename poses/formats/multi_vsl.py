"""Reads and writes the skeletons published for Multi-VSL: DWPose's 128 points as `all_xy` and `all_score`.

Keys and types are those on https://huggingface.co/datasets/Tri1/Multi-VSL-front-skeleton. Two things are not told
there. The card lists parts that are 133 points, of which there are 128: so the order of the parts is found by where the
hands lie. And `frame_size` has no order: it is taken for width and height unless more points lie in the frame the other
way. Files written here name their points, which leaves nothing to find out.
"""

import os

import numpy as np

from poses.files import new_file
from poses.formats.array_files import read_arrays
from poses.formats.checks import checked_sequence
from poses.formats.npz import open_npz, read_array
from poses.keypoints import NAMES, NUM_KEYPOINTS, PARTS, index
from poses.sequence import PoseFileError, PoseSequence

_OURS = np.arange(NUM_KEYPOINTS)
_COCO_WHOLEBODY = np.concatenate([_OURS[PARTS[part]] for part in ("body", "face", "left_hand", "right_hand")])
_SEEN = 0.3
_LARGEST_PIXEL = float(np.finfo(np.float16).max)


def read_multi_vsl(path: str | os.PathLike[str]) -> PoseSequence:
    """Reads one clip. Points of frames where nobody was detected are not seen.

    Raises:
        PoseFileError: It is something else, is damaged, shows nobody, or no hand by which to tell the points' order.
    """
    arrays = read_arrays(path, {"all_xy": (NUM_KEYPOINTS, 2), "all_score": (NUM_KEYPOINTS,)})
    with np.errstate(over="ignore"):
        pixels, scores = arrays["all_xy"].astype(np.float32), arrays["all_score"].astype(np.float32)
    with open_npz(path, path) as archive:
        detected, sides = (read_array(archive, f"{key}.npy", path) for key in ("detected", "frame_size"))
        names = read_array(archive, "keypoint_names.npy", path) if "keypoint_names.npy" in archive.namelist() else None
    if detected.shape != scores.shape[:1] or detected.dtype.kind not in "iub":
        raise PoseFileError(
            f"{path}: detected.npy must be one whole number a frame, found {detected.dtype} {list(detected.shape)}."
        )
    if sides.shape != (2,) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise PoseFileError(
            f"{path}: frame_size.npy must be two sides in pixels, found {sides.dtype} {sides.tolist()}."
        )
    if "fps" not in arrays:
        raise PoseFileError(f"{path}: must hold fps.npy, found no such member.")
    scores = np.where(detected[:, None] > 0, np.clip(scores, 0, 1), np.float32(0))
    pixels = np.where(scores[..., None] > 0, pixels, np.float32(0))
    if not np.isfinite(pixels).all():
        raise PoseFileError(f"{path}: all_xy.npy must hold finite numbers, found NaN or infinity.")
    if names is None:
        order, sides = _likely_order(pixels, scores, path), _likely_sides(pixels[scores > _SEEN], sides)
    else:
        order = _named_order(names, path)
    keypoints, confidence = np.empty_like(pixels), np.empty_like(scores)
    keypoints[:, order], confidence[:, order] = pixels / sides.astype(np.float32), scores
    width, height = sides.tolist()
    return checked_sequence(path, keypoints, confidence, fps=arrays["fps"].item(), width=width, height=height)


def write_multi_vsl(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes one clip, its points named by `keypoint_names`.

    Lost are what 16 bits cannot hold (up to half a pixel beyond 1024, a thousandth of confidence), the language, the
    glosses and the source.

    Raises:
        ValueError: `path` is taken, or a point is farther than 65,504 pixels away.
    """
    pixels, confidence = poses.pixels()[:, _COCO_WHOLEBODY], poses.confidence[:, _COCO_WHOLEBODY]
    if np.abs(pixels).max() > _LARGEST_PIXEL:
        raise ValueError(f"{path}: points may be {_LARGEST_PIXEL:g} pixels away, got {np.abs(pixels).max():g}.")
    arrays = {
        "all_xy": pixels.astype(np.float16),
        "all_score": confidence.astype(np.float16),
        "detected": (confidence > 0).any(axis=1).astype(np.int8),
        "frame_size": np.asarray([poses.width, poses.height], np.int32),
        "fps": np.asarray(poses.fps, np.float32),
        "keypoint_names": np.asarray(NAMES)[_COCO_WHOLEBODY],
    }
    with new_file(path, overwrite=overwrite) as aside, aside.open("wb") as stream:
        np.savez(stream, **arrays)  # pyrefly: ignore


def _named_order(names: np.ndarray, path: object) -> np.ndarray:
    if names.dtype.kind != "U" or names.shape != (NUM_KEYPOINTS,) or set(names.tolist()) != set(NAMES):
        raise PoseFileError(
            f"{path}: keypoint_names.npy must name each of {NUM_KEYPOINTS} points once, found {list(names.shape)}."
        )
    return np.array([index(name) for name in names.tolist()])


def _likely_order(pixels: np.ndarray, scores: np.ndarray, path: object) -> np.ndarray:
    """Which of our points each is: of two orders, the one in which hands begin at the wrists."""
    distances = []
    for order in (_COCO_WHOLEBODY, _OURS):
        there = np.argsort(order)
        gaps = [np.empty(0, np.float32)]
        for side in ("left", "right"):
            ends = there[index(f"{side}_wrist", f"{side}_hand_wrist")]
            seen = (scores[:, ends] > _SEEN).all(axis=1)
            gaps.append(np.linalg.norm(pixels[seen][:, ends[0]] - pixels[seen][:, ends[1]], axis=1))
        distances.append(float(np.median(np.concatenate(gaps))) if sum(map(len, gaps)) else np.inf)
    if min(distances) == np.inf:
        raise PoseFileError(
            f"{path}: must show a wrist and its hand, by which the order of points is told; found none."
        )
    return (_COCO_WHOLEBODY, _OURS)[int(np.argmin(distances))]


def _likely_sides(seen: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Width and height: as they stand, unless more points lie in the frame the other way."""
    as_stored, turned = ((seen <= order).all(axis=1).sum() for order in (sides, sides[::-1]))
    return sides[::-1] if turned > as_stored else sides
