"""What lies behind a signer: plain walls, gradients, textures and rooms, painted from a seed."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32

Colour = tuple[float, float, float]
"""sRGB, each from 0 to 1."""

KINDS = ("plain", "gradient", "texture", "room", "bokeh")


@dataclass(frozen=True)
class Scene:
    """A background; colours are sRGB from 0 to 1."""

    kind: str = "plain"
    seed: int = 0
    colour: Colour = (0.7, 0.7, 0.7)
    second: Colour = (0.5, 0.5, 0.5)
    blur: float = 0.0
    """Standard deviation of the blur, of the frame's height."""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}, got {self.kind!r}.")


def to_colour(values: np.ndarray) -> Colour:
    """Three numbers as a colour."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def sample_scene(rng: np.random.Generator) -> Scene:
    """A random background."""
    kind = str(rng.choice(KINDS, p=[0.2, 0.2, 0.17, 0.33, 0.1]))
    value = rng.uniform(0.12, 0.95)
    colour = np.clip(value * (1 + rng.normal(0, 0.12, 3)), 0.04, 1)
    second = np.clip(colour * rng.uniform(0.45, 1.35) * (1 + rng.normal(0, 0.12, 3)), 0.03, 1)
    return Scene(
        kind=kind,
        seed=int(rng.integers(2**31)),
        colour=to_colour(colour),
        second=to_colour(second),
        blur=float(rng.choice([0.0, rng.uniform(0.004, 0.02)], p=[0.55, 0.45])),
    )


@lru_cache(maxsize=8)
def paint_scene(scene: Scene, height: int, width: int) -> Float32[np.ndarray, "height width 3"]:
    """Paints a background, linear light from 0 to 1. The result is shared: don't write to it."""
    rng = np.random.default_rng([scene.seed, 0x5C])
    colour, second = (np.array(c, np.float32) for c in (scene.colour, scene.second))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / height - 0.5 * width / height
    painting = np.empty((height, width, 3), np.float32)
    painting[:] = colour
    if scene.kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        along = np.clip(0.5 + (x * np.cos(angle) + (y - 0.5) * np.sin(angle)) * 0.9, 0, 1)
        if rng.random() < 0.5:
            along = np.clip(np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(0.1, 0.6)) * 1.3, 0, 1)
        painting += along[..., None] * (second - colour)
    elif scene.kind == "texture":
        _texture(painting, rng, second)
    elif scene.kind == "room":
        _room(painting, rng, second)
    elif scene.kind == "bokeh":
        _bokeh(painting, rng, second)
    # Walls are never lit evenly.
    shade = 1 - rng.uniform(0, 0.25) * np.hypot(x - rng.uniform(-0.4, 0.4), y - rng.uniform(0.0, 0.7))
    painting *= shade[..., None]
    if scene.blur:
        painting = cv2.GaussianBlur(painting, (0, 0), scene.blur * height, borderType=cv2.BORDER_REFLECT)
    painting = np.clip(painting, 0, 1) ** np.float32(2.2)
    painting.setflags(write=False)
    return painting


def _noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Smooth noise of unit spread, about `cells` bumps high."""
    rows = max(2, cells)
    columns = max(2, round(cells * width / height))
    return cv2.resize(
        rng.normal(size=(rows, columns)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )


def _texture(painting: np.ndarray, rng: np.random.Generator, second: np.ndarray):
    height, width = painting.shape[:2]
    weave = sum(_noise(rng, height, width, 4 * 2**octave) * 0.6**octave for octave in range(5))
    style = rng.integers(4)
    y, x = np.mgrid[:height, :width] / height
    if style == 0:
        amount = 0.5 + 0.22 * weave
    elif style == 1:  # bricks
        rows = rng.integers(10, 20)
        row = np.floor(y * rows)
        column = (x * rows / 2.4 + 0.5 * (row % 2)) % 1
        mortar = ((y * rows) % 1 < 0.1) | (column < 0.045)
        amount = np.where(mortar, 1.0, 0.12 + 0.1 * weave)
    elif style == 2:  # panels or a curtain
        folds = np.sin(x * rng.uniform(25, 80) + 1.2 * _noise(rng, height, width, 3))
        amount = 0.35 + 0.3 * folds + 0.06 * weave
    else:  # wallpaper
        count = rng.integers(6, 16)
        amount = 0.5 * ((np.sin(2 * np.pi * count * x) * np.sin(2 * np.pi * count * y)) > rng.uniform(-0.2, 0.7))
    painting += np.clip(amount, 0, 1).astype(np.float32)[..., None] * (second - painting)


def _rectangle(painting: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour):
    """Fills a rectangle given in heights of the frame, x from its middle."""
    height, width = painting.shape[:2]
    left, right = (round(x * height + width / 2) for x in (x0, x1))
    top, bottom = (round(y * height) for y in (y0, y1))
    painting[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = np.clip(colour, 0, 1)


def _room(painting: np.ndarray, rng: np.random.Generator, second: np.ndarray):
    height, width = painting.shape[:2]
    wall = painting[0, 0].copy()
    half = width / height / 2
    painting *= (1 + 0.025 * _noise(rng, height, width, 24))[..., None]
    if rng.random() < 0.35:  # a corner of the room
        corner = rng.uniform(-0.5, 0.5) * half * 1.8
        _rectangle(painting, corner, 0.0, half + 1, 1.0, wall * rng.uniform(0.75, 0.95))
    if rng.random() < 0.6:
        skirting = rng.uniform(0.74, 1.02)
        _rectangle(painting, -half, skirting, half, 1.1, second)
        _rectangle(painting, -half, skirting - 0.015, half, skirting, np.minimum(wall * 1.15, 1))
    for _ in range(rng.integers(1, 5)):
        middle, top = rng.uniform(-half, half), rng.uniform(0.02, 0.5)
        wide, high = rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.42)
        kind = rng.integers(4)
        if kind == 0:  # a picture
            frame = rng.uniform(0.1, 0.9) * np.array([1, 0.9, 0.8])
            _rectangle(painting, middle - wide / 2, top, middle + wide / 2, top + high, frame)
            inner = rng.uniform(0.2, 0.9, 3)
            _rectangle(
                painting, middle - wide / 2 + 0.015, top + 0.015, middle + wide / 2 - 0.015, top + high - 0.015, inner
            )
            for _ in range(3):
                a, b = np.sort(rng.uniform(-0.45, 0.45, 2)) * wide
                c, d = np.sort(rng.uniform(0.1, 0.9, 2)) * high
                _rectangle(painting, middle + a, top + c, middle + b, top + d, rng.uniform(0.1, 0.95, 3))
        elif kind == 1:  # a window
            glass = np.array([0.85, 0.93, 1.0]) * rng.uniform(0.5, 1.0)
            _rectangle(
                painting,
                middle - wide / 2 - 0.02,
                top - 0.02,
                middle + wide / 2 + 0.02,
                top + high + 0.02,
                [0.9, 0.89, 0.87],
            )
            _rectangle(painting, middle - wide / 2, top, middle + wide / 2, top + high, glass)
            _rectangle(
                painting, middle - wide / 2, top + high * 0.7, middle + wide / 2, top + high, glass * [0.55, 0.7, 0.5]
            )
            _rectangle(painting, middle - 0.006, top, middle + 0.006, top + high, [0.9, 0.89, 0.87])
        elif kind == 2:  # a shelf with books
            _rectangle(painting, middle - wide / 2, top, middle + wide / 2, top + high, second * 0.6)
            shelves = rng.integers(1, 4)
            for shelf in range(shelves):
                floor = top + high * (shelf + 1) / shelves
                at = middle - wide / 2 + 0.01
                while at < middle + wide / 2 - 0.03:
                    book = rng.uniform(0.012, 0.035)
                    _rectangle(
                        painting,
                        at,
                        floor - high / shelves * rng.uniform(0.5, 0.85),
                        at + book,
                        floor,
                        rng.uniform(0.1, 0.85, 3),
                    )
                    at += book
                _rectangle(painting, middle - wide / 2, floor - 0.01, middle + wide / 2, floor, second)
        else:  # a door or cupboard
            _rectangle(painting, middle - wide / 2, top, middle + wide / 2, 1.1, second * rng.uniform(0.8, 1.3))
            _rectangle(
                painting,
                middle - wide / 2 + 0.02,
                top + 0.03,
                middle + wide / 2 - 0.02,
                top + 0.3,
                second * rng.uniform(0.7, 1.1),
            )


def _bokeh(painting: np.ndarray, rng: np.random.Generator, second: np.ndarray):
    height, width = painting.shape[:2]
    painting += np.clip(0.5 + 0.5 * _noise(rng, height, width, 3), 0, 1)[..., None] * (second - painting)
    for _ in range(rng.integers(8, 30)):
        disc = np.zeros((height, width), np.float32)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(disc, centre, max(1, int(rng.uniform(0.01, 0.07) * height)), 1.0, -1, cv2.LINE_AA)
        disc = cv2.GaussianBlur(disc, (0, 0), 0.006 * height)
        painting += disc[..., None] * rng.uniform(0.1, 0.5) * rng.uniform(0.4, 1.0, 3).astype(np.float32)
    np.copyto(painting, cv2.GaussianBlur(painting, (0, 0), 0.01 * height))
