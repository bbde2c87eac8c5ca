"""Patterns, folds and prints of clothes, as sharp as the signer's picture has them, and hands with crisp edges.

The network answers with the mean of what may be, so stripes blur, prints melt and fingers are soft. The coarse
composite has clothes, carried over from the picture through the fitted body, but hems, hands, hair, faces and light are
wrong in it. So its detail is laid over the network's frames where it carries clothes: on arms all of it, on the trunk
what is finer than `BROAD`, whose broader colours and shadows stay the network's. Hands that were drawn by code get the
network's broad colours and are mixed with its own: where fingers end is then seen as clearly as on a true picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from gen.cut_out import grow, shrink
from gen.drawn_hands import DrawnHands
from gen.reference import IS_ARM, IS_HAND, IS_TRUNK

BROAD = 1 / 32
"""What is coarser than this share of the frame's width is not detail."""
RIM, ROOM = 0.006, 0.03
"""How far from the end of what is carried, and from hands, detail begins, as a share of the frame's width."""
DRAWN = 0.8
"""What drawn hands count for beside the network's."""
SOFT_PX, CRISPER = 0.7, 0.5
"""What is finer than this is soft in hands, in frames of any size, and counts so much more."""
AROUND_HAND = 4 / 256
"""How far from a hand its edges may be, as a share of the frame's width."""
CONTRASTS = (0.4, 2.5)
"""Contrasts of drawn hands are made smaller or greater, colour by colour, at most so many times."""
CARRIED = 230
"""A pixel whose `carried`, of 255, is above this shows the picture itself."""

_DARK = 4.0
"""Added to colours, 0 to 255, that are divided by."""
_BROAD_PX = 2.0
"""What is broad in frames that were made so small that it is this many pixels."""


@dataclass(frozen=True, eq=False)
class Detail:
    """What may be laid over frames.

    Attributes:
        composite: The coarse composite.
        arms: How much of it counts, 0 to 1, on arms.
        trunk: Likewise on the trunk, of what is fine in it.
        drawn: Hands drawn by code.
        hands: How much these count, 0 to 1.
        edges: How much hands, and what is close around them, are sharpened, 0 to 1.
    """

    composite: UInt8[np.ndarray, "frames h w 3"]
    arms: Float32[np.ndarray, "frames h w"]
    trunk: Float32[np.ndarray, "frames h w"]
    drawn: UInt8[np.ndarray, "frames h w 3"]
    hands: Float32[np.ndarray, "frames h w"]
    edges: Float32[np.ndarray, "frames h w"]


def find_detail(
    maps: UInt8[np.ndarray, "frames h w 12"], hands: DrawnHands, keep: Bool[np.ndarray, "h w"] | None = None
) -> Detail:
    """Finds where `map_frames` carried clothes, and where hands were drawn, but for pixels that are to be kept."""
    shares = np.stack([_shares(carried, part) for carried, part in zip(maps[..., 3], maps[..., 8], strict=True)])
    cover = DRAWN / 255 * hands.cover.astype(np.float32)
    if keep is not None:
        shares[..., keep] = cover[:, keep] = 0
    arms, trunk, edges = np.moveaxis(shares, 1, 0)
    return Detail(composite=maps[..., :3], arms=arms, trunk=trunk, drawn=hands.frames, hands=cover, edges=edges)


def _shares(carried: UInt8[np.ndarray, "h w"], part: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "3 h w"]:
    width = part.shape[1]
    hand = IS_HAND[part]
    near_hands = grow(hand, round(ROOM * width))
    shares = []
    for region in (IS_ARM, IS_TRUNK):
        shown = region[part] & (carried > CARRIED)
        inner = shrink(shown, round(RIM * width)) & ~near_hands
        shares.append(cv2.GaussianBlur(inner.astype(np.float32), (0, 0), RIM * width) * shown)
    around = grow(hand, round(AROUND_HAND * width)).astype(np.float32)
    return np.stack([*shares, cv2.GaussianBlur(around, (0, 0), RIM * width)])


def lay_over(
    frames: UInt8[np.ndarray, "frames h w 3"], detail: Detail, scale: float = 1.0
) -> UInt8[np.ndarray, "frames h w 3"]:
    """The frames with detail laid over them, at a scale from 0 to 1."""
    laid = np.empty_like(frames)
    for number, (out, frame) in enumerate(zip(laid, frames.astype(np.float32), strict=True)):
        trunk, hands = detail.trunk[number], detail.hands[number]
        off = detail.composite[number] - frame
        off *= (detail.arms[number] + trunk)[..., None]
        off -= _broad(off * (trunk > 0)[..., None], trunk, BROAD * frame.shape[1]) * trunk[..., None]
        if hands.any():
            edges = detail.edges[number]
            left, top, wide, high = cv2.boundingRect((hands + edges > 0).astype(np.uint8))
            near = slice(top, top + high), slice(left, left + wide)
            drawn = _tint(detail.drawn[number][near], frame[near], hands[near], BROAD * frame.shape[1])
            off[near] += hands[near][..., None] * (drawn - frame[near])
            crisp = frame[near] + off[near]
            off[near] += CRISPER * edges[near][..., None] * (crisp - cv2.GaussianBlur(crisp, (0, 0), SOFT_PX))
        out[:] = (frame + scale * off).clip(0, 255).round()
    return laid


def _tint(
    drawn: UInt8[np.ndarray, "h w 3"],
    frame: Float32[np.ndarray, "h w 3"],
    share: Float32[np.ndarray, "h w"],
    broad_px: float,
) -> Float32[np.ndarray, "h w 3"]:
    """What is drawn in the frame's broad colours, its contrasts as much greater or smaller as these are."""
    own, wanted = (_broad(of * share[..., None], share, broad_px) for of in (drawn, frame))
    return wanted + (drawn - own) * ((wanted + _DARK) / (own + _DARK)).clip(*CONTRASTS)


def _broad(
    values: Float32[np.ndarray, "h w 3"], share: Float32[np.ndarray, "h w"], broad_px: float
) -> Float32[np.ndarray, "h w 3"]:
    """What is coarser than some pixels in values that count by their share, which is in them already."""
    height, width = share.shape
    size = (max(round(_BROAD_PX * width / broad_px), 1), max(round(_BROAD_PX * height / broad_px), 1))
    small = cv2.resize(np.dstack([values, share]), size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), _BROAD_PX)
    means = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-3)
    return cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)
