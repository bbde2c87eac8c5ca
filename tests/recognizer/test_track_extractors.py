import re

import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
)

from recognizer.optional_weights import OPTIONAL_WEIGHTS
from recognizer.track_extractors import extract_depth, extract_mediapipe, extract_segmentation
from recognizer.tracks import TRACKS


def pictures(frames=2):
    return np.random.default_rng(0).integers(0, 256, (frames, 48, 40, 3), dtype=np.uint8)


@pytest.fixture
def depth_model(tmp_path):
    torch.manual_seed(0)
    backbone = Dinov2Config(
        image_size=28, patch_size=14, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        out_features=["stage1", "stage2"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=8, reassemble_factors=[1, 1],
        neck_hidden_sizes=[8, 8], fusion_hidden_size=8, head_hidden_size=4,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    DPTImageProcessor(size={"height": 28, "width": 28}, do_pad=False).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def segmentation_model(tmp_path):
    torch.manual_seed(0)
    config = SegformerConfig(
        num_encoder_blocks=1, depths=[1], sr_ratios=[1], hidden_sizes=[8], num_attention_heads=[1], patch_sizes=[7],
        strides=[4], mlp_ratios=[1], decoder_hidden_size=8, num_labels=5,
    )  # fmt: skip
    model = SegformerForSemanticSegmentation(config)
    with torch.no_grad():
        model.decode_head.classifier.weight.normal_()
    model.save_pretrained(tmp_path)
    SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_depth_goes_through_the_pipeline(depth_model):
    track = extract_depth(pictures(), depth_model)
    assert track.shape == (2, 576)
    assert track.min() == 0
    assert track.max() == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_segmentation_goes_through_the_pipeline(segmentation_model):
    track = extract_segmentation(pictures(), segmentation_model, shape=(32, 18))
    assert track.shape == (2, 576)
    assert set(np.unique(track)) <= {np.float32(label / 5) for label in range(5)}
    assert len(np.unique(track)) > 1
    with pytest.raises(ValueError, match="`frames` must hold at least one frame"):
        extract_segmentation([], segmentation_model)


@pytest.mark.parametrize(
    ("extract", "track"), [(extract_depth, "primedepth_depth"), (extract_segmentation, "sapiens_segmentation")]
)
def test_missing_weights_are_named_with_their_licence(extract, track, capsys):
    assert track in TRACKS
    weights = OPTIONAL_WEIGHTS[track]
    named = f"{weights.repository} (model.safetensors; {weights.licence}; commercial use: yes"
    with pytest.raises(ValueError, match=re.escape(named)):
        extract(pictures())
    assert f"Fetching {named}" in capsys.readouterr().err


def test_mediapipe_sees_nobody_in_noise():
    track = extract_mediapipe(pictures(1))
    assert track.shape == (1, 258)
    assert np.isnan(track).all()
