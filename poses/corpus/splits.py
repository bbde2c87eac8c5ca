"""The corpus's index and splits, a split that keeps channels together, and a warning where one body is in two splits.

The official split is by video, so the same signer is in train and test. Channels are the nearest to signers that
anybody can know of these videos; where they are unknown, bodies of one shape are a hint, and no more than that.
"""

import csv
import hashlib
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Float64

from poses.files import new_file
from poses.keypoints import index
from poses.sequence import PoseFileError, PoseSequence

Split = Literal["train", "val", "test"]

HELD_OUT_FRACTION = 0.05
"""Of each language's videos, in `val` and in `test`; the official split has the same."""

SAME_BODY = 0.045
"""Root mean square difference of log bone ratios below which two videos may show one signer.

Of the letter clips of `poses.fingerspelling`, the halves of one language differ by 0.01 to 0.045; so do one in eight
pairs of languages.
"""

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")


@dataclass(frozen=True)
class IndexedVideo:
    """A row of the index: the code of its sign language, and its official split, empty in the file without splits."""

    language: str
    split: Split | Literal[""]


def read_index(path: str | os.PathLike[str]) -> dict[str, IndexedVideo]:
    """Reads `SignVerse-2M-metadata_split.csv`, or the older index of two columns without a header, by video id.

    Raises:
        PoseFileError: It is neither, or lists a video twice; names the line.
    """
    videos: dict[str, IndexedVideo] = {}
    for line, row in _rows(path):
        if line > 1 or row[:2] != ["video_id", "sign_language"]:
            _add_row(videos, row, f"{path}: line {line}")
    if not videos:
        raise PoseFileError(f"{path}: must list at least one video, found none.")
    return videos


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV file that are not empty, each with its number."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for line, row in enumerate(csv.reader(stream, strict=True), start=1):
                if row:
                    yield line, row
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error):
        raise PoseFileError(f"{path}: must be a CSV file in UTF-8, but it is damaged.") from None


def _add_row(videos: dict[str, IndexedVideo], row: list[str], where: str) -> None:
    video_id, language, split = (*row, "")[:3] if len(row) == 2 else row if len(row) == 3 else ("", "", "")
    if not _VIDEO_ID.fullmatch(video_id) or not language.strip():
        raise PoseFileError(f"{where} must be video_id,sign_language,split, found {','.join(row)[:60]!r}.")
    if split not in (*get_args(Split), "") or (len(row) == 3 and not split):
        raise PoseFileError(f"{where} must give a split of train, val or test, found {split[:20]!r}.")
    if video_id in videos:
        raise PoseFileError(f"{where} must list each video once, found {video_id} again.")
    videos[video_id] = IndexedVideo(language, cast(Split, split))


def read_channels(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads a CSV file of two columns, `video_id,channel`, with or without that header.

    The corpus has no such file; whoever knows the channels of its videos writes one.

    Raises:
        PoseFileError: It is something else, or lists a video twice; names the line.
    """
    channels: dict[str, str] = {}
    for line, row in _rows(path):
        if line == 1 and row == ["video_id", "channel"]:
            continue
        if len(row) != 2 or not _VIDEO_ID.fullmatch(row[0]) or not row[1].strip():
            raise PoseFileError(f"{path}: line {line} must be video_id,channel, found {','.join(row)[:60]!r}.")
        if row[0] in channels:
            raise PoseFileError(f"{path}: line {line} must list each video once, found {row[0]} again.")
        channels[row[0]] = row[1]
    return channels


def write_split(
    path: str | os.PathLike[str], languages: Mapping[str, str], splits: Mapping[str, Split], *, overwrite: bool = False
) -> None:
    """Writes a split as `SignVerse-2M-metadata_split.csv` has it, for `read_index`.

    Args:
        path: The file, which appears when it is complete.
        languages: Code of the sign language by video id, in the order of the lines.
        splits: Split of each of them.
        overwrite: Whether a file that is already there may be replaced.

    Raises:
        ValueError: `path` is taken.
    """
    with new_file(path, overwrite=overwrite) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["video_id", "sign_language", "split"])
        rows.writerows([video_id, language, splits[video_id]] for video_id, language in languages.items())


def channel_split(languages: Mapping[str, str], channels: Mapping[str, str], *, seed: int = 0) -> dict[str, Split]:
    """Splits videos so that no channel is in two splits, with a twentieth of each language in `val` and in `test`.

    A channel goes where its languages lack most videos, large ones first, so the fractions are met as nearly as whole
    channels allow. A language of one channel is in one split.

    Args:
        languages: Language by video id.
        channels: Channel by video id; others than those of `languages` do not matter.
        seed: Decides the order of channels of one size.

    Raises:
        ValueError: The channel of a video is not given.
    """
    unknown = [video_id for video_id in languages if not channels.get(video_id)]
    if unknown:
        raise ValueError(f"`channels` must name the channel of each video, but not of {unknown[0]!r}.")
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for video_id, language in languages.items():
        held[channels[video_id]][language] += 1
    missing = _wanted(Counter(languages.values()))
    split_of: dict[str, Split] = {}
    for channel in sorted(held, key=lambda channel: (-held[channel].total(), _shuffled(channel, seed))):
        split = max(get_args(Split), key=lambda split: _gain(missing[split], held[channel]))
        split_of[channel] = split
        missing[split].subtract(held[channel])
    return {video_id: split_of[channels[video_id]] for video_id in languages}


def _wanted(num_videos: Counter[str]) -> dict[Split, Counter[str]]:
    held_out = Counter({code: max(round(count * HELD_OUT_FRACTION), 1) for code, count in num_videos.items()})
    train = Counter({code: count - 2 * held_out[code] for code, count in num_videos.items()})
    return {"train": train, "val": Counter(held_out), "test": Counter(held_out)}


def _gain(missing: Counter[str], held: Counter[str]) -> float:
    """How much nearer a split comes to what it wants by a channel, as a share of the channel."""
    return sum(abs(missing[code]) - abs(missing[code] - count) for code, count in held.items()) / held.total()


def _shuffled(channel: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{channel}".encode("utf-8", errors="replace")).digest()


# Leakage

_BONES = (
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "nose"), ("right_eye", "left_eye"), ("right_ear", "left_ear"),
)  # fmt: skip
_FACE_SPANS = (("face_jaw_0", "face_jaw_16"), ("face_jaw_8", "face_nose_bridge_0"))
_MIN_FRAMES = 24


def bone_ratios(poses: PoseSequence) -> Float64[np.ndarray, " bones"]:
    """Log lengths of arms, neck and head in shoulder widths: the shape of a body, as far as pictures show it.

    A bone seems shorter when it points to the camera, never longer, so each counts by what 9 of 10 frames do not
    exceed; left and right count as one. NaN where a bone is seen in fewer than 24 frames.
    """
    scale = np.array([poses.width, poses.height], np.float64)
    shoulders = _length(poses, ("right_shoulder", "left_shoulder"), scale)
    lengths = [_length(poses, bone, scale) for bone in (*_BONES, *_FACE_SPANS)]
    arms = [np.nanmean(pair) if np.isfinite(pair).any() else math.nan for pair in (lengths[0:4:2], lengths[1:4:2])]
    return np.log(np.array([*arms, *lengths[4:]]) / shoulders)


def _length(poses: PoseSequence, bone: tuple[str, str], scale: np.ndarray) -> float:
    ends = index(*bone)
    seen = (poses.confidence[:, ends] > 0.3).all(axis=1)
    if seen.sum() < _MIN_FRAMES:
        return math.nan
    first, second = np.moveaxis(poses.keypoints[seen][:, ends] * scale, 1, 0)
    return float(np.quantile(np.linalg.norm(first - second, axis=1), 0.9)) or math.nan


@dataclass(frozen=True)
class Leak:
    """A held-out video whose signer has the proportions of one in `train`."""

    video_id: str
    train_id: str
    difference: float


def leakage_warnings(
    bodies: Mapping[str, Float64[np.ndarray, " bones"]], splits: Mapping[str, Split], *, same_body: float = SAME_BODY
) -> Iterator[Leak]:
    """Finds held-out videos that may show a signer of `train`: for each the nearest body, where it is near.

    Many people have like proportions, so of many training videos one is near by chance: a warning, no proof.

    Args:
        bodies: `bone_ratios` by video id.
        splits: Split of each of them.
        same_body: Root mean square difference of log ratios that counts as one body.
    """
    train = [video_id for video_id in bodies if splits[video_id] == "train"]
    if not train:
        return
    known = np.stack([bodies[video_id] for video_id in train])
    for video_id, body in bodies.items():
        if splits[video_id] == "train":
            continue
        squares = (known - body) ** 2
        shared = np.isfinite(squares)
        enough = shared.sum(axis=1) * 2 > known.shape[1]
        total = np.where(shared, squares, 0).sum(axis=1)
        differences = np.where(enough, np.sqrt(total / np.maximum(shared.sum(axis=1), 1)), np.inf)
        nearest = int(differences.argmin())
        if differences[nearest] < same_body:
            yield Leak(video_id, train[nearest], float(differences[nearest]))
