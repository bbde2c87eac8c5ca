"""From what trunk, head and hands should do to the maps of all bones: contact kept, nothing inside anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial import KDTree

from gen.signers import rotations
from gen.signers.arms import Arm, Reach, Surface, arm_of, push_out, reach
from gen.signers.body import PARTS, Body
from gen.signers.hands import HandPose, hand_model, pose_hands
from poses.keypoints import HAND, HAND_BONES

SIDES = ("L", "R")

SPINE_SHARES = {"spine05": 0.2, "spine04": 0.4, "spine03": 0.6, "spine02": 0.8, "spine01": 1.0}
"""How much of the chest's turn each bone of the spine has."""

NECK_SHARES = {"neck01": 0.25, "neck02": 0.45, "neck03": 0.7, "head": 1.0}
"""How much of the head's turn against the chest each bone of the neck has."""

SKIN_M = 0.02
"""Distance of hand joints from the body's skin at contact: half a finger, and a sleeve or a shirt."""

TIP_M = 0.008
"""The same for fingertips, which are points on the skin."""

FINGER_M = 0.019
"""Distance of two touching fingers' axes."""

FOREARM_M = 0.05
"""Distance of a finger's axis from the axis of a forearm that it touches."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])

_MARGINS = np.array([TIP_M if name.endswith("tip") else SKIN_M for name in HAND])


@dataclass(frozen=True)
class Rig:
    """What posing needs to know about a body, measured once."""

    body: Body
    arms: Mapping[str, Arm]
    torso: Surface
    head: Surface
    bones: Mapping[str, int]

    def shoulder(self, side: str) -> Float[np.ndarray, " 3"]:
        """The joint of the upper arm at rest."""
        return self.body.heads[self.bones[f"upperarm01.{side}"]].astype(np.float64)

    @property
    def shoulder_width_m(self) -> float:
        return float(np.linalg.norm(self.shoulder("L") - self.shoulder("R")))


@dataclass(frozen=True)
class Trunk:
    """How the body is held, all but the arms; rotations turn the rest pose."""

    view: Float[np.ndarray, "3 3"]
    """The whole body against the camera."""
    chest: Float[np.ndarray, "frames 3 3"]
    """Against the hips."""
    head: Float[np.ndarray, "frames 3 3"]
    """Against the chest."""
    eyes: Float[np.ndarray, "frames 3 3"]
    """Against the head."""
    shoulders: Mapping[str, Float[np.ndarray, "frames 3 3"]]
    """Both collar bones, against the chest."""


@dataclass(frozen=True)
class HandTrack:
    """Where one hand should be, how turned and how shaped. In the chest's frame, as a right hand's fingers.

    At each stop a point of the hand should lie on a point of the chest, the head or the other hand; `weights` lead from
    stop to stop.
    """

    anchors: Sequence[str]
    """`chest`, `head` or `hand` for each stop."""
    points: Float[np.ndarray, "stops 3"]
    """In the rest frame of the chest or the head; from the other hand's wrist in its rest frame."""
    touches: Sequence[int]
    """Which of the 21 hand points comes to lie there."""
    weights: Float[np.ndarray, "frames stops"]
    offset: Float[np.ndarray, "frames 3"]
    rotation: Float[np.ndarray, "frames 3 3"]
    fingers: Float[np.ndarray, "frames angles"]
    """Joint angles, as `gen.signers.hands.ANGLES`."""

    def mirrored(self) -> "HandTrack":
        """The other hand doing the same, left for right."""
        flip = np.diag(_MIRROR)
        return HandTrack(
            self.anchors, self.points * flip, self.touches, self.weights, self.offset * flip,
            _MIRROR @ self.rotation @ _MIRROR, self.fingers,
        )  # fmt: skip


def rig_of(body: Body) -> Rig:
    """Measures a body."""
    bones = {name: i for i, name in enumerate(body.bone_names)}
    return Rig(
        body=body,
        arms={side: arm_of(body, side) for side in SIDES},
        torso=_surface(body, "torso", "neck", "legs"),
        head=_surface(body, "head"),
        bones=bones,
    )


def pose(
    rig: Rig, trunk: Trunk, tracks: Mapping[str, HandTrack]
) -> tuple[Float32[np.ndarray, "frames bones 3 3"], Float32[np.ndarray, "frames bones 3"]]:
    """Maps and joint positions of all bones. A hand whose track is anchored to the other hand yields to it."""
    reached: dict[str, _Placed] = {}
    for side in sorted(SIDES, key=lambda side: "hand" in tracks[side].anchors):
        other = next(iter(reached.values()), None)
        reached[side] = _place_hand(rig, trunk, side, tracks[side], other)
    turns = {bone: rotations.partway(trunk.chest, share) for bone, share in SPINE_SHARES.items()}
    turns |= {bone: trunk.chest @ rotations.partway(trunk.head, share) for bone, share in NECK_SHARES.items()}
    turns |= {f"eye.{side}": turns["head"] @ trunk.eyes for side in SIDES}
    for side in SIDES:
        arm = _arm_turns(rig.arms[side], trunk.shoulders[side], reached[side].reach)
        fingers = _pose_hand(rig, side, reached[side].reach.hand, tracks[side].fingers)[1]
        turns |= {f"{bone}.{side}": trunk.chest @ turn for bone, turn in (arm | fingers).items()}
    return _assemble(rig.body, trunk, turns)


def _assemble(
    body: Body, trunk: Trunk, turns: Mapping[str, np.ndarray]
) -> tuple[Float32[np.ndarray, "frames bones 3 3"], Float32[np.ndarray, "frames bones 3"]]:
    """Forward kinematics: `turns` are against the hips, and other bones follow the one before."""
    shape = (len(trunk.chest), len(body.heads), 3)
    linear = np.empty((*shape, 3))
    positions = np.empty(shape)
    for bone, (name, parent) in enumerate(zip(body.bone_names, body.parents, strict=True)):
        if parent < 0:
            linear[:, bone] = trunk.view
            positions[:, bone] = body.heads[bone]
            continue
        if name in turns:
            linear[:, bone] = trunk.view @ turns[name]
        else:
            linear[:, bone] = linear[:, parent]
        positions[:, bone] = positions[:, parent] + linear[:, parent] @ (body.heads[bone] - body.heads[parent])
    return linear.astype(np.float32), positions.astype(np.float32)


@dataclass(frozen=True)
class _Placed:
    """A hand that has its place, in the chest's frame."""

    reach: Reach
    points: Float[np.ndarray, "frames points 3"]
    """Hand joints, the middles between them, and a few points along the forearm."""
    radii: Float[np.ndarray, " points"]


def _place_hand(rig: Rig, trunk: Trunk, side: str, track: HandTrack, other: _Placed | None) -> _Placed:
    """Reaches for the track's stops, and again from farther out until the hand is in nothing."""
    arm = rig.arms[side]
    shoulder = _shoulder(rig, trunk, side)
    still = np.tile(np.eye(3), (len(trunk.chest), 1, 1))
    hand_points, _ = _pose_hand(rig, side, still, track.fingers)
    rotation, away = track.rotation, np.zeros((len(trunk.chest), 3))
    for _ in range(3):
        wrist = _wrist_goal(rig, trunk, track, rotation, hand_points, other) + away
        reached = reach(arm, shoulder, wrist, track.rotation, rig.torso)
        rotation = reached.hand
        points = reached.wrist[:, None] + np.einsum("tij,tpj->tpi", rotation, hand_points)
        away = away + push_out(points, rig.torso, _MARGINS)
        in_head = _to_head(rig, trunk, points)
        away = away + np.einsum("tij,tj->ti", trunk.head, push_out(in_head, rig.head, _MARGINS))
        if other is not None:
            away = away + _push_apart(_with_middles(points), other)
    fore = reached.elbow[:, None] + np.linspace(0.3, 0.95, 5)[:, None] * (reached.wrist - reached.elbow)[:, None]
    solid = np.concatenate([_with_middles(points), fore], axis=1)
    radii = np.r_[np.full(len(HAND) + len(HAND_BONES), FINGER_M), np.full(5, FOREARM_M)]
    return _Placed(reached, solid, radii)


def _wrist_goal(
    rig: Rig, trunk: Trunk, track: HandTrack, rotation: np.ndarray, hand_points: np.ndarray, other: _Placed | None
) -> Float[np.ndarray, "frames 3"]:
    """Where the wrist has to be for the touching points to lie on the stops' points."""
    goal = np.array(track.offset)
    for stop, (anchor, point, touch) in enumerate(zip(track.anchors, track.points, track.touches, strict=True)):
        if anchor == "head":
            target = _out_of_head(rig, trunk, point)
        elif anchor == "hand":
            assert other is not None, "a hand anchored to the other hand is placed after it"
            target = other.reach.wrist + other.reach.hand @ point
        else:
            target = point
        lever = np.einsum("tij,tj->ti", rotation, hand_points[:, touch])
        goal += track.weights[:, stop, None] * (target - lever)
    return goal


def _push_apart(points: np.ndarray, other: _Placed) -> Float[np.ndarray, "frames 3"]:
    """How far to move a hand out of the other one: away from where they meet, rather forwards than sideways."""
    between = points[:, :, None] - other.points[:, None]
    distance = np.linalg.norm(between, axis=-1)
    depth = np.maximum(other.radii - distance, 0)
    deepest = depth.max(axis=(1, 2))
    direction = (between / distance[..., None].clip(1e-6) * depth[..., None]).sum(axis=(1, 2))
    direction += np.array([0.0, -0.5, 0.0]) * deepest[:, None] + np.array([0.0, -1e-6, 0.0])
    direction = gaussian_filter1d(direction, 3.0, axis=0, mode="nearest")
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    calm = gaussian_filter1d(maximum_filter1d(deepest, 5, mode="nearest"), 1.5, mode="nearest")
    return direction * calm[:, None]


def _shoulder(rig: Rig, trunk: Trunk, side: str) -> Float[np.ndarray, "frames 3"]:
    """The joint of the upper arm, in the chest's frame."""
    clavicle, joint = (rig.body.heads[rig.bones[f"{bone}.{side}"]] for bone in ("clavicle", "upperarm01"))
    return clavicle + trunk.shoulders[side] @ (joint - clavicle)


def _pose_hand(
    rig: Rig, side: str, palm: np.ndarray, angles: np.ndarray
) -> tuple[Float[np.ndarray, "frames 21 3"], dict[str, np.ndarray]]:
    """The hand's points from the wrist, and the rotations of its finger bones."""
    num_frames = len(angles)
    flip = np.eye(3) if side == "R" else _MIRROR
    still = HandPose(
        place=np.zeros((num_frames, 2)),
        scale=np.ones(num_frames),
        palm=flip @ palm @ flip,
        angles=angles,
        stretch=np.ones((num_frames, 17)),
    )
    posed = pose_hands(hand_model(rig.body), still)
    linear = flip @ posed.linear @ flip
    bones = {f"finger{finger + 1}-{joint + 1}": linear[:, finger, joint] for finger in range(5) for joint in range(3)}
    return posed.points @ flip, bones


def _arm_turns(arm: Arm, shoulder: np.ndarray, reached: Reach) -> dict[str, np.ndarray]:
    """Rotations of one arm's bones in the chest's frame; each pair of bones shares the twist along the limb."""
    along = arm.upper_frame[:, 0]
    swing = rotations.between(shoulder @ along, reached.upper @ along) @ shoulder
    twist = np.swapaxes(swing, 1, 2) @ reached.upper
    fore = np.broadcast_to(arm.fore_frame[:, 0], (len(shoulder), 3))
    turn = rotations.about(fore, reached.twist * arm.side)
    return {
        "clavicle": shoulder,
        "upperarm01": swing @ rotations.partway(twist, 0.35),
        "upperarm02": swing @ rotations.partway(twist, 0.8),
        "lowerarm01": reached.fore @ rotations.partway(turn, 0.15),
        "lowerarm02": reached.fore @ rotations.partway(turn, 0.6),
        "wrist": reached.hand,
    }


def _head_chain(rig: Rig, trunk: Trunk) -> np.ndarray:
    """The joint of the head in the chest's frame."""
    heads = [rig.body.heads[rig.bones[bone]] for bone in NECK_SHARES]
    at = np.tile(heads[0].astype(np.float64), (len(trunk.head), 1))
    for share, start, stop in zip(NECK_SHARES.values(), heads, heads[1:], strict=False):
        at = at + rotations.partway(trunk.head, share) @ (stop - start)
    return at


def _out_of_head(rig: Rig, trunk: Trunk, point: np.ndarray) -> Float[np.ndarray, "frames 3"]:
    """A point of the head at rest, in the chest's frame."""
    return _head_chain(rig, trunk) + trunk.head @ (point - rig.body.heads[rig.bones["head"]])


def _to_head(rig: Rig, trunk: Trunk, points: np.ndarray) -> np.ndarray:
    """Points of the chest's frame where they would be with the head at rest."""
    inside = np.einsum("tji,tpj->tpi", trunk.head, points - _head_chain(rig, trunk)[:, None])
    return inside + rig.body.heads[rig.bones["head"]]


def _with_middles(points: np.ndarray) -> np.ndarray:
    """Hand points and the middles of the bones between them."""
    pairs = np.array([[HAND.index(start), HAND.index(stop)] for start, stop in HAND_BONES])
    return np.concatenate([points, points[:, pairs].mean(axis=2)], axis=1)


def _surface(body: Body, *parts: str) -> Surface:
    chosen = np.isin(body.part, [PARTS.index(part) for part in parts])
    corners = body.vertices[body.faces].astype(np.float64)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(body.vertices.shape)
    for corner in range(3):
        np.add.at(normals, body.faces[:, corner], facing)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    mine = np.unique(body.faces[chosen])
    points = body.vertices[mine].astype(np.float64)
    return Surface(points, normals[mine], KDTree(points))
