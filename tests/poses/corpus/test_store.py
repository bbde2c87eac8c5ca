"""The store: what a clip was before is what it is after, at any place, in any process."""

import json
import pickle
import shutil
import struct
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poses.captions import Caption
from poses.corpus.batches import (
    StoreDataset,
    bucketed_batches,
    caption_spans,
    pad_batch,
    usable_spans,
)
from poses.corpus.convert import encode_clip, find_repeats, rewrite_part, write_index, write_part
from poses.corpus.shards import CorpusClip, Reject, read_shard
from poses.corpus.splits import bone_ratios
from poses.corpus.store import INDEX_SCHEMA, SCHEMA, ClipStore, StoredClip, singles
from poses.formats.signverse_published import publish_video, write_shard
from poses.people import People
from poses.sequence import GlossSpan, PoseFileError
from poses.tracking import main_signer_poses, track_people

VIDEOS = {
    "one________": {"num_people": 1},
    "two________": {"num_people": 2, "captions": {"en": [Caption(0, 0.5, "hello"), Caption(0.5, 1, "there")]}},
    "five_______": {
        "num_people": 5,
        "captions": {"de": [Caption(0.25, 0.75, "hallo")], "en-de": [Caption(0, 1, "hi")]},
    },
}


def people(num_people: int, *, num_frames: int = 36, seed: int = 0) -> People:
    """People who stand side by side and tremble; the last one is gone in every third frame."""
    random = np.random.default_rng(seed)
    body = random.uniform(0, 0.1, (num_people, 128, 2)) + np.linspace(0, 0.8, num_people)[:, None, None]
    keypoints = (body + random.normal(0, 1e-3, (num_frames, num_people, 128, 2))).astype(np.float32)
    confidence = random.uniform(0.35, 1, (num_frames, num_people, 128)).astype(np.float32)
    count = np.full(num_frames, num_people, np.int32)
    if num_people > 1:
        count[::3] -= 1
        keypoints[::3, -1] = confidence[::3, -1] = 0
    return People(keypoints, confidence, count, 24.0, 640, 360, "", (), ())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of two shards, and the clips that went in."""
    folder = tmp_path_factory.mktemp("store")
    clips = {}
    for part, names in (("first", list(VIDEOS)[:2]), ("second", list(VIDEOS)[2:])):
        path = folder / f"{part}.tar"
        with path.open("wb") as stream:
            made = (
                publish_video(people(VIDEOS[name]["num_people"]), name, captions=VIDEOS[name].get("captions"))
                for name in names
            )
            write_shard(stream, zip(names, made, strict=True))
        entries = list(read_shard(path))
        clips |= {clip.video_id: clip for clip in entries}
        (folder / "parts" / part).mkdir(parents=True)
        assert write_part(entries, folder / "parts" / part, {"two________": "bfi"}) == (len(names), [])
    write_index(folder, ["first", "second"])
    return ClipStore(folder), clips


def halved(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def test_everybody_comes_back_but_for_half_precision(store):
    stored, clips = store
    assert stored.ids == list(VIDEOS)
    for clip in stored:
        before, after = clips[clip.video_id].people, clip.people()
        assert np.array_equal(after.keypoints, halved(before.keypoints))
        assert np.array_equal(after.confidence, halved(before.confidence))
        assert np.array_equal(after.num_people, before.num_people)
        assert (after.fps, after.width, after.height) == (24, 640, 360)
        assert after.repaired == before.repaired != ()
        assert clip.captions == clips[clip.video_id].captions
        assert (clip.complete, clip.problems) == (True, ())
        before_tracks, after_tracks = track_people(before), clip.tracks()
        assert len(after_tracks) == len(before_tracks) == VIDEOS[clip.video_id]["num_people"]
        for one, other in zip(before_tracks, after_tracks, strict=True):
            assert np.array_equal(one.frames, other.frames)
            assert np.array_equal(one.slots, other.slots)


def test_the_signer_is_the_one_whom_reading_the_file_gives(store):
    stored, clips = store
    for video_id, clip in clips.items():
        expected, poses = main_signer_poses(clip.people, "x"), stored[video_id].poses()
        assert np.array_equal(poses.keypoints, halved(expected.keypoints))
        assert np.array_equal(poses.confidence, halved(expected.confidence))
        assert (poses.fps, poses.width, poses.height) == (24, 640, 360)
    assert stored["one________"].poses().source == "first.tar: one________"
    assert [clip.language for clip in stored] == ["", "bfi", ""]
    assert stored["two________"].signer().runs() == [(0, 36)]


def test_points_are_views_of_the_file(store):
    keypoints = store[0][2].keypoints
    assert (keypoints.dtype, keypoints.shape) == (np.float16, (36, 128, 2))
    assert not keypoints.flags.writeable
    assert not keypoints.flags.owndata


def test_the_index_knows_what_is_asked_of_all_clips(store):
    stored, clips = store
    rows = stored.table.to_pylist()
    assert [(row["part"], row["num_frames"], row["num_usable"], row["most_people"]) for row in rows] == [
        ("first", 36, 36, 1), ("first", 36, 36, 2), ("second", 36, 36, 5)
    ]  # fmt: skip
    assert [row["captions"] for row in rows] == [[], ["en unknown"], ["de unknown", "en-de machine-translated"]]
    assert rows[1]["repairs"] == ["body-codes-1", "hands-1"]
    expected = bone_ratios(main_signer_poses(clips["five_______"].people, "x"))
    assert np.array_equal(rows[2]["bone_ratios"], expected)


def test_a_window_of_frames(store):
    whole, window = store[0][1].poses(), store[0][1].poses(10, 20)
    assert np.array_equal(window.keypoints, whole.keypoints[10:20])
    assert len(store[0][1].poses(30)) == 6
    with pytest.raises(ValueError, match="`start` and `stop` must leave a frame of 36, got 36 and None"):
        store[0][1].poses(36)


def test_every_half_becomes_the_same_single():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 2)
    assert np.array_equal(singles(halves).view(np.uint32), halves.astype(np.float32).view(np.uint32))


def clip_of(who: People, **fields) -> CorpusClip:
    return CorpusClip("shard.tar", "abcdefghijk", 0, who, (), fields.get("complete", True), fields.get("problems", ()))


def read_back(clip: CorpusClip, folder) -> tuple[ClipStore, list[Reject]]:
    (folder / "parts" / "shard").mkdir(parents=True)
    _, rejects = write_part([clip], folder / "parts" / "shard", {})
    write_index(folder, ["shard"])
    return ClipStore(folder), rejects


def test_what_the_clip_itself_says(tmp_path):
    who = replace(people(1), language="gsg", glosses=(GlossSpan("A", 2, 8), GlossSpan("B", 8, 30)))
    stored, _ = read_back(clip_of(who, complete=False, problems=("odd",)), tmp_path)
    assert stored[0].poses().glosses == who.glosses
    assert stored[0].poses(8, 30).glosses == (GlossSpan("B", 0, 22),)
    assert (stored[0].language, stored[0].complete, stored[0].problems) == ("gsg", False, ("odd",))


def test_nobody_is_a_reject(tmp_path):
    who = replace(people(1), confidence=np.zeros((36, 1, 128), np.float32), num_people=np.zeros(36, np.int32))
    stored, rejects = read_back(clip_of(who), tmp_path)
    assert len(stored) == 0
    assert [(reject.video_id, reject.reason) for reject in rejects] == [
        ("abcdefghijk", "shard.tar: abcdefghijk: must show a person, but nobody is in any of its 36 frames.")
    ]


def test_damaged_points_of_others_are_unseen_and_told(tmp_path):
    who = people(2)
    who.keypoints[1, 1, 5] = np.nan, 0
    who.keypoints[2, 1, 6] = 1e30, 0
    stored, _ = read_back(clip_of(who), tmp_path)
    after = stored[0].people()
    changed = np.argwhere(after.confidence != halved(who.confidence))
    assert changed.tolist() == [[1, 1, 5], [2, 1, 6]]
    assert stored[0].problems == (
        "shard.tar: abcdefghijk: 2 points of people beside the signer cannot be true and count as unseen",
    )


def test_what_is_too_unsure_for_half_precision_is_unseen(tmp_path):
    who = people(1)
    who.confidence[3, 0, 7] = 1e-9
    stored, _ = read_back(clip_of(who), tmp_path)
    poses = stored[0].poses()
    assert (poses.confidence[3, 7], *poses.keypoints[3, 7]) == (0, 0, 0)


def test_a_clip_that_comes_again_counts_once(store, tmp_path):
    clip = store[1]["one________"]
    parts = {part: tmp_path / "parts" / part for part in "abc"}
    for folder in parts.values():
        folder.mkdir(parents=True)
    write_part([clip], parts["a"], {})
    write_part([clip, store[1]["five_______"]], parts["b"], {})
    assert find_repeats([parts["a"], parts["b"]]) == {"b": ["one________"]}
    rewrite_part(parts["b"], parts["c"], ["one________"])
    assert find_repeats([parts["a"], parts["c"]]) == {}
    shutil.rmtree(parts["b"])
    parts["c"].rename(parts["b"])
    write_index(tmp_path, ["a", "b"])
    after = ClipStore(tmp_path)
    assert list(zip(after.ids, after.table.column("part").to_pylist(), strict=True)) == [
        ("one________", "a"), ("five_______", "b")
    ]  # fmt: skip
    assert np.array_equal(after[1].keypoints, store[0]["five_______"].keypoints)
    with pa.memory_map(str(parts["b"] / "clips.arrow")) as file:
        assert pa.ipc.open_stream(file).read_all().column("video_id").to_pylist() == ["five_______"]


def test_an_empty_store(tmp_path):
    (tmp_path / "parts" / "a").mkdir(parents=True)
    assert write_part([], tmp_path / "parts" / "a", {}) == (0, [])
    write_index(tmp_path, ["a"])
    assert len(ClipStore(tmp_path)) == 0


def test_it_travels_to_other_processes(store):
    copy = pickle.loads(pickle.dumps(store[0]))
    assert np.array_equal(copy[1].keypoints, store[0][1].keypoints)


def test_stores_that_are_none(store, tmp_path):
    with pytest.raises(PoseFileError, match=r"must be a store that `signloop corpus convert` finished"):
        ClipStore(tmp_path)
    (tmp_path / "index.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(PoseFileError, match=r"index\.parquet: must be a Parquet file, but it is damaged"):
        ClipStore(tmp_path)
    pa.parquet.write_table(pa.table({"video_id": ["a"]}), tmp_path / "index.parquet")
    with pytest.raises(PoseFileError, match="must hold the columns of this version's index"):
        ClipStore(tmp_path)
    with pytest.raises(ValueError, match="must hold the video, but has no 'two'"):
        store[0]["two"]
    with pytest.raises(IndexError):
        store[0][3]


@pytest.mark.parametrize("size", [0, 100, 3000, 25_000])
def test_a_file_that_ends_early(tmp_path, size):
    stored, _ = read_back(clip_of(people(1)), tmp_path)
    path = tmp_path / "parts" / "shard" / "clips.arrow"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(PoseFileError, match=r"clips\.arrow: must hold abcdefghijk, but is damaged or missing"):
        stored[0]


def damaged_copy(store: ClipStore, folder, before: bytes, after: bytes) -> ClipStore:
    """The store with something else in its second clip's bytes."""
    shutil.copytree(store.folder, folder / "copy")
    path = folder / "copy" / "parts" / "first" / "clips.arrow"
    data = path.read_bytes()
    at = data.rindex(before)
    path.write_bytes(data[:at] + after + data[at + len(before) :])
    return ClipStore(folder / "copy")


def test_text_that_is_damaged(store, tmp_path):
    stored = damaged_copy(store[0], tmp_path, b"hello", b"hel\xff\xff")
    with pytest.raises(PoseFileError, match=r"first.clips\.arrow: must hold two________, but is damaged"):
        stored[1]


def test_what_cannot_be_true_names_the_file(store, tmp_path):
    stored = damaged_copy(store[0], tmp_path, b"hellothere", b" " * 10)
    with pytest.raises(PoseFileError, match=r"first.clips\.arrow: two________: a caption must have a text, got none"):
        _ = stored[1].captions
    stored = damaged_copy(store[0], tmp_path / "more", *(struct.pack("<d", fps) for fps in (24, -24)))
    with pytest.raises(PoseFileError, match=r"first.clips\.arrow: two________: `fps` must be a positive number"):
        stored[1].poses()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("part", "../second", r"must name parts of this store, found '\.\./second'"),
        ("part", "/etc", "must name parts of this store, found '/etc'"),
        ("part", None, "must name parts of this store, found None"),
        ("video_id", None, "must say of every clip which it is and where"),
        ("offset", None, "must say of every clip which it is and where"),
        ("offset", -8, "must hold one________, but is damaged or missing"),
        ("offset", 8, "must hold one________, but is damaged or missing"),
        ("offset", 2**62, "must hold one________, but is damaged or missing"),
    ],
)
def test_an_index_that_lies(store, tmp_path, column, value, reason):
    rows = store[0].table.to_pylist()
    rows[0][column] = value
    lying = shutil.copytree(store[0].folder / "parts", tmp_path / "lying" / "parts").parent
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), lying / "index.parquet")
    with pytest.raises(PoseFileError, match=reason):
        ClipStore(lying)[0]


@pytest.mark.parametrize("column", ["confidence", "slots", "other_frames", "captions", "problems", "repairs"])
def test_rows_that_do_not_fit_together(store, tmp_path, column):
    row = store[0]["two________"]._row
    at = SCHEMA.get_field_index(column)
    short = pa.array([row.column(at).to_pylist()[0][:-1] or None], SCHEMA.field(at).type)
    clip = StoredClip(row.set_column(at, SCHEMA.field(at), short), tmp_path / "clips.arrow")
    if column in ("captions", "problems", "repairs") and short.null_count == 0:
        return
    with pytest.raises(PoseFileError, match=r"clips\.arrow: two________: "):
        (clip.people(), clip.captions, clip.problems)


def test_arrow_files_are_plain_streams(store):
    with pa.memory_map(str(store[0].folder / "parts" / "first" / "clips.arrow")) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table.schema == SCHEMA
    assert table.column("video_id").to_pylist() == list(VIDEOS)[:2]


def test_rows_say_who_is_who(store):
    row, indexed = encode_clip(store[1]["five_______"], "ase")
    assert (row.num_rows, indexed["language"]) == (1, "ase")
    assert len(row.column("other_frames")[0]) == 36 * 4 - 12
    json.dumps(indexed)


# Training


def test_spans_of_captions_and_of_signing(store):
    spans = caption_spans(store[0], languages={"en", "de"}, provenances={"unknown"})
    assert [(span.clip, span.start, span.stop, span.text) for span in spans] == [
        (1, 0, 12, "hello"), (1, 12, 24, "there"), (2, 6, 18, "hallo")
    ]  # fmt: skip
    assert caption_spans(store[0], languages={"en"}, provenances={"human"}) == []
    assert [len(span) for span in usable_spans(store[0])] == [36, 36, 36]
    assert usable_spans(store[0], min_frames=37) == []


def test_batches_are_padded_tensors(store):
    torch = pytest.importorskip("torch")
    spans = caption_spans(store[0], languages={"en", "de"}, provenances={"unknown"})
    spans.append(replace(spans[0], stop=8, text="short"))
    dataset = StoreDataset(*pickle.loads(pickle.dumps((store[0], spans))))
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=[[0, 3], [1, 2]], collate_fn=pad_batch)
    first, second = loader
    assert first["keypoints"].shape == (2, 12, 128, 2)
    assert first["attention_mask"].sum(1).tolist() == [12, 8]
    assert first["keypoints"].dtype == first["confidence"].dtype == torch.float32
    assert not first["keypoints"][1, 8:].any()
    assert not first["confidence"][1, 8:].any()
    assert np.array_equal(first["keypoints"][1, :8].numpy(), store[0][1].poses(0, 8).keypoints)
    assert (second["text"], second["video_id"]) == (["there", "hallo"], ["two________", "five_______"])
    assert second["language"] == ["bfi", ""]


def test_batches_hold_like_lengths_and_each_example_once():
    lengths = np.random.default_rng(0).integers(1, 500, 400).tolist()
    batches = bucketed_batches(lengths, max_frames=1000, seed=3)
    assert sorted(number for batch in batches for number in batch) == list(range(400))
    for batch in batches:
        inside = [lengths[number] for number in batch]
        assert max(inside) * len(inside) <= 1000
        assert max(inside) <= max(1.1 * min(inside), min(inside) + 1)
    assert batches == bucketed_batches(lengths, max_frames=1000, seed=3)
    assert batches != bucketed_batches(lengths, max_frames=1000, seed=4)
    assert bucketed_batches([], max_frames=10) == []


@pytest.mark.parametrize("lengths", [[5, 0], [11, 2]])
def test_examples_that_fit_no_batch(lengths):
    with pytest.raises(ValueError, match="`lengths` must be 1 to 10 frames, got"):
        bucketed_batches(lengths, max_frames=10)
