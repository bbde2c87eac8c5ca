"""Hands fitted to 21 points in the picture: where the palm faces, how each finger bends.

All hands of all clips are fitted at once by Levenberg-Marquardt. A hand is a right hand here; left hands come mirrored.
World axes: x to the signer's left, y away from the camera, z up, metres. The camera sees x and z.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float, Int

from gen.signers import rotations
from gen.signers.body import Body
from gen.signers.timeline import smooth
from poses.keypoints import HAND, index

FINGERS = ("thumb", "index", "middle", "ring", "little")

ANGLES = (
    "thumb_sweep", "thumb_lift", "thumb_roll", "thumb_bend_1", "thumb_bend_2",
    *(f"{finger}_{angle}" for finger in FINGERS[1:] for angle in ("spread", "bend_1", "bend_2", "bend_3")),
)  # fmt: skip
"""The joint angles of a hand, radians from a flat one: `bend` towards the palm, `spread` towards the thumb."""

POINT_NOISE_M = 0.004
"""Spread of estimated hand points about the true ones."""

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


_FIRST_ANGLE = (0, 5, 9, 13, 17)
"""Where each finger's angles begin in `ANGLES`."""

_BEND_ANGLE = np.array([[0, 3, 4], *([first + 1, first + 2, first + 3] for first in _FIRST_ANGLE[1:])])
"""For each segment of each finger the angle that bends it against the one before."""

_BENDS = np.array([[False, True, True], *[[True] * 3] * 4])
"""Where there is one: the thumb's first segment is turned as a whole."""


@dataclass(frozen=True, eq=False)
class _Posed:
    """Forward kinematics of hands, relative to the wrist."""

    points: np.ndarray  # [hands, 21, 3]
    joints: np.ndarray  # [hands, 5, 3, 3]
    linear: np.ndarray  # [hands, 5, 3, 3, 3] world map of each segment
    axes: np.ndarray  # [hands, angles, 3] world axes
    palm: np.ndarray  # [hands, 3, 3] world map of the palm


def _stretched(model: HandModel, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps at rest of the palm [hands, 3, 3] and of the segments [hands, 5, 3, 3, 3] for stretch factors."""
    factors = np.concatenate([stretch[:, 15:], np.ones((len(stretch), 1))], axis=1)
    palm = np.einsum("ij,nj,kj->nik", model.palm, factors, model.palm)
    ends = np.concatenate([model.joints[:, 1:], model.points[[4, 8, 12, 16, 20]][:, None]], axis=1)
    along = rotations.unit(ends - model.joints)
    outer = along[..., :, None] * along[..., None, :]
    segments = np.eye(3) + (stretch[:, :15].reshape(-1, 5, 3) - 1)[..., None, None] * outer
    return palm, segments


def pose_hands(model: HandModel, pose: HandPose) -> _Posed:
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
    first = np.array(_FIRST_ANGLE[1:])
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
    return _Posed(points, joints, linear, axes, base)


def _moved_by() -> tuple[np.ndarray, np.ndarray]:
    """For each angle, the joint it turns about (finger, segment) and which of the 21 points it moves."""
    joint = np.zeros((len(ANGLES), 2), int)
    moves = np.zeros((len(ANGLES), 21), bool)
    for finger, first in enumerate(_FIRST_ANGLE):
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
        return _Goal(*(None if (value := getattr(self, f.name)) is None else value[hands] for f in fields(self)))


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
    for first in _FIRST_ANGLE[1:]:
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
    for start, (finger, first) in product(range(0, len(view), _BLOCK), enumerate(_FIRST_ANGLE)):
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
    weight = confidence / POINT_NOISE_M**2
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
    for row, first in zip(slope, _FIRST_ANGLE[1:], strict=True):
        row[6 + first + 3], row[6 + first + 2] = 1, -TIP_SHARE
    return slope


_TIP_SLOPE = _tip_slope()


def _tip_residual(angles: np.ndarray) -> np.ndarray:
    """How much more the last joint of each finger bends than it usually does, given the one before."""
    return angles @ _TIP_SLOPE[:, 6:].T


def _jacobian(posed: _Posed) -> np.ndarray:
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
    posed = pose_hands(model, pose)
    error = points - posed.points[..., _SEEN] - pose.place[:, None]
    far = (error**2).sum(-1) / OUTLIER_M**2
    weight = confidence / (1 + far) ** 2 / POINT_NOISE_M**2
    jacobian = _stretch_jacobian(model, pose, posed)
    weighted = jacobian * weight[..., None, None]
    slope = np.einsum("npai,npa->ni", weighted, error)
    flat = (len(points), 42, jacobian.shape[-1])
    curvature = np.swapaxes(weighted.reshape(flat), 1, 2) @ jacobian.reshape(flat)
    stretch = pose.stretch.copy()
    for number in np.unique(track):
        mine = track == number
        # Frames of a clip err alike: many of them are worth no more than a few.
        worth = min(1.0, STRETCH_FRAMES / mine.sum())
        prior = np.eye(flat[-1]) / STRETCH_SPREAD**2
        change = np.linalg.solve(curvature[mine].sum(0) * worth + prior, slope[mine].sum(0) * worth)
        stretch[mine] = np.clip(stretch[mine] * np.exp(change), *STRETCH_RANGE)
    return replace(pose, stretch=stretch)


def _stretch_jacobian(model: HandModel, pose: HandPose, posed: _Posed) -> np.ndarray:
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
