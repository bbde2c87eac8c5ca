"""Curves of a training run: every loss of every step as a line of JSON, and all of them as a picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from poses.files import new_file

_SIZE = (960, 540)
_MARGIN = 40
_COLOURS = ("black", "crimson", "royalblue", "seagreen", "darkorange", "purple")


class LossCurve:
    """Keeps the losses of a network while it is trained, as a forward hook: `model.register_forward_hook(curve)`.

    Args:
        path: Of the `.jsonl` file; the picture is beside it, with the suffix `.png`.
        save_every: Steps between two times that both are written.
    """

    def __init__(self, path: Path, save_every: int):
        self.path = path
        self.save_every = save_every
        self.rows: list[dict[str, float]] = []

    def __call__(self, model: torch.nn.Module, args: tuple, output: Any) -> None:
        """Keeps `output.loss` and each of `output.losses`, where the network is being trained."""
        if model.training and output.loss is not None:
            losses = {"loss": output.loss} | output.losses
            self.rows.append({name: loss.item() for name, loss in losses.items()})
            if len(self.rows) % self.save_every == 0:
                self.save()

    def save(self) -> None:
        """Writes both files anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(self.path, overwrite=True) as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        with new_file(self.path.with_suffix(".png"), overwrite=True) as path:
            draw_curves(self.rows).save(path)

    def restart(self, step: int) -> None:
        """Goes on after `step` steps: what lies beyond, of a run that was stopped, is forgotten."""
        if len(self.rows) < step and self.path.exists():
            self.rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        del self.rows[step:]


def draw_curves(rows: list[dict[str, float]]) -> Image.Image:
    """One line a loss, as means over a hundredth of the steps, on a logarithmic scale."""
    picture = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(picture)
    if not rows:
        return picture
    width = max(len(rows) // 100, 1)
    curves = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        parts = np.array_split(values, -(-len(values) // width))
        curves[name] = np.log10(np.maximum([part.mean() for part in parts], 1e-6))
    low = np.floor(min(curve.min() for curve in curves.values()))
    high = np.ceil(max(curve.max() for curve in curves.values()) + 1e-9)
    across, down = _SIZE[0] - 2 * _MARGIN, _SIZE[1] - 2 * _MARGIN
    for power in np.arange(low, high + 1):
        y = _MARGIN + down * (high - power) / (high - low)
        draw.line([(_MARGIN, y), (_MARGIN + across, y)], fill="lightgray")
        draw.text((4, y - 6), f"{10**power:g}", fill="gray")
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        x = _MARGIN + across * (np.arange(len(curve)) + 0.5) / len(curve)
        y = _MARGIN + down * (high - curve) / (high - low)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=2)
        draw.text((_MARGIN + 8 + 150 * number, 12), name, fill=colour)
    draw.text((_MARGIN, _SIZE[1] - 24), f"{len(rows)} steps", fill="gray")
    return picture
