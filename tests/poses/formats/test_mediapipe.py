"""MediaPipe Holistic's points to the 128 and back."""

import numpy as np
import pytest

from poses.formats.mediapipe import (
    FACE_68,
    HAND_NAMES,
    NUM_FACE,
    POSE_NAMES,
    dwpose_to_holistic,
    holistic_to_dwpose,
)
from poses.keypoints import BODY, FACE, HAND, NAMES, PARTS, index

MIRRORED = [FACE.index(name) for name in (
    [f"jaw_{16 - i}" for i in range(17)]
    + [f"left_brow_{4 - i}" for i in range(5)] + [f"right_brow_{4 - i}" for i in range(5)]
    + [f"nose_bridge_{i}" for i in range(4)] + [f"nose_base_{4 - i}" for i in range(5)]
    + [f"left_eyelid_{i}" for i in (3, 2, 1, 0, 5, 4)] + [f"right_eyelid_{i}" for i in (3, 2, 1, 0, 5, 4)]
    + [f"outer_lip_{i}" for i in (6, 5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7)]
    + [f"inner_lip_{i}" for i in (4, 3, 2, 1, 0, 7, 6, 5)]
)]  # fmt: skip
"""The point on the other half of the face, for each of the 68."""


def _numbered(count: int, columns: int) -> np.ndarray:
    """Points whose x is their own number."""
    points = np.ones((count, columns), np.float32)
    points[:, 0] = np.arange(count)
    return points


def test_every_point_goes_where_its_name_says():
    keypoints, confidence = holistic_to_dwpose(
        _numbered(33, 3), _numbered(NUM_FACE, 2), _numbered(21, 2), _numbered(21, 2) + 100
    )
    assert keypoints.dtype == confidence.dtype == np.float32
    assert (confidence == 1).all()
    for name in BODY:
        if name != "neck":
            assert keypoints[index(name), 0] == POSE_NAMES.index(name.upper())
    shoulders = POSE_NAMES.index("LEFT_SHOULDER") + POSE_NAMES.index("RIGHT_SHOULDER")
    assert keypoints[index("neck"), 0] == shoulders / 2
    assert keypoints[PARTS["left_hand"], 0].tolist() == list(range(21))
    assert keypoints[PARTS["right_hand"], 0].tolist() == list(range(100, 121))
    assert keypoints[PARTS["face"], 0].tolist() == list(FACE_68)


def test_hand_points_are_in_the_same_order():
    ours = [name.upper() for name in HAND]
    theirs = [name.replace("_FINGER", "").replace("PINKY", "LITTLE") for name in HAND_NAMES]
    assert ours == theirs


def test_parts_that_were_not_found_are_not_seen():
    keypoints, confidence = holistic_to_dwpose(None, None, _numbered(21, 2), None)
    assert (confidence[PARTS["left_hand"]] == 1).all()
    assert confidence.sum() == 21
    assert not keypoints[confidence == 0].any()
    assert holistic_to_dwpose(None, None, None, None)[1].tolist() == [0] * 128


def test_visibility_is_kept_and_the_neck_as_certain_as_the_worse_shoulder():
    pose = _numbered(33, 3)
    pose[:, 2] = np.linspace(0.1, 0.9, 33, dtype=np.float32)
    _, confidence = holistic_to_dwpose(pose, None, None, None)
    assert confidence[index("left_wrist")] == pose[POSE_NAMES.index("LEFT_WRIST"), 2]
    assert confidence[index("neck")] == pose[POSE_NAMES.index("LEFT_SHOULDER"), 2]


def test_a_mesh_of_another_size_is_refused():
    with pytest.raises(ValueError, match="`face` must hold 468 or 478 vertices, got 68"):
        holistic_to_dwpose(None, _numbered(68, 2), None, None)


def test_there_and_back_loses_only_the_neck(make_poses):
    poses = make_poses(num_frames=5)
    keypoints, confidence = holistic_to_dwpose(*dwpose_to_holistic(poses.keypoints, poses.confidence))
    others = [i for i, name in enumerate(NAMES) if name != "neck"]
    assert np.array_equal(keypoints[:, others], poses.keypoints[:, others])
    assert np.array_equal(confidence[:, others], poses.confidence[:, others])


def test_nothing_is_invented(make_poses):
    poses = make_poses()
    pose, face, _, _ = dwpose_to_holistic(poses.keypoints, poses.confidence)
    known = {name.upper() for name in BODY}
    assert not pose[:, [i for i, name in enumerate(POSE_NAMES) if name not in known]].any()
    assert not face[:, sorted(set(range(NUM_FACE)) - set(FACE_68))].any()


def test_the_face_map_names_each_vertex_once():
    assert len(FACE_68) == len(set(FACE_68)) == len(FACE) == 68


def test_the_face_map_is_symmetric():
    """By pose-format's table of opposite vertices, which comes from MediaPipe's canonical face model."""
    from pose_format.utils.holistic import FLIPPED_FACE_POINTS

    assert [FLIPPED_FACE_POINTS[vertex] for vertex in FACE_68] == [FACE_68[i] for i in MIRRORED]


def test_the_face_map_lies_right_on_a_picture():
    """Places found by eye in scikit-image's picture of Eileen Collins, 512 x 512; her right is left in the picture."""
    from skimage.data import astronaut

    from poses.estimators import create_estimator

    estimator = create_estimator("mediapipe")
    keypoints, confidence = estimator.estimate(astronaut())
    estimator.close()
    seen_at = {
        "jaw_8": (222, 178),  # tip of the chin
        "right_eyelid_0": (194, 101),  # outer corner
        "right_eyelid_3": (213, 104),
        "left_eyelid_0": (237, 105),
        "left_eyelid_3": (258, 104),
        "nose_bridge_3": (223, 129),  # tip of the nose
        "outer_lip_0": (202, 139),  # the signer's right corner of the mouth
        "outer_lip_6": (246, 140),
        "outer_lip_9": (223, 155),  # lower edge of the lower lip
        "right_brow_2": (199, 89),
        "left_brow_2": (250, 91),
    }
    for name, place in seen_at.items():
        point = index(f"face_{name}")
        assert confidence[point] == 1
        assert np.linalg.norm(keypoints[point] * 512 - place) < 5, name
    face = keypoints[PARTS["face"]]
    assert (np.diff(face[:17, 0]) > -0.003).all()  # from her right ear to her left
    assert np.diff(face[:17], axis=0).any(axis=1).all()
    assert keypoints[index("right_shoulder"), 0] < keypoints[index("left_shoulder"), 0]
