"""Signing that no clip holds: handshapes of real clips and made ones, moved, turned, joined and framed at random.

A motion is composed in three dimensions for one body: each hand goes from stop to stop (in neutral space, at head,
chest or the other hand), changes its shape on the way, and everything else sways, turns, speaks and blinks. So contact
and self-occlusion are real, and the 128 keypoints exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation

from gen.signers.body import FACIAL_ACTIONS, Body, keypoints_of
from gen.signers.fit import BodyMotion, Camera
from gen.signers.hand_plans import Plan, Stage, acting, base, later, resting, signing, spelling, step, track_of
from gen.signers.handshapes import Handshapes
from gen.signers.posing import Rig, Trunk, pose
from poses.keypoints import PARTS, index

FPS = 25.0

KINDS = {
    "spelling": 0.17, "one_handed": 0.19, "symmetric": 0.16, "alternating": 0.1, "over_base": 0.18, "independent": 0.2,
}  # fmt: skip
"""How often each way of using the hands is chosen. `spelling`: letters one after the other, the hand raised.
`over_base`: one hand acts on the other, which holds still."""

HEAD_YAW_DEG = 40.0

FRAME_WIDTHS_M = ((0.75, 0.95), (0.95, 1.25), (1.25, 1.7))
"""Head and shoulders, to the waist, to the knees."""

FRAME_CHANCES = (0.45, 0.4, 0.15)


@dataclass(frozen=True, eq=False)
class Motion:
    """A posed body over time, before a camera sees it.

    Attributes:
        linear: World map of each bone.
        positions: Where each bone's joint is, metres.
        expression: Strength of each facial action.
        head_turn_deg: Yaw, pitch and roll of the head.
        kind: One of `KINDS`, or `rest`.
        sources: The clips whose handshapes were used.
    """

    linear: Float32[np.ndarray, "frames bones 3 3"]
    positions: Float32[np.ndarray, "frames bones 3"]
    expression: Float32[np.ndarray, "frames actions"]
    head_turn_deg: Float32[np.ndarray, "frames 3"]
    kind: str
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.linear)

    def frames(self, chosen: Sequence[int]) -> "Motion":
        """Some of its frames."""
        at = list(chosen)
        return replace(
            self,
            linear=self.linear[at],
            positions=self.positions[at],
            expression=self.expression[at],
            head_turn_deg=self.head_turn_deg[at],
        )

    def shifted(self, way_m: Float[np.ndarray, " 3"]) -> "Motion":
        """The same somewhere else."""
        return replace(self, positions=self.positions + way_m.astype(np.float32))

    def joined(self, after: "Motion") -> "Motion":
        """This and then another one, whose kind and sources it has."""
        return replace(
            after,
            linear=np.concatenate([self.linear, after.linear]),
            positions=np.concatenate([self.positions, after.positions]),
            expression=np.concatenate([self.expression, after.expression]),
            head_turn_deg=np.concatenate([self.head_turn_deg, after.head_turn_deg]),
        )

    def seen_by(self, camera: Camera) -> BodyMotion:
        """It before a camera."""
        seen = np.ones((len(self), 2), bool)
        return BodyMotion(
            self.linear, self.positions, self.expression, camera, self.head_turn_deg, arm_seen=seen, hand_seen=seen
        )


def sample_motion(
    rng: np.random.Generator, rig: Rig, shapes: Handshapes, clips: Sequence[int], *, duration_s: float
) -> Motion:
    """Composes a motion.

    Args:
        rng: All chance.
        rig: Whose motion it is.
        shapes: The library.
        clips: The clips of the library that may be used.
        duration_s: How long it takes, at `FPS`.
    """
    times = np.arange(round(duration_s * FPS)) / FPS
    stage = Stage(rng, rig, shapes, clips, times)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    main, other = ("R", "L") if rng.random() < 0.85 else ("L", "R")
    first = {"spelling": spelling, "over_base": acting}.get(kind, signing)(stage)
    second = {
        "spelling": lambda: resting(stage),
        "one_handed": lambda: resting(stage),
        "symmetric": lambda: first,
        "alternating": lambda: later(first, rng.uniform(0.2, 0.5)),
        "over_base": lambda: base(stage),
        "independent": lambda: signing(stage),
    }[kind]()
    return _perform(stage, kind, {main: first, other: second})


def sample_rest(rng: np.random.Generator, rig: Rig, shapes: Handshapes) -> Motion:
    """One frame of a signer who does not sign: hands down, or before the belly."""
    stage = Stage(rng, rig, shapes, shapes.loose(), np.zeros(1))
    right = resting(stage)
    return _perform(stage, "rest", {"R": right, "L": right if rng.random() < 0.7 else resting(stage)})


def sample_camera(rng: np.random.Generator, body: Body, motion: Motion, *, hands_in: float = 0.9) -> Camera:
    """Frames a signer in a square picture, from head and shoulders to the knees, not quite in the middle.

    Args:
        rng: All chance.
        body: The body that moves.
        motion: What will be seen.
        hands_in: Share of the points of signing hands that should be in the frame; the best of several cameras is
            taken where none has it.
    """
    points = keypoints_of(body, motion.linear, motion.positions, motion.expression)
    hands = _signing_points(points)
    head = body.bone("head")
    top = float(body.vertices[:, 2].max() - body.heads[head, 2] + motion.positions[:, head, 2].mean())
    middle = float(points[:, index("neck"), 0].mean())
    cameras = {}
    for attempt in range(10):
        low, high = FRAME_WIDTHS_M[int(rng.choice(len(FRAME_WIDTHS_M), p=FRAME_CHANCES))]
        width_m = rng.uniform(low, high) * (1 + 0.04 * attempt)
        across, above = 0.5 + rng.normal(0, 0.05), rng.uniform(0.02, 0.16)
        camera = Camera(1 / width_m, (across - middle / width_m, above + top / width_m), 1.0)
        seen = camera.project(hands)[..., :2]
        share = float(((seen > 0) & (seen < 1)).all(axis=-1).mean()) if len(hands) else 1.0
        cameras[share] = camera
        if share >= hands_in:
            break
    return cameras[max(cameras)]


def _signing_points(points: Float32[np.ndarray, "frames 128 3"]) -> Float32[np.ndarray, "points 3"]:
    """The points of all hands that are not down."""
    hips = points[:, index("right_hip", "left_hip"), 2].mean(axis=1)
    hands = [points[points[:, PARTS[hand].start, 2] > hips, PARTS[hand]] for hand in ("left_hand", "right_hand")]
    return np.concatenate(hands).reshape(-1, 3)


def sample_expression(rng: np.random.Generator, times: np.ndarray) -> Float32[np.ndarray, "frames actions"]:
    """Mouthing, brows, and blinks."""
    strength = dict.fromkeys(FACIAL_ACTIONS, np.zeros(len(times)))
    if rng.random() < 0.65:
        mouthing = rng.uniform(1.5, 4.5)
        strength["jawOpen"] = _wave(rng, times, mouthing).clip(0) * rng.uniform(0.2, 0.9)
        strength["mouthFunnel"] = _wave(rng, times, mouthing).clip(0) * rng.uniform(0, 0.9)
        strength["mouthPucker"] = _wave(rng, times, mouthing).clip(0) * rng.uniform(0, 0.8)
        strength["cheekPuff"] = _wave(rng, times, 0.6).clip(0) * (rng.random() < 0.15)
    for pair, chance in (
        ("mouthSmile", 0.35), ("mouthFrown", 0.15), ("mouthStretch", 0.2), ("mouthPress", 0.2), ("mouthUpperUp", 0.15),
        ("mouthLowerDown", 0.15), ("browDown", 0.3), ("browOuterUp", 0.35), ("eyeWide", 0.2),
    ):  # fmt: skip
        if rng.random() < chance:
            both = _wave(rng, times, rng.uniform(0.3, 1.2)).clip(0) * rng.uniform(0.3, 1.0)
            tilt = rng.uniform(-0.25, 0.25)
            strength[f"{pair}Left"], strength[f"{pair}Right"] = both * (1 + tilt), both * (1 - tilt)
    if rng.random() < 0.35:
        strength["browInnerUp"] = _wave(rng, times, rng.uniform(0.3, 1.2)).clip(0)
    blinks = np.zeros(len(times))
    for at in np.cumsum(rng.exponential(2.0, 6)):
        blinks = np.maximum(blinks, np.exp(-(((times - at) / 0.07) ** 2)))
    strength["eyeBlinkLeft"] = strength["eyeBlinkRight"] = blinks
    return np.stack([strength[name] for name in FACIAL_ACTIONS], axis=1).clip(0, 1).astype(np.float32)


def _perform(stage: Stage, kind: str, plans: dict[str, Plan]) -> Motion:
    tracks = {side: track_of(stage, plan) for side, plan in plans.items()}
    tracks = {side: track if side == "R" else track.mirrored() for side, track in tracks.items()}
    trunk = _sample_trunk(stage.rng, stage.times)
    linear, positions = pose(stage.rig, trunk, tracks)
    used = sorted({shape for plan in plans.values() for stop in plan for shape in stop.shapes})
    return Motion(
        linear=linear,
        positions=positions,
        expression=sample_expression(stage.rng, stage.times),
        head_turn_deg=_head_turn_deg(trunk.view @ trunk.chest @ trunk.head),
        kind=kind,
        sources=tuple(stage.shapes.names[shape] for shape in used),
    )


def _sample_trunk(rng: np.random.Generator, times: np.ndarray) -> Trunk:
    """Sway, shrugs, and a head that turns, nods and tilts."""

    def turning(scales_deg: Sequence[float], hz: float) -> np.ndarray:
        angles = np.stack([scale * _wave(rng, times, hz) for scale in scales_deg], axis=1)
        return Rotation.from_euler("ZXY", np.radians(angles)).as_matrix()

    lively = rng.uniform(0.1, 1)
    chest = turning([9 * lively, 5 * lively, 4 * lively], rng.uniform(0.15, 0.7))
    yaw = rng.normal(0, 6) + 4 * _wave(rng, times, 0.8)
    if rng.random() < 0.6:
        looks = rng.uniform(-HEAD_YAW_DEG, HEAD_YAW_DEG, 3)
        yaw = looks[0] + sum(
            (after - before) * step(times, rng.uniform(0, times[-1] + 0.5), rng.uniform(0.25, 0.6))
            for before, after in pairwise(looks)
        )
    pitch = rng.normal(0, 6) + rng.choice([3, 10]) * _wave(rng, times, rng.uniform(0.3, 2.0))
    roll = rng.normal(0, 5) + 5 * _wave(rng, times, rng.uniform(0.2, 0.8))
    angles = [np.clip(yaw, -HEAD_YAW_DEG, HEAD_YAW_DEG), np.clip(pitch, -22, 22), np.clip(roll, -18, 18)]
    head = Rotation.from_euler("ZXY", np.radians(np.stack(angles, axis=1))).as_matrix()
    shrug = 7 * _wave(rng, times, 0.5).clip(0) * rng.uniform(0, 1.5)
    shoulders = {}
    for side, sign in (("L", -1), ("R", 1)):
        lift = shrug + 2 * _wave(rng, times, 0.5)
        shoulders[side] = Rotation.from_euler("Y", np.radians(sign * lift)[:, None]).as_matrix()
    view = Rotation.from_euler("ZXY", np.radians(rng.normal(0, [9, 3, 1]))).as_matrix()
    return Trunk(view, chest, head, turning([7.0, 4.0, 0.0], rng.uniform(0.3, 1)), shoulders)


def _head_turn_deg(head: np.ndarray) -> Float32[np.ndarray, "frames 3"]:
    """Yaw, pitch and roll, as `BodyMotion` has them."""
    forward = -head[:, :, 1]
    yaw = np.arctan2(forward[:, 0], -forward[:, 1])
    pitch = np.arcsin(np.clip(forward[:, 2], -1, 1))
    roll = np.arctan2(head[:, 2, 0], head[:, 2, 2])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1)).astype(np.float32)


def _wave(rng: np.random.Generator, times: np.ndarray, hz: float) -> Float[np.ndarray, " frames"]:
    """A smooth wandering between about -1 and 1."""
    rates = hz * rng.uniform(0.5, 1.5, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * rates * times[:, None] + phases) @ rng.dirichlet([2, 2, 2]) * 1.3
