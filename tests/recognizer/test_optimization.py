import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from recognizer.optimization import LoopConfig, optimize


class Scale(torch.nn.Module):
    """One number, whose loss is its mean distance from the batch."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(1))

    def forward(self, values):
        loss = (self.scale - values).square().mean()
        return SimpleNamespace(loss=loss, losses={"near": loss / 2})


class Steady(Scale):
    """One number that is pulled upwards always alike."""

    def forward(self, values):
        return SimpleNamespace(loss=-self.scale.sum())


@pytest.fixture
def config(tmp_path):
    return LoopConfig(output_dir=tmp_path, num_steps=4, checkpoint_every=2, warmup_steps=1)


def batches(size):
    """The numbers 0, 1, ... in batches, from the seed on."""
    return lambda seed: ({"values": torch.arange(i * size, (i + 1) * size) + seed + 0.0} for i in range(100))


def test_batches_of_one_step_count_as_one_batch(config, tmp_path):
    parted = replace(config, output_dir=tmp_path / "parted", gradient_accumulation=3)
    whole = optimize(Scale(), batches(6), config, name="whole")
    torch.testing.assert_close(optimize(Scale(), batches(2), parted, name="parted").scale, whole.scale)
    curves = [
        [json.loads(row) for row in (of.output_dir / "curve.jsonl").read_text().splitlines()] for of in (config, parted)
    ]
    assert curves[0] == [pytest.approx(row) for row in curves[1]]
    assert len(curves[0]) == 4
    assert set(curves[0][0]) == {"loss", "near"}


def test_batches_are_prepared_for_their_step(config):
    steps = []
    prepared = replace(config, gradient_accumulation=2)
    optimize(Scale(), batches(1), prepared, name="steps", prepare=lambda batch, step: steps.append(step) or batch)
    assert steps == [0, 0, 1, 1, 2, 2, 3, 3]


def test_networks_come_back_from_an_accelerator(config, monkeypatch):
    came_back = []
    monkeypatch.setattr(Scale, "cpu", lambda self: came_back.append(self) or self)
    scale = Scale()
    trained = optimize(scale, batches(1), config, name="there and back")
    assert came_back == [scale, trained]


def test_a_loss_that_is_no_number_is_named_with_its_step(config):
    def broken(batch, step):
        return {"values": batch["values"] * (float("nan") if step == 3 else 1)}

    said = r"`learning_rate` must be lower than 0.002: step 3, loss nan, near nan"
    with pytest.raises(ValueError, match=said):
        optimize(Scale(), batches(2), config, name="broken", prepare=broken)
    assert torch.load(config.checkpoint)["step"] == 2


@pytest.mark.parametrize("least", [0.0, 0.05])
def test_the_learning_rate_ends_where_it_is_asked_to(config, least):
    # Adam's steps for a steady gradient are as long as the learning rate.
    changed = replace(config, num_steps=9, learning_rate=1.0, min_lr_rate=least, weight_decay=0.0)
    scale, places = Steady(), []
    optimize(scale, batches(1), changed, name="s", prepare=lambda batch, _: places.append(scale.scale.item()) or batch)
    cosine = 0.5 * (1 + torch.cos(torch.pi * torch.arange(8) / 8))
    expected = torch.cat([torch.zeros(1), least + (1 - least) * cosine])
    found = torch.tensor([*places, scale.scale.item()]).diff()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_a_learning_rate_that_does_not_fall_to_a_share_is_refused(least):
    with pytest.raises(ValueError, match=rf"`min_lr_rate` must be in \[0, 1\], got {least}"):
        LoopConfig(min_lr_rate=least)


def test_trackio_is_asked_for_only_where_it_is(config, monkeypatch):
    monkeypatch.setattr("recognizer.optimization.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="`trackio` must be empty where the package is not installed, got 'signs'"):
        optimize(Scale(), batches(2), replace(config, trackio="signs"), name="tracked")
