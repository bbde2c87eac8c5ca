from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.prove.plan import Filming
from pipelines.prove.stand_in import film_takes, read_takes

FILMING = Filming(train_clips=2, test_clips=1, train_signers=2, test_signers=1)


def keypoints_file(folder: Path, **changes: np.ndarray) -> Path:
    """Three clips of each of three glosses in each of two sessions, of four frames; the left hand is never found."""
    rng = np.random.default_rng(0)
    arrays = {
        "pose": rng.uniform(0.2, 0.8, (18, 4, 33, 3)),
        "lh": np.zeros((18, 4, 21, 2)),
        "rh": rng.uniform(0.2, 0.8, (18, 4, 21, 2)),
        "face68": rng.uniform(0.2, 0.8, (18, 4, 68, 2)),
        "label": np.repeat(["HOUSE", "SKY", "TREE"], 6),
        "group": np.tile(["session0", "session1"], 9),
    }
    path = folder / "keypoints.npz"
    np.savez(path, **{**arrays, **changes})
    return path


def test_takes_are_equally_many_and_no_signer_is_in_both_splits(tmp_path):
    takes = read_takes(keypoints_file(tmp_path), FILMING, seed=0).values()
    assert Counter((take.split, take.gloss) for take in takes) == {
        (split, gloss): number for split, number in (("train", 2), ("test", 1)) for gloss in ("HOUSE", "SKY", "TREE")
    }
    assert {take.signer for take in takes if take.split == "train"} == {"train-00", "train-01"}
    assert {take.signer for take in takes if take.split == "test"} == {"test-00"}


def test_a_take_has_the_points_of_its_clip_in_time(tmp_path):
    path = keypoints_file(tmp_path)
    with np.load(path) as held:
        noses = held["pose"][:, ::2, 0, :2].astype(np.float32)
    for take in read_takes(path, FILMING, seed=0).values():
        assert (len(take.poses), take.poses.fps) == (2, 8.0)
        assert any(np.allclose(take.poses.keypoints[:, 0], nose) for nose in noses)
        assert not take.poses.part("left_hand")[1].any()
        assert take.poses.part("right_hand")[1].all()


@pytest.mark.long
def test_a_take_that_cannot_be_filmed_is_named_and_in_no_table(tmp_path):
    takes = read_takes(keypoints_file(tmp_path), FILMING, seed=0)
    lost = {
        name: replace(take, poses=replace(take.poses, confidence=take.poses.confidence * 0))
        for name, take in takes.items()
    }
    table, failed = film_takes(lost, tmp_path / "films", filming=FILMING, size=64, seed=0, workers=1, show=False)
    assert failed.keys() == takes.keys()
    assert all("shoulders" in reason for reason in failed.values())
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1


def test_fewer_glosses_are_the_same_clips(tmp_path):
    path = keypoints_file(tmp_path)
    every = read_takes(path, FILMING, seed=0)
    some = read_takes(path, replace(FILMING, glosses=2), seed=0)
    assert some.keys() == {name for name, take in every.items() if take.gloss != "TREE"}


@pytest.mark.parametrize(
    ("changes", "filming", "message"),
    [
        ({}, {"train_session": "spring"}, r"must hold spring and another session, found \['session0', 'session1'\]"),
        ({}, {"test_clips": 4}, "must hold 4 clips of 'HOUSE' to test, found 3"),
        ({"lh": np.zeros((18, 4, 20, 2))}, {}, r"lh.npy must be \[clips, frames, 21, 2\], found \(18, 4, 20, 2\)"),
        ({"label": np.array(["HOUSE"])}, {}, "label.npy must name something for each of 18 clips"),
        ({"pose": np.array([None])}, {}, "must be an .npz of keypoints, and cannot be read"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, changes, filming, message):
    with pytest.raises(ValueError, match=message):
        read_takes(keypoints_file(tmp_path, **changes), replace(FILMING, **filming), seed=0)
