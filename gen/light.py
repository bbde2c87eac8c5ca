"""Where the light in a signer's picture comes from: the fitted body is lit from many sides, and the likest count."""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from gen.reference import GROUPS, Reference, find_groups
from gen.signers.appearance import Light
from gen.signers.body import Body
from gen.signers.dress import Figure
from gen.signers.fit import BodyMotion, pose_vertices
from gen.signers.render import render_frames
from gen.signers.textures import to_linear

AZIMUTHS_DEG, ELEVATIONS_DEG = np.arange(-72, 73, 24), np.arange(5, 66, 20)
"""Where a light may be, from right in front to the sides and from level to above."""
STRENGTHS = (0.5, 1.0, 1.6, 2.4)
"""How strong the light may be beside what comes from everywhere."""

_WIDTH = 128
"""Of the pictures that are compared."""
_WHITE, _GREY = (1.0, 1.0, 1.0), (0.78, 0.78, 0.78)
_AROUND = Light(strength=0.0, ambient=0.9, sky=_WHITE, floor=_GREY)
_MAIN = Light(strength=0.9, ambient=0.0, tint=_WHITE)
_FACE_WEIGHT = 8.0
"""What the face, which is bare and of one colour, counts for beside other parts."""
_FEW = 15
"""Fewer pixels than these say nothing of a part's light."""
_DARK = 0.003
"""What is darker, in linear light from 0 to 1, says nothing."""
_FARTHEST, _LEAST_SPREAD = 0.6, 0.08
"""Differences of log brightness: larger ones are patterns; parts that vary less are weighed as if they varied so."""
_SHARPNESS = 20.0
"""Light that explains the picture worse by a twentieth counts for 1 / e as much."""


def find_light(picture: Reference, body: Body, held: BodyMotion, figure: Figure) -> Light:
    """Finds the direction of the main light in a picture, and gives a light of usual strength from there.

    The brightness of the figure under each light, with the shadows that it casts, is compared with the picture's, part
    by part, since every part has a colour of its own. The answer is the mean of all directions, each counting for how
    well it explains the picture: from in front and above where nothing can be told.

    Args:
        picture: What is lit.
        body: The body that was fitted to it.
        held: The fit to it, one frame.
        figure: That body, bare.
    """
    size = _WIDTH, round(_WIDTH * picture.image.shape[0] / picture.image.shape[1])
    grey = replace(
        figure, colour=np.full_like(figure.colour, 0.5), textures=np.full_like(figure.textures, round(255 * 0.5**0.5))
    )
    vertices = pose_vertices(body, held, slice(0, 1))

    def brightness(light: Light) -> Float32[np.ndarray, "h w"]:
        lit = replace(grey, appearance=replace(grey.appearance, light=light))
        frame = render_frames(lit, vertices, held.camera, height=size[1], width=size[0], supersample=1)[0]
        return to_linear(frame / 255).mean(axis=-1)

    shown = to_linear(cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA) / 255).mean(axis=-1)
    around = brightness(_AROUND)
    parts = [(weight, mask & (shown > _DARK) & (around > _DARK)) for weight, mask in _mark_parts(picture, size)]
    lights = [
        replace(_MAIN, azimuth_deg=float(azimuth), elevation_deg=float(elevation))
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


def _mark_parts(picture: Reference, size: tuple[int, int]) -> list[tuple[float, Bool[np.ndarray, "h w"]]]:
    """What the bare face and other parts count for, and where they are in a small picture of a width and height."""

    def small(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "small_h small_w"]:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0

    face, group = small(picture.face), find_groups(picture.part)
    inner = (cv2.erode(small(group >= 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~face
    names = (name for name in GROUPS if name not in ("head", "legs"))
    return [(_FACE_WEIGHT, face), *((1.0, small(group == GROUPS.index(name)) & inner) for name in names)]


def _compare(
    shown: Float32[np.ndarray, "h w"],
    around: Float32[np.ndarray, "h w"],
    main: Float32[np.ndarray, "h w"],
    parts: list[tuple[float, Bool[np.ndarray, "h w"]]],
) -> float:
    """How unlike a picture's brightness is to that under light from everywhere and a main light, as strong as fits."""
    totals, count = np.zeros(len(STRENGTHS)), 0.0
    for weight, seen in parts:
        if seen.sum() < _FEW:
            continue
        logs = np.log(shown[seen])
        off = logs - np.log(around[seen] + np.array(STRENGTHS)[:, None] * main[seen])
        off = np.abs(off - np.median(off, axis=1, keepdims=True))
        totals += weight * np.minimum(off, _FARTHEST).sum(axis=1) / max(float(logs.std()), _LEAST_SPREAD)
        count += weight * len(logs)
    return float(totals.min()) / max(count, 1.0)
