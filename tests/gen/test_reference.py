from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial import KDTree

from gen.cut_out import grow
from gen.reference import HEAD, IS_ARM, IS_HAND, IS_TRUNK, read_reference
from gen.renderers.pictures import built_in_picture, dressed_signer
from gen.signers.body import PARTS, load_body
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.render import render_frames
from poses.keypoints import index


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


def test_a_forearm_that_leaves_the_picture_goes_on_as_it_was(read):
    body = load_body()
    for side in ("left", "right"):
        forearm = np.unique(body.faces[body.part == PARTS.index(f"{side}_forearm")])
        assert read.vertex_seen[forearm].mean() > 0.9
        column, row = np.floor(read.vertex_xy[forearm[read.vertex_seen[forearm] > 0]]).astype(int).T
        assert IS_ARM[read.part[row, column]].all()


def test_of_an_arm_that_is_elsewhere_nothing_comes_along(picture, read):
    """Arms are taken to hang where their hands are not seen; here there is only the room."""
    body = load_body()
    forearm = PARTS.index("right_forearm")
    around = grow(read.part == forearm + 1, 1)
    image = np.where(around[..., None], read.background, picture.image)
    without = read_reference(image, body, fit_body(picture.poses, body))
    vertices = np.unique(body.faces[body.part == forearm])
    assert without.vertex_seen[vertices].mean() < 0.05
    assert read.vertex_seen[vertices].mean() > 0.9
    np.testing.assert_allclose(without.colours[1], read.colours[1], atol=40)  # forearms, as the other one is


def test_the_hidden_half_of_a_head_looks_like_the_other_half(picture):
    """Read as if signer and body were turned: every vertex is known, hidden ones in the mirrored picture beside."""
    body, width, angle = load_body(), picture.image.shape[1], np.radians(40)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32)
    motion = fit_body(picture.poses, body)
    turned = replace(motion, linear=turn @ motion.linear, positions=motion.positions @ turn.T)
    read = read_reference(picture.image, body, turned)
    head = np.unique(body.faces[body.part == HEAD - 1])
    across, _, known, light = read.likeness[head].T
    assert known.all()
    assert ((light > 0.2) & (light < 2)).all()
    twins = KDTree(body.vertices * np.float32([-1, 1, 1])).query(body.vertices[head])[1]
    mirrored = np.isclose(across, 2 * width - read.vertex_xy[twins, 0], atol=0.01) & (across > width)
    assert read.vertex_seen[twins[mirrored]].mean() > 0.9
    assert mirrored[read.vertex_seen[head] == 0].mean() > 0.2
    assert not mirrored[read.vertex_seen[head] > 0].all()


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


@pytest.mark.parametrize("gloved", [False, True])
def test_seen_hands_have_their_own_colour_unless_it_is_no_skin(driving, gloved):
    (body, figure), usual = dressed_signer("lucia"), load_body()
    poses = replace(driving[4:5], height=128, width=128)
    motion, held = fit_body(poses, body), fit_body(poses, usual)
    image = render_frames(figure, pose_vertices(body, motion), motion.camera, height=128, width=128)[0]
    hand = IS_HAND[read_reference(image, usual, held).part]
    assert hand.sum() > 100
    image[hand] = (30, 30, 200) if gloved else (150, 100, 75)
    red, _, blue = read_reference(image, usual, held).colours[0]
    if gloved:
        assert red > blue
    else:
        assert red / blue == pytest.approx(2, rel=0.05)


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
    skin = np.median(picture.image[face], axis=0)
    assert np.abs(read_reference(covered, body, motion).colours[0] - skin).max() < 25
