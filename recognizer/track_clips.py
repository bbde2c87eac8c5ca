"""Clips of pose tracks with what is signed in them: as a folder of files, and as batches to train on."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from poses import tables
from poses.files import new_file
from poses.formats.npz import open_npz, read_array
from poses.sequence import PoseFileError
from recognizer.tracks import TRACKS, collate_tracks, join_tracks, split_tracks

TABLE = "glosses.csv"
_COLUMNS = ["clip", "glosses", "split"]
SPLITS = ("train", "validation")

FASTEST, SLOWEST = 0.8, 1.25
"""How many times its frames a clip has at another pace."""


@dataclass(frozen=True, eq=False)
class TrackClip:
    """A clip of any of the five tracks.

    Attributes:
        name: Unique in its folder.
        features: See `recognizer.tracks`; NaN where a track is missing.
        glosses: What is signed, in order.
        split: One of `SPLITS`.
    """

    name: str
    features: Float32[np.ndarray, "frames 1959"]
    glosses: tuple[str, ...]
    split: str = "train"


def save_tracks(features: Float32[np.ndarray, "frames 1959"], path: Path) -> None:
    """Writes the tracks of a clip that are there in at least one frame, each an array of that name."""
    np.savez_compressed(path, **split_tracks(features))  # pyrefly: ignore


def write_table(rows: Iterable[tuple[str, Sequence[str], str]], path: Path) -> None:
    """Writes which clips there are, without `.npz`, their glosses and their split."""
    with new_file(path, overwrite=True) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows((name, " ".join(glosses), split) for name, glosses, split in rows)


def read_track_clips(folder: Path) -> list[TrackClip]:
    """Reads a folder of `.npz` clips, each with any of the five tracks, and its table of glosses.

    Raises:
        ValueError: The table is missing, has other columns, or a line of it is wrong.
        PoseFileError: A clip is missing, damaged or holds something else.
    """
    return [
        TrackClip(name, _read_tracks(folder / f"{name}.npz"), glosses, split)
        for name, glosses, split in read_table(folder)
    ]


def read_table(folder: Path) -> list[tuple[str, tuple[str, ...], str]]:
    """Reads which clips a folder has, without suffix, their glosses and their split.

    Raises:
        ValueError: The table is missing, has other columns, or a line of it is wrong.
    """
    path = folder / TABLE
    columns, lines = tables.read_table(path)
    if columns != _COLUMNS or not lines:
        raise ValueError(f"{path}: expected the columns {', '.join(_COLUMNS)} and clips, found {columns}.")
    clips = []
    for number, row in enumerate(lines, start=2):
        name, glosses, split = (row[column] for column in _COLUMNS)
        inside = name and not Path(name).is_absolute() and ".." not in Path(name).parts
        if not inside or not glosses.split() or split not in SPLITS:
            raise ValueError(
                f"{path}: line {number} must name a clip in its folder, its glosses and {' or '.join(SPLITS)}, "
                f"found {name!r}, {glosses!r}, {split!r}."
            )
        clips.append((name, tuple(glosses.split()), split))
    return clips


def _read_tracks(path: Path) -> Float32[np.ndarray, "frames 1959"]:
    with open_npz(path, path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if unknown := [name for name in names if name not in TRACKS]:
            raise PoseFileError(f"{path}: must hold tracks among {', '.join(TRACKS)}, found {unknown[0]!r}.")
        arrays = {name: read_array(archive, f"{name}.npy", path) for name in names}
    for name, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind != "f":
            raise PoseFileError(f"{path}: {name} must be floats [frames, numbers], found {array.dtype} {array.shape}.")
    try:
        features = join_tracks({name: array.astype(np.float32) for name, array in arrays.items()})
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from None
    if np.isnan(features).all():
        raise PoseFileError(f"{path}: must show a track in at least one frame, found none.")
    return features


def track_batches(
    clips: Sequence[TrackClip], glosses: Sequence[str], std: Float32[np.ndarray, " 1959"], *, batch_size: int, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of Pose2Gloss's arguments, each clip at another pace and with a little noise.

    Args:
        clips: To train on.
        glosses: The vocabulary, in the order of labels.
        std: The spread of every number, by which noise is scaled; see `recognizer.tracks.track_statistics`.
        batch_size: Clips a batch.
        seed: Of order, pace and noise.
    """
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(clips))
        for start in range(0, len(order), batch_size):
            chosen = [clips[number] for number in order[start : start + batch_size]]
            paced = [_at_pace(clip.features, rng) for clip in chosen]
            noisy = [clip + rng.normal(0, 0.1, clip.shape).astype(np.float32) * std for clip in paced]
            features, attention_mask = (torch.from_numpy(array) for array in collate_tracks(noisy))
            labels = gloss_labels([clip.glosses for clip in chosen], glosses)
            yield {"features": features, "attention_mask": attention_mask, "labels": labels}


def _at_pace(
    features: Float32[np.ndarray, "frames 1959"], rng: np.random.Generator
) -> Float32[np.ndarray, "other_frames 1959"]:
    """Repeats or leaves out frames, evenly."""
    frames = max(round(len(features) * rng.uniform(FASTEST, SLOWEST)), 1)
    return features[np.linspace(0, len(features) - 1, frames).round().astype(int)]


def gloss_labels(sequences: Sequence[Sequence[str]], glosses: Sequence[str]) -> Int[torch.Tensor, "batch glosses"]:
    """The numbers of glosses, padded with -100.

    Raises:
        ValueError: A gloss is not in the vocabulary.
    """
    number_of = {gloss: number for number, gloss in enumerate(glosses)}
    if unknown := [gloss for sequence in sequences for gloss in sequence if gloss not in number_of]:
        raise ValueError(f"`sequences` must hold glosses that the network knows, got {unknown[0]!r}.")
    labels = torch.full((len(sequences), max(map(len, sequences))), -100)
    for row, sequence in enumerate(sequences):
        labels[row, : len(sequence)] = torch.tensor([number_of[gloss] for gloss in sequence])
    return labels


def drop_tracks(
    features: Float[torch.Tensor, "batch frames 1959"], share: float
) -> Float[torch.Tensor, "batch frames 1959"]:
    """Takes each track of each clip away with probability `share`, but leaves every clip at least one that it has."""
    starts = [where.start for where in TRACKS.values()]
    there = ~features[..., starts].isnan().all(dim=1)
    luck = torch.rand(there.shape).masked_fill(~there, -1)
    keeps = (luck >= share) | (luck == luck.amax(dim=1, keepdim=True))
    sizes = torch.tensor([where.stop - where.start for where in TRACKS.values()])
    return features.masked_fill(~keeps.repeat_interleave(sizes, dim=1)[:, None], torch.nan)
