"""Hands fitted to 21 points in the picture: where the palm faces, how each finger bends.

All hands of all clips are fitted at once by Levenberg-Marquardt. A hand is a right hand here; left hands come mirrored.
World axes: x to the signer's left, y away from the camera, z up, metres. The camera sees x and z.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float, Int

from gen.signers import rotations
from gen.signers.hand_model import (
    ANGLES,
    FINGERS,
    FIRST_ANGLE,
    HandModel,
    HandPose,
    PosedHands,
    hand_model,
    pose_hands,
)
from gen.signers.timeline import smooth

__all__ = ["ANGLES", "FINGERS", "HandModel", "HandPose", "fit_hands", "hand_model", "pose_hands"]

POINT_NOISE_M = 0.004
"""Spread of estimated hand points about the true ones."""

_WORTH = np.array([5.0] + [1.0] * 20)
"""How much each point counts: the hand ends, and the arm too, at the wrist."""

OUTLIER_M = 0.02
"""A point this far off pulls half as much as it would."""

SIZE_RANGE = (0.7, 1.5)
"""Smallest and largest hand against the body's."""

SIZE_SPREAD = 0.05
"""How far a hand's size strays over a clip, relative: it grows as it nears the camera."""

TIP_SHARE = 0.6
"""A finger's last joint bends this share of the one before."""

TIP_SPREAD = np.radians(12)
LIMIT_SPREAD = np.radians(3)
CALM_SPREAD = np.radians(12)
"""How far angles stray from their mean over neighbouring frames, radians."""

STRETCH_SPREAD = 0.12
STRETCH_RANGE = (0.75, 1.35)
STRETCH_FRAMES = 10
"""How far lengths of finger segments stray from the model's; how many frames of evidence a clip is at most."""

CALM_S = 0.04
"""The time over which that mean is taken."""

GAP_S = 0.1
"""A hand not seen for as long as this may have turned any way."""

SWITCH_COST = 20.0
"""Cost of a palm's turn within `CALM_S`, per square radian, against squared errors in units of their spread."""


def _moved_by() -> tuple[np.ndarray, np.ndarray]:
    """For each angle, the joint it turns about (finger, segment) and which of the 21 points it moves."""
    joint = np.zeros((len(ANGLES), 2), int)
    moves = np.zeros((len(ANGLES), 21), bool)
    for finger, first in enumerate(FIRST_ANGLE):
        for angle in range(5 if finger == 0 else 4):
            segment = max(angle - (2 if finger == 0 else 1), 0)
            joint[first + angle] = finger, segment
            moves[first + angle, 4 * finger + 2 + segment : 4 * finger + 5] = True
    return joint, moves


_JOINT, _MOVES = _moved_by()
_MOVING_ANGLE, _MOVED_POINT = np.nonzero(_MOVES)
_SEEN = [0, 2]
"""The camera sees x and z."""


_PALM = [0, 5, 9, 13, 17]

_BLOCK = 256
"""Hands worked on at once: few enough for the processor's caches."""


@dataclass(frozen=True, eq=False)
class _Goal:
    """What a hand should be like apart from its points.

    Attributes:
        size: Usual scale.
        angles: Usual angles.
        spread: How far angles stray from them.
        palm: Usual palm rotation, None where any will do.
    """

    size: np.ndarray
    angles: np.ndarray
    spread: np.ndarray
    palm: np.ndarray | None = None

    def __getitem__(self, hands: slice) -> "_Goal":
        palm = None if self.palm is None else self.palm[hands]
        return _Goal(self.size[hands], self.angles[hands], self.spread[hands], palm)


def fit_hands(
    model: HandModel,
    points: Float[np.ndarray, "hands 21 2"],
    confidence: Float[np.ndarray, "hands 21"],
    track: Int[np.ndarray, " hands"],
    *,
    time_s: Float[np.ndarray, " hands"] | None = None,
    strain: Callable[[np.ndarray], np.ndarray] | None = None,
) -> HandPose:
    """Poses that put a hand's points where they were seen.

    A flat palm seen from afar may be tilted either way; both are tried, and the way is chosen that bends the joints
    as joints bend, strains the arm less, and agrees with the frames before and after.

    Args:
        model: The hand.
        points: Where the points were seen, x and z in metres.
        confidence: How sure they are.
        track: Which hands are the same hand of a clip: equal numbers, in order of time.
        time_s: When each hand was seen; 25 times a second where it is not given.
        strain: Cost to the arm of palm rotations [starts, hands, 3, 3], as [starts, hands].

    Returns:
        The poses.
    """
    step_s = _steps(track, np.arange(len(points)) / 25 if time_s is None else time_s)
    size, place, palms = _palm_starts(model, points, confidence)
    size = _by_track(size, confidence.mean(axis=1), track)
    num_hands = len(points)
    usual = np.tile(model.usual, (num_hands, 1))
    spread = np.tile(model.spread, (num_hands, 1))
    goal = _Goal(size, usual, spread)
    tries, costs = [], []
    for start in palms:
        pose = HandPose(place(size, start), size, start, usual, np.ones((num_hands, 17)))
        pose = _search_fingers(model, pose, points, confidence)
        pose, cost = _refine(model, pose, points, confidence, goal, iterations=5)
        tries.append(pose)
        costs.append(cost)
    palms = np.stack([pose.palm for pose in tries])
    cost = np.stack(costs) + (0 if strain is None else strain(palms))
    best = _smoothest(cost, palms, step_s)
    pose = _pick(tries, best)
    pose = _stretch_segments(model, pose, points, confidence, track)
    calm_angles, calm_palm = _calm(pose, step_s)
    precision = 1 / spread**2 + 1 / CALM_SPREAD**2
    goal = _Goal(
        size, (usual / spread**2 + calm_angles / CALM_SPREAD**2) / precision, np.sqrt(1 / precision), calm_palm
    )
    return _refine(model, pose, points, confidence, goal, iterations=3)[0]


def _pick(tries: list[HandPose], best: np.ndarray) -> HandPose:
    """Of each hand the try with the number in `best`."""
    hands = np.arange(len(best))
    return HandPose(*(np.stack([getattr(pose, f.name) for pose in tries])[best, hands] for f in fields(HandPose)))


def _steps(track: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Seconds from each hand to the next; infinite where that is another hand's, or after a gap."""
    step_s = np.diff(time_s)
    usual = np.median(step_s[track[1:] == track[:-1]]) if (track[1:] == track[:-1]).any() else 0.0
    return np.where((track[1:] == track[:-1]) & (step_s <= max(GAP_S, 1.5 * usual)), step_s, np.inf)


def _palm_starts(
    model: HandModel, points: np.ndarray, confidence: np.ndarray
) -> tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], np.ndarray], list[np.ndarray]]:
    """Size of each hand, its place given size and rotation, and the two palm rotations that look alike.

    A palm is nearly flat, so its picture is an affine map of it. One direction in the palm is always parallel to the
    picture and shows the true size: the larger singular value. The smaller one tells the tilt, but not which way.
    """
    flat = (model.points @ model.palm)[_PALM, :2]
    weight = confidence[:, _PALM, None] + 1e-4
    weight = weight / weight.sum(axis=1, keepdims=True)
    source = flat - (weight * flat).sum(axis=1, keepdims=True)
    seen_middle = (weight * points[:, _PALM]).sum(axis=1)
    target = points[:, _PALM] - seen_middle[:, None]
    spread = np.swapaxes(source * weight, 1, 2) @ source
    affine = np.linalg.solve(spread, np.swapaxes(source * weight, 1, 2) @ target)  # [hands, palm, picture]
    palm_axes, size, picture_axes = np.linalg.svd(affine)
    tilt = size[:, 1] / np.maximum(size[:, 0], 1e-9)
    zero = np.zeros_like(tilt)
    in_palm = _frame_in_plane(palm_axes[:, 0, 0], palm_axes[:, 1, 0], palm_axes[:, 0, 1], palm_axes[:, 1, 1])
    starts = []
    for depth in (1, -1):
        first = np.stack([picture_axes[:, 0, 0], zero, picture_axes[:, 0, 1]], axis=-1)
        second = np.stack(
            [tilt * picture_axes[:, 1, 0], depth * np.sqrt(1 - tilt**2), tilt * picture_axes[:, 1, 1]], axis=-1
        )
        in_world = np.stack([first, second, np.cross(first, second)], axis=-1)
        starts.append(in_world @ np.swapaxes(in_palm, 1, 2) @ model.palm.T)

    def place(scale: np.ndarray, palm: np.ndarray) -> np.ndarray:
        """Where the wrist is if the middle of the palm is where it was seen."""
        middle = (weight * model.points[_PALM]).sum(axis=1)
        return seen_middle - scale[:, None] * (palm @ middle[..., None])[:, _SEEN, 0]

    return size[:, 0], place, starts


def _frame_in_plane(x1, y1, x2, y2) -> np.ndarray:
    """Frames whose first two columns lie in a plane."""
    first = np.stack([x1, y1, np.zeros_like(x1)], axis=-1)
    second = np.stack([x2, y2, np.zeros_like(x2)], axis=-1)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _by_track(size: np.ndarray, weight: np.ndarray, track: np.ndarray) -> np.ndarray:
    """One size a track: the median of the seen hands, within what hands are."""
    result = np.ones_like(size)
    for number in np.unique(track):
        mine = track == number
        seen = mine & (weight > 0.2)
        if seen.any():
            result[mine] = np.clip(np.median(size[seen]), *SIZE_RANGE)
    return result


def _finger_grid() -> np.ndarray:
    """Angles [shapes, angles] to try: each row a shape of every finger."""
    bends = np.radians(list(product((-14, 0, 14), (-10, 20, 50, 80), (5, 40, 75, 105))))
    thumbs = np.radians(list(product((-28, -4, 20), (-22, -4, 14, 32), (5, 45), (0, 50))))
    grid = np.zeros((len(bends), len(ANGLES)))
    grid[:, [0, 1, 3, 4]] = thumbs
    for first in FIRST_ANGLE[1:]:
        grid[:, first : first + 3] = bends
        grid[:, first + 3] = TIP_SHARE * bends[:, 2]
    return grid


def _search_fingers(model: HandModel, pose: HandPose, points: np.ndarray, confidence: np.ndarray) -> HandPose:
    """Gives each finger the best of a grid of shapes, the palm being as it is."""
    grid = _finger_grid()
    one = np.ones((len(grid), 1))
    rest = HandPose(one * [0, 0], one[:, 0], one[..., None] * np.eye(3), grid, one * np.ones(17))
    shapes = pose_hands(model, rest).points[:, 1:].reshape(len(grid), 5, 4, 3)
    shapes = (shapes - shapes[:, :, :1])[:, :, 1:]
    seen = points[:, 1:].reshape(-1, 5, 4, 2)
    seen = (seen - seen[:, :, :1])[:, :, 1:]
    weight = confidence[:, 1:].reshape(-1, 5, 4)[:, :, 1:]
    usual = (((grid - model.usual) / model.spread) ** 2).T
    view = pose.palm[:, _SEEN, :] * pose.scale[:, None, None]
    angles = pose.angles.copy()
    for start, (finger, first) in product(range(0, len(view), _BLOCK), enumerate(FIRST_ANGLE)):
        block, last = slice(start, start + _BLOCK), first + (5 if finger == 0 else 4)
        drawn = shapes[:, finger].reshape(-1, 3) @ np.swapaxes(view[block], 1, 2)
        error = ((drawn.reshape(-1, len(grid), 3, 2) - seen[block, None, finger]) ** 2).sum(-1)
        cost = (error * weight[block, None, finger]).sum(-1) / (2 * POINT_NOISE_M) ** 2 + usual[first:last].sum(0)
        angles[block, first:last] = grid[cost.argmin(axis=1), first:last]
    return replace(pose, angles=angles)


def _refine(
    model: HandModel, pose: HandPose, points: np.ndarray, confidence: np.ndarray, goal: _Goal, *, iterations: int
) -> tuple[HandPose, np.ndarray]:
    """Levenberg-Marquardt on all hands, each with its own damping. Returns poses and costs."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(points), _BLOCK)]
    done = [_refine_block(model, pose[b], points[b], confidence[b], goal[b], iterations) for b in blocks]
    poses, costs = zip(*done, strict=True)
    return HandPose(*(np.concatenate([getattr(p, f.name) for p in poses]) for f in fields(HandPose))), np.concatenate(
        costs
    )


def _refine_block(
    model: HandModel, pose: HandPose, points: np.ndarray, confidence: np.ndarray, goal: _Goal, iterations: int
) -> tuple[HandPose, np.ndarray]:
    weight = confidence * _WORTH / POINT_NOISE_M**2
    damping = np.full(len(points), 1e-2)
    cost, gradient, curvature = _normal_equations(model, pose, points, weight, goal)
    diagonal = np.arange(curvature.shape[-1])
    for _ in range(iterations):
        damped = curvature.copy()
        # A hand of which no point was seen has no say in where it is; it must stay solvable.
        damped[:, diagonal, diagonal] = (1 + damping[:, None]) * damped[:, diagonal, diagonal] + 1e-3
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        trial = HandPose(
            place=pose.place + step[:, :2],
            scale=pose.scale * np.exp(np.clip(step[:, 2], -0.3, 0.3)),
            palm=rotations.from_vector(step[:, 3:6]) @ pose.palm,
            angles=pose.angles + step[:, 6:],
            stretch=pose.stretch,
        )
        new_cost, new_gradient, new_curvature = _normal_equations(model, trial, points, weight, goal)
        better = new_cost < cost
        damping = np.where(better, damping / 3, damping * 5)
        pose = HandPose(*(_where(better, getattr(trial, f.name), getattr(pose, f.name)) for f in fields(HandPose)))
        cost = np.where(better, new_cost, cost)
        gradient = _where(better, new_gradient, gradient)
        curvature = _where(better, new_curvature, curvature)
    return pose, cost


def _where(choose: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return np.where(choose.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def _normal_equations(model: HandModel, pose: HandPose, target, weight, goal: _Goal):
    """Cost of each hand, its gradient and Gauss-Newton matrix.

    Parameters: place 2, log scale 1, rotation vector of the palm in the world 3, angles.
    """
    posed = pose_hands(model, pose)
    error = posed.points[..., _SEEN] + pose.place[:, None] - target
    # Points far off pull less (Geman-McClure): one wrong fingertip must not bend the hand.
    far = (error**2).sum(-1) / OUTLIER_M**2
    cost = (weight * far / (1 + far)).sum(1) * OUTLIER_M**2
    pull = weight / (1 + far) ** 2
    jacobian = _jacobian(posed)
    weighted = jacobian * pull[:, :, None, None]
    size = jacobian.shape[-1]
    jacobian, weighted = (values.reshape(len(target), 42, size) for values in (jacobian, weighted))
    gradient = np.einsum("npi,np->ni", weighted, error.reshape(len(target), 42))
    curvature = np.swapaxes(weighted, 1, 2) @ jacobian
    residual, precision = _strays(model, pose, goal)
    cost += (precision * residual**2).sum(1)
    gradient += precision * residual
    diagonal = np.arange(size)
    curvature[:, diagonal, diagonal] += precision
    coupled = _tip_residual(pose.angles)
    cost += (coupled**2).sum(1) / TIP_SPREAD**2
    gradient += coupled @ _TIP_SLOPE / TIP_SPREAD**2
    curvature += _TIP_SLOPE.T @ _TIP_SLOPE / TIP_SPREAD**2
    return cost, gradient, curvature


def _strays(model: HandModel, pose: HandPose, goal: _Goal) -> tuple[np.ndarray, np.ndarray]:
    """How far each parameter is from its goal, and how much that counts; joint limits add to the angles'."""
    num_hands, size = len(pose.angles), 6 + len(ANGLES)
    residual, precision = np.zeros((num_hands, size)), np.zeros((num_hands, size))
    residual[:, 2], precision[:, 2] = np.log(pose.scale / goal.size), 1 / SIZE_SPREAD**2
    if goal.palm is not None:
        residual[:, 3:6] = rotations.to_vector(pose.palm @ np.swapaxes(goal.palm, 1, 2))
        precision[:, 3:6] = 1 / CALM_SPREAD**2
    inside = np.clip(pose.angles, model.low, model.high)
    beyond = (inside != pose.angles) / LIMIT_SPREAD**2
    usual = 1 / goal.spread**2
    # Two pulls, to the goal and to the limit, are one to the point between them.
    residual[:, 6:] = pose.angles - (usual * goal.angles + beyond * inside) / (usual + beyond)
    precision[:, 6:] = usual + beyond
    return residual, precision


def _tip_slope() -> np.ndarray:
    """How `_tip_residual` grows with the parameters."""
    slope = np.zeros((4, 6 + len(ANGLES)))
    for row, first in zip(slope, FIRST_ANGLE[1:], strict=True):
        row[6 + first + 3], row[6 + first + 2] = 1, -TIP_SHARE
    return slope


_TIP_SLOPE = _tip_slope()


def _tip_residual(angles: np.ndarray) -> np.ndarray:
    """How much more the last joint of each finger bends than it usually does, given the one before."""
    return angles @ _TIP_SLOPE[:, 6:].T


def _jacobian(posed: PosedHands) -> np.ndarray:
    """Change [hands, 21, 2, parameters] of the points in the picture."""
    jacobian = np.zeros((len(posed.points), 21, 2, 6 + len(ANGLES)))
    jacobian[:, :, 0, 0] = jacobian[:, :, 1, 1] = 1
    jacobian[:, :, :, 2] = posed.points[..., _SEEN]
    x, y, z = np.moveaxis(posed.points, -1, 0)
    jacobian[:, :, 1, 3], jacobian[:, :, 0, 4] = y, z
    jacobian[:, :, 1, 4], jacobian[:, :, 0, 5] = -x, -y
    arm = posed.points[:, _MOVED_POINT] - posed.joints[:, *_JOINT[_MOVING_ANGLE].T]
    axis = posed.axes[:, _MOVING_ANGLE]
    columns = 6 + _MOVING_ANGLE
    jacobian[:, _MOVED_POINT, 0, columns] = axis[..., 1] * arm[..., 2] - axis[..., 2] * arm[..., 1]
    jacobian[:, _MOVED_POINT, 1, columns] = axis[..., 0] * arm[..., 1] - axis[..., 1] * arm[..., 0]
    return jacobian


def _stretch_segments(
    model: HandModel, pose: HandPose, points: np.ndarray, confidence: np.ndarray, track: np.ndarray
) -> HandPose:
    """Gives each track the lengths of finger segments and palm that bring its hands closest to the points."""
    numbers, of_track = np.unique(track, return_inverse=True)
    slope, curvature = np.zeros((len(numbers), 17)), np.zeros((len(numbers), 17, 17))
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        posed = pose_hands(model, pose[block])
        error = points[block] - posed.points[..., _SEEN] - pose.place[block, None]
        far = (error**2).sum(-1) / OUTLIER_M**2
        weight = confidence[block] * _WORTH / (1 + far) ** 2 / POINT_NOISE_M**2
        jacobian = _stretch_jacobian(model, pose[block], posed)
        weighted = (jacobian * weight[..., None, None]).reshape(len(error), 42, 17)
        np.add.at(slope, of_track[block], np.einsum("npi,np->ni", weighted, error.reshape(len(error), 42)))
        np.add.at(curvature, of_track[block], np.swapaxes(weighted, 1, 2) @ jacobian.reshape(len(error), 42, 17))
    # Frames of a clip err alike: many of them are worth no more than a few.
    worth = np.minimum(1.0, STRETCH_FRAMES / np.bincount(of_track))[:, None]
    prior = np.eye(17) / STRETCH_SPREAD**2
    change = np.linalg.solve(curvature * worth[..., None] + prior, (slope * worth)[..., None])[..., 0]
    return replace(pose, stretch=np.clip(pose.stretch * np.exp(change)[of_track], *STRETCH_RANGE))


def _stretch_jacobian(model: HandModel, pose: HandPose, posed: PosedHands) -> np.ndarray:
    """Change [hands, 21, 2, 17] of the points in the picture as the logarithms of the stretch factors grow."""
    jacobian = np.zeros((len(pose.angles), 21, 2, 17))
    ends = np.concatenate([model.joints[:, 1:], model.points[[4, 8, 12, 16, 20]][:, None]], axis=1)
    for finger in range(5):
        for segment in range(3):
            start = model.joints[finger, segment]
            along = rotations.unit(ends[finger, segment] - start)
            direction = posed.linear[:, finger, segment] @ along
            first = 4 * finger + 2 + segment
            lengths = np.full(3 - segment, (ends[finger, segment] - start) @ along)
            lengths[0] = (model.points[first] - start) @ along
            moved = direction[:, None, _SEEN] * lengths[:, None]
            jacobian[:, first : 4 * finger + 5, :, 3 * finger + segment] = moved
    fixed = model.points.copy()
    for finger in range(5):
        fixed[4 * finger + 2 : 4 * finger + 5] = model.joints[finger, 0]
    for i in (0, 1):
        direction = posed.palm @ model.palm[:, i]
        jacobian[:, :, :, 15 + i] = direction[:, None, _SEEN] * (fixed @ model.palm[:, i])[:, None]
    return jacobian


def _smoothest(cost: np.ndarray, palms: np.ndarray, step_s: np.ndarray) -> np.ndarray:
    """The start of each hand with least cost, jumps of the palm between frames included (Viterbi)."""
    num_hands = cost.shape[1]
    # Angle between rotations from the trace of their quotient.
    trace = np.einsum("anij,bnij->abn", palms[:, 1:], palms[:, :-1])
    jump = np.square(np.arccos(np.clip((trace - 1) / 2, -1, 1))) * SWITCH_COST * np.minimum(CALM_S / step_s, 1)
    total = cost.copy()
    came_from = np.zeros(cost.shape, int)
    for hand in range(1, num_hands):
        ways = total[None, :, hand - 1] + jump[:, :, hand - 1]
        came_from[:, hand] = ways.argmin(axis=1)
        total[:, hand] += ways.min(axis=1)
    best = np.zeros(num_hands, int)
    best[-1] = total[:, -1].argmin()
    for hand in range(num_hands - 1, 0, -1):
        best[hand - 1] = came_from[best[hand], hand]
    return best


def _calm(pose: HandPose, step_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles and palm rotations smoothed over time."""
    angles, palm = pose.angles.copy(), pose.palm.copy()
    ends = np.flatnonzero(np.isinf(step_s)) + 1
    for start, stop in pairwise([0, *ends, len(angles)]):
        if stop - start > 1:
            fps = 1 / float(np.median(step_s[start : stop - 1]))
            angles[start:stop] = smooth(angles[start:stop], CALM_S, fps)
            palm[start:stop] = smooth(palm[start:stop], CALM_S, fps)
    return angles, rotations.nearest(palm)
