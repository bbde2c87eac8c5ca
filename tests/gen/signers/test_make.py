import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gen.signers.appearance import BUILT_IN_SIGNERS
from gen.signers.body import keypoints_of
from gen.signers.handshapes import Handshapes, make_shapes, save_handshapes
from gen.signers.make import MakeConfig, make_clip, make_signers, prepare
from poses.files import new_directory
from poses.fingerspelling import HELD_OUT_LANGUAGES


@pytest.fixture(scope="module")
def shapes() -> Handshapes:
    made = make_shapes()
    return Handshapes(tuple(made), np.arange(len(made) + 1), np.stack(list(made.values())), 25.0)


@pytest.fixture(scope="module")
def actor():
    return prepare(BUILT_IN_SIGNERS["alex"])


def film(actor, shapes, seed: int):
    return make_clip(actor, shapes, list(range(len(shapes))), np.random.default_rng(seed), num_frames=2, size=48)


@pytest.mark.long
def test_a_clip_is_decided_by_the_seed(actor, shapes):
    first, again = (film(actor, shapes, 1) for _ in range(2))
    assert_array_equal(first.frames, again.frames)
    assert_array_equal(first.keypoints, again.keypoints)


def test_a_clip_holds_a_reference_and_exact_keypoints(actor, shapes):
    clip = film(actor, shapes, 3)
    assert clip.frames.shape == (3, 48, 48, 3)
    assert clip.frames.std() > 5
    motion = clip.motion
    points = keypoints_of(actor.body, motion.linear, motion.positions, motion.expression)
    assert_allclose(clip.keypoints, motion.camera.project(points)[..., :2], atol=1e-6)
    inside = ((clip.keypoints >= 0) & (clip.keypoints < 1)).all(axis=-1)
    assert_array_equal(clip.confidence, inside)
    assert not clip.moved[0].any()
    poses = clip.poses("test")
    assert len(poses) == 3
    assert poses.fps == 25 / clip.stride
    assert_array_equal(poses.keypoints[~inside], 0)


@pytest.mark.long
def test_a_long_clip_is_cut_from_a_long_motion(actor, shapes):
    rng = np.random.default_rng(0)
    assert len(make_clip(actor, shapes, list(range(len(shapes))), rng, num_frames=50, size=32).frames) == 51


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("workers", 0, "`workers` must be at least 1, got 0"),
        ("size", 8, "`size` must be at least 32, got 8"),
    ],
)
def test_config_refuses(tmp_path, field, value, message):
    with pytest.raises(ValueError, match=message):
        MakeConfig(tmp_path, **{field: value})


def nothing(output, **settings) -> MakeConfig:
    return MakeConfig(output, **{"train": 0, "validation": 0, "test": 0, "size": 48, "num_frames": 2, **settings})


def test_refuses_what_is_no_data_set(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be an empty folder or a data set, but it holds something else"):
        make_signers(nothing(tmp_path))


def test_forgets_what_a_killed_run_left_and_nothing_else(tmp_path):
    make_signers(nothing(tmp_path))
    train = tmp_path / "train"
    with new_directory(train / "000000") as aside:
        pass
    aside.mkdir()
    (aside / "frames.npy").touch()
    (train / ".DS_Store").touch()
    make_signers(nothing(tmp_path))
    assert {path.name for path in train.iterdir()} == {"000000", ".DS_Store"}


def test_a_shorter_run_forgets_no_clip_of_a_longer_one(tmp_path):
    make_signers(nothing(tmp_path))
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["splits"]["train"]["train/000000"] = 2_000_000
    path.write_text(json.dumps(manifest))
    make_signers(nothing(tmp_path))
    assert json.loads(path.read_text()) == manifest


def test_refuses_to_continue_with_other_settings(tmp_path):
    make_signers(nothing(tmp_path))
    with pytest.raises(ValueError, match=r"must hold the settings .*'size': 64.* to be continued, holds .*'size': 48"):
        make_signers(nothing(tmp_path, size=64))


def brightness(frames, poses, rng) -> dict[str, np.ndarray]:
    if not poses.source.startswith("validation/"):
        raise ValueError(f"{poses.source} is too bright")
    return {"brightness": frames.mean(axis=(1, 2, 3))}


def brightness_of_all(frames, poses, rng) -> dict[str, np.ndarray]:
    return {"brightness": frames.mean(axis=(1, 2, 3))}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_makes_what_is_missing_and_no_more(tmp_path, shapes):
    config = nothing(tmp_path)
    make_signers(config)
    save_handshapes(shapes, tmp_path / "handshapes.npz")
    config = replace(config, validation=1, train=1, workers=1)
    with pytest.raises(ValueError, match="train/000000 is too bright"):
        make_signers(config, brightness)
    clip = tmp_path / "validation" / "000000"
    assert [path.name for path in tmp_path.glob("*/*")] == ["000000"]
    assert np.load(clip / "frames.npy", mmap_mode="r").shape == (3, 48, 48, 3)
    assert np.load(clip / "brightness.npy").shape == (3,)
    assert set(json.loads((clip / "clip.json").read_text())["moved"]) == {"left_hand", "right_hand"}
    made = (clip / "frames.npy").stat().st_mtime_ns
    make_signers(replace(config, train=2), brightness_of_all)
    assert (clip / "frames.npy").stat().st_mtime_ns == made
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest["splits"]["train"]) == ["train/000000", "train/000001"]
    assert not set(manifest["splits"]["train"].values()) & set(manifest["splits"]["validation"].values())
    assert not set(manifest["languages"]) & set(HELD_OUT_LANGUAGES)
