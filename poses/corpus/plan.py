"""Which shards to fetch: videos by id or language, the shards that hold them, and their bytes.

Shards mix languages and hold up to 40 videos, so what is fetched is far more than what is wanted: ask first.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from poses.sequence import PoseFileError

_MAX_PROGRESS_BYTES = 2**28


@dataclass(frozen=True)
class UploadProgress:
    """What `runtime_state/archive_upload_progress.json` says.

    Attributes:
        shard_of: Shard by video id; the file's `uploaded_folders`.
        num_bytes: Bytes by shard: what its folders took on their maker's disk, so near the shard's size, not equal.
    """

    shard_of: Mapping[str, str]
    num_bytes: Mapping[str, int]


@dataclass(frozen=True)
class PlannedShard:
    """A shard to fetch, and which of its videos are wanted.

    Attributes:
        name: Such as `Sign_DWPose_NPZ_000001.tar`, in the data set's folder `dataset`.
        num_bytes: As the upload progress states, None where it does not.
        wanted: Ids, sorted.
        num_videos: How many videos it holds.
    """

    name: str
    num_bytes: int | None
    wanted: tuple[str, ...]
    num_videos: int


@dataclass(frozen=True)
class ShardPlan:
    """What to fetch.

    Attributes:
        shards: By name.
        missing: Wanted ids that no shard holds; the index lists some.
    """

    shards: tuple[PlannedShard, ...]
    missing: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards whose size is stated."""
        return sum(shard.num_bytes or 0 for shard in self.shards)


def read_upload_progress(path: str | os.PathLike[str]) -> UploadProgress:
    """Reads `archive_upload_progress.json`.

    Raises:
        PoseFileError: It is another file, or is damaged.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MAX_PROGRESS_BYTES + 1)
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(data) > _MAX_PROGRESS_BYTES:
        raise PoseFileError(f"{path}: must be at most {_MAX_PROGRESS_BYTES} bytes, found more.")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise PoseFileError(f"{path}: must be JSON, but it is damaged.") from None
    folders = content.get("uploaded_folders") if isinstance(content, dict) else None
    if not isinstance(folders, dict):
        raise PoseFileError(f"{path}: must hold `uploaded_folders`, found none.")
    for video_id, shard in folders.items():
        if not isinstance(shard, str):
            raise PoseFileError(f"{path}: must name a shard for each video, found another value for {video_id[:40]!r}.")
    archives = content.get("archives")
    num_bytes = {
        shard: held["size_bytes"]
        for shard, held in (archives.items() if isinstance(archives, dict) else ())
        if isinstance(held, dict) and type(held.get("size_bytes")) is int and held["size_bytes"] >= 0
    }
    return UploadProgress(MappingProxyType(folders), MappingProxyType(num_bytes))


def plan_shards(progress: UploadProgress, videos: Iterable[str]) -> ShardPlan:
    """Finds the shards that hold given videos.

    Args:
        progress: Which shard holds what.
        videos: Ids; those of a language come from `poses.corpus.splits.read_index`.
    """
    wanted: dict[str, list[str]] = {}
    missing = []
    for video_id in sorted(set(videos)):
        if video_id in progress.shard_of:
            wanted.setdefault(progress.shard_of[video_id], []).append(video_id)
        else:
            missing.append(video_id)
    num_videos = dict.fromkeys(wanted, 0)
    for shard in progress.shard_of.values():
        if shard in num_videos:
            num_videos[shard] += 1
    shards = tuple(
        PlannedShard(name, progress.num_bytes.get(name), tuple(wanted[name]), num_videos[name])
        for name in sorted(wanted)
    )
    return ShardPlan(shards, tuple(missing))
