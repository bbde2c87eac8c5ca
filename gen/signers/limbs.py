"""Trunk, arms and legs that lead to the points seen in the picture.

World axes: x to the signer's left, y away from the camera, z up, metres. The camera sees x and z, so depth comes from
foreshortening. An arm is a right arm here; left arms come mirrored.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gen.signers import rotations
from gen.signers.body import Body
from gen.signers.timeline import ease, smooth
from poses.keypoints import index

UPPER_ARM_RANGE = (0.95, 1.4)
FOREARM_RANGE = (0.95, 1.4)
"""Shortest and longest arm bones against the body's."""

GIVING_UP_S = 0.3
"""How long a point that is not seen any more takes to go to where it is at rest."""

HANGING_ARM = np.array([[-0.18, 0.04, -0.98], [-0.02, -0.25, -0.97]])
"""Directions of upper arm and forearm of a right arm at rest."""


@dataclass(frozen=True, eq=False)
class Trunk:
    """Where chest and hips are: each a rotation from rest and the place of a point that is fixed to it.

    Attributes:
        chest: Rotation of the chest.
        shoulders: Middle between the shoulder points.
        hips: Rotation of the hips.
        root: Middle between the hip points.
    """

    chest: Float[np.ndarray, "frames 3 3"]
    shoulders: Float[np.ndarray, "frames 3"]
    hips: Float[np.ndarray, "frames 3 3"]
    root: Float[np.ndarray, "frames 3"]


def middle(body: Body, point: str) -> Float[np.ndarray, " 3"]:
    """Rest place halfway between a keypoint of the left and the right side."""
    return body.keypoints[index(f"right_{point}", f"left_{point}")].mean(axis=0).astype(float)


def fit_trunk(
    body: Body,
    shoulders: Float[np.ndarray, "frames 2 2"],
    hips: Float[np.ndarray, "frames 2 2"],
    hips_seen: bool,
    facing: Float[np.ndarray, " frames"],
    fps: float,
) -> Trunk:
    """Leans and turns the trunk as shoulders and hips say.

    Args:
        body: The body.
        shoulders: Right and left, x and z.
        hips: As `shoulders`.
        hips_seen: Whether `hips` tell anything.
        facing: Positive where the signer faces to their left: the shoulders' width does not tell which way.
        fps: Frames per second.
    """
    neck, pelvis = middle(body, "shoulder"), middle(body, "hip")
    line = shoulders[:, 1] - shoulders[:, 0]
    place = shoulders.mean(axis=1)
    width = np.linalg.norm(line, axis=1)
    full = np.quantile(width, 0.9)
    turn = np.arccos(np.clip(width / np.maximum(full, 1e-6), 0, 1)) - np.radians(15)
    yaw = np.clip(turn, 0, np.radians(50)) * np.sign(facing)
    yaw = smooth(yaw, 0.08, fps)
    roll = 0.6 * np.arctan2(line[:, 1], line[:, 0])
    usual = np.median(place, axis=0) - (neck - pelvis)[[0, 2]]
    if hips_seen:
        root = hips.mean(axis=1)
        lean = place - root
        axis = np.arctan2(-lean[:, 0], lean[:, 1])
        roll = roll + 0.4 * axis
        hip_line = hips[:, 1] - hips[:, 0]
        hip_roll = 0.5 * np.arctan2(hip_line[:, 1], hip_line[:, 0])
    else:
        root = 0.7 * usual + 0.3 * (place - (neck - pelvis)[[0, 2]])
        hip_roll = 0.3 * roll
    zero = np.zeros_like(roll)
    chest = rotations.from_vector(np.stack([zero, -roll, zero], -1)) @ rotations.from_vector(
        np.stack([zero, zero, yaw], -1)
    )
    hip_turn = rotations.from_vector(np.stack([zero, -hip_roll, zero], -1)) @ rotations.from_vector(
        np.stack([zero, zero, 0.4 * yaw], -1)
    )
    return Trunk(
        chest=chest,
        shoulders=np.stack([place[:, 0], np.full(len(place), neck[1]), place[:, 1]], axis=-1),
        hips=hip_turn,
        root=np.stack([root[:, 0], np.full(len(place), pelvis[1]), root[:, 1]], axis=-1),
    )


@dataclass(frozen=True, eq=False)
class Leg:
    """A right leg over time, in the picture: x and z; None where it was not seen.

    Attributes:
        knee: Joint of the lower leg.
        ankle: Joint of the foot.
    """

    knee: Float[np.ndarray, "frames 2"] | None
    ankle: Float[np.ndarray, "frames 2"] | None


@dataclass(frozen=True, eq=False)
class Arm:
    """A right arm over time.

    Attributes:
        shoulder: Joint of the upper arm.
        elbow: Joint of the forearm.
        wrist: Joint of the hand.
        upper: Rotation of the upper arm from rest.
        fore: Rotation of the forearm, not twisted.
    """

    shoulder: Float[np.ndarray, "frames 3"]
    elbow: Float[np.ndarray, "frames 3"]
    wrist: Float[np.ndarray, "frames 3"]
    upper: Float[np.ndarray, "frames 3 3"]
    fore: Float[np.ndarray, "frames 3 3"]


def rest_arm(body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shoulder, elbow and wrist of the right arm at rest."""
    return tuple(body.heads[body.bone(f"{bone}.R")].astype(float) for bone in ("upperarm01", "lowerarm01", "wrist"))


def fit_arm(
    body: Body,
    shoulder: Float[np.ndarray, "frames 3"],
    elbow: Float[np.ndarray, "frames 2"],
    wrist: Float[np.ndarray, "frames 2"],
    elbow_seen: Bool[np.ndarray, " frames"],
    wrist_seen: Bool[np.ndarray, " frames"],
    fps: float,
) -> Arm:
    """Reaches elbow and wrist in the picture; what the picture shows too short points towards the camera.

    Args:
        body: The body.
        shoulder: Where the arm begins.
        elbow: Where the elbow was seen, x and z.
        wrist: Where the wrist was seen.
        elbow_seen: Where it was not, the elbow goes where the wrist leaves it.
        wrist_seen: Where it was not, the forearm hangs.
        fps: Frames per second.
    """
    start, bend, end = rest_arm(body)
    upper_m, fore_m = float(np.linalg.norm(bend - start)), float(np.linalg.norm(end - bend))
    upper_hangs, fore_hangs = rotations.unit(HANGING_ARM)
    free = np.where(
        wrist_seen[:, None], _bent_elbow(shoulder, wrist, upper_m, fore_m), shoulder + upper_m * upper_hangs
    )
    elbow_space = _toward(shoulder, elbow, elbow_seen, upper_m, UPPER_ARM_RANGE, free, fps)
    hanging = elbow_space + fore_m * fore_hangs
    wrist_space = _toward(elbow_space, wrist, wrist_seen, fore_m, FOREARM_RANGE, hanging, fps)
    return turn_arm(body, shoulder, elbow_space, wrist_space, fps)


def _bent_elbow(shoulder: np.ndarray, wrist: np.ndarray, upper_m: float, fore_m: float) -> np.ndarray:
    """Where a right elbow is that nobody saw: down and out, as far as the wrist allows."""
    line = np.stack([wrist[:, 0], shoulder[:, 1] - 0.15, wrist[:, 1]], axis=-1) - shoulder
    length = np.linalg.norm(line, axis=-1, keepdims=True).clip(1e-3)
    ahead = line / length
    length = length.clip(abs(upper_m - fore_m) + 0.02, 0.98 * (upper_m + fore_m))
    along = (upper_m**2 + length**2 - fore_m**2) / (2 * length)
    pole = np.array([-0.35, 0.2, -0.9])
    down = rotations.unit(pole - (ahead @ pole)[:, None] * ahead)
    return shoulder + along * ahead + np.sqrt(np.maximum(upper_m**2 - along**2, 0)) * down


def _toward(start, stop, seen, length, length_range, otherwise, fps):
    """Points in space over `stop` in the picture, at about `length` from `start`, on the camera's side."""
    if not seen.any():
        return otherwise
    reach = np.linalg.norm(stop - start[:, [0, 2]], axis=1)
    longest = length * np.clip(np.quantile(reach[seen], 0.92) / length, *length_range)
    ahead = smooth(np.sqrt(np.maximum(longest**2 - reach**2, 0)), 0.06, fps)
    reached = np.stack([stop[:, 0], start[:, 1] - ahead, stop[:, 1]], axis=-1)
    share = ease(seen, round(GIVING_UP_S * fps))[:, None]
    return share * reached + (1 - share) * otherwise


def turn_arm(body: Body, shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray, fps: float) -> Arm:
    """Rotations of an arm whose joints are known."""
    start, bend, end = rest_arm(body)
    rest_upper, rest_fore = bend - start, end - bend
    rest_hinge = rotations.unit(np.cross(rest_upper, rest_fore))
    upper, fore = elbow - shoulder, wrist - elbow
    hinge = np.cross(rotations.unit(upper), rotations.unit(fore))
    # A straight arm has no hinge of its own: it keeps the one it would have from rest.
    carried = rotations.between(np.broadcast_to(rest_upper, upper.shape), upper) @ rest_hinge
    hinge = smooth(hinge + 0.15 * carried, 0.04, fps)
    return Arm(
        shoulder,
        elbow,
        wrist,
        rotations.frame(upper, hinge) @ rotations.frame(rest_upper, rest_hinge).T,
        rotations.frame(fore, hinge) @ rotations.frame(rest_fore, rest_hinge).T,
    )


def stretched(rotation: np.ndarray, rest: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """`rotation` after a stretch along `rest` that makes its length that of `reach`."""
    along = rotations.unit(rest)
    factor = np.linalg.norm(reach, axis=-1) / np.linalg.norm(rest)
    return rotation @ (np.eye(3) + (factor - 1)[..., None, None] * np.outer(along, along))


def shoulder_girdle(
    body: Body, chest: Float[np.ndarray, "frames 3 3"], middle_place: np.ndarray, joint: Float[np.ndarray, "frames 3"]
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames 3 3"]]:
    """Where the right clavicle begins, and the map of the clavicle that takes the shoulder to `joint`."""
    start = body.heads[body.bone("clavicle.R")].astype(float)
    usual = body.heads[body.bone("upperarm01.R")] - start
    base = middle_place + chest @ (start - middle(body, "shoulder"))
    girdle = rotations.between(chest @ usual, joint - base) @ chest
    return base, stretched(girdle, usual, joint - base)


def fit_shoulder(
    body: Body, chest: Float[np.ndarray, "frames 3 3"], middle_place: np.ndarray, point: Float[np.ndarray, "frames 2"]
) -> Float[np.ndarray, "frames 3"]:
    """The right shoulder's joint that puts the shoulder's point where it was seen, x and z.

    The point lies above the joint and turns with the shoulder girdle, which turns as the joint moves.
    """
    rest = body.keypoints[index("right_shoulder")] - body.heads[body.bone("clavicle.R")].astype(float)
    joint = middle_place + chest @ (body.heads[body.bone("upperarm01.R")] - middle(body, "shoulder"))
    for _ in range(5):
        base, girdle = shoulder_girdle(body, chest, middle_place, joint)
        joint[:, [0, 2]] += point - (base + girdle @ rest)[:, [0, 2]]
    return joint
