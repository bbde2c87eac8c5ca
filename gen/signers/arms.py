"""Arms that reach: where elbow, forearm and hand go when a hand is to be somewhere, turned some way.

Two bones of fixed length leave one freedom, the swivel of the elbow about the line from shoulder to wrist. It is chosen
over the whole clip at once, so that the wrist stays within its range, the arm outside the body and the elbow calm.
Everything here lies in the frame of the chest: x to the signer's left, y backwards, z up, metres.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial import KDTree

from gen.signers import rotations
from gen.signers.body import Body

SWIVELS_DEG = np.arange(-60.0, 130.0, 8.0)
"""Elbow swivels that are tried: 0 is down and a little out, 90 is straight out to the arm's own side."""

LONGEST_REACH = 0.97
"""Of the straight arm's length; a straighter elbow has no hinge."""

MIN_ELBOW_DEG = 35.0
"""Sharpest angle between upper arm and forearm."""

TWIST_RANGE_DEG = (-85.0, 85.0)
"""Turn of the hand about the forearm, from the hand at rest (thumb forwards); positive turns the palm down."""

FLEXION_RANGE_DEG = (-60.0, 65.0)
"""Bend of the wrist, palm towards forearm positive."""

DEVIATION_RANGE_DEG = (-18.0, 32.0)
"""Bend of the wrist sideways, towards the little finger positive."""


@dataclass(frozen=True)
class Arm:
    """One arm of a body at rest."""

    side: int
    """1 for the left, -1 for the right."""
    upper_m: float
    fore_m: float
    upper_frame: Float[np.ndarray, "3 3"]
    """Columns: along the upper arm, the elbow's hinge, across both."""
    fore_frame: Float[np.ndarray, "3 3"]
    """Columns: along the forearm, the elbow's hinge, across both."""
    hand_frame: Float[np.ndarray, "3 3"]
    """Columns: from the wrist to the middle knuckle, out of the palm, across both."""


@dataclass(frozen=True)
class Reach:
    """An arm over time; the rotations turn the rest pose."""

    elbow: Float[np.ndarray, "frames 3"]
    wrist: Float[np.ndarray, "frames 3"]
    upper: Float[np.ndarray, "frames 3 3"]
    fore: Float[np.ndarray, "frames 3 3"]
    hand: Float[np.ndarray, "frames 3 3"]
    twist: Float[np.ndarray, " frames"]
    """Of the hand about the forearm, radians."""


@dataclass(frozen=True)
class Surface:
    """The skin of a part that does not bend much, as points with outward normals, at rest."""

    points: Float[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"]
    tree: KDTree

    def clearance(self, points: Float[np.ndarray, "*any 3"]) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each point in front of the skin (negative inside) and the skin's outward normal there."""
        _, nearest = self.tree.query(points, workers=1)
        normals = self.normals[nearest]
        return ((points - self.points[nearest]) * normals).sum(-1), normals


def arm_of(body: Body, side: str) -> Arm:
    """Measures the `L`eft or `R`ight arm of a body."""
    head = {name: np.asarray(point, np.float64) for name, point in zip(body.bone_names, body.heads, strict=True)}
    shoulder, elbow, wrist = (head[f"{bone}.{side}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
    hinge = np.cross(elbow - shoulder, wrist - elbow)
    index, middle, little = (head[f"finger{finger}-1.{side}"] for finger in (2, 3, 5))
    along = middle - wrist
    palm = np.cross(index - wrist, little - wrist)
    curl = head[f"finger3-3.{side}"] - middle
    palm *= np.sign(palm @ (curl - along * (curl @ along) / (along @ along)))
    return Arm(
        side=1 if side == "L" else -1,
        upper_m=float(np.linalg.norm(elbow - shoulder)),
        fore_m=float(np.linalg.norm(wrist - elbow)),
        upper_frame=rotations.frame(elbow - shoulder, hinge),
        fore_frame=rotations.frame(wrist - elbow, hinge),
        hand_frame=rotations.frame(along, palm),
    )


def reach(
    arm: Arm,
    shoulder: Float[np.ndarray, "frames 3"],
    wrist: Float[np.ndarray, "frames 3"],
    hand: Float[np.ndarray, "frames 3 3"],
    torso: Surface,
) -> Reach:
    """Bends an arm so that its hand gets where it should, as far as arms go.

    A wrist out of reach stops short on the line from the shoulder; a hand turned beyond the wrist's range is turned
    back to its limit.

    Args:
        arm: The arm at rest.
        shoulder: Where the upper arm begins.
        wrist: Where the wrist should be.
        hand: How the hand should be turned from rest.
        torso: What the elbow and the forearm stay out of.
    """
    wrist = _within_reach(arm, shoulder, wrist)
    swivels = np.radians(SWIVELS_DEG)
    elbows = _elbows(arm, shoulder[:, None], wrist[:, None], swivels)
    cost = _strain(arm, shoulder, elbows, wrist, hand) + _collision(elbows, wrist, torso)
    swivel = gaussian_filter1d(swivels[_smooth_path(cost)], 2.0, mode="nearest")
    elbow = _elbows(arm, shoulder, wrist, swivel)
    upper, fore = _bones(arm, shoulder, elbow, wrist)
    twist, bend = _wrist_angles(arm, fore, hand)
    twist, bend = _limit(twist, bend)
    hand = fore @ _wrist_rotation(arm, twist, bend)
    return Reach(elbow, wrist, upper, fore, hand, twist)


def discomfort(
    arm: Arm, shoulder: Float[np.ndarray, " 3"], wrist: Float[np.ndarray, " 3"], hands: Float[np.ndarray, "turns 3 3"]
) -> Float[np.ndarray, " turns"]:
    """What it costs to hold a hand there, turned in each of several ways: about 1 is easy, beyond 5 impossible."""
    shoulders, wrists = np.tile(shoulder, (len(hands), 1)), np.tile(wrist, (len(hands), 1))
    wrists = _within_reach(arm, shoulders, wrists)
    elbows = _elbows(arm, shoulders[:, None], wrists[:, None], np.radians(SWIVELS_DEG))
    return _strain(arm, shoulders, elbows, wrists, hands).min(axis=1)


def push_out(
    points: Float[np.ndarray, "frames points 3"], surface: Surface, margins_m: Float[np.ndarray, " points"]
) -> Float[np.ndarray, "frames 3"]:
    """How far to move each frame's points so that none is nearer to the skin than its margin, smooth in time.

    They move along the skin's normal where they are deepest, turned forwards: a hand passes in front of the body.
    """
    distance, normals = surface.clearance(points)
    deepest = (distance - margins_m).argmin(axis=1)
    frames = np.arange(len(points))
    depth = np.maximum(margins_m[deepest] - distance[frames, deepest], 0)
    ahead = normals[frames, deepest] + np.array([0.0, -0.7, 0.0])
    ahead[:, 1] = np.minimum(ahead[:, 1], 0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True).clip(1e-6)
    calm = gaussian_filter1d(maximum_filter1d(depth, 5, mode="nearest"), 1.5, mode="nearest")
    direction = gaussian_filter1d(ahead * (depth[:, None] + 1e-4), 3.0, axis=0, mode="nearest")
    direction /= np.linalg.norm(direction, axis=1, keepdims=True).clip(1e-9)
    return direction * calm[:, None]


def _within_reach(arm: Arm, shoulder: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    straight = arm.upper_m + arm.fore_m
    fold = np.radians(MIN_ELBOW_DEG)
    nearest = np.sqrt(arm.upper_m**2 + arm.fore_m**2 - 2 * arm.upper_m * arm.fore_m * np.cos(fold))
    line = wrist - shoulder
    length = np.linalg.norm(line, axis=-1, keepdims=True)
    # Approaching the limit gently keeps a hand that swings past it from stopping dead.
    limit = LONGEST_REACH * straight
    soft = 0.9 * limit
    beyond = np.maximum(length - soft, 0) / (limit - soft)
    reached = np.where(length > soft, soft + (limit - soft) * np.tanh(beyond), np.maximum(length, nearest))
    return shoulder + line / length.clip(1e-6) * reached


def _elbows(arm: Arm, shoulder: np.ndarray, wrist: np.ndarray, swivel: np.ndarray) -> np.ndarray:
    """Elbow positions [frames, (swivels,) 3] at the swivels, radians."""
    line = wrist - shoulder
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    ahead = line / distance
    pole = np.array([0.35 * arm.side, 0.25, -0.9])
    down = pole - (ahead @ pole)[..., None] * ahead
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    out = np.cross(ahead, down) * arm.side
    along = (arm.upper_m**2 + distance**2 - arm.fore_m**2) / (2 * distance)
    away = np.sqrt(np.maximum(arm.upper_m**2 - along**2, 0))
    turn = np.cos(swivel)[..., None] * down + np.sin(swivel)[..., None] * out
    return shoulder + ahead * along + turn * away


def _bones(arm: Arm, shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of upper arm and forearm from rest, the forearm not twisted."""
    hinge = np.cross(elbow - shoulder, wrist - elbow)
    upper = rotations.frame(elbow - shoulder, hinge) @ arm.upper_frame.T
    fore = rotations.frame(wrist - elbow, hinge) @ arm.fore_frame.T
    return upper, fore


def _wrist_angles(arm: Arm, fore: np.ndarray, hand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twist about the forearm and then bend of the wrist (flexion, deviation), radians, that take `fore` to `hand`."""
    turn = np.swapaxes(fore, -1, -2) @ hand
    along = np.broadcast_to(arm.fore_frame[:, 0], turn.shape[:-1])
    twist = rotations.twist_about(turn, along)
    bend = rotations.to_vector(rotations.about(along, -twist) @ turn) @ _bend_axes(arm)
    return twist * arm.side, bend


def _wrist_rotation(arm: Arm, twist: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """What `_wrist_angles` takes apart, from the forearm to the hand."""
    along = np.broadcast_to(arm.fore_frame[:, 0], (*twist.shape, 3))
    turn = rotations.about(along, twist * arm.side)
    return turn @ rotations.from_vector(bend @ _bend_axes(arm).T)


def _bend_axes(arm: Arm) -> np.ndarray:
    """Axes [3, 2] of flexion (towards the palm) and deviation (towards the little finger)."""
    frame = rotations.frame(arm.fore_frame[:, 0], arm.hand_frame[:, 1])
    return np.stack([frame[:, 2], frame[:, 1] * -arm.side], axis=1)


def _limit(twist: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles within the wrist's range, nearest to those given."""
    twist = np.clip(twist, *np.radians(TWIST_RANGE_DEG))
    # A turn on the far side of what the forearm can do flips from one limit to the other; arms take a moment for that.
    flips = np.abs(np.diff(twist, prepend=twist[:1])) > np.radians(50)
    share = gaussian_filter1d(maximum_filter1d(flips.astype(float), 9), 1.5, mode="nearest")
    twist = twist + share * (gaussian_filter1d(twist, 2.5, mode="nearest") - twist)
    return twist, bend / np.maximum(_bend_share(bend), 1)[..., None]


def _bend_share(bend: np.ndarray) -> np.ndarray:
    """How much of its range the wrist's bend takes: 1 on an ellipse through the four limits."""
    shares = [
        angle / np.radians(np.where(angle > 0, high, -low))
        for angle, (low, high) in zip(np.moveaxis(bend, -1, 0), (FLEXION_RANGE_DEG, DEVIATION_RANGE_DEG), strict=True)
    ]
    return np.hypot(*shares)


def _strain(
    arm: Arm, shoulder: np.ndarray, elbows: np.ndarray, wrist: np.ndarray, hand: np.ndarray
) -> Float[np.ndarray, "frames swivels"]:
    """How uncomfortable each swivel is: wrist near or beyond its limits, elbow raised, elbow across the chest."""
    _, fore = _bones(arm, shoulder[:, None], elbows, wrist[:, None])
    twist, bend = _wrist_angles(arm, fore, hand[:, None])
    low, high = np.radians(TWIST_RANGE_DEG)
    turned = np.abs(twist - (low + high) / 2) / ((high - low) / 2)
    bent = _bend_share(bend)
    beyond = np.maximum(turned - 0.9, 0) + np.maximum(bent - 0.9, 0)
    out = (elbows - shoulder[:, None]) / arm.upper_m
    raised = np.maximum(out[..., 2] + 0.1, 0)
    across = np.maximum(-out[..., 0] * arm.side - 0.1, 0)
    behind = np.maximum(out[..., 1] - 0.5, 0)
    calm = (np.radians(SWIVELS_DEG) / np.radians(60)) ** 2
    return 0.4 * turned**2 + 0.4 * bent**2 + 15 * beyond + 10 * raised**2 + 6 * across + 4 * behind + 0.9 * calm


def _collision(elbows: np.ndarray, wrist: np.ndarray, torso: Surface) -> Float[np.ndarray, "frames swivels"]:
    """Depth of elbow and forearm in the torso, costly."""
    share = np.array([0.0, 0.35, 0.7])[:, None]
    points = elbows[:, :, None] + share * (wrist[:, None] - elbows)[:, :, None]
    distance, _ = torso.clearance(points)
    return np.maximum(0.035 - distance, 0).sum(-1) * 150


def _smooth_path(cost: Float[np.ndarray, "frames swivels"]) -> np.ndarray:
    """The swivel of every frame at least cost, changes included (Viterbi)."""
    steps = np.arange(cost.shape[1])
    change = 0.15 * (steps[:, None] - steps).astype(float) ** 2
    best = cost[0]
    came_from = np.zeros(cost.shape, int)
    for frame in range(1, len(cost)):
        total = best[:, None] + change
        came_from[frame] = total.argmin(axis=0)
        best = total.min(axis=0) + cost[frame]
    path = np.zeros(len(cost), int)
    path[-1] = best.argmin()
    for frame in range(len(cost) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path
