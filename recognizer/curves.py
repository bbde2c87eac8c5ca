"""Curves of a training run: every loss of every step as a line of JSON, and all of them as a picture."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from poses.files import new_file

_SIZE = (960, 540)
_MARGIN = 40
_COLOURS = ("black", "crimson", "royalblue", "seagreen", "darkorange", "purple")


class LossCurve:
    """The losses of a network while it is trained.

    Attributes:
        rows: Each loss by name, a row a step; add to it.

    Args:
        path: Of the `.jsonl` file; the picture is beside it, with the suffix `.png`.
        steps: Where a run that was stopped goes on: what the file holds beyond is forgotten.
    """

    def __init__(self, path: Path, *, steps: int = 0):
        self.path = path
        self.rows: list[dict[str, float]] = []
        if steps and path.exists():
            self.rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:steps]]

    def save(self) -> None:
        """Writes both files anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(self.path, overwrite=True) as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        with new_file(self.path.with_suffix(".png"), overwrite=True) as path:
            draw_curves(self.rows).save(path)


def draw_curves(rows: list[dict[str, float]]) -> Image.Image:
    """One line a loss, as means over a hundredth of the steps that have it, on a logarithmic scale."""
    picture = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(picture)
    if not rows:
        return picture
    curves = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row[name] for row in rows if name in row])
        parts = np.array_split(values, -(-len(values) // max(len(values) // 100, 1)))
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
