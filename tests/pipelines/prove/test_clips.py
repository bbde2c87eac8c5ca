from pathlib import Path

import pytest

from pipelines.prove.clips import read_labelled, split_signers
from pipelines.prove.experiment import checked_data

SIGNED = "a.mp4,HOUSE,ann\nb.mp4,TREE,ann\nc.mp4,HOUSE,bob\nd.mp4,TREE,bob\n"


def table(folder: Path, text: str, *, videos: str = "abcd") -> Path:
    for name in videos:
        (folder / f"{name}.mp4").write_bytes(b"a video")
    path = folder / "clips.csv"
    path.write_text(text, encoding="utf-8")
    return path


def with_splits(*splits: str) -> str:
    rows = zip(SIGNED.splitlines(), splits, strict=True)
    return "video,gloss,signer,split\n" + "".join(f"{row},{split}\n" for row, split in rows)


def test_a_table_says_who_is_in_the_test(tmp_path):
    clips = read_labelled(table(tmp_path, with_splits("train", "train", "test", "test")), seed=0)
    assert [(clip.name.split("-")[0], clip.gloss, clip.signer, clip.split) for clip in clips] == [
        ("a", "HOUSE", "ann", "train"),
        ("b", "TREE", "ann", "train"),
        ("c", "HOUSE", "bob", "test"),
        ("d", "TREE", "bob", "test"),
    ]


def test_a_clip_is_named_after_what_its_video_holds(tmp_path):
    path = table(tmp_path, "video,gloss,signer\n" + SIGNED)
    before = read_labelled(path, seed=0)
    (tmp_path / "a.mp4").write_bytes(b"another video")
    after = read_labelled(path, seed=0)
    assert [old.name == new.name for old, new in zip(before, after, strict=True)] == [False, True, True, True]


def test_without_splits_signers_are_told_apart(tmp_path):
    clips = read_labelled(table(tmp_path, "video,gloss,signer\n" + SIGNED), seed=0)
    signers = {split: {clip.signer for clip in clips if clip.split == split} for split in ("train", "test")}
    assert sorted(map(len, signers.values())) == [1, 1]
    assert not signers["train"] & signers["test"]


def test_a_third_of_the_signers_is_the_test():
    split = split_signers([f"signer {number % 9}" for number in range(50)], seed=1, source=Path("clips.csv"))
    assert sorted(split.values()) == ["test"] * 3 + ["train"] * 6
    assert split != split_signers(list(split), seed=2, source=Path("clips.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_splits("train", "test", "test", "test"), "a signer must be in one split only, found 'ann' in train"),
        (with_splits("train", "train", "train", "train"), "clips to train on and to test on, found 4 and 0"),
        (with_splits("train", "train", "test", "dev"), "line 5 must have the split train or test, found 'dev'"),
        ("video,gloss\na.mp4,HOUSE\n", r"expected the columns video, gloss, signer .* found \['video', 'gloss'\]"),
        ("video,gloss,signer\na.mp4,,ann\n", "line 2 must name a video, a gloss and a signer"),
        ("video,gloss,signer\na.mp4,HOUSE,ann\n", r"two signers at least, so that one can be unseen, found \['ann'\]"),
        ("video,gloss,signer\n" + SIGNED.replace("d.mp4", "e.mp4"), "must name files beside it, found no e.mp4"),
        ("video,gloss,signer\n" + SIGNED.replace("d.mp4", "a.mp4"), "a name of its own, found 'a-.*' twice"),
        (
            "video,gloss,signer,split\na.mp4,HOUSE,ann,train\nb.mp4,SKY,ann,train\nc.mp4,TREE,bob,test\n",
            "a gloss of the test must be trained on too, found 'TREE'",
        ),
        (
            "video,gloss,signer,split\na.mp4,HOUSE,ann,train\nc.mp4,HOUSE,bob,test\n",
            "must hold two glosses at least, found 'HOUSE' alone",
        ),
    ],
)
def test_a_table_that_makes_no_test_of_unseen_signers_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_labelled(table(tmp_path, text), seed=0)


def test_data_that_are_not_there_are_described(tmp_path):
    with pytest.raises(ValueError, match=r"`data` must be a .csv table .* keypoints.npz, .* got nothing"):
        checked_data(None, None)
    with pytest.raises(ValueError, match=r"`data` must be a .csv table .* got '.*absent'"):
        checked_data(tmp_path / "absent", None)


def test_who_is_in_the_videos_must_be_said_and_nobody_is_in_poses(tmp_path):
    videos = table(tmp_path, "video,gloss,signer\n" + SIGNED)
    with pytest.raises(ValueError, match=r"clips.csv: `consent` must say who is in it, one of self, .* got none"):
        checked_data(videos, None)
    assert checked_data(videos, "written") == videos
    (tmp_path / "keypoints.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="`consent` must be left out for pose clips, which show nobody, got 'self'"):
        checked_data(tmp_path, "self")
