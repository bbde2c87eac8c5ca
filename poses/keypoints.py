"""The DWPose layout of 128 points: names, parts, limbs. A point is found by name, never by number."""

from types import MappingProxyType
from typing import overload

BODY = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""The 18 body points in OpenPose order. Left and right are the signer's own."""

HAND = (
    "wrist",
    "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
    "index_mcp", "index_pip", "index_dip", "index_tip",
    "middle_mcp", "middle_pip", "middle_dip", "middle_tip",
    "ring_mcp", "ring_pip", "ring_dip", "ring_tip",
    "little_mcp", "little_pip", "little_dip", "little_tip",
)  # fmt: skip
"""The 21 points of one hand, thumb to little finger, root to tip."""

FACE = tuple(
    [f"jaw_{i}" for i in range(17)]
    + [f"right_brow_{i}" for i in range(5)]
    + [f"left_brow_{i}" for i in range(5)]
    + [f"nose_bridge_{i}" for i in range(4)]
    + [f"nose_base_{i}" for i in range(5)]
    + [f"right_eyelid_{i}" for i in range(6)]
    + [f"left_eyelid_{i}" for i in range(6)]
    + [f"outer_lip_{i}" for i in range(12)]
    + [f"inner_lip_{i}" for i in range(8)]
)
"""The 68 face points in iBUG order; `right` is the signer's right, which is left in the picture."""

NAMES = (
    BODY
    + tuple(f"left_hand_{name}" for name in HAND)
    + tuple(f"right_hand_{name}" for name in HAND)
    + tuple(f"face_{name}" for name in FACE)
)
NUM_KEYPOINTS = len(NAMES)

PARTS = MappingProxyType(
    {"body": slice(0, 18), "left_hand": slice(18, 39), "right_hand": slice(39, 60), "face": slice(60, 128)}
)
"""Where each part lies among the 128 points."""

_INDEX = {name: index for index, name in enumerate(NAMES)}

BODY_LIMBS = (
    ("neck", "right_shoulder"), ("neck", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("neck", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear"), ("nose", "left_eye"), ("left_eye", "left_ear"),
)  # fmt: skip
"""The 17 body limbs in the order DWPose draws them."""

HAND_BONES = tuple(
    (HAND[0] if joint == 0 else HAND[finger * 4 + joint], HAND[finger * 4 + joint + 1])
    for finger in range(5)
    for joint in range(4)
)
"""The 20 bones of a hand in the order DWPose draws them, as names within the hand."""


@overload
def index(name: str, other: str, /, *names: str) -> list[int]: ...


@overload
def index(name: str, /) -> int: ...


def index(*names: str) -> int | list[int]:
    """Finds points by name: one name gives one index, several give a list.

    Raises:
        ValueError: A name is not one of `NAMES`.
    """
    unknown = [name for name in names if name not in _INDEX]
    if unknown:
        raise ValueError(f"`names` must be keypoint names such as 'left_hand_index_tip', got {unknown[0]!r}.")
    found = [_INDEX[name] for name in names]
    return found[0] if len(found) == 1 else found
