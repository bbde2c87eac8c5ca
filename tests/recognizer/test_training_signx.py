import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from poses.fingerspelling import HELD_OUT_LANGUAGES
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.configuration_signx import SignXConfig
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.track_clips import TrackClip
from recognizer.tracks import NUM_FEATURES, TRACKS
from recognizer.training import TRAINING_LANGUAGES
from recognizer.training_signx import (
    Pose2GlossTrainConfig,
    load_pose2gloss,
    read_clips,
    spelled_clips,
    train,
    train_on,
    word_source,
    write_validation,
)
from recognizer.video2pose_estimator import WEIGHTS

ROOT = Path(__file__).parents[2]

TINY = {
    "latent_size": 16,
    "fusion_size": 8,
    "num_fusion_heads": 2,
    "codebook_size": 8,
    "codebook_dim": 8,
    "hidden_size": 16,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_glosses": 4,
    "dropout": 0.0,
}


def make_clips(number, *, split="train", seed=0):
    """Clips of two tracks whose gloss is the sign of everything in them."""
    rng = np.random.default_rng(seed)
    clips = []
    for row in range(number):
        features = np.full((6, NUM_FEATURES), np.nan, np.float32)
        for name in ("dwpose", "smplerx"):
            size = (6, TRACKS[name].stop - TRACKS[name].start)
            features[:, TRACKS[name]] = rng.normal(0.5 if row % 2 else -0.5, 0.1, size)
        clips.append(TrackClip(f"{split}-{row}", features, ("YES",) if row % 2 else ("NO",), split))
    return clips


@pytest.fixture
def config(tmp_path, save_clips):
    return Pose2GlossTrainConfig(
        output_dir=tmp_path / "run",
        data=save_clips([*make_clips(4), *make_clips(4, split="validation", seed=1)], "data"),
        network=TINY,
        num_steps=4,
        batch_size=4,
        checkpoint_every=2,
        warmup_steps=1,
    )


@pytest.mark.parametrize(("name", "least"), [("signx-published", 0.05), ("video2pose-published", 0.01)])
def test_published_schedules_end_where_table_6_says(name, least):
    preset = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert preset["min_lr_rate"] == least
    assert {path.stem for path in ROOT.glob("configs/*.yaml") if "min_lr_rate" in path.read_text()} == {
        "signx-published",
        "video2pose-published",
    }


def test_default_languages_validate_apart_and_leave_the_held_out_ones():
    config = Pose2GlossTrainConfig()
    assert config.validation_languages == ("ase", "ise", "sgg")
    assert len(config.training_languages) == 12
    assert not set(config.training_languages) & {*HELD_OUT_LANGUAGES, *config.validation_languages}


@pytest.mark.slow
def test_glosses_of_clips_are_learned(config):
    model, errors = train(
        replace(config, decoder_type="autoregressive", num_steps=30, learning_rate=1e-2, ema_decay=0.8, track_dropout=0)
    )
    assert errors.rate == 0
    assert errors.reference_length == 4
    assert json.loads((config.output_dir / "validation.json").read_text())["wer"] == 0
    loaded = SignXForPose2Gloss.from_pretrained(config.output_dir / "model")
    features = [clip.features for clip in make_clips(3)]
    assert read_clips(loaded, features) == read_clips(model, features) == [("NO",), ("YES",), ("NO",)]


def test_validation_holds_the_figures_of_papers(tmp_path):
    clip = TrackClip("spelled", np.zeros((1, NUM_FEATURES), np.float32), tuple("ABCD"), "validation")
    write_validation([clip], [tuple("ABC")], Pose2GlossTrainConfig(output_dir=tmp_path), pose2gloss_wer=0.5)
    found = json.loads((tmp_path / "validation.json").read_text())
    assert (found["wer"], found["deletions"], found["clips"], found["pose2gloss_wer"]) == (0.25, 1, 1, 0.5)
    shorter = np.exp(1 - 4 / 3)  # BLEU's brevity penalty
    assert found["bleu_1"]["value"] == pytest.approx(100 * shorter)
    assert found["bleu_4"]["value"] < found["bleu_1"]["value"]
    assert found["rouge_l"] == pytest.approx((1 + 1.2**2) * 0.75 / (0.75 + 1.2**2))
    assert all("version:" in found[name]["signature"] for name in ("bleu_1", "bleu_4", "chrf"))


def test_clips_of_phoenix_are_validated_by_its_rules(tmp_path):
    glosses = ("__ON__", "loc-REGEN", "A", "B", "MORGEN-PLUSPLUS")
    clip = TrackClip("weather", np.zeros((1, NUM_FEATURES), np.float32), glosses, "validation")
    read = [("REGEN", "A+B", "MORGEN", "MORGEN")]
    for clean_up, errors in (("", 5), ("phoenix-2014-t", 0)):
        config = Pose2GlossTrainConfig(output_dir=tmp_path, clean_up=clean_up)
        counted = write_validation([clip], read, config)
        assert counted.substitutions + counted.deletions + counted.insertions == errors
        assert json.loads((tmp_path / "validation.json").read_text()).get("clean_up", "") == clean_up
    with pytest.raises(ValueError, match=r"`clean_up` must be one of phoenix-2014, phoenix-2014-t, got 'phoenix'"):
        Pose2GlossTrainConfig(clean_up="phoenix")


@pytest.mark.long
def test_resumed_training_gives_the_same_weights_and_curve(config, train_twice):
    train_twice(train, config)
    lines = (config.output_dir / "curve.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert set(json.loads(lines[0])) == {"loss", "text", "length", "contrastive"}
    with Image.open(config.output_dir / "curve.png") as picture:
        assert len(picture.convert("RGB").getcolors(100_000)) > 4  # white, the grid, and a colour for each loss


@pytest.mark.long
def test_an_encoder_is_trained_further(config, tmp_path):
    first, _ = train(replace(config, decoder_type="ctc"))
    further = replace(config, output_dir=tmp_path / "further", num_steps=1, learning_rate=1e-9, ema_decay=0)
    further = replace(further, encoder_from=config.output_dir / "model")
    second, _ = train(further)
    torch.testing.assert_close(second.encoder_input[0].weight, first.encoder_input[0].weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(second.fusion.mean, first.fusion.mean)
    with pytest.raises(ValueError, match="`encoder_from` must have the network's sizes, got others in"):
        train(replace(further, output_dir=tmp_path / "other", network=TINY | {"latent_size": 8}))
    with pytest.raises(ValueError, match="`encoder_from` must be a trained Pose2Gloss's folder, got"):
        train(replace(further, output_dir=tmp_path / "none", encoder_from=tmp_path))


def save_pose2gloss(folder, **changes):
    torch.manual_seed(0)
    model = SignXForPose2Gloss(SignXConfig(decoder_type="ctc", **TINY | changes))
    model.save_pretrained(folder)
    return model


def test_a_pose2gloss_of_half_precision_is_read_in_full(tmp_path):
    halved = save_pose2gloss(tmp_path).half()
    halved.save_pretrained(tmp_path)
    loaded = load_pose2gloss(tmp_path, "pose2gloss")
    assert (loaded.dtype, loaded.training) == (torch.float32, False)
    torch.testing.assert_close(loaded.gloss_embedding.weight, halved.gloss_embedding.weight.float(), rtol=0, atol=0)


def test_folders_without_a_pose2gloss_are_refused(tmp_path):
    said = r"`pose2gloss` must be a trained Pose2Gloss's folder, got '.*"
    with pytest.raises(ValueError, match=said + r"nowhere' without config.json\.$"):
        load_pose2gloss(tmp_path / "nowhere", "pose2gloss")
    with pytest.raises(ValueError, match=said + r"names SignXForVideo2Pose in place of SignXForPose2Gloss\.$"):
        load_pose2gloss(WEIGHTS, "pose2gloss")
    save_pose2gloss(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for change in ({"latent_size": 8}, {"num_encoder_layers": 2}):
        save_pose2gloss(tmp_path, **change)
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(ValueError, match=said + r"whose weights are not those of its config.json: \w+\."):
            load_pose2gloss(tmp_path, "pose2gloss")
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({key: facts[key] for key in facts if key != "architectures"}))
    with pytest.raises(ValueError, match="names nothing in place of"):
        load_pose2gloss(tmp_path, "pose2gloss")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"without model.safetensors\.$"):
        load_pose2gloss(tmp_path, "pose2gloss")


def test_words_are_composed_of_letters_of_the_training_languages(tmp_path):
    config = Pose2GlossTrainConfig(
        output_dir=tmp_path / "run",
        network=TINY | {"frame_stride": 2},
        validation_languages=tuple(code for code in TRAINING_LANGUAGES if code != "eso"),
        num_words=3,
        max_letters=2,
        batch_size=3,
        num_steps=1,
        decoder_type="autoregressive",
    )
    assert config.training_languages == ("eso",)
    batches = word_source(config)
    batch = next(batches(0))
    assert not batch["features"][0, 0, TRACKS["dwpose"]].isnan().any()
    assert batch["features"][..., TRACKS["dwpose"].stop :].isnan().all()
    labels = batch["labels"]
    assert set(labels[:, 0].tolist()) <= set(range(26))
    assert (labels.max(), labels.min()) <= (25, 0)
    model = train_on(batches, ALPHABET, config)
    clips, again = (spelled_clips(["eso"], words_per_language=2, max_letters=2) for _ in range(2))
    assert [clip.glosses for clip in clips] == [clip.glosses for clip in again]
    assert len(read_clips(model, [clip.features for clip in clips])) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation_languages": ("gsg",)}, "`validation_languages` must be among ase, .*, got 'gsg'"),
        ({"num_words": 0}, "`num_words` must be at least 1, got 0"),
        ({"track_dropout": 1.5}, r"`track_dropout` must be in \[0, 1\], got 1.5"),
        ({"teacher_forcing": (2.0, 0.0)}, r"`teacher_forcing` must be in \[0, 1\], got \(2.0, 0.0\)"),
        ({"network": {"depth": 3}}, "`network` must hold fields of SignXConfig, got 'depth'"),
        (
            {"network": {"decoder_type": "ctc"}},
            "`network` must leave the decoder to the option `decoder_type`, got .*ctc",
        ),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Pose2GlossTrainConfig(**change)


def test_languages_without_these_letters_are_refused():
    with pytest.raises(ValueError, match="`languages` must have letters A to Z, got 'jos', which has none"):
        spelled_clips(["jos"])


def test_clips_need_room_where_ctc_reads_every_second_frame_and_nowhere_else(config, save_clips, tmp_path):
    (clip,) = make_clips(1)
    data = save_clips([replace(clip, glosses=("NO", "YES", "NO"))], "three")  # 6 frames, 4 at the fastest pace
    other = replace(config, data=data, network=TINY | {"frame_stride": 2}, num_steps=1)
    said = "three: train-0 must have more frames for its 3 glosses, found 6"
    with pytest.raises(ValueError, match=said):
        train(replace(other, decoder_type="ctc"))
    with pytest.raises(ValueError, match=said):
        train(replace(other, decoder_type="autoregressive", network=other.network | {"ctc_loss_weight": 0.3}))
    single = save_clips([replace(clip, features=clip.features[:1])], "single")
    trains = [("diffusion", 2, data), ("autoregressive", 2, data), ("ctc", 1, data), ("ctc", 2, single)]
    for number, (decoder_type, stride, folder) in enumerate(trains):
        network = TINY | {"frame_stride": stride}
        run = replace(other, output_dir=tmp_path / f"{number}", decoder_type=decoder_type, network=network, data=folder)
        train(run)


def test_clips_with_too_many_glosses_are_named(config, save_clips):
    (clip,) = make_clips(1)
    data = save_clips([replace(clip, glosses=("NO",) * 5)], "long")
    said = "long: train-0 must have at most 4 glosses, the network's `max_glosses`, found 5"
    with pytest.raises(ValueError, match=said):
        train(replace(config, data=data))
    with pytest.raises(ValueError, match="`max_letters` must be at most the network's `max_glosses`, 4, got 5"):
        train(replace(config, data=None, max_letters=5))


def test_data_without_training_clips_is_refused(config, save_clips):
    unseen = save_clips(make_clips(2, split="validation"), "unseen")
    with pytest.raises(ValueError, match="unseen: must hold clips of the split train, found none"):
        train(replace(config, data=unseen))
