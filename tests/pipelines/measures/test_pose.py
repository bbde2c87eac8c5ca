from dataclasses import replace

import numpy as np
import pytest

from pipelines.clip_figures import steadiness_figures
from pipelines.measures.pose import (
    fit_length,
    hand_presence,
    jerk_ratio,
    keypoint_error,
    measure_fidelity,
    measure_part,
    movement_ratio,
    segment_means,
    visible_points,
)
from pipelines.output import PartFidelity
from poses.keypoints import PARTS, index

ALL = np.array([[True, True], [True, True]])


def moved(poses, points, by_px):
    keypoints = poses.keypoints.copy()
    keypoints[:, points] += np.array(by_px, np.float32) / [poses.width, poses.height]
    return replace(poses, keypoints=keypoints.astype(np.float32))


def without(poses, points, frames=slice(None)):
    confidence = poses.confidence.copy()
    confidence[frames, points] = 0
    return replace(poses, confidence=confidence)


def test_visible_means_certain_and_inside_the_frame(signer):
    keypoints, confidence = signer.keypoints.copy(), signer.confidence.copy()
    nose, neck, wrist = index("nose", "neck", "left_wrist")
    confidence[0, nose] = 0.29
    keypoints[0, neck] = (0.5, 1.01)
    keypoints[0, wrist] = (-0.01, 0.5)
    seen = visible_points(replace(signer, keypoints=keypoints, confidence=confidence))
    assert not seen[0, [nose, neck, wrist]].any()
    assert seen[1, [nose, neck, wrist]].all()
    assert not seen[:, PARTS["left_hand"]].any()


def test_error_is_the_distance_where_points_were_found():
    reference = np.zeros((2, 2, 2), np.float32)
    hypothesis = np.array([[[3, 4], [0, 1]], [[5, 12], [9, 9]]], np.float32)
    found = np.array([[True, True], [True, False]])
    np.testing.assert_array_equal(keypoint_error(reference, hypothesis, found), [[5, 1], [13, np.nan]])


def test_part_figures_by_hand():
    # Four visible points, three found, at 0.05, 0.15 and 0.40 shoulder widths.
    error = np.array([[0.05, 0.15], [0.40, np.nan]])
    found = np.array([[True, True], [True, False]])
    figures = measure_part(error, ALL, found)
    assert (figures.visible_points, figures.recall, figures.pck_0_1, figures.pck_0_2) == (4, 0.75, 0.25, 0.5)
    assert figures.mean_error == pytest.approx(0.2)


def test_a_limit_itself_counts_as_within():
    figures = measure_part(np.array([[0.1, 0.2]]), ALL[:1], ALL[:1])
    assert (figures.pck_0_1, figures.pck_0_2) == (0.5, 1.0)


def test_a_part_that_is_not_in_the_clip_has_no_figures():
    nothing = np.zeros((2, 2), bool)
    assert measure_part(np.full((2, 2), np.nan), nothing, nothing) == PartFidelity(0, None, None, None, None)


def test_a_part_that_was_never_found_has_no_error_and_scores_zero():
    nothing = np.zeros((2, 2), bool)
    assert measure_part(np.full((2, 2), np.nan), ALL, nothing) == PartFidelity(4, 0.0, None, 0.0, 0.0)


def test_movement_ratio_by_hand():
    reference = np.array([[[0, 0]], [[3, 4]], [[3, 4]], [[3, 14]]], np.float32)  # 5 + 0 + 10
    hypothesis = np.array([[[0, 0]], [[0, 2]], [[0, 2]], [[1, 2]]], np.float32)  # 2 + 0 + 1
    found = np.ones((4, 1), bool)
    assert movement_ratio(reference, hypothesis, found) == pytest.approx(3 / 15)
    # Without the last frame, its step counts in neither.
    found[3] = False
    assert movement_ratio(reference, hypothesis, found) == pytest.approx(2 / 5)


def test_movement_ratio_of_a_still_or_lost_signer_is_unknown():
    still = np.zeros((3, 1, 2), np.float32)
    moving = np.arange(6, dtype=np.float32).reshape(3, 1, 2)
    assert movement_ratio(still, moving, np.ones((3, 1), bool)) is None
    assert movement_ratio(moving, moving, np.zeros((3, 1), bool)) is None
    assert movement_ratio(moving[:1], moving[:1], np.ones((1, 1), bool)) is None


def test_jerk_ratio_by_hand():
    # Third differences of 0, 0, 0, 1, 0 are 1 and -3, of its running sum 1 and -2.
    reference = np.array([0, 0, 0, 1, 0], np.float32)[:, None, None] * np.array([3, 4], np.float32)
    found = np.ones((5, 1), bool)
    assert jerk_ratio(reference, 2 * reference, found) == pytest.approx(2)
    assert jerk_ratio(reference, np.cumsum(reference, axis=0), found) == pytest.approx((1 + 2) / (1 + 3))
    found[4] = False  # only 1 counts, of 1
    assert jerk_ratio(reference, 2 * reference, found) == pytest.approx(2)
    assert jerk_ratio(np.zeros_like(reference), reference, np.ones((5, 1), bool)) is None
    assert jerk_ratio(reference[:3], reference[:3], np.ones((3, 1), bool)) is None


def test_a_hand_is_present_with_half_of_its_points():
    visible, found = np.zeros((2, 128), bool), np.zeros((2, 128), bool)
    assert hand_presence(visible, found) is None
    right = PARTS["right_hand"]
    visible[:, right] = True
    found[0, right] = np.arange(21) < 11
    found[1, right] = np.arange(21) < 10
    assert hand_presence(visible, found) == 0.5


def test_a_clip_is_made_as_long_as_another(signer):
    assert len(fit_length(signer, 5)) == 5
    longer = fit_length(signer, 14)
    assert (longer.confidence[12:] == 0).all()
    np.testing.assert_array_equal(longer.keypoints[:12], signer.keypoints)


def test_means_of_quarters_leave_out_what_is_unknown():
    assert segment_means([1.0, 3.0, None, 5.0, None, None, 7.0, 7.0]) == [2, 5, None, 7]
    assert segment_means([1.0]) == [1, None, None, None]


def test_the_same_pose_is_perfect(signer):
    fidelity = measure_fidelity(signer, signer, estimator="none")
    for part in ("body", "right_hand", "face"):
        figures = fidelity.parts[part]
        assert (figures.recall, figures.mean_error, figures.pck_0_1, figures.pck_0_2) == (1, 0, 1, 1)
    assert fidelity.parts["left_hand"] == PartFidelity(0, None, None, None, None)
    assert fidelity.movement_ratio == 1
    assert fidelity.shoulder_width_px == pytest.approx(80)
    assert fidelity.error_over_time["right_hand"] == [0.0] * 12
    assert fidelity.error_over_time["left_hand"] == [None] * 12


def test_errors_are_in_shoulder_widths_of_the_driving_pose(signer):
    # 12 px to the right of shoulders 80 px apart: 0.15.
    fidelity = measure_fidelity(signer, moved(signer, PARTS["right_hand"], (12, 0)), estimator="none")
    hand = fidelity.parts["right_hand"]
    assert hand.mean_error == pytest.approx(0.15, abs=1e-6)
    assert (hand.recall, hand.pck_0_1, hand.pck_0_2) == (1, 0, 1)
    assert fidelity.parts["face"].mean_error == 0
    assert fidelity.error_over_time["right_hand"] == pytest.approx([0.15] * 12)


def test_a_hand_lost_in_three_of_twelve_frames(signer):
    fidelity = measure_fidelity(signer, without(signer, PARTS["right_hand"], slice(3, 6)), estimator="none")
    hand = fidelity.parts["right_hand"]
    assert (hand.recall, hand.mean_error, hand.pck_0_2) == (0.75, 0, 0.75)
    assert fidelity.recall_over_time["right_hand"] == [1.0] * 3 + [0.0] * 3 + [1.0] * 6
    assert fidelity.error_over_time["right_hand"][3:6] == [None] * 3


def test_a_frozen_signer_does_not_move(signer):
    frozen = replace(signer, keypoints=np.repeat(signer.keypoints[:1], 12, axis=0))
    assert measure_fidelity(signer, frozen, estimator="none").movement_ratio == 0


def test_what_the_driving_pose_does_not_show_is_not_asked_for(signer):
    invented = replace(signer, confidence=np.ones_like(signer.confidence))
    assert measure_fidelity(signer, invented, estimator="none").parts["left_hand"].visible_points == 0


def test_without_shoulders_recall_is_known_and_distance_is_not(signer):
    armless = without(signer, index("right_shoulder", "left_shoulder"))
    fidelity = measure_fidelity(armless, signer, estimator="none")
    assert fidelity.shoulder_width_px is None
    assert fidelity.parts["face"] == PartFidelity(68 * 12, 1.0, None, None, None)
    assert fidelity.movement_ratio == 1
    assert fidelity.error_over_time["face"] == [None] * 12


@pytest.mark.filterwarnings("error")
def test_shoulders_in_one_place_measure_nothing(signer):
    left, right = index("left_shoulder", "right_shoulder")
    keypoints = signer.keypoints.copy()
    keypoints[:, left] = keypoints[:, right]
    sideways = replace(signer, keypoints=keypoints)
    fidelity = measure_fidelity(sideways, signer, estimator="none")
    assert fidelity.shoulder_width_px is None
    assert (fidelity.parts["face"].recall, fidelity.parts["face"].pck_0_2) == (1, None)
    assert steadiness_figures(np.zeros((12, 64, 64), np.float32), sideways)["frozen_share"] is None


def test_one_frame_is_enough(signer):
    fidelity = measure_fidelity(signer[:1], signer[:1], estimator="none")
    assert fidelity.parts["right_hand"].pck_0_1 == 1
    assert fidelity.movement_ratio is None


def test_the_signature_names_what_figures_depend_on(signer):
    assert measure_fidelity(signer, signer, estimator="mediapipe 0.10.14").signature == (
        "layout:dwpose128|unit:median-shoulder-width|visible:0.3-inside|estimator:mediapipe 0.10.14"
        "|frame:200x200|fps:24|v1"
    )


def test_poses_that_cannot_be_compared_are_refused(signer):
    with pytest.raises(ValueError, match="`reextracted` must have the 12 frames of the driving pose, got 3"):
        measure_fidelity(signer, signer[:3], estimator="none")
    with pytest.raises(ValueError, match="frame of 200 x 200, got 100 x 200"):
        measure_fidelity(signer, replace(signer, width=100), estimator="none")
