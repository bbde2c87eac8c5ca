"""How good videos of driving poses are: every clip measured by itself, then all of them summed up and shown.

A folder holds `index.html` (self-contained), `evaluation.json`, `clips.parquet`, `figures.parquet`, and in `parts/`
what each clip came to. A call that was stopped goes on where it was; one with further clips measures only those.
"""

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.bulk import Part, Tell, run_bulk
from pipelines.clip_evaluation import ClipEvaluation, Judges, Read, evaluate_clip
from pipelines.environment import machine, package_versions
from pipelines.estimators import create_estimator
from pipelines.measures.features import OrientedFilters
from pipelines.pairs import Pair, read_pairs
from pipelines.report.evaluation import write_evaluation_page
from pipelines.set_figures import ClipSet
from pipelines.summary import Evaluation, Summary, summarise, with_faithfulness
from poses.files import new_file, read_json
from poses.io import save_poses
from recognizer.reading import load_recognizer

VERSION = 3
"""Counted up when other figures would come of the same clip."""


@cache
def load_judges(estimator: str) -> Judges:
    """Loads them once in every process."""
    judges = Judges(create_estimator(estimator), load_recognizer(), OrientedFilters())
    gc.freeze()  # imageio collects garbage whenever it closes a video: spare it what was loaded
    return judges


def run_evaluation(
    source: Path,
    output: Path,
    *,
    estimator: str = "mediapipe",
    judges: Judges | None = None,
    workers: int = 1,
    show: bool = False,
) -> Evaluation:
    """Evaluates the clips of a table or folder and writes the report.

    Args:
        source: See `read_pairs`.
        output: The report's folder; new, or one that an earlier call with the same judges began.
        estimator: Who finds poses in the videos.
        judges: Loaded ones, in place of `estimator`; these work in one process only.
        workers: Processes.
        show: Whether to show a progress bar on standard error.

    Raises:
        ValueError: There are no pairs, an argument is wrong, or no clip at all could be evaluated.
    """
    found = read_pairs(source)
    names = (judges or load_judges(estimator)).names()
    items = {pair.key(): pair for pair in found.pairs}
    work = partial(evaluate_item, judges=judges or estimator)
    settings = {"command": "evaluate", "version": VERSION, **names}
    bulk = run_bulk(
        work,
        items,
        output,
        settings=settings,
        workers=workers,
        unit=" clips",
        show=show,
        refusal=ValueError,  # which videos are refused with
    )
    failed = {items[key].name: reason for key, reason in bulk.failed.items()}
    folders = {key: output / "parts" / key for key in items if key in bulk.parts}
    if not folders:
        raise ValueError(f"{source}: no clip could be evaluated, the first because: {next(iter(failed.values()))}")
    features = [read_features(folder) for folder in folders.values()]
    clips = with_faithfulness([read_clip(folder) for folder in folders.values()], features)
    num_frames = sum(clip.video_frames for clip in clips)
    evaluation = Evaluation(
        signloop=version("signloop"),
        source=source.name,
        judges=names,
        summary=summarise(ClipSet(clips, features, names, len(failed))),
        clips=tuple(clips),
        failed=failed,
        alone=found.alone,
        seconds_per_frame={
            stage: round(sum(clip.seconds[stage] for clip in clips) / num_frames, 5) for stage in ("extract", "measure")
        },
        packages=package_versions(),
        machine=machine(),
    )
    pairs = {items[key].name: (items[key], folder) for key, folder in folders.items()}
    _write(evaluation, pairs, output)
    return evaluation


def evaluate_item(pair: Pair, folder: Path, *, seed: int, tell: Tell, judges: Judges | str) -> Part:
    """Evaluates one clip into a folder: `clip.json`, the two poses, and `features.npz` for figures of the whole set."""
    evaluation, poses, features = evaluate_clip(pair, load_judges(judges) if isinstance(judges, str) else judges)
    for name, sequence in poses.items():
        if not sequence.confidence.any():
            continue  # no pose file says that nobody is there
        save_poses(sequence, folder / f"{name}.npz")
    with (folder / "features.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{of: rows.astype(np.float32) for of, rows in features.items()})
    text = json.dumps(asdict(evaluation), ensure_ascii=False, allow_nan=False)
    (folder / "clip.json").write_text(text, encoding="utf-8")
    tell(1)
    return Part(1, 1)


def read_clip(folder: Path) -> ClipEvaluation:
    """Reads what `evaluate_item` found."""
    held: dict[str, Any] = read_json(folder / "clip.json")
    held["read"] = {of: Read(tuple(read["glosses"]), read["top"], read["reason"]) for of, read in held["read"].items()}
    held |= {name: tuple(held[name]) for name in ("glosses", "problems")}
    return ClipEvaluation(**held)


def read_features(folder: Path) -> dict[str, np.ndarray]:
    """Reads the rows that `evaluate_item` kept."""
    with np.load(folder / "features.npz", allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _write(evaluation: Evaluation, pairs: Mapping[str, tuple[Pair, Path]], output: Path) -> None:
    with new_file(output / "evaluation.json", overwrite=True) as aside:
        text = json.dumps(asdict(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        aside.write_text(text + "\n", encoding="utf-8")
    tables = {"clips": [_row(clip) for clip in evaluation.clips], "figures": _figure_rows(evaluation.summary)}
    for name, rows in tables.items():
        with new_file(output / f"{name}.parquet", overwrite=True) as aside:
            pq.write_table(to_table(rows), aside)
    with new_file(output / "index.html", overwrite=True) as aside:
        write_evaluation_page(evaluation, pairs, aside)


def to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Every column that any row has, null where a row lacks it.

    Types are the same whatever was found: lists hold text, and a column in which nothing is known is of numbers, for
    only figures may be missing.
    """
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    return pa.table({name: pa.array(values, _column_type(values)) for name, values in columns.items()})


def _column_type(values: Sequence[Any]) -> pa.DataType:
    known = [value for value in values if value is not None]
    if not known:
        return pa.float64()
    return pa.list_(pa.string()) if isinstance(known[0], list) else pa.infer_type(known)


def _row(clip: ClipEvaluation) -> dict[str, Any]:
    """A clip on one level, for a table."""
    held: dict[str, Any] = asdict(clip)
    figures, floor = held.pop("figures"), held.pop("floor")
    read = {f"read/{of}": list(read["glosses"]) for of, read in held.pop("read").items()}
    for nested in ("segments", "seconds", "error_over_time"):
        del held[nested]
    held |= {name: list(held[name]) for name in ("glosses", "problems")}
    return {**held, **read, **figures, **{f"floor/{name}": value for name, value in floor.items()}}


def _figure_rows(summary: Summary) -> list[dict[str, Any]]:
    rows = []
    for figure in (*summary.figures, *summary.back_translation):
        held = asdict(figure)
        low, high = held.pop("interval") or (None, None)
        errors = dict(zip(("substitutions", "deletions", "insertions"), held.pop("errors") or (None,) * 3, strict=True))
        rows.append({**held, "low": low, "high": high, **errors})
    return rows
