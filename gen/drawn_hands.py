"""Hands drawn by code on the fitted body, in the signer's skin and light: as crisp as the network's are soft."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, UInt8

from gen.light import find_light
from gen.reference import GROUPS, IS_HAND, IS_LEG, Reference, to_screen
from gen.signers.appearance import Appearance
from gen.signers.body import PARTS, Body
from gen.signers.dress import undress
from gen.signers.fit import BodyMotion, Camera, pose_vertices
from gen.signers.render import render_layers
from gen.signers.scenery import to_colour

SKIN_RANGE = (0.05, 0.95)
"""Red, green and blue of skin, from 0 to 1: what is darker or brighter is no skin, or says little of its shades."""


@dataclass(frozen=True, eq=False)
class DrawnHands:
    """Hands of some frames.

    Attributes:
        frames: RGB of what is seen of the hands, 0 to 255, not mixed with what is beside them; elsewhere 0.
        cover: How much of each pixel hands cover, 0 to 255.
    """

    frames: UInt8[np.ndarray, "frames h w 3"]
    cover: UInt8[np.ndarray, "frames h w"]


class HandDrawer:
    """Draws a signer's hands in any pose, in the frame of the signer's picture.

    Args:
        picture: The signer, whose skin and light the hands get.
        body: The body that was fitted to the picture.
        held: The fit to the picture, one frame.
    """

    def __init__(self, picture: Reference, body: Body, held: BodyMotion):
        skin = to_colour((picture.colours[GROUPS.index("hand")] / 255).clip(*SKIN_RANGE))
        upper = ~IS_LEG[body.part + 1]
        figure = undress(body, Appearance(skin=skin), upper)
        light = find_light(picture, body, held, figure)
        self._figure = replace(figure, appearance=replace(figure.appearance, light=light))
        self._body, self._size = body, picture.image.shape[:2]
        self._is_hand = IS_HAND[body.part[upper] + 1]
        is_side = [np.array([name.startswith(side) for name in PARTS]) & IS_HAND[1:] for side in ("left", "right")]
        self._hands = [np.unique(body.faces[of_side[body.part]]) for of_side in is_side]

    def draw(self, motion: BodyMotion, frames: slice) -> DrawnHands:
        """What is seen of the hands in some frames of a motion; the rest of the body hides and shades them."""
        height, width = self._size
        vertices = pose_vertices(self._body, motion, frames)
        drawn = DrawnHands(
            np.zeros((len(vertices), height, width, 3), np.uint8), np.zeros((len(vertices), height, width), np.uint8)
        )
        for frame, cover, posed in zip(drawn.frames, drawn.cover, vertices, strict=True):
            boxes = [
                _box(to_screen(motion.camera.project(posed[hand]), height, width), height, width)
                for hand in self._hands
            ]
            boxes = np.array([box for box in boxes if box[0] < box[2] and box[1] < box[3]])
            if not len(boxes):
                continue
            left, top, right, bottom = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
            window = _Window(motion.camera, left / width, top / height, right / width, bottom / height)
            hands, covered = render_layers(
                self._figure, posed[None], window, height=bottom - top, width=right - left, drawn=self._is_hand
            )
            frame[top:bottom, left:right], cover[top:bottom, left:right] = hands[0], covered[0]
        return drawn


def _box(points: Float32[np.ndarray, "points 3"], height: int, width: int) -> list[int]:
    """Left, top, right and bottom of the pixels that points lie in, within a frame; empty where they lie outside."""
    first, last = np.floor(points[:, :2].min(axis=0)) - 1, np.ceil(points[:, :2].max(axis=0)) + 1
    return np.clip([*first, *last], 0, (width, height) * 2).astype(int).tolist()


@dataclass(frozen=True)
class _Window:
    """A part of a camera's frame, as if it were a camera's."""

    camera: Camera
    left: float
    top: float
    right: float
    bottom: float

    def project(self, points: Float[np.ndarray, "*any 3"]) -> Float32[np.ndarray, "*any 3"]:
        """As a camera's `project` does."""
        start, size = (self.left, self.top, 0), (self.right - self.left, self.bottom - self.top, 1)
        return ((self.camera.project(points) - start) / size).astype(np.float32)
