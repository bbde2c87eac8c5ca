"""Control frames: poses drawn the way each family of pose-conditioned video models learned to read them."""

import colorsys
import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from jaxtyping import UInt8

from poses.bounds import check_frame_size
from poses.draw_presets import PRESETS, Preset, Strokes
from poses.keypoints import BODY, BODY_LIMBS, HAND, HAND_BONES, PARTS, index
from poses.quiet import import_quietly
from poses.sequence import PoseSequence

MAX_ASPECT = 8
MAX_DISTANCE = 100
"""Points further away than this many frame widths are refused: no detector gives them, and pixel numbers overflow."""

Width = int | Callable[[float], int]
"""Of a line in canvas pixels, or by its length."""

_RAINBOW = np.array(
    [
        (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
        (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
        (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
    ],
    np.float32,
)  # fmt: skip
_BONE_COLOURS = np.array([colorsys.hsv_to_rgb(bone / len(HAND_BONES), 1.0, 1.0) for bone in range(len(HAND_BONES))])
_LIMB_DIMMING = 0.6
_LIMBS = np.array([index(*limb) for limb in BODY_LIMBS])
_BONES = np.array([[HAND.index(end) for end in bone] for bone in HAND_BONES])
_BODY = PARTS["body"]
_EYES = [BODY.index("right_eye"), BODY.index("left_eye")]
_HANDS = (PARTS["left_hand"], PARTS["right_hand"])
_FACE = PARTS["face"]
_CHUNK = 256


def draw_poses(
    poses: PoseSequence, preset: str = "mimicmotion", *, height: int, width: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draws each frame's skeleton on black, one RGB frame at a time.

    Args:
        poses: What to draw.
        preset: A name of `PRESETS`. Those that draw large and shrink lose parts of fingers below about 512 pixels, as
            the code they follow does.
        height: Pixels.
        width: Pixels.

    Raises:
        ValueError: An unknown preset, a size below 16 or above 8192 pixels, a strip, or points absurdly far outside.
    """
    if preset not in PRESETS:
        raise ValueError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}.")
    check_frame_size(height, width)
    if max(height, width) > MAX_ASPECT * min(height, width):  # the canvas would grow without bound
        raise ValueError(f"`height` and `width` must differ by at most {MAX_ASPECT} times, got {height} and {width}.")
    furthest = float(np.abs(poses.keypoints).max())
    if furthest > MAX_DISTANCE:
        raise ValueError(
            f"{poses.source or '`poses`'}: expected keypoints as fractions of the frame, "
            f"found one {furthest:g} frame widths away."
        )
    style = PRESETS[preset]
    return (_draw_with_library if style.library else _draw)(poses, style, height, width)


def _draw_with_library(poses: PoseSequence, style: Preset, height: int, width: int) -> Iterator[np.ndarray]:
    """Leaves the drawing to controlnet-aux; what its detector does to the points beforehand is done here."""
    util = import_quietly(style.library)
    size = _canvas_size(style, height, width)
    for keypoints, confidence in zip(poses.keypoints, poses.confidence, strict=True):
        subset = np.where(confidence[_BODY] >= style.body_threshold, np.arange(len(BODY)), -1)
        shown = np.where(confidence[:, None] < style.part_threshold, np.float32(-1), keypoints)
        canvas = np.zeros((*size, 3), np.uint8)
        canvas = util.draw_bodypose(canvas, keypoints[_BODY], subset[None])
        canvas = util.draw_handpose(canvas, [shown[hand] for hand in _HANDS])
        canvas = util.draw_facepose(canvas, [shown[_FACE]])
        yield cv2.resize(canvas, (width, height))


def _draw(poses: PoseSequence, style: Preset, height: int, width: int) -> Iterator[np.ndarray]:
    sheet = _Sheet(style, height, width)
    canvas = sheet.canvas
    strokes = style.strokes(*canvas.shape[:2])
    limb_width, bone_width = style.width_of or strokes.limb, style.width_of or strokes.bone
    scale = np.array(canvas.shape[1::-1], np.float32)
    for start in range(0, len(poses), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        points = poses.keypoints[chunk] * scale
        pixels = points.astype(np.int32)  # toward zero, as every reference does
        seen, limbs_seen, bones_seen = _visibility(style, poses.keypoints[chunk], poses.confidence[chunk], pixels)
        colours, limb_colours, bone_colours = _colours(style, poses.confidence[chunk])
        bounds = _bounds(pixels, seen, strokes)
        for t in range(len(points)):
            places, shown, hues = pixels[t].tolist(), seen[t].tolist(), colours[t].tolist()
            for part in style.parts:
                if part == "body":
                    lines = limbs_seen[t].tolist(), limb_colours[t].tolist()
                    _draw_limbs(canvas, points[t, _BODY], *lines, limb_width)
                    _draw_discs(canvas, places[_BODY], shown[_BODY], hues[_BODY], strokes.joint)
                elif part == "hands":
                    for side, hand in enumerate(_HANDS):
                        lines = bones_seen[t, side].tolist(), bone_colours[t, side].tolist()
                        _draw_bones(canvas, places[hand], *lines, bone_width)
                        _draw_discs(canvas, places[hand], shown[hand], hues[hand], strokes.knuckle)
                else:
                    _draw_discs(canvas, places[_FACE], shown[_FACE], hues[_FACE], strokes.face)
                    if style.pupils:
                        _draw_pupils(canvas, places, shown, strokes.face)
            yield sheet.take(*bounds[t].tolist())


def _draw_limbs(canvas: np.ndarray, points: np.ndarray, shown: list, colours: list, half_width: Width) -> None:
    x, y = points.T
    for limb, (a, b) in enumerate(_LIMBS.tolist()):
        if shown[limb]:
            # Scalar float32 arithmetic in the references' order: a length that differs in its last bit can fall on
            # the other side of a whole pixel.
            dx, dy = x[a] - x[b], y[a] - y[b]
            center = int((x[a] + x[b]) / 2), int((y[a] + y[b]) / 2)
            length = (dy**2 + dx**2) ** 0.5
            axes = int(length / 2), half_width if isinstance(half_width, int) else half_width(length)
            angle = int(math.degrees(math.atan2(dy, dx)))
            outline = np.array(cv2.ellipse2Poly(center, axes, angle, 0, 360, 1))
            cv2.fillConvexPoly(canvas, outline, colours[limb])


def _draw_bones(canvas: np.ndarray, places: list, shown: list, colours: list, thickness: Width) -> None:
    for bone, (a, b) in enumerate(_BONES.tolist()):
        if shown[bone]:
            width = thickness if isinstance(thickness, int) else thickness(math.dist(places[a], places[b]))
            cv2.line(canvas, places[a], places[b], colours[bone], width)


def _draw_discs(canvas: np.ndarray, places: list, shown: list, colours: list, radius: int) -> None:
    for place, seen, colour in zip(places, shown, colours, strict=True):
        if seen:
            cv2.circle(canvas, place, radius, colour, -1)


def _draw_pupils(canvas: np.ndarray, places: list, shown: list, radius: int) -> None:
    for eye in _EYES:
        if shown[eye] and min(places[eye]) >= 1:
            cv2.circle(canvas, places[eye], radius, (255, 255, 255), -1)


def _visibility(
    style: Preset, keypoints: np.ndarray, confidence: np.ndarray, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which points [frames, 128], limbs [frames, 17] and bones [frames, 2, 20] are drawn."""
    # Off the left and upper edge, hand and face points vanish; off the others they are cut like everything else.
    seen = (pixels >= 1).all(axis=-1) & (confidence >= style.part_threshold)
    hidden = [index(name) for name in style.hidden]
    seen[:, hidden] = False
    body = confidence[:, _BODY] >= style.body_threshold
    body[:, [point for point in hidden if point < len(BODY)]] = False
    limb_ends = body & (keypoints[:, _BODY] > style.limb_margin).all(axis=-1)
    body &= (keypoints[:, _BODY] > style.joint_margin).all(axis=-1)
    seen[:, _BODY] = True if style.unseen_joints else body
    for part, where in (("body", (_BODY,)), ("hands", _HANDS), ("face", (_FACE,))):
        for points in where:
            seen[:, points] &= part in style.parts
    bones = np.stack([seen[:, hand][:, _BONES].all(axis=-1) for hand in _HANDS], axis=1)
    return seen, np.all(limb_ends[:, _LIMBS], axis=-1), bones


def _colours(style: Preset, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours of points [frames, 128, 3], limbs [frames, 17, 3] and bones [frames, 2, 20, 3], ready to be written."""
    frames = len(confidence)
    ones = np.ones_like(confidence)
    body = confidence[:, _BODY] if style.body_fades else ones[:, _BODY]
    parts = confidence if style.parts_fade else ones
    points = np.zeros((frames, len(confidence[0]), 3), np.uint8)
    points[:, _BODY] = _RAINBOW * body[..., None]
    for hand in _HANDS:
        points[:, hand, 2] = parts[:, hand] * 255
    points[:, _FACE] = (parts[:, _FACE] * 255)[..., None]
    # The references draw limbs, then darken the whole canvas. Limbs cover, they do not mix: darkening the colour first
    # gives the same picture.
    limbs = (_RAINBOW[: len(_LIMBS)] * body[:, _LIMBS].prod(axis=-1)[..., None]).astype(np.uint8) * _LIMB_DIMMING
    certainty = np.stack([parts[:, hand][:, _BONES].prod(axis=-1) for hand in _HANDS], axis=1)[..., None]
    if style.parts_fade == "truncate":
        bones = (_BONE_COLOURS * certainty * 255).astype(np.uint8)
    else:
        bones = np.rint(_BONE_COLOURS * (certainty * 255).astype(np.uint8)).astype(np.uint8)
    order = slice(None, None, -1) if style.swapped else slice(None)
    return points[..., order], limbs.astype(np.uint8)[..., order], bones[..., order]


def _bounds(pixels: np.ndarray, seen: np.ndarray, strokes: Strokes) -> np.ndarray:
    """Top, bottom, left and right of all that is drawn in each frame, [frames, 4]; a little more never harms."""
    far = np.iinfo(np.int32).max // 2
    low = np.where(seen[..., None], pixels, far).min(axis=1)
    high = np.where(seen[..., None], pixels, -far).max(axis=1)
    # Limbs turn by up to 1 degree when their angle is cut to whole degrees: half their length times sin(1 degree).
    turn = np.ceil(0.009 * np.linalg.norm((high - low).astype(float), axis=1)).astype(int)[:, None]
    reach = max(strokes.limb, strokes.joint, strokes.bone, strokes.knuckle, strokes.face) + 3 + turn
    low, high = low - reach, high + reach
    return np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0]], axis=1)


class _Sheet:
    """A canvas that is drawn on, resized to the final picture, and wiped, touching only what was drawn on.

    A picture's row y samples the canvas at (y + 0.5) * scale - 0.5. Where scale is a ratio p / q, every q rows of the
    picture see p rows of the canvas and no others, so blocks of p x p pixels can be resized alone. For q a power of two
    the sampling positions are exact in floating point, and the result is that of resizing everything, bit for bit.
    """

    def __init__(self, style: Preset, height: int, width: int):
        size = _canvas_size(style, height, width)
        self.canvas = np.zeros((*size, 3), np.uint8)
        self._picture = height, width, 3
        self._blocks = [_block(*sides) for sides in zip(size, (height, width), strict=True)]
        self._interpolation = cv2.INTER_LINEAR if style.resample == "linear" else cv2.INTER_AREA
        if style.resample == "area or lanczos" and height * width > size[0] * size[1]:
            self._interpolation = cv2.INTER_LANCZOS4

    def take(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """Gives the picture and wipes the canvas, both within these bounds."""
        picture = np.zeros(self._picture, np.uint8)
        sides = zip((top, left), (bottom, right), self.canvas.shape, strict=False)
        spans = [(max(low, 0), min(high + 1, side)) for low, high, side in sides]
        if all(low < high for low, high in spans):
            (rows, tall), (columns, wide) = (
                _cover(span, block) for span, block in zip(spans, self._blocks, strict=True)
            )
            size = wide.stop - wide.start, tall.stop - tall.start
            picture[tall, wide] = cv2.resize(self.canvas[rows, columns], size, interpolation=self._interpolation)
            self.canvas[slice(*spans[0]), slice(*spans[1])] = 0
        return picture


def _canvas_size(style: Preset, height: int, width: int) -> tuple[int, int]:
    if style.short_side is None:
        return height, width
    scale = style.short_side / min(height, width)
    if style.multiple is None:
        return int(height * scale), int(width * scale)
    height, width = (style.rounding(side * scale / style.multiple) * style.multiple for side in (height, width))
    return height, width


def _block(canvas: int, picture: int) -> tuple[int, int]:
    """The smallest number of canvas pixels, and the picture pixels they become, that can be resized alone."""
    shared = math.gcd(canvas, picture)
    p, q = canvas // shared, picture // shared
    return (p, q) if p >= q and q & (q - 1) == 0 else (canvas, picture)


def _cover(span: tuple[int, int], block: tuple[int, int]) -> tuple[slice, slice]:
    """The blocks that cover a span of the canvas: where they lie on it and in the picture."""
    first, last = span[0] // block[0], -(-span[1] // block[0])
    return slice(first * block[0], last * block[0]), slice(first * block[1], last * block[1])
