from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import gen.data
from gen.conditioning import MAP_CHANNELS, REFERENCE_MAP_CHANNELS
from gen.conditions import to_keypoints
from gen.data import LEAST_DOUBTFUL, PrepareConfig, WindowDataset, condition_clip, disturb, open_clip, prepare_clips
from gen.reference import IS_HAND
from gen.signers.hand_errors import ESTIMATOR, correct_hands
from poses.keypoints import PARTS


@pytest.fixture
def windows(clips):
    return WindowDataset(clips / "train", num_windows=20, num_frames=2, crop_size=16, seed=3)


def same(first, second) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_window_is_decided_by_the_seed_and_its_number_alone(windows, clips):
    longer = WindowDataset(clips / "train", num_windows=500, num_frames=2, crop_size=16, seed=3)
    assert (len(windows), len(longer)) == (20, 500)
    assert all(same(windows[index], longer[index]) for index in reversed(range(20)))
    other = WindowDataset(clips / "train", num_windows=20, num_frames=2, crop_size=16, seed=4)
    assert not all(same(windows[index], other[index]) for index in range(20))
    assert not all(same(windows[0], windows[index]) for index in range(1, 20))


def test_frames_maps_and_picture_are_cut_at_the_same_place(windows):
    for index in range(20):
        window = windows[index]
        assert {name: tuple(value.shape) for name, value in window.items()} == {
            "frames": (2, 16, 16, 3),
            "maps": (2, 16, 16, MAP_CHANNELS),
            "keypoints": (2, 128, 3),
            "reference": (16, 16, REFERENCE_MAP_CHANNELS),
            "keep": (16, 16),
        }
        # Every array of the clips says in its first two channels at which row and column a pixel lies.
        place = window["reference"][..., :2]
        assert torch.equal(place[1:, :, 0] - place[:-1, :, 0], torch.ones(15, 16, dtype=torch.uint8))
        assert torch.equal(window["frames"][..., :2], place.expand(2, -1, -1, -1))
        assert torch.equal(window["maps"][..., :2], place.expand(2, -1, -1, -1))
        high, wide = (window["keep"].any(dim=dim).sum() for dim in (1, 0))
        assert window["keep"].sum() == high * wide
        assert max(high, wide) <= 8
        # All keypoints are at column 38 and row 8 of the frame.
        assert window["keypoints"][0, 0].tolist() == [38 - int(place[0, 0, 1]), 8 - int(place[0, 0, 0]), 1]


def test_frames_follow_each_other_and_the_signers_picture_is_none_of_them(windows):
    """The third channel of the clips says which frame it is: 0 is the picture, which has no maps."""
    first = [int(windows[index]["frames"][0, 0, 0, 2]) for index in range(20)]
    assert set(first) == {1, 2, 3}
    for index in range(20):
        assert windows[index]["frames"][:, 0, 0, 2].tolist() == [first[index], first[index] + 1]
        assert torch.equal(windows[index]["maps"][..., 2], windows[index]["frames"][..., 2])


def test_crops_hold_hands_as_often_as_asked(clips):
    def share(hand_share: float) -> float:
        windows = WindowDataset(
            clips / "train", num_windows=100, num_frames=1, crop_size=16, seed=0, hand_share=hand_share
        )
        return np.mean([IS_HAND[windows[index]["maps"][0, ..., 8]].any() for index in range(100)])

    assert share(1.0) == 1
    assert share(0.0) < 0.6  # the hand is near a corner of the frame


def test_a_clip_without_hands_is_cropped_anywhere(clips):
    windows = WindowDataset(clips / "handless", num_windows=20, num_frames=1, crop_size=16, seed=0, hand_share=1.0)
    places = {tuple(windows[index]["reference"][0, 0, :2].tolist()) for index in range(20)}
    assert len(places) > 15


def test_wrong_data_is_named(clips, tmp_path):
    options = {"num_windows": 1, "num_frames": 1, "seed": 0}
    with pytest.raises(ValueError, match=r"`data` must hold clips with maps, found none in .*nothing"):
        WindowDataset(tmp_path / "nothing", crop_size=16, **options)
    with pytest.raises(ValueError, match="`crop_size` must be at most the frames' 48 x 48, got 64"):
        WindowDataset(clips / "train", crop_size=64, **options)[0]
    with pytest.raises(ValueError, match="`num_frames` must be at most the clips' 4, got 5"):
        WindowDataset(clips / "train", crop_size=16, **options | {"num_frames": 5})[0]


def test_keypoints_are_disturbed_a_little_and_only_where_they_are_seen(driving):
    unseen = replace(driving, confidence=driving.confidence.copy(), keypoints=driving.keypoints.copy())
    unseen.confidence[:, PARTS["left_hand"]] = 0
    unseen.keypoints[:, PARTS["left_hand"]] = 0
    noisy = disturb(unseen, np.random.default_rng(1))
    np.testing.assert_array_equal(noisy.keypoints, disturb(unseen, np.random.default_rng(1)).keypoints)
    np.testing.assert_array_equal(noisy.keypoints[unseen.confidence == 0], 0)
    assert (noisy.keypoints != unseen.keypoints)[unseen.confidence > 0].any(axis=-1).all()
    np.testing.assert_array_equal(
        disturb(unseen, np.random.default_rng(1), jitter_px=0.0).keypoints[unseen.confidence > 0],
        unseen.keypoints[unseen.confidence > 0],
    )


def test_disturbance_has_the_size_it_says(driving):
    """Gaussian of `jitter_px` / 256 in each coordinate, half that of the face, with its own strength in each clip."""
    all_errors = np.stack(
        [
            disturb(driving, np.random.default_rng(seed), jitter_px=2.0).keypoints - driving.keypoints
            for seed in range(200)
        ]
    )
    errors, of_face = (all_errors[:, :, PARTS[name]] for name in ("right_hand", "face"))
    assert np.mean(np.abs(errors)) * 256 == pytest.approx(2.0 * np.sqrt(2 / np.pi), rel=0.1)
    assert np.mean(np.abs(of_face)) * 256 == pytest.approx(1.0 * np.sqrt(2 / np.pi), rel=0.1)
    assert errors.mean(axis=2).std() / errors.std() == pytest.approx(0.6, abs=0.1)  # much of it is the whole hand's
    per_clip = np.std(errors, axis=(1, 2, 3))
    assert per_clip.max() > 3 * per_clip.min()


def test_a_clips_maps_leave_its_picture_out(driving, picture):
    frames = np.repeat(picture.image[None], 3, axis=0)
    made = condition_clip(frames, driving[:3], np.random.default_rng(0))
    assert made["maps"].shape == (2, *picture.image.shape[:2], MAP_CHANNELS)
    assert made["reference"].shape == (*picture.image.shape[:2], REFERENCE_MAP_CHANNELS)
    np.testing.assert_array_equal(made["reference"][..., :3], picture.image)
    assert made["driving"].shape == (2, 128, 3)
    np.testing.assert_allclose(made["driving"][..., :2], driving.pixels()[1:3], atol=2)
    again = condition_clip(frames, driving[:3], np.random.default_rng(0))
    assert all(np.array_equal(made[name], again[name]) for name in made)


def test_hands_are_corrected_as_before_rendering(driving, picture, monkeypatch):
    """In the picture by themselves: it is of another moment."""
    monkeypatch.setattr(gen.data, "disturb", lambda poses, rng: poses)
    found = replace(driving[:4], estimator=ESTIMATOR)
    frames = np.repeat(picture.image[None], 4, axis=0)
    made = condition_clip(frames, found, np.random.default_rng(0))
    np.testing.assert_array_equal(made["driving"], to_keypoints(correct_hands(found[1:])))
    assert (made["driving"] != to_keypoints(found[1:])).any()


def test_some_hands_are_doubtful(driving):
    """And those are off more, as confidence says."""
    doubtful = [disturb(driving, np.random.default_rng(seed), jitter_px=1.0) for seed in range(100)]
    confidence = np.concatenate([poses.confidence for poses in doubtful])
    error = np.concatenate([np.abs(poses.keypoints - driving.keypoints) for poses in doubtful])
    hand, face = (confidence[:, PARTS[name]].mean(axis=1) for name in ("right_hand", "face"))
    assert np.mean(hand < 1) == pytest.approx(0.1, abs=0.03)
    assert LEAST_DOUBTFUL <= hand.min() < hand[hand < 1].mean() - 0.1
    assert face.min() == 1
    assert error[hand < 0.6][:, PARTS["right_hand"]].mean() > 1.4 * error[hand == 1][:, PARTS["right_hand"]].mean()


def test_clips_are_prepared_where_something_is_missing(driving, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(gen.data, "worker_pool", ThreadPoolExecutor)  # processes take seconds to start
    for name in ("whole", "lacking"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        frames = np.repeat(picture.image[None], 3, axis=0)
        arrays = {"frames": frames, "keypoints": driving.keypoints[:3], "confidence": driving.confidence[:3]}
        arrays |= {} if name == "lacking" else {"maps": np.zeros(1), "driving": np.zeros(1)}
        for array in arrays:
            np.save(folder / f"{array}.npy", arrays[array])
        (folder / "clip.json").write_text('{"fps": 25.0, "estimator": "mediapipe"}')
    estimators = []
    monkeypatch.setattr(gen.data, "correct_hands", lambda poses: estimators.append(poses.estimator) or poses)
    assert prepare_clips(PrepareConfig(tmp_path, workers=1)) == 1
    clip = open_clip(tmp_path / "train" / "lacking")
    assert [len(array) for array in (clip.frames, clip.maps, clip.driving)] == [2, 2, 2]
    assert set(estimators) == {"mediapipe"}
    assert prepare_clips(PrepareConfig(tmp_path, workers=1)) == 0
    assert len(np.load(tmp_path / "train" / "whole" / "maps.npy")) == 1


def test_a_folder_without_clips_is_not_prepared(tmp_path):
    with pytest.raises(
        ValueError, match=r"`data` must hold clips that `signloop signers` made, found none in .*nowhere"
    ):
        prepare_clips(PrepareConfig(tmp_path / "nowhere", workers=1))
