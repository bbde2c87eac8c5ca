import numpy as np
import pytest
import torch

from poses.keypoints import NAMES, index
from poses.sequence import PoseSequence
from recognizer.video_frames import see_signer, signer_box, vary_views


def standing(num_frames: int, *, seen: bool = True) -> PoseSequence:
    """Shoulders 20 pixels apart in a frame of 200 x 100, the neck between them at (100, 40)."""
    keypoints = np.zeros((num_frames, len(NAMES), 2), np.float32)
    confidence = np.zeros((num_frames, len(NAMES)), np.float32)
    for name, x in (("right_shoulder", 90), ("left_shoulder", 110), ("neck", 100)):
        keypoints[:, index(name)] = (x / 200, 0.4)
        confidence[:, index(name)] = seen
    return PoseSequence(keypoints * confidence[..., None], confidence, 10.0, 200, 100, "a clip")


def test_the_signer_is_cut_out_by_the_shoulders():
    np.testing.assert_allclose(signer_box(standing(2)), [73, 16, 127, 70], atol=1e-4)


def test_what_is_seen_lies_where_it_was_at_evenly_spaced_moments():
    frames = [np.full((100, 200, 3), 10 * number, np.uint8) for number in range(7)]
    for frame in frames:
        frame[16:43, 73:100] = 255  # the upper left quarter of the cut-out
    seen = see_signer(frames, standing(7), 4, 54)
    assert seen[:, 40, 40, 0].tolist() == [0, 20, 40, 60]
    assert (seen[:, 2:25, 2:25] == 255).all()
    assert not (seen[:, 29:, 29:] == 255).any()


def test_beyond_the_frame_its_edge_goes_on():
    frames = [np.full((60, 200, 3), 77, np.uint8)]  # the cut-out reaches down to 70
    poses = standing(1)
    assert (see_signer(frames, poses, 1, 32) == 77).all()


def test_nobody_can_be_cut_out_without_shoulders():
    with pytest.raises(ValueError, match="a clip: must show both shoulders, by which the signer is cut out"):
        signer_box(standing(3, seen=False))


def test_views_vary_by_seed_within_bounds_and_alike_in_all_frames():
    pixels = torch.rand(3, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).expand(3, 5, 3, 16, 16) - 0.5
    varied = [vary_views(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(varied[0], varied[1])
    assert not torch.allclose(varied[0], varied[2], atol=0.01)
    assert varied[0].shape == pixels.shape
    assert varied[0].abs().max() <= 1
    torch.testing.assert_close(varied[0], varied[0][:, :1].expand_as(varied[0]))
