import json

import numpy as np
import pytest

from gen.signers.body import load_body
from gen.signers.fit import BodyMotion, Camera
from pipelines.synthetic_tracks import FPS, SyntheticTracksConfig, five_tracks, make_tracks
from poses.keypoints import index
from recognizer.track_clips import read_track_clips
from recognizer.tracks import TRACKS, track_size
from tests.gen.conftest import rest_motion


def at_rest(turn=None):
    """Two frames of a body at rest, the second with its right upper arm and all that hangs on it turned by `turn`."""
    body = load_body()
    linear, positions, expression = rest_motion(body, 2)
    if turn is not None:
        first = body.bone("upperarm01.R")
        moved = [first]
        for bone, parent in enumerate(body.parents):
            if parent in moved:
                moved.append(bone)
        linear[1, moved] = turn
        positions[1, moved] = positions[1, first] + (positions[1, moved] - positions[1, first]) @ turn.T
    camera = Camera(1 / 1.8, (0.5, 0.95), 1.0)
    seen = np.ones((2, 2), bool)
    return body, BodyMotion(linear, positions, expression, camera, np.zeros((2, 3), np.float32), seen, seen)


def test_tracks_have_the_published_sizes_and_say_what_the_body_does():
    quarter = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)  # about the axis away from the camera
    body, motion = at_rest(quarter)
    tracks = five_tracks(body, motion)
    assert {name: track.shape for name, track in tracks.items()} == {name: (2, track_size(name)) for name in TRACKS}
    smplerx = tracks["smplerx"].reshape(2, 55, 3)
    np.testing.assert_allclose(smplerx[0], 0, atol=1e-6)
    turned = np.flatnonzero(np.abs(smplerx[1]).max(axis=1) > 1e-5)
    right_shoulder = 17  # SMPL-X's number of it
    assert turned.tolist() == [right_shoulder]
    np.testing.assert_allclose(smplerx[1, right_shoulder], [0, 0, -np.pi / 2], atol=1e-5)
    pose = tracks["mediapipe_pose"][0, :132].reshape(33, 4)
    hips = pose[23:25]
    np.testing.assert_allclose(hips[:, 2].sum(), 0, atol=1e-5)
    assert pose[0, 2] < 0  # the nose is nearer than the hips
    assert pose[11, 0] > pose[12, 0]  # the signer's left is right in the picture
    expected = motion.camera.project(body.keypoints[index("nose")])
    np.testing.assert_allclose(pose[0, :2], expected[:2], atol=1e-5)
    depth = tracks["primedepth_depth"][0].reshape(24, 24)
    parts = tracks["sapiens_segmentation"][0].reshape(24, 24)
    assert (parts[12, 0], parts[12, 12] > 0) == (0, True)
    assert depth[12, 0] == 0 < depth[12, 12]


@pytest.mark.long
def test_made_clips_are_read_and_go_on(tmp_path, capfd):
    make_tracks(SyntheticTracksConfig(output=tmp_path / "tracks", train=1, validation=0, max_letters=1))
    first = read_track_clips(tmp_path / "tracks")
    made = make_tracks(SyntheticTracksConfig(output=tmp_path / "tracks", train=1, validation=1, max_letters=1))
    capfd.readouterr()
    clips = read_track_clips(tmp_path / "tracks")
    assert made.num_out == 2
    assert [clip.split for clip in clips] == ["train", "validation"]
    np.testing.assert_array_equal(clips[0].features, first[0].features)
    for clip in clips:
        assert len(clip.glosses) == 1
        assert np.isfinite(clip.features).all()
        assert FPS / 4 < len(clip.features) < 8 * FPS
    assert json.loads((tmp_path / "tracks" / "job.json").read_text())["settings"] == {"max_letters": 1}


def test_wrong_configurations_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`train` must be at least 1, got 0"):
        SyntheticTracksConfig(output=tmp_path, train=0)
