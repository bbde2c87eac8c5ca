from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from gen.conditioning import (
    HEAD,
    IS_ARM,
    IS_HAND,
    IS_TRUNK,
    MAP_CHANNELS,
    POSE_CHANNELS,
    REFERENCE_CHANNELS,
    map_frames,
    read_reference,
    to_pose_maps,
    to_reference,
)
from gen.renderers.pictures import built_in_picture
from gen.signers.body import PARTS, load_body
from gen.signers.fit import fit_body
from poses.keypoints import index


@pytest.fixture(scope="module")
def read(picture):
    body = load_body()
    return read_reference(picture.image, body, fit_body(picture.poses, body))


@pytest.fixture(scope="module")
def maps(read, driving):
    body = load_body()
    return map_frames(read, body, fit_body(driving, body), driving, slice(2, 5))


def test_hands_are_palms_and_fingers():
    hands = {PARTS[number - 1] for number in np.flatnonzero(IS_HAND)}
    assert len(hands) == 32
    assert "left_palm" in hands
    assert "right_little_3" in hands
    assert "head" not in hands


def test_arms_and_trunk_are_no_hands():
    assert {PARTS[number - 1] for number in np.flatnonzero(IS_ARM)} == {
        "left_upper_arm", "left_forearm", "right_upper_arm", "right_forearm"
    }  # fmt: skip
    assert {PARTS[number - 1] for number in np.flatnonzero(IS_TRUNK)} == {"torso", "legs"}


def test_the_far_side_of_an_arm_looks_as_the_near_one(read):
    """Of what lies in the picture; both sides of an arm come from where the picture shows it."""
    body = load_body()
    for name in ("left_upper_arm", "right_upper_arm"):
        of_arm = np.unique(body.faces[body.part == PARTS.index(name)])
        near, far = (of_arm[body.vertices[of_arm, 1] < -0.01], of_arm[body.vertices[of_arm, 1] > 0.01])
        assert min(read.vertex_seen[near].mean(), read.vertex_seen[far].mean()) > 0.7
        seen = of_arm[read.vertex_seen[of_arm] > 0]
        column, row = np.floor(read.vertex_xy[seen]).astype(int).T
        assert IS_ARM[read.part[row, column]].all()


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


def test_background_holds_nothing_of_the_signer(picture, read):
    shirt = read.part == PARTS.index("torso") + 1
    corner = picture.image[:8, :8].reshape(-1, 3).astype(float)
    spread = np.abs(read.background[shirt].astype(float) - corner.mean(axis=0)).mean()
    assert spread < np.abs(picture.image[shirt].astype(float) - corner.mean(axis=0)).mean() / 2


def test_what_was_not_touched_stays(picture, read):
    far = read.part == 0
    far[8:-8, 8:-8] = False
    far[32:] = False
    np.testing.assert_array_equal(read.plate[far], picture.image[far])


def test_the_network_sees_ranges_it_knows(maps, read):
    pose = to_pose_maps(torch.from_numpy(maps)[None])
    reference = to_reference(torch.from_numpy(read.maps())[None])
    assert pose.shape[:3] == (1, POSE_CHANNELS, 3)
    assert reference.shape[:2] == (1, REFERENCE_CHANNELS)
    assert pose.abs().max() <= 1.01
    assert reference.abs().max() <= 1.01


def test_a_hand_that_is_absent_throughout_is_no_error(read, driving):
    body = load_body()
    confidence, keypoints = driving.confidence.copy(), driving.keypoints.copy()
    confidence[:, 18:60] = 0
    keypoints[:, 18:60] = 0
    without = replace(driving, keypoints=keypoints, confidence=confidence)
    assert map_frames(read, body, fit_body(without, body), without, slice(0, 1)).any()


def test_hands_that_are_not_seen_have_the_skin_of_a_covered_head():
    """A head that is green but from the eyes to the mouth gives hands the face's colour, not the scarf's."""
    body, picture = load_body(), built_in_picture("lucia", 128, 128)
    motion = fit_body(picture.poses, body)
    part = read_reference(picture.image, body, motion).part
    corners = index("face_right_eyelid_0", "face_left_eyelid_3", "face_outer_lip_6", "face_outer_lip_0")
    hull = cv2.convexHull(picture.poses.pixels()[0, corners].round().astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(part.shape, np.uint8), hull, 1) > 0
    covered = picture.image.copy()
    covered[(part == HEAD) & ~cv2.dilate(face.astype(np.uint8), np.ones((3, 3))).astype(bool)] = (20, 160, 40)
    covered[IS_HAND[part]] = (30, 30, 200)  # gloves, so that the hands tell nothing
    skin = np.median(picture.image[face], axis=0)
    assert np.abs(read_reference(covered, body, motion).colours[0] - skin).max() < 25
