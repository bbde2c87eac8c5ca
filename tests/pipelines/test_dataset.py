"""What an augmented set is exported as, read with what others read it with."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.bulk import BulkResult, Part, Rejected
from pipelines.dataset import Provenance, write_dataset
from poses.io import load_poses, save_poses

PROVENANCE = Provenance("0.1.0", {"renderer": "stage 1"}, {"seed": 0}, {"alex": "built-in", "anna": "written"})


@pytest.fixture
def output(signer, tmp_path) -> Path:
    """An augmentation of two clips, of which one was kept."""
    for name, kept in (("one--alex--00", True), ("two--anna--00", False)):
        folder = tmp_path / "parts" / name
        folder.mkdir(parents=True)
        (folder / "candidates.json").write_text(json.dumps([{"candidate": 0, "kept": kept}]))
        if kept:
            (folder / "video.mp4").write_bytes(b"a video")
            save_poses(signer, folder / "poses.npz")
            (folder / "clip.json").write_text(json.dumps(facts(name)))
    return tmp_path


def facts(name: str) -> dict:
    return {
        "id": name,
        "generated": "AI-generated",
        "clip": "one",
        "source": "one.npz",
        "language": "ase",
        "glosses": ["A", "B"],
        "spans": [{"gloss": "A", "start": 0, "stop": 6}],
        "captions": [{"language": "en", "provenance": "table", "start_s": 0.0, "end_s": 0.5, "text": "A and B."}],
        "signer": "alex",
        "consent": "built-in",
        "num_frames": 12,
        "fps": 24.0,
        "width": 200,
        "height": 200,
        "change": {"mirrored": True},
    }


RESULT = BulkResult(
    {
        "one--alex--00": Part(1, 1),
        "two--anna--00": Part(1, 0, (Rejected("candidate 0", "recall/hands 0.1 is below 0.7; a b", "anna"),)),
    },
    {"three--alex--00": "three.npz: is damaged."},
)


def write(output: Path, format: str) -> Path:
    write_dataset(output, RESULT, format=format, provenance=PROVENANCE)
    return output / "dataset"


def test_the_card_counts_what_was_kept_rejected_and_failed(output):
    card = (write(output, "folder") / "README.md").read_text()
    for line in (
        "from 3 pose clips and 2 signers",
        "| clips kept | 1 |",
        "| renders tried | 2 |",
        "| renders rejected | 1 |",
        "| clips that could not be worked on | 1 |",
        "| seconds of video | 0.5 |",
        "| mirrored | 1 |",
        "* recall/hands: 1",
        "* the clip could not be worked on: 1",
        "* anna: written",
    ):
        assert line in card, line
    listed = [json.loads(line) for line in (output / "dataset" / "candidates.jsonl").read_text().splitlines()]
    assert [(row["item"], row["kept"]) for row in listed] == [("one--alex--00", True), ("two--anna--00", False)]


def test_a_shard_holds_files_that_loaders_open_without_unpickling(output, signer):
    path = write(output, "webdataset") / "train-000000.tar"
    with tarfile.open(path) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}
    # Files of one sample stand next to each other and share what is before the first dot.
    assert list(held) == [f"one--alex--00.{suffix}" for suffix in ("mp4", "poses.npz", "json")]
    assert held["one--alex--00.mp4"] == b"a video"
    arrays = np.load(io.BytesIO(held["one--alex--00.poses.npz"]), allow_pickle=False)
    poses = load_poses(output / "parts" / "one--alex--00" / "poses.npz")
    np.testing.assert_array_equal(arrays["keypoints"], poses.keypoints)
    assert json.loads(held["one--alex--00.json"])["signer"] == "alex"


def test_a_table_holds_the_same(output):
    table = pq.read_table(write(output, "datasets") / "data" / "train-00000-of-00001.parquet")
    (row,) = table.to_pylist()
    assert (row["id"], row["video"], row["glosses"]) == ("one--alex--00", b"a video", ["A", "B"])
    poses = load_poses(output / "parts" / "one--alex--00" / "poses.npz")
    np.testing.assert_array_equal(row["keypoints"], poses.keypoints)
    np.testing.assert_array_equal(row["confidence"], poses.confidence)
    assert json.loads(row["provenance"])["change"] == {"mirrored": True}


@pytest.mark.parametrize("format", ["folder", "webdataset", "datasets"])
def test_it_is_written_the_same_again(output, format):
    first = {path.name: path.read_bytes() for path in write(output, format).rglob("*") if path.is_file()}
    assert first == {path.name: path.read_bytes() for path in write(output, format).rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["folder", "webdataset", "datasets"])
def test_datasets_loads_it_offline(output, tmp_path, format):
    from datasets import load_dataset

    loaded = load_dataset(str(write(output, format)), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 1
    row = loaded.select_columns([name for name in loaded.column_names if name != "mp4"])[0]  # videos need torchcodec
    if format == "webdataset":
        assert row["__key__"] == "one--alex--00"
        assert row["json"]["glosses"] == ["A", "B"]
    else:
        assert row["glosses"] == ["A", "B"]
