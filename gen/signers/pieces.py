"""The meshes that a dressed figure is put together from, and what is done to meshes at rest."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags, identity

SURFACES = ("skin", "face", "eye", "mouth", "hair", "top", "sleeve", "bottom", "jacket", "jacket_sleeve", "plastic")
"""What a triangle is made of: the number of its texture. Hair and all after it is seen from both sides."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A mesh that becomes part of a figure; fields as in `Figure`."""

    binding: csr_matrix
    origin: np.ndarray
    """Vertices that share a place share this number."""
    faces: np.ndarray
    surface: np.ndarray
    colour: np.ndarray
    uv: np.ndarray
    offset: np.ndarray
    cut: np.ndarray


def compact(piece: Piece) -> Piece:
    """Drops vertices that no face uses."""
    used, faces = np.unique(piece.faces, return_inverse=True)
    return Piece(
        binding=csr_matrix(piece.binding[used]),
        origin=piece.origin[used],
        faces=faces.reshape(-1, 3),
        surface=piece.surface,
        colour=piece.colour[used],
        uv=piece.uv[used],
        offset=piece.offset[used],
        cut=piece.cut[used],
    )


def split(faces: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives each group of faces vertices of its own; returns the new faces and each new vertex's origin."""
    keys = faces.astype(np.int64) * 64 + group[:, None]
    unique, new = np.unique(keys, return_inverse=True)
    return new.reshape(faces.shape), (unique // 64).astype(int)


def refine(faces: np.ndarray, count: int, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halves every edge of some faces, and cuts their neighbours so that no gap opens.

    Args:
        faces: Triangles.
        count: Number of vertices.
        wanted: Which faces to quarter.

    Returns:
        The new faces, whose new vertices are numbered from `count`, and for each new vertex the two it lies between.
    """
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=-1).reshape(-1, 2)
    edges, edge = np.unique(ends, axis=0, return_inverse=True)
    edge = edge.reshape(-1, 3)
    halved = np.zeros(len(edges), bool)
    halved[edge[wanted]] = True
    middle = np.cumsum(halved) - 1 + count
    cuts = halved[edge].sum(axis=1)

    def turned(which: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, ...]:
        """Corners and edge middles of some faces, beginning with a given corner."""
        order = (first[:, None] + np.arange(3)) % 3
        rows = np.flatnonzero(which)[:, None]
        return (*faces[rows, order].T, *middle[edge[rows, order]].T)

    kept = faces[cuts == 0]
    quartered = cuts == 3
    a, b, c, ab, bc, ca = turned(quartered, np.zeros(quartered.sum(), int))
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    a, b, c, ab, bc, _ = turned(cuts == 2, (halved[edge[cuts == 2]].argmin(axis=1) + 1) % 3)
    thirds = [(ab, b, bc), (a, ab, bc), (a, bc, c)]
    a, b, c, ab, _, _ = turned(cuts == 1, halved[edge[cuts == 1]].argmax(axis=1))
    halves = [(a, ab, c), (ab, b, c)]
    return np.concatenate([kept, *(np.stack(part, axis=1) for part in quarters + thirds + halves)]), edges[halved]


def smoothing_matrix(faces: np.ndarray, count: int, steps: int, strength: float = 0.6) -> csr_matrix:
    """The linear map that moves every vertex towards its neighbours, `steps` times."""
    rows = np.concatenate([faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()])
    columns = np.concatenate([faces[:, [1, 2, 0]].ravel(), faces[:, [0, 1, 2]].ravel()])
    neighbours = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count))
    neighbours.data[:] = 1
    degree = np.maximum(np.asarray(neighbours.sum(axis=1)).ravel(), 1)
    step = (1 - strength) * identity(count, format="csr") + strength * (diags(1 / degree) @ neighbours)
    result = identity(count, format="csr", dtype=np.float32)
    for _ in range(steps):
        result = step @ result
    return result.tocsr()
