import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from poses.estimators import extract_poses
from poses.keypoints import NAMES, index
from poses.sequence import PoseFileError
from poses.video import write_video
from recognizer.configuration_signx import SignXConfig
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.modeling_video2pose import SignXForVideo2Pose
from recognizer.processing_video2pose import Video2PoseProcessor
from recognizer.track_clips import write_table
from recognizer.training_video2pose import Video2PoseTrainConfig, shares_right, train
from recognizer.video2pose_estimator import STEEPNESS, Video2PoseEstimator, hands_confidence
from recognizer.video_augmentation import mirrored_points
from recognizer.video_clips import read_signer_clips, video_batches

TINY = {
    "image_size": 16,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_temporal_layers": 1,
    "temporal_window": 2,
}
READER = {"latent_size": 6, "fusion_size": 8, "num_fusion_heads": 2, "codebook_size": 4, "codebook_dim": 4}
READER |= {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_encoder_layers": 1}


def make_clip(folder, seed):
    """A white square on black; all points lie in its middle but the shoulders, which are its edges."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    frames, keypoints = np.zeros((5, 32, 32, 3), np.uint8), np.zeros((5, 128, 2), np.float32)
    for frame, (row, column) in enumerate(rng.integers(8, 24, (5, 2))):
        frames[frame, row - 4 : row + 4, column - 4 : column + 4] = 255
        keypoints[frame] = column / 32, row / 32
        keypoints[frame, 2, 0] -= 4 / 32
        keypoints[frame, 5, 0] += 4 / 32
    np.save(folder / "frames.npy", frames)
    np.save(folder / "keypoints.npy", keypoints)
    np.save(folder / "confidence.npy", np.ones((5, 128), np.float32))


@pytest.fixture
def config(tmp_path):
    for split, number in (("train", 4), ("validation", 1)):
        for clip in range(number):
            make_clip(tmp_path / "data" / split / f"{clip:06d}", clip)
    return Video2PoseTrainConfig(
        output_dir=tmp_path / "run",
        data=tmp_path / "data",
        network=TINY,
        num_frames=2,
        num_steps=4,
        batch_size=2,
        checkpoint_every=2,
        warmup_steps=1,
    )


@pytest.fixture
def reader(tmp_path):
    torch.manual_seed(0)
    model = SignXForPose2Gloss(SignXConfig(decoder_type="ctc", num_decoder_layers=1, **READER))
    model.save_pretrained(tmp_path / "reader")
    return tmp_path / "reader"


def test_points_stay_where_the_picture_shows_them(config):
    clips = read_signer_clips(config.data / "train", None)
    films = [clip.film(torch.device("cpu")) for clip in clips]
    batch = next(video_batches(clips, films, Video2PoseProcessor(image_size=64), num_frames=4, batch_size=4, seed=0))
    assert batch["pixel_values"].shape == (4, 4, 3, 64, 64)
    shown = batch["confidence"][..., 0] > 0
    assert shown.sum() > 8
    for pixels, points in zip(batch["pixel_values"][shown], batch["keypoints"][shown], strict=True):
        x, y = (points[0] * 64).long().tolist()
        assert pixels[:, y, x].mean() > pixels.mean() + 0.3


def test_left_is_right_in_a_mirror():
    other = mirrored_points()
    assert [other[place] for place in other] == list(range(128))
    pairs = {
        "nose": "nose",
        "left_wrist": "right_wrist",
        "left_hand_index_tip": "right_hand_index_tip",
        "face_jaw_2": "face_jaw_14",
        "face_right_brow_0": "face_left_brow_4",
        "face_nose_bridge_1": "face_nose_bridge_1",
        "face_right_eyelid_0": "face_left_eyelid_3",
        "face_right_eyelid_4": "face_left_eyelid_5",
        "face_outer_lip_0": "face_outer_lip_6",
        "face_outer_lip_7": "face_outer_lip_11",
        "face_inner_lip_5": "face_inner_lip_7",
    }
    assert {name: NAMES[other[index(name)]] for name in pairs} == pairs


def test_augmentation_is_the_same_for_the_same_seed_and_changes_with_it(config):
    clips = read_signer_clips(config.data / "train", None)
    films = [clip.film(torch.device("cpu")) for clip in clips]

    def pixels(seed):
        batches = video_batches(clips, films, Video2PoseProcessor(image_size=16), num_frames=2, batch_size=4, seed=seed)
        return next(batches)["pixel_values"]

    assert torch.equal(pixels(0), pixels(0))
    assert not torch.equal(pixels(0), pixels(1))
    assert pixels(0).abs().max() <= 1


@pytest.mark.slow
def test_resumed_training_gives_the_same_weights_and_learns_latents(config, reader, train_twice):
    model, accuracy = train_twice(train, replace(config, pose2gloss=reader, frozen_steps=1))
    assert model.config.latent_size == 6
    assert accuracy.clips == 1
    assert -1 <= accuracy.latent_cosine <= 1
    assert json.loads((config.output_dir / "validation.json").read_text())["body"] == accuracy.body
    assert "latent" in json.loads((config.output_dir / "curve.jsonl").read_text().splitlines()[0])


@pytest.mark.slow
def test_a_frozen_vision_transformer_keeps_its_weights(config):
    trained, _ = train(replace(config, frozen_steps=4))
    torch.manual_seed(0)
    fresh, _ = train(replace(config, output_dir=config.output_dir / "again", frozen_steps=4, learning_rate=1e-9))
    for name, weight in fresh.vit.state_dict().items():
        torch.testing.assert_close(trained.vit.state_dict()[name], weight)
    assert not torch.equal(trained.correction.bias, fresh.correction.bias)


@pytest.mark.long
def test_training_starts_from_a_pretrained_vision_transformer(config, tmp_path):
    given = SignXForVideo2Pose.config_class(**TINY)
    torch.manual_seed(5)
    vit = SignXForVideo2Pose(given).vit
    vit.save_pretrained(tmp_path / "vit")
    trained, _ = train(replace(config, backbone=str(tmp_path / "vit"), learning_rate=1e-9))
    torch.testing.assert_close(trained.vit.embeddings.cls_token, vit.embeddings.cls_token)
    again = replace(config, output_dir=tmp_path / "again")
    wider = replace(again, backbone=str(tmp_path / "vit"), network=TINY | {"hidden_size": 8})
    with pytest.raises(ValueError, match=r"`backbone` must have the network's sizes, got others in .*vit: "):
        train(wider)
    with pytest.raises(ValueError, match="`backbone` must be on this machine or to be fetched, got 'no/where'"):
        train(replace(again, backbone="no/where"))


@pytest.mark.slow
def test_glosses_of_videos_are_learned_through_the_frozen_reader(config, reader, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "one.mp4", np.full((6, 32, 32, 3), 90, np.uint8), fps=12)
    write_table([("one", ["A", "B"], "train"), ("two", ["C"], "validation")], videos / "glosses.csv")
    trained, _ = train(replace(config, pose2gloss=reader, videos=videos, batch_size=1))
    rows = [json.loads(line) for line in (config.output_dir / "curve.jsonl").read_text().splitlines()]
    assert [set(row) == {"loss", "text"} for row in rows] == [False, True, False, True]
    assert isinstance(trained, SignXForVideo2Pose)
    write_table([("one", ["BOOK"], "train")], videos / "glosses.csv")
    with pytest.raises(ValueError, match="`sequences` must hold glosses that the network knows, got 'BOOK'"):
        train(replace(config, pose2gloss=reader, videos=videos, output_dir=tmp_path / "again"))
    with pytest.raises(ValueError, match="`pose2gloss` must be given where `videos` is"):
        replace(config, videos=videos)


@pytest.mark.long
def test_what_was_trained_estimates_poses(config, tmp_path):
    trained, _ = train(config)
    estimator = Video2PoseEstimator(config.output_dir / "model")
    estimator._model.confidence_head.bias.data.fill_(9)  # it has not learned to be sure
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 20, 40, 3), np.uint8))
    poses = extract_poses(frames, fps=10, estimator=estimator)
    pixels = Video2PoseProcessor(16)(frames)["pixel_values"]
    with torch.no_grad():
        last = trained(pixels).keypoints[0, -1].numpy()
    expected = Video2PoseProcessor(16).to_frame(last, 20, 40)
    seen = poses.confidence[-1] > 0
    assert seen.any()
    np.testing.assert_allclose(poses.keypoints[-1][seen], expected[seen], atol=1e-5)
    assert estimator.version.startswith("video2pose ")
    trained.half().save_pretrained(config.output_dir / "model")
    assert Video2PoseEstimator(config.output_dir / "model")._model.dtype == torch.float32
    with pytest.raises(ValueError, match=r"config.json: this file of Video2Pose is missing.*signloop train video2pose"):
        Video2PoseEstimator(tmp_path / "nowhere")


def test_hands_with_wide_heatmaps_are_unsure():
    keypoints = torch.zeros(128, 2)
    keypoints[index("left_shoulder"), 0] = 0.5
    heatmaps = torch.full((128, 50, 50), -1e9)
    hand = index("left_hand_wrist", "right_hand_wrist")
    heatmaps[hand, 0, 0] = 1
    confidence = hands_confidence(heatmaps, keypoints)
    assert set(confidence[[0, 21]].tolist()) == {1}
    heatmaps[hand[1], 0, 23] = 1  # 0.46 apart: a deviation of 0.23, as much as 0.46 shoulder widths of 0.5
    assert hands_confidence(heatmaps, keypoints)[21] == pytest.approx(0.5, abs=1e-3)
    keypoints *= 2
    assert hands_confidence(heatmaps, keypoints)[21] == pytest.approx(1 / (1 + 0.5**STEEPNESS), abs=1e-3)
    keypoints *= 0
    assert not hands_confidence(heatmaps, keypoints)[21]


def test_points_within_a_fifth_of_the_shoulders_are_right():
    true = np.zeros((1, 128, 2))
    true[0, 2], true[0, 5] = (0.2, 0.5), (0.6, 0.5)
    found = true.copy()
    found[0, :9, 1] += 0.07
    found[0, 9:18, 1] += 0.09
    shown = np.ones((1, 128), bool)
    assert shares_right(found, true, shown) == (0.5, 1.0)
    shown[:, 18:60] = False
    assert np.isnan(shares_right(found, true, shown)[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 0}, "`num_frames` must be at least 1, got 0"),
        ({"network": {"depth": 3}}, "`network` must hold fields of Video2PoseConfig, got 'depth'"),
        ({"gradient_accumulation": 0}, "`gradient_accumulation` must be at least 1, got 0"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Video2PoseTrainConfig(**change)


def test_wrong_data_are_refused(config, tmp_path):
    with pytest.raises(ValueError, match=r"`num_frames` must be at most 4, as in .*000000/frames.npy, got 5"):
        train(replace(config, num_frames=5))
    with pytest.raises(ValueError, match=r"`pose2gloss` must be a trained Pose2Gloss's folder, got '.*data' without"):
        train(replace(config, pose2gloss=config.data))
    with pytest.raises(ValueError, match="empty: must hold clips that `signloop signers make` made, found none"):
        read_signer_clips(tmp_path / "empty", None)
    np.save(config.data / "train" / "000000" / "keypoints.npy", np.zeros((3, 128, 2), np.float32))
    with pytest.raises(PoseFileError, match="000000: must hold as many frames as poses"):
        read_signer_clips(config.data / "train", None)
