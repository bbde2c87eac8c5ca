"""Reading glosses from poses, with how sure each is and when it was signed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from transformers.utils import logging

from poses.sequence import PoseSequence
from recognizer.decoding import decode
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, hands_seen

WEIGHTS = Path(__file__).parent / "weights"
"""The recognizer that the package carries."""


@dataclass(frozen=True)
class GlossReading:
    """One gloss that was read.

    Attributes:
        gloss: What was signed.
        confidence: Mean probability of the gloss over its frames, 0 to 1.
        start: First frame of the clip as given.
        stop: One past the last.
    """

    gloss: str
    confidence: float
    start: int
    stop: int


@dataclass(frozen=True)
class Reading:
    """What was read from one clip.

    Attributes:
        glosses: In the order of signing.
        reason: Why nothing was read; empty where something was.
    """

    glosses: tuple[GlossReading, ...]
    reason: str = ""

    def __str__(self) -> str:
        return " ".join(reading.gloss for reading in self.glosses)


@dataclass(frozen=True)
class Recognizer:
    """A recognizer and the processor it was trained with."""

    model: SignRecognizerForCTC
    processor: SignRecognizerProcessor


def load_recognizer(path: str | Path | None = None) -> Recognizer:
    """Loads a folder that `train` or `save_pretrained` wrote, or the weights of the package.

    Raises:
        ValueError: `path` is no folder with a recognizer.
    """
    folder = WEIGHTS if path is None else Path(path)
    missing = [
        name
        for name in ("config.json", "model.safetensors", "preprocessor_config.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise ValueError(f"`path` must be a folder with a recognizer, got {str(folder)!r} without {missing[0]}.")
    with _no_progress_bar():
        model = SignRecognizerForCTC.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    return Recognizer(model, SignRecognizerProcessor.from_pretrained(folder, local_files_only=True))


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Loading half a million weights takes no time worth a bar."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


@overload
def read_glosses(poses: PoseSequence, recognizer: Recognizer) -> Reading: ...
@overload
def read_glosses(poses: Sequence[PoseSequence], recognizer: Recognizer) -> list[Reading]: ...
def read_glosses(poses: PoseSequence | Sequence[PoseSequence], recognizer: Recognizer) -> Reading | list[Reading]:
    """Reads clips of any length and frame rate.

    A clip that shows no hand or no shoulders is not read: its reading is empty and says why.

    Args:
        poses: A clip or several.
        recognizer: See `load_recognizer`.

    Raises:
        ValueError: A clip is slower than 5 or faster than 120 frames a second.
    """
    if isinstance(poses, PoseSequence):
        return _read(poses, recognizer)
    return [_read(clip, recognizer) for clip in poses]


def _read(poses: PoseSequence, recognizer: Recognizer) -> Reading:
    reason = why_unreadable(poses)
    return Reading((), reason) if reason else reading_from(label_log_probs(poses, recognizer), poses, recognizer)


def reading_from(log_probs: np.ndarray, poses: PoseSequence, recognizer: Recognizer) -> Reading:
    """Reads a clip from its `label_log_probs`, for whoever needs both."""
    config = recognizer.model.config
    # Steps are `conv_stride` frames at the processor's rate; the reading speaks of the clip's own frames.
    frames_per_step = config.conv_stride * poses.fps / recognizer.processor.frame_rate
    readings = []
    for label, start, stop in decode(log_probs, blank=config.pad_token_id):
        first = min(round(start * frames_per_step), len(poses) - 1)
        last = min(max(round(stop * frames_per_step), first + 1), len(poses))
        confidence = float(np.exp(log_probs[start:stop, label]).mean())
        readings.append(GlossReading(config.glosses[label], confidence, first, last))
    return Reading(tuple(readings), "" if readings else "no gloss was recognised")


def why_unreadable(poses: PoseSequence) -> str:
    """Says what a clip lacks to be read, or nothing."""
    if not hands_seen(poses).any():
        return "no hand is seen"
    if not poses.shoulder_width_px() > 0:
        return "the shoulders are not seen"
    return ""


@torch.no_grad()
def label_log_probs(poses: PoseSequence, recognizer: Recognizer) -> np.ndarray:
    """Log probability of every label at every step of `config.conv_stride` frames at the processor's rate."""
    logits = recognizer.model(**recognizer.processor(poses)).logits
    return logits[0].float().log_softmax(dim=-1).numpy()
