"""A body fitted to poses: its joints lie where the picture shows them, frame by frame.

World axes: x to the signer's left, y away from the camera, z up, metres. The camera is orthographic and looks along y.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from gen.signers.assemble import LONGEST_GAP_S, MIRROR, SIDES, Plan, assemble, wrist_turn
from gen.signers.body import Body, keypoints_of, skin
from gen.signers.hands import HandPose, fit_hands, hand_model
from gen.signers.head import fit_head
from gen.signers.limbs import Leg, fit_arm, fit_shoulder, fit_trunk, middle
from gen.signers.timeline import bridge, interpolate, smooth
from poses.keypoints import HAND, index
from poses.sequence import PoseSequence

LEAST_CONFIDENCE = 0.05
"""A body point less sure than this is taken as not seen."""

LEAST_LEG_CONFIDENCE = 0.3
"""Knees and ankles less sure than this are guesses from outside the frame."""

LEAST_HAND_CONFIDENCE = 0.15
"""A hand less sure than this, mean over its points, is taken as not seen."""

LARGEST_HAND_M = 0.42
"""No hand is wider or higher than this, perspective included."""

SMALLEST_SCALE = 1e-3
"""Frame widths per metre: a signer smaller than two thousandths of the frame is none."""

HEAD_FRAMES = 32
"""From so many frames of a clip, and from fewer than twice as many, the size of the head is taken."""

TWIST_LIMIT = np.radians(90)
BEND_LIMIT = np.radians(65)
"""How far a hand turns about the forearm, and bends at the wrist, before it hurts."""

STRAIN_SPREAD = 0.2
"""How far beyond that it may be, radians."""


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
    sights = [_look(clip, body) for clip in clips]
    hands = _fit_all_hands(sights, body)
    return [_move(sight, body, {side: hands.get((i, side)) for side in SIDES}) for i, sight in enumerate(sights)]


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
class _Sight:
    """What is seen of one clip before its hands are fitted; hands of the left side mirrored."""

    camera: Camera
    plan: Plan
    arm_seen: np.ndarray
    hand_points: dict[str, np.ndarray]
    hand_confidence: dict[str, np.ndarray]

    def seen_hands(self, side: str) -> np.ndarray:
        return self.plan.hand_seen[:, SIDES.index(side)]


def _look(clip: PoseSequence, body: Body) -> _Sight:
    """Fits everything but the hands."""
    camera = _agree_with_head(_fit_camera(clip, body), clip, body)
    points, seen = _fill(camera.unproject(clip.keypoints), clip.confidence)
    fps = float(clip.fps)
    shoulders = _shoulders(body, points, seen)
    hips = index("right_hip", "left_hip")
    hips_seen = bool(seen[:, hips].all(axis=1).mean() > 0.5)
    nose = index("nose")
    facing = points[:, nose, 0] - shoulders[:, :, 0].mean(axis=1) if seen[:, nose].any() else np.zeros(len(clip))
    trunk = fit_trunk(body, shoulders, points[:, hips], hips_seen, smooth(facing, 0.12, fps), fps)
    arms, legs, arm_seen, hand_seen, hand_points, hand_confidence = {}, {}, [], [], {}, {}
    longest = round(LONGEST_GAP_S * fps)
    for i, side in enumerate(SIDES):
        mirror = MIRROR[side]
        flat = mirror[[0, 2]]
        hand = index(*(f"{side}_hand_{name}" for name in HAND))
        elbow, wrist = index(f"{side}_elbow", f"{side}_wrist")
        of_hand = _is_hand(points[:, hand], clip.confidence[:, hand])
        of_root = of_hand & (clip.confidence[:, hand[0]] > 0)
        wrist_seen = of_root | seen[:, wrist]
        # The hand's own wrist is the surer one.
        wrist_at = np.where(of_root[:, None], points[:, hand[0]], points[:, wrist])
        wrist_at = interpolate(wrist_at, wrist_seen) if wrist_seen.any() else wrist_at
        chest = trunk.chest * mirror[:, None] * mirror
        shoulder = fit_shoulder(body, chest, trunk.shoulders * mirror, shoulders[:, i] * flat)
        arms[side] = fit_arm(
            body,
            shoulder,
            points[:, elbow] * flat,
            wrist_at * flat,
            bridge(seen[:, elbow], longest),
            bridge(wrist_seen, longest),
            fps,
        )
        legs[side] = Leg(
            *(
                points[:, joint] * flat if (clip.confidence[:, joint] > LEAST_LEG_CONFIDENCE).mean() > 0.5 else None
                for joint in index(f"{side}_knee", f"{side}_ankle")
            )
        )
        arm_seen.append(wrist_seen)
        hand_seen.append(of_hand)
        hand_points[side] = points[:, hand] * flat
        hand_confidence[side] = clip.confidence[:, hand].astype(float)
    neck = body.heads[body.bone("head")] - middle(body, "shoulder")
    free = (trunk.shoulders + trunk.chest @ neck)[:, [0, 2]]
    head = fit_head(body, points, np.where(seen, clip.confidence, 0), free)
    plan = Plan(fps, trunk, head, arms, legs, np.stack(hand_seen, axis=1))
    return _Sight(camera, plan, np.stack(arm_seen, axis=1), hand_points, hand_confidence)


def _is_hand(points: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Where 21 points are a hand: seen, and no larger than hands are. Estimators now and then give monsters."""
    sure = confidence.mean(axis=1) > LEAST_HAND_CONFIDENCE
    apart = np.where(confidence[..., None] > 0, points, np.nan)
    extent = np.zeros(len(points))
    extent[sure] = (np.nanmax(apart[sure], axis=1) - np.nanmin(apart[sure], axis=1)).max(axis=-1)
    return sure & (extent < LARGEST_HAND_M)


def _agree_with_head(camera: Camera, clip: PoseSequence, body: Body) -> Camera:
    """A size halfway between what the shoulders tell, narrower when turned away, and what the head tells."""
    some = slice(None, None, max(1, len(clip) // HEAD_FRAMES))
    points, seen = _fill(camera.unproject(clip.keypoints[some]), clip.confidence[some])
    head = fit_head(body, points, np.where(seen, clip.confidence[some], 0), np.zeros((len(points), 2)))
    factor = float(np.sqrt(np.median(head.scale)))
    # The neck stays where it is.
    across, above = body.keypoints[index("neck")][[0, 2]] * camera.scale * (1 - factor) * (1, -camera.aspect)
    return Camera(camera.scale * factor, (camera.center[0] + across, camera.center[1] + above), camera.aspect)


def _fit_camera(clip: PoseSequence, body: Body) -> Camera:
    """Size from the shoulders, from head or trunk where these are larger than the shoulders tell, else from hands."""
    aspect = clip.width / clip.height
    points = clip.keypoints * np.array([1, 1 / aspect], np.float32)
    seen = clip.confidence > LEAST_CONFIDENCE

    def ratio(start: str, stop: str, quantile: float) -> float:
        """Size of the picture against the body's; 0 where it was not seen."""
        pair = index(start, stop)
        both = seen[:, pair].all(axis=1)
        if not both.any():
            return 0.0
        lengths = np.linalg.norm(points[both, pair[0]] - points[both, pair[1]], axis=-1)
        return float(np.quantile(lengths, quantile) / np.linalg.norm(body.keypoints[pair[0]] - body.keypoints[pair[1]]))

    scale = max(
        ratio("right_shoulder", "left_shoulder", 0.9),
        0.75 * ratio("right_eye", "left_eye", 0.5),
        0.75 * ratio("face_jaw_0", "face_jaw_16", 0.5),
        0.75 * ratio("neck", "right_hip", 0.5),
    )
    if scale < SMALLEST_SCALE:
        scale = 0.75 * max(ratio(f"{side}_hand_wrist", f"{side}_hand_middle_mcp", 0.8) for side in SIDES)
    if scale < SMALLEST_SCALE:
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
    known = np.asarray(seen[:, pair].any(axis=0))
    if not known.any():
        anchor = index("nose")
        start = points[:, anchor] if seen[:, anchor].any() else np.tile(rest[anchor], (len(points), 1))
        return start[:, None] + (rest[pair] - rest[anchor])
    for i in (0, 1):
        if not known[i]:
            shoulders[:, i] = shoulders[:, 1 - i] + rest[pair[i]] - rest[pair[1 - i]]
    return shoulders


def _fit_all_hands(sights: list[_Sight], body: Body) -> dict[tuple[int, str], HandPose]:
    """Hands of all clips at once, each side of each clip where it was seen; keys are clip number and side."""
    jobs = [(i, side) for i, sight in enumerate(sights) for side in SIDES if sight.seen_hands(side).any()]
    if not jobs:
        return {}
    frames = [sights[i].seen_hands(side) for i, side in jobs]

    def gather(values: Callable[[_Sight, str], np.ndarray]) -> np.ndarray:
        return np.concatenate([values(sights[i], side)[seen] for (i, side), seen in zip(jobs, frames, strict=True)])

    track = np.repeat(np.arange(len(jobs)), [seen.sum() for seen in frames])
    fore = gather(lambda sight, side: sight.plan.arms[side].fore)
    pose = fit_hands(
        hand_model(body),
        gather(lambda sight, side: sight.hand_points[side]),
        gather(lambda sight, side: sight.hand_confidence[side]),
        track,
        time_s=gather(lambda sight, side: np.arange(len(sight.arm_seen)) / sight.plan.fps),
        strain=lambda palms: _strain(*wrist_turn(body, fore[None], palms)),
    )
    return {job: pose[track == number] for number, job in enumerate(jobs)}


def _strain(twist: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """How uncomfortable wrists are."""
    beyond = np.maximum(np.abs(twist) - TWIST_LIMIT, 0) ** 2 + np.maximum(bend - BEND_LIMIT, 0) ** 2
    return (twist / TWIST_LIMIT) ** 2 + (bend / BEND_LIMIT) ** 2 + beyond / STRAIN_SPREAD**2


def _move(sight: _Sight, body: Body, hands: dict[str, HandPose | None]) -> BodyMotion:
    linear, positions = assemble(body, sight.plan, hands)
    turn = sight.plan.head.rotation
    ahead = turn @ np.array([0.0, -1.0, 0.0])
    yaw = np.arctan2(ahead[:, 0], -ahead[:, 1])
    pitch = np.arcsin(np.clip(ahead[:, 2], -1, 1))
    roll = np.arctan2(turn[:, 2, 0], turn[:, 2, 2])
    return BodyMotion(
        linear=linear,
        positions=positions,
        expression=sight.plan.head.expression.astype(np.float32),
        camera=sight.camera,
        head_turn_deg=np.degrees(np.stack([yaw, pitch, roll], axis=1)).astype(np.float32),
        arm_seen=sight.arm_seen,
        hand_seen=sight.plan.hand_seen,
    )
