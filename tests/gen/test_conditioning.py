from dataclasses import replace

import numpy as np
import pytest
import torch

from gen.conditioning import MAP_CHANNELS, POSE_CHANNELS, REFERENCE_CHANNELS, map_frames, to_pose_maps, to_reference
from gen.reference import IS_HAND
from gen.signers.body import PARTS, load_body
from gen.signers.fit import fit_body


@pytest.fixture(scope="module")
def maps(read, driving):
    body = load_body()
    return map_frames(read, body, fit_body(driving, body), driving, slice(2, 5))


def test_maps_show_the_asked_frames_and_the_signing_hand(maps, driving):
    assert maps.shape == (3, driving.height, driving.width, MAP_CHANNELS)
    wrist = driving.pixels()[2, 39 + 9].round().astype(int)  # the right hand's middle knuckle
    around = maps[0, wrist[1] - 3 : wrist[1] + 4, wrist[0] - 3 : wrist[0] + 4, 8]
    assert IS_HAND[around].any()


def test_a_window_has_the_maps_of_the_whole(read, maps, driving):
    body = load_body()
    alone = map_frames(read, body, fit_body(driving, body), driving, slice(3, 4))
    np.testing.assert_array_equal(alone[0], maps[1])


def test_the_signer_in_the_pose_of_the_picture_is_the_picture(picture, read):
    body = load_body()
    same = map_frames(read, body, fit_body(picture.poses, body), picture.poses, slice(0, 1))[0]
    torso = same[..., 8] == PARTS.index("torso") + 1
    difference = np.abs(same[torso, :3].astype(int) - picture.image[torso])
    assert np.median(difference) <= 2


def test_the_network_sees_ranges_it_knows(maps, read):
    pose = to_pose_maps(torch.from_numpy(maps)[None])
    reference = to_reference(torch.from_numpy(read.maps())[None])
    assert pose.shape[:3] == (1, POSE_CHANNELS, 3)
    assert reference.shape[:2] == (1, REFERENCE_CHANNELS)
    assert pose.abs().max() <= 1.01
    assert reference.abs().max() <= 1.01


@pytest.mark.parametrize(
    ("part", "codes"),
    [("left_index_2", [1, 1, -0.5, 2 / 3]), ("right_palm", [-1, 7 / 8, 0, 0]), ("torso", [0, 1 / 8, 0, 0])],
)
def test_parts_are_told_by_side_region_finger_and_segment(part, codes):
    """As the weights have learned them."""
    maps, reference = torch.full((1, 1, 1, 2, 12), 51, dtype=torch.uint8), torch.zeros(1, 1, 2, 7, dtype=torch.uint8)
    maps[..., 8] = reference[..., 6] = torch.tensor([0, PARTS.index(part) + 1])
    pose, shown = to_pose_maps(maps)[0, :, 0, 0], to_reference(reference)[0, :, 0]
    expected = torch.tensor([[0.0] * 5, [*codes, 1]]).T
    torch.testing.assert_close(pose[8:13], expected)
    torch.testing.assert_close(shown[6:], expected[:4])
    others = [-0.6] * 3 + [0.2] + [-77 / 127] * 3 + [0.2] + [0.2] * 3
    torch.testing.assert_close(torch.cat([pose[:8], pose[13:]]), torch.tensor([others] * 2).T)


def test_depth_is_told_from_the_bodys_middle_on(read, maps, driving):
    body = load_body()
    motion = fit_body(driving, body)
    away = replace(motion, positions=motion.positions + np.float32([0, 0.5, 0]))
    moved = map_frames(read, body, away, driving, slice(2, 5)).astype(int)
    assert np.abs(moved - maps).max() <= 1
    assert np.ptp(maps[..., 7][maps[..., 8] > 0]) > 20


def test_a_hand_that_is_absent_throughout_is_no_error(read, driving):
    body = load_body()
    confidence, keypoints = driving.confidence.copy(), driving.keypoints.copy()
    confidence[:, 18:60] = 0
    keypoints[:, 18:60] = 0
    without = replace(driving, keypoints=keypoints, confidence=confidence)
    assert map_frames(read, body, fit_body(without, body), without, slice(0, 1)).any()
