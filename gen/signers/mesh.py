"""Normals of a posed mesh."""

import numpy as np
from jaxtyping import Float32, Int32
from scipy.sparse import csr_matrix


def incidence(faces: Int32[np.ndarray, "faces 3"], num_vertices: int) -> csr_matrix:
    """Which triangles meet in each vertex, as a matrix of vertices by triangles that sums over them."""
    triangles = np.repeat(np.arange(len(faces)), 3)
    ones = np.ones(3 * len(faces), np.float32)
    return csr_matrix((ones, (faces.ravel(), triangles)), shape=(num_vertices, len(faces)))


def vertex_normals(
    vertices: Float32[np.ndarray, "vertices 3"], faces: Int32[np.ndarray, "faces 3"], meeting: csr_matrix
) -> Float32[np.ndarray, "vertices 3"]:
    """Unit normals: the mean of the triangles that meet in a vertex, weighted by area.

    Args:
        vertices: Posed positions.
        faces: Vertices of each triangle, outside counter-clockwise.
        meeting: From `incidence`.
    """
    start, second, third = vertices.T[:, faces.T].transpose(1, 0, 2)
    one, other = second - start, third - start
    across = np.empty((len(faces), 3), np.float32)
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        across[:, axis] = one[after] * other[last] - one[last] * other[after]
    normals = meeting @ across
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
