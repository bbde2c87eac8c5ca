"""Results that benchmarks keep, so that a run that was stopped goes on, and never with those of other settings."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recognizer.optimization import LoopConfig


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes down what decides the results beside a file, or refuses those of something else.

    Args:
        path: A .json file of the settings. Where its folder holds anything, it must be there.
        settings: Plain values; others as text.

    Raises:
        ValueError: The results are of other settings, or nobody knows of which.
    """
    stated = json.dumps(settings, default=str, indent=1, sort_keys=True) + "\n"
    if not path.exists() and not (path.parent.exists() and any(path.parent.iterdir())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stated, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != stated:
        raise ValueError(f"{path.parent}: holds results of other settings; choose another folder.")


def check_training(folder: Path, config: LoopConfig, **further: Any) -> None:
    """Refuses a folder that holds, or began with, a network of another training.

    Raises:
        ValueError: As for `check_settings`.
    """
    settings = asdict(config) | further
    settings |= dict.fromkeys(("output_dir", "resume"))  # where it lies, and whether it was stopped, makes no other one
    check_settings(folder / "settings.json", settings)


def clip_key(folder: Path) -> str:
    """Names a clip that `signloop signers make` wrote by its folder and by what it shows."""
    content = hashlib.sha256((folder / "frames.npy").read_bytes() + (folder / "clip.json").read_bytes())
    return f"{folder.name}-{content.hexdigest()[:8]}"
