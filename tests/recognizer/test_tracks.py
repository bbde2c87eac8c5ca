import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from poses.sequence import PoseSequence
from recognizer.tracks import (
    NUM_FEATURES,
    SMPLX_POSES,
    TRACKS,
    TRACKS_VERSION,
    collate_tracks,
    depth_track,
    join_tracks,
    mediapipe_track,
    pool_labels,
    pool_map,
    read_smplerx,
    segmentation_track,
    smplerx_track,
    split_tracks,
    track_size,
    track_statistics,
)


def track(name, frames=3, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, track_size(name))).astype(np.float32)


def clip(*, width=64, height=64, frames=2, seed=0):
    rng = np.random.default_rng(seed)
    keypoints = rng.random((frames, 128, 2), np.float32)
    return PoseSequence(
        keypoints, rng.random((frames, 128), np.float32) * 0.9 + 0.1, fps=24, width=width, height=height
    )


def test_layout_is_the_published_one():
    assert TRACKS_VERSION == 1
    assert list(TRACKS) == sorted(TRACKS)
    assert [track_size(name) for name in TRACKS] == [384, 258, 576, 576, 165]
    assert sum(track_size(name) for name in TRACKS) == NUM_FEATURES == 1959
    stops = [where.stop for where in TRACKS.values()]
    assert [where.start for where in TRACKS.values()] == [0, *stops[:-1]]


@given(st.sets(st.sampled_from(list(TRACKS)), min_size=1), st.integers(1, 4), st.data())
def test_any_subset_joins_and_splits_exactly(names, frames, data):
    tracks = {name: track(name, frames, seed=number) for number, name in enumerate(sorted(names))}
    for name in tracks:
        lost = data.draw(arrays(bool, frames))
        tracks[name][lost & (np.arange(frames) > 0)] = np.nan
    features = join_tracks(tracks)
    assert features.shape == (frames, 1959)
    for name in set(TRACKS) - names:
        assert np.isnan(features[:, TRACKS[name]]).all()
    found = split_tracks(features)
    assert set(found) == names
    for name in names:
        np.testing.assert_array_equal(found[name], tracks[name])


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ({}, "`tracks` must hold at least one track"),
        ({"openpose": np.zeros((1, 2), np.float32)}, "`tracks` must be among dwpose, .*, got 'openpose'"),
        ({"smplerx": np.zeros((3, 164), np.float32)}, r"`smplerx` must be \[3, 165\], got \[3, 164\]"),
        ({"dwpose": track("dwpose", 3), "smplerx": track("smplerx", 2)}, r"`smplerx` must be \[3, 165\]"),
        ({"smplerx": np.eye(2, 165, dtype=np.float32) * np.nan}, "finite or all NaN"),
        ({"smplerx": np.full((2, 165), np.inf, np.float32)}, "finite or all NaN"),
        ({"smplerx": np.zeros((0, 165), np.float32)}, "at least one frame"),
    ],
)
def test_wrong_tracks_are_refused(tracks, message):
    if message == "finite or all NaN":
        tracks["smplerx"][0, :3] = [0, np.nan, 0]
    with pytest.raises(ValueError, match=message):
        join_tracks(tracks)


def test_mediapipe_order_and_missing_parts():
    pose = np.arange(3 * 33 * 4, dtype=np.float32).reshape(3, 33, 4)
    left = 1000 + np.arange(3 * 63, dtype=np.float32).reshape(3, 21, 3)
    right = -left
    pose[1], left[2] = np.nan, np.nan
    values = mediapipe_track(pose, left, right)
    np.testing.assert_array_equal(values[0], [*pose[0].ravel(), *left[0].ravel(), *right[0].ravel()])
    assert np.isnan(values[1]).all()
    np.testing.assert_array_equal(values[2], [*pose[2].ravel(), *np.zeros(63), *right[2].ravel()])
    with pytest.raises(ValueError, match=r"`left_hand` must be \[3, 21, 3\], got \[2, 21, 3\]"):
        mediapipe_track(pose, left[:2], right)


def test_pooling_tiles_the_map():
    values = np.arange(20.0).reshape(4, 5)
    np.testing.assert_array_equal(pool_map(values, (2, 2)), [[3, 5.5], [13, 15.5]])
    np.testing.assert_array_equal(pool_map(values, (4, 5)), values)
    labels = np.array([[0, 0, 2, 2], [0, 1, 1, 2]])
    np.testing.assert_array_equal(pool_labels(labels, 3, (1, 2)), [[0, 2]])
    with pytest.raises(ValueError, match="at least 5 x 5 pixels, got 4 x 5"):
        pool_map(values, (5, 5))
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 2\), got 0 to 2"):
        pool_labels(labels, 2, (1, 1))


@pytest.mark.parametrize("shape", [(24, 24), (32, 18)])
def test_maps_are_scaled_per_clip(shape):
    maps = np.zeros((2, *shape))
    maps[0, 0, 0], maps[1, 0, 1] = 3, 4
    depth = depth_track(maps)
    assert depth[0, 0] == 0.75
    assert depth[1, 1] == 1
    assert depth.sum() == 1.75
    parts = segmentation_track(maps.astype(int), 28)
    assert parts[1, 1] == np.float32(4 / 28)


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match=r"576 cells, got \[1, 24, 23\]"):
        depth_track(np.ones((1, 24, 23)))
    with pytest.raises(ValueError, match="vary within the clip, got 1 to 1"):
        depth_track(np.ones((1, 24, 24)))
    with pytest.raises(ValueError, match=r"`maps` must be in \[0, 4\), got 0 to 5"):
        segmentation_track(np.eye(24, dtype=int)[None] * 5, 4)


def smplx_result(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(joints, 3)).astype(np.float32) for name, joints in SMPLX_POSES.items()}


def test_smplerx_results_are_read_in_joint_order(tmp_path):
    (tmp_path / "smplx").mkdir()
    first, third = smplx_result(1), smplx_result(3)
    # What SMPLer-X also writes: eyes in double precision, shape, expression, place.
    np.savez(tmp_path / "smplx/00001_0.npz", **first | {"leye_pose": np.zeros((1, 3))}, betas=np.zeros((1, 10)))
    np.savez(tmp_path / "smplx/00003_0.npz", **third)
    np.savez(tmp_path / "smplx/00003_1.npz", **first)
    values = read_smplerx(tmp_path, num_frames=3)
    assert np.isnan(values[1]).all()
    np.testing.assert_array_equal(values[2], np.concatenate([third[name].ravel() for name in SMPLX_POSES]))
    np.testing.assert_array_equal(values[0, 3:66], first["body_pose"].ravel())
    np.testing.assert_array_equal(values[0, 69:72], 0)
    np.testing.assert_array_equal(values[2:], smplerx_track({name: part[None] for name, part in third.items()}))


def test_wrong_smplerx_results_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"SMPLer-X results such as 00001_0\.npz, got none"):
        read_smplerx(tmp_path, num_frames=2)
    np.savez(tmp_path / "00007_0.npz", **smplx_result())
    with pytest.raises(ValueError, match="must be of frames 1 to 2, found 00007"):
        read_smplerx(tmp_path, num_frames=2)
    for change, message in (
        ({"body_pose": np.zeros((22, 3))}, r"body_pose must be floats \[21, 3\], found float64 \[22, 3\]"),
        ({"jaw_pose": np.full((1, 3), np.nan)}, "jaw_pose must hold angles in radians, found nan"),
        ({"jaw_pose": np.array([[object()] * 3])}, "found pickled objects"),
    ):
        np.savez(tmp_path / "00007_0.npz", **smplx_result() | change)
        with pytest.raises(ValueError, match=message):
            read_smplerx(tmp_path, num_frames=9)
    (tmp_path / "00007_0.npz").rename(tmp_path / "x_0.npz")
    with pytest.raises(ValueError, match="must be named by frame and person"):
        read_smplerx(tmp_path, num_frames=9)
    with pytest.raises(ValueError, match="`poses` must hold global_orient, got nothing"):
        smplerx_track({})


def test_statistics_leave_out_what_is_missing():
    parts = {"smplerx": np.array([[1.0], [3.0]], np.float32).repeat(165, 1), "dwpose": track("dwpose", 2)}
    parts["dwpose"][0] = np.nan
    clips = [join_tracks(parts), join_tracks({"smplerx": np.full((2, 165), 2, np.float32)})]
    mean, std = track_statistics(clips)
    np.testing.assert_allclose(mean[TRACKS["smplerx"]], 2)
    np.testing.assert_allclose(std[TRACKS["smplerx"]], np.sqrt(0.5), rtol=1e-6)
    np.testing.assert_allclose(mean[TRACKS["dwpose"]], parts["dwpose"][1], rtol=1e-6)
    np.testing.assert_array_equal(std[TRACKS["dwpose"]], 1)
    np.testing.assert_array_equal(mean[TRACKS["mediapipe_pose"]], 0)


def test_batches_are_padded_with_nan():
    long, short = join_tracks({"smplerx": track("smplerx", 3)}), join_tracks({"dwpose": track("dwpose", 1)})
    features, mask = collate_tracks([long, short])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(features[0], long)
    np.testing.assert_array_equal(features[1, :1], short)
    assert np.isnan(features[1, 1:]).all()
