import numpy as np
import pytest
import torch

from gen.renderers import create_renderer
from pipelines.cli import main
from pipelines.estimators import ESTIMATORS, create_estimator
from pipelines.inputs import load_signer
from pipelines.measures.pose import visible_points
from poses.fingerspelling import spell
from poses.io import load_poses
from poses.keypoints import PARTS
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
    assert (poses.confidence[:, PARTS["body"]] > 0.9).mean() > 0.9


def test_what_is_no_estimator_is_refused(tmp_path):
    said = f"`estimator` must be one of {', '.join(ESTIMATORS)}, got"
    for name in ("alphapose", "mediapipe=somewhere"):
        with pytest.raises(ValueError, match=f"{said} '{name}'"):
            create_estimator(name)
    with pytest.raises(ValueError, match=r"this file of Video2Pose is missing; .*`signloop train video2pose"):
        create_estimator(f"video2pose={tmp_path}")


@pytest.mark.slow
def test_the_video2pose_of_the_package_finds_a_drawn_signer(tmp_path):
    poses, signer = spell("L", "ase"), load_signer("alex", consent=None, height=128, width=128)
    start, renderer = poses.glosses[0].start, create_renderer("avatar")
    driving = renderer.place(poses, signer, height=128, width=128)(poses[start : start + 4])
    write_video(tmp_path / "clip.mp4", renderer.render(driving, signer), fps=driving.fps)
    assert main(["extract", str(tmp_path / "clip.mp4"), str(tmp_path / "out.npz"), "--estimator", "video2pose"]) == 0
    found = load_poses(tmp_path / "out.npz")
    apart = np.linalg.norm(found.pixels() - driving.pixels(), axis=2) / driving.shoulder_width_px()
    shown = visible_points(driving)
    for part in ("body", "right_hand", "face"):
        of = apart[:, PARTS[part]][shown[:, PARTS[part]]]
        assert (of < 0.2).mean() > 0.8, part
