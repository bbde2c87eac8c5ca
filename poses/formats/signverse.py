"""Reads and writes the pose files of SignVerse-2M (https://arxiv.org/abs/2605.01720).

Two schemes are published: one `poses.npz` a video, whose frames are a pickled array of dictionaries, and one `.npz` a
frame in a folder `npz`. Both are read, neither through pickle. The layout is that of `build_npz_payload` in
https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/pipeline02_extract_dwpose_from_video.py@1c6dfc7,
which carries defects; those that matter for one signer are repaired here.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poses.files import new_file
from poses.formats.checks import checked_sequence
from poses.formats.frame_runs import MAX_FRAMES, FrameRun
from poses.formats.signverse_files import LARGEST_FPS_ERROR, Clip, read_clip
from poses.keypoints import NUM_KEYPOINTS, PARTS, index
from poses.sequence import GlossSpan, PoseFileError, PoseSequence

_VISIBLE = 0.3
"""The score above which easy-dwpose calls a body joint visible."""

_MAX_PEOPLE_BYTES = 2**29
_POINTS = {name: part.stop - part.start for name, part in PARTS.items()}
_CODES = np.arange(_POINTS["body"], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class People:
    """Everybody in a file, frame by frame, in the detector's order: person 0 may be someone else in the next frame.

    Attributes:
        keypoints: x / frame width and y / frame height, [frames, people, 128, 2].
        confidence: 0 (not seen, or no such person) to 1, [frames, people, 128].
        num_people: How many people the detector found, [frames].
        repairs: The defects found and repaired, each with the version of its repair.
    """

    keypoints: np.ndarray
    confidence: np.ndarray
    num_people: np.ndarray
    fps: float
    width: int
    height: int
    language: str
    glosses: tuple[GlossSpan, ...]
    repairs: tuple[str, ...]


def read_signverse(path: str | os.PathLike[str]) -> PoseSequence:
    """Reads the first person of each frame.

    Args:
        path: A `poses.npz`, a folder or zip file of one `.npz` a frame, or a video's folder with either inside.

    Raises:
        PoseFileError: It is something else, is damaged, or shows nobody.
    """
    people = read_people(path, max_people=1)
    return checked_sequence(
        path,
        people.keypoints[:, 0],
        people.confidence[:, 0],
        fps=people.fps,
        width=people.width,
        height=people.height,
        language=people.language,
        glosses=people.glosses,
    )


def read_people(path: str | os.PathLike[str], *, max_people: int | None = None, unpermute_hands: bool = True) -> People:
    """Reads everybody, and repairs what is certain.

    * `body-codes-1`: the corpus holds joint numbers instead of body scores, and -1 where a joint is not visible. They
      become 1 and 0. Scores that are no such numbers are kept.
    * `hands-1`: with N > 1 people the corpus stores all left hands, then all right ones, as if they were the left and
      the right hand of one person after the other. Each goes back to its owner, unless it already lies at the wrist.
    * `frame-indices-1`: indices stored twice are taken once, missing ones are counted, a stride lowers the frame rate,
      and frames that are missing between others become frames without people.

    Scores are clamped to [0, 1]; points off the frame stay where they are.

    Args:
        path: A `poses.npz`, a folder or zip file of one `.npz` a frame, or a video's folder with either inside.
        max_people: Only the first so many of each frame; all when None.
        unpermute_hands: Whether to give hands back to their owners.

    Raises:
        PoseFileError: It is something else, or is damaged.
    """
    return repaired_people(read_clip(Path(path)), path, max_people=max_people, unpermute_hands=unpermute_hands)


def repaired_people(clip: Clip, path: object, *, max_people: int | None = None, unpermute_hands: bool = True) -> People:
    """What `read_people` makes of a clip that is already open.

    Args:
        clip: What a file or folder holds.
        path: Which one, for messages.
        max_people: Only the first so many of each frame; all when None.
        unpermute_hands: Whether to give hands back to their owners.

    Raises:
        PoseFileError: It is damaged.
    """
    counts = [_num_people(run, path) for run in clip.runs]
    frames, fps, repairs = _frame_numbers(clip, path)
    num_frames, people = int(frames[-1]) + 1, max(counts)
    people = people if max_people is None else max_people
    if num_frames > MAX_FRAMES or num_frames * people * NUM_KEYPOINTS * 12 > _MAX_PEOPLE_BYTES:
        raise PoseFileError(
            f"{path}: must hold at most {MAX_FRAMES} frames and {_MAX_PEOPLE_BYTES} bytes of points, "
            f"found {num_frames} frames of up to {people} people."
        )
    width, height = _frame_size(clip.runs, path)
    body_codes = _body_scores_are_codes(clip.runs, counts, people, path)
    permuted = unpermute_hands and max(counts) > 1 and _hands_are_permuted(clip.runs, counts, body_codes, path)

    keypoints = np.zeros((num_frames, people, NUM_KEYPOINTS, 2), np.float32)
    confidence = np.zeros((num_frames, people, NUM_KEYPOINTS), np.float32)
    num_people = np.zeros(num_frames, np.int32)
    begin = 0
    for run, count in zip(clip.runs, counts, strict=True):
        at = frames[begin : begin + run.count]
        num_people[at] = count
        for person in range(min(count, people)):
            for part, where in PARTS.items():
                owner, stored = _stored_as(person, part, count if permuted else 1)
                points, scores = _part(run, owner, stored, path)
                if part == "body" and body_codes:
                    scores = scores >= 0
                keypoints[at, person, where] = points
                confidence[at, person, where] = np.clip(scores, 0, 1)
        begin += run.count
    repairs += ("body-codes-1",) * body_codes + ("hands-1",) * permuted
    return People(keypoints, confidence, num_people, fps, width, height, clip.language, clip.glosses, repairs)


def write_signverse(
    poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False, body_confidence: bool = False
) -> None:
    """Writes a `poses.npz` as SignVerse-2M does, with the same keys, types and order.

    As there, a body joint keeps only whether it is seen with more than 0.3. Three keys are added where they say
    something: `glosses` with `gloss_spans`, `sign_language`, and `exact_fps`, since the format's own `fps` is a whole
    number, the nearest one.

    Args:
        poses: What to write. Its frame rate must be within 5 % of a whole number, as all from 10 on are.
        path: The file, which appears when it is complete.
        overwrite: Whether a file that is already there may be replaced.
        body_confidence: Write true confidences of the body instead. Our reader knows them apart, others do not.

    Raises:
        ValueError: The frame rate is not near a whole number, or `path` is taken.
    """
    fps = round(poses.fps)
    if abs(fps - poses.fps) > LARGEST_FPS_ERROR * fps:
        raise ValueError(
            f"{path}: SignVerse-2M files hold whole frame rates, got {poses.fps:g} per second; "
            "resample the poses, or write a .pose file."
        )
    num_frames = len(poses)
    arrays = {
        "video_id": np.asarray(Path(path).stem),
        "fps": np.asarray(fps, np.int32),
        "total_frames": np.asarray(num_frames, np.int32),
        "frame_widths": np.full(num_frames, poses.width, np.int32),
        "frame_heights": np.full(num_frames, poses.height, np.int32),
        "frame_indices": np.arange(1, num_frames + 1, dtype=np.int32),
        "frame_payloads": np.asarray(list(_payloads(poses, body_confidence)), dtype=object),
    }
    if fps != poses.fps:
        arrays["exact_fps"] = np.asarray(poses.fps, np.float64)
    if poses.language:
        arrays["sign_language"] = np.asarray(poses.language)
    if poses.glosses:
        arrays["glosses"] = np.asarray([span.gloss for span in poses.glosses])
        arrays["gloss_spans"] = np.asarray([(span.start, span.stop) for span in poses.glosses], np.int32)
    with new_file(path, overwrite=overwrite) as aside, aside.open("wb") as stream:
        np.savez(stream, **arrays)


def _payloads(poses: PoseSequence, body_confidence: bool) -> Iterator[dict[str, np.ndarray]]:
    for keypoints, confidence in zip(poses.keypoints, poses.confidence, strict=True):
        payload = {
            "num_persons": np.asarray(1 if confidence.any() else 0, np.int32),
            "frame_width": np.asarray(poses.width, np.int32),
            "frame_height": np.asarray(poses.height, np.int32),
        }
        for part in ("body", "face", "left_hand", "right_hand") if confidence.any() else ():
            scores = confidence[PARTS[part]]
            if part == "body" and not body_confidence:
                scores = np.where(scores > _VISIBLE, _CODES, np.float32(-1))
            payload[f"person_000_{part}_keypoints"] = keypoints[PARTS[part]]
            payload[f"person_000_{part}_scores"] = scores
        yield payload


def _frame_numbers(clip: Clip, path: object) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Where each stored frame belongs in the clip, the clip's frame rate, and the repair where one was needed."""
    steps = np.diff(clip.indices)
    if len(steps) and steps.min() < 1:
        raise PoseFileError(f"{path}: frame_indices must rise, found {clip.indices[steps.argmin() :][:2].tolist()}.")
    stride = int(np.gcd.reduce(steps)) if len(steps) else 1
    frames = (clip.indices - clip.indices[0]) // stride
    repaired = clip.num_stored_indices != len(frames) or stride > 1 or frames[-1] + 1 > len(frames)
    return frames, clip.fps / stride, ("frame-indices-1",) if repaired else ()


def _num_people(run: FrameRun, path: object) -> int:
    people = sum(1 for key in run.values if re.fullmatch(r"person_\d+_body_keypoints", key))
    stated = _stated(run, "num_persons", path)
    if (stated != people).any():
        raise PoseFileError(
            f"{path}: each frame must hold as many people as num_persons says, "
            f"found {people} where it says {stated[0]}."
        )
    return people


def _frame_size(runs: list[FrameRun], path: object) -> tuple[int, int]:
    widths = np.concatenate([_stated(run, "frame_width", path) for run in runs])
    heights = np.concatenate([_stated(run, "frame_height", path) for run in runs])
    changed = (widths != widths[0]) | (heights != heights[0])
    if changed.any():
        at = changed.argmax()
        raise PoseFileError(
            f"{path}: the frame size must stay the same, found {widths[0]} x {heights[0]} in frame 0 "
            f"and {widths[at]} x {heights[at]} in frame {at}."
        )
    return int(widths[0]), int(heights[0])


def _stated(run: FrameRun, key: str, path: object) -> np.ndarray:
    """A whole number that each frame states, [frames]."""
    stated = run.array(key)
    if stated is None or stated.ndim != 1 or stated.dtype.kind not in "iu":
        raise PoseFileError(f"{path}: each frame must state {key} as a whole number, found {_found(stated)}.")
    return stated


def _part(run: FrameRun, person: int, part: str, path: object) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and raw scores of a part of one stored person, [frames, points, 2] and [frames, points]."""
    prefix, num_points = f"person_{person:03d}_{part}", _POINTS[part]
    if part.endswith("hand") and f"{prefix}_keypoints" not in run.values and f"{prefix}_scores" not in run.values:
        return np.zeros((run.count, num_points, 2), np.float32), np.zeros((run.count, num_points), np.float32)
    points = _floats(run, f"{prefix}_keypoints", (num_points, 2), path)
    scores = _floats(run, f"{prefix}_scores", (num_points,), path)
    if not np.isfinite(scores).all():
        raise PoseFileError(f"{path}: {prefix}_scores must be finite, found NaN or infinity.")
    return points, scores


def _floats(run: FrameRun, key: str, shape: tuple[int, ...], path: object) -> np.ndarray:
    array = run.array(key)
    if array is None or array.dtype.kind != "f" or array.shape[1:] != shape:
        raise PoseFileError(f"{path}: {key} must be float {list(shape)}, found {_found(array)}.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused later
        return array.astype(np.float32, copy=False)


def _found(array: np.ndarray | None) -> str:
    return "none" if array is None else f"{array.dtype} {list(array.shape[1:])}"


def _body_scores_are_codes(runs: list[FrameRun], counts: list[int], people: int, path: object) -> bool:
    """Whether every body score is -1 or the joint's number plus 18 for each person before."""
    for run, count in zip(runs, counts, strict=True):
        for person in range(min(count, people)):
            _, scores = _part(run, person, "body", path)
            if not ((scores == -1) | ((scores >= 0) & ((scores - _CODES) % len(_CODES) == 0))).all():
                return False
    return True


def _stored_as(person: int, part: str, num_permuted: int) -> tuple[int, str]:
    """Under which person and part a part is stored when the hands of `num_permuted` people are permuted."""
    if num_permuted < 2 or not part.endswith("hand"):
        return person, part
    position = person if part == "left_hand" else num_permuted + person
    return position // 2, ("left_hand", "right_hand")[position % 2]


def _hands_are_permuted(runs: list[FrameRun], counts: list[int], body_codes: bool, path: object) -> bool:
    """Whether the first person's right wrist is nearer to the right hand found by undoing the permutation.

    That is so in the corpus as published. A later release may have it right, and would be spoilt by a repair.
    """
    distances = []
    for run, count in zip(runs, counts, strict=True):
        if count < 2:
            continue
        body, body_scores = _part(run, 0, "body", path)
        wrist, wrist_score = body[:, index("right_wrist")], body_scores[:, index("right_wrist")]
        as_stored = _part(run, 0, "right_hand", path)
        repaired = _part(run, *_stored_as(0, "right_hand", count), path)
        seen = (wrist_score >= 0 if body_codes else wrist_score > _VISIBLE) & (
            np.minimum(as_stored[1][:, 0], repaired[1][:, 0]) > _VISIBLE
        )
        distances.append([np.linalg.norm(hand[0][seen, 0] - wrist[seen], axis=1) for hand in (as_stored, repaired)])
    as_stored, repaired = (np.concatenate(each) for each in zip(*distances, strict=True))
    return len(repaired) == 0 or bool(np.median(repaired) <= np.median(as_stored))
