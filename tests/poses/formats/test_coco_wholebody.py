"""COCO-WholeBody's 133 points to the 128 and back."""

import numpy as np

from poses.formats.coco_wholebody import BODY_NAMES, coco_wholebody_to_dwpose, dwpose_to_coco_wholebody
from poses.keypoints import NAMES, PARTS, index


def test_every_point_goes_where_its_name_says():
    keypoints = np.stack([np.arange(133), np.arange(133) + 1000], axis=1).astype(np.float32)
    found, confidence = coco_wholebody_to_dwpose(keypoints, np.ones(133, np.float32))
    assert found.dtype == confidence.dtype == np.float32
    for name in BODY_NAMES[:17]:
        assert found[index(name), 0] == BODY_NAMES.index(name)
    assert found[PARTS["face"], 0].tolist() == list(range(23, 91))
    assert found[PARTS["left_hand"], 0].tolist() == list(range(91, 112))
    assert found[PARTS["right_hand"], 0].tolist() == list(range(112, 133))
    assert found[index("neck"), 0] == (BODY_NAMES.index("left_shoulder") + BODY_NAMES.index("right_shoulder")) / 2
    assert (found[:, 1] == found[:, 0] + 1000).all()


def test_the_neck_is_as_certain_as_the_worse_shoulder():
    confidence = np.ones(133, np.float32)
    confidence[BODY_NAMES.index("left_shoulder")] = 0.25
    assert coco_wholebody_to_dwpose(np.ones((133, 2), np.float32), confidence)[1][index("neck")] == 0.25
    confidence[BODY_NAMES.index("left_shoulder")] = 0
    keypoints, seen = coco_wholebody_to_dwpose(np.ones((133, 2), np.float32), confidence)
    assert seen[index("neck")] == 0
    assert keypoints[index("neck")].tolist() == [0, 0]


def test_there_and_back_loses_only_the_neck(make_poses):
    poses = make_poses(num_frames=5)
    keypoints, confidence = coco_wholebody_to_dwpose(*dwpose_to_coco_wholebody(poses.keypoints, poses.confidence))
    others = [i for i, name in enumerate(NAMES) if name != "neck"]
    assert np.array_equal(keypoints[:, others], poses.keypoints[:, others])
    assert np.array_equal(confidence[:, others], poses.confidence[:, others])


def test_feet_are_not_invented(make_poses):
    poses = make_poses()
    keypoints, confidence = dwpose_to_coco_wholebody(poses.keypoints, poses.confidence)
    assert not keypoints[:, 17:23].any()
    assert not confidence[:, 17:23].any()
