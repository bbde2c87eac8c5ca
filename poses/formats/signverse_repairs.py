"""What SignVerse-2M's makers left wrong, and how each defect is repaired: arrays in, arrays out.

The defects follow from https://github.com/SignerX/SignVerse-2M,
SignDW_Transformer/scripts/pipeline02_extract_dwpose_from_video.py@1c6dfc7, and from easy-dwpose 1.0.2, which it runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from poses.keypoints import NAMES, PARTS
from poses.people import Repair

VISIBLE = 0.3
"""The score above which easy-dwpose calls a body joint visible."""

VERSIONS = {"body-codes": 1, "hands": 1, "frame-indices": 1, "phantoms": 1, "scores": 1, "off-frame": 1}
"""Every repair and its version, which rises when it does otherwise."""

FARTHEST_OFF = 0.25
"""Frame widths or heights beyond its edge up to which a point may truly be: the estimator looks a little further."""

MIN_BODY_JOINTS = 8
"""Visible joints of a body; what has fewer is no person."""

MIN_HAND_POINTS = 10
"""Confident points of a hand; what has fewer is no hand."""

MIN_FACE_POINTS = 34
"""Confident points of a face, half of it; what has fewer is no face."""

_PART_OF = np.array([part for part, where in PARTS.items() for _ in NAMES[where]])
_IS_BODY, _IS_HAND = _PART_OF == "body", np.char.endswith(_PART_OF, "hand")
_LEAST_IN_PIXELS = 2.0
CODES = np.arange(PARTS["body"].stop - PARTS["body"].start, dtype=np.float32)
"""What person 0 has instead of body scores where every joint is visible; each further person has 18 more."""


@dataclass(frozen=True)
class Repairs:
    """Which defects are repaired where they are found."""

    body_codes: bool = True
    """Joint numbers that stand for the body's scores become 1, and -1, which stands for unseen, becomes 0."""
    hands: bool = True
    """Hands of several people go back to their owners, unless they already lie at their wrists."""
    frame_indices: bool = True
    """Indices stored twice are taken once, missing ones are counted, a stride lowers the frame rate, and frames missing
    between others become frames without people. Otherwise frames follow each other as they are stored."""
    phantoms: bool = True
    """Who was found in a frame where nobody was detected, and shows no body, hand or face, is nobody."""
    scores: bool = True
    """Scores above 1 become 1, and those below 0 become 0."""
    off_frame: bool = True
    """Points farther than `FARTHEST_OFF` off the frame are unseen."""

    def without(self, names: Iterable[str]) -> "Repairs":
        """The same repairs but those of these names."""
        return replace(self, **{name.replace("-", "_"): False for name in names})


def are_codes(scores: Float32[np.ndarray, "frames 18"]) -> bool:
    """Whether every body score is -1 or the joint's number plus 18 for each person before."""
    return bool(((scores == -1) | ((scores >= 0) & ((scores - CODES) % len(CODES) == 0))).all())


def stored_as(person: int, part: str, num_permuted: int) -> tuple[int, str]:
    """Under which person and part a part is stored when the hands of `num_permuted` people are permuted.

    The estimator gives all left hands, then all right ones; the writer takes them for the left and the right hand of
    one person after the other.
    """
    if num_permuted < 2 or not part.endswith("hand"):
        return person, part
    position = person if part == "left_hand" else num_permuted + person
    return position // 2, ("left_hand", "right_hand")[position % 2]


def repair_points(
    keypoints: Float32[np.ndarray, "frames people 128 2"],
    scores: Float32[np.ndarray, "frames people 128"],
    num_people: Int32[np.ndarray, " frames"],
    repairs: Repairs,
    *,
    codes: bool,
    permuted: bool,
) -> tuple[Repair, ...]:
    """Repairs in place, and says what changed.

    Args:
        keypoints: As stored, except that hands are with their owners already.
        scores: As stored, 0 where there is no such person.
        num_people: As stored.
        repairs: What to repair.
        codes: Whether the body's scores are joint numbers.
        permuted: Whether hands were given back to their owners.
    """
    exists = (np.arange(scores.shape[1]) < num_people[:, None])[..., None]
    several = (num_people > 1)[:, None, None]
    body = scores[..., PARTS["body"]]
    body_seen = (body >= 0 if codes else body > VISIBLE) & exists
    changed = {}
    if codes and repairs.body_codes:
        changed["body-codes"] = exists & _IS_BODY
        body[:] = body_seen
    if permuted:
        changed["hands"] = exists & several & _IS_HAND
    if repairs.phantoms:
        nobody = _phantoms(body_seen, scores, num_people)
        changed["phantoms"] = nobody[:, None, None] & exists & np.ones_like(_IS_BODY)
        keypoints[nobody], scores[nobody], num_people[nobody] = 0, 0, 0
    if repairs.scores:
        changed["scores"] = (scores < 0) | (scores > 1)
        np.clip(scores, 0, 1, out=scores)
    if repairs.off_frame:
        changed["off-frame"] = far_off(keypoints) & (scores > 0)
        scores[changed["off-frame"]] = 0
    return tuple(Repair.of(name, VERSIONS[name], where) for name, where in changed.items() if where.any())


def _phantoms(
    body_seen: Bool[np.ndarray, "frames people 18"],
    scores: Float32[np.ndarray, "frames people 128"],
    num_people: Int32[np.ndarray, " frames"],
) -> Bool[np.ndarray, " frames"]:
    """In which frames the only person is none.

    Where nobody is detected, the estimator looks for one person in the whole picture. Who shows neither
    `MIN_BODY_JOINTS` of a body, nor `MIN_HAND_POINTS` of a hand, nor half of a face was found that way.
    """
    alone = num_people == 1
    if not alone.any():
        return alone
    confident = scores[:, 0] > VISIBLE
    hands = [confident[:, PARTS[side]].sum(axis=1) >= MIN_HAND_POINTS for side in ("left_hand", "right_hand")]
    face = confident[:, PARTS["face"]].sum(axis=1) >= MIN_FACE_POINTS
    return alone & (body_seen[:, 0].sum(axis=1) < MIN_BODY_JOINTS) & ~(hands[0] | hands[1] | face)


def far_off(
    keypoints: Float32[np.ndarray, "... 128 2"],
) -> Bool[np.ndarray, "... 128"]:
    """Which points lie too far off the frame to be seen."""
    return np.any((keypoints < -FARTHEST_OFF) | (keypoints > 1 + FARTHEST_OFF), axis=-1)


def in_pixels(points: Float32[np.ndarray, "points 2"]) -> float:
    """The median distance from the frame's corner where that shows pixels instead of fractions of the frame, else 0."""
    with np.errstate(over="ignore"):
        median = float(np.median(np.abs(points))) if points.size else 0.0
    return median if median >= _LEAST_IN_PIXELS else 0.0
