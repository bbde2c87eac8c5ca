"""Reads and writes the pose files of SignVerse-2M (https://arxiv.org/abs/2605.01720).

Two schemes are published: one `poses.npz` a video, whose frames are a pickled array of dictionaries, and one `.npz` a
frame in a folder `npz`. Both are read, neither through pickle. The layout is that of `build_npz_payload` in
https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/pipeline02_extract_dwpose_from_video.py@1c6dfc7,
which carries defects; `signverse_repairs` says which, and `signverse_published` writes them again.
"""

import os
import re
from pathlib import Path

import numpy as np

from poses.files import new_file
from poses.formats.checks import check_facts
from poses.formats.frame_runs import MAX_FRAMES, FrameRun
from poses.formats.signverse_files import LARGEST_FPS_ERROR, Clip, read_clip
from poses.formats.signverse_published import frame_payload, poses_arrays, save_npz
from poses.formats.signverse_repairs import (
    VERSIONS,
    VISIBLE,
    Repairs,
    are_codes,
    far_off,
    in_pixels,
    repair_points,
    stored_as,
)
from poses.keypoints import NUM_KEYPOINTS, PARTS, index
from poses.people import People, Repair
from poses.sequence import PoseFileError, PoseSequence
from poses.tracking import MAX_PEOPLE, main_signer_poses

_MAX_PEOPLE_BYTES = 2**29
_POINTS = {name: part.stop - part.start for name, part in PARTS.items()}


def read_signverse(path: str | os.PathLike[str]) -> PoseSequence:
    """Reads the main signer, repaired: see `poses.tracking.main_signer`. Where they are unseen, no point is seen.

    Args:
        path: A `poses.npz`, a folder or zip file of one `.npz` a frame, or a video's folder with either inside.

    Raises:
        PoseFileError: It is something else, is damaged, or shows nobody.
    """
    return main_signer_poses(read_people(path, max_people=MAX_PEOPLE), str(path))


def read_people(
    path: str | os.PathLike[str], *, max_people: int | None = None, repairs: Repairs | None = None
) -> People:
    """Reads everybody, and repairs what is certain; `repaired` of the result says what that was.

    Args:
        path: A `poses.npz`, a folder or zip file of one `.npz` a frame, or a video's folder with either inside.
        max_people: Only the first so many of each frame; all when None.
        repairs: Which defects to repair; all when None.

    Raises:
        PoseFileError: It is something else, or is damaged.
    """
    return repaired_people(read_clip(Path(path)), path, max_people=max_people, repairs=repairs)


def repaired_people(
    clip: Clip, path: object, *, max_people: int | None = None, repairs: Repairs | None = None
) -> People:
    """What `read_people` makes of a clip that is already open.

    Args:
        clip: What a file or folder holds.
        path: Which one, for messages.
        max_people: Only the first so many of each frame; all when None.
        repairs: Which defects to repair; all when None.

    Raises:
        PoseFileError: It is damaged.
    """
    repairs = (repairs or Repairs()).without(clip.unneeded)
    counts = [_num_people(run, path) for run in clip.runs]
    frames, fps, repaired = _frame_numbers(clip, path, repairs)
    most = max(counts) if max_people is None else min(max_people, max(counts))
    width, height = _frame_size(clip.runs, path)
    check_facts(path, fps=fps, width=width, height=height)
    codes = _body_scores_are_codes(clip.runs, counts, most, path)
    permuted = repairs.hands and max(counts) > 1 and _hands_are_permuted(clip.runs, counts, codes, path)
    keypoints, scores, num_people = _assembled(clip.runs, counts, frames, most, permuted, path)
    sample = slice(None, None, max(1, len(keypoints) // 256))
    if median := in_pixels(keypoints[sample][scores[sample] > 0]):
        raise PoseFileError(
            f"{path}: must hold fractions of the frame, found points in the middle {median:g} frame sizes away."
        )
    repaired += repair_points(keypoints, scores, num_people, repairs, codes=codes, permuted=permuted)
    return People(
        keypoints, scores, num_people, fps, width, height, clip.language, clip.glosses, repaired, clip.estimator
    )


def write_signverse(
    poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False, body_confidence: bool = False
) -> None:
    """Writes a `poses.npz` as SignVerse-2M does, with the same keys, types and order.

    As there, a body joint keeps only whether it is seen with more than 0.3. Keys are added where they say something:
    `glosses` with `gloss_spans`, `sign_language`, `estimator`, `exact_fps`, since the format's own `fps` is a whole
    number, the nearest one, and `unneeded_repairs` where points lie so far off the frame that they would be taken for
    defects.

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
    payloads = [
        frame_payload(keypoints[:count], confidence[:count], poses.width, poses.height, codes=not body_confidence)
        for keypoints, confidence in zip(poses.keypoints[:, None], poses.confidence[:, None], strict=True)
        for count in [int(confidence.any())]
    ]
    arrays = poses_arrays(payloads, Path(path).stem, fps=fps)
    if fps != poses.fps:
        arrays["exact_fps"] = np.asarray(poses.fps, np.float64)
    if poses.language:
        arrays["sign_language"] = np.asarray(poses.language)
    if poses.estimator:
        arrays["estimator"] = np.asarray(poses.estimator)
    if poses.glosses:
        arrays["glosses"] = np.asarray([span.gloss for span in poses.glosses])
        arrays["gloss_spans"] = np.asarray([(span.start, span.stop) for span in poses.glosses], np.int32)
    if far_off(poses.keypoints).any():
        arrays["unneeded_repairs"] = np.asarray(["off-frame"])
    with new_file(path, overwrite=overwrite) as aside, aside.open("wb") as stream:
        save_npz(stream, arrays)


def _assembled(
    runs: list[FrameRun], counts: list[int], frames: np.ndarray, most: int, permuted: bool, path: object
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints, scores and number of people of each frame, as stored; with `permuted`, hands at their owners."""
    num_frames = int(frames[-1]) + 1
    if num_frames > MAX_FRAMES or num_frames * most * NUM_KEYPOINTS * 12 > _MAX_PEOPLE_BYTES:
        raise PoseFileError(
            f"{path}: must hold at most {MAX_FRAMES} frames and {_MAX_PEOPLE_BYTES} bytes of points, "
            f"found {num_frames} frames of up to {most} people."
        )
    keypoints = np.zeros((num_frames, most, NUM_KEYPOINTS, 2), np.float32)
    scores = np.zeros((num_frames, most, NUM_KEYPOINTS), np.float32)
    num_people = np.zeros(num_frames, np.int32)
    begin = 0
    for run, count in zip(runs, counts, strict=True):
        at = frames[begin : begin + run.count]
        rows = slice(at[0], at[-1] + 1) if at[-1] - at[0] == run.count - 1 else at  # a slice is faster
        num_people[rows] = count
        for person in range(min(count, most)):
            for part, where in PARTS.items():
                owner, stored = stored_as(person, part, count if permuted else 1)
                keypoints[rows, person, where], scores[rows, person, where] = _part(run, owner, stored, path)
        begin += run.count
    finite = np.isfinite(keypoints).all(axis=(1, 2, 3))
    if not finite.all():
        raise PoseFileError(f"{path}: must hold finite numbers, found NaN or infinity in frame {finite.argmin()}.")
    return keypoints, scores, num_people


def _frame_numbers(clip: Clip, path: object, repairs: Repairs) -> tuple[np.ndarray, float, tuple[Repair, ...]]:
    """Where each stored frame belongs in the clip, the clip's frame rate, and the repair where one was needed."""
    if not repairs.frame_indices:
        return np.arange(len(clip.indices)), clip.fps, ()
    steps = np.diff(clip.indices)
    if len(steps) and steps.min() < 1:
        raise PoseFileError(f"{path}: frame_indices must rise, found {clip.indices[steps.argmin() :][:2].tolist()}.")
    stride = int(np.gcd.reduce(steps)) if len(steps) else 1
    frames = (clip.indices - clip.indices[0]) // stride
    missing = int(frames[-1]) + 1 - len(frames)
    renumbered = clip.num_stored_indices != len(frames) or stride > 1
    changed = len(frames) if renumbered else missing
    repair = (Repair("frame-indices", VERSIONS["frame-indices"], changed),) if changed else ()
    return frames, clip.fps / stride, repair


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
    return all(
        are_codes(_part(run, person, "body", path)[1])
        for run, count in zip(runs, counts, strict=True)
        for person in range(min(count, people))
    )


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
        repaired = _part(run, *stored_as(0, "right_hand", count), path)
        seen = (wrist_score >= 0 if body_codes else wrist_score > VISIBLE) & (
            np.minimum(as_stored[1][:, 0], repaired[1][:, 0]) > VISIBLE
        )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
            distances.append([np.linalg.norm(hand[0][seen, 0] - wrist[seen], axis=1) for hand in (as_stored, repaired)])
    as_stored, repaired = (np.concatenate(each) for each in zip(*distances, strict=True))
    return len(repaired) == 0 or bool(np.median(repaired) <= np.median(as_stored))
