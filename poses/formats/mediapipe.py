"""Converts between MediaPipe Holistic's points (33 body, 478 face, 2 x 21 hands) and the 128 of DWPose.

Both call the signer's own left "left". MediaPipe's meaning of each point: PoseLandmark and HandLandmark in
https://github.com/google-ai-edge/mediapipe/tree/v0.10.14/mediapipe/python/solutions, and the picture
mediapipe/modules/face_geometry/data/canonical_face_model_uv_visualization.png for the face mesh.
"""

import os

import numpy as np
from jaxtyping import Float32

from poses.formats.array_files import Given, read_arrays, single_numbers, write_arrays
from poses.formats.checks import checked_sequence
from poses.keypoints import BODY, PARTS, index
from poses.sequence import PoseFileError, PoseSequence

POSE_NAMES = (
    "NOSE",
    "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER",
    "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT",
    "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST",
    "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX", "LEFT_THUMB", "RIGHT_THUMB",
    "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE", "LEFT_ANKLE", "RIGHT_ANKLE",
    "LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX", "RIGHT_FOOT_INDEX",
)  # fmt: skip
"""MediaPipe's 33 body points in order."""

HAND_NAMES = (
    "WRIST",
    "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP",
    "INDEX_FINGER_MCP", "INDEX_FINGER_PIP", "INDEX_FINGER_DIP", "INDEX_FINGER_TIP",
    "MIDDLE_FINGER_MCP", "MIDDLE_FINGER_PIP", "MIDDLE_FINGER_DIP", "MIDDLE_FINGER_TIP",
    "RING_FINGER_MCP", "RING_FINGER_PIP", "RING_FINGER_DIP", "RING_FINGER_TIP",
    "PINKY_MCP", "PINKY_PIP", "PINKY_DIP", "PINKY_TIP",
)  # fmt: skip
"""MediaPipe's 21 hand points, in the order of `poses.keypoints.HAND`."""

FACE_68 = (
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,  # jaw
    70, 63, 105, 66, 107,  # right brow, outer end first
    336, 296, 334, 293, 300,  # left brow, inner end first
    168, 197, 5, 1,  # nose bridge, down to the tip
    98, 97, 2, 326, 327,  # nose base
    33, 160, 158, 133, 153, 144,  # right eye: outer corner, upper lid, inner corner, lower lid
    362, 385, 387, 263, 373, 380,  # left eye: inner corner, upper lid, outer corner, lower lid
    61, 40, 37, 0, 267, 270, 291, 321, 405, 17, 181, 91,  # outer lip from the right corner over the upper lip
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lip
)  # fmt: skip
"""The face-mesh vertex for each of the 68 iBUG points. Along the jaw they are spaced as evenly as the mesh allows."""

NUM_FACE = 478
"""Vertices of the refined face mesh; without refinement the last 10, the irises, are missing."""

_LANDMARKS = {
    "pose_landmarks": (len(POSE_NAMES), 4),
    "face_landmarks": (None, 3),
    "left_hand_landmarks": (len(HAND_NAMES), 3),
    "right_hand_landmarks": (len(HAND_NAMES), 3),
}
"""Shape of a frame by MediaPipe's name. In the order that `holistic_to_dwpose` takes them."""

_NECK = BODY.index("neck")
_SHOULDERS = index("right_shoulder", "left_shoulder")
_BODY = [i for i in range(len(BODY)) if i != _NECK]
_POSE = [POSE_NAMES.index(BODY[i].upper()) for i in _BODY]


def holistic_to_dwpose(
    pose: Float32[np.ndarray, "*frames 33 3"] | None,
    face: Float32[np.ndarray, "*frames vertices columns"] | None,
    left_hand: Float32[np.ndarray, "*frames 21 columns"] | None,
    right_hand: Float32[np.ndarray, "*frames 21 columns"] | None,
) -> tuple[Float32[np.ndarray, "*frames 128 2"], Float32[np.ndarray, "*frames 128"]]:
    """Picks the 128 points from what MediaPipe found, in one frame or many.

    The neck is the mean of the shoulders and as certain as the less certain one. Lost are depth, the mouth corners,
    knuckles and feet of the body model, and 410 face vertices.

    Args:
        pose: x, y and visibility in [0, 1].
        face: x and y of 468 or 478 vertices, and where some frames lack a face, a confidence.
        left_hand: x and y, and where some frames lack the hand, a confidence. Of the signer's own left hand.
        right_hand: The same of the right hand.

    Returns:
        Keypoints, in whatever unit came in, and confidence. A part that is None was not seen.
    """
    frames = next((part.shape[:-2] for part in (pose, face, left_hand, right_hand) if part is not None), ())
    keypoints = np.zeros((*frames, 128, 2), np.float32)
    confidence = np.zeros((*frames, 128), np.float32)
    if face is not None and face.shape[-2] not in (NUM_FACE - 10, NUM_FACE):
        raise ValueError(f"`face` must hold {NUM_FACE - 10} or {NUM_FACE} vertices, got {face.shape[-2]}.")
    for points, where, chosen in (
        (pose, _BODY, _POSE),
        (left_hand, PARTS["left_hand"], slice(None)),
        (right_hand, PARTS["right_hand"], slice(None)),
        (face, PARTS["face"], list(FACE_68)),
    ):
        if points is not None:
            keypoints[..., where, :] = points[..., chosen, :2]
            confidence[..., where] = points[..., chosen, 2] if points.shape[-1] > 2 else 1
    keypoints[..., _NECK, :] = keypoints[..., _SHOULDERS, :].mean(axis=-2)
    confidence[..., _NECK] = confidence[..., _SHOULDERS].min(axis=-1)
    return np.where(confidence[..., None] > 0, keypoints, np.float32(0)), confidence


def dwpose_to_holistic(
    keypoints: Float32[np.ndarray, "*frames 128 2"], confidence: Float32[np.ndarray, "*frames 128"]
) -> tuple[
    Float32[np.ndarray, "*frames 33 3"],
    Float32[np.ndarray, "*frames 478 3"],
    Float32[np.ndarray, "*frames 21 3"],
    Float32[np.ndarray, "*frames 21 3"],
]:
    """Puts the 128 points where MediaPipe would: body, face, left and right hand, each x, y and confidence.

    MediaPipe's other points get confidence 0; none is invented. Lost is the neck.
    """
    points = np.concatenate([keypoints, confidence[..., None]], axis=-1)
    pose = np.zeros((*points.shape[:-2], len(POSE_NAMES), 3), np.float32)
    face = np.zeros((*points.shape[:-2], NUM_FACE, 3), np.float32)
    pose[..., _POSE, :] = points[..., _BODY, :]
    face[..., FACE_68, :] = points[..., PARTS["face"], :]
    return pose, face, points[..., PARTS["left_hand"], :], points[..., PARTS["right_hand"], :]


def read_holistic(path: str | os.PathLike[str], given: Given) -> PoseSequence:
    """Reads MediaPipe Holistic's landmarks under the names it gives them, as fractions of the frame.

    `pose_landmarks` is x, y, z and visibility, [frames, 33, 4]; `face_landmarks`, `left_hand_landmarks` and
    `right_hand_landmarks` are x, y and z, [frames, points, 3]. What was not found is NaN. Hands and face are certain
    where they were found, since MediaPipe does not say how sure it is of them.

    Args:
        path: An `.npz` file, with `fps`, `width` and `height` where it is written by `write_holistic`.
        given: What the file does not say.

    Raises:
        PoseFileError: It is something else, is damaged, shows nobody, or its frame rate or size is not known.
    """
    arrays = read_arrays(path, _LANDMARKS)
    parts = []
    for name in _LANDMARKS:
        with np.errstate(over="ignore"):
            points = arrays.pop(name).astype(np.float32)
        found = ~np.isnan(points).any(axis=-1, keepdims=True)
        certain = np.clip(points[..., 3:], 0, 1) if name == "pose_landmarks" else found
        parts.append(np.where(found, np.concatenate([points[..., :2], certain], axis=-1), np.float32(0)))
    fps, width, height = given.or_stated(path, single_numbers(arrays))
    try:
        keypoints, confidence = holistic_to_dwpose(*parts)
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from None
    return checked_sequence(path, keypoints, confidence, fps=fps, width=width, height=height)


def write_holistic(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes what `read_holistic` reads; depth, which is not known, is 0.

    Lost are how certain hands and face are, the neck's own place and confidence, the language, the glosses and the
    source.

    Raises:
        ValueError: `path` is taken.
    """
    arrays = {}
    for name, points in zip(_LANDMARKS, dwpose_to_holistic(poses.keypoints, poses.confidence), strict=True):
        depth = np.where(points[..., 2:] > 0, np.float32(0), np.float32(np.nan))
        visibility = [points[..., 2:]] if name == "pose_landmarks" else []
        arrays[name] = np.concatenate([points[..., :2] + depth, depth, *visibility], axis=-1)
    write_arrays(path, arrays, poses, overwrite=overwrite)
