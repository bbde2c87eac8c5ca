"""What hands do in a sampled motion: from stop to stop, as plans, and then frame by frame, as tracks.

A plan is written for the right hand, in the chest's frame; mirrored it serves the left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from gen.signers import rotations
from gen.signers.arms import discomfort
from gen.signers.hands import ANGLES, FINGERS
from gen.signers.handshapes import SHOULDER_WIDTH_M, Handshapes
from gen.signers.posing import HandTrack, Rig
from poses.keypoints import HAND, index

PLACES = {"neutral": 0.5, "raised": 0.14, "head": 0.17, "beside_head": 0.05, "face": 0.03, "chest": 0.11}
"""Where hands stop, and how often."""

HEAD_POINTS = (
    "face_jaw_8", "face_jaw_5", "face_jaw_11", "face_inner_lip_6", "nose", "face_jaw_1", "face_jaw_15",
    "face_nose_bridge_0", "face_right_brow_1", "face_left_brow_3", "right_ear", "left_ear",
)  # fmt: skip
"""Where hands go on the head: chin, cheeks, mouth, nose, temples, forehead, ears."""

HAND_SPOTS_M = (
    (0.09, 0.02, 0), (0.08, -0.025, 0), (0.17, 0.01, 0), (0.1, 0, 0.04), (0.08, 0, -0.04), (-0.06, -0.035, 0),
)  # fmt: skip
"""Where one hand acts on the other: palm, back, fingertips, both edges, forearm. From the wrist towards the fingers,
out of the palm, towards the thumb."""

TOUCHES = ("index_tip", "middle_tip", "thumb_tip", "index_pip", "middle_mcp", "little_mcp", "thumb_ip", "wrist")
"""The points of the hand that touch."""

TOUCH_CHANCES = (0.3, 0.15, 0.1, 0.1, 0.12, 0.08, 0.05, 0.1)
"""How often each of `TOUCHES` does."""

_DIRECTIONS = {"F": (0, -1, 0), "B": (0, 1, 0), "U": (0, 0, 1), "D": (0, 0, -1), "M": (1, 0, 0), "O": (-1, 0, 0)}
"""For the right hand: forwards, back, up, down, to the middle, outwards."""

ORIENTATIONS = {
    "UF": 5, "UB": 4, "UM": 4, "UO": 0.6, "FD": 3, "FU": 2.5, "FM": 3.5, "MB": 3.5, "MF": 1.5, "MD": 3, "MU": 2.5,
    "DB": 1.2, "DM": 1, "DF": 0.4,
}  # fmt: skip
"""Where fingers and palm point, and how often."""

MOVING = 0.4
"""Share of the stops at which the hand moves on the spot."""

MEAN_SPEED_M_S = 1.3
"""Of fingertips on their way, at most, at usual tempo."""

HAND_M = 0.15
"""From the wrist to the fingertips, roughly."""


@dataclass(frozen=True)
class Stage:
    """What every part of one motion shares."""

    rng: np.random.Generator
    rig: Rig
    shapes: Handshapes
    clips: Sequence[int]
    times: Float[np.ndarray, " frames"]

    @property
    def size(self) -> float:
        """Shoulder width against that of the usual body."""
        return self.rig.shoulder_width_m / SHOULDER_WIDTH_M


@dataclass(frozen=True)
class Stop:
    """A place where a hand stays for a moment, as a right hand's and in the chest's frame."""

    anchor: str
    point: Float[np.ndarray, " 3"]
    touch: int
    rotation: Float[np.ndarray, "3 3"]
    shapes: tuple[int, int]
    """Two clips of the library."""
    second: Float[np.ndarray, " angles"]
    """How much of each joint angle comes from the second clip."""
    jitter: Float[np.ndarray, " angles"]
    """Added to the joint angles."""
    speed: float
    """At which the clips play."""
    start_s: float
    stop_s: float
    arc: Float[np.ndarray, " 3"]
    """How far the way to this stop swerves."""
    circle: Float[np.ndarray, "2 3"]
    """Half axes of a movement while staying."""
    turn: Float[np.ndarray, " 3"]
    """Rotation vector of a turning to and fro while staying."""
    hz: float
    """Of circle and turn."""
    flutter_hz: float
    """Of a change between the two clips while staying."""


Plan = tuple[Stop, ...]
"""What one hand does, as the right hand."""


def signing(stage: Stage) -> Plan:
    """A free hand's way from place to place."""
    return _timed(stage, lambda number: _place(stage, str(stage.rng.choice(list(PLACES), p=list(PLACES.values())))))


def spelling(stage: Stage) -> Plan:
    """A raised hand that changes its shape more than its place."""
    rng, size = stage.rng, stage.size
    x, z = rng.uniform(-0.3, -0.12) * size, rng.uniform(-0.14, 0.1) * size
    point = _in_front(stage, x, z, rng.uniform(0.12, 0.28) * size)
    rotation = _orientation(stage, "UF", 12.0)

    def letter(number: int) -> Stop:
        turn = rotations.from_vector(np.radians(rng.normal(0, rng.choice([6, 25]), (1, 3))))
        return _stop(stage, "chest", point + rng.normal(0, 0.012, 3) * size, "wrist", turn[0] @ rotation)

    return _timed(stage, letter, stay_s=(0.08, 0.35), way_s=(0.12, 0.32))


def acting(stage: Stage) -> Plan:
    """A hand that mostly acts on the other one."""
    on_hand = stage.rng.random() < 0.5
    return _timed(stage, lambda number: _on_hand(stage) if on_hand == (number % 2 == 0) else _place(stage, "neutral"))


def base(stage: Stage) -> Plan:
    """A hand held still for the other one."""
    rng = stage.rng
    x, z = rng.uniform(-0.14, 0.02) * stage.size, rng.uniform(-0.3, -0.04) * stage.size
    point = _in_front(stage, x, z, rng.uniform(0.14, 0.3))
    names = ("MU", "FU", "MB", "MD", "FD", "FM", "UM", "UF", "UB")
    rotation = _easiest(stage, point, [_orientation(stage, str(name), 18.0) for name in rng.choice(names, 2)])
    return (_stop(stage, "chest", point, "wrist", rotation),)


def resting(stage: Stage) -> Plan:
    """A relaxed hand at the side, or before the belly."""
    stage = replace(stage, clips=stage.shapes.loose())
    rng, arm = stage.rng, stage.rig.arms["R"]
    straight = arm.upper_m + arm.fore_m
    shoulder = stage.rig.shoulder("R")
    if rng.random() < 0.6:
        point = shoulder + straight * np.array(
            [rng.uniform(-0.3, -0.1), rng.uniform(-0.25, 0), rng.uniform(-0.97, -0.85)]
        )
        rotation = _orientation(stage, str(rng.choice(["DM", "DB"])), 10.0)
    else:
        point = _in_front(
            stage, rng.uniform(-0.12, 0.02), rng.uniform(-0.5, -0.3) * stage.size, rng.uniform(0.05, 0.12)
        )
        rotation = _orientation(stage, str(rng.choice(["MB", "MD", "MU"])), 14.0)
    return (_stop(stage, "chest", point, "wrist", rotation),)


def later(plan: Plan, delay_s: float) -> Plan:
    """The same with a delay."""
    return tuple(replace(stop, start_s=stop.start_s + delay_s, stop_s=stop.stop_s + delay_s) for stop in plan)


def _timed(
    stage: Stage,
    choose: Callable[[int], Stop],
    stay_s: tuple[float, float] = (0.04, 0.4),
    way_s: tuple[float, float] = (0.2, 0.55),
) -> Plan:
    """Stops one after the other until the time is over; some begin or end at rest."""
    rng, plan = stage.rng, []
    tempo = rng.uniform(0.7, 1.5)
    end = float(stage.times[-1])
    now = -rng.uniform(0.0, 0.6)
    while now < end:
        rests = rng.random() < 0.12 and (not plan or now > end - 0.8)
        stop = resting(stage)[0] if rests else choose(len(plan))
        if plan:
            now += max(rng.uniform(*way_s), _distance_m(plan[-1], stop) / MEAN_SPEED_M_S) / tempo
        moves = not rests and rng.random() < MOVING
        stay = rng.uniform(0.5, 1.1) if moves else rng.uniform(*stay_s)
        plan.append(_moved(stage, replace(stop, start_s=now, stop_s=now + stay / tempo), moves))
        now += stay / tempo
    return tuple(plan)


def _distance_m(before: Stop, after: Stop) -> float:
    """How far fingertips go, roughly: the way of the hand and its turn."""
    turn = np.linalg.norm(rotations.to_vector((after.rotation @ before.rotation.T)[None]))
    return float(np.linalg.norm(after.point - before.point) + HAND_M * turn)


def _moved(stage: Stage, stop: Stop, moves: bool) -> Stop:
    """The stop with a swerve on the way, and a movement while staying."""
    rng, size = stage.rng, stage.size
    stop = replace(stop, arc=rng.normal(0, 0.03, 3) * size - np.array([0, 0.03, 0]))
    if not moves:
        return stop
    amplitude = rng.uniform(0.01, 0.05) * size * (rng.random() < 0.7)
    circle = amplitude * rotations.unit(rng.normal(size=(2, 3))) * [[1], [rng.choice([0, 1])]]
    turn = rotations.unit(rng.normal(size=3)) * np.radians(rng.uniform(8, 35)) * (rng.random() < 0.6)
    flutter = rng.uniform(1.5, 4) if rng.random() < 0.3 else 0.0
    return replace(stop, circle=circle, turn=turn, hz=rng.uniform(1.2, 3.5), flutter_hz=flutter)


def _place(stage: Stage, place: str) -> Stop:
    """A stop at one of `PLACES`."""
    rng, size = stage.rng, stage.size
    if place == "head":
        return _on_head(stage)
    if place == "chest":
        point = _in_front(
            stage, rng.uniform(-0.16, 0.2) * size, rng.uniform(-0.4, 0.02) * size, rng.choice([0.0, 0.05])
        )
        names = rng.choice(["MB", "UB", "MD", "UM", "DB", "MU"], 4)
        rotation = _easiest(stage, point, [_orientation(stage, str(name), 18.0) for name in names])
        return _stop(stage, "chest", point, _touch(stage), rotation)
    x, z, ahead = {
        "neutral": ((-0.32, 0.1), (-0.31, 0.08), (0.12, 0.36)),
        "raised": ((-0.3, -0.1), (-0.12, 0.16), (0.16, 0.34)),
        "beside_head": ((-0.34, -0.18), (0.12, 0.32), (0.02, 0.2)),
        "face": ((-0.1, 0.08), (0.08, 0.26), (0.18, 0.32)),
    }[place]
    point = _in_front(stage, rng.uniform(*x) * size, rng.uniform(*z) * size, rng.uniform(*ahead) * size)
    return _stop(
        stage, "chest", point, "middle_mcp", _easiest(stage, point, [_sample_rotation(stage) for _ in range(4)])
    )


def _on_head(stage: Stage) -> Stop:
    """A fingertip or another part of the hand at the head, touching it or near."""
    rng, body = stage.rng, stage.rig.body
    # The right hand goes to the right half of the head more often than across.
    names = [name for name in HEAD_POINTS if body.keypoints[index(name), 0] < 0.02 or rng.random() < 0.3]
    point = body.keypoints[index(str(rng.choice(names)))].astype(float)
    _, normals = stage.rig.head.clearance(point[None])
    gap = rng.uniform(0, 0.01) if rng.random() < 0.6 else rng.uniform(0.02, 0.09)
    names = rng.choice(["UB", "UM", "MB", "MD", "UF", "UB", "MU"], 4)
    rotation = _easiest(stage, point, [_orientation(stage, str(name), 20.0) for name in names])
    return _stop(stage, "head", point + gap * normals[0], _touch(stage), rotation)


def _on_hand(stage: Stage) -> Stop:
    """A part of the hand on the other hand, or close to it."""
    rng = stage.rng
    frame = stage.rig.arms["L"].hand_frame * np.array([1, 1, -1])
    spot = np.array(HAND_SPOTS_M[rng.integers(len(HAND_SPOTS_M))])
    gap = rng.choice([0.0, rng.uniform(0.01, 0.05)]) * rotations.unit(spot * (0, 1, 1))
    point = frame @ (spot + gap + rng.normal(0, 0.012, 3)) * stage.size
    about = _in_front(stage, 0.0, -0.2 * stage.size, 0.2)
    rotation = _easiest(stage, about, [_sample_rotation(stage) for _ in range(4)])
    return _stop(stage, "hand", point, _touch(stage), rotation)


def _stop(stage: Stage, anchor: str, point: np.ndarray, touch: str, rotation: np.ndarray) -> Stop:
    """A stop with a handshape and no movement, all the time."""
    rng, clips = stage.rng, stage.clips
    first, second = (clips[int(rng.integers(len(clips)))] for _ in range(2))
    chosen = dict(zip(FINGERS, (rng.random(5) < 0.5) & (rng.random() < 0.25), strict=True))
    mixed = np.array([chosen[name.split("_")[0]] for name in ANGLES], float)
    return Stop(
        anchor=anchor,
        point=point,
        touch=HAND.index(touch),
        rotation=rotation,
        shapes=(first, second),
        second=mixed,
        jitter=rng.normal(0, 0.05, len(ANGLES)),
        speed=rng.uniform(0.6, 1.5),
        start_s=-1.0,
        stop_s=float(stage.times[-1]) + 1.0,
        arc=np.zeros(3),
        circle=np.zeros((2, 3)),
        turn=np.zeros(3),
        hz=1.0,
        flutter_hz=0.0,
    )


def _touch(stage: Stage) -> str:
    return str(stage.rng.choice(TOUCHES, p=TOUCH_CHANCES))


def _in_front(stage: Stage, x: float, z_from_shoulder: float, ahead_m: float) -> Float[np.ndarray, " 3"]:
    """A point before the torso, in the chest's frame."""
    torso = stage.rig.torso.points
    z = stage.rig.shoulder("R")[2] + z_from_shoulder
    off = np.abs(torso[:, [0, 2]] - (x, min(z, torso[:, 2].max()))).max(axis=1)
    near = off <= max(0.03, off.min() + 0.01)
    return np.array([x, torso[near, 1].min() - ahead_m, z])


def _sample_rotation(stage: Stage) -> Float[np.ndarray, "3 3"]:
    names = list(ORIENTATIONS)
    chances = np.array(list(ORIENTATIONS.values()))
    first, second = stage.rng.choice(names, 2, p=chances / chances.sum())
    return _orientation(stage, str(first), 22.0, str(second), float(stage.rng.choice([0, stage.rng.uniform(0, 0.6)])))


def _easiest(stage: Stage, point: np.ndarray, turns: list[np.ndarray]) -> Float[np.ndarray, "3 3"]:
    """Of several ways to turn the hand about there, the one that strains the wrist least."""
    cost = discomfort(stage.rig.arms["R"], stage.rig.shoulder("R"), point, np.stack(turns))
    return turns[int(cost.argmin())]


def _orientation(stage: Stage, name: str, noise_deg: float, second: str = "", share: float = 0.0) -> np.ndarray:
    """A right hand whose fingers and palm point as `name` says, on the way to `second`, not quite."""
    rest = stage.rig.arms["R"].hand_frame

    def turned(name: str) -> np.ndarray:
        along, palm = (np.array(_DIRECTIONS[letter], float) for letter in name)
        return rotations.frame(along, palm) @ rest.T

    rotation = turned(name)
    if share:
        rotation = rotations.partway((turned(second) @ rotation.T)[None], share)[0] @ rotation
    return rotations.from_vector(np.radians(stage.rng.normal(0, noise_deg, (1, 3))))[0] @ rotation


def track_of(stage: Stage, plan: Plan) -> HandTrack:
    """The plan at every time."""
    times = stage.times
    progress = [np.ones_like(times)]
    for before, after in pairwise(plan):
        progress.append(step(times, before.stop_s, max(after.start_s - before.stop_s, 0.04)))
    progress.append(np.zeros_like(times))
    rotation = _turned(plan[0], times)
    fingers = _shape(stage, plan[0])
    offset = np.zeros((len(times), 3))
    for number, stop in enumerate(plan):
        there = progress[number]
        if number:
            rotation = _blend(rotation, _turned(stop, times), there)
            # Fingers are ready before the hand arrives.
            ready = np.minimum(there * 1.25, 1)[:, None]
            fingers = fingers + ready * (_shape(stage, stop) - fingers)
            offset += (4 * there * (1 - there))[:, None] * stop.arc
        inside = _window(stop, times)
        phase = 2 * np.pi * stop.hz * (times - stop.start_s)
        offset += inside[:, None] * np.stack([1 - np.cos(phase), np.sin(phase)], axis=1) @ stop.circle
    weights = np.stack([before - after for before, after in pairwise(progress)], axis=1)
    return HandTrack(
        anchors=[stop.anchor for stop in plan],
        points=np.stack([stop.point for stop in plan]),
        touches=[stop.touch for stop in plan],
        weights=weights,
        offset=offset,
        rotation=rotation,
        fingers=fingers,
    )


def _window(stop: Stop, times: np.ndarray) -> Float[np.ndarray, " frames"]:
    """0 outside the stop, 1 within, with soft ends."""
    length = max(stop.stop_s - stop.start_s, 1e-3)
    return np.clip(4 * np.minimum(times - stop.start_s, stop.stop_s - times) / length, 0, 1)


def _turned(stop: Stop, times: np.ndarray) -> Float[np.ndarray, "frames 3 3"]:
    """The hand's rotation at the stop, to and fro."""
    swing = np.sin(2 * np.pi * stop.hz * (times - stop.start_s)) * _window(stop, times)
    return rotations.from_vector(swing[:, None] * stop.turn) @ stop.rotation


def _shape(stage: Stage, stop: Stop) -> Float[np.ndarray, "frames angles"]:
    """The joint angles at the stop, as the clips play."""
    shapes, times = stage.shapes, stage.times
    played = []
    for clip in stop.shapes:
        first, last = shapes.starts[clip], shapes.starts[clip + 1] - 1
        frames = first + (times - stop.start_s) * stop.speed * shapes.fps
        played.append(shapes.angles[np.clip(np.rint(frames), first, last).astype(int)])
    flutter = np.zeros_like(times)
    if stop.flutter_hz:
        cycle = 0.5 - 0.5 * np.cos(2 * np.pi * stop.flutter_hz * (times - stop.start_s))
        flutter = cycle * _window(stop, times)
    share = np.abs(stop.second - flutter[:, None])
    return played[0] + share * (played[1] - played[0]) + stop.jitter


def _blend(start: np.ndarray, stop: np.ndarray, share: np.ndarray) -> Float[np.ndarray, "frames 3 3"]:
    """Turns from one rotation to another on the shortest way."""
    way = rotations.to_vector(np.swapaxes(start, 1, 2) @ stop)
    return start @ rotations.from_vector(share[:, None] * way)


def step(times: np.ndarray, at_s: float, length_s: float) -> Float[np.ndarray, " frames"]:
    """0 before, 1 after, at least jerk."""
    share = np.clip((times - at_s) / length_s, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)
