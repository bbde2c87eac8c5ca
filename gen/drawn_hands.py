"""Hands drawn by code on the fitted body, in the signer's skin and light: as crisp as the network's are soft."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from gen.light import UPPER, find_light
from gen.reference import GROUPS, IS_HAND, Reference, to_screen
from gen.signers.appearance import Appearance
from gen.signers.body import Body
from gen.signers.dress import undress
from gen.signers.fit import BodyMotion, Camera, pose_vertices
from gen.signers.render import render_layers
from gen.signers.scenery import Scene, to_colour

_STEP_PX = 16
"""Sides of what is drawn are multiples of this, so that few sizes come up."""


@dataclass(frozen=True, eq=False)
class DrawnHands:
    """Hands of some frames.

    Attributes:
        frames: The hands; elsewhere anything.
        cover: How much of each pixel a hand covers, 0 to 255.
    """

    frames: UInt8[np.ndarray, "frames h w 3"]
    cover: UInt8[np.ndarray, "frames h w"]


class HandDrawer:
    """Draws a signer's hands in any pose.

    Args:
        picture: The signer, whose skin and light the hands get.
        body: The body that was fitted to the picture.
        held: The fit to the picture, one frame.
    """

    def __init__(self, picture: Reference, body: Body, held: BodyMotion):
        skin = to_colour(picture.colours[GROUPS.index("hand")] / 255)
        appearance = Appearance(skin=skin, light=find_light(picture, body, held), scene=Scene(colour=skin))
        upper = UPPER[body.part]
        self._body, self._figure = body, undress(body, appearance, upper)
        self._of_hands = np.unique(body.faces[IS_HAND[body.part + 1]])
        self._is_hand = IS_HAND[body.part[upper] + 1]

    def draw(self, motion: BodyMotion, frames: slice, *, height: int, width: int) -> DrawnHands:
        """The hands of some frames of a motion, before and behind the rest of the body, which isn't drawn."""
        vertices = pose_vertices(self._body, motion, frames)
        drawn = DrawnHands(
            np.zeros((len(vertices), height, width, 3), np.uint8), np.zeros((len(vertices), height, width), np.uint8)
        )
        for frame, cover, posed in zip(drawn.frames, drawn.cover, vertices, strict=True):
            corners = to_screen(motion.camera.project(posed[self._of_hands]), height, width)[:, :2]
            first, last = np.floor(corners.min(axis=0) / _STEP_PX), np.ceil(corners.max(axis=0) / _STEP_PX)
            left, top, right, bottom = (
                np.clip(_STEP_PX * np.r_[first, last], 0, (width, height) * 2).astype(int).tolist()
            )
            if left < right and top < bottom:
                window = _Window(motion.camera, left / width, top / height, right / width, bottom / height)
                hands, covered = render_layers(
                    self._figure, posed[None], window, height=bottom - top, width=right - left, drawn=self._is_hand
                )
                frame[top:bottom, left:right], cover[top:bottom, left:right] = hands[0], covered[0]
        return drawn


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
