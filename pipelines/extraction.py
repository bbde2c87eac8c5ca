"""Poses of many videos as a bulk job: on several processes, each video by itself, killed and gone on with at will.

OUTPUT/poses/NAME.npz    the poses of NAME.mp4, or .pose where that is asked for
OUTPUT/parts/            what each video became, see `pipelines.bulk`
OUTPUT/rejects.jsonl     videos that cannot be read and those without a person, each with its reason
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from pipelines.bulk import BulkResult, Part, Tell, run_bulk
from pipelines.estimators import create_estimator
from poses.estimators import Estimator, extract_poses
from poses.files import new_directory, plain_name
from poses.io import is_video, save_poses
from poses.video import read_frames, read_info


@cache
def load_estimator(name: str) -> Estimator:
    """Loads it once in every process."""
    return create_estimator(name)


def run_extraction(
    source: Path,
    output: Path,
    *,
    estimator: str = "mediapipe",
    workers: int = 1,
    show: bool = False,
) -> BulkResult:
    """Finds the poses in all videos of a folder, or goes on with that.

    Args:
        source: A folder; what is no video in it is left alone.
        output: A new folder, or one that the same call began.
        estimator: A name of `pipelines.estimators.ESTIMATORS`.
        workers: Processes.
        show: Whether to show a progress bar on standard error.

    Raises:
        ValueError: There is no video, two have one name, an argument is wrong, or `output` belongs to something else.
    """
    videos = find_videos(source)
    items = {_key(name, path): path for name, path in videos.items()}
    return run_bulk(
        partial(extract_item, estimator=estimator),
        items,
        output,
        settings={"command": "extract", "estimator": load_estimator(estimator).version},
        workers=workers,
        sizes={key: read_length(path) for key, path in items.items()},
        unit=" frames",
        show=show,
        finish=partial(_gather, output, list(items)),
        refusal=ValueError,  # which videos are refused with
    )


def find_videos(source: Path) -> Mapping[str, Path]:
    """The videos of a folder by name.

    Raises:
        ValueError: It is no folder, holds none, or two have one name.
    """
    if not source.is_dir():
        raise ValueError(f"{source}: must be a folder of videos.")
    found: dict[str, Path] = {}
    for path in sorted(path for path in source.iterdir() if path.is_file() and path.stat().st_size and is_video(path)):
        if (name := plain_name(path.stem)) in found:
            raise ValueError(f"{source}: every video must have a name of its own, found {name!r} twice.")
        found[name] = path
    if not found:
        raise ValueError(f"{source}: must hold videos, found none.")
    return found


def read_length(path: Path) -> int:
    """How many frames a video says it has; 1 where it does not, or cannot be read."""
    try:
        return read_info(path).num_frames or 1
    except ValueError:
        return 1


def extract_item(path: Path, folder: Path, *, seed: int, tell: Tell, estimator: str) -> Part:
    """Finds the poses in one video.

    Raises:
        ValueError: It cannot be read, or shows nobody.
    """
    loaded = load_estimator(estimator)
    fps = read_info(path).fps
    poses = extract_poses(read_frames(path), fps=fps, estimator=loaded, source=path.name, progress=tell)
    save_poses(poses, folder / "poses.npz")
    return Part(1, 1)


def _key(name: str, path: Path) -> str:
    """Names a video and what it holds, so that poses are never taken for those of another version."""
    with path.open("rb") as video:
        return f"{name}-{hashlib.file_digest(video, 'sha256').hexdigest()[:12]}"


def _gather(output: Path, keys: Sequence[str], result: BulkResult) -> BulkResult:
    """Lists the poses of this call's videos by name: links where the file system has such, else copies."""
    shutil.rmtree(output / "poses", ignore_errors=True)
    with new_directory(output / "poses") as folder:
        for key in keys:
            if key in result.parts:
                made, target = output / "parts" / key / "poses.npz", folder / f"{key.rpartition('-')[0]}.npz"
                try:
                    os.link(made, target)
                except OSError:
                    shutil.copyfile(made, target)
    return result
