"""Whether a video shows the signer it should: colours of face, hair and clothes, found by the points of the pose.

No network knows the signers of this package, and none that is trained on real faces is shipped. Colours tell people in
a set apart as long as they are dressed differently, and say when a render turns one into another. They say nothing of
two people who look alike, and light that changes counts as another person.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from poses.keypoints import NAMES, PARTS, index

COLOURED = ("face", "hair", "clothes")
"""In the order in which `region_colours` gives them."""

WINDOW_PX = 32
"""Pixels to a side that are looked at in each region, at most."""

LEAST_SHOWN = 0.25
"""Share of a region's box that must lie in the frame and behind no hand."""

HAND_ROOM = 0.2
"""Room around a hand's points, as a share of its larger side."""

_INNER_FACE = [
    number
    for number, name in enumerate(NAMES)
    if name.startswith("face_") and any(part in name for part in ("eyelid", "nose", "lip"))
]
_EYELIDS = [number for number in _INNER_FACE if "eyelid" in NAMES[number]]
_CHIN = index("face_jaw_8")
_SHOULDERS = index("right_shoulder", "left_shoulder")
_TO_LINEAR = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.95047, 1.0, 1.08883])


def region_colours(
    frame: UInt8[np.ndarray, "height width 3"],
    pixels: Float[np.ndarray, "128 2"],
    seen: Bool[np.ndarray, " 128"],
) -> Float[np.ndarray, "3 3"]:
    """Mean colour of each of `COLOURED` in CIE L*a*b* (D65), NaN where it is not seen; what hands cover is left out.

    The face is the box of eyelids, nose and lips; hair a box at the top of the head, as far above the eyes as the chin
    is below; clothes a box below the neck, 0.6 shoulder widths wide.

    Args:
        frame: RGB.
        pixels: Points found in it.
        seen: Which of them were.
    """
    colours = np.full((len(COLOURED), 3), np.nan)
    hands = [_box(pixels[PARTS[side]][seen[PARTS[side]]]) for side in ("right_hand", "left_hand")]
    for number, box in enumerate((_face_box(pixels, seen), _hair_box(pixels, seen), _clothes_box(pixels, seen))):
        if box is None:
            continue
        rows, columns = (_places(box[axis], box[axis + 2], frame.shape[1 - axis]) for axis in (1, 0))
        shown = np.ones((len(rows), len(columns)), bool)
        for left, top, right, bottom in (hand for hand in hands if hand is not None):
            room = HAND_ROOM * max(right - left, bottom - top)
            covered_rows = (rows >= top - room) & (rows <= bottom + room)
            shown &= ~(covered_rows[:, None] & (columns >= left - room) & (columns <= right + room))
        if shown.sum() >= LEAST_SHOWN * WINDOW_PX**2:
            colours[number] = to_lab(frame[np.ix_(rows, columns)][shown].mean(axis=0))
    return colours


def colour_differences(
    shown: Float[np.ndarray, "frames 3 3"], known: Float[np.ndarray, "others 3 3"]
) -> dict[str, float | None]:
    """How far the colours of each region are apart: the distance of their medians over frames, dE*ab of CIE 1976.

    About 2 is just seen, some tens are another colour. `largest` is that of the region which differs most.

    Returns:
        By region; None where either never shows it.
    """
    differences = {region: _difference(shown[:, at], known[:, at]) for at, region in enumerate(COLOURED)}
    return {**differences, "largest": max((of for of in differences.values() if of is not None), default=None)}


def to_lab(colour: Float[np.ndarray, "*colours 3"]) -> Float[np.ndarray, "*colours 3"]:
    """CIE L*a*b* of sRGB from 0 to 255 under D65 (IEC 61966-2-1)."""
    encoded = colour / 255
    linear = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    ratio = linear @ _TO_LINEAR.T / _WHITE
    x, y, z = np.moveaxis(np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _difference(shown: Float[np.ndarray, "frames 3"], known: Float[np.ndarray, "others 3"]) -> float | None:
    medians = [np.median(of[np.isfinite(of).all(axis=1)], axis=0) for of in (shown, known) if np.isfinite(of).any()]
    return float(np.linalg.norm(medians[0] - medians[1])) if len(medians) == 2 else None


Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


def _box(points: Float[np.ndarray, "points 2"]) -> Box | None:
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist()) if len(points) else None


def _face_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    return _box(pixels[_INNER_FACE]) if seen[_INNER_FACE].all() else None


def _hair_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    if not seen[[*_EYELIDS, _CHIN]].all():
        return None
    eyes_x, eyes_y = pixels[_EYELIDS].mean(axis=0).tolist()
    height = float(np.linalg.norm(pixels[_CHIN] - (eyes_x, eyes_y)))
    return eyes_x - 0.35 * height, eyes_y - height, eyes_x + 0.35 * height, eyes_y - 0.75 * height


def _clothes_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    if not seen[_SHOULDERS].all():
        return None
    neck_x, neck_y = pixels[_SHOULDERS].mean(axis=0).tolist()
    width = float(np.linalg.norm(np.subtract(*pixels[_SHOULDERS])))
    return neck_x - 0.3 * width, neck_y + 0.3 * width, neck_x + 0.3 * width, neck_y + 0.8 * width


def _places(first: float, last: float, size: int) -> np.ndarray:
    """Whole pixels evenly from one edge to the other, those in the frame."""
    places = np.round(np.linspace(first, last, WINDOW_PX)).astype(int)
    return places[(places >= 0) & (places < size)]
