"""Normals of a posed mesh, as Warp kernels."""

from typing import no_type_check

import numpy as np
import warp as wp
from jaxtyping import Float32, Int32

from gen.signers.raster import share, start_warp

wp.set_module_options({"enable_backward": False})


@wp.kernel
@no_type_check
def _sum_normals(
    points: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    weld: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
):
    face = wp.tid()
    i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
    across = wp.cross(points[j] - points[i], points[k] - points[i])
    wp.atomic_add(normals, weld[i], across)
    wp.atomic_add(normals, weld[j], across)
    wp.atomic_add(normals, weld[k], across)


@wp.kernel
@no_type_check
def _share_normals(weld: wp.array(dtype=wp.int32), normals: wp.array(dtype=wp.vec3)):
    vertex = wp.tid()
    if weld[vertex] != vertex:
        normals[vertex] = normals[weld[vertex]]


def welded_normals(points: wp.array, faces: wp.array, weld: wp.array) -> wp.array:
    """Normals, not of unit length, for kernels that work on: the sum of the triangles that meet, weighted by area.

    Args:
        points: Posed positions.
        faces: Vertices of each triangle, outside counter-clockwise.
        weld: For each vertex the first one that lies in the same place; they get the same normal.
    """
    normals = wp.zeros(len(points), dtype=wp.vec3, device="cpu")
    wp.launch(_sum_normals, dim=len(faces), inputs=[points, faces, weld, normals], device="cpu")
    wp.launch(_share_normals, dim=len(points), inputs=[weld, normals], device="cpu")
    return normals


def vertex_normals(
    vertices: Float32[np.ndarray, "vertices 3"], faces: Int32[np.ndarray, "faces 3"]
) -> Float32[np.ndarray, "vertices 3"]:
    """Unit normals: the mean of the triangles that meet in a vertex, weighted by area.

    Args:
        vertices: Posed positions.
        faces: Vertices of each triangle, outside counter-clockwise.
    """
    start_warp()
    apart = np.arange(len(vertices), dtype=np.int32)
    arrays = (vertices, wp.vec3), (faces, wp.int32), (apart, wp.int32)
    normals = welded_normals(*(share(np.ascontiguousarray(array), dtype) for array, dtype in arrays)).numpy()
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
