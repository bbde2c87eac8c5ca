"""Renders dressed figures: shading, shadows and contact darkening as Warp kernels over the rasterizer's pixels."""

from typing import Any, Protocol, no_type_check, runtime_checkable

import numpy as np
import warp as wp
from jaxtyping import Bool, Float32, UInt8

from gen.signers.appearance import Light
from gen.signers.dress import SHINE, Figure
from gen.signers.mesh import welded_normals
from gen.signers.pieces import SURFACES
from gen.signers.raster import DEPTH_STEPS, EMPTY, claim_pixels, share, start_warp
from gen.signers.scenery import paint_scene
from gen.signers.textures import to_linear

SHADOW_SIZE = 288
"""Pixels along each side of the shadow map."""


wp.set_module_options({"enable_backward": False})

_FACE = wp.constant(SURFACES.index("face"))
_HAIR = wp.constant(SURFACES.index("hair"))
_EMPTY = wp.constant(wp.int64(EMPTY))
_STEP = wp.constant(1.0 / DEPTH_STEPS)
_FACE_BITS = wp.constant(wp.int64(32))
_FACE_MASK = wp.constant(wp.int64(0xFFFFFFFF))


@runtime_checkable
class Projection(Protocol):
    """What a camera must offer."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points in metres to x, y in the unit frame and depth in metres."""
        ...


@wp.struct
@no_type_check
class _Lighting:
    towards_key: wp.vec3
    key: wp.vec3
    sky: wp.vec3
    floor: wp.vec3
    to_light_x: wp.vec3
    to_light_y: wp.vec3
    light_origin: wp.vec2
    light_scale: float
    metres_per_pixel: float


@wp.kernel
@no_type_check
def _move_out(points: wp.array(dtype=wp.vec3), normals: wp.array(dtype=wp.vec3), offset: wp.array(dtype=wp.float32)):
    vertex = wp.tid()
    points[vertex] = points[vertex] + wp.normalize(normals[vertex]) * offset[vertex]


@wp.func
@no_type_check
def _texel(textures: wp.array4d(dtype=wp.uint8), layer: int, y: int, x: int):
    size = textures.shape[1]
    row = ((y % size) + size) % size
    column = ((x % size) + size) % size
    return wp.vec3(
        float(textures[layer, row, column, 0]),
        float(textures[layer, row, column, 1]),
        float(textures[layer, row, column, 2]),
    )


@wp.func
@no_type_check
def _sample_texture(textures: wp.array4d(dtype=wp.uint8), layer: int, uv: wp.vec2):
    size = float(textures.shape[1])
    x = uv[0] * size - 0.5
    y = uv[1] * size - 0.5
    left = int(wp.floor(x))
    top = int(wp.floor(y))
    right = x - float(left)
    down = y - float(top)
    upper = _texel(textures, layer, top, left) * (1.0 - right) + _texel(textures, layer, top, left + 1) * right
    lower = _texel(textures, layer, top + 1, left) * (1.0 - right) + _texel(textures, layer, top + 1, left + 1) * right
    stored = (upper * (1.0 - down) + lower * down) / 255.0
    return wp.cw_mul(stored, stored) * 2.0


@wp.func
@no_type_check
def _depth(key: wp.int64):
    """Depth of a claimed pixel in metres; far away where nothing is."""
    return float(key >> _FACE_BITS) * _STEP


@wp.func
@no_type_check
def _lit(at: wp.vec3, lighting: _Lighting, shadow: wp.array2d(dtype=wp.int64), bias: float):
    """How much of the main light arrives, from 0 to 1."""
    x = (wp.dot(at, lighting.to_light_x) - lighting.light_origin[0]) * lighting.light_scale - 0.5
    y = (wp.dot(at, lighting.to_light_y) - lighting.light_origin[1]) * lighting.light_scale - 0.5
    depth = -wp.dot(at, lighting.towards_key) - bias
    last = shadow.shape[0] - 1
    left = int(wp.floor(x))
    top = int(wp.floor(y))
    right = x - float(left)
    down = y - float(top)
    total = wp.float32(0.0)
    for row in range(2):
        for column in range(2):
            key = shadow[wp.clamp(top + row, 0, last), wp.clamp(left + column, 0, last)]
            if _depth(key) >= depth:
                weight_x = wp.where(column == 1, right, 1.0 - right)
                weight_y = wp.where(row == 1, down, 1.0 - down)
                total += weight_x * weight_y
    return total


@wp.func
@no_type_check
def _openness(
    nearest: wp.array2d(dtype=wp.int64),
    y: int,
    x: int,
    here: float,
    normal: wp.vec3,
    metre: float,
    offsets: wp.array(dtype=wp.vec2),
    first: int,
):
    """How little the surroundings hide the sky, from the depth of the pixels around."""
    hidden = wp.float32(0.0)
    for tap in range(6):
        offset = offsets[first + tap]
        s = wp.clamp(x + int(wp.round(offset[0] * metre)), 0, nearest.shape[1] - 1)
        t = wp.clamp(y + int(wp.round(offset[1] * metre)), 0, nearest.shape[0] - 1)
        away = wp.vec3(float(s - x) / metre, float(t - y) / metre, _depth(nearest[t, s]) - here)
        far = wp.length(away)
        reach = wp.length(offset) * 2.5
        if far > 1.0e-6 and far < reach:
            hidden += wp.max(wp.dot(away, normal) / far - 0.12, 0.0) * (1.0 - far / reach)
    return wp.clamp(1.0 - 0.43 * hidden, 0.0, 1.0)


@wp.func
@no_type_check
def _encode(linear: float):
    """Linear light to sRGB, within half a step of 255; roots are quicker than powers."""
    c = wp.clamp(linear, 0.0, 1.0)
    if c <= 0.0031308:
        return 12.92 * c
    root = wp.sqrt(c)
    fourth = wp.sqrt(root)
    eighth = wp.sqrt(fourth)
    return 0.662002687 * root + 0.684122060 * fourth - 0.323583601 * eighth - 0.0225411470 * c


@wp.kernel
@no_type_check
def _shade(
    nearest: wp.array2d(dtype=wp.int64),
    screen: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    surface: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
    colour: wp.array(dtype=wp.vec3),
    uv: wp.array(dtype=wp.vec2),
    textures: wp.array4d(dtype=wp.uint8),
    shine: wp.array(dtype=wp.vec3),
    lighting: _Lighting,
    shadow: wp.array2d(dtype=wp.int64),
    offsets: wp.array(dtype=wp.vec2),
    background: wp.array2d(dtype=wp.vec3),
    encoded_background: wp.array3d(dtype=wp.uint8),
    drawn: wp.array(dtype=wp.bool),
    alone: bool,
    supersample: int,
    frame: wp.array3d(dtype=wp.uint8),
    alpha: wp.array2d(dtype=wp.uint8),
):
    row, column = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    covered = wp.float32(0.0)
    # Where the samples of a pixel see one smooth surface, the diagonal ones stand for all.
    first = nearest[row * supersample, column * supersample]
    smooth = wp.bool(True)
    empty = wp.bool(True)
    for sample in range(supersample * supersample):
        key = nearest[row * supersample + sample // supersample, column * supersample + sample % supersample]
        if key != _EMPTY:
            empty = False
        if wp.abs(_depth(key) - _depth(first)) > 0.006:
            smooth = False
    if empty:
        for channel in range(3):
            frame[row, column, channel] = encoded_background[row, column, channel]
        alpha[row, column] = wp.uint8(0)
        return
    count = wp.float32(0.0)
    metre = 1.0 / lighting.metres_per_pixel
    half = wp.normalize(lighting.towards_key + wp.vec3(0.0, 0.0, -1.0))
    for sample in range(supersample * supersample):
        y = row * supersample + sample // supersample
        x = column * supersample + sample % supersample
        key = nearest[y, x]
        shaded = not smooth or y - row * supersample == x - column * supersample
        if shaded:
            count += 1.0
        found = wp.int32(key & _FACE_MASK)
        shown = key != _EMPTY
        if shown:
            shown = drawn[found]
        if shaded and not shown and not alone:
            total += background[row, column]
        if shaded and shown:
            covered += 1.0
            i, j, k = faces[found, 0], faces[found, 1], faces[found, 2]
            # Corners relative to the pixel's centre.
            px = screen[i][0] - float(x) - 0.5
            py = screen[i][1] - float(y) - 0.5
            qx = screen[j][0] - float(x) - 0.5
            qy = screen[j][1] - float(y) - 0.5
            rx = screen[k][0] - float(x) - 0.5
            ry = screen[k][1] - float(y) - 0.5
            inverse = 1.0 / ((qx - px) * (ry - py) - (qy - py) * (rx - px))
            a = wp.clamp((qx * ry - qy * rx) * inverse, 0.0, 1.0)
            b = wp.clamp((rx * py - ry * px) * inverse, 0.0, 1.0 - a)
            c = 1.0 - a - b
            normal = wp.normalize(normals[i] * a + normals[j] * b + normals[k] * c)
            layer = surface[found]
            # Both sides of cloth and hair are seen; skin seen from behind lies inside the body.
            if normal[2] > 0.0:
                normal = wp.where(layer >= _HAIR, -normal, wp.normalize(wp.vec3(normal[0], normal[1], -0.02)))
            texture = _sample_texture(textures, layer, uv[i] * a + uv[j] * b + uv[k] * c)
            albedo = wp.cw_mul(colour[i] * a + colour[j] * b + colour[k] * c, texture)
            depth = _depth(key)
            at = wp.vec3(
                (float(x) + 0.5) * lighting.metres_per_pixel, (float(y) + 0.5) * lighting.metres_per_pixel, depth
            )
            facing = wp.dot(normal, lighting.towards_key)
            wrap = shine[layer][2]
            diffuse = wp.max((facing + wrap) / (1.0 + wrap), 0.0)
            arriving = wp.float32(0.0)
            if diffuse > 0.0:
                arriving = _lit(at + normal * 0.004, lighting, shadow, 0.004 + 0.006 * (1.0 - wp.max(facing, 0.0)))
                if layer <= _FACE and facing < 0.25:
                    arriving = wp.max(arriving, 0.35 * wp.clamp(0.25 - facing, 0.0, 1.0))
            open = _openness(nearest, y, x, depth, normal, metre, offsets, 6 * (sample % 4))
            up = 0.5 - 0.5 * normal[1]
            ambient = (lighting.sky * up + lighting.floor * (1.0 - up)) * (0.25 + 0.75 * open)
            ambient = ambient * (0.62 + 0.38 * -normal[2])
            light = ambient + lighting.key * (diffuse * arriving * (0.45 + 0.55 * open))
            result = wp.cw_mul(albedo, light)
            if layer <= _FACE:
                # Blood colours the light that leaves skin in creases.
                result = wp.cw_mul(result, wp.vec3(1.0, 0.90 + 0.10 * open, 0.87 + 0.13 * open))
            gleam = wp.max(wp.dot(normal, half), 0.0)
            for _doubling in range(int(shine[layer][1])):
                gleam = gleam * gleam
            if layer == _HAIR:
                # Strands break up the highlight of hair.
                gleam = gleam * texture[0] * texture[0]
            grazing = 1.0 - wp.min(-normal[2], 1.0)
            rim = grazing * grazing * grazing * grazing * 0.25
            result += (lighting.key * (gleam * arriving) + lighting.sky * rim) * (shine[layer][0] * open)
            total += result
    mixed = wp.where(alone, wp.max(covered, 1.0), count)
    for channel in range(3):
        frame[row, column, channel] = wp.uint8(_encode(total[channel] / mixed) * 255.0 + 0.5)
    alpha[row, column] = wp.uint8(255.0 * covered / count + 0.5)


def encode(linear: Float32[np.ndarray, "*any 3"]) -> UInt8[np.ndarray, "*any 3"]:
    """Linear light to sRGB."""
    c = np.clip(linear, 0, 1)
    srgb = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return (srgb * 255 + 0.5).astype(np.uint8)


def _rings() -> np.ndarray:
    """Where contact darkening looks: near, for creases between fingers, and farther, for arms before the body."""
    turns = np.arange(24) * 2.39996
    # Each of the four samples of a pixel has six of its own.
    radii = np.tile([0.005, 0.008, 0.012, 0.018, 0.028, 0.045], 4) * np.repeat([0.85, 0.95, 1.05, 1.15], 6)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32) * radii[:, None].astype(np.float32)


_OFFSETS = _rings()


def render_frames(
    figure: Figure,
    vertices: Float32[np.ndarray, "frames vertices 3"],
    camera: Projection,
    *,
    height: int,
    width: int,
    supersample: int = 2,
) -> UInt8[np.ndarray, "frames height width 3"]:
    """Pictures of a figure whose body has these vertices, on its background."""
    return render_layers(figure, vertices, camera, height=height, width=width, supersample=supersample)[0]


def render_layers(
    figure: Figure,
    vertices: Float32[np.ndarray, "frames vertices 3"],
    camera: Projection,
    *,
    height: int,
    width: int,
    supersample: int = 2,
    drawn: Bool[np.ndarray, " faces"] | None = None,
) -> tuple[UInt8[np.ndarray, "frames height width 3"], UInt8[np.ndarray, "frames height width"]]:
    """Pictures as from `render_frames`, and how much of each pixel the figure covers, 0 to 255.

    Args:
        figure: The dressed body.
        vertices: The posed body's vertices, metres.
        camera: Orthographic; square pixels.
        height: Rows of the pictures.
        width: Columns of the pictures.
        supersample: Samples along each side of a pixel.
        drawn: Triangles that are drawn, without a background; others only hide and shade them. All, before the
            background, if left out.

    Raises:
        ValueError: `drawn` is not as long as the figure has triangles.
    """
    start_warp()
    frames = np.empty((len(vertices), height, width, 3), np.uint8)
    alpha = np.empty((len(vertices), height, width), np.uint8)
    if drawn is None:
        scene, shown = paint_scene(figure.appearance.scene, height, width).copy(), np.ones(len(figure.faces), bool)
    else:
        scene, shown = np.zeros((height, width, 3), np.float32), np.ascontiguousarray(drawn)
    if len(shown) != len(figure.faces):
        raise ValueError(f"`drawn` must have one value for each of {len(figure.faces)} triangles, got {len(shown)}.")
    shared = [
        share(figure.faces, wp.int32),
        share(figure.surface, wp.int32),
        share(figure.colour, wp.vec3),
        share(figure.uv, wp.vec2),
        share(figure.textures, wp.uint8),
        share(SHINE, wp.vec3),
        share(_OFFSETS, wp.vec2),
        share(scene, wp.vec3),
        share(encode(scene), wp.uint8),
        share(shown, wp.bool),
    ]
    faces, surface, colour, uv, textures, shine, offsets, background, encoded_background, is_drawn = shared
    offset, weld = share(figure.offset, wp.float32), share(figure.weld, wp.int32)
    metre = _pixels_per_metre(camera, height, width) * supersample
    stands_off = figure.offset.any()
    for body, frame, mask in zip(vertices, frames, alpha, strict=True):
        posed = camera.project(figure.binding @ body)
        # Metres of the picture: x right, y down, z away from the camera.
        points = np.ascontiguousarray(
            posed * (width * supersample / metre, height * supersample / metre, 1), np.float32
        )
        shared_points = share(points, wp.vec3)
        if stands_off:
            outwards = welded_normals(shared_points, faces, weld)
            wp.launch(_move_out, dim=len(points), inputs=[shared_points, outwards, offset], device="cpu")
        normals = welded_normals(shared_points, faces, weld)
        screen = points * np.array([metre, metre, 1], np.float32)
        high, wide = height * supersample, width * supersample
        nearest = claim_pixels(screen, figure.faces, height=high, width=wide, cut=figure.cut)
        lighting, shadow = _cast_shadows(figure, points, high / metre, wide / metre)
        lighting.metres_per_pixel = 1 / metre
        inputs = [
            nearest,
            share(screen, wp.vec3),
            faces,
            surface,
            normals,
            colour,
            uv,
            textures,
            shine,
            lighting,
            shadow,
            offsets,
            background,
            encoded_background,
            is_drawn,
            drawn is not None,
            supersample,
            share(frame, wp.uint8),
            share(mask, wp.uint8),
        ]
        wp.launch(_shade, dim=(height, width), inputs=inputs, device="cpu")
    return frames, alpha


def _pixels_per_metre(camera: Projection, height: int, width: int) -> float:
    origin, right = camera.project(np.array([[0, 0, 0], [1, 0, 0]], np.float32))
    return float(np.hypot(*((right - origin)[:2] * (width, height))))


def _cast_shadows(figure: Figure, points: np.ndarray, high: float, wide: float) -> tuple[Any, wp.array]:
    """The main light, and how far it reaches: a depth map seen from it."""
    light: Light = figure.appearance.light
    azimuth, elevation = np.radians([light.azimuth_deg, light.elevation_deg])
    towards = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)])
    across = np.cross([0.0, 1.0, 0.0], towards)
    across /= np.linalg.norm(across)
    down = np.cross(towards, across)
    lighting = _Lighting()
    lighting.towards_key = wp.vec3(*towards)
    lighting.key = wp.vec3(*(to_linear(light.tint) * light.strength * 1.25))
    lighting.sky = wp.vec3(*(to_linear(light.sky) * light.ambient))
    lighting.floor = wp.vec3(*(to_linear(light.floor) * light.ambient * 0.75))
    lighting.to_light_x = wp.vec3(*across)
    lighting.to_light_y = wp.vec3(*down)
    seen = points[
        (points[:, 1] > -0.3) & (points[:, 1] < high + 0.3) & (points[:, 0] > -0.3) & (points[:, 0] < wide + 0.3)
    ]
    if not len(seen):
        return lighting, wp.full((1, 1), value=_EMPTY, dtype=wp.int64, device="cpu")
    flat = np.stack([seen @ across, seen @ down], axis=1)
    low = flat.min(axis=0)
    scale = SHADOW_SIZE / float((flat.max(axis=0) - low).max() + 0.01)
    lighting.light_origin = wp.vec2(*low)
    lighting.light_scale = scale
    view = np.stack([across, down, -towards], axis=1).astype(np.float32)
    screen = ((points @ view - np.array([*low, 0], np.float32)) * np.array([scale, scale, 1], np.float32)).astype(
        np.float32
    )
    return lighting, claim_pixels(screen, figure.faces, height=SHADOW_SIZE, width=SHADOW_SIZE, cut=figure.cut)
