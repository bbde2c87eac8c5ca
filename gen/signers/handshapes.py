"""A library of handshapes: those of the real fingerspelling clips, and countable ones made joint by joint.

Shapes are kept as joint angles of a right hand, so that they fit any body and, mirrored, either hand.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from gen.signers.body import Body
from gen.signers.hands import ANGLES, FINGERS, fit_hands, hand_model
from poses.clean import resample
from poses.files import new_file
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES, letter_span
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

TRAINING_LANGUAGES = tuple(language for language in LANGUAGES if language not in HELD_OUT_LANGUAGES)

SIDES = ("left", "right")

FPS = 25.0
"""Of the fitted clips; most were recorded so."""

MIN_FRAMES = 3
"""A hand seen in fewer frames of a letter gives no handshape."""

SHOULDER_WIDTH_M = 0.324
"""Of the usual body: the clips' bodies all have the same, and size the hands by it."""

_FINGERS_DEG = {
    "straight": ((-8, 8), (0, 8), (0, 6)),
    "bent": ((60, 80), (0, 10), (0, 6)),
    "hooked": ((-5, 20), (70, 95), (35, 55)),
    "curved": ((25, 50), (30, 50), (15, 30)),
    "closed": ((75, 90), (90, 105), (55, 70)),
    "loose": ((15, 40), (20, 45), (10, 25)),
}
"""Flexion of knuckle, middle and end joint, degrees from straight: lowest and highest."""

_MADE_SHAPES = (
    ("straight straight straight straight", "side"), ("straight straight straight straight", "across"),
    ("straight straight straight straight", "out"), ("straight closed closed closed", "across"),
    ("straight closed closed closed", "out"), ("straight straight closed closed", "across"),
    ("straight straight closed closed", "out"), ("straight straight straight closed", "across"),
    ("closed closed closed straight", "across"), ("closed closed closed straight", "out"),
    ("straight closed closed straight", "across"), ("straight closed closed straight", "out"),
    ("closed closed closed closed", "across"), ("closed closed closed closed", "side"),
    ("closed closed closed closed", "out"), ("curved curved curved curved", "opposed"),
    ("hooked hooked hooked hooked", "out"), ("hooked closed closed closed", "across"),
    ("hooked hooked closed closed", "across"), ("bent bent bent bent", "side"),
    ("bent bent closed closed", "across"), ("bent bent bent bent", "opposed"),
    ("curved straight straight straight", "opposed"), ("straight bent straight straight", "out"),
    ("loose loose loose loose", "side"), ("loose loose loose loose", "out"),
)  # fmt: skip
"""Index, middle, ring and little finger, and the thumb."""

_THUMBS_DEG = {
    "side": (-25, -8, 0, (0, 15), (0, 15)),
    "out": (15, 0, 0, (-5, 10), (-5, 10)),
    "across": (-25, 30, 10, (25, 50), (20, 60)),
    "opposed": (-10, 38, 20, (5, 20), (10, 30)),
}
"""The thumb's five of `ANGLES`."""


@dataclass(frozen=True)
class Handshapes:
    """Moving shapes, one after the other in time: clip `i` is frames `starts[i]` to `starts[i + 1]`.

    Attributes:
        names: What each clip is: language, letter and hand, or `made`, fingers, thumb and a number.
        starts: First frame of every clip, and the number of all frames.
        angles: Joint angles, radians, as `gen.signers.hands.ANGLES`.
        fps: Frames per second.
    """

    names: tuple[str, ...]
    starts: Int64[np.ndarray, " edges"]
    angles: Float32[np.ndarray, "frames angles"]
    fps: float

    def __len__(self) -> int:
        return len(self.names)

    def split(self, split: str) -> list[int]:
        """The clips of `train`, `validation` or `test`: a letter is in one of them, with both its hands."""
        shares = {"train": range(80), "validation": range(80, 90), "test": range(90, 100)}
        return [i for i, name in enumerate(self.names) if _percent(name) in shares[split]]

    def loose(self) -> list[int]:
        """The made clips of a relaxed hand."""
        return [i for i, name in enumerate(self.names) if name.startswith("made loose")]


def _percent(name: str) -> int:
    letter = name.rsplit(" ", 1)[0]
    return int.from_bytes(hashlib.sha256(letter.encode()).digest()[:4], "big") % 100


def make_shapes(*, variations: int = 6, seed: int = 0) -> dict[str, Float32[np.ndarray, " angles"]]:
    """Shapes of known flexion and spread, `variations` of each of `_MADE_SHAPES`, by name."""
    rng = np.random.default_rng(seed)
    return {
        f"made {fingers} {thumb} {number}": _made_shape(fingers.split(), thumb, rng)
        for fingers, thumb in _MADE_SHAPES
        for number in range(variations)
    }


def _made_shape(fingers: Sequence[str], thumb: str, rng: np.random.Generator) -> Float32[np.ndarray, " angles"]:
    sweep, lift, roll, *bends = _THUMBS_DEG[thumb]
    degrees = dict(
        zip(ANGLES, [*rng.normal((sweep, lift, roll), 4), *(rng.uniform(*bend) for bend in bends)], strict=False)
    )
    # Straight fingers fan out by the same angle each.
    fan = rng.uniform(-2, 8)
    for number, (finger, state) in enumerate(zip(FINGERS[1:], fingers, strict=True)):
        degrees[f"{finger}_spread"] = (1.4 - number) * fan * (state in ("straight", "hooked"))
        for joint, limits in enumerate(_FINGERS_DEG[state], start=1):
            degrees[f"{finger}_bend_{joint}"] = rng.uniform(*limits)
    return np.radians([degrees[name] for name in ANGLES]).astype(np.float32)


def fit_handshapes(clips: Sequence[PoseSequence], body: Body) -> Handshapes:
    """The handshapes of letter clips, fitted to the points seen, with the made shapes after them.

    Args:
        clips: One letter each, as `letter_clips` gives them.
        body: Whose right hand is fitted.

    Raises:
        ValueError: A clip's language is held out of everything that is trained, or not known.
    """
    hands = []
    for clip in clips:
        if clip.language not in TRAINING_LANGUAGES:
            raise ValueError(
                f"`clips` must be of the training languages {', '.join(TRAINING_LANGUAGES)}, got {clip.language!r}."
            )
        letter = resample(clip[slice(*letter_span(clip))], FPS)
        hands += [(f"{clip.language} {clip.glosses[0].gloss} {side}", *_seen_hand(letter, side)) for side in SIDES]
    hands = [(name, points, confidence) for name, points, confidence in hands if len(points) >= MIN_FRAMES]
    track = np.repeat(np.arange(len(hands)), [len(points) for _, points, _ in hands])
    fitted = fit_hands(
        hand_model(body),
        np.concatenate([points for _, points, _ in hands]),
        np.concatenate([confidence for *_, confidence in hands]),
        track,
    )
    made = make_shapes()
    lengths = [*np.bincount(track), *np.ones(len(made), int)]
    return Handshapes(
        names=(*(name for name, *_ in hands), *made),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        angles=np.concatenate([fitted.angles, *(angles[None] for angles in made.values())]).astype(np.float32),
        fps=FPS,
    )


def _seen_hand(clip: PoseSequence, side: str) -> tuple[np.ndarray, np.ndarray]:
    """A hand's points where it was seen, as a right hand's in metres of the usual body, and their confidence."""
    points = clip.pixels()[:, PARTS[f"{side}_hand"]].astype(float)
    confidence = clip.confidence[:, PARTS[f"{side}_hand"]]
    seen = (confidence > 0).all(axis=1)
    # In the picture x runs to the signer's left and y down, in the model z runs up.
    metre = SHOULDER_WIDTH_M / clip.shoulder_width_px()
    points = points[seen] * metre * ((1, -1) if side == "right" else (-1, -1))
    return points, confidence[seen].astype(float)


def save_handshapes(shapes: Handshapes, path: Path) -> None:
    """Writes a library; the file must not be there."""
    with new_file(path) as aside:
        arrays = {name: getattr(shapes, name) for name in ("starts", "angles", "fps")}
        np.savez_compressed(aside, names=np.array(shapes.names), **arrays)


def load_handshapes(path: Path) -> Handshapes:
    """Reads what `save_handshapes` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Handshapes(
            tuple(str(name) for name in arrays["names"]), arrays["starts"], arrays["angles"], float(arrays["fps"])
        )
