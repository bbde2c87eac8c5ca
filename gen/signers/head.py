"""A head fitted to its points in the picture: how it is turned, how large it is, what the face does.

World axes: x to the signer's left, y away from the camera, z up, metres. The camera sees x and z.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from gen.signers import rotations
from gen.signers.body import Body
from gen.signers.face import fit_expression
from gen.signers.timeline import interpolate
from poses.keypoints import FACE, PARTS, index

HEAD_POINTS = (*index("nose", "right_eye", "left_eye", "right_ear", "left_ear"), *range(*PARTS["face"].indices(128)))
"""The points that move with the head."""

POINT_NOISE_M = 0.005
"""Spread of estimated head points about the true ones, differences between faces included."""

TURN_SPREAD = np.radians(40)
"""How far heads turn from facing the camera; what holds a head whose points do not tell."""

SIZE_SPREAD = 0.04
"""How far a head's size strays over a clip, relative."""

SIZE_RANGE = (0.75, 1.35)
"""Smallest and largest head against the body's."""


LEAST_WEIGHT = 0.8
"""Points that together tell less than this (1 is a nose) leave the head as it is in the frames around."""

_BLOCK = 512
"""Frames worked on at once, so that memory doesn't grow with the clip."""


@dataclass(frozen=True, eq=False)
class HeadPose:
    """A head over time.

    Attributes:
        rotation: From rest.
        scale: Size against the body's.
        place: The head bone's joint in the picture, x and z.
        expression: Strength of each facial action.
    """

    rotation: Float[np.ndarray, "frames 3 3"]
    scale: Float[np.ndarray, " frames"]
    place: Float[np.ndarray, "frames 2"]
    expression: Float[np.ndarray, "frames actions"]


_STEADY = {"nose_bridge": 1.0, "nose_base": 1.0, "eyelid": 0.8, "brow": 0.35, "jaw": 0.15, "lip": 0.15}
"""How much each kind of face point tells about the head's turn: those that the face moves tell less."""


def _steadiness() -> np.ndarray:
    body = [1.0, 0.5, 0.5, 0.4, 0.4]
    return np.array(body + [next(value for kind, value in _STEADY.items() if kind in name) for name in FACE])


def fit_head(
    body: Body,
    points: Float[np.ndarray, "frames 128 2"],
    confidence: Float[np.ndarray, "frames 128"],
    free: Float[np.ndarray, "frames 2"],
) -> HeadPose:
    """Head poses that put the head's points where they were seen; a head that was never seen looks ahead.

    Args:
        body: The body whose head it is.
        points: Where the points were seen, x and z in metres.
        confidence: How sure they are.
        free: Where the head's joint would be if the neck did not bend.
    """
    origin = body.heads[body.bone("head")].astype(float)
    rest = body.keypoints[list(HEAD_POINTS)] - origin
    seen = points[:, HEAD_POINTS].astype(float)
    sure = confidence[:, HEAD_POINTS].astype(float)
    weight = sure * _steadiness()
    clear = weight.sum(axis=1) > LEAST_WEIGHT
    num_frames = len(seen)
    rotation, scale, place = np.tile(np.eye(3), (num_frames, 1, 1)), np.ones(num_frames), free.astype(float)
    if clear.any():
        pose = _in_blocks(_first_guess, rest, seen[clear], weight[clear])
        prior = np.ones(clear.sum())
        for spread in (0.3, SIZE_SPREAD):
            pose = _in_blocks(partial(_refine, size_spread=spread), rest, seen[clear], weight[clear], *pose, prior)
            prior = np.full(clear.sum(), np.clip(np.median(pose[1]), *SIZE_RANGE))
        rotation[clear], scale[clear], place[clear] = pose
        rotation = rotations.nearest(interpolate(rotation, clear))
        scale = interpolate(scale, clear)
        place = free + interpolate(place - free, clear)
    view = rotation[:, [0, 2]] * scale[:, None, None]
    error = seen[:, 5:] - rest[5:] @ np.swapaxes(view, 1, 2) - place[:, None]
    return HeadPose(rotation, scale, place, fit_expression(body, view, error, sure[:, 5:]))


def _in_blocks(guess, rest, *by_frame):
    """What `guess` says of turn, size and place of every frame's head, some frames at a time."""
    starts = range(0, len(by_frame[0]), _BLOCK)
    done = [guess(rest, *(of[start : start + _BLOCK] for of in by_frame)) for start in starts]
    return tuple(np.concatenate(parts) for parts in zip(*done, strict=True))


def _first_guess(rest, seen, weight):
    """Upright heads, rolled as the line through eyes and ears is, in the right place."""
    total = np.maximum(weight.sum(axis=1), 1e-6)[:, None]
    middle_seen = (weight[..., None] * seen).sum(axis=1) / total
    middle_rest = weight @ rest / total
    flat = (rest[None] - middle_rest[:, None])[..., [0, 2]]
    offset = seen - middle_seen[:, None]
    # The best similarity in the picture, as a complex number.
    a = weight * (flat[..., 0] - 1j * flat[..., 1])
    similarity = (a * (offset[..., 0] + 1j * offset[..., 1])).sum(1) / np.maximum(
        (np.abs(a) * np.abs(flat[..., 0] + 1j * flat[..., 1])).sum(1), 1e-9
    )
    roll = np.where(np.abs(similarity) > 1e-6, np.angle(similarity), 0)
    scale = np.clip(np.abs(similarity), *SIZE_RANGE)
    zero = np.zeros_like(roll)
    rotation = rotations.from_vector(np.stack([zero, -roll, zero], axis=-1))
    place = middle_seen - scale[:, None] * np.einsum("nij,nj->ni", rotation, middle_rest)[:, [0, 2]]
    return rotation, scale, place


def _refine(rest, seen, weight, rotation, scale, place, prior, size_spread, iterations=8):
    """Gauss-Newton on turn, size and place of every frame's head."""
    precision = weight / POINT_NOISE_M**2
    for _ in range(iterations):
        turned = np.einsum("nij,kj->nki", rotation, rest) * scale[:, None, None]
        error = turned[..., [0, 2]] + place[:, None] - seen
        robust = precision / (1 + (error**2).sum(-1) / (4 * POINT_NOISE_M) ** 2) ** 2
        jacobian = np.zeros((*error.shape, 6))
        x, y, z = np.moveaxis(turned, -1, 0)
        jacobian[:, :, 0, 0] = jacobian[:, :, 1, 1] = 1
        jacobian[:, :, 0, 2], jacobian[:, :, 1, 2] = x, z
        jacobian[:, :, 1, 3], jacobian[:, :, 0, 4] = y, z
        jacobian[:, :, 1, 4], jacobian[:, :, 0, 5] = -x, -y
        jacobian = jacobian.reshape(len(error), -1, 6)
        weighted = jacobian * np.repeat(robust, 2, axis=1)[..., None]
        gradient = np.einsum("npi,np->ni", weighted, error.reshape(len(error), -1))
        curvature = np.swapaxes(weighted, 1, 2) @ jacobian
        curvature += np.diag([1e-3, 1e-3, 0, 0, 0, 0])
        gradient[:, 2] += np.log(scale / prior) / size_spread**2
        curvature[:, 2, 2] += 1 / size_spread**2
        gradient[:, 3:] += rotations.to_vector(rotation) / TURN_SPREAD**2
        curvature[:, [3, 4, 5], [3, 4, 5]] += 1 / TURN_SPREAD**2
        step = -np.linalg.solve(curvature, gradient[..., None])[..., 0]
        place = place + step[:, :2]
        scale = np.clip(scale * np.exp(np.clip(step[:, 2], -0.2, 0.2)), 0.3, 3)
        turn = step[:, 3:]
        turn = turn * np.minimum(1, 0.5 / np.maximum(np.linalg.norm(turn, axis=1, keepdims=True), 1e-9))
        rotation = rotations.from_vector(turn) @ rotation
    return rotation, scale, place
