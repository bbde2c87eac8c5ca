import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizer.configuration_cslr import SignXCSLRConfig
from recognizer.configuration_signx import SignXConfig
from recognizer.modeling_cslr import SignXForCSLR
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.track_clips import TrackClip
from recognizer.tracks import NUM_FEATURES, TRACKS
from recognizer.training import TRAINING_LANGUAGES
from recognizer.training_cslr import CSLRTrainConfig, read_latents, train
from recognizer.training_signx import fits, load_pose2gloss, word_source

ROOT = Path(__file__).parents[2]

READER = {"latent_size": 8, "fusion_size": 8, "num_fusion_heads": 2, "codebook_size": 4, "codebook_dim": 4}
READER |= {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_encoder_layers": 1}
TINY = {
    "feature_size": 8,
    "temporal_size": 16,
    "hidden_size": 16,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_glosses": 4,
    "dropout": 0.0,
    "frame_drop": 0.0,
}


def make_clips(number, *, split="train"):
    """Clips of two glosses, which the sign of everything tells."""
    clips = []
    for row in range(number):
        features = np.full((24, NUM_FEATURES), np.nan, np.float32)
        signs = np.repeat([1, -1] if row % 2 else [-1, 1], 12)[:, None]
        features[:, TRACKS["dwpose"]] = signs * np.linspace(0.5, 1, 384, dtype=np.float32)
        clips.append(TrackClip(f"{split}-{row}", features, ("YES", "NO") if row % 2 else ("NO", "YES"), split))
    return clips


@pytest.fixture
def config(tmp_path, save_clips):
    torch.manual_seed(0)
    names = {0: "NO", 1: "YES"}
    SignXForPose2Gloss(SignXConfig(decoder_type="ctc", num_decoder_layers=1, id2label=names, **READER)).save_pretrained(
        tmp_path / "reader"
    )
    return CSLRTrainConfig(
        output_dir=tmp_path / "run",
        data=save_clips([*make_clips(4), *make_clips(2, split="validation")], "data"),
        pose2gloss=tmp_path / "reader",
        network=TINY,
        num_steps=4,
        batch_size=4,
        checkpoint_every=2,
        warmup_steps=1,
    )


@pytest.mark.slow
def test_glosses_of_clips_are_learned(config):
    _, errors = train(replace(config, num_steps=80, checkpoint_every=80, learning_rate=1e-2, ema_decay=0.8))
    assert errors.rate == 0
    validation = json.loads((config.output_dir / "validation.json").read_text())
    assert (validation["wer"], validation["clips"]) == (0, 2)
    assert validation["pose2gloss_wer"] > 0
    loaded = SignXForCSLR.from_pretrained(config.output_dir / "model").eval()
    reader = SignXForPose2Gloss.from_pretrained(config.pose2gloss).eval()
    features = [clip.features for clip in make_clips(2)]
    assert read_latents(loaded, reader, features) == [("NO", "YES"), ("YES", "NO")]


@pytest.mark.slow
def test_resumed_training_gives_the_same_weights_curve_and_pruning(config, train_twice):
    train_twice(train, replace(config, prune_every=3))
    lines = (config.output_dir / "curve.jsonl").read_text().splitlines()
    assert set(json.loads(lines[3])) == {"loss", "conv_ctc", "sequence_ctc", "distillation", "text", "ctc"}


@pytest.mark.slow
def test_latents_that_hardly_vary_are_pruned_when_it_is_time(config, monkeypatch):
    steps = []
    monkeypatch.setattr(SignXForCSLR, "prune", lambda self, latents, mask: steps.append(latents.shape))
    train(replace(config, prune_every=2))
    assert len(steps) == 1


@pytest.mark.slow
def test_two_processes_train_two_networks_alike_and_one_saves(config, tmp_path):
    program = """
import json, os, sys
from pathlib import Path
import torch
from recognizer.training_cslr import CSLRTrainConfig, SignXForCSLR, train
given = json.loads(sys.argv[1])
given |= {name: Path(given[name]) for name in ("data", "pose2gloss", "output_dir")}
save, rank = SignXForCSLR.save_pretrained, os.environ["RANK"]
def saved(self, folder):
    (folder.parent / f"saved-by-{rank}").touch()
    save(self, folder)
SignXForCSLR.save_pretrained = saved
for fold in ("first", "second"):
    model, _ = train(CSLRTrainConfig(**given | {"output_dir": given["output_dir"] / fold}))
torch.save(model.state_dict(), given["output_dir"] / f"{rank}.pt")
"""
    (tmp_path / "program.py").write_text(program)
    run = replace(config, network=TINY | {"covariance": True}, batch_size=2, prune_every=2, teacher_forcing=(1.0, 1.0))
    given = json.dumps({name: value for name, value in asdict(run).items() if name != "resume"}, default=str)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = os.environ | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    subprocess.run([*launch, str(tmp_path / "program.py"), given], cwd=ROOT, env=env, check=True)
    first, second = (torch.load(config.output_dir / f"{rank}.pt") for rank in range(2))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)
    assert first["covariance"].any()
    for fold in ("first", "second"):
        assert [path.name for path in (config.output_dir / fold).glob("saved-by-*")] == ["saved-by-0"]
    loaded = SignXForCSLR.from_pretrained(config.output_dir / "second" / "model")
    torch.testing.assert_close(loaded.covariance, first["covariance"], rtol=0, atol=0)


@pytest.mark.parametrize(("glosses", "frames"), [("AB", 5), ("AA", 9), ("A", 1)])
def test_every_gloss_needs_a_step_and_repeated_ones_another(glosses, frames):
    assert fits(glosses, frames, 4)
    assert not fits(glosses, frames - 1, 4)


@pytest.mark.slow
def test_words_too_short_for_ctc_are_left_out(config, monkeypatch):
    others = tuple(code for code in TRAINING_LANGUAGES if code != "eso")
    words = replace(config, data=None, num_words=8, max_letters=3, batch_size=8, validation_languages=others)
    sizes = [next(word_source(words, frames_per_step=step)(0))["labels"].shape for step in (1, 1000)]
    assert sizes[0] == (8, 3)
    assert sizes[1][1] == 1
    monkeypatch.setattr("recognizer.training_signx.fits", lambda *args: False)
    with pytest.raises(ValueError, match="`num_words` must be higher: of 8 words none is long enough for CTC"):
        word_source(words)


def test_latents_of_no_track_are_not_read(config):
    reader = load_pose2gloss(config.pose2gloss, "pose2gloss")
    model = SignXForCSLR(SignXCSLRConfig(latent_size=8, id2label={0: "NO", 1: "YES"}, **TINY)).eval()
    features = [clip.features for clip in make_clips(2)]
    assert len(read_latents(model, reader, features)) == 2
    with pytest.raises(ValueError, match="`features` must show a track in every clip, got none in clip 1"):
        read_latents(model, reader, [features[0], np.full((9, NUM_FEATURES), np.nan, np.float32)])


def test_wrong_data_are_refused(config, tmp_path, save_clips):
    clips = [replace(clip, features=clip.features[:5]) for clip in make_clips(1)]
    with pytest.raises(ValueError, match="short: train-0 must have more frames for its 2 glosses, found 5"):
        train(replace(config, data=save_clips(clips, "short")))
    with pytest.raises(ValueError, match=r"`pose2gloss` must be a trained Pose2Gloss's folder, got '.*nothing'"):
        train(replace(config, pose2gloss=tmp_path / "nothing"))
    with pytest.raises(ValueError, match="`prune_every` must be at least 0, got -1"):
        replace(config, prune_every=-1)
    with pytest.raises(ValueError, match="`network` must hold fields of SignXCSLRConfig, got 'depth'"):
        replace(config, network={"depth": 1})
