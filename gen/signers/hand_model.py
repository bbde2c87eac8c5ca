"""The skeleton of a hand: joints, what its angles are, how it is posed.

A hand is a right hand here; left hands come mirrored. World axes: x to the signer's left, y away from the camera,
z up, metres.
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from gen.signers import rotations
from gen.signers.body import Body
from poses.keypoints import HAND, index

FINGERS = ("thumb", "index", "middle", "ring", "little")

ANGLES = (
    "thumb_sweep", "thumb_lift", "thumb_roll", "thumb_bend_1", "thumb_bend_2",
    *(f"{finger}_{angle}" for finger in FINGERS[1:] for angle in ("spread", "bend_1", "bend_2", "bend_3")),
)  # fmt: skip
"""The joint angles of a hand, radians from a flat one: `bend` towards the palm, `spread` towards the thumb."""

# Degrees: lowest, highest, usual value, spread about it.
_RANGES = {
    "thumb_sweep": (-40, 40, 0, 20),
    "thumb_lift": (-35, 45, 0, 20),
    "thumb_roll": (-40, 50, 0, 15),
    "thumb_bend_1": (-15, 65, 15, 25),
    "thumb_bend_2": (-20, 85, 15, 30),
    "spread": (-22, 22, 0, 8),
    "bend_1": (-25, 95, 20, 45),
    "bend_2": (-6, 115, 30, 50),
    "bend_3": (-8, 85, 18, 40),
}
_FLAT_SPREAD = {"index": 3, "middle": -2, "ring": -7, "little": -14}
"""Degrees from the line wrist to middle knuckle, towards the thumb, of each finger when none is spread."""


@dataclass(frozen=True, eq=False)
class HandModel:
    """A right hand at rest, wrist at the origin.

    Attributes:
        points: The 21 points.
        joints: Joint of each finger segment, finger by finger.
        axes: Axis of each of `ANGLES`, where it turns first.
        rest: What `ANGLES` are at rest.
        palm: Frame of the palm: from the wrist to the middle knuckle, towards the little finger, out of the palm.
        low: Smallest of `ANGLES`.
        high: Largest.
        usual: Their means.
        spread: How far they usually are from the mean.
    """

    points: Float[np.ndarray, "21 3"]
    joints: Float[np.ndarray, "5 3 3"]
    axes: Float[np.ndarray, "angles 3"]
    rest: Float[np.ndarray, " angles"]
    palm: Float[np.ndarray, "3 3"]
    low: Float[np.ndarray, " angles"]
    high: Float[np.ndarray, " angles"]
    usual: Float[np.ndarray, " angles"]
    spread: Float[np.ndarray, " angles"]


@dataclass(frozen=True, eq=False)
class HandPose:
    """Hands of a model over time.

    Attributes:
        place: Wrist in the picture, x and z.
        scale: Size against the model's.
        palm: Rotation of the palm from rest.
        angles: `ANGLES`.
        stretch: Length of each finger segment and length and width of the palm, against the model's.
    """

    place: Float[np.ndarray, "hands 2"]
    scale: Float[np.ndarray, " hands"]
    palm: Float[np.ndarray, "hands 3 3"]
    angles: Float[np.ndarray, "hands angles"]
    stretch: Float[np.ndarray, "hands 17"]

    def __getitem__(self, hands) -> "HandPose":
        return HandPose(*(getattr(self, field.name)[hands] for field in fields(self)))


@lru_cache(maxsize=32)
def hand_model(body: Body) -> HandModel:
    """Measures the right hand of a body."""
    wrist = body.heads[body.bone("wrist.R")].astype(float)
    points = body.keypoints[index(*(f"right_hand_{name}" for name in HAND))] - wrist
    joints = np.array(
        [[body.heads[body.bone(f"finger{finger}-{i}.R")] - wrist for i in (1, 2, 3)] for finger in range(1, 6)], float
    )
    along = joints[2, 0]
    palm_normal = np.cross(joints[1, 0], joints[4, 0])
    curl = joints[2, 2] - joints[2, 0]
    palm_normal *= np.sign(palm_normal @ (curl - along * (curl @ along) / (along @ along)))
    palm = rotations.frame(along, np.cross(palm_normal, along))
    tips = points[[4, 8, 12, 16, 20]]
    axes, rest = [], []
    thumb = rotations.unit(np.diff([*joints[0], tips[0]], axis=0))
    bend_axis = rotations.unit(np.cross(thumb[0], thumb[1]) + np.cross(thumb[1], thumb[2]))
    axes += [-palm[:, 2], rotations.unit(np.cross(thumb[0], palm[:, 2])), thumb[0], bend_axis, bend_axis]
    rest += [0, 0, 0, _angle(thumb[0], thumb[1], bend_axis), _angle(thumb[1], thumb[2], bend_axis)]
    for finger in range(1, 5):
        segments = rotations.unit(np.diff([*joints[finger], tips[finger]], axis=0))
        local = segments @ palm
        axis = rotations.unit(np.cross(segments[0], palm[:, 2]))
        axes += [-palm[:, 2], axis, axis, axis]
        rest += [
            -np.arctan2(local[0, 1], local[0, 0]) - np.radians(_FLAT_SPREAD[FINGERS[finger]]),
            np.arcsin(local[0, 2]),
            _angle(segments[0], segments[1], axis),
            _angle(segments[1], segments[2], axis),
        ]
    low, high, usual, spread = np.radians(
        [_RANGES[name] if name.startswith("thumb") else _RANGES[name.split("_", 1)[1]] for name in ANGLES]
    ).T
    return HandModel(points.astype(float), joints, np.array(axes), np.array(rest), palm, low, high, usual, spread)


def _angle(start: np.ndarray, stop: np.ndarray, axis: np.ndarray) -> float:
    """Signed angle about `axis` from `start` to `stop`, seen along the axis."""
    return float(np.arctan2(np.cross(start, stop) @ axis, start @ stop))


FIRST_ANGLE = (0, 5, 9, 13, 17)
"""Where each finger's angles begin in `ANGLES`."""

_BEND_ANGLE = np.array([[0, 3, 4], *([first + 1, first + 2, first + 3] for first in FIRST_ANGLE[1:])])
"""For each segment of each finger the angle that bends it against the one before."""

_BENDS = np.array([[False, True, True], *[[True] * 3] * 4])
"""Where there is one: the thumb's first segment is turned as a whole."""


@dataclass(frozen=True, eq=False)
class PosedHands:
    """Posed hands in the world, wrist at the origin.

    Attributes:
        points: The 21 points.
        joints: Joint of each finger segment.
        linear: Map of each finger segment from rest.
        axes: Axis of each of `ANGLES`.
        palm: Map of the palm from rest.
    """

    points: Float[np.ndarray, "hands 21 3"]
    joints: Float[np.ndarray, "hands 5 3 3"]
    linear: Float[np.ndarray, "hands 5 3 3 3"]
    axes: Float[np.ndarray, "hands angles 3"]
    palm: Float[np.ndarray, "hands 3 3"]


def _stretched(model: HandModel, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps at rest of the palm [hands, 3, 3] and of the segments [hands, 5, 3, 3, 3] for stretch factors."""
    factors = np.concatenate([stretch[:, 15:], np.ones((len(stretch), 1))], axis=1)
    palm = np.einsum("ij,nj,kj->nik", model.palm, factors, model.palm)
    ends = np.concatenate([model.joints[:, 1:], model.points[[4, 8, 12, 16, 20]][:, None]], axis=1)
    along = rotations.unit(ends - model.joints)
    outer = along[..., :, None] * along[..., None, :]
    segments = np.eye(3) + (stretch[:, :15].reshape(-1, 5, 3) - 1)[..., None, None] * outer
    return palm, segments


def pose_hands(model: HandModel, pose: HandPose) -> PosedHands:
    """Joints and points of posed hands relative to the wrist, `scale` included."""
    palm_map, segment_map = _stretched(model, pose.stretch)
    num_hands = len(pose.angles)
    turn = pose.angles - model.rest
    axes = np.empty((num_hands, len(ANGLES), 3))
    roots = np.empty((num_hands, 5, 3, 3))  # how each finger as a whole is turned against the palm
    thumb = np.eye(3)
    for angle in range(3):
        axes[:, angle] = thumb @ model.axes[angle]
        thumb = thumb @ rotations.about(model.axes[angle], turn[:, angle])
    roots[:, 0] = thumb
    first = np.array(FIRST_ANGLE[1:])
    axes[:, first] = model.axes[first]
    roots[:, 1:] = rotations.about(model.axes[first], turn[:, first])
    # The joints of a finger bend about one axis, so bends add up.
    hinges = model.axes[_BEND_ANGLE[:, 2]]
    bends = np.where(_BENDS, turn[:, _BEND_ANGLE], 0).cumsum(axis=2)
    axes[:, _BEND_ANGLE[_BENDS]] = (roots @ hinges[..., None])[..., 0][:, np.nonzero(_BENDS)[0]]
    axes = axes @ np.swapaxes(pose.palm, 1, 2)
    linear = (pose.palm[:, None] @ roots)[:, :, None] @ rotations.about(hinges[:, None], bends) @ segment_map
    linear *= pose.scale[:, None, None, None, None]
    base = pose.palm @ palm_map * pose.scale[:, None, None]
    points = model.points @ np.swapaxes(base, 1, 2)
    joints = np.empty((num_hands, 5, 3, 3))
    joints[:, :, 0] = model.joints[:, 0] @ np.swapaxes(base, 1, 2)
    for segment in (0, 1):
        reach = (model.joints[:, segment + 1] - model.joints[:, segment])[..., None]
        joints[:, :, segment + 1] = joints[:, :, segment] + (linear[:, :, segment] @ reach)[..., 0]
    ends = model.points[1:].reshape(5, 4, 3)[:, 1:] - model.joints
    points[:, 1:].reshape(num_hands, 5, 4, 3)[:, :, 1:] = joints + (linear @ ends[..., None])[..., 0]
    return PosedHands(points, joints, linear, axes, base)
