"""Where the light in a signer's picture comes from: the fitted body is lit from many sides, and the likest are kept."""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from gen.reference import GROUP_OF_PART, GROUPS, Reference, mark_face, to_screen
from gen.signers.appearance import Appearance, Light
from gen.signers.body import Body
from gen.signers.dress import Figure, undress
from gen.signers.fit import BodyMotion, pose_keypoints, pose_vertices
from gen.signers.render import render_frames
from gen.signers.textures import to_linear

AZIMUTHS_DEG, ELEVATIONS_DEG = np.arange(-72, 73, 24), np.arange(5, 66, 20)
"""Where a light may be, from right in front to the sides and from level to above."""
STRENGTHS = (0.5, 1.0, 1.6, 2.4)
"""How strong the light may be beside what comes from everywhere."""
UPPER = ~np.isin(GROUP_OF_PART, GROUPS.index("legs"))
"""Which of `PARTS` are lit: legs are mostly out of the picture."""

_WIDTH = 128
"""Of the pictures that are compared."""
_WHITE, _GREY = (1.0, 1.0, 1.0), (0.78, 0.78, 0.78)
_NONE = 1e-4
_FACE_WEIGHT = 8.0
"""What the face, which is bare and of one colour, counts for beside other parts."""
_FEW = 15
"""Fewer pixels than these say nothing of a part's light."""
_DARK = 0.003
_FARTHEST, _LEAST_SPREAD = 0.6, 0.08
"""Differences of log brightness: larger ones are patterns and shadows; a part that varies less is seen with noise."""
_SHARPNESS = 20.0
"""Light that explains the picture worse by a twentieth counts for 1 / e as much."""


def find_light(picture: Reference, body: Body, motion: BodyMotion) -> Light:
    """Finds the direction of the main light.

    The body's brightness under each light, with the shadows that it casts, is compared with the picture's, part by
    part, since every part has a colour of its own. The answer is the mean of all directions, each counting for how well
    it explains the picture.

    Args:
        picture: What is lit.
        body: The body that was fitted to it.
        motion: The fit to it, one frame.
    """
    height = round(_WIDTH * picture.image.shape[0] / picture.image.shape[1])
    vertices = pose_vertices(body, motion, slice(0, 1))

    def brightness(light: Light) -> Float32[np.ndarray, "h w"]:
        figure = _grey_figure(body)
        lit = replace(figure, appearance=replace(figure.appearance, light=light))
        frame = render_frames(lit, vertices, motion.camera, height=height, width=_WIDTH, supersample=1)[0]
        return to_linear(frame / 255).mean(axis=-1)

    around = brightness(Light(strength=_NONE, ambient=0.9, sky=_WHITE, floor=_GREY))
    shown = to_linear(cv2.resize(picture.image, (_WIDTH, height), interpolation=cv2.INTER_AREA) / 255).mean(axis=-1)
    points = to_screen(pose_keypoints(body, motion, slice(0, 1))[0], *picture.part.shape)
    parts = _mark_parts(picture.part, mark_face(points, picture.part), (_WIDTH, height))
    lights = [
        Light(float(azimuth), float(elevation), strength=0.9, ambient=_NONE, tint=_WHITE, sky=_WHITE, floor=_GREY)
        for azimuth in AZIMUTHS_DEG
        for elevation in ELEVATIONS_DEG
    ]
    off = np.array([_compare(shown, around, brightness(light), parts) for light in lights])
    azimuth, elevation = np.radians([[light.azimuth_deg, light.elevation_deg] for light in lights]).T
    directions = np.stack([np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    right, front, up = directions @ np.exp(-_SHARPNESS * (off / max(off.min(), 1e-6) - 1))
    return Light(
        azimuth_deg=float(np.degrees(np.arctan2(right, front))),
        elevation_deg=float(np.degrees(np.arctan2(up, np.hypot(right, front)))),
    )


@lru_cache(1)
def _grey_figure(body: Body) -> Figure:
    """The bare upper body, grey all over."""
    figure = undress(body, Appearance(), UPPER[body.part])
    return replace(
        figure,
        colour=np.full_like(figure.colour, 0.5),
        textures=np.full_like(figure.textures, round(255 * 0.5**0.5)),
    )


def _mark_parts(
    part: UInt8[np.ndarray, "h w"], face: Bool[np.ndarray, "h w"], size: tuple[int, int]
) -> list[tuple[float, Bool[np.ndarray, "small_h small_w"]]]:
    """Where the face and other parts are in a small picture, and what each counts for."""

    def small(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "small_h small_w"]:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0

    inner = cv2.erode(small(part > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    group = np.where(part > 0, GROUP_OF_PART[part.astype(int) - 1], -1)
    small_face = small(face)
    others = [
        small(group == GROUPS.index(name)) & inner & ~small_face for name in GROUPS if name not in ("head", "legs")
    ]
    return [(_FACE_WEIGHT, small_face), *((1.0, other) for other in others)]


def _compare(
    shown: Float32[np.ndarray, "h w"],
    around: Float32[np.ndarray, "h w"],
    main: Float32[np.ndarray, "h w"],
    parts: list[tuple[float, Bool[np.ndarray, "h w"]]],
) -> float:
    """How unlike a picture's brightness is to that under light from everywhere and a main light, as strong as fits."""
    least = np.inf
    for strength in STRENGTHS:
        lit = around + strength * main
        total = count = 0.0
        for weight, mask in parts:
            seen = mask & (shown > _DARK) & (lit > _DARK)
            if seen.sum() < _FEW:
                continue
            logs = np.log(shown[seen])
            off = logs - np.log(lit[seen])
            spread = max(float(logs.std()), _LEAST_SPREAD)
            total += weight * float(np.minimum(np.abs(off - np.median(off)), _FARTHEST).sum()) / spread
            count += weight * len(off)
        least = min(least, total / max(count, 1.0))
    return least
