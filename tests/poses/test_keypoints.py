"""Names, parts, limbs and bones of the 128 points."""

import pytest

from poses.keypoints import BODY, BODY_LIMBS, FACE, HAND, HAND_BONES, NAMES, NUM_KEYPOINTS, PARTS, index


def test_there_are_128_points_with_a_name_each():
    assert NUM_KEYPOINTS == len(NAMES) == len(set(NAMES)) == 128
    assert (len(BODY), len(HAND), len(FACE)) == (18, 21, 68)


def test_parts_follow_each_other():
    assert list(PARTS) == ["body", "left_hand", "right_hand", "face"]
    assert [i for part in PARTS.values() for i in range(part.start, part.stop)] == list(range(128))
    assert all(name.startswith("left_hand_") for name in NAMES[PARTS["left_hand"]])
    assert all(name.startswith("right_hand_") for name in NAMES[PARTS["right_hand"]])
    assert all(name.startswith("face_") for name in NAMES[PARTS["face"]])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("nose", 0), ("neck", 1), ("right_wrist", 4), ("left_wrist", 7), ("right_eye", 14), ("left_ear", 17),
        ("left_hand_wrist", 18), ("left_hand_thumb_tip", 22), ("right_hand_wrist", 39), ("right_hand_little_tip", 59),
        ("face_jaw_0", 60), ("face_jaw_8", 68), ("face_right_brow_0", 77), ("face_left_brow_0", 82),
        ("face_nose_bridge_0", 87), ("face_nose_base_0", 91), ("face_right_eyelid_0", 96),
        ("face_left_eyelid_0", 102), ("face_outer_lip_0", 108), ("face_inner_lip_0", 120), ("face_inner_lip_7", 127),
    ],
)  # fmt: skip
def test_points_are_found_by_name(name, place):
    assert index(name) == place
    assert NAMES[place] == name


def test_several_names_give_a_list():
    assert index("left_wrist", "right_wrist") == [7, 4]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"`names` must be keypoint names .*, got 'left_toe'"):
        index("nose", "left_toe")


def test_body_limbs_are_those_that_dwpose_draws_in_its_order():
    # https://github.com/IDEA-Research/DWPose/blob/onnx/ControlNet-v1-1-nightly/annotator/dwpose/util.py, draw_bodypose
    drawn = [
        (2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13), (13, 14),
        (2, 1), (1, 15), (15, 17), (1, 16), (16, 18),
    ]  # fmt: skip
    assert [(BODY.index(a) + 1, BODY.index(b) + 1) for a, b in BODY_LIMBS] == drawn


def test_hand_bones_run_from_the_wrist_along_each_finger():
    assert len(HAND_BONES) == 20
    assert HAND_BONES[:5] == (
        ("wrist", "thumb_cmc"), ("thumb_cmc", "thumb_mcp"), ("thumb_mcp", "thumb_ip"), ("thumb_ip", "thumb_tip"),
        ("wrist", "index_mcp"),
    )  # fmt: skip
    assert {b for _, b in HAND_BONES} == set(HAND) - {"wrist"}
