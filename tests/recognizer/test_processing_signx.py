from dataclasses import replace

import numpy as np
import torch

from poses.fingerspelling import spell
from poses.formats.signx import dwpose_track
from poses.keypoints import NAMES, index
from recognizer.framing import BODY_POINTS
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.processing_signx import SQUARE, dwpose_features, signer_track
from recognizer.tracks import TRACKS


def framed(poses):
    """The clip in a square of `SQUARE` shoulder widths, with only the points that the recognizer reads."""
    keypoints, confidence = SignRecognizerProcessor().normalize(poses)
    read = [*index(*BODY_POINTS), *range(39, 60), *range(18, 39)]
    points, sure = np.zeros((len(keypoints), 128, 2), np.float32), np.zeros((len(keypoints), 128), np.float32)
    points[:, read] = np.where(confidence[..., None] > 0, keypoints / SQUARE + [0.5, 0.35], 0)
    sure[:, read] = confidence
    return replace(poses, keypoints=points, confidence=sure, width=100, height=100)


def test_track_is_the_published_one_of_the_framed_signer():
    poses = spell("AB", "ase")
    track = signer_track(poses, SignRecognizerProcessor())
    np.testing.assert_allclose(track, dwpose_track(framed(poses)), atol=1e-6)
    wrist = NAMES.index("right_wrist")
    assert (track[:, 2 * wrist : 2 * wrist + 2] > 0).all()


def test_track_does_not_depend_on_where_the_signer_stands():
    poses = spell("AB", "ase")
    moved = replace(
        poses, keypoints=np.where(poses.confidence[..., None] > 0, poses.keypoints / 2 + 0.1, 0).astype(np.float32)
    )
    tracks = [signer_track(clip, SignRecognizerProcessor()) for clip in (poses, moved)]
    np.testing.assert_allclose(tracks[0], tracks[1], atol=1e-5)


def test_points_outside_the_square_are_not_seen():
    keypoints = torch.zeros(1, 1, 49, 2)
    keypoints[0, 0, 0] = torch.tensor([3.0, 0.0])
    features = dwpose_features(keypoints, torch.ones(1, 1, 49))
    assert features.shape == (1, 1, 1959)
    assert features[..., 384:].isnan().all()
    nose = index("nose")
    assert features[0, 0, [2 * nose, 2 * nose + 1, 36 + nose]].tolist() == [0, 0, 0]
    shoulder = index("right_shoulder")
    torch.testing.assert_close(
        features[0, 0, TRACKS["dwpose"]][[2 * shoulder, 2 * shoulder + 1, 36 + shoulder]],
        torch.tensor([0.5, 0.35, 1.0]),
    )


def test_features_are_where_the_keypoints_are():
    keypoints = torch.zeros(1, 3, 49, 2, device="meta")
    assert dwpose_features(keypoints, keypoints[..., 0]).device == keypoints.device
