"""A store loads with Hugging Face `datasets`, offline: mapped file by file, or as a folder."""

import numpy as np
import pytest

from poses.corpus.store import ClipStore

datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")

pytestmark = pytest.mark.slow  # `datasets` takes seconds to import


@pytest.fixture
def store(tmp_path, make_video, make_shard):
    from pipelines.conversion import convert_shards

    videos = {name * 11: make_video([1, 2, 1], seed=seed, captions={"en": name}) for seed, name in enumerate("abc")}
    for part in ("first", "second"):
        chosen = [name for name in videos if (name[0] == "c") == (part == "second")]
        (tmp_path / f"{part}.tar").write_bytes(make_shard({name: videos[name] for name in chosen}))
    convert_shards([str(tmp_path)], tmp_path / "store")
    return ClipStore(tmp_path / "store")


def test_a_file_is_mapped(store):
    clips = datasets.Dataset.from_file(str(store.folder / "parts" / "first" / "clips.arrow"))
    assert clips["video_id"][:] == store.ids[:2]
    row = clips.with_format("numpy")[1]
    assert row["keypoints"].shape == (3, 128, 2)
    assert np.array_equal(row["keypoints"], store[1].keypoints)
    assert np.array_equal(row["confidence"], store[1].confidence)


def test_the_folder_is_loaded(store, tmp_path):
    loaded = datasets.load_dataset(str(store.folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["video_id"][:] == store.ids
    assert loaded[2]["captions"] == [
        {"language": "en", "provenance": "unknown", "start_s": 0.0, "end_s": 1.0, "text": "c"}
    ]
    assert np.array_equal(np.array(loaded[2]["keypoints"]), store[2].keypoints)
