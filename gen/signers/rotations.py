"""Rotation matrices, batched: from and to rotation vectors, between directions, halfway."""

import numpy as np
from jaxtyping import Float


def from_vector(vector: Float[np.ndarray, "*#any 3"]) -> Float[np.ndarray, "*#any 3 3"]:
    """Rotation about `vector` by its length in radians."""
    angle = np.asarray(np.linalg.norm(vector, axis=-1))
    return about(vector / np.maximum(angle, 1e-12)[..., None], angle)


def about(axis: Float[np.ndarray, "*#any 3"], angle: Float[np.ndarray, "*#any"]) -> Float[np.ndarray, "*#any 3 3"]:
    """Rotation about unit `axis` by `angle` radians; one axis serves many angles."""
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*axis.shape, 3)
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def to_vector(rotation: Float[np.ndarray, "*#any 3 3"]) -> Float[np.ndarray, "*#any 3"]:
    """Inverse of `from_vector`, of length at most pi."""
    w, vector = _quaternion(rotation)
    length = np.linalg.norm(vector, axis=-1)
    angle = 2 * np.arctan2(length, w)
    return vector * np.where(length > 1e-7, angle / np.maximum(length, 1e-7), 2.0)[..., None]


def _quaternion(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real part, not negative, and vector part of the unit quaternion."""
    r = rotation
    diagonal = np.stack([r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]], axis=-1)
    w = 0.5 * np.sqrt(np.maximum(1 + diagonal.sum(-1), 0))
    size = 0.5 * np.sqrt(np.maximum(1 + 2 * diagonal - diagonal.sum(-1, keepdims=True), 0))
    skew = np.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], axis=-1)
    # Near half a turn the skew part vanishes, so signs come from products with the largest component.
    largest = size.argmax(axis=-1)[..., None]
    row = np.take_along_axis(r + np.swapaxes(r, -1, -2), largest[..., None], axis=-2)[..., 0, :]
    sign = np.where(np.arange(3) == largest, 1.0, np.sign(row))
    sign = sign * np.where(np.take_along_axis(skew, largest, axis=-1) < 0, -1.0, 1.0)
    far = size * sign
    near = skew / (4 * np.maximum(w, 1e-9))[..., None]
    return w, np.where((w > 0.1)[..., None], near, far)


def between(start: Float[np.ndarray, "*#any 3"], stop: Float[np.ndarray, "*#any 3"]) -> Float[np.ndarray, "*#any 3 3"]:
    """The smallest rotation that takes direction `start` to direction `stop`."""
    start, stop = unit(start), unit(stop)
    axis = np.cross(start, stop)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (start * stop).sum(-1))
    return from_vector(axis * (angle / np.maximum(sine, 1e-9))[..., None])


def frame(along: Float[np.ndarray, "*#any 3"], beside: Float[np.ndarray, "*#any 3"]) -> Float[np.ndarray, "*#any 3 3"]:
    """Right-handed frame: first column `along`, second as near to `beside` as can be."""
    along = unit(along)
    beside = unit(beside - (beside * along).sum(-1, keepdims=True) * along)
    return np.stack([along, beside, np.cross(along, beside)], axis=-1)


def partway(rotation: Float[np.ndarray, "*#any 3 3"], share: float) -> Float[np.ndarray, "*#any 3 3"]:
    """`share` of a rotation, along the shortest way from none."""
    return from_vector(to_vector(rotation) * share)


def twist_about(
    rotation: Float[np.ndarray, "*#any 3 3"], axis: Float[np.ndarray, "*#any 3"]
) -> Float[np.ndarray, "*#any"]:
    """How far `rotation` turns about unit `axis`, radians, the rest being a swing of the axis."""
    w, vector = _quaternion(rotation)
    turn = 2 * np.arctan2((vector * axis).sum(-1), w)
    return (turn + np.pi) % (2 * np.pi) - np.pi


def unit(vector: Float[np.ndarray, "*#any 3"]) -> Float[np.ndarray, "*#any 3"]:
    """The vector at length 1."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def nearest(matrix: Float[np.ndarray, "*#any 3 3"]) -> Float[np.ndarray, "*#any 3 3"]:
    """The rotation nearest to a matrix."""
    left, _, right = np.linalg.svd(matrix)
    flip = np.ones((*matrix.shape[:-2], 1, 3))
    flip[..., 0, 2] = np.sign(np.linalg.det(left @ right))
    return (left * flip) @ right
