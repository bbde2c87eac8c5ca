"""The kept clips of an augmented set as others load them: a folder, WebDataset shards, or Hugging Face `datasets`.

Everything is made of `parts/`, byte for byte the same each time. Beside it lie the data card and `candidates.jsonl`:
every render that was tried, kept or not, with its figures and what was against it.
"""

import io
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.bulk import BulkResult
from poses.corpus.store import CAPTION
from poses.files import new_directory, read_json
from poses.io import load_poses
from poses.keypoints import NUM_KEYPOINTS

CLIPS_PER_SHARD = 500
"""Of a WebDataset or Parquet shard: some tens of megabytes at 256 pixels."""

_FILES = MappingProxyType({"mp4": "video.mp4", "poses.npz": "poses.npz", "json": "clip.json"})
"""A clip's files by what stands behind its name in the folder and in shards."""

_POINTS = pa.list_(pa.list_(pa.list_(pa.float32(), 2), NUM_KEYPOINTS))
_SPAN = {"gloss": pa.string(), "start": pa.int64(), "stop": pa.int64()}
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "generated": pa.string(),
        "video": pa.binary(),  # an mp4 file
        "keypoints": _POINTS,  # asked for, x / width and y / height
        "confidence": pa.list_(pa.list_(pa.float32(), NUM_KEYPOINTS)),
        "num_frames": pa.int64(),
        "fps": pa.float64(),
        "width": pa.int64(),
        "height": pa.int64(),
        "glosses": pa.list_(pa.string()),
        "spans": pa.list_(pa.struct(_SPAN)),
        "captions": pa.list_(pa.struct(CAPTION)),
        "language": pa.string(),
        "signer": pa.string(),
        "consent": pa.string(),
        "clip": pa.string(),
        "source": pa.string(),
        "provenance": pa.string(),  # all of clip.json
    }
)

CARD = """---
license: other
task_categories:
- other
tags:
- sign-language
- synthetic
- generated
configs:
- config_name: default
  data_files: {data_files}
---

# Generated sign-language clips

**Every video here is AI-generated.** No clip is a recording of a person, and each file says so in its metadata.
Made by `signloop augment` (SignLoop {signloop}) from {num_sources} pose clips and {num_signers} signers.

| | |
|---|---|
| clips kept | {num_kept} |
| renders tried | {num_tried} |
| renders rejected | {num_rejected} |
| clips that could not be worked on | {num_failed} |
| seconds of video | {seconds:.1f} |
| mirrored | {num_mirrored} |

{tables}

## What was rejected, and why

{rejects}
Every render that was tried is in `candidates.jsonl` with all its figures. The gate prefers what the pose estimator and
the recognizer named here find easy: signers and signs that they do badly are rejected more often, so look at the
counts by signer before training on the rest.

## Models

{models}

## Settings

```json
{settings}
```

## Licence and consent

The movements come from the corpus that was given, and stay under its terms, which this card does not know: state them
before publishing. The licences of the models apply as well. Consent, by signer:

{consents}
Signs were not checked by people who sign. Poses show how somebody moved, by which people can be recognised.
"""


@dataclass(frozen=True)
class Provenance:
    """What the data card says besides counts.

    Attributes:
        signloop: Version of the package.
        models: Name and version of renderer, estimator, recognizer and feature network.
        settings: All that decided the result.
        consents: By signer, why they may be shown signing.
    """

    signloop: str
    models: Mapping[str, str]
    settings: Mapping[str, Any]
    consents: Mapping[str, str]


def check_format(format: str) -> None:
    """Refuses a format that is none of `FORMATS`.

    Raises:
        ValueError: It is none.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}.")


def write_dataset(output: Path, result: BulkResult, *, format: str, provenance: Provenance) -> BulkResult:
    """Writes `OUTPUT/dataset` anew: the kept clips in a format of `FORMATS`, the candidates, and the data card."""
    parts = {item: output / "parts" / item for item in sorted(result.parts)}
    kept = [folder for item, folder in parts.items() if result.parts[item].num_out]
    shutil.rmtree(output / "dataset", ignore_errors=True)
    with new_directory(output / "dataset") as folder:
        write, data_files = FORMATS[format]
        write(kept, folder)
        with (folder / "candidates.jsonl").open("w", encoding="utf-8") as stream:
            for item, part in parts.items():
                for candidate in read_json(part / "candidates.json"):
                    stream.write(json.dumps({"item": item, **candidate}, ensure_ascii=False) + "\n")
        card = _card(kept, result, provenance, data_files)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return result


# Formats


def write_folder(kept: Sequence[Path], folder: Path) -> None:
    """`clips/ID.mp4`, `ID.poses.npz` and `ID.json`: links to the parts where the file system has such, else copies.

    `clips.jsonl` beside them has what the JSON files say, a line a clip.
    """
    (folder / "clips").mkdir()
    with (folder / "clips.jsonl").open("w", encoding="utf-8") as stream:
        for part in kept:
            facts = {"file_name": f"clips/{part.name}.mp4"} | read_json(part / "clip.json")
            stream.write(json.dumps(facts, ensure_ascii=False) + "\n")
    for part in kept:
        for suffix, name in _FILES.items():
            target = folder / "clips" / f"{part.name}.{suffix}"
            try:
                os.link(part / name, target)
            except OSError:
                shutil.copyfile(part / name, target)


def write_webdataset(kept: Sequence[Path], folder: Path) -> None:
    """Tar shards with `ID.mp4`, `ID.poses.npz` and `ID.json` next to each other.

    The poses are plain arrays here, `keypoints` [frames, 128, 2] and `confidence`: SignVerse-2M's own files hold
    pickles, and loaders of shards open what ends in .npz by themselves.
    """
    for number, parts in enumerate(_shards(kept)):
        with tarfile.open(folder / f"train-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for part in parts:
                for suffix, name in _FILES.items():
                    data = _plain_arrays(part / name) if suffix == "poses.npz" else (part / name).read_bytes()
                    member = tarfile.TarInfo(f"{part.name}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def write_parquet(kept: Sequence[Path], folder: Path) -> None:
    """Parquet files with the columns of `SCHEMA`, which `datasets.load_dataset` loads from the folder."""
    (folder / "data").mkdir()
    shards = list(_shards(kept))
    for number, parts in enumerate(shards):
        path = folder / "data" / f"train-{number:05d}-of-{len(shards):05d}.parquet"
        with pq.ParquetWriter(path, SCHEMA) as writer:
            for part in parts:
                writer.write_batch(_row(part))


FORMATS: Mapping[str, tuple[Callable[[Sequence[Path], Path], None], str]] = MappingProxyType(
    {
        "folder": (write_folder, "clips.jsonl"),
        "webdataset": (write_webdataset, "train-*.tar"),
        "datasets": (write_parquet, "data/*.parquet"),
    }
)
"""How the set is written, and which of its files `datasets.load_dataset` should look at."""


def _shards(kept: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, max(len(kept), 1), CLIPS_PER_SHARD):
        yield kept[start : start + CLIPS_PER_SHARD]


def _plain_arrays(path: Path) -> bytes:
    poses, buffer = load_poses(path), io.BytesIO()
    np.savez(buffer, allow_pickle=False, keypoints=poses.keypoints, confidence=poses.confidence)
    return buffer.getvalue()


def _row(part: Path) -> pa.RecordBatch:
    facts, poses = read_json(part / "clip.json"), load_poses(part / "poses.npz")
    points = {
        "keypoints": _nested(poses.keypoints.reshape(-1), SCHEMA.field("keypoints").type),
        "confidence": _nested(poses.confidence.reshape(-1), SCHEMA.field("confidence").type),
    }
    values = facts | {
        "video": (part / "video.mp4").read_bytes(),
        "provenance": json.dumps(facts, ensure_ascii=False),
    }
    columns = [points.get(field.name) or pa.array([values[field.name]], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _nested(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Numbers in a row as one list of lists of fixed size."""
    sizes, inner = [], kind.value_type
    while pa.types.is_fixed_size_list(inner):
        sizes.append(inner.list_size)
        inner = inner.value_type
    array = pa.array(values)
    for size in reversed(sizes):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)


# The data card


def _card(kept: Sequence[Path], result: BulkResult, provenance: Provenance, data_files: str) -> str:
    clips = [read_json(part / "clip.json") for part in kept]
    tables = {
        "signer": Counter(clip["signer"] for clip in clips),
        "language": Counter(clip["language"] or "not stated" for clip in clips),
        "gloss": Counter(gloss for clip in clips for gloss in clip["glosses"]),
    }
    return CARD.format(
        data_files=data_files,
        signloop=provenance.signloop,
        num_sources=len({item.split("--")[0] for item in (*result.parts, *result.failed)}),
        num_signers=len(provenance.consents),
        num_kept=len(kept),
        num_tried=sum(part.num_in for part in result.parts.values()),
        num_rejected=sum(len(part.rejects) for part in result.parts.values()),
        num_failed=len(result.failed),
        seconds=sum(clip["num_frames"] / clip["fps"] for clip in clips),
        num_mirrored=sum(clip["change"]["mirrored"] for clip in clips),
        tables="\n\n".join(_table(name, counts) for name, counts in tables.items() if counts),
        rejects=_listed(_reasons(result)) or "Nothing was.\n",
        models=_listed(provenance.models),
        settings=json.dumps(provenance.settings, indent=1, ensure_ascii=False),
        consents=_listed(provenance.consents),
    )


def _reasons(result: BulkResult) -> dict[str, int]:
    """How many renders each figure spoke against, and items that failed as a whole; one render may have several."""
    counts: Counter[str] = Counter()
    for part in result.parts.values():
        for reject in part.rejects:
            counts.update({_cause(reason) for reason in reject.reason.split("; ")})
    if result.failed:
        counts["the clip could not be worked on"] = len(result.failed)
    return dict(counts.most_common())


def _cause(reason: str) -> str:
    return "another candidate was better" if reason.startswith("it passed") else reason.split()[0]


def _table(name: str, counts: Mapping[str, int]) -> str:
    rows = [f"| {key} | {counts[key]} |" for key in sorted(counts)]
    return "\n".join([f"| {name} | clips |", "|---|---|", *rows])


def _listed(facts: Mapping[str, object]) -> str:
    return "".join(f"* {name}: {value}\n" for name, value in facts.items())
