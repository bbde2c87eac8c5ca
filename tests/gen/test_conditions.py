import numpy as np
import pytest
import torch

from gen.conditions import CONDITIONS, to_conditions, to_keypoints
from gen.reference import IS_HAND


@pytest.fixture
def conditions():
    """Of two clips; of the second, everything is given."""
    torch.manual_seed(0)
    maps = torch.randint(1, 255, (2, 3, 8, 8, 12), dtype=torch.uint8)
    reference = torch.randint(1, 255, (2, 8, 8, 7), dtype=torch.uint8)
    maps[..., 8] = reference[..., 6] = int(np.flatnonzero(IS_HAND)[0])
    return to_conditions(maps, torch.rand(2, 3, 128, 3), reference, torch.ones(2, 8, 8, dtype=torch.bool))


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("geometry", {"pose_maps": range(13)}),
        ("control", {"pose_maps": range(13, 16)}),
        ("keypoints", {"keypoints": range(3)}),
        ("reference", {"pose_maps": range(4), "reference": [0, 1, 2, 6, 7, 8, 9]}),
        ("background", {"reference": range(3, 6)}),
        ("previous", {}),
        ("keep", {"keep": [0]}),
    ],
)
def test_what_is_left_out_is_zero_and_said(name, gone, conditions):
    """Composite and what was carried show the reference by way of geometry, and go with either."""
    chosen = torch.tensor([[other != name for other in CONDITIONS], [True] * 7])
    less = conditions.only(chosen)
    assert less.given.tolist() == chosen.tolist()
    for field in ("pose_maps", "keypoints", "reference", "keep"):
        before, after = getattr(conditions, field), getattr(less, field)
        torch.testing.assert_close(after[1], before[1])
        if field == "keypoints":
            before, after = before.permute(0, 3, 1, 2), after.permute(0, 3, 1, 2)
        if field == "keep":
            before, after = before[:, None], after[:, None]
        zero = torch.zeros(before.shape[1], dtype=torch.bool)
        zero[list(gone.get(field, []))] = True
        assert not after[0, zero].any()
        torch.testing.assert_close(after[0, ~zero], before[0, ~zero])


def test_without_is_for_all_clips(conditions):
    assert conditions.without("control").given.tolist() == [[1, 0, 1, 1, 1, 1, 1]] * 2


def test_a_later_window_knows_its_frames(conditions):
    later = conditions.after(2)
    torch.testing.assert_close(later.pose_maps, conditions.pose_maps[:, :, 2:])
    torch.testing.assert_close(later.keypoints, conditions.keypoints[:, 2:])


def test_keypoints_are_in_pixels_with_their_confidence(driving):
    keypoints = to_keypoints(driving)
    np.testing.assert_array_equal(keypoints[..., :2], driving.pixels())
    np.testing.assert_array_equal(keypoints[..., 2], driving.confidence)
