"""The 384 numbers a frame that SignDW and SignX learn from: keypoints in the centred square of the frame, and scores.

Order and crop are those of `flatten_payload` in https://github.com/SignerX/SignVerse-2M,
SignDW_Transformer/train_SignDW_40M.py@2ea99ea. Neither project publishes files of it; here they are an `.npz`.
"""

import os

import numpy as np
from jaxtyping import Float32

from poses.formats.array_files import Given, read_arrays, single_numbers, write_arrays
from poses.formats.checks import checked_sequence
from poses.keypoints import PARTS
from poses.sequence import PoseFileError, PoseSequence

NUM_FEATURES = 384
_SIZES = (36, 18, 42, 42, 21, 21, 136, 68)
"""Numbers of body, its scores, left hand, right hand, their scores, face, and its scores."""


def dwpose_track(poses: PoseSequence) -> Float32[np.ndarray, "frames 384"]:
    """The DWPose track: keypoints as fractions of the centred square of the frame, and their confidence.

    Points outside the square, like those that were not seen, become 0 with confidence 0. The reference also drops
    points on the frame's first row or column, because it has no other sign of a point that is missing.
    """
    frame = np.array([poses.width, poses.height], np.float32)
    square = frame.min()
    keypoints = (poses.pixels() - (frame - square) / 2) / square
    inside = (poses.confidence > 0) & (keypoints >= 0).all(axis=-1) & (keypoints <= 1).all(axis=-1)
    keypoints = np.where(inside[..., None], keypoints, np.float32(0))
    confidence = np.where(inside, poses.confidence, np.float32(0))
    points = {part: keypoints[:, where].reshape(len(poses), -1) for part, where in PARTS.items()}
    scores = {part: confidence[:, where] for part, where in PARTS.items()}
    hands = points["left_hand"], points["right_hand"], scores["left_hand"], scores["right_hand"]
    parts = points["body"], scores["body"], *hands, points["face"], scores["face"]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def read_signx(path: str | os.PathLike[str], given: Given) -> PoseSequence:
    """Reads `dwpose`, [frames, 384]. The frame is a square.

    Args:
        path: An `.npz` file, with `fps`, `width` and `height` where it is written by `write_signx`.
        given: What the file does not say.

    Raises:
        PoseFileError: It is something else, is damaged, shows nobody, or its frame rate or size is not known.
    """
    arrays = read_arrays(path, {"dwpose": (NUM_FEATURES,)})
    fps, width, height = given.or_stated(path, single_numbers(arrays))
    if width != height:
        raise PoseFileError(f"{path}: its frame must be a square, found {width} x {height} pixels.")
    body, body_score, left, right, left_score, right_score, face, face_score = np.split(
        arrays["dwpose"], np.cumsum(_SIZES)[:-1], axis=1
    )
    keypoints = np.concatenate([body, left, right, face], axis=1).reshape(len(body), -1, 2)
    confidence = np.concatenate([body_score, left_score, right_score, face_score], axis=1)
    return checked_sequence(path, keypoints, confidence, fps=fps, width=width, height=height)


def write_signx(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes what `read_signx` reads.

    Lost are points outside the centred square of the frame, the frame around it, the language, the glosses and the
    source.

    Raises:
        ValueError: `path` is taken.
    """
    side = np.asarray(min(poses.width, poses.height), np.int32)
    arrays = {"dwpose": dwpose_track(poses), "width": side, "height": side}
    write_arrays(path, arrays, poses, overwrite=overwrite)
