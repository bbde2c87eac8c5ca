"""Paints a frame's maps from what the rasterizer found, pixel by pixel, as Warp kernels."""

from typing import no_type_check

import cv2
import numpy as np
import warp as wp
from jaxtyping import Float32, Int32, UInt8

from gen.signers.raster import Raster, share

wp.set_module_options({"enable_backward": False})

BAND = 0.12
"""Hair and loose clothes reach beyond the body: up to this share of the frame's width around it, they come along."""
DEPTH_RANGE_M = 1.2
"""Depth of what the depth map tells apart, its middle at the body's."""
LIGHT_RANGE = (0.3, 1.7)
"""Least and most light a surface gets, relative to what it gets on average."""
FARTHEST = 0.04
"""Corners of a triangle lie no farther apart in the picture, as a share of its width, than this."""

_LEAST_LIGHT, _MOST_LIGHT = wp.constant(LIGHT_RANGE[0]), wp.constant(LIGHT_RANGE[1])
_DEPTH_RANGE = wp.constant(DEPTH_RANGE_M)


@wp.func
@no_type_check
def _weights(barycentric: wp.vec2):
    return wp.vec3(1.0 - barycentric[0] - barycentric[1], barycentric[0], barycentric[1])


@wp.kernel
@no_type_check
def _find_sources(
    face: wp.array2d(dtype=wp.int32),
    barycentric: wp.array2d(dtype=wp.vec2),
    faces: wp.array2d(dtype=wp.int32),
    group: wp.array(dtype=wp.int32),
    vertex_xy: wp.array(dtype=wp.vec2),
    vertex_seen: wp.array(dtype=wp.float32),
    likeness: wp.array(dtype=wp.vec4),
    farthest: float,
    source: wp.array2d(dtype=wp.vec3),
    like: wp.array2d(dtype=wp.vec4),
    far: wp.array2d(dtype=wp.uint8),
):
    """Where in the picture each pixel of the body lies and how well it is seen there, and what it looks like.

    Marks what is seen of head and torso with 0.
    """
    y, x = wp.tid()
    found = face[y, x]
    if found < 0:
        return
    weight = _weights(barycentric[y, x])
    xy = wp.vec2(0.0, 0.0)
    seen = wp.float32(0.0)
    alike = wp.vec4(0.0, 0.0, 0.0, 0.0)
    nearest = wp.int32(0)
    for corner in range(3):
        vertex = faces[found, corner]
        xy += vertex_xy[vertex] * weight[corner]
        seen += vertex_seen[vertex] * weight[corner]
        alike += likeness[vertex] * weight[corner]
        if weight[corner] > weight[nearest]:
            nearest = corner
    # Between corners that look like distant places there is nothing.
    at = likeness[faces[found, nearest]]
    for corner in range(3):
        away = likeness[faces[found, corner]] - at
        if wp.max(wp.abs(away[0]), wp.abs(away[1])) > farthest:
            alike = at
    source[y, x] = wp.vec3(xy[0] - 0.5, xy[1] - 0.5, seen)
    like[y, x] = wp.vec4(alike[0] - 0.5, alike[1] - 0.5, alike[2], alike[3])
    if group[found] > 2 and seen > 0.5:
        far[y, x] = wp.uint8(0)


@wp.func
@no_type_check
def _pixel(picture: wp.array3d(dtype=wp.uint8), y: int, x: int):
    row = wp.clamp(y, 0, picture.shape[0] - 1)
    column = wp.clamp(x, 0, picture.shape[1] - 1)
    return wp.vec3(float(picture[row, column, 0]), float(picture[row, column, 1]), float(picture[row, column, 2]))


@wp.func
@no_type_check
def _sample(picture: wp.array3d(dtype=wp.uint8), x: float, y: float):
    left = int(wp.floor(x))
    top = int(wp.floor(y))
    right = x - float(left)
    down = y - float(top)
    upper = _pixel(picture, top, left) * (1.0 - right) + _pixel(picture, top, left + 1) * right
    lower = _pixel(picture, top + 1, left) * (1.0 - right) + _pixel(picture, top + 1, left + 1) * right
    return upper * (1.0 - down) + lower * down


@wp.func
@no_type_check
def _outlined(outline: wp.array2d(dtype=wp.uint8), y: float, x: float):
    row = wp.clamp(int(wp.round(y)), 0, outline.shape[0] - 1)
    column = wp.clamp(int(wp.round(x)), 0, outline.shape[1] - 1)
    return float(outline[row, column]) / 255.0


@wp.func
@no_type_check
def _byte(value: float):
    return wp.uint8(wp.clamp(value, 0.0, 255.0))


@wp.kernel
@no_type_check
def _paint(
    face: wp.array2d(dtype=wp.int32),
    barycentric: wp.array2d(dtype=wp.vec2),
    depth: wp.array2d(dtype=wp.float32),
    faces: wp.array2d(dtype=wp.int32),
    part: wp.array(dtype=wp.int32),
    group: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
    image: wp.array3d(dtype=wp.uint8),
    plate: wp.array3d(dtype=wp.uint8),
    background: wp.array3d(dtype=wp.uint8),
    outline: wp.array2d(dtype=wp.uint8),
    colours: wp.array(dtype=wp.vec3),
    light: wp.vec4,
    source: wp.array2d(dtype=wp.vec3),
    like: wp.array2d(dtype=wp.vec4),
    distance: wp.array2d(dtype=wp.float32),
    label: wp.array2d(dtype=wp.int32),
    nearest: wp.array(dtype=wp.int32),
    band: float,
    middle: float,
    out: wp.array3d(dtype=wp.uint8),
):
    y, x = wp.tid()
    found = face[y, x]
    if found < 0:
        colour = _pixel(background, y, x)
        if distance[y, x] < band:
            # Around head and torso, what of the signer lies beside the nearest body pixel in the picture comes along,
            # where that is at their outline there, too.
            pixel = nearest[label[y, x]]
            row = pixel // face.shape[1]
            column = pixel - row * face.shape[1]
            at = source[row, column]
            across = float(x - column) + at[0]
            down = float(y - row) + at[1]
            share = _outlined(outline, down, across)
            if share > 0.0 and _outlined(outline, at[1], at[0]) > 0.0:
                colour += (_sample(plate, across, down) - colour) * share
        for channel in range(3):
            out[y, x, channel] = _byte(colour[channel])
            out[y, x, 4 + channel] = wp.uint8(128)
        out[y, x, 3] = wp.uint8(0)
        out[y, x, 7] = wp.uint8(0)
        out[y, x, 8] = wp.uint8(0)
        return
    weight = _weights(barycentric[y, x])
    normal = wp.vec3(0.0, 0.0, 0.0)
    for corner in range(3):
        normal += normals[faces[found, corner]] * weight[corner]
    alike = like[y, x]
    shade = light[0] + light[1] * normal[0] + light[2] * normal[1] + light[3] * normal[2]
    shade = wp.clamp(shade, _LEAST_LIGHT, _MOST_LIGHT)
    colour = colours[group[found]] * shade
    carried = wp.float32(0.0)
    if group[found] > 0:
        carried = wp.clamp(alike[2] - 0.5, 0.0, 0.5) * 2.0
    if carried > 0.0:
        # All but arms is taken from the plate, so that the picture's own hands don't come along.
        brighter = shade / alike[3]
        if group[found] < 3:
            colour += (_sample(image, alike[0], alike[1]) * brighter - colour) * carried
        else:
            colour += (_sample(plate, alike[0], alike[1]) * brighter - colour) * carried
    for channel in range(3):
        out[y, x, channel] = _byte(colour[channel])
        out[y, x, 4 + channel] = _byte(normal[channel] * 127.0 + 128.0)
    out[y, x, 3] = _byte(carried * 255.0)
    out[y, x, 7] = _byte((0.5 - (depth[y, x] - middle) / _DEPTH_RANGE) * 255.0)
    out[y, x, 8] = wp.uint8(part[found] + 1)


class Painter:
    """A signer's picture and a body, ready to be painted in any pose.

    Args:
        image: The picture.
        plate: The picture without arms and hands.
        background: The picture without the signer.
        outline: How much each pixel of the plate shows the signer, at most a little inside head and torso.
        vertex_xy: Where each vertex lies in the picture, in pixels.
        vertex_seen: 1 where the picture shows the vertex, 0 where not.
        likeness: What each vertex looks like: x and y in the picture, or in the mirrored one on its right, whether that
            is known, 0 or 1, and how much light it gets there.
        colours: Of each group of parts: hand, forearm, upper arm, then all that isn't a limb.
        light: Brightness as `light[0] + light[1:] @ normal`.
        faces: Vertices of each triangle.
        part: Part of each triangle.
        group: Group of each triangle.
    """

    def __init__(
        self,
        *,
        image: UInt8[np.ndarray, "h w 3"],
        plate: UInt8[np.ndarray, "h w 3"],
        background: UInt8[np.ndarray, "h w 3"],
        outline: UInt8[np.ndarray, "h w"],
        vertex_xy: Float32[np.ndarray, "vertices 2"],
        vertex_seen: Float32[np.ndarray, " vertices"],
        likeness: Float32[np.ndarray, "vertices 4"],
        colours: Float32[np.ndarray, "groups 3"],
        light: Float32[np.ndarray, " 4"],
        faces: Int32[np.ndarray, "faces 3"],
        part: Int32[np.ndarray, " faces"],
        group: Int32[np.ndarray, " faces"],
    ):
        self._sight = [share(vertex_xy, wp.vec2), share(vertex_seen, wp.float32), share(likeness, wp.vec4)]
        image, plate = (np.concatenate([picture, picture[:, ::-1]], axis=1) for picture in (image, plate))
        self._looks = [
            *(share(picture, wp.uint8) for picture in (image, plate, background, outline)),
            share(colours, wp.vec3),
        ]
        self._looks.append(wp.vec4(*light.tolist()))
        self._faces, self._part, self._group = (share(array, wp.int32) for array in (faces, part, group))

    def paint(
        self, raster: Raster, normals: Float32[np.ndarray, "vertices 3"], middle: float, out: UInt8[np.ndarray, "h w _"]
    ) -> None:
        """Paints the composite (RGB), carried, normal, depth and part into the first nine channels of `out`.

        Args:
            raster: What each pixel sees of the posed body.
            normals: Of the posed body.
            middle: Depth of the body's middle.
            out: Maps of the frame.
        """
        height, width = raster.face.shape
        source, like = (np.zeros((height, width, depth), np.float32) for depth in (3, 4))
        far = np.ones((height, width), np.uint8)
        seen = [share(raster.face, wp.int32), share(raster.barycentric, wp.vec2)]
        sources = [share(source, wp.vec3), share(like, wp.vec4)]
        inputs = [*seen, self._faces, self._group, *self._sight, FARTHEST * width, *sources, share(far, wp.uint8)]
        wp.launch(_find_sources, dim=far.shape, inputs=inputs, device="cpu")
        distance, label = cv2.distanceTransformWithLabels(far, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
        core = np.flatnonzero(far == 0)
        nearest = np.zeros(int(label.max()) + 1, np.int32)
        nearest[label.ravel()[core]] = core
        inputs = [
            *seen,
            share(raster.depth, wp.float32),
            self._faces,
            self._part,
            self._group,
            share(normals, wp.vec3),
            *self._looks,
            *sources,
            share(distance, wp.float32),
            share(label, wp.int32),
            share(nearest, wp.int32),
            BAND * width if len(core) else 0.0,
            middle,
            share(out, wp.uint8),
        ]
        wp.launch(_paint, dim=far.shape, inputs=inputs, device="cpu")
