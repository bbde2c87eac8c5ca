from itertools import islice

import numpy as np
import pytest
import torch

from poses.sequence import PoseFileError
from recognizer.track_clips import (
    TrackClip,
    drop_tracks,
    gloss_labels,
    read_track_clips,
    track_batches,
)
from recognizer.tracks import NUM_FEATURES, TRACKS, split_tracks


def make_clip(name, frames=3, tracks=("dwpose", "smplerx")):
    features = np.full((frames, NUM_FEATURES), np.nan, np.float32)
    for track in tracks:
        features[:, TRACKS[track]] = np.arange(frames)[:, None]
    return TrackClip(name, features, ("A", "B"))


def test_saved_clips_are_read_again(save_clips):
    clips = [
        make_clip("one"),
        TrackClip("two", make_clip("two", tracks=("mediapipe_pose",)).features, ("C",), "validation"),
    ]
    read = read_track_clips(save_clips(clips, "data"))
    for found, clip in zip(read, clips, strict=True):
        assert (found.name, found.glosses, found.split) == (clip.name, clip.glosses, clip.split)
        np.testing.assert_array_equal(found.features, clip.features)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("clip,glosses\none,A\n", "expected the columns clip, glosses, split and clips, found"),
        ("clip,glosses,split\n", "expected the columns clip, glosses, split and clips, found"),
        (
            "clip,glosses,split\none,,train\n",
            "line 2 must name a clip in its folder, its glosses and train or validation",
        ),
        (
            "clip,glosses,split\n../one,A,train\n",
            "line 2 must name a clip in its folder, .* found '../one', 'A', 'train'",
        ),
        ("clip,glosses,split\none,A,test\n", "found 'one', 'A', 'test'"),
        ("clip,glosses,split\none,A\n", "found 'one', 'A', ''"),
    ],
)
def test_wrong_tables_are_refused(save_clips, table, message):
    folder = save_clips([make_clip("one")], "data")
    (folder / "glosses.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        read_track_clips(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pose": np.zeros((2, 384))}, "must hold tracks among dwpose, .*, found 'pose'"),
        ({"dwpose": np.zeros((2, 383))}, r"`dwpose` must be \[2, 384\], got \[2, 383\]"),
        ({"dwpose": np.zeros(384)}, r"dwpose must be floats \[frames, numbers\], found float64"),
        ({"dwpose": np.array([["a"]])}, r"dwpose must be floats \[frames, numbers\], found <U1"),
        ({"dwpose": np.full((1, 384), np.inf)}, "`dwpose` must be finite or all NaN in every frame"),
        ({"dwpose": np.full((2, 384), np.nan)}, "one.npz: must show a track in at least one frame, found none"),
    ],
)
def test_wrong_clips_are_refused(save_clips, arrays, message):
    folder = save_clips([make_clip("one")], "data")
    np.savez(folder / "one.npz", **arrays)
    with pytest.raises(PoseFileError, match=message):
        read_track_clips(folder)


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"glosses\.csv: cannot be read \(No such file or directory\)"):
        read_track_clips(tmp_path)


def test_batches_keep_glosses_and_missing_tracks_and_follow_the_seed():
    clips = [make_clip("one", 10), make_clip("two", 10, tracks=("smplerx",))]
    std = np.full(NUM_FEATURES, 0.1, np.float32)
    first, second = (list(islice(track_batches(clips, ("A", "B"), std, batch_size=2, seed=3), 2)) for _ in range(2))
    torch.testing.assert_close(first[1]["features"], second[1]["features"], rtol=0, atol=0, equal_nan=True)
    assert first[0]["labels"].tolist() == [[0, 1], [0, 1]]
    there = sorted(list(split_tracks(clip.numpy())) for clip in first[0]["features"])
    assert there == [["dwpose", "smplerx"], ["smplerx"]]
    lengths = {
        int(n)
        for batch in islice(track_batches(clips, ("A", "B"), std, batch_size=2, seed=0), 20)
        for n in batch["attention_mask"].sum(1)
    }
    assert min(lengths) == 8
    assert max(lengths) in (12, 13)


def test_dropped_tracks_leave_one_that_was_there():
    torch.manual_seed(0)
    features = torch.from_numpy(np.stack([make_clip("one").features] * 200))
    kept = drop_tracks(features, 0.9)
    there = ~kept[:, :, [where.start for where in TRACKS.values()]].isnan().all(dim=1)
    assert (there.sum(dim=1) >= 1).all()
    assert not there[:, 1:4].any()
    assert 0.4 < there[:, 0].float().mean() < 0.7
    torch.testing.assert_close(drop_tracks(features, 0.0), features, equal_nan=True, rtol=0, atol=0)


def test_labels_are_padded_and_unknown_glosses_refused():
    assert gloss_labels([("B",), ("A", "A")], ("A", "B")).tolist() == [[1, -100], [0, 0]]
    with pytest.raises(ValueError, match="`sequences` must hold glosses that the network knows, got 'C'"):
        gloss_labels([("C",)], ("A", "B"))
