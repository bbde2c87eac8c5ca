"""Whether a video shows the signer it should: colours of face, hair and clothes, found by the points of the pose.

No network knows the signers of this package, and none that is trained on real faces is shipped. Colours tell people in
a set apart as long as they are dressed differently, and say when a render turns one into another. They say nothing of
two people who look alike, and light that changes counts as another person. A region's colours are compared as a set, so
that it does not matter how much of a pattern a hand covers or a turn hides; nor can it tell black with white dots from
white with black ones.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.spatial.distance import cdist

from poses.keypoints import NAMES, PARTS, index

COLOURED = ("face", "hair", "clothes")
"""In the order in which `region_colours` gives them."""

PLACES = 16
"""Places to a side at which each region is looked at."""

MOST_COLOURS = 512
"""Of a region that are compared, however many frames show it."""

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
) -> Float32[np.ndarray, "3 places 3"]:
    """Colours at places of each of `COLOURED` in CIE L*a*b* (D65), NaN where a hand covers them or they are not seen.

    The face is the box of eyelids, nose and lips; hair a box between half and 0.85 as far above the eyes as the chin is
    below; clothes a box below the neck, 0.9 shoulder widths wide.

    Args:
        frame: RGB.
        pixels: Points found in it.
        seen: Which of them were.
    """
    colours = np.full((len(COLOURED), PLACES, PLACES, 3), np.nan, np.float32)
    hands = [of for side in ("right_hand", "left_hand") if len(of := pixels[PARTS[side]][seen[PARTS[side]]])]
    boxes = _face_box(pixels, seen), _hair_box(pixels, seen), _clothes_box(pixels, seen)
    for region, box in zip(colours, boxes, strict=True):
        if box is None:
            continue
        columns, rows = (np.linspace(box[axis], box[axis + 2], PLACES).round().astype(int) for axis in (0, 1))
        shown = _within(columns, rows, (0.0, 0.0, frame.shape[1] - 1.0, frame.shape[0] - 1.0))
        for hand in hands:
            shown &= ~_within(columns, rows, _hand_box(hand))
        if shown.mean() >= LEAST_SHOWN:
            row, column = np.nonzero(shown)
            region[shown] = to_lab(frame[rows[row], columns[column]].astype(float))
    return colours.reshape(len(COLOURED), -1, 3)


def colour_sets(colours: Float[np.ndarray, "frames 3 places 3"]) -> list[Float[np.ndarray, "colours 3"]]:
    """All colours of each of `COLOURED` in some frames, `MOST_COLOURS` drawn by a fixed seed where there are more."""
    sets = [of[np.isfinite(of).all(axis=-1)] for of in np.moveaxis(colours, 1, 0)]
    rng = np.random.default_rng(0)
    return [rng.choice(of, MOST_COLOURS, replace=False) if len(of) > MOST_COLOURS else of for of in sets]


def chamfer_distance(shown: Float[np.ndarray, "colours 3"], known: Float[np.ndarray, "others 3"]) -> float | None:
    """How far a colour is from the nearest of the other set, on average both ways: dE*ab of CIE 1976.

    None where either set is empty.
    """
    if not (len(shown) and len(known)):
        return None
    distances = cdist(shown, known)
    return float(distances.min(axis=0).mean() + distances.min(axis=1).mean()) / 2


def colour_differences(
    shown: Float[np.ndarray, "frames 3 places 3"], known: Float[np.ndarray, "others 3 places 3"]
) -> dict[str, float | None]:
    """How far the colours of each region in some frames are from those in others, by `chamfer_distance`.

    About 2 is just seen, some tens are another colour. `largest` is that of the region which differs most.

    Returns:
        By region; None where either never shows it.
    """
    of_regions = zip(COLOURED, colour_sets(shown), colour_sets(known), strict=True)
    differences = {region: chamfer_distance(colours, others) for region, colours, others in of_regions}
    return {**differences, "largest": max((of for of in differences.values() if of is not None), default=None)}


def to_lab(colour: Float[np.ndarray, "*colours 3"]) -> Float[np.ndarray, "*colours 3"]:
    """CIE L*a*b* of sRGB from 0 to 255 under D65 (IEC 61966-2-1)."""
    encoded = colour / 255
    linear = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    ratio = linear @ _TO_LINEAR.T / _WHITE
    x, y, z = np.moveaxis(np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


def _box(points: Float[np.ndarray, "points 2"]) -> Box:
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def _hand_box(points: Float[np.ndarray, "points 2"]) -> Box:
    left, top, right, bottom = _box(points)
    room = HAND_ROOM * max(right - left, bottom - top)
    return left - room, top - room, right + room, bottom + room


def _face_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    return _box(pixels[_INNER_FACE]) if seen[_INNER_FACE].all() else None


def _hair_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    if not seen[[*_EYELIDS, _CHIN]].all():
        return None
    eyes_x, eyes_y = pixels[_EYELIDS].mean(axis=0).tolist()
    height = float(np.linalg.norm(pixels[_CHIN] - (eyes_x, eyes_y)))
    return eyes_x - 0.3 * height, eyes_y - 0.85 * height, eyes_x + 0.3 * height, eyes_y - 0.5 * height


def _clothes_box(pixels: Float[np.ndarray, "128 2"], seen: Bool[np.ndarray, " 128"]) -> Box | None:
    if not seen[_SHOULDERS].all():
        return None
    neck_x, neck_y = pixels[_SHOULDERS].mean(axis=0).tolist()
    width = float(np.linalg.norm(np.subtract(*pixels[_SHOULDERS])))
    return neck_x - 0.45 * width, neck_y + 0.2 * width, neck_x + 0.45 * width, neck_y + 1.1 * width


def _within(columns: np.ndarray, rows: np.ndarray, box: Box) -> Bool[np.ndarray, "rows columns"]:
    left, top, right, bottom = box
    return ((rows >= top) & (rows <= bottom))[:, None] & (columns >= left) & (columns <= right)
