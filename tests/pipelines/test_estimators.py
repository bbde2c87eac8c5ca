import numpy as np
import pytest
import torch

from pipelines.cli import main
from pipelines.estimators import ESTIMATORS, create_estimator
from poses.io import load_poses
from poses.video import write_video
from recognizer.configuration_video2pose import Video2PoseConfig
from recognizer.modeling_video2pose import SignXForVideo2Pose
from recognizer.processing_video2pose import Video2PoseProcessor


@pytest.mark.slow
def test_a_trained_video2pose_extracts_poses(tmp_path):
    torch.manual_seed(0)
    config = Video2PoseConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        num_temporal_layers=1, temporal_window=1, latent_size=4,
    )  # fmt: skip
    model = SignXForVideo2Pose(config)
    torch.nn.init.constant_(model.confidence_head.bias, 9)
    model.save_pretrained(tmp_path / "model")
    Video2PoseProcessor(16).save_pretrained(tmp_path / "model")
    write_video(tmp_path / "clip.mp4", np.full((3, 32, 48, 3), 128, np.uint8), fps=12)
    estimator = f"video2pose={tmp_path / 'model'}"
    assert main(["extract", str(tmp_path / "clip.mp4"), str(tmp_path / "out.npz"), "--estimator", estimator]) == 0
    poses = load_poses(tmp_path / "out.npz")
    assert (len(poses), poses.width, poses.height) == (3, 48, 32)
    assert (poses.confidence > 0.9).mean() > 0.9


def test_what_is_no_estimator_is_refused(tmp_path, monkeypatch):
    said = f"`estimator` must be one of {', '.join(ESTIMATORS)}, got"
    for name in ("alphapose", "mediapipe=somewhere"):
        with pytest.raises(ValueError, match=f"{said} '{name}'"):
            create_estimator(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^runs/video2pose/model/config.json: .*`signloop train video2pose"):
        create_estimator("video2pose")
