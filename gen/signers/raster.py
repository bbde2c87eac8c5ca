"""A z-buffer rasterizer as Warp kernels: which triangle each pixel sees, where on it, and how far away.

The same kernels run on the CPU, one thread, and on a GPU: pixels are claimed by an atomic minimum over depth and
triangle number packed in one integer, so the picture doesn't depend on the order of the triangles.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, no_type_check

import numpy as np
import warp as wp
from jaxtyping import Float32, Int32

from poses.quiet import quiet_stderr

wp.config.log_level = wp.LOG_WARNING
wp.set_module_options({"enable_backward": False})

SUBPIXELS = 256
"""Corners are snapped to 1/256 pixel, so that triangles sharing an edge agree exactly on who owns each pixel."""

_SUBPIXELS = wp.constant(float(SUBPIXELS))
_ONE = wp.constant(wp.int64(SUBPIXELS))
_HALF = wp.constant(wp.int64(SUBPIXELS // 2))
DEPTH_STEPS = float(1 << 20)
"""Depths are compared in steps of 2^-20: a micrometre, for metres."""

EMPTY = 0x7FFFFFFFFFFFFFFF
"""What `claim_pixels` says of a pixel that no triangle covers."""

_DEPTH_STEPS = wp.constant(DEPTH_STEPS)
_EMPTY = wp.constant(wp.int64(EMPTY))
_FACE_BITS = wp.constant(wp.int64(32))
_FACE_MASK = wp.constant(wp.int64(0xFFFFFFFF))
MAX_DEPTH = 2000.0
"""Depths must lie within plus or minus this."""


@dataclass(frozen=True)
class Raster:
    """What every pixel sees."""

    face: Int32[np.ndarray, "height width"]
    """The number of the nearest triangle, -1 where there is none."""
    barycentric: Float32[np.ndarray, "height width 2"]
    """Weights of the triangle's second and third corner at the pixel's centre."""
    depth: Float32[np.ndarray, "height width"]
    """Depth of the nearest triangle, infinite where there is none."""


@wp.func
@no_type_check
def _snap(point: wp.vec3) -> wp.vec2l:
    return wp.vec2l(wp.int64(wp.floor(point[0] * _SUBPIXELS + 0.5)), wp.int64(wp.floor(point[1] * _SUBPIXELS + 0.5)))


@wp.func
@no_type_check
def _edge(a: wp.vec2l, b: wp.vec2l, p: wp.vec2l) -> wp.int64:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


@wp.func
@no_type_check
def _owned(a: wp.vec2l, b: wp.vec2l) -> wp.int64:
    """0 if points on the edge from a to b belong to the triangle (a top or left edge), 1 if they don't."""
    right = b[0] - a[0]
    down = b[1] - a[1]
    outside = wp.int64(1)
    if down < wp.int64(0) or (down == wp.int64(0) and right > wp.int64(0)):
        outside = wp.int64(0)
    return outside


@wp.kernel
@no_type_check
def _claim_pixels(
    screen: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    cut: wp.array(dtype=wp.float32),
    use_cut: bool,
    width: int,
    height: int,
    nearest: wp.array2d(dtype=wp.int64),
):
    face = wp.tid()
    i = int(faces[face, 0])
    j = int(faces[face, 1])
    k = int(faces[face, 2])
    if use_cut and cut[i] < 0.0 and cut[j] < 0.0 and cut[k] < 0.0:
        return
    if _edge(_snap(screen[i]), _snap(screen[j]), _snap(screen[k])) < wp.int64(0):
        j = int(faces[face, 2])
        k = int(faces[face, 1])
    a, b, c = _snap(screen[i]), _snap(screen[j]), _snap(screen[k])
    area = _edge(a, b, c)
    if area == wp.int64(0):
        return
    one = _ONE
    half = _HALF
    # Pixel (x, y) is sampled at its centre, (x + 0.5, y + 0.5). Right shifts round down, also below zero.
    shift = wp.int64(8)
    x0 = wp.max((wp.min(wp.min(a[0], b[0]), c[0]) + half - wp.int64(1)) >> shift, wp.int64(0))
    x1 = wp.min((wp.max(wp.max(a[0], b[0]), c[0]) - half) >> shift, wp.int64(width - 1))
    y0 = wp.max((wp.min(wp.min(a[1], b[1]), c[1]) + half - wp.int64(1)) >> shift, wp.int64(0))
    y1 = wp.min((wp.max(wp.max(a[1], b[1]), c[1]) - half) >> shift, wp.int64(height - 1))
    if x0 > x1 or y0 > y1:
        return
    start = wp.vec2l(x0 * one + half, y0 * one + half)
    row_a = wp.int64(_edge(b, c, start))
    row_b = wp.int64(_edge(c, a, start))
    row_c = wp.int64(_edge(a, b, start))
    own_a, own_b, own_c = _owned(b, c), _owned(c, a), _owned(a, b)
    right_a, right_b, right_c = (b[1] - c[1]) * one, (c[1] - a[1]) * one, (a[1] - b[1]) * one
    down_a, down_b, down_c = (c[0] - b[0]) * one, (a[0] - c[0]) * one, (b[0] - a[0]) * one
    inverse = 1.0 / float(area)
    depth_a, depth_b, depth_c = screen[i][2], screen[j][2], screen[k][2]
    for y in range(int(y0), int(y1) + 1):
        at_a = wp.int64(row_a)
        at_b = wp.int64(row_b)
        at_c = wp.int64(row_c)
        for x in range(int(x0), int(x1) + 1):
            if at_a >= own_a and at_b >= own_b and at_c >= own_c:
                weight_b = float(at_b) * inverse
                weight_c = float(at_c) * inverse
                weight_a = 1.0 - weight_b - weight_c
                kept = True
                if use_cut:
                    kept = weight_a * cut[i] + weight_b * cut[j] + weight_c * cut[k] >= 0.0
                if kept:
                    depth = weight_a * depth_a + weight_b * depth_b + weight_c * depth_c
                    key = (wp.int64(depth * _DEPTH_STEPS) << _FACE_BITS) | wp.int64(face)
                    wp.atomic_min(nearest, y, x, key)
            at_a += right_a
            at_b += right_b
            at_c += right_c
        row_a += down_a
        row_b += down_b
        row_c += down_c


@wp.kernel
@no_type_check
def _locate_pixels(
    screen: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    nearest: wp.array2d(dtype=wp.int64),
    face: wp.array2d(dtype=wp.int32),
    barycentric: wp.array2d(dtype=wp.vec2),
    depth: wp.array2d(dtype=wp.float32),
):
    y, x = wp.tid()
    key = nearest[y, x]
    if key == _EMPTY:
        face[y, x] = -1
        barycentric[y, x] = wp.vec2(0.0, 0.0)
        depth[y, x] = wp.inf
        return
    found = wp.int32(key & _FACE_MASK)
    i, j, k = faces[found, 0], faces[found, 1], faces[found, 2]
    a, b, c = _snap(screen[i]), _snap(screen[j]), _snap(screen[k])
    point = wp.vec2l(wp.int64(x) * _ONE + _HALF, wp.int64(y) * _ONE + _HALF)
    inverse = 1.0 / float(_edge(a, b, c))
    weight_b = float(_edge(c, a, point)) * inverse
    weight_c = float(_edge(a, b, point)) * inverse
    face[y, x] = found
    barycentric[y, x] = wp.vec2(weight_b, weight_c)
    depth[y, x] = (1.0 - weight_b - weight_c) * screen[i][2] + weight_b * screen[j][2] + weight_c * screen[k][2]


@wp.kernel
@no_type_check
def _interpolate(
    face: wp.array2d(dtype=wp.int32),
    barycentric: wp.array2d(dtype=wp.vec2),
    faces: wp.array2d(dtype=wp.int32),
    attributes: wp.array2d(dtype=wp.float32),
    values: wp.array3d(dtype=wp.float32),
):
    y, x = wp.tid()
    found = face[y, x]
    if found < 0:
        return
    weights = barycentric[y, x]
    i, j, k = faces[found, 0], faces[found, 1], faces[found, 2]
    weight = 1.0 - weights[0] - weights[1]
    for channel in range(attributes.shape[1]):
        values[y, x, channel] = (
            weight * attributes[i, channel] + weights[0] * attributes[j, channel] + weights[1] * attributes[k, channel]
        )


@cache
def start_warp() -> None:
    """Starts Warp without its compiled part's warning of a missing GPU driver, which no log level holds back."""
    with quiet_stderr():
        wp.init()


def claim_pixels(
    screen: Float32[np.ndarray, "vertices 3"],
    faces: Int32[np.ndarray, "faces 3"],
    *,
    height: int,
    width: int,
    cut: Float32[np.ndarray, " vertices"] | None = None,
) -> wp.array:
    """The first half of `rasterize`, for kernels that work on: for every pixel one integer, `EMPTY` or depth and face.

    The upper 32 bits hold the depth in `DEPTH_STEPS`, the lower 32 the number of the triangle.
    """
    if (screen.size and not np.abs(screen[:, 2]).max() <= MAX_DEPTH) or not np.isfinite(screen).all():
        raise ValueError(f"`screen` must be finite with depths within ±{MAX_DEPTH:g}.")
    start_warp()
    field = share(np.zeros(1, np.float32) if cut is None else np.ascontiguousarray(cut), wp.float32)
    nearest = wp.full((height, width), value=_EMPTY, dtype=wp.int64, device="cpu")
    inputs = [
        share(np.ascontiguousarray(screen), wp.vec3),
        share(np.ascontiguousarray(faces), wp.int32),
        field,
        cut is not None,
        width,
        height,
        nearest,
    ]
    wp.launch(_claim_pixels, dim=len(faces), inputs=inputs, device="cpu")
    return nearest


def rasterize(
    screen: Float32[np.ndarray, "vertices 3"],
    faces: Int32[np.ndarray, "faces 3"],
    *,
    height: int,
    width: int,
    cut: Float32[np.ndarray, " vertices"] | None = None,
) -> Raster:
    """Finds the nearest triangle of every pixel, seen from either side.

    Args:
        screen: Corners in pixels (x right, y down, pixel centres at halves) and depth, larger is farther.
        faces: Vertex numbers of every triangle.
        height: Rows of the raster.
        width: Columns of the raster.
        cut: A field over the vertices; where its linear interpolation is below zero, the surface isn't there.

    Raises:
        ValueError: The corners aren't finite, or are deeper than `MAX_DEPTH`.
    """
    nearest = claim_pixels(screen, faces, height=height, width=width, cut=cut)
    corners, triangles = share(np.ascontiguousarray(screen), wp.vec3), share(np.ascontiguousarray(faces), wp.int32)
    raster = Raster(
        np.empty((height, width), np.int32),
        np.empty((height, width, 2), np.float32),
        np.empty((height, width), np.float32),
    )
    outputs = [share(raster.face, wp.int32), share(raster.barycentric, wp.vec2), share(raster.depth, wp.float32)]
    wp.launch(_locate_pixels, dim=(height, width), inputs=[corners, triangles, nearest, *outputs], device="cpu")
    return raster


def interpolate(
    raster: Raster, faces: Int32[np.ndarray, "faces 3"], attributes: Float32[np.ndarray, "vertices channels"]
) -> Float32[np.ndarray, "height width channels"]:
    """Carries values from the vertices to the pixels that see them; pixels that see nothing hold zero."""
    values = np.zeros((*raster.face.shape, attributes.shape[1]), np.float32)
    inputs = [
        share(raster.face, wp.int32),
        share(raster.barycentric, wp.vec2),
        share(np.ascontiguousarray(faces), wp.int32),
        share(np.ascontiguousarray(attributes), wp.float32),
        share(values, wp.float32),
    ]
    wp.launch(_interpolate, dim=raster.face.shape, inputs=inputs, device="cpu")
    return values


def share(array: np.ndarray, dtype: Any) -> wp.array:
    """Shows a NumPy array to the kernels without copying it; it must be contiguous."""
    assert array.flags.c_contiguous
    return wp.array(array, dtype=dtype, device="cpu", copy=False)
