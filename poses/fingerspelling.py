"""Fingerspelled words from the real letter clips of the `spoken-to-signed` package: one clip a letter and language."""

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from poses.clean import resample
from poses.io import load_poses
from poses.keypoints import HAND, HAND_BONES, PARTS, index
from poses.sequence import GlossSpan, PoseSequence

LANGUAGES = (
    "ase", "asq", "bzs", "cse", "csq", "eso", "gsg", "gss", "ise", "jos",
    "lls", "mfs", "psr", "sgg", "ssp", "svk", "swl", "tsm", "ukl",
)  # fmt: skip
"""ISO 639-3 codes of the sign languages that can be spelled. The package's `fsl` is left out: its clips are `ase`'s."""

HELD_OUT_LANGUAGES = ("bzs", "gsg", "mfs", "svk")
"""Languages that no shipped weight has seen; figures are given on them."""

TWO_HANDED = ("cse", "csq", "tsm")
"""Languages whose alphabet takes both hands. All others take one: the left in `ise`, the right elsewhere."""

RAISING_SPEED = 0.75
"""Shoulder widths a second: a hand that goes up or down faster at an end of a clip is on its way from or to rest."""

RESTING_DEPTH = 0.5
"""Shoulder widths below the letter's own height from where on a hand is at rest."""

STILL_SPEED = 0.15
"""Shoulder widths a second, mean over the points of both hands, below which hands hold their shape."""

MAX_HOLD_S = 0.28
"""Seconds that a hand stays still at most; the clips hold each letter for half a second, as nobody does in a word."""

MAX_LEAD_S = 0.25
"""Seconds of raising the hand before the first letter, and of lowering it after the last."""

TRANSITION_S = (0.16, 0.32)
"""Shortest and longest way from one letter to the next, in seconds."""

TRANSITION_SPEED = 2.5
"""Speed of the fastest hand point between letters, in shoulder widths a second, within `TRANSITION_S`."""

_HANDS = np.r_[PARTS["left_hand"], PARTS["right_hand"]]
_PALM_BONES = [number for number, (root, _) in enumerate(HAND_BONES) if root == "wrist" and number]


def letter_clips(language: str) -> dict[str, PoseSequence]:
    """Reads the letters of one sign language, each as recorded: hand raised, letter, hand lowered.

    Every clip has the same body: shoulders nearly level and 0.4 of the frame apart.

    Args:
        language: One of `LANGUAGES`.

    Returns:
        Clip by letter, in upper case; some languages have digraphs (`CH`) and accented letters.

    Raises:
        ValueError: `language` is not one of `LANGUAGES`.
    """
    return {letter: _clip(path, letter, language) for letter, path in letter_files(language).items()}


def letter_files(language: str) -> dict[str, Path]:
    """The `.pose` file of each letter, in upper case, as the package `spoken-to-signed` has it.

    Raises:
        ValueError: `language` is not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ValueError(f"`language` must be one of {', '.join(LANGUAGES)}, got {language!r}.")
    return _index()[language]


def hand_depths(language: str) -> dict[str, Float32[np.ndarray, "frames 42"]]:
    """How far behind its hand's wrist each point of the left, then the right hand lies, in pixels; 0 where not seen.

    Pose sequences are flat; this is what the clips of `letter_clips` hold besides. The clips were scaled in the picture
    only, so one factor a language, which gives bones the steadiest length, makes depths and pixels one unit.

    Args:
        language: One of `LANGUAGES`.

    Raises:
        ValueError: `language` is not one of `LANGUAGES`.
    """
    clips = letter_clips(language)
    hands = {letter: _hands_in_space(path) for letter, path in letter_files(language).items()}
    for letter, points in hands.items():
        points[..., :2] = clips[letter].pixels()[:, _HANDS].reshape(-1, 2, len(HAND), 2)
    both = np.concatenate([points.reshape(-1, len(HAND), 3) for points in hands.values()])
    both = both[(both[..., :2] != 0).all(axis=(1, 2))]
    roots, tips = zip(*((HAND.index(root), HAND.index(tip)) for root, tip in HAND_BONES), strict=True)
    bones = both[:, tips] - both[:, roots]

    def unsteadiness(factor: float) -> float:
        lengths = np.linalg.norm(bones * [1, 1, factor], axis=-1)
        lengths = lengths / lengths[:, _PALM_BONES].mean(axis=1, keepdims=True)
        return float(np.median(lengths.std(axis=0) / lengths.mean(axis=0)))

    factor = min(np.geomspace(100, 4000, 60), key=unsteadiness)
    depths = {}
    for letter, points in hands.items():
        depth = (points[..., 2] - points[..., :1, 2]) * factor
        seen = clips[letter].confidence[:, _HANDS] > 0
        depths[letter] = np.where(seen, depth.reshape(len(depth), -1), 0).astype(np.float32)
    return depths


def spell(word: str | Sequence[str], language: str, *, fps: float = 24.0) -> PoseSequence:
    """Composes a fingerspelled word: the letters' own movements, long holds cut, joined by smooth transitions.

    Args:
        word: A string is spelled character by character; a sequence of letters may hold digraphs, `["CH", "A"]`.
        language: One of `LANGUAGES`.
        fps: Frames per second of the result; SignVerse-2M has 24.

    Returns:
        One clip, with the frames of each letter in `glosses`. Frames between letters belong to none.

    Raises:
        ValueError: `language` is unknown, `word` is empty or has a letter that the language lacks, `fps` is not
            between 5 and 120.
    """
    paths = letter_files(language)
    if not 5 <= fps <= 120:
        raise ValueError(f"`fps` must be between 5 and 120, got {fps!r}.")
    letters = [_upper(letter, language) for letter in word]
    unknown = [letter for letter in letters if letter not in paths]
    if not letters or unknown:
        found = f"letter {unknown[0]!r}" if unknown else "no letter"
        raise ValueError(f"`word` must be spelled from the {language} letters {' '.join(paths)}, got {found}.")
    # Below 24 frames a second, holds and transitions would be shorter than a frame.
    rate = max(fps, 24.0)
    clips = [resample(_clip(paths[letter], letter, language), rate) for letter in letters]
    return resample(join_letters(clips, letters), fps)


def join_letters(clips: Sequence[PoseSequence], letters: Sequence[str]) -> PoseSequence:
    """Joins letter clips of one frame rate, frame size and body into a word; `spell` for given clips.

    Args:
        clips: One clip a letter, as `letter_clips` gives them or changed (slower, another hand size, mirrored).
        letters: The gloss of each clip.

    Returns:
        One clip with `glosses`, language and source of the first.

    Raises:
        ValueError: The clips differ in number from the letters, or in frame rate or size.
    """
    if not clips or len(clips) != len(letters):
        raise ValueError(f"`clips` must hold one clip a letter, got {len(clips)} for {len(letters)} letters.")
    first = clips[0]
    layouts = {(clip.fps, clip.width, clip.height) for clip in clips}
    if len(layouts) > 1:
        raise ValueError(f"`clips` must have one frame rate and size, got {len(layouts)}.")
    spans = [letter_span(clip) for clip in clips]
    cores = [_cut_holds(clip[start:stop]) for clip, (start, stop) in zip(clips, spans, strict=True)]
    lead = round(MAX_LEAD_S * first.fps)
    start, (_, stop) = spans[0][0], spans[-1]
    pieces = [_arrays(first[max(start - lead, 0) : start])] if start else []
    num_frames = sum(len(keypoints) for keypoints, _ in pieces)
    glosses = []
    for number, (core, letter) in enumerate(zip(cores, letters, strict=True)):
        if number:
            transition = _transition(cores[number - 1], core)
            pieces.append(transition)
            num_frames += len(transition[0])
        pieces.append(_arrays(core))
        glosses.append(GlossSpan(letter, num_frames, num_frames + len(core)))
        num_frames += len(core)
    if stop < len(clips[-1]):
        pieces.append(_arrays(clips[-1][stop : stop + lead]))
    keypoints, confidence = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    source = f"fingerspelling {first.language} {'-'.join(letters)}"
    return replace(
        first,
        keypoints=keypoints,
        confidence=confidence,
        source=source,
        glosses=tuple(glosses),
    )


def letter_span(clip: PoseSequence) -> tuple[int, int]:
    """Finds the letter within its clip: its first frame once the hand is raised, and one past its last.

    The lower of the hands that are seen in most frames decides. A clip without hands is all letter.
    """
    height = _hand_height(clip)
    if height is None:
        return 0, len(clip)
    middle = height[len(height) // 4 : len(height) - len(height) // 4]
    raised = np.flatnonzero(height <= np.median(middle) + RESTING_DEPTH)
    start, stop = int(raised[0]), int(raised[-1]) + 1
    limit = RAISING_SPEED / clip.fps
    while start + 1 < stop and height[start] - height[start + 1] > limit:
        start += 1
    while stop - 2 > start and height[stop - 1] - height[stop - 2] > limit:
        stop -= 1
    return start, stop


@lru_cache(maxsize=1)
def _index() -> dict[str, dict[str, Path]]:
    """Path of every letter's clip by language and letter; only the package's table is read."""
    package = find_spec("spoken_to_signed")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "assets" / "fingerspelling_lexicon"
    paths: dict[str, dict[str, Path]] = {language: {} for language in LANGUAGES}
    with (folder / "index.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            language = row["signed_language"]
            if language in paths:
                paths[language][_upper(row["words"], language)] = folder / row["path"]
    return {language: dict(sorted(letters.items())) for language, letters in paths.items()}


@lru_cache(maxsize=64)
def _clip(path: Path, letter: str, language: str) -> PoseSequence:
    clip = load_poses(path)
    clip.keypoints.setflags(write=False)
    clip.confidence.setflags(write=False)
    return replace(
        clip,
        source=f"fingerspelling {language} {letter}",
        language=language,
        glosses=(GlossSpan(letter, *letter_span(clip)),),
    )


def _hands_in_space(path: Path) -> Float32[np.ndarray, "frames 2 21 3"]:
    """Left and right hand of a `.pose` file as it gives them."""
    from pose_format import Pose

    pose = Pose.read(path.read_bytes())
    points = np.ma.filled(pose.body.data[:, 0], 0)
    names = [component.name for component in pose.header.components for _ in component.points]
    hands = [[name == f"{side}_HAND_LANDMARKS" for name in names] for side in ("LEFT", "RIGHT")]
    return np.stack([points[:, of_hand] for of_hand in hands], axis=1).astype(np.float32)


def _upper(letter: str, language: str) -> str:
    """Upper case without changing the number of letters: ß has a capital, and Turkish i keeps its dot."""
    letter = unicodedata.normalize("NFC", letter).replace("ß", "ẞ")
    if language == "tsm":
        letter = letter.replace("i", "İ")
    return letter.upper()


def _arrays(poses: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
    return poses.keypoints, poses.confidence


def _in_shoulder_widths(poses: PoseSequence) -> Float32[np.ndarray, " 2"]:
    """Factor from frame units to shoulder widths, along x and y."""
    return np.array([poses.width, poses.height], np.float32) / np.float32(poses.shoulder_width_px())


def _hand_height(clip: PoseSequence) -> Float32[np.ndarray, " frames"] | None:
    """Depth of the lower hand in shoulder widths (y down), gaps interpolated; None where no hand is mostly seen."""
    wrists = []
    for hand in ("left_hand_wrist", "right_hand_wrist"):
        seen = np.flatnonzero(clip.confidence[:, index(hand)] > 0)
        if len(seen) >= max(len(clip) / 2, 1):
            wrists.append(np.interp(np.arange(len(clip)), seen, clip.keypoints[seen, index(hand), 1]))
    if not wrists:
        return None
    return (np.max(wrists, axis=0) * _in_shoulder_widths(clip)[1]).astype(np.float32)


def _cut_holds(letter: PoseSequence) -> PoseSequence:
    """Shortens every stretch in which no hand moves to `MAX_HOLD_S`, dropping frames from its middle."""
    longest = max(round(MAX_HOLD_S * letter.fps), 1)
    still = np.append(_hand_motion(letter).mean(axis=1) < STILL_SPEED / letter.fps, False)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    keep = np.ones(len(letter), bool)
    for start, stop in edges.reshape(-1, 2):
        surplus = stop + 1 - start - longest
        if surplus > 0:
            first = start + longest // 2
            keep[first : first + surplus] = False
    return replace(
        letter,
        keypoints=letter.keypoints[keep],
        confidence=letter.confidence[keep],
        glosses=(),
    )


def _hand_motion(poses: PoseSequence) -> Float32[np.ndarray, "steps points"]:
    """How far each hand point moves from each frame to the next, in shoulder widths; 0 where it is not seen twice."""
    hands = np.r_[PARTS["left_hand"], PARTS["right_hand"]]
    keypoints = poses.keypoints[:, hands] * _in_shoulder_widths(poses)
    seen = (poses.confidence[1:, hands] > 0) & (poses.confidence[:-1, hands] > 0)
    return np.where(seen, np.linalg.norm(np.diff(keypoints, axis=0), axis=2), 0).astype(np.float32)


def _transition(before: PoseSequence, after: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
    """The frames from the last pose of one letter to the first of the next.

    Points ease along straight lines (minimum jerk); a hand turns rigidly by the angle between its two shapes while
    what is left changes linearly, so that it does not shrink halfway. A point seen at one end only stays there for
    that half, unmoved.
    """
    ends = replace(
        before,
        keypoints=np.stack([before.keypoints[-1], after.keypoints[0]]),
        confidence=np.stack([before.confidence[-1], after.confidence[0]]),
        glosses=(),
    )
    seconds = np.clip(_hand_motion(ends).max() / TRANSITION_SPEED, *TRANSITION_S)
    num_frames = max(round(seconds * before.fps) - 1, 1)
    time = (np.arange(1, num_frames + 1) / (num_frames + 1)).astype(np.float32)[:, None]
    ease = time**3 * (10 - 15 * time + 6 * time**2)
    scale = np.array([before.width, before.height], np.float32)
    start, stop = ends.keypoints * scale
    path = start + ease[..., None] * (stop - start)
    seen = ends.confidence > 0
    for hand in ("left_hand", "right_hand"):
        points = PARTS[hand]
        if seen[:, points].all():
            path[:, points] = _turn_hand(start[points], stop[points], ease[:, 0])
    confidence = np.repeat(ends.confidence.min(axis=0)[None], num_frames, axis=0)
    for end, half in ((0, time[:, 0] < 0.5), (1, time[:, 0] >= 0.5)):
        only = seen[end] & ~seen[1 - end]
        path[np.ix_(half, only)] = (start, stop)[end][only]
        confidence[np.ix_(half, only)] = ends.confidence[end][only]
    keypoints = np.where(confidence[..., None] > 0, path / scale, 0)
    return keypoints.astype(np.float32), confidence


def _turn_hand(
    start: Float32[np.ndarray, "points 2"],
    stop: Float32[np.ndarray, "points 2"],
    ease: Float32[np.ndarray, " frames"],
) -> Float32[np.ndarray, "frames points 2"]:
    """Moves one hand's points: its wrist straight, its shape by rotation plus what a rotation leaves over."""
    wrist = start[0] + ease[:, None] * (stop[0] - start[0])
    # In the complex plane the best rotation (least squares) from one shape to the other is one product.
    old, new = ((shape - shape[0]) @ np.array([1, 1j]) for shape in (start, stop))
    angle = np.angle(np.vdot(old, new))
    turned = old + ease[:, None] * (new * np.exp(-1j * angle) - old)
    shape = turned * np.exp(1j * angle * ease)[:, None]
    return (wrist[:, None] + np.stack([shape.real, shape.imag], axis=-1)).astype(np.float32)
