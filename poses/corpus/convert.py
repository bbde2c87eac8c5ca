"""Writes the stores that `poses.corpus.store` reads: one part a shard, then the index of all parts."""

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poses.corpus.shards import CorpusClip, Reject
from poses.corpus.splits import bone_ratios
from poses.corpus.store import CLIPS_FILE, INDEX_FILE, INDEX_SCHEMA, SCHEMA
from poses.files import new_file
from poses.people import People
from poses.sequence import PoseFileError
from poses.tracking import MainSigner, Track, main_signer, signer_poses, track_people

VERSION = 3
"""Of what a store holds; it rises when the same shards become something else."""


def write_part(
    entries: Iterable[CorpusClip | Reject], folder: Path, languages: Mapping[str, str]
) -> tuple[int, list[Reject]]:
    """Writes clips as they come, one in memory at a time.

    Args:
        entries: What `read_shard` gives.
        folder: A new one, named like the shard.
        languages: Code of the sign language by video id, as far as known.

    Returns:
        How many were written, and what was rejected: before, or because nobody signs in it.
    """
    rows, rejects = [], []
    with pa.OSFile(str(folder / CLIPS_FILE), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        for entry in entries:
            if isinstance(entry, Reject):
                rejects.append(entry)
                continue
            try:
                clip, row = encode_clip(entry, languages.get(entry.video_id, ""))
            except PoseFileError as error:
                rejects.append(Reject(entry.shard, entry.video_id, entry.offset, str(error)))
                continue
            # The stream begins with its schema, which is written with the first clip.
            rows.append({**row, "part": folder.name, "offset": file.tell() or SCHEMA.serialize().size})
            stream.write_batch(clip)
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), folder / INDEX_FILE)
    return len(rows), rejects


def find_repeats(parts: Iterable[Path]) -> dict[str, list[str]]:
    """Finds the clips that an earlier part holds, too: ids by the name of the part in which they come again."""
    known: set[str] = set()
    repeats: dict[str, list[str]] = {}
    for part in parts:
        ids = pq.read_table(part / INDEX_FILE, columns=["video_id"]).column(0).to_pylist()
        if again := [video_id for video_id in ids if video_id in known]:
            repeats[part.name] = again
        known.update(ids)
    return repeats


def rewrite_part(part: Path, folder: Path, without: Container[str]) -> None:
    """Writes a part again, without some of its clips.

    Args:
        part: What `write_part` wrote.
        folder: A new one.
        without: Ids of those to leave out.
    """
    rows = pq.read_table(part / INDEX_FILE).to_pylist()
    kept = []
    with (
        pa.memory_map(str(part / CLIPS_FILE)) as source,
        pa.ipc.open_stream(source) as clips,
        pa.OSFile(str(folder / CLIPS_FILE), "wb") as file,
        pa.ipc.new_stream(file, SCHEMA) as stream,
    ):
        for row, clip in zip(rows, clips, strict=True):
            if row["video_id"] not in without:
                kept.append({**row, "offset": file.tell() or SCHEMA.serialize().size})
                stream.write_batch(clip)
    pq.write_table(pa.Table.from_pylist(kept, schema=INDEX_SCHEMA), folder / INDEX_FILE)


def write_index(folder: Path, parts: Iterable[str]) -> None:
    """Writes the index of a store from those of its parts, none of which holds a clip of another.

    Args:
        folder: The store.
        parts: Names, in order.
    """
    tables = [pq.read_table(folder / "parts" / part / INDEX_FILE) for part in parts]
    with new_file(folder / INDEX_FILE, overwrite=True) as aside:
        pq.write_table(pa.concat_tables([INDEX_SCHEMA.empty_table(), *tables]), aside)


def encode_clip(clip: CorpusClip, language: str) -> tuple[pa.RecordBatch, dict[str, Any]]:
    """Makes a clip's row, and the index's row but for its place.

    Args:
        clip: Everybody in a video, repaired.
        language: Code of the sign language, empty where unknown; one that the clip itself states comes first.

    Raises:
        PoseFileError: Nobody signs in it, or the signer's points cannot be true.
    """
    people, where, shard = clip.people, f"{clip.shard}: {clip.video_id}", os.path.basename(clip.shard)
    tracks = track_people(people)
    signer = main_signer(people, tracks)
    if people.keypoints.shape[1] == 1:  # who is alone is the signer, even where little of them is seen
        signer = replace(signer, slots=np.minimum(people.num_people, 1) - 1)
    poses = signer_poses(people, signer.slots, where)
    others, problems = _others(people, signer, tracks, where)
    keypoints, confidence = _halved(poses.keypoints, poses.confidence)
    row = {
        "video_id": clip.video_id,
        "language": people.language or language,
        "shard": shard,
        "fps": people.fps,
        "width": people.width,
        "height": people.height,
        "keypoints": keypoints,
        "confidence": confidence,
        **{name: getattr(signer, name) for name in ("slots", "tracks", "empty", "handless", "accompanied")},
        **others,
        "captions": [
            {"language": track.language, "provenance": track.provenance, **asdict(caption)}
            for track in clip.captions
            for caption in track.captions
        ],
        "glosses": [asdict(span) for span in people.glosses],
        "repairs": [asdict(repair) for repair in people.repaired],
        "complete": clip.complete,
        # Where the shard lay is nobody's business who is given the store.
        "problems": [problem.replace(clip.shard, shard) for problem in (*clip.problems, *problems)],
    }
    indexed = {
        "video_id": clip.video_id,
        "language": row["language"],
        "num_frames": len(poses),
        "num_usable": int(signer.usable.sum()),
        "fps": people.fps,
        "most_people": int(people.num_people.max()),
        "repairs": list(people.repairs),
        "captions": [f"{track.language} {track.provenance}" for track in clip.captions],
        "bone_ratios": bone_ratios(poses).tolist(),
        "complete": clip.complete,
    }
    return pa.record_batch([_column(row[field.name], field.type) for field in SCHEMA], schema=SCHEMA), indexed


def _others(
    people: People, signer: MainSigner, tracks: Sequence[Track], where: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns of everybody but the signer, and what is amiss with them."""
    num_slots = people.keypoints.shape[1]
    track_of = np.full((len(people.num_people), num_slots), -1)
    for number, track in enumerate(tracks):
        track_of[track.frames, track.slots] = number
    slots = np.arange(num_slots)
    frames, slots = np.nonzero((slots < people.num_people[:, None]) & (slots != signer.slots[:, None]))
    keypoints, confidence = people.keypoints[frames, slots], people.confidence[frames, slots]
    with np.errstate(over="ignore"):
        damaged = ~np.isfinite(keypoints.astype(np.float16)).all(axis=2) & (confidence > 0)
    keypoints, confidence = _halved(keypoints, np.where(damaged, 0, confidence))
    columns = {
        "other_frames": frames,
        "other_slots": slots,
        "other_tracks": track_of[frames, slots],
        "other_keypoints": keypoints,
        "other_confidence": confidence,
    }
    problem = f"{where}: {damaged.sum()} points of people beside the signer cannot be true and count as unseen"
    return columns, [problem] if damaged.any() else []


def _halved(keypoints: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float16; what was not seen, or is too unsure for float16, lies at (0, 0)."""
    confidence = confidence.astype(np.float16)
    return np.where(confidence[..., None] > 0, keypoints, 0).astype(np.float16), confidence


def _column(value: Any, kind: pa.DataType) -> pa.Array:
    """One row of a column; arrays of several axes become lists of lists."""
    if not isinstance(value, np.ndarray):
        return pa.array([value], kind)
    inner = kind
    while pa.types.is_list(inner) or pa.types.is_fixed_size_list(inner):
        inner = inner.value_type
    column = pa.array(value.reshape(-1), inner)
    for size in reversed(value.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return pa.ListArray.from_arrays(pa.array([0, len(value)], pa.int32()), column).cast(kind)
