import json
from types import SimpleNamespace

import torch

from recognizer.curves import LossCurve, draw_curves


class Network(torch.nn.Module):
    """Its loss is what it is given, and half of that as one part of it."""

    def forward(self, value):
        return SimpleNamespace(loss=torch.tensor(value), losses={"half": torch.tensor(value / 2)})


def test_losses_of_training_are_kept_and_written_in_time(tmp_path):
    network, curve = Network(), LossCurve(tmp_path / "run" / "curve.jsonl", save_every=2)
    network.register_forward_hook(curve)
    network(4.0)
    assert not curve.path.exists()
    network.eval()(8.0)
    network.train()(2.0)
    network(1.0)
    rows = [json.loads(line) for line in curve.path.read_text().splitlines()]
    assert rows == [{"loss": 4.0, "half": 2.0}, {"loss": 2.0, "half": 1.0}]
    assert curve.path.with_suffix(".png").exists()
    again = LossCurve(curve.path, save_every=2)
    again.restart(1)
    assert again.rows == rows[:1]
    again.restart(0)
    assert again.rows == []


def test_every_loss_is_a_line_in_its_colour():
    picture = draw_curves([{"loss": 10.0 / step, "text": 1.0} for step in range(1, 301)])
    colours = {colour for _, colour in picture.getcolors(100_000)}
    assert {(0, 0, 0), (220, 20, 60), (255, 255, 255)} <= colours
    blank = draw_curves([])
    assert blank.getcolors() == [(blank.width * blank.height, (255, 255, 255))]
