"""Reads and writes `.pose` files of pose-format (https://github.com/sign-language-processing/pose).

Points are found by the names in a file's header. Three layouts are known: MediaPipe Holistic, also with fewer points,
OpenPose, and COCO-WholeBody. Written is OpenPose's, which has all 128 points and which pose-format's tools understand.
"""

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poses.files import new_file
from poses.formats.checks import checked_sequence
from poses.formats.coco_wholebody import BODY_NAMES, coco_wholebody_to_dwpose
from poses.formats.mediapipe import HAND_NAMES, NUM_FACE, POSE_NAMES, holistic_to_dwpose
from poses.keypoints import BODY
from poses.sequence import PoseFileError, PoseSequence

if TYPE_CHECKING:
    from pose_format.pose_header import PoseHeader

_MAX_BYTES = 2**29

_OPENPOSE_HAND = (
    "BASE", "T_STT", "T_BCMC", "T_MCP", "T_IP", "I_CMC", "I_MCP", "I_PIP", "I_DIP", "M_CMC", "M_MCP", "M_PIP", "M_DIP",
    "R_CMC", "R_MCP", "R_PIP", "R_DIP", "P_CMC", "P_MCP", "P_PIP", "P_DIP",
)  # fmt: skip
_FACE_GROUPS = {"FB": (0, 17), "FEB": (17, 27), "FN": (27, 36), "FE": (36, 48), "FLO": (48, 60), "FLI": (60, 68)}
_OPENPOSE_FACE = tuple(f"{group}_{i}" for group, ends in _FACE_GROUPS.items() for i in range(*ends))


def _openpose_body(name: str) -> str:
    """OpenPose's name: `right_shoulder` is RShoulder."""
    side, _, joint = name.rpartition("_")
    return side[:1].upper() + joint.capitalize()


def _points(component: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(component, name) for name in names]


_OPENPOSE = (
    _points("pose_keypoints_2d", tuple(_openpose_body(name) for name in BODY))
    + _points("hand_left_keypoints_2d", _OPENPOSE_HAND)
    + _points("hand_right_keypoints_2d", _OPENPOSE_HAND)
    + _points("face_keypoints_2d", _OPENPOSE_FACE)
)
"""Our 128 points by OpenPose's component and name."""

_HANDS = tuple(f"hand_{i}" for i in range(21))
_COCO_WHOLEBODY = (
    _points("BODY", BODY_NAMES)
    + _points("FACE", tuple(f"face-{i}" for i in range(68)))
    + _points("LEFT_HAND", _HANDS)
    + _points("RIGHT_HAND", _HANDS)
)

_HOLISTIC = (
    _points("POSE_LANDMARKS", POSE_NAMES),
    _points("FACE_LANDMARKS", tuple(str(i) for i in range(NUM_FACE))),
    _points("LEFT_HAND_LANDMARKS", HAND_NAMES),
    _points("RIGHT_HAND_LANDMARKS", HAND_NAMES),
)


def read_pose(path: str | os.PathLike[str]) -> PoseSequence:
    """Reads the first person of a `.pose` file.

    Points that the file doesn't have are not seen, and so are points it gives a confidence below 0. Confidence above 1
    is taken for 1: both are left behind by tools that resample with curves, such as those of spoken-to-signed.

    Raises:
        PoseFileError: It is something else, is damaged, has points of an unknown layout, or shows nobody.
    """
    header, fps, points, confidence = _read(Path(path))
    points = np.concatenate([points, np.clip(confidence, 0, 1)[..., None]], axis=-1)
    columns = {}
    for component in header.components:
        for name in component.points:
            columns[component.name, name] = len(columns)
    components = {component.name for component in header.components}
    if "POSE_LANDMARKS" in components:
        keypoints, confidence = holistic_to_dwpose(*(_named(points, columns, names) for names in _HOLISTIC))
    elif "pose_keypoints_2d" in components:
        found = _named(points, columns, _OPENPOSE)
        keypoints, confidence = found[..., :2], found[..., 2]
    elif {"BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"} <= components:
        found = _named(points, columns, _COCO_WHOLEBODY)
        keypoints, confidence = coco_wholebody_to_dwpose(found[..., :2], found[..., 2])
    else:
        raise PoseFileError(
            f"{path}: must hold the points of MediaPipe Holistic, OpenPose or COCO-WholeBody, "
            f"found {', '.join(repr(name[:40]) for name in sorted(components)[:8])}."
        )
    width, height = header.dimensions.width, header.dimensions.height
    size = np.array([max(width, 1), max(height, 1)], np.float32)
    return checked_sequence(path, keypoints / size, confidence, fps=fps, width=width, height=height)


def write_pose(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes a `.pose` file with OpenPose's 137 points, in pixels.

    Lost are the language, the glosses and the source. OpenPose's other points (middle of the hips, feet, pupils) get
    confidence 0.

    Raises:
        ValueError: `path` is taken, or the frame is larger than 65,535 pixels.
    """
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
    from pose_format.utils.openpose import OpenPose_Components

    if max(poses.width, poses.height) > 65_535:
        raise ValueError(
            f"{path}: .pose files hold frames of at most 65535 pixels, got {poses.width} x {poses.height}."
        )
    names = [(component.name, name) for component in OpenPose_Components for name in component.points]
    where = [names.index(point) for point in _OPENPOSE]
    data = np.zeros((len(poses), 1, len(names), 2), np.float32)
    confidence = np.zeros((len(poses), 1, len(names)), np.float32)
    data[:, 0, where], confidence[:, 0, where] = poses.pixels(), poses.confidence
    header = PoseHeader(0.2, PoseHeaderDimensions(poses.width, poses.height), OpenPose_Components)
    with new_file(path, overwrite=overwrite) as aside, aside.open("wb") as stream:
        Pose(header, NumPyPoseBody(poses.fps, data, confidence)).write(stream)


def _read(path: Path) -> "tuple[PoseHeader, float, np.ndarray, np.ndarray]":
    """Header, frame rate, and the first person's points in pixels and their confidence."""
    from pose_format import Pose
    from pose_format.pose_header import PoseHeader
    from pose_format.utils.reader import BufferReader

    if path.stat().st_size > _MAX_BYTES:
        raise PoseFileError(f"{path}: must be at most {_MAX_BYTES} bytes, found {path.stat().st_size}.")
    data = path.read_bytes()
    reader = BufferReader(data)
    try:
        header = PoseHeader.read(reader)
        version = round(header.version, 3)
        _, frames, people = struct.unpack_from("<HHH" if version == 0.1 else "<fIH", data, reader.read_offset)
    except (struct.error, TypeError, ValueError, OverflowError):
        raise PoseFileError(f"{path}: must be a whole .pose file, but its header is damaged.") from None
    if version not in (0.1, 0.2):
        raise PoseFileError(f"{path}: must be a .pose file of version 0.1 or 0.2, found {header.version:g}.")
    formats = {component.format for component in header.components}
    if not formats or not formats <= {"XYC", "XYZC"} or len(formats) > 1:
        raise PoseFileError(f"{path}: must hold points as XYC or XYZC, found {sorted(formats)[:3]}.")
    # pose-format takes as much memory as the header asks for, so what it asks for must be there.
    frame_bytes = people * header.total_points() * (header.num_dims() + 1) * 4
    body_bytes = len(data) - reader.read_offset - (10 if version == 0.2 else 6)
    if frame_bytes == 0 or (body_bytes % frame_bytes if version == 0.1 else body_bytes != frames * frame_bytes):
        raise PoseFileError(
            f"{path}: must hold {frames} frames of {people} people with {header.total_points()} points, "
            f"found {body_bytes} bytes for frames of {frame_bytes}."
        )
    body = Pose.read(data).body
    return header, body.fps, body.data.data[:, 0, :, :2], body.confidence[:, 0]


def _named(points: np.ndarray, columns: dict[tuple[str, str], int], names: list[tuple[str, str]]) -> np.ndarray:
    """Points by name, [frames, names, 3], with confidence 0 where the file has no such point."""
    found = np.zeros((len(points), len(names), 3), np.float32)
    there = [i for i, name in enumerate(names) if name in columns]
    found[:, there] = points[:, [columns[names[i]] for i in there]]
    return found
