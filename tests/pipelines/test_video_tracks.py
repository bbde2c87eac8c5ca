import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.progress import Stages
from pipelines.video_tracks import EXTRACTORS, FPS, extract_tracks
from poses.fingerspelling import spell
from poses.video import write_video
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.processing_signx import signer_track
from recognizer.tracks import NUM_FEATURES, SMPLX_POSES, TRACKS, split_tracks


class KnowingEstimator:
    """Finds in each frame what a clip of poses holds there."""

    name = version = "knowing"

    def __init__(self, poses):
        self.poses = poses
        self.reset()

    def reset(self):
        self.frames = zip(self.poses.keypoints, self.poses.confidence, strict=True)

    def estimate(self, frame):
        return next(self.frames)

    def close(self):
        pass


@pytest.fixture
def video(tmp_path, monkeypatch):
    """Twelve frames at half the rate, of which each is as bright as it is late."""
    poses = spell("ABC", "ase", fps=12)[:12]
    write_video(tmp_path / "a.mp4", (np.full((64, 64, 3), 20 * number, np.uint8) for number in range(12)), fps=12)
    monkeypatch.setattr("pipelines.estimators.create_estimator", lambda name: KnowingEstimator(poses))
    monkeypatch.setattr("pipelines.video_tracks.EXTRACTORS", dict(EXTRACTORS, mediapipe_pose=brightness))
    return tmp_path / "a.mp4", poses


def brightness(frames):
    return np.stack([np.full(258, frame.mean(), np.float32) for frame in frames])


def test_tracks_of_a_video_lie_in_their_places_at_one_rate(video, tmp_path):
    path, poses = video
    (tmp_path / "smplx").mkdir()
    for frame in (1, 3):
        arrays = {name: np.full((joints, 3), frame, np.float32) for name, joints in SMPLX_POSES.items()}
        np.savez(tmp_path / "smplx" / f"{frame:05d}_0.npz", **arrays)
    features = extract_tracks(
        path,
        ["dwpose", "mediapipe_pose"],
        estimator=KnowingEstimator(poses),
        smplerx=tmp_path,
        stages=Stages(show=False),
    )
    assert features.shape == (2 * 12, NUM_FEATURES)
    found = split_tracks(features)
    assert list(found) == ["dwpose", "mediapipe_pose", "smplerx"]
    own_rate = signer_track(replace(poses, width=64, height=64), SignRecognizerProcessor(frame_rate=12))
    np.testing.assert_allclose(found["dwpose"][::2], own_rate, atol=1e-5)
    np.testing.assert_allclose(found["mediapipe_pose"][::2, 0], 20 * np.arange(12), atol=3)
    assert found["smplerx"][[0, 4], 0].tolist() == [1, 3]
    assert np.isnan(features[2, TRACKS["smplerx"]]).all()


def test_command_writes_a_clip_of_tracks(video, tmp_path, capfd):
    path, _ = video
    assert main(["tracks", str(path), str(tmp_path / "a.npz"), "--tracks", "mediapipe_pose", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["num_frames"], facts["tracks"]) == (int(12 * FPS / 12), ["mediapipe_pose"])
    with np.load(tmp_path / "a.npz") as arrays:
        assert list(arrays) == ["mediapipe_pose"]
    own = ["tracks", str(path), str(tmp_path / "b.npz"), "--tracks", "mediapipe_pose", "--fps"]
    assert main([*own, "12", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["num_frames"] == 12
    assert main([*own, "4", "--overwrite"]) == 2
    assert "`fps` must be from 5 to 120, got 4" in capfd.readouterr().err


def test_what_would_be_refused_in_the_end_is_refused_at_once(video, tmp_path, monkeypatch):
    monkeypatch.delattr("pipelines.video_tracks.extract_from_video")
    given = {"estimator": KnowingEstimator(video[1]), "stages": Stages(show=False)}
    write_video(tmp_path / "slow.mp4", np.zeros((2, 64, 64, 3), np.uint8), fps=1)
    with pytest.raises(ValueError, match=r"slow\.mp4: expected 5 to 120 frames per second, found 1\."):
        extract_tracks(tmp_path / "slow.mp4", ["dwpose"], **given)
    with pytest.raises(ValueError, match="`smplerx` must be a folder with results of SMPLer-X, got 'no'"):
        extract_tracks(video[0], ["dwpose"], smplerx=Path("no"), **given)


@pytest.mark.parametrize(("tracks", "named"), [(["smplerx"], "smplerx"), ([], "none")])
def test_unknown_tracks_are_refused(video, tracks, named):
    with pytest.raises(ValueError, match=f"`tracks` must be among dwpose, .*, got '{named}'"):
        extract_tracks(video[0], tracks, estimator=KnowingEstimator(video[1]), stages=Stages(show=False))
