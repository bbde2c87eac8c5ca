"""Facial actions fitted to a face's 68 points: mouth and brows are grammar."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gen.signers.body import FACIAL_ACTIONS, Body
from poses.keypoints import FACE, PARTS

POINT_NOISE_M = 0.006
"""Spread of face points about those of the fitted face: faces differ."""

ACTION_SPREAD = 0.5
"""How strong facial actions usually are."""

IDENTITY_FRAMES = 8
"""From how many frames on, half of what a face always looks like is taken for its shape rather than for an action."""

_BLOCK = 512


@dataclass(frozen=True)
class _Distance:
    """From the middle of some points to the middle of others: what faces do shows in these, whatever their shape.

    Attributes:
        start: Points of the face.
        stop: Others.
        noise_m: Spread of its estimates.
        own: Whether every face has its own: the clip's usual value then tells nothing.
    """

    start: tuple[str, ...]
    stop: tuple[str, ...]
    noise_m: float
    own: bool


def _distances() -> tuple[_Distance, ...]:
    def lips(kind: str, start: tuple[int, ...], stop: tuple[int, ...], noise_m: float, own: bool) -> list[_Distance]:
        return [
            _Distance((f"{kind}_lip_{a}",), (f"{kind}_lip_{b}",), noise_m, own)
            for a, b in zip(start, stop, strict=True)
        ]

    distances = lips("inner", (1, 2, 3), (7, 6, 5), 0.001, False) + lips("outer", (2, 3, 4), (10, 9, 8), 0.0015, True)
    distances += lips("outer", (0,), (6,), 0.0015, True) + lips("inner", (0,), (4,), 0.002, True)
    distances.append(_Distance(("nose_base_2",), ("outer_lip_3",), 0.002, True))
    distances.append(_Distance(("nose_base_2",), ("jaw_8",), 0.004, True))
    distances.append(_Distance(("right_brow_4",), ("left_brow_0",), 0.002, True))
    for side in ("right", "left"):
        corners = (f"{side}_eyelid_0", f"{side}_eyelid_3")
        distances += [_Distance((f"{side}_brow_{i}",), corners, 0.001, True) for i in range(5)]
        distances += [
            _Distance((f"{side}_eyelid_{a}",), (f"{side}_eyelid_{b}",), 0.001, False) for a, b in ((1, 5), (2, 4))
        ]
    return tuple(distances)


_DISTANCES = _distances()
_DIFFERENCE = np.array(
    [
        [(name in distance.stop) / len(distance.stop) - (name in distance.start) / len(distance.start) for name in FACE]
        for distance in _DISTANCES
    ]
)
_OWN = np.array([distance.own for distance in _DISTANCES])
_NOISE_M = np.array([POINT_NOISE_M] * len(FACE) + [distance.noise_m for distance in _DISTANCES])


def fit_expression(
    body: Body,
    view: Float[np.ndarray, "frames 2 3"],
    error: Float[np.ndarray, "frames 68 2"],
    confidence: Float[np.ndarray, "frames 68"],
) -> Float[np.ndarray, "frames actions"]:
    """Strengths from 0 to 1 of the facial actions that move the points of a face at rest to where they were seen.

    Args:
        body: The body whose face it is.
        view: Takes the head's own coordinates to the picture.
        error: How far from the resting face's points the seen ones are.
        confidence: How sure these are.
    """
    seen = np.asarray((confidence > 0).all(axis=1))
    features = np.concatenate([error, _DIFFERENCE @ error], axis=1)
    features = features - _usual(features, seen)
    used = _DIFFERENCE != 0
    actions = body.keypoint_expressions[:, PARTS["face"]].astype(float)
    actions = np.concatenate([actions, _DIFFERENCE @ actions], axis=1)
    expression = np.zeros((len(error), len(FACIAL_ACTIONS)))
    for start in range(0, len(error), _BLOCK):
        block = slice(start, start + _BLOCK)
        shown = np.einsum("nij,akj->naki", view[block], actions).reshape(len(view[block]), len(actions), -1)
        sure = np.where(used, confidence[block, None], 1).min(axis=2)
        precision = np.concatenate([confidence[block], sure], axis=1) / _NOISE_M**2
        weighted = shown * np.repeat(precision, 2, axis=1)[:, None]
        slope = np.einsum("nap,np->na", weighted, features[block].reshape(len(shown), -1))
        expression[block] = _solve_bounded(weighted @ np.swapaxes(shown, 1, 2), slope)
    return expression


def _usual(features: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What of the errors is the face's own shape: their median over the clip, the less the shorter the clip.

    Where lips and lids part is no matter of shape, nor are their points one by one.
    """
    if not seen.any():
        return np.zeros(features.shape[1:])
    medians = [np.median(feature[seen], axis=0) for feature in features.swapaxes(0, 1)]  # one by one, for memory
    usual = np.stack(medians) * seen.sum() / (seen.sum() + IDENTITY_FRAMES)
    for kind in ("lip", "right_eyelid", "left_eyelid"):
        points = [i for i, name in enumerate(FACE) if kind in name]
        usual[points] = usual[points].mean(axis=0)
    usual[len(FACE) :][~_OWN] = 0
    return usual


def _solve_bounded(curvature: np.ndarray, slope: np.ndarray, sweeps: int = 12) -> np.ndarray:
    """Least squares between 0 and 1 by coordinate descent, strong actions costing."""
    actions = np.arange(slope.shape[1])
    curvature[:, actions, actions] += 1 / ACTION_SPREAD**2
    strength = np.zeros_like(slope)
    for _ in range(sweeps):
        for action in actions:
            pull = slope[:, action] - (curvature[:, action] * strength).sum(axis=1)
            strength[:, action] = np.clip(strength[:, action] + pull / curvature[:, action, action], 0, 1)
    return strength
