from dataclasses import replace

import numpy as np
import pytest
from dtaidistance import dtw_ndim
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions, PoseNormalizationInfo

from pipelines.measures import dtw
from pipelines.measures.dtw import (
    HANDS,
    MISSING,
    in_shoulder_widths,
    joint_distance,
    masked_joint_distance,
    mean_trajectory_distance,
    measure_warped,
    warped_cost,
)
from poses.clean import resample
from poses.keypoints import index


def naive_cost(cost):
    """The recurrence as textbooks have it."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for row in range(rows):
        for column in range(columns):
            before = min(total[row, column], total[row, column + 1], total[row + 1, column])
            total[row + 1, column + 1] = cost[row, column] + before
    return total[rows, columns]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 7), (7, 4)])
def test_the_cheapest_way_is_that_of_the_textbook(shape):
    cost = np.random.default_rng(0).random((3, *shape))
    np.testing.assert_allclose(warped_cost(cost), [naive_cost(one) for one in cost], rtol=1e-12)


def test_dtwp_is_that_of_pose_evaluation(signer):
    # Its formula, written out: trim to hands, fill with 10, dtaidistance per keypoint, mean.
    rng = np.random.default_rng(1)
    other = signer.pixels().astype(np.float64) + rng.normal(size=(12, 128, 2))
    seen = signer.confidence >= 0.3
    clips = [
        np.where(seen[..., None], pixels, 10.0)[:, HANDS] for pixels in (signer.pixels().astype(np.float64), other)
    ]
    by_hand = [
        dtw_ndim.distance(np.ascontiguousarray(clips[1][:, k]), np.ascontiguousarray(clips[0][:, k])) for k in range(42)
    ]
    assert MISSING == 10.0
    assert mean_trajectory_distance(*clips) == pytest.approx(np.mean(by_hand), abs=1e-6)


def test_shoulder_widths_are_those_of_pose_format(signer):
    rng = np.random.default_rng(2)
    pixels = signer.pixels().astype(np.float64) + rng.normal(size=(12, 128, 2))
    names = ["right_shoulder", "left_shoulder", "nose"]
    points = pixels[:, None, index(*names)]
    header = PoseHeader(0.2, PoseHeaderDimensions(200, 200), [PoseHeaderComponent("BODY", names, [], [], "XYC")])
    pose = Pose(header, NumPyPoseBody(24, np.ma.array(points), np.ones(points.shape[:3])))
    expected = pose.normalize(PoseNormalizationInfo(p1=0, p2=1)).body.data[:, 0]
    found = in_shoulder_widths(pixels, np.ones((12, 128), bool))[:, index(*names)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_joint_distance_by_hand():
    reference = np.array([[[0.0, 0]], [[1, 1]]])
    hypothesis = np.array([[[0.0, 0]], [[0, 0]], [[1, 2]]])
    # The first frame pairs with two for nothing, the second differs by 1: a sum of 1, over two reference frames.
    assert joint_distance(reference, hypothesis) == 0.5


def test_masked_joint_distance_by_hand():
    reference = np.array([[[3.0, 4], [1, 1]]])
    hypothesis = np.array([[[0.0, 0], [7, 7]]])
    seen, lost = np.array([[True, True]]), np.array([[False, True]])
    far = np.hypot(6, 6)
    assert masked_joint_distance(reference, seen, hypothesis, seen) == pytest.approx((5 + far) / 2)
    assert masked_joint_distance(reference, seen, hypothesis, lost) == pytest.approx((5 / 2 + far) / 2)
    assert masked_joint_distance(reference, lost, hypothesis, seen) == pytest.approx(far / 2)


def test_blocks_of_points_make_no_difference(monkeypatch):
    rng = np.random.default_rng(3)
    reference, hypothesis = rng.random((5, 7, 2)), rng.random((6, 7, 2))
    seen = [rng.random((frames, 7)) > 0.2 for frames in (5, 6)]
    whole = masked_joint_distance(reference, seen[0], hypothesis, seen[1])
    monkeypatch.setattr(dtw, "CELLS_AT_ONCE", 60)
    assert masked_joint_distance(reference, seen[0], hypothesis, seen[1]) == pytest.approx(whole, rel=1e-12)


def test_the_same_movement_at_half_its_speed_is_near(signer):
    slow = resample(signer, signer.fps * 2)
    same, slowed = (measure_warped(signer, other, min_confidence=0.3) for other in (signer, slow))
    assert (same.dtwp, same.ndtwp, same.dtw_mje, same.ndtw_mje) == (0, 0, 0, 0)
    assert 0 < slowed.ndtwp < 0.25


def test_what_cannot_be_measured_is_none(signer, monkeypatch):
    confidence = signer.confidence.copy()
    confidence[:, index("right_shoulder", "left_shoulder")] = 0
    armless = measure_warped(signer, replace(signer, confidence=confidence), min_confidence=0.3)
    assert armless.dtwp == 0
    assert (armless.ndtwp, armless.dtw_mje, armless.ndtw_mje) == (None, None, None)
    monkeypatch.setattr(dtw, "MAX_FRAMES", 11)
    assert measure_warped(signer, signer, min_confidence=0.3).dtwp is None
