from dataclasses import replace

import numpy as np

from gen.pictured_signer import _KEPT, read_picture
from gen.renderers.pictures import built_in_picture, dressed_signer
from gen.signers.appearance import BUILT_IN_SIGNERS
from gen.signers.hand_errors import ESTIMATOR
from pipelines.casting import load_casting


def test_a_picture_is_read_once_and_its_hands_made_once(picture):
    first = read_picture(picture.image, picture.poses)
    again = read_picture(picture.image.copy(), replace(picture.poses, source="elsewhere"))
    assert again is first
    assert again.hands is first.hands


def test_another_picture_or_pose_is_read_anew(picture):
    first = read_picture(picture.image, picture.poses)
    keypoints, confidence = picture.poses.keypoints.copy(), picture.poses.confidence.copy()
    seen = np.flatnonzero(confidence[0])[0]
    keypoints[0, seen] += 0.01
    confidence[0, seen] = 0.5
    for poses in (
        replace(picture.poses, keypoints=keypoints),
        replace(picture.poses, confidence=confidence),
        replace(picture.poses, estimator=ESTIMATOR),  # whose hands are corrected
        replace(picture.poses, width=2 * picture.poses.width),
    ):
        assert read_picture(picture.image, poses) is not first
    other = picture.image.copy()
    other[0, 0] ^= 1
    assert read_picture(other, picture.poses) is not first


def test_who_draws_in_a_picture_later_changes_nothing_that_was_read(picture):
    image = picture.image.copy()
    image[0, 0] ^= 2
    read = read_picture(image, picture.poses)
    before = image[0, 0].copy()
    image[:] = 0
    np.testing.assert_array_equal(read.reference.image[0, 0], before)


def test_all_built_in_signers_are_kept():
    """Who augments a corpus renders each of its clips by all of them in turn."""
    assert len(BUILT_IN_SIGNERS) <= _KEPT
    for kept in (dressed_signer, built_in_picture, load_casting):
        assert kept.cache_parameters()["maxsize"] >= len(BUILT_IN_SIGNERS)
