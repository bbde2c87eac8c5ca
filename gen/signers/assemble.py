"""From what trunk, head, arms and hands do to the maps of all bones, hands kept before the body and each other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from gen.signers import rotations
from gen.signers.body import Body
from gen.signers.hands import HandPose, hand_model, pose_hands
from gen.signers.head import HeadPose
from gen.signers.limbs import (
    GIVING_UP_S,
    Arm,
    Leg,
    Trunk,
    middle,
    rest_arm,
    shoulder_girdle,
    stretched,
    turn_arm,
)
from gen.signers.timeline import bridge, ease, interpolate, smooth

SIDES = ("right", "left")
MIRROR = {"right": np.array([1.0, 1.0, 1.0]), "left": np.array([-1.0, 1.0, 1.0])}
"""What makes a right arm of either; arms and hands of the left side are mirrored until they are put in place."""

_LETTER = {"right": "R", "left": "L"}

LONGEST_GAP_S = 0.6
"""Points that are not seen for as long as this move on in between; for longer, they go to where they are at rest."""

CLEARANCE_M = 0.015
"""Hands stay at least this far in front of chest and face."""

FINGER_M = 0.018
"""Hands that cross stay at least this far apart in depth: a finger's thickness."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What the parts of a body do over a clip.

    Attributes:
        fps: Frames per second.
        trunk: Chest and hips.
        head: Head and face.
        arms: Arms by side, the left one mirrored.
        legs: As `arms`.
        hand_seen: Whether right and left hand were seen.
    """

    fps: float
    trunk: Trunk
    head: HeadPose
    arms: dict[str, Arm]
    legs: dict[str, Leg]
    hand_seen: Bool[np.ndarray, "frames 2"]


def wrist_turn(
    body: Body, fore: Float[np.ndarray, "*#any 3 3"], palm: Float[np.ndarray, "*#any 3 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Twist of right hands about their forearms, and how far they bend, radians."""
    _, elbow, wrist = rest_arm(body)
    along = rotations.unit(wrist - elbow)
    turn = np.swapaxes(fore, -1, -2) @ palm
    twist = rotations.twist_about(turn, along)
    bend = np.arccos(np.clip(np.einsum("i,...ij,j->...", along, turn, along), -1, 1))
    return twist, bend


class _Bones:
    """World maps and places of bones as they become known; every bone starts from its parent."""

    def __init__(self, body: Body, num_frames: int):
        self.body = body
        self.linear = np.zeros((num_frames, len(body.heads), 3, 3), np.float32)
        self.positions = np.zeros((num_frames, len(body.heads), 3), np.float32)
        self.known = np.zeros(len(body.heads), bool)

    def set(self, name: str, linear: np.ndarray, position: np.ndarray | None = None):
        bone = self.body.bone(name)
        if position is None:
            position = self._hang(bone)
        self.linear[:, bone], self.positions[:, bone], self.known[bone] = linear, position, True

    def _hang(self, bone: int) -> np.ndarray:
        parent = self.body.parents[bone]
        assert self.known[parent], self.body.bone_names[bone]
        offset = (self.body.heads[bone] - self.body.heads[parent]).astype(float)
        return self.positions[:, parent] + self.linear[:, parent] @ offset

    def follow(self):
        """Gives every bone not set its parent's map."""
        for bone in np.flatnonzero(~self.known).tolist():
            self.positions[:, bone] = self._hang(bone)
            self.linear[:, bone] = self.linear[:, self.body.parents[bone]]
            self.known[bone] = True


_SPINE = {"spine05": 0.2, "spine04": 0.4, "spine03": 0.6, "spine02": 0.8, "spine01": 1.0}
_NECK = {"neck01": 0.25, "neck02": 0.5, "neck03": 0.75, "head": 1.0}
"""How much each bone goes along with the upper end of its chain."""


def assemble(
    body: Body, plan: Plan, hands: dict[str, HandPose | None]
) -> tuple[Float32[np.ndarray, "frames bones 3 3"], Float32[np.ndarray, "frames bones 3"]]:
    """World maps of all bones and the places of their joints.

    Args:
        body: The body.
        plan: What its parts do.
        hands: Hands by side in the frames where they were seen, None where they never were.
    """
    bones = _Bones(body, len(plan.hand_seen))
    _place_trunk(bones, plan.trunk)
    _place_head(bones, plan.trunk, plan.head)
    for side in SIDES:
        _place_leg(bones, plan, side)
    whole = {side: _whole(body, plan, side, hands[side]) for side in SIDES}
    arms = {side: _reach_hand(body, plan, side, whole[side]) for side in SIDES}
    for side, arm in _keep_apart(body, plan, arms, whole).items():
        _place_arm(bones, plan, side, arm, whole[side])
    bones.follow()
    return bones.linear, bones.positions


def _place_trunk(bones: _Bones, trunk: Trunk):
    body = bones.body
    neck, pelvis = middle(body, "shoulder"), middle(body, "hip")

    def by_hips(bone: str) -> np.ndarray:
        return trunk.root + trunk.hips @ (body.heads[body.bone(bone)] - pelvis)

    def by_chest(bone: str) -> np.ndarray:
        return trunk.shoulders + trunk.chest @ (body.heads[body.bone(bone)] - neck)

    bones.set("root", trunk.hips, by_hips("root"))
    between = np.swapaxes(trunk.hips, 1, 2) @ trunk.chest
    for bone, share in _SPINE.items():
        linear = trunk.hips @ rotations.partway(between, share)
        bones.set(bone, linear, (1 - share) * by_hips(bone) + share * by_chest(bone))


def _place_leg(bones: _Bones, plan: Plan, side: str):
    """Thigh and shin stretched to knee and ankle where these were seen, else along with the hips."""
    body, mirror, leg = bones.body, MIRROR[side], plan.legs[side]
    hips = plan.trunk.hips * mirror[:, None] * mirror
    rest = {name: body.heads[body.bone(f"{name}.R")].astype(float) for name in ("upperleg01", "lowerleg01", "foot")}
    start = plan.trunk.root * mirror + hips @ (rest["upperleg01"] - middle(body, "hip"))
    bones.set(f"pelvis.{_LETTER[side]}", plan.trunk.hips)
    linear = hips
    for (above, below), thigh, target in (
        (("upperleg01", "lowerleg01"), ("upperleg01", "upperleg02"), leg.knee),
        (("lowerleg01", "foot"), ("lowerleg01", "lowerleg02"), leg.ankle),
    ):
        usual = rest[below] - rest[above]
        stop = start + linear @ usual
        if target is not None:
            stop = np.stack([target[:, 0], stop[:, 1], target[:, 1]], axis=-1)
            linear = stretched(rotations.between(hips @ usual, stop - start) @ hips, usual, stop - start)
        for name in thigh:
            bones.set(f"{name}.{_LETTER[side]}", linear * mirror[:, None] * mirror)
        start = stop
    bones.set(f"foot.{_LETTER[side]}", plan.trunk.hips)


def _place_head(bones: _Bones, trunk: Trunk, head: HeadPose):
    body = bones.body
    neck = middle(body, "shoulder")
    joint = body.heads[body.bone("head")].astype(float)
    free = trunk.shoulders + trunk.chest @ (joint - neck)
    target = np.stack([head.place[:, 0], free[:, 1], head.place[:, 1]], axis=-1)
    turn = np.swapaxes(trunk.chest, 1, 2) @ head.rotation
    for bone, share in _NECK.items():
        linear = trunk.chest @ rotations.partway(turn, share)
        size = 1 + share * (head.scale - 1)
        place = trunk.shoulders + trunk.chest @ (body.heads[body.bone(bone)] - neck) + share * (target - free)
        bones.set(bone, linear * size[:, None, None], place)


def _place_arm(bones: _Bones, plan: Plan, side: str, arm: Arm, hand: HandPose):
    """Clavicle to fingertips; computed as a right arm and mirrored back."""
    body, letter = bones.body, _LETTER[side]
    mirror = MIRROR[side]

    def put(name: str, linear: np.ndarray, position: np.ndarray | None = None):
        bones.set(
            f"{name}.{letter}",
            linear * mirror[:, None] * mirror,
            None if position is None else position * mirror,
        )

    def rest(name: str) -> np.ndarray:
        return body.heads[body.bone(f"{name}.R")].astype(float)

    chest = plan.trunk.chest * mirror[:, None] * mirror
    base, girdle = shoulder_girdle(body, chest, plan.trunk.shoulders * mirror, arm.shoulder)
    put("clavicle", girdle, base)
    put("shoulder01", girdle)
    upper_rest, fore_rest = rest("lowerarm01") - rest("upperarm01"), rest("wrist") - rest("lowerarm01")
    upper = stretched(arm.upper, upper_rest, arm.elbow - arm.shoulder)
    # The upper half of the upper arm turns half as much about itself, as skin does.
    carried = rotations.between(chest @ upper_rest, arm.elbow - arm.shoulder) @ chest
    half = carried @ rotations.partway(np.swapaxes(carried, 1, 2) @ arm.upper, 0.5)
    put("upperarm01", stretched(half, upper_rest, arm.elbow - arm.shoulder), arm.shoulder)
    put("upperarm02", upper)
    twist = _steady_turn(wrist_turn(body, arm.fore, hand.palm)[0])
    for bone, share in (("lowerarm01", 0.15), ("lowerarm02", 0.6)):
        turned = arm.fore @ rotations.about(rotations.unit(fore_rest), share * twist)
        linear = stretched(turned, fore_rest, arm.wrist - arm.elbow)
        put(bone, linear, arm.elbow if bone == "lowerarm01" else None)
    model = hand_model(body)
    posed = pose_hands(model, hand)
    palm = posed.palm
    put("wrist", palm, arm.wrist)
    for i in range(1, 5):
        put(f"metacarpal{i}", palm)
    for finger in range(5):
        for segment in range(3):
            put(
                f"finger{finger + 1}-{segment + 1}",
                posed.linear[:, finger, segment],
                arm.wrist + posed.joints[:, finger, segment],
            )


def _whole(body: Body, plan: Plan, side: str, hand: HandPose | None) -> HandPose:
    """A hand in every frame: as fitted, carried across gaps, relaxed and in line with the forearm where never seen."""
    seen, arm, fps = plan.hand_seen[:, SIDES.index(side)], plan.arms[side], plan.fps
    num_frames = len(seen)
    model = hand_model(body)
    one = np.ones((num_frames, 1))
    relaxed = HandPose(arm.wrist[:, [0, 2]], one[:, 0], arm.fore, one * model.usual, one * np.ones(17))
    if hand is None:
        return relaxed
    share = ease(bridge(seen, round(LONGEST_GAP_S * fps)), round(GIVING_UP_S * fps))

    def carry(values: np.ndarray, rest: np.ndarray | float) -> np.ndarray:
        full = np.zeros((num_frames, *values.shape[1:]))
        full[seen] = values
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        return weight * interpolate(full, seen) + (1 - weight) * rest

    # Where the hand is not seen it turns along with the forearm.
    turned = np.swapaxes(arm.fore[seen], 1, 2) @ hand.palm
    palm = arm.fore @ rotations.nearest(carry(turned, np.eye(3)))
    palm[seen] = hand.palm
    place = relaxed.place.copy()
    place[seen] = hand.place
    scale = carry(hand.scale, float(np.median(hand.scale)))
    return HandPose(
        place, scale, palm, carry(hand.angles, model.usual), np.repeat(hand.stretch[:1], num_frames, axis=0)
    )


def _steady_turn(twist: np.ndarray) -> np.ndarray:
    """Angles without jumps of a whole turn."""
    twist = np.unwrap(twist)
    return twist - 2 * np.pi * np.round(np.median(twist) / (2 * np.pi))


def _reach_hand(body: Body, plan: Plan, side: str, hand: HandPose) -> Arm:
    """The arm led to where the hand was fitted, and towards the camera until the hand is before chest and face."""
    arm = plan.arms[side]
    wrist = np.stack([hand.place[:, 0], arm.wrist[:, 1], hand.place[:, 1]], axis=-1)
    points = pose_hands(hand_model(body), hand).points + wrist[:, None]
    behind = points[..., 1] + CLEARANCE_M - _front(plan, points * MIRROR[side])
    return _pull_forward(body, Arm(arm.shoulder, arm.elbow, wrist, arm.upper, arm.fore), behind.max(axis=1), plan.fps)


def _pull_forward(body: Body, arm: Arm, by_m: np.ndarray, fps: float) -> Arm:
    """Moves the hand towards the camera, and the elbow a little."""
    pull = smooth(np.maximum(by_m, 0), 0.08, fps)[:, None] * (0, 1, 0)
    return turn_arm(body, arm.shoulder, arm.elbow - 0.35 * pull, arm.wrist - pull, fps)


def _keep_apart(body: Body, plan: Plan, arms: dict[str, Arm], hands: dict[str, HandPose]) -> dict[str, Arm]:
    """Pulls the nearer hand towards the camera where it would be in the other one."""
    model = hand_model(body)
    right, left = ((pose_hands(model, hands[s]).points + arms[s].wrist[:, None]) * MIRROR[s] for s in SIDES)
    # Which one is nearer should not change back and forth while they touch.
    right_is_nearer = smooth((right - left)[..., 1].mean(axis=1), 0.2, plan.fps) < 0
    overlap = np.zeros((2, len(right)))
    for point in np.moveaxis(right, 1, 0):
        aside = np.linalg.norm((left - point[:, None])[..., [0, 2]], axis=-1)
        ahead = left[..., 1] - point[:, None, 1]
        crossing = aside < FINGER_M
        overlap[0] = np.maximum(overlap[0], np.where(crossing, FINGER_M - ahead, 0).max(axis=1))
        overlap[1] = np.maximum(overlap[1], np.where(crossing, FINGER_M + ahead, 0).max(axis=1))
    nearer = (right_is_nearer, ~right_is_nearer)
    return {
        side: _pull_forward(body, arms[side], np.where(mine, by_m, 0), plan.fps)
        for side, mine, by_m in zip(SIDES, nearer, overlap, strict=True)
    }


def _front(plan: Plan, points: np.ndarray) -> np.ndarray:
    """Depth of chest and face where the points are in the picture; infinite beside them."""
    chest = plan.trunk.shoulders[:, None]
    local = points - chest
    # An upright barrel for the chest, a ball for the head: nobody sees more of it than the order in depth.
    across = local[..., 0] / 0.17
    inside = (np.abs(across) < 1) & (local[..., 2] < 0.03) & (local[..., 2] > -0.55)
    barrel = np.where(inside, chest[..., 1] - 0.115 * np.sqrt(np.maximum(1 - across**2, 0)), np.inf)
    head = plan.head
    center = np.stack([head.place[:, 0], np.full(len(points), -0.07), head.place[:, 1]], -1)[:, None]
    center = center + (head.rotation @ np.array([0, 0, 0.06]))[:, None]
    radius = 0.1 * head.scale[:, None]
    offset = points - center
    flat = (offset[..., 0] ** 2 + (offset[..., 2] / 1.25) ** 2) / radius**2
    ball = np.where(flat < 1, center[..., 1] - radius * np.sqrt(np.maximum(1 - flat, 0)), np.inf)
    return np.minimum(barrel, ball)
