"""Reads and writes OpenPose's JSON: a folder of one `..._keypoints.json` a frame; reads one file of all frames, too.

Format: https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md, 25 or 18 body points, 70
of the face, 21 of each hand, in pixels. It states neither frame rate nor frame size. ControlNet's tools add the size as
`canvas_width` and `canvas_height`; so do we, and `fps`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from poses.files import new_directory
from poses.formats.array_files import Given, frame_size
from poses.formats.checks import checked_sequence
from poses.formats.frame_runs import MAX_FRAMES
from poses.keypoints import BODY, NUM_KEYPOINTS, PARTS
from poses.sequence import PoseFileError, PoseSequence

_MAX_FRAME_BYTES = 2**20
_MAX_LIST_BYTES = 2**26
_FILE_NAME = re.compile(r"(?:.*_)?(\d{1,12})_keypoints\.json")
_MID_HIP, _NUM_FEET = 8, 6
_BODY_25 = [i + (i >= _MID_HIP) for i in range(len(BODY))]
"""Where our body points lie among OpenPose's 25, which have the middle of the hips among them and the feet after."""

_COUNTS = {
    "pose_keypoints_2d": (len(BODY) + 1 + _NUM_FEET, len(BODY)),
    "hand_left_keypoints_2d": (21,),
    "hand_right_keypoints_2d": (21,),
    "face_keypoints_2d": (70, 68),
}
"""How many points each list may hold; the first is written."""

_PARTS = dict(zip(_COUNTS, PARTS.values(), strict=True))
_FACTS = {"fps": "fps", "canvas_width": "width", "canvas_height": "height"}


def read_openpose(path: str | os.PathLike[str], given: Given) -> PoseSequence:
    """Reads the first person of each frame. Frames whose numbers are missing between others show nobody.

    Confidence above 1, which OpenPose's hands may have, is taken for 1.

    Args:
        path: A folder of one file a frame, or a file with one frame or a list of them.
        given: What the files do not say.

    Raises:
        PoseFileError: It is something else, is damaged, shows nobody, or its frame rate or size is not known.
    """
    path = Path(path)
    stored: dict[int, np.ndarray] = {}
    stated: dict[str, float] = {}
    for number, where, frame in _folder_frames(path) if path.is_dir() else _file_frames(path):
        if not isinstance(frame, dict) or not isinstance(frame.get("people"), list):
            raise PoseFileError(f"{where}: must hold a list of `people`, found none.")
        for key, name in _FACTS.items():
            value = frame.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
                raise PoseFileError(f"{where}: {key} must be a number, found {str(value)[:40]!r}.")
            if stated.setdefault(name, value) != value:
                raise PoseFileError(f"{where}: {key} must stay the same, found {value} after {stated[name]}.")
        stored[number] = _first_person(frame["people"], where)
    first = min(stored, default=0)
    num_frames = max(stored, default=-1) - first + 1
    if not 0 < num_frames <= MAX_FRAMES:
        raise PoseFileError(f"{path}: must hold 1 to {MAX_FRAMES} frames, found {num_frames}.")
    points = np.zeros((num_frames, NUM_KEYPOINTS, 3))
    for number, frame in stored.items():
        points[number - first] = frame
    seen = points[..., 2] > 0
    if seen.any() and np.abs(points[seen][:, :2]).max() <= 1:
        raise PoseFileError(
            f"{path}: must hold pixels, found numbers of at most {np.abs(points[seen][:, :2]).max():g}."
        )
    fps, width, height = given.or_stated(path, stated)
    size = frame_size(width, height).astype(np.float64)
    confidence = np.clip(points[..., 2], 0, 1)
    return checked_sequence(path, points[..., :2] / size, confidence, fps=fps, width=width, height=height)


def write_openpose(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes a folder of one file a frame, with the frame rate and size in each.

    Lost are the language, the glosses and the source. OpenPose's other points (middle of the hips, feet, pupils) get
    confidence 0.

    Raises:
        ValueError: `path` is a file or holds something; a folder is never overwritten. Or all points lie within the
            first pixel, which readers take for fractions.
    """
    del overwrite
    size = np.array([poses.width, poses.height], np.float64)
    if (poses.confidence > 0).any() and np.abs(poses.keypoints * size).max() <= 1:
        raise ValueError(f"{path}: OpenPose JSON must hold pixels, got a clip whose points all lie within the first.")
    facts = {"fps": poses.fps, "canvas_width": poses.width, "canvas_height": poses.height}
    name = Path(path).name
    with new_directory(path) as folder:
        for number, (keypoints, confidence) in enumerate(zip(poses.keypoints, poses.confidence, strict=True)):
            points = np.concatenate([keypoints * size, confidence[:, None]], axis=1)
            people = [_person(points)] if confidence.any() else []
            frame = {"version": 1.3, "people": people, **facts}
            (folder / f"{name}_{number:012d}_keypoints.json").write_text(json.dumps(frame), encoding="utf-8")


def is_openpose_folder(folder: Path) -> bool:
    """Whether a folder holds frames of OpenPose's JSON, judged by the names of its files."""
    with os.scandir(folder) as entries:
        return any(_FILE_NAME.fullmatch(entry.name) for entry in entries)


def _folder_frames(folder: Path) -> Iterator[tuple[int, str, Any]]:
    files = sorted((int(found[1]), file) for file in folder.iterdir() if (found := _FILE_NAME.fullmatch(file.name)))
    for (number, file), (following, other) in pairwise(files):
        if number == following:
            raise PoseFileError(f"{folder}: must hold one file a frame, found {file.name} and {other.name}.")
    if len(files) > MAX_FRAMES:
        raise PoseFileError(f"{folder}: must hold at most {MAX_FRAMES} frames, found {len(files)}.")
    for number, file in files:
        where = f"{folder}: {file.name}"
        yield number, where, _parse(file, _MAX_FRAME_BYTES, where)


def _file_frames(file: Path) -> Iterator[tuple[int, str, Any]]:
    content = _parse(file, _MAX_LIST_BYTES, str(file))
    for number, frame in enumerate(content if isinstance(content, list) else [content]):
        yield number, f"{file}: frame {number}", frame


def _parse(file: Path, limit: int, where: str) -> Any:
    with file.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise PoseFileError(f"{where}: must be at most {limit} bytes, found more.")
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PoseFileError(f"{where}: must be JSON, but it is not ({str(error)[:80]}).") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _first_person(people: list[Any], where: str) -> np.ndarray:
    """Our points of the first person, [128, 3]; not seen where there is none."""
    points = np.zeros((NUM_KEYPOINTS, 3))
    person = people[0] if people else {}
    if not isinstance(person, Mapping):
        raise PoseFileError(f"{where}: each of `people` must hold lists of points, found something else.")
    for key, part in _PARTS.items():
        if values := person.get(key):
            found = _triples(values, _COUNTS[key], f"{where}: {key}")
            if key == "pose_keypoints_2d":
                found = found[_BODY_25] if len(found) == _COUNTS[key][0] else found
            points[part] = found[: part.stop - part.start]
    return points


def _triples(values: Any, counts: tuple[int, ...], where: str) -> np.ndarray:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise PoseFileError(f"{where} must be a list of numbers, found something else.")
    if len(values) not in [3 * count for count in counts]:
        raise PoseFileError(
            f"{where} must hold three numbers for each of {' or '.join(map(str, counts))} points, found {len(values)}."
        )
    try:
        return np.array(values, np.float64).reshape(-1, 3)
    except OverflowError:
        raise PoseFileError(f"{where} must hold pixels, found a number without end.") from None


def _person(points: np.ndarray) -> dict[str, Any]:
    person: dict[str, Any] = {"person_id": [-1]}
    for key, part in _PARTS.items():
        written = np.zeros((_COUNTS[key][0], 3))
        where = _BODY_25 if key == "pose_keypoints_2d" else slice(part.stop - part.start)
        written[where] = points[part]
        person[key] = written.ravel().tolist()
    return person
