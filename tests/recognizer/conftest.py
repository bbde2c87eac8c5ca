from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from recognizer import data, optimization
from recognizer.track_clips import TABLE, TrackClip, save_tracks, write_table


@pytest.fixture(scope="session", autouse=True)
def depths_found_once() -> Iterator[None]:
    """How deep hands are is worked out once a language, not by every training anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "hand_depths", cache(data.hand_depths))
        yield


@pytest.fixture
def save_clips(tmp_path) -> Callable[[Collection[TrackClip], str], Path]:
    """Writes a folder of clips of pose tracks, of this name."""

    def save(clips: Collection[TrackClip], name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for clip in clips:
            save_tracks(clip.features, folder / f"{clip.name}.npz")
        write_table([(clip.name, clip.glosses, clip.split) for clip in clips], folder / TABLE)
        return folder

    return save


@pytest.fixture
def train_twice(tmp_path, monkeypatch):
    """Trains, and again with an interruption after the first checkpoint: weights and curve must be the same.

    What is trained is a network, or a tuple that begins with one; the first training's is given back.
    """
    accumulate = optimization._accumulate

    def check(train: Callable[[Any], Any], config: Any) -> Any:
        first = train(config)
        parted = replace(config, output_dir=tmp_path / "parted")
        steps = count()

        def interrupted(*args: Any) -> Any:
            if next(steps) == config.checkpoint_every + 1:
                raise KeyboardInterrupt
            return accumulate(*args)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(optimization, "_accumulate", interrupted)
            train(parted)
        second = train(replace(parted, resume=True))
        whole, resumed = (of[0] if isinstance(of, tuple) else of for of in (first, second))
        for name, weight in whole.state_dict().items():
            torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=0)
        curves = [(of.output_dir / "curve.jsonl").read_text() for of in (config, parted)]
        assert curves[0] == curves[1]
        return first

    return check
