"""Planning: the shards that hold given videos, their bytes, and ids in no shard."""

import json

import pytest

from poses.corpus.plan import PlannedShard, plan_shards, read_upload_progress
from poses.sequence import PoseFileError


def _shard(number: int) -> str:
    return f"Sign_DWPose_NPZ_{number:06d}.tar"


@pytest.fixture
def progress(tmp_path):
    path = tmp_path / "archive_upload_progress.json"
    folders = {"a": _shard(1), "b": _shard(1), "c": _shard(2), "d": _shard(3), "e": _shard(3)}
    archives = {
        _shard(1): {"folders": ["a", "b"], "size_bytes": 5000, "status": "uploaded"},
        _shard(2): {"folders": ["c"], "size_bytes": 700, "status": "uploaded"},
        _shard(4): {"folders": ["f"], "size_bytes": 9, "status": "uploading"},
        _shard(5): {"folders": ["g"], "size_bytes": "large", "status": "failed"},
    }
    path.write_text(json.dumps({"archives": archives, "uploaded_folders": folders}, indent=2))
    return read_upload_progress(path)


def test_a_plan(progress):
    plan = plan_shards(progress, ["b", "d", "c", "a", "c", "f", "nowhere"])
    assert plan.shards == (
        PlannedShard(_shard(1), 5000, ("a", "b"), 2),
        PlannedShard(_shard(2), 700, ("c",), 1),
        PlannedShard(_shard(3), None, ("d",), 2),
    )
    assert plan.missing == ("f", "nowhere")
    assert plan.num_bytes == 5700
    assert plan_shards(progress, []).shards == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"progress\.json: must be JSON, but it is damaged"),
        (b"[" * 100_000, "must be JSON, but it is damaged"),
        (b"\xff", "must be JSON, but it is damaged"),
        (b"[]", "must hold `uploaded_folders`, found none"),
        (b'{"uploaded_folders": {"a": 1}}', "must name a shard for each video, found another value for 'a'"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, message):
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    with pytest.raises(PoseFileError, match=message):
        read_upload_progress(path)
    with pytest.raises(PoseFileError, match=r"missing\.json: cannot be read"):
        read_upload_progress(tmp_path / "missing.json")
