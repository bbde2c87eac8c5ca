"""Painted surfaces: faces, eyes, skin, hair and cloth, as linear albedo or as factors on a colour."""

import cv2
import numpy as np
from jaxtyping import Float32

from gen.signers.appearance import Appearance, Fabric
from gen.signers.body import Body
from poses.keypoints import index

SIZE = 512
"""Every texture is this many pixels wide and high."""

FACE_EXTENT_M = 0.26
"""The face texture shows a square this wide, seen from the front."""

FABRIC_EXTENT_M = 1.0
"""One repeat of cloth."""

Texture = Float32[np.ndarray, "size size 3"]


def to_linear(colour) -> np.ndarray:
    """Turns sRGB into linear light."""
    c = np.asarray(colour, np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def wrapped_noise(rng: np.random.Generator, cells_y: int, cells_x: int) -> np.ndarray:
    """Smooth noise of about unit spread that repeats without a seam."""
    cells = np.pad(rng.normal(size=(cells_y, cells_x)).astype(np.float32), 2, mode="wrap")
    y = (np.arange(SIZE) + 0.5) / SIZE * cells_y + 1.5
    x = (np.arange(SIZE) + 0.5) / SIZE * cells_x + 1.5
    grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return cv2.remap(cells, grid_x, grid_y, cv2.INTER_CUBIC)


def paint_fabric(fabric: Fabric, seed: int) -> Texture:
    """Cloth as albedo, one metre square; it repeats."""
    rng = np.random.default_rng([seed, 0xFA])
    first, second = to_linear(fabric.colour), to_linear(fabric.second)
    count = max(1, round(FABRIC_EXTENT_M / fabric.period_m))
    v, u = (np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5) / SIZE * count
    if fabric.pattern == "stripes":
        amount = (v % 1 < rng.uniform(0.3, 0.6)).astype(np.float32)
    elif fabric.pattern == "bars":
        amount = (u % 1 < rng.uniform(0.2, 0.5)).astype(np.float32)
    elif fabric.pattern == "checks":
        amount = 0.5 * ((u % 1 < 0.5).astype(np.float32) + (v % 1 < 0.5))
        if rng.random() < 0.5:  # a tartan line
            amount = np.maximum(amount, 0.9 * ((u % 1 < 0.06) | (v % 1 < 0.06)))
    elif fabric.pattern == "dots":
        shift = 0.5 * (np.floor(v) % 2)
        far = np.hypot((u + shift) % 1 - 0.5, v % 1 - 0.5)
        amount = np.clip((rng.uniform(0.18, 0.32) - far) * 12, 0, 1)
    elif fabric.pattern == "print":
        bumps = wrapped_noise(rng, count, count) + 0.5 * wrapped_noise(rng, 2 * count, 2 * count)
        amount = np.clip((bumps - rng.uniform(0.1, 0.7)) * 6, 0, 1)
    elif fabric.pattern == "melange":
        amount = np.clip(0.3 + 0.22 * wrapped_noise(rng, 170, 170) + 0.1 * wrapped_noise(rng, 60, 60), 0, 1)
    elif fabric.pattern == "blocks":
        amount = ((v / count + 0.02) % 1 < rng.uniform(0.2, 0.36)).astype(np.float32)
    else:
        amount = np.zeros((SIZE, SIZE), np.float32)
    cloth = first + amount[..., None] * (second - first)
    if fabric.pattern == "print":
        third = np.clip(first * 0.4 + second[::-1] * 0.6, 0, 1)
        more = np.clip((wrapped_noise(rng, count, count) - 0.9) * 6, 0, 1)
        cloth += more[..., None] * (third - cloth)
    uneven = 0.05 * wrapped_noise(rng, 12, 12) + 0.04 * wrapped_noise(rng, 120, 120)
    return (cloth * (1 + uneven[..., None])).astype(np.float32)


def paint_decal(cloth: Texture, fabric: Fabric, seed: int) -> Texture:
    """The front of a garment: cloth whose middle is the breastbone, with what is sewn or printed on it."""
    rng = np.random.default_rng([seed, 0xDE])
    front = cloth.copy()
    per_m = SIZE / FABRIC_EXTENT_M

    def at(right_m: float, down_m: float) -> tuple[int, int]:
        return round(SIZE / 2 + right_m * per_m), round(down_m * per_m)

    bright = float(to_linear(fabric.colour).mean())
    contrast = to_linear((0.9, 0.9, 0.88) if bright < 0.3 else (0.12, 0.12, 0.15)).tolist()
    seam = (to_linear(fabric.colour) * 0.45).tolist()
    if fabric.decal == "logo":
        top = rng.uniform(0.13, 0.2)
        if rng.random() < 0.5:
            cv2.circle(
                front,
                at(0.0, top + 0.05),
                round(rng.uniform(0.03, 0.07) * per_m),
                to_linear(fabric.second).tolist(),
                -1,
            )
            cv2.circle(front, at(0.0, top + 0.05), round(0.025 * per_m), contrast, -1)
        else:
            corners = rng.uniform(-0.07, 0.07, (5, 2)) + np.array([0, top + 0.06])
            cv2.fillPoly(
                front, [np.array([at(*c) for c in corners], np.int32)], to_linear(fabric.second).tolist(), cv2.LINE_AA
            )
    elif fabric.decal == "letters":
        word = "".join(rng.choice(list("ABDEGHKLMNORSTUVZ"), rng.integers(2, 6)))
        scale, thick = rng.uniform(1.0, 1.8), int(rng.integers(2, 6))
        (wide, high), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
        x, y = at(0.0, rng.uniform(0.16, 0.22))
        letters = np.zeros((SIZE, SIZE), np.uint8)
        cv2.putText(
            letters, word, (x - wide // 2, y + high // 2), cv2.FONT_HERSHEY_DUPLEX, scale, 255, thick, cv2.LINE_AA
        )
        front += (letters / np.float32(255))[..., None] * (np.array(contrast, np.float32) - front)
    elif fabric.decal == "pocket":
        cv2.rectangle(front, at(0.055, 0.17), at(0.125, 0.26), seam, 1)
        cv2.line(front, at(0.055, 0.185), at(0.125, 0.185), seam, 1)
    elif fabric.decal == "buttons":
        for right in (-0.018, 0.018):
            cv2.line(front, at(right, 0.0), at(right, 0.9), seam, 1)
        for down in np.arange(0.06, 0.7, 0.085):
            cv2.circle(front, at(0.0, down), round(0.0055 * per_m), contrast, -1, cv2.LINE_AA)
    elif fabric.decal == "zip":
        cv2.line(front, at(0.0, 0.0), at(0.0, 0.9), to_linear((0.75, 0.75, 0.77)).tolist(), 4)
        cv2.line(front, at(0.0, 0.0), at(0.0, 0.9), seam, 1)
    return front


def paint_hair(style: str, seed: int) -> Texture:
    """Strands along v, as factors on the hair's colour; it repeats."""
    rng = np.random.default_rng([seed, 0x4A])
    if style in ("cap", "headscarf"):
        knit = 0.06 * np.sin(np.arange(SIZE) / SIZE * 2 * np.pi * 80)[None] if style == "cap" else 0.0
        factor = 1 + 0.06 * wrapped_noise(rng, 6, 6) + 0.04 * wrapped_noise(rng, 100, 100) + knit
    elif style in ("afro", "curls"):
        factor = 0.95 + 0.4 * wrapped_noise(rng, 44, 44) + 0.4 * wrapped_noise(rng, 100, 100)
    else:
        locks, strands, fine = wrapped_noise(rng, 4, 36), wrapped_noise(rng, 6, 100), wrapped_noise(rng, 8, 220)
        factor = 1 + 0.22 * locks + 0.22 * strands + 0.2 * fine
    return np.repeat(np.clip(factor, 0.25, 1.8)[..., None], 3, axis=2).astype(np.float32)


def paint_skin(seed: int) -> Texture:
    """Fine unevenness of skin, as factors."""
    rng = np.random.default_rng([seed, 0x5E])
    uneven = 0.035 * wrapped_noise(rng, 16, 16) + 0.03 * wrapped_noise(rng, 70, 70)
    redness = 0.02 * wrapped_noise(rng, 10, 10)
    return np.stack([1 + uneven + redness, 1 + uneven - redness, 1 + uneven - redness], axis=-1).astype(np.float32)


def paint_eye(appearance: Appearance) -> Texture:
    """An eyeball seen from the front: the texture's middle is the pupil, its half width the eyeball's radius."""
    rng = np.random.default_rng([appearance.seed, 0xE1])
    y, x = (np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5) / SIZE * 2 - 1
    far = np.hypot(x, y)
    white = np.array([0.80, 0.77, 0.74], np.float32) * (1 - 0.25 * far[..., None] ** 2)
    eye = white * np.array([1, 0.98, 0.97], np.float32)
    iris = to_linear(appearance.iris) * 1.5
    angle = np.arctan2(y, x)
    rays = 1 + 0.25 * np.sin(angle * 23 + rng.uniform(0, 6)) * np.sin(angle * 11 + 2)
    ring = np.clip((far - 0.40) / 0.07, 0, 1)
    coloured = iris * (rays * (1 - 0.65 * ring))[..., None]
    eye += np.clip((0.49 - far) / 0.03, 0, 1)[..., None] * (coloured - eye)
    eye *= (1 - np.clip((0.21 - far) / 0.03, 0, 1) * 0.97)[..., None]
    return eye.astype(np.float32)


def face_uv(points: np.ndarray, body: Body) -> np.ndarray:
    """Where rest positions lie in the face texture, 0 to 1."""
    middle = 0.5 * (body.keypoints[index("left_eye")] + body.keypoints[index("right_eye")])
    return np.stack(
        [0.5 + (points[:, 0] - middle[0]) / FACE_EXTENT_M, 0.5 + (middle[2] - points[:, 2] - 0.025) / FACE_EXTENT_M],
        axis=1,
    )


def paint_face(body: Body, appearance: Appearance) -> Texture:
    """Brows, lips, lids, cheeks, freckles, wrinkles and beard, as factors on the skin's colour."""
    rng = np.random.default_rng([appearance.seed, 0xFC])
    skin = to_linear(appearance.skin)
    face = paint_skin(appearance.seed + 1)
    per_m = SIZE / FACE_EXTENT_M

    def points(name: str, numbers) -> np.ndarray:
        return face_uv(body.keypoints[np.atleast_1d(index(*(f"face_{name}_{i}" for i in numbers)))], body) * SIZE

    def blend(mask: np.ndarray, factor):
        face[:] += mask[..., None] * (np.asarray(factor, np.float32) - 1) * face

    def spot(centre: np.ndarray, radius_m: float) -> np.ndarray:
        y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
        return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (radius_m * per_m) ** 2)

    # Blood shows in cheeks, nose and chin.
    for centre, radius, amount in (
        (points("nose_bridge", [3])[0], 0.013, 0.55),
        (points("jaw", [3])[0] * 0.45 + points("nose_bridge", [3])[0] * 0.55, 0.02, 0.7),
        (points("jaw", [13])[0] * 0.45 + points("nose_bridge", [3])[0] * 0.55, 0.02, 0.7),
        (points("jaw", [8])[0] - (0, 0.012 * per_m), 0.014, 0.3),
    ):
        blend(amount * (0.6 + appearance.makeup * 0.5) * spot(centre, radius), (1.02, 0.82, 0.82))
    # Eye sockets are darker.
    for side in ("left", "right"):
        lids = points(f"{side}_eyelid", range(6))
        blend((0.25 + 0.3 * appearance.makeup) * spot(lids.mean(0), 0.016), (0.72, 0.64, 0.64))
        if appearance.wrinkles > 0.2:
            below = lids.mean(0) + np.array([0, 0.014 * per_m])
            blend(0.35 * appearance.wrinkles * spot(below, 0.009), (0.75, 0.68, 0.7))
    if appearance.freckles > 0:
        middle = points("nose_bridge", [2])[0]
        for _ in range(round(260 * appearance.freckles)):
            at = middle + rng.normal(0, 1, 2) * (0.034 * per_m, 0.018 * per_m)
            mask = np.zeros((SIZE, SIZE), np.float32)
            cv2.circle(
                mask, _pixels(at).tolist(), int(rng.integers(1, 3)), float(rng.uniform(0.2, 0.6)), -1, cv2.LINE_AA
            )
            x, y = _pixels(at)
            window = np.s_[max(y - 4, 0) : max(y + 5, 0), max(x - 4, 0) : max(x + 5, 0)]
            face[window] += mask[window][..., None] * (np.array([0.72, 0.55, 0.42], np.float32) - 1) * face[window]
    if appearance.wrinkles > 0:
        lines = np.zeros((SIZE, SIZE), np.float32)
        brow_top = min(points("left_brow", range(5))[:, 1].min(), points("right_brow", range(5))[:, 1].min())
        for row in range(3):
            xs = np.linspace(SIZE / 2 - 0.045 * per_m, SIZE / 2 + 0.045 * per_m, 30)
            ys = brow_top - (0.012 + 0.011 * row) * per_m + 2.5 * np.sin(xs / 23 + row * 2)
            cv2.polylines(lines, [_pixels(np.stack([xs, ys], 1))], False, 1.0, 2, cv2.LINE_AA)
        nose, mouth = points("nose_base", [0, 4]), points("outer_lip", [0, 6])
        for side in (0, 1):
            out = (mouth[side] - mouth.mean(0)) * 0.35
            curve = np.stack([nose[side] + out * 0.3, (nose[side] + mouth[side]) / 2 + out, mouth[side] + out * 1.1])
            cv2.polylines(lines, [_pixels(curve)], False, 1.0, 3, cv2.LINE_AA)
        lines = cv2.GaussianBlur(lines, (0, 0), 1.6)
        blend(appearance.wrinkles * 0.55 * np.clip(lines, 0, 1), (0.72, 0.62, 0.6))
    _paint_beard(face, rng, appearance, points, skin, per_m)
    mask = np.zeros((SIZE, SIZE), np.float32)
    mouth = points("outer_lip", [*range(12), 0])
    outline = np.concatenate([_smooth(mouth[:7]), _smooth(mouth[6:])])
    cv2.fillPoly(mask, [_pixels(outline * 16)], 1.0, cv2.LINE_AA, shift=4)
    mask = cv2.GaussianBlur(mask, (0, 0), 2.2)
    folds = 1 + 0.05 * wrapped_noise(rng, 4, 200)
    lip_factor = np.clip(to_linear(appearance.lips) / skin, 0, 1.9) * folds[..., None]
    face += mask[..., None] * (lip_factor - face)
    _paint_eyes(face, appearance, points, per_m)
    _paint_brows(face, rng, appearance, points, skin, per_m)
    return np.clip(face, 0.02, 1.98).astype(np.float32)


def _paint_beard(face, rng, appearance, points, skin, per_m):
    if appearance.beard == "none":
        return
    mouth, jaw, nose = points("outer_lip", range(12)), points("jaw", range(17)), points("nose_base", range(5))
    millimetre = per_m / 1000
    mask = np.zeros((SIZE, SIZE), np.float32)
    corners = mouth[[0, 6]]
    under_nose = nose[2] + (0, 5 * millimetre)
    moustache = np.stack(
        [
            corners[0] + (-4 * millimetre, 5 * millimetre),
            0.5 * corners[0] + 0.5 * under_nose + (-2 * millimetre, 0),
            under_nose,
            0.5 * corners[1] + 0.5 * under_nose + (2 * millimetre, 0),
            corners[1] + (4 * millimetre, 5 * millimetre),
            mouth[4] + (0, 1 * millimetre),
            mouth[3],
            mouth[2] + (0, 1 * millimetre),
        ]
    )
    cv2.fillPoly(mask, [_pixels(moustache)], 1.0, cv2.LINE_AA)
    if appearance.beard != "moustache":
        below = mouth[9] + (0, 5 * millimetre)
        upper = np.stack(
            [
                jaw[1], 0.8 * jaw[2] + 0.2 * corners[0], 0.45 * jaw[4] + 0.55 * corners[0],
                corners[0] + (-5 * millimetre, 0), corners[0] + (-1 * millimetre, 6 * millimetre), below,
                corners[1] + (1 * millimetre, 6 * millimetre), corners[1] + (5 * millimetre, 0),
                0.45 * jaw[12] + 0.55 * corners[1], 0.8 * jaw[14] + 0.2 * corners[1], jaw[15],
            ]
        )  # fmt: skip
        lower = jaw[15:0:-1] + (0, 4 * millimetre) + (jaw[15:0:-1] - jaw[8]) * (0.08, 0)
        cv2.fillPoly(mask, [_pixels(np.concatenate([upper, lower]))], 1.0, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), (5 if appearance.beard == "stubble" else 2.5) * millimetre)
    hairs = np.clip(0.86 + 0.2 * wrapped_noise(rng, 180, 240), 0, 1)
    density = {"stubble": 0.38, "moustache": 0.92, "full": 0.92}[appearance.beard]
    factor = np.clip(to_linear(appearance.hair.colour) * 1.15 / skin, 0, 1.6)
    face += (mask * hairs * density)[..., None] * (factor - face)


def _paint_eyes(face, appearance, points, per_m):
    lines = np.zeros((SIZE, SIZE), np.float32)
    for side in ("left", "right"):
        lids = points(f"{side}_eyelid", range(6))
        # Lashes: the upper lid from corner to corner, the lower one faintly.
        upper, lower = lids[[0, 1, 2, 3]], lids[[3, 4, 5, 0]]
        cv2.polylines(
            lines,
            [_pixels(_smooth(upper) * 16)],
            False,
            1.0,
            round((0.0016 + 0.0016 * appearance.makeup) * per_m),
            cv2.LINE_AA,
            4,
        )
        faint = np.zeros_like(lines)
        cv2.polylines(
            faint,
            [_pixels(_smooth(lower) * 16)],
            False,
            0.45 + 0.3 * appearance.makeup,
            round(0.0012 * per_m),
            cv2.LINE_AA,
            4,
        )
        lines = np.maximum(lines, faint)
    lines = cv2.GaussianBlur(lines, (0, 0), 1.2)
    face += (0.85 * lines)[..., None] * (np.array([0.16, 0.13, 0.12], np.float32) - face)


def _paint_brows(face, rng, appearance, points, skin, per_m):
    hair = to_linear(appearance.hair.colour) if appearance.hair.style not in ("cap", "headscarf") else skin * 0.12
    factor = np.clip(np.minimum(hair, skin * 0.55) / skin, 0.03, 1)
    mask = np.zeros((SIZE, SIZE), np.float32)
    for side, outward in (("right", -1), ("left", 1)):
        brow = points(f"{side}_brow", range(5))
        brow = brow[np.argsort(outward * brow[:, 0])]  # from the nose outwards
        curve = _smooth(brow) - np.stack([np.zeros(40), np.linspace(0.0012, 0, 40) * per_m], axis=1)
        shape = np.interp(np.linspace(0, 1, len(curve)), [0, 0.25, 0.65, 1], [0.7, 1, 0.85, 0.3])
        thick = 0.0052 * appearance.brow * per_m * shape
        half = np.stack([np.zeros_like(thick), thick / 2], axis=1)
        cv2.fillPoly(mask, [_pixels(np.concatenate([curve - half, (curve + half)[::-1]]))], 0.55, cv2.LINE_AA)
        for at in np.linspace(0, len(curve) - 1.01, 60):
            base = curve[int(at)] + rng.normal(0, 0.32, 2) * (1, thick[int(at)])
            lean = 0.3 + 0.9 * at / len(curve)
            tip = base + 0.0045 * per_m * np.array([outward * np.sin(lean), -np.cos(lean) * 0.8])
            cv2.line(mask, _pixels(base).tolist(), _pixels(tip).tolist(), float(rng.uniform(0.6, 0.95)), 1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.3)
    face += np.clip(mask * 1.1, 0, 0.93)[..., None] * (factor - face)


def _pixels(points: np.ndarray) -> np.ndarray:
    """Coordinates as OpenCV wants them."""
    return points.astype(np.int32)


def _smooth(points: np.ndarray, count: int = 40) -> np.ndarray:
    """A curve through a few points."""
    from scipy.interpolate import make_interp_spline

    along = np.linspace(0, 1, len(points))
    return make_interp_spline(along, points, k=min(3, len(points) - 1))(np.linspace(0, 1, count))
