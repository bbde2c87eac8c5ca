"""Splits: the index as published, channels kept together, and warnings where one body is in two splits."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poses.corpus.splits import (
    IndexedVideo,
    Leak,
    bone_ratios,
    channel_split,
    leakage_warnings,
    read_channels,
    read_index,
    write_split,
)
from poses.keypoints import index
from poses.sequence import PoseFileError, PoseSequence

INDEX = b"Bdj5MUf_3Hc,???\r\nsIo8170zyMw,ase\r\n-2EhE7rk5ig,slovenia\r\n"


def test_both_forms_of_the_index(tmp_path):
    path = tmp_path / "index.csv"
    path.write_bytes(INDEX)
    assert read_index(path) == {
        "Bdj5MUf_3Hc": IndexedVideo("???", ""),
        "sIo8170zyMw": IndexedVideo("ase", ""),
        "-2EhE7rk5ig": IndexedVideo("slovenia", ""),
    }
    path.write_bytes(b"video_id,sign_language,split\r\nBdj5MUf_3Hc,???,val\r\nsIo8170zyMw,ase,train\r\n")
    assert read_index(path) == {
        "Bdj5MUf_3Hc": IndexedVideo("???", "val"),
        "sIo8170zyMw": IndexedVideo("ase", "train"),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"index\.csv: must list at least one video"),
        (b"video_id,sign_language,split\n", "must list at least one video"),
        (INDEX + b"short,ase\n", "line 4 must be video_id,sign_language,split, found 'short,ase'"),
        (INDEX + b"abcdefghijk, \n", "line 4 must be video_id"),
        (INDEX + b"abcdefghijk\n", "line 4 must be video_id"),
        (INDEX + b"abcdefghijk,ase,train,x\n", "line 4 must be video_id"),
        (INDEX + b"abcdefghijk,ase,dev\n", "line 4 must give a split of train, val or test, found 'dev'"),
        (INDEX + b"abcdefghijk,ase,\n", "line 4 must give a split of train, val or test, found ''"),
        (INDEX + INDEX, "line 4 must list each video once, found Bdj5MUf_3Hc again"),
        (b"\xff\xfe,a\n", "must be a CSV file in UTF-8"),
        (b"a" * 200_000 + b",b\n", "must be a CSV file in UTF-8"),
    ],
)
def test_wrong_indices_are_refused(tmp_path, content, message):
    path = tmp_path / "index.csv"
    path.write_bytes(content)
    with pytest.raises(PoseFileError, match=message):
        read_index(path)
    with pytest.raises(PoseFileError, match=r"missing\.csv: cannot be read"):
        read_index(tmp_path / "missing.csv")


@given(
    st.dictionaries(st.integers(0, 300).map(str), st.tuples(st.sampled_from("abc"), st.integers(0, 25)), max_size=80)
)
def test_no_channel_is_in_two_splits(videos):
    languages = {video_id: language for video_id, (language, _) in videos.items()}
    channels = {video_id: f"channel {channel}" for video_id, (_, channel) in videos.items()}
    splits = channel_split(languages, channels)
    assert splits.keys() == videos.keys()
    assert len({(channels[video_id], split) for video_id, split in splits.items()}) == len(set(channels.values()))
    assert splits == channel_split(dict(reversed(languages.items())), channels)


def test_the_fractions_are_met():
    languages = {str(at): "ase" if at < 800 else "eso" for at in range(1000)}
    channels = {str(at): str(at // 4) for at in range(1000)}
    splits = channel_split(languages, channels, seed=3)
    counts = Counter((languages[video_id], split) for video_id, split in splits.items())
    for split in ("val", "test"):
        assert counts["ase", split] == 40
        assert counts["eso", split] in (8, 12)  # of 10, in channels of 4
    assert splits != channel_split(languages, channels, seed=4)


def test_a_large_channel_goes_to_train():
    languages = dict.fromkeys(map(str, range(100)), "ase")
    channels = {str(at): "large" if at < 80 else str(at) for at in range(100)}
    splits = channel_split(languages, channels)
    assert splits["0"] == "train"
    assert Counter(splits.values()) == {"train": 90, "val": 5, "test": 5}


def test_every_channel_must_be_known():
    with pytest.raises(ValueError, match="`channels` must name the channel of each video, but not of 'b'"):
        channel_split({"a": "ase", "b": "ase"}, {"a": "x", "b": ""})


def someone(arm: float, *, frames: int = 40, seed: int = 0, face: bool = True) -> PoseSequence:
    """Somebody of given arms, of a random size and place, whose arms point to the camera now and then."""
    random = np.random.default_rng(seed)
    keypoints = np.zeros((frames, 128, 2))
    places = {"neck": (0, 0), "nose": (0, -0.6), "right_shoulder": (-0.5, 0), "left_shoulder": (0.5, 0)}
    places |= {"right_eye": (-0.1, -0.7), "left_eye": (0.1, -0.7), "right_ear": (-0.2, -0.7), "left_ear": (0.2, -0.7)}
    places |= {"face_jaw_0": (-0.2, -0.6), "face_jaw_16": (0.2, -0.6), "face_jaw_8": (0, -0.3)}
    places |= {"face_nose_bridge_0": (0, -0.7)}
    for name, place in places.items():
        keypoints[:, index(name)] = place
    shown = random.permutation(np.linspace(0.3, 1.1, frames)).clip(max=1)[:, None]
    for side, sign in (("right", -0.5), ("left", 0.5)):
        keypoints[:, index(f"{side}_elbow")] = np.array([sign, 0]) + [0, arm] * shown
        keypoints[:, index(f"{side}_wrist")] = np.array([sign, 0]) + [0, 1.9 * arm] * shown
    keypoints = random.uniform(50, 90) * keypoints + random.uniform(150, 300, 2)
    confidence = np.zeros((frames, 128), np.float32)
    confidence[:, index(*places, "right_elbow", "left_elbow", "right_wrist", "left_wrist")] = 1
    confidence[:, 60:] *= face
    keypoints = np.where(confidence[..., None] > 0, keypoints / [640, 360], 0).astype(np.float32)
    return PoseSequence(keypoints, confidence, 24.0, 640, 360)


def test_bone_ratios_are_of_the_body_not_of_the_picture():
    expected = np.log([0.8, 0.72, 0.6, 0.2, 0.4, 0.4, 0.4])
    for seed in range(3):
        assert np.allclose(bone_ratios(someone(0.8, seed=seed)), expected, atol=1e-4)
    assert np.isnan(bone_ratios(someone(0.8, face=False))).tolist() == [False] * 5 + [True] * 2
    assert np.isnan(bone_ratios(someone(0.8, frames=23))).all()


def test_one_body_in_two_splits_is_told():
    arms = {"train a": 0.7, "train b": 0.85, "test a": 0.7, "val c": 1.0, "test b": 0.85, "test unseen": 0.7}
    bodies = {video_id: bone_ratios(someone(arm, seed=at)) for at, (video_id, arm) in enumerate(arms.items())}
    bodies["test unseen"] = np.full(7, np.nan)
    splits = {video_id: video_id.split()[0] for video_id in arms}
    leaks = list(leakage_warnings(bodies, splits))
    assert [(leak.video_id, leak.train_id) for leak in leaks] == [("test a", "train a"), ("test b", "train b")]
    assert all(isinstance(leak, Leak) and leak.difference < 1e-3 for leak in leaks)
    assert list(leakage_warnings(bodies, dict.fromkeys(arms, "test"))) == []


def test_a_written_split_is_read_back(tmp_path):
    path = tmp_path / "split.csv"
    languages = {"Bdj5MUf_3Hc": "???", "sIo8170zyMw": "ase"}
    write_split(path, languages, {"Bdj5MUf_3Hc": "val", "sIo8170zyMw": "train"})
    assert path.read_bytes() == b"video_id,sign_language,split\r\nBdj5MUf_3Hc,???,val\r\nsIo8170zyMw,ase,train\r\n"
    assert list(read_index(path)) == list(languages)
    with pytest.raises(ValueError, match=r"split\.csv: already there"):
        write_split(path, languages, {})


def test_channels_are_read(tmp_path):
    path = tmp_path / "channels.csv"
    path.write_text('video_id,channel\nBdj5MUf_3Hc,"News, signed"\nsIo8170zyMw,Zoo\n')
    assert read_channels(path) == {"Bdj5MUf_3Hc": "News, signed", "sIo8170zyMw": "Zoo"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Bdj5MUf_3Hc,\n", "line 1 must be video_id,channel, found 'Bdj5MUf_3Hc,'"),
        ("Bdj5MUf_3Hc,a\n\nshort,b\n", "line 3 must be video_id,channel"),
        ("Bdj5MUf_3Hc,a,b\n", "line 1 must be video_id,channel"),
        ("Bdj5MUf_3Hc,a\nBdj5MUf_3Hc,b\n", "line 2 must list each video once, found Bdj5MUf_3Hc again"),
        ('"', "must be a CSV file in UTF-8"),
    ],
)
def test_wrong_channels_are_refused(tmp_path, content, message):
    path = tmp_path / "channels.csv"
    path.write_text(content)
    with pytest.raises(PoseFileError, match=message):
        read_channels(path)
