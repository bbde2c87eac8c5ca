from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poses.clean import CUTOFFS, FILLED, Cutoff, fill_gaps, one_euro, resample, smooth
from poses.keypoints import PARTS, index
from poses.sequence import GlossSpan, PoseSequence


def moving(x, *, fps=25.0, seen=None) -> PoseSequence:
    """All points at (x, 0.5), in frames of 100 x 100 pixels; the shoulders stand 50 pixels apart."""
    keypoints = np.full((len(x), 128, 2), 0.5, np.float32)
    keypoints[..., 0] = np.asarray(x)[:, None]
    keypoints[:, index("right_shoulder"), 0] -= 0.25
    keypoints[:, index("left_shoulder"), 0] += 0.25
    confidence = np.ones((len(x), 128), np.float32)
    if seen is not None:
        confidence[~np.asarray(seen, bool), PARTS["right_hand"]] = 0
        keypoints[confidence == 0] = 0
    return PoseSequence(keypoints, confidence, fps, 100, 100)


def test_the_filter_takes_the_published_share_of_a_step():
    # A step of 1 at 10 frames a second. Speed: 10 x share(1 Hz); cutoff: 2 Hz + 3 Hz for each unit of speed.
    points = np.array([0, 1.0])[:, None, None] * [1.0, 0.0]
    speed = 10 / (1 + 10 / (2 * np.pi * 1))
    expected = 1 / (1 + 10 / (2 * np.pi * (2 + 3 * speed)))
    smoothed = one_euro(points, np.ones((2, 1), bool), 10, Cutoff(2, 3))
    np.testing.assert_allclose(smoothed[:, 0], [[0, 0], [expected, 0]], rtol=1e-12)


def test_what_rests_stays_and_what_is_unseen_too():
    poses = moving([0.5] * 6, seen=[1, 1, 0, 1, 1, 1])
    np.testing.assert_allclose(smooth(poses).keypoints, poses.keypoints, atol=1e-7)


def test_even_movement_is_not_late():
    poses = moving(np.linspace(0.2, 0.8, 81))
    middle = smooth(poses).keypoints[35:46]
    np.testing.assert_allclose(middle, poses.keypoints[35:46], atol=2e-4)


def test_the_same_clip_backwards_is_smoothed_the_same():
    x = np.random.default_rng(0).normal(0.5, 0.01, 20)
    np.testing.assert_allclose(smooth(moving(x[::-1])).keypoints, smooth(moving(x)).keypoints[::-1], atol=1e-6)


def test_hands_keep_more_of_a_small_movement_than_the_body():
    x = 0.5 + 0.005 * (-1.0) ** np.arange(40)
    smoothed = smooth(moving(x)).keypoints[..., 0]
    left = {part: np.abs(np.diff(smoothed[:, where], axis=0)).mean() for part, where in PARTS.items()}
    assert left["body"] < left["face"] < left["right_hand"] < 0.009
    assert left["left_hand"] == pytest.approx(left["right_hand"])
    assert set(CUTOFFS) == set(PARTS)


def test_a_gap_is_not_smoothed_across():
    poses = moving([0.2, 0.2, 0.9, 0.8, 0.8], seen=[1, 1, 0, 1, 1])
    hand = smooth(poses).keypoints[:, PARTS["right_hand"], 0]
    np.testing.assert_allclose(hand[[0, 1, 3, 4]].mean(axis=1), [0.2, 0.2, 0.8, 0.8], atol=1e-6)


def test_smoothing_does_not_depend_on_size():
    x = np.random.default_rng(0).normal(0.5, 0.01, 20)
    small = moving(x)
    large = replace(small, width=700, height=700)
    np.testing.assert_allclose(smooth(large).keypoints, smooth(small).keypoints, atol=1e-6)


def test_without_shoulders_the_frame_is_the_measure():
    poses = moving([0.5, 0.51, 0.5])
    poses.confidence[:, index("left_shoulder")] = 0
    assert np.isfinite(smooth(poses).keypoints).all()


def test_a_gap_is_filled_on_a_line_and_less_certain():
    poses = moving([0.2, 0, 0, 0, 0.6], seen=[1, 0, 0, 0, 1])
    poses.confidence[4, PARTS["right_hand"]] = 0.8
    filled = fill_gaps(poses, longest_s=3 / 25)
    hand, certain = filled.part("right_hand")
    np.testing.assert_allclose(hand[:, 0, 0], [0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-6)
    np.testing.assert_allclose(certain[:, 0], [1, *[FILLED * 0.8] * 3, 0.8], atol=1e-6)
    for part in ("body", "face", "left_hand"):
        np.testing.assert_array_equal(filled.part(part)[0], poses.part(part)[0])


def test_longer_gaps_and_those_at_the_ends_stay():
    poses = moving([0.5] * 7, seen=[0, 1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(fill_gaps(poses, longest_s=0.1).confidence, poses.confidence)
    assert (fill_gaps(poses, longest_s=9).part("right_hand")[1][:, 0] > 0).tolist() == [False, *[True] * 5, False]


def test_no_gap_is_shorter_than_nothing():
    with pytest.raises(ValueError, match="`longest_s` must be 0 or more seconds, got -1"):
        fill_gaps(moving([0.5]), longest_s=-1)


def test_resampling_interpolates_between_frames():
    poses = resample(replace(moving([0.2, 0.4, 0.6]), glosses=(GlossSpan("A", 0, 3),)), 50.0)
    np.testing.assert_allclose(poses.keypoints[:, index("nose"), 0], [0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-6)
    assert poses.fps == 50
    assert poses.glosses == (GlossSpan("A", 0, 5),)


def test_resampling_sees_a_point_only_where_both_neighbours_do():
    poses = resample(moving([0.2, 0.4, 0.6], seen=[1, 0, 1]), 50.0)
    wrist = index("right_hand_wrist")
    assert (poses.confidence[:, wrist] > 0).tolist() == [True, False, False, False, True]
    assert (poses.keypoints[1, wrist] == 0).all()


def test_resampling_takes_a_frame_as_it_is_though_its_time_is_rounded():
    """From 30000/1001 to 24000/1001 frames a second, every fourth new frame is an old one, but for the last bits."""
    clip = replace(moving([0.01 * t for t in range(101)], seen=[t % 5 == 0 for t in range(101)]), fps=30000 / 1001)
    poses = resample(clip, 24000 / 1001)
    wrist = index("right_hand_wrist")
    assert (poses.confidence[:, wrist] > 0).tolist() == [t % 4 == 0 for t in range(81)]
    assert np.array_equal(poses.keypoints[::4], clip.keypoints[::5])


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 40), fps=st.floats(5, 120), speed=st.floats(0.5, 2))
def test_resampling_keeps_the_duration_and_every_gloss(frames, fps, speed):
    clip = replace(moving([0.5] * frames), glosses=(GlossSpan("A", 0, frames),))
    poses = resample(clip, fps, speed=speed)
    assert abs((len(poses) - 1) / fps - (frames - 1) / 25 / speed) <= 1 / fps + 1e-6
    assert len(poses.glosses) == 1
    assert 0 <= poses.glosses[0].start < poses.glosses[0].stop <= len(poses)
