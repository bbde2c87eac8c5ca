"""A body fitted to poses: its joints lie where the picture shows them, frame by frame.

World axes: x to the signer's left, y away from the camera, z up, metres. The camera is orthographic and looks along y.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from gen.signers import rotations
from gen.signers.body import Body, keypoints_of, skin
from gen.signers.hands import HandPose, fit_hands, hand_model, pose_hands
from gen.signers.head import HeadPose, fit_head
from gen.signers.limbs import (
    GIVING_UP_S,
    Arm,
    Trunk,
    fit_arm,
    fit_shoulder,
    fit_trunk,
    middle,
    rest_arm,
    shoulder_girdle,
    stretched,
    turn_arm,
)
from gen.signers.timeline import bridge, ease, interpolate, smooth
from poses.keypoints import HAND, index
from poses.sequence import PoseSequence

SIDES = ("right", "left")
_LETTER = {"right": "R", "left": "L"}
_MIRROR = {"right": np.array([1.0, 1.0, 1.0]), "left": np.array([-1.0, 1.0, 1.0])}

LEAST_CONFIDENCE = 0.05
"""A body point less sure than this is taken as not seen."""

LEAST_HAND_CONFIDENCE = 0.15
"""A hand less sure than this, mean over its points, is taken as not seen."""

LONGEST_GAP_S = 0.6
"""Points that are not seen for as long as this move on in between; for longer, they go to where they are at rest."""

TWIST_LIMIT = np.radians(90)
BEND_LIMIT = np.radians(65)
"""How far a hand turns about the forearm, and bends at the wrist, before it hurts."""

CLEARANCE_M = 0.015
"""Hands stay at least this far in front of chest and face."""


@dataclass(frozen=True)
class Camera:
    """An orthographic camera that looks along y.

    Attributes:
        scale: Frame widths per metre.
        center: Where in the frame the world's origin is: x / frame width, y / frame height.
        aspect: Frame width / frame height.
    """

    scale: float
    center: tuple[float, float]
    aspect: float

    def project(self, points: Float[np.ndarray, "*any 3"]) -> Float32[np.ndarray, "*any 3"]:
        """Gives x / frame width, y / frame height, and depth in metres, which grows away from the camera."""
        return np.stack(
            [
                self.center[0] + self.scale * points[..., 0],
                self.center[1] - self.scale * self.aspect * points[..., 2],
                points[..., 1],
            ],
            axis=-1,
        ).astype(np.float32)

    def unproject(self, points: Float[np.ndarray, "*any 2"]) -> Float64[np.ndarray, "*any 2"]:
        """Gives x and z in metres of points in the frame."""
        return np.stack(
            [
                (points[..., 0] - self.center[0]) / self.scale,
                (self.center[1] - points[..., 1]) / (self.scale * self.aspect),
            ],
            axis=-1,
        ).astype(float)


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """A body's movement, and the camera that sees it.

    Attributes:
        linear: World map of each bone about its rest joint: rotation, with stretch and size where the body adapts.
        positions: Where each bone's joint is, metres.
        expression: Strength of each of `FACIAL_ACTIONS`, 0 to 1.
        camera: The camera.
        head_turn_deg: Yaw (positive to the signer's left), pitch (positive up) and roll (positive to the signer's
            right shoulder) of the head.
        arm_seen: Whether right and left arm were seen; one that was not hangs at rest.
        hand_seen: Whether right and left hand were seen; one that was not keeps its last shape, or a relaxed one.
    """

    linear: Float32[np.ndarray, "frames bones 3 3"]
    positions: Float32[np.ndarray, "frames bones 3"]
    expression: Float32[np.ndarray, "frames actions"]
    camera: Camera
    head_turn_deg: Float32[np.ndarray, "frames 3"]
    arm_seen: Bool[np.ndarray, "frames 2"]
    hand_seen: Bool[np.ndarray, "frames 2"]

    def __len__(self) -> int:
        return len(self.linear)


def fit_body(poses: PoseSequence, body: Body) -> BodyMotion:
    """Moves a body as a pose sequence says; `fit_bodies` for one clip."""
    return fit_bodies([poses], body)[0]


def fit_bodies(clips: Sequence[PoseSequence], body: Body) -> list[BodyMotion]:
    """Moves a body as pose sequences say, all clips at once.

    Shoulders, elbows and wrists come to lie exactly on their points, hands and head as near as their shape allows.
    Arm bones stretch, hands and head grow or shrink as the clip's proportions ask.
    """
    plans = [_plan(clip, body) for clip in clips]
    hands = _fit_all_hands(plans, body)
    return [_assemble(plan, body, {side: hands.get((i, side)) for side in SIDES}) for i, plan in enumerate(plans)]


def pose_vertices(
    body: Body, motion: BodyMotion, frames: slice = slice(None)
) -> Float32[np.ndarray, "frames vertices 3"]:
    """Vertices of the moved body, metres."""
    return skin(body, motion.linear[frames], motion.positions[frames], motion.expression[frames])


def pose_keypoints(body: Body, motion: BodyMotion, frames: slice = slice(None)) -> Float32[np.ndarray, "frames 128 2"]:
    """The 128 points of the moved body in the frame."""
    points = keypoints_of(body, motion.linear[frames], motion.positions[frames], motion.expression[frames])
    return motion.camera.project(points)[..., :2]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What one clip tells before hands are fitted; arms and hands of the left side mirrored."""

    fps: float
    camera: Camera
    trunk: Trunk
    head: HeadPose
    arms: dict[str, Arm]
    arm_seen: np.ndarray
    hand_points: dict[str, np.ndarray]
    hand_confidence: dict[str, np.ndarray]
    hand_seen: np.ndarray


def _plan(clip: PoseSequence, body: Body) -> _Plan:
    camera = _fit_camera(clip, body)
    points, seen = _fill(camera.unproject(clip.keypoints), clip.confidence)
    confidence, fps = clip.confidence, float(clip.fps)

    def at(*names: str) -> np.ndarray:
        return points[:, index(*names)]

    shoulders = _shoulders(body, points, seen)
    hips = at("right_hip", "left_hip")
    hips_seen = bool(seen[:, index("right_hip", "left_hip")].all(axis=1).mean() > 0.5)
    nose_seen = seen[:, index("nose")].any()
    facing = at("nose")[:, 0] - shoulders[:, :, 0].mean(axis=1) if nose_seen else np.zeros(len(clip))
    trunk = fit_trunk(body, shoulders, hips, hips_seen, smooth(facing, 0.12, fps), fps)
    longest = round(LONGEST_GAP_S * fps)
    arms, arm_seen, hand_seen, hand_points, hand_confidence = {}, [], [], {}, {}
    for i, side in enumerate(SIDES):
        mirror = _MIRROR[side]
        flat = mirror[[0, 2]]
        hand = index(*(f"{side}_hand_{name}" for name in HAND))
        chest = trunk.chest * mirror[:, None] * mirror
        shoulder = fit_shoulder(body, chest, trunk.shoulders * mirror, shoulders[:, i] * flat)
        of_hand = confidence[:, hand].mean(axis=1) > LEAST_HAND_CONFIDENCE
        of_root = of_hand & (confidence[:, hand[0]] > 0)
        wrist_seen = of_root | seen[:, index(f"{side}_wrist")]
        # The hand's own wrist is the surer one.
        wrist = np.where(of_root[:, None], points[:, hand[0]], at(f"{side}_wrist"))
        wrist = interpolate(wrist, wrist_seen) if wrist_seen.any() else wrist
        elbow_seen = bridge(seen[:, index(f"{side}_elbow")], longest)
        arms[side] = fit_arm(
            body, shoulder, at(f"{side}_elbow") * flat, wrist * flat, elbow_seen, bridge(wrist_seen, longest), fps
        )
        arm_seen.append(wrist_seen)
        hand_seen.append(of_hand)
        hand_points[side] = points[:, hand] * flat
        hand_confidence[side] = confidence[:, hand].astype(float)
    return _Plan(
        fps,
        camera,
        trunk,
        fit_head(body, points, np.where(seen, confidence, 0)),
        arms,
        np.stack(arm_seen, axis=1),
        hand_points,
        hand_confidence,
        np.stack(hand_seen, axis=1),
    )


def _fit_camera(clip: PoseSequence, body: Body) -> Camera:
    """Size from the shoulders, or from head, trunk or hands where these are larger than the shoulders tell."""
    aspect = clip.width / clip.height
    points = clip.keypoints * np.array([1, 1 / aspect], np.float32)
    seen = clip.confidence > LEAST_CONFIDENCE
    ratios = []
    for names, share, quantile in (
        (("right_shoulder", "left_shoulder"), 1.0, 0.9),
        (("right_eye", "left_eye"), 0.75, 0.5),
        (("face_jaw_0", "face_jaw_16"), 0.75, 0.5),
        (("neck", "right_hip"), 0.75, 0.5),
        (("right_hand_wrist", "right_hand_middle_mcp"), 0.7, 0.9),
        (("left_hand_wrist", "left_hand_middle_mcp"), 0.7, 0.9),
    ):
        pair = index(*names)
        both = seen[:, pair].all(axis=1)
        if both.any():
            length = np.quantile(np.linalg.norm(points[both, pair[0]] - points[both, pair[1]], axis=-1), quantile)
            rest = np.linalg.norm(body.keypoints[pair[0]] - body.keypoints[pair[1]])
            ratios.append(share * float(length) / float(rest))
    scale = max(ratios, default=0.0)
    if scale <= 1e-6:
        scale = 1.0
    neck = index("neck")
    frames = seen[:, neck]
    if frames.any():
        place = np.median(points[frames, neck], axis=0)
    elif seen[:, index("nose")].any():
        place = np.median(points[seen[:, 0], 0], axis=0) + np.array([0, 0.22 * scale])
    else:
        place = np.array([0.5, 0.5 / aspect])
    center = place - scale * body.keypoints[neck][[0, 2]] * (1, -1)
    return Camera(scale, (float(center[0]), float(center[1] * aspect)), aspect)


def _fill(points: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fills gaps in time by interpolation; body points that are hardly sure count as not seen."""
    seen = confidence > 0
    seen[:, :18] = confidence[:, :18] > LEAST_CONFIDENCE
    points = points.copy()
    for k in np.flatnonzero(seen.any(axis=0) & ~seen.all(axis=0)):
        points[:, k] = interpolate(points[:, k], seen[:, k])
    return points, seen


def _shoulders(body: Body, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Right and left shoulder, x and z; where one was never seen it lies as at rest beside the other or the nose."""
    pair = index("right_shoulder", "left_shoulder")
    rest = body.keypoints[:, [0, 2]].astype(float)
    shoulders = points[:, pair].copy()
    known = seen[:, pair].any(axis=0)
    if not known.any():
        anchor = index("nose")
        start = points[:, anchor] if seen[:, anchor].any() else np.tile(rest[anchor], (len(points), 1))
        return start[:, None] + (rest[pair] - rest[anchor])
    for i in (0, 1):
        if not known[i]:
            shoulders[:, i] = shoulders[:, 1 - i] + rest[pair[i]] - rest[pair[1 - i]]
    return shoulders


def _fit_all_hands(plans: list[_Plan], body: Body) -> dict[tuple[int, str], HandPose]:
    """Hands of all clips at once, each side of each clip where it was seen; keys are clip number and side."""
    jobs = [(i, side) for i, plan in enumerate(plans) for j, side in enumerate(SIDES) if plan.hand_seen[:, j].any()]
    if not jobs:
        return {}
    model = hand_model(body)
    frames = [plans[i].hand_seen[:, SIDES.index(side)] for i, side in jobs]
    points = np.concatenate([plans[i].hand_points[side][f] for (i, side), f in zip(jobs, frames, strict=True)])
    sure = np.concatenate([plans[i].hand_confidence[side][f] for (i, side), f in zip(jobs, frames, strict=True)])
    fore = np.concatenate([plans[i].arms[side].fore[f] for (i, side), f in zip(jobs, frames, strict=True)])
    track = np.repeat(np.arange(len(jobs)), [f.sum() for f in frames])
    time_s = np.concatenate([np.flatnonzero(f) / plans[i].fps for (i, _), f in zip(jobs, frames, strict=True)])
    along = _rest_forearm(body)

    def strain(palms: np.ndarray) -> np.ndarray:
        twist, bend = _wrist(fore[None], palms, along)
        return (
            (twist / TWIST_LIMIT) ** 2
            + (bend / BEND_LIMIT) ** 2
            + (np.maximum(np.abs(twist) - TWIST_LIMIT, 0) / 0.2) ** 2
            + (np.maximum(bend - BEND_LIMIT, 0) / 0.2) ** 2
        )

    pose = fit_hands(model, points, sure, track, time_s=time_s, strain=strain)
    return {job: pose[track == number] for number, job in enumerate(jobs)}


def _rest_forearm(body: Body) -> np.ndarray:
    _, elbow, wrist = rest_arm(body)
    return rotations.unit(wrist - elbow)


def _wrist(fore: np.ndarray, palm: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twist of hands about their forearms, and how far they bend, radians."""
    turn = np.swapaxes(fore, -1, -2) @ palm
    twist = rotations.twist_about(turn, along)
    bend = np.arccos(np.clip(np.einsum("i,...ij,j->...", along, turn, along), -1, 1))
    return twist, bend


class _Bones:
    """World maps and places of bones as they become known; every bone starts from its parent."""

    def __init__(self, body: Body, num_frames: int):
        self.body = body
        self.linear = np.zeros((num_frames, len(body.heads), 3, 3))
        self.positions = np.zeros((num_frames, len(body.heads), 3))
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


_SPINE = {"spine05": 0.0, "spine04": 0.25, "spine03": 0.5, "spine02": 0.8, "spine01": 1.0}
_NECK = {"neck01": 0.25, "neck02": 0.5, "neck03": 0.75, "head": 1.0}
"""How much each bone goes along with the upper end of its chain."""


def _assemble(plan: _Plan, body: Body, hands: dict[str, HandPose | None]) -> BodyMotion:
    bones = _Bones(body, len(plan.hand_seen))
    _place_trunk(bones, plan.trunk)
    _place_head(bones, plan.trunk, plan.head)
    for i, side in enumerate(SIDES):
        _place_arm(bones, plan, side, hands[side], plan.hand_seen[:, i])
    bones.follow()
    forward = plan.head.rotation @ np.array([0.0, -1.0, 0.0])
    yaw = np.degrees(np.arctan2(forward[:, 0], -forward[:, 1]))
    pitch = np.degrees(np.arcsin(np.clip(forward[:, 2], -1, 1)))
    roll = np.degrees(np.arctan2(plan.head.rotation[:, 2, 0], plan.head.rotation[:, 2, 2]))
    return BodyMotion(
        linear=bones.linear.astype(np.float32),
        positions=bones.positions.astype(np.float32),
        expression=plan.head.expression.astype(np.float32),
        camera=plan.camera,
        head_turn_deg=np.stack([yaw, pitch, roll], axis=1).astype(np.float32),
        arm_seen=plan.arm_seen,
        hand_seen=plan.hand_seen,
    )


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


def _place_arm(bones: _Bones, plan: _Plan, side: str, hand: HandPose | None, seen: np.ndarray):
    """Clavicle to fingertips; computed as a right arm and mirrored back."""
    body, letter = bones.body, _LETTER[side]
    mirror = _MIRROR[side]
    arm = plan.arms[side]
    hand = _whole(body, arm, hand, seen, plan.fps)
    arm = _keep_clear(body, plan, side, arm, hand)

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
    along = rotations.unit(fore_rest)
    twist = _steady_turn(_wrist(arm.fore, hand.palm, along)[0])
    for bone, share in (("lowerarm01", 0.15), ("lowerarm02", 0.6)):
        turned = arm.fore @ rotations.about(np.broadcast_to(along, (len(twist), 3)), share * twist)
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


def _whole(body: Body, arm: Arm, hand: HandPose | None, seen: np.ndarray, fps: float) -> HandPose:
    """A hand in every frame: as fitted, carried across gaps, relaxed and in line with the forearm where never seen."""
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


def _keep_clear(body: Body, plan: _Plan, side: str, arm: Arm, hand: HandPose) -> Arm:
    """Moves the wrist to where the hand was fitted, and towards the camera until the hand is before chest and face."""
    posed = pose_hands(hand_model(body), hand)
    wrist = arm.wrist.copy()
    wrist[:, [0, 2]] = hand.place
    points = posed.points + wrist[:, None]
    front = _front(body, plan, points * _MIRROR[side])
    push = np.maximum((points[..., 1] + CLEARANCE_M - front).max(axis=1), 0)
    push = smooth(push, 0.08, plan.fps)
    wrist[:, 1] -= push
    elbow = arm.elbow.copy()
    elbow[:, 1] -= 0.35 * push
    return turn_arm(body, arm.shoulder, elbow, wrist, plan.fps)


def _front(body: Body, plan: _Plan, points: np.ndarray) -> np.ndarray:
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
