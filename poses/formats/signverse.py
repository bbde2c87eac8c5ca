"""Reads and writes the pose files of SignVerse-2M (https://arxiv.org/abs/2605.01720).

Two schemes are published: one `poses.npz` a video, whose frames are a pickled array of dictionaries, and one `.npz` a
frame in a folder `npz`. Both are read, neither through pickle. The layout is that of `build_npz_payload` in
https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/pipeline02_extract_dwpose_from_video.py@1c6dfc7,
which carries defects; those that matter for one signer are repaired here.
"""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from poses.files import new_file
from poses.formats.checks import checked_sequence
from poses.formats.npz import open_member, open_npz, read_array, read_header
from poses.formats.payloads import MAX_FRAMES, FrameRun, read_frame_payloads
from poses.keypoints import NUM_KEYPOINTS, PARTS, index
from poses.sequence import GlossSpan, PoseFileError, PoseSequence

CORPUS_FPS = 24
"""The rate of the whole corpus; the scheme with one file a frame does not state it."""

_VISIBLE = 0.3
"""The score above which easy-dwpose calls a body joint visible."""

_MAX_PEOPLE_BYTES = 2**29
_MAX_FRAME_FILE_BYTES = 2**24
_LARGEST_FPS_ERROR = 0.005
_FRAME_NAME = re.compile(r"(?:(.*)/)?(\d{8})\.npz")
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
    clip = _read_clip(Path(path))
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
    something: `glosses` with `gloss_spans`, `sign_language`, and `exact_fps`, since the format's `fps` is whole.

    Args:
        poses: What to write. Its frame rate must be within 0.5 % of a whole number.
        path: The file, which appears when it is complete.
        overwrite: Whether a file that is already there may be replaced.
        body_confidence: Write true confidences of the body instead. Our reader knows them apart, others do not.

    Raises:
        ValueError: The frame rate is not near a whole number, or `path` is taken.
    """
    fps = round(poses.fps)
    if abs(fps - poses.fps) > _LARGEST_FPS_ERROR * poses.fps:
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


@dataclass(frozen=True, eq=False)
class _Clip:
    """What a file or folder holds, before any repair."""

    runs: list[FrameRun]
    indices: np.ndarray
    num_stored_indices: int
    fps: float
    language: str = ""
    glosses: tuple[GlossSpan, ...] = ()


def _read_clip(path: Path) -> _Clip:
    if not path.exists():
        raise PoseFileError(f"{path}: no such file or folder.")
    if path.is_dir():
        for file in (path / "poses.npz", path / "npz" / "poses.npz"):
            if file.is_file():
                return _read_clip(file)
        folder = path / "npz" if (path / "npz").is_dir() else path
        return _read_frame_folder(folder, path)
    with open_npz(path, path) as archive:
        names = archive.namelist()
        if "frame_payloads.npy" in names:
            return _read_poses(archive, path)
        if any(_FRAME_NAME.fullmatch(name) for name in names):
            return _read_frame_archive(archive, path)
    raise PoseFileError(
        f"{path}: must be a SignVerse-2M file with frame_payloads, or a zip of 00000001.npz and so on; "
        f"found {', '.join(name[:40] for name in names[:5]) or 'an empty zip'}."
    )


def _read_poses(archive: zipfile.ZipFile, path: Path) -> _Clip:
    with open_member(archive, "frame_payloads.npy", path) as stream:
        where = f"{path}: frame_payloads.npy"
        dtype, _, _ = read_header(stream, where)
        if not dtype.hasobject:
            raise PoseFileError(f"{where} must be an array of dictionaries, found numbers.")
        runs = read_frame_payloads(stream, where)
    names = set(archive.namelist())
    total = sum(run.count for run in runs)
    if total == 0:
        raise PoseFileError(f"{path}: must hold at least one frame, found none.")
    fps = float(_number(archive, "fps", path))
    if "exact_fps.npy" in names:
        exact = float(_number(archive, "exact_fps", path))
        if not abs(exact - fps) <= _LARGEST_FPS_ERROR * fps:
            raise PoseFileError(f"{path}: exact_fps must be within 0.5 % of fps, found {exact:g} and {fps:g}.")
        fps = exact
    stored = read_array(archive, "frame_indices.npy", path)
    if stored.dtype.kind not in "iu" or stored.ndim != 1 or len(stored) not in (0, total, 2 * total):
        raise PoseFileError(
            f"{path}: frame_indices.npy must hold no, {total} or {2 * total} whole numbers, "
            f"found {stored.dtype} {list(stored.shape)}."
        )
    indices = stored[:: len(stored) // total].astype(np.int64) if len(stored) else np.arange(1, total + 1)
    language = "".join(_texts(archive, "sign_language", path)) if "sign_language.npy" in names else ""
    glosses = _read_glosses(archive, path) if "glosses.npy" in names else ()
    return _Clip(runs, indices, len(stored), fps, language, glosses)


def _read_glosses(archive: zipfile.ZipFile, path: Path) -> tuple[GlossSpan, ...]:
    glosses, spans = _texts(archive, "glosses", path), read_array(archive, "gloss_spans.npy", path)
    if spans.dtype.kind not in "iu" or spans.shape != (len(glosses), 2):
        raise PoseFileError(
            f"{path}: gloss_spans.npy must hold two whole numbers for each of {len(glosses)} glosses, "
            f"found {spans.dtype} {list(spans.shape)}."
        )
    return tuple(GlossSpan(gloss, *span) for gloss, span in zip(glosses, spans.tolist(), strict=True))


def _number(archive: zipfile.ZipFile, key: str, path: Path) -> int | float:
    value = read_array(archive, f"{key}.npy", path)
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise PoseFileError(f"{path}: {key}.npy must be one number, found {value.dtype} {list(value.shape)}.")
    return value.item()


def _texts(archive: zipfile.ZipFile, key: str, path: Path) -> list[str]:
    value = read_array(archive, f"{key}.npy", path)
    try:
        texts = value.reshape(-1).tolist() if value.dtype.kind == "U" else None
        "".join(texts or ()).encode("utf-8")
    except ValueError:
        texts = None
    if texts is None:
        raise PoseFileError(f"{path}: {key}.npy must be text, found {value.dtype} that isn't.")
    return texts


def _read_frame_folder(folder: Path, path: Path) -> _Clip:
    files = sorted(file for file in folder.iterdir() if _FRAME_NAME.fullmatch(file.name))
    if not files:
        raise PoseFileError(f"{path}: must hold poses.npz, or 00000001.npz and so on; found neither.")
    marker = folder / ".complete"
    fps = _marked_fps(marker.read_bytes()) if marker.is_file() else CORPUS_FPS
    return _frames_clip(((file.name, file) for file in files), fps, path)


def _read_frame_archive(archive: zipfile.ZipFile, path: Path) -> _Clip:
    names = sorted(name for name in archive.namelist() if _FRAME_NAME.fullmatch(name))
    folders = {name.rpartition("/")[0] for name in names}
    if len(folders) != 1:
        raise PoseFileError(f"{path}: must hold the frames of one video, found {len(folders)} folders of frames.")
    marker = f"{folders.pop()}/.complete".removeprefix("/")
    fps = CORPUS_FPS
    if marker in archive.namelist():
        with open_member(archive, marker, path) as stream:
            fps = _marked_fps(stream.read())

    def files() -> Iterator[tuple[str, BytesIO]]:
        for name in names:
            with open_member(archive, name, path) as stream:
                yield name, BytesIO(stream.read(_MAX_FRAME_FILE_BYTES))

    return _frames_clip(files(), fps, path)


def _marked_fps(marker: bytes) -> int:
    found = re.search(rb"^fps=(\d{1,4})\s*$", marker[:10_000], re.MULTILINE)
    return int(found[1]) if found else CORPUS_FPS


def _frames_clip(files: Iterable[tuple[str, Path | BytesIO]], fps: float, path: Path) -> _Clip:
    runs, indices = [], []
    for name, file in files:
        where = f"{path}: {name}"
        with open_npz(file, where) as archive:
            values = {member.removesuffix(".npy"): read_array(archive, member, where) for member in archive.namelist()}
        runs.append(FrameRun(1, values))
        indices.append(int(_FRAME_NAME.fullmatch(name)[2]))
        if len(runs) > MAX_FRAMES:
            raise PoseFileError(f"{path}: must hold at most {MAX_FRAMES} frames, found more.")
    return _Clip(runs, np.array(indices), len(indices), fps)


def _frame_numbers(clip: _Clip, path: object) -> tuple[np.ndarray, float, tuple[str, ...]]:
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
    stated = run.array("num_persons")
    if stated is None or stated.ndim != 1 or not (stated == people).all():
        raise PoseFileError(
            f"{path}: each frame must hold as many people as num_persons says, found {people} where it says "
            f"{'nothing' if stated is None else stated.flat[0]}."
        )
    return people


def _frame_size(runs: list[FrameRun], path: object) -> tuple[int, int]:
    sizes = [run.array(key) for key in ("frame_width", "frame_height") for run in runs]
    if any(size is None or size.ndim != 1 or size.dtype.kind not in "iu" for size in sizes):
        raise PoseFileError(f"{path}: each frame must hold frame_width and frame_height as whole numbers.")
    widths, heights = np.concatenate(sizes[: len(runs)]), np.concatenate(sizes[len(runs) :])
    changed = (widths != widths[0]) | (heights != heights[0])
    if changed.any():
        at = changed.argmax()
        raise PoseFileError(
            f"{path}: the frame size must stay the same, found {widths[0]} x {heights[0]} in frame 0 "
            f"and {widths[at]} x {heights[at]} in frame {at}."
        )
    return int(widths[0]), int(heights[0])


def _part(run: FrameRun, person: int, part: str, path: object) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and raw scores of a part of one stored person, [frames, points, 2] and [frames, points]."""
    prefix = f"person_{person:03d}_{part}"
    points, scores = run.array(f"{prefix}_keypoints"), run.array(f"{prefix}_scores")
    if points is None and scores is None and part.endswith("hand"):
        return np.zeros((run.count, _POINTS[part], 2), np.float32), np.zeros((run.count, _POINTS[part]), np.float32)
    for name, array, shape in (("keypoints", points, (_POINTS[part], 2)), ("scores", scores, (_POINTS[part],))):
        if array is None or array.dtype.kind != "f" or array.shape[1:] != shape:
            found = "none" if array is None else f"{array.dtype} {list(array.shape[1:])}"
            raise PoseFileError(f"{path}: {prefix}_{name} must be float {list(shape)}, found {found}.")
    if not np.isfinite(scores).all():
        raise PoseFileError(f"{path}: {prefix}_scores must be finite, found NaN or infinity.")
    with np.errstate(over="ignore"):
        return points.astype(np.float32, copy=False), scores.astype(np.float32, copy=False)


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
