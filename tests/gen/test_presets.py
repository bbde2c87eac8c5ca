"""The ladder of presets, from the bundled renderer to one for several GPUs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import gen.train
from gen.learner import load_network
from gen.train import train
from gen.train_config import RendererTrainConfig

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
MILLIONS = {"signer-small": 7.5, "signer-medium": 39.9, "signer-large": 342.0}


def preset(name) -> RendererTrainConfig:
    given = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    as_declared = {"data": Path, "output": Path, "weights": Path, "block_channels": tuple, "num_blocks": tuple}
    return RendererTrainConfig(**{key: as_declared.get(key, lambda of: of)(value) for key, value in given.items()})


@pytest.mark.parametrize("name", MILLIONS)
def test_networks_are_as_large_as_is_said(name):
    config = preset(name)
    with torch.device("meta"):
        unet = load_network(config)
    assert sum(parameter.numel() for parameter in unet.parameters()) / 1e6 == pytest.approx(MILLIONS[name], abs=0.05)


@pytest.mark.long
@pytest.mark.parametrize("name", ["signer-medium", "signer-large"])
def test_a_tiny_copy_takes_a_step(name, clips, tmp_path, monkeypatch):
    """With everything else as the preset has it, but for compiling, which takes a minute."""
    monkeypatch.setattr(gen.train, "sample_grid", lambda *_: torch.zeros(1, 1, 3, dtype=torch.uint8).numpy())
    config = preset(name)
    tiny = replace(
        config,
        data=clips,
        output=tmp_path,
        block_channels=(8, 8, 64, 64),
        crop_size=16,
        num_frames=2,
        batch_size=1,
        steps=1,
        workers=0,
        compile=False,
    )
    assert (train(tiny) / "unet" / "config.json").is_file()
