"""Reading glosses from poses, with how sure each is and when it was signed.

Two vocabularies come with the package: `letters`, from which continuous signing is spelled, and `words`, of which a
clip shows one. That of letters also reads clips of one letter, where it is loaded for `isolated` ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import softmax
from transformers.utils import logging

from poses.fingerspelling import letter_span
from poses.sequence import PoseSequence
from poses.weights import loading
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.decoding import decode
from recognizer.modeling_sign_recognizer import (
    SignRecognizerForCTC,
    SignRecognizerForSequenceClassification,
)
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, collate, hands_seen, normalize_letter

WEIGHTS = Path(__file__).parent / "weights"
"""The recognizer of letters that the package carries."""

VOCABULARIES = {"letters": WEIGHTS, "words": WEIGHTS / "words"}
"""What the package's recognizers know: letters, read one after the other, or words, of which a clip shows one."""

MODELS = {model.__name__: model for model in (SignRecognizerForCTC, SignRecognizerForSequenceClassification)}

LONGEST_SIGN_S = 15.0
"""A clip that lasts longer does not show one sign."""

NUM_CANDIDATES = 5

CLIPS_AT_ONCE = 256
"""Clips of one sign that the network reads together."""

FRAMES_AT_ONCE = 4096
"""Frames, padding included, that the network of continuous signing reads together where there are several clips."""

WINDOW_STEPS, CONTEXT_STEPS = 1024, 64
"""Longer clips are read in windows of so many steps, each with so many more of what is before and behind it."""


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
        vocabulary: What the recognizer knows: `letters`, `words`, or the folder of another recognizer.
        candidates: For a clip of one sign, the likeliest glosses, likeliest first, whether or not one was sure enough.
    """

    glosses: tuple[GlossReading, ...]
    reason: str = ""
    vocabulary: str = "letters"
    candidates: tuple[GlossReading, ...] = ()

    def __str__(self) -> str:
        return " ".join(reading.gloss for reading in self.glosses)


@dataclass(frozen=True)
class Recognizer:
    """A recognizer and the processor it was trained with.

    Attributes:
        model: Of continuous signing, or of clips of one sign.
        processor: See `SignRecognizerProcessor`.
        vocabulary: See `Reading`.
        isolated: Whether a model of continuous signing reads clips of one sign each, by its head for these.
    """

    model: SignRecognizerForCTC | SignRecognizerForSequenceClassification
    processor: SignRecognizerProcessor
    vocabulary: str = "letters"
    isolated: bool = False


def load_recognizer(
    path: str | Path | None = None, *, vocabulary: str = "letters", isolated: bool = False
) -> Recognizer:
    """Loads a folder that training or `save_pretrained` wrote, or one of the package's recognizers.

    Args:
        path: The folder; None for the package's.
        vocabulary: Which of the package's, one of `VOCABULARIES`.
        isolated: Whether each clip will show one sign, such as one letter; recognizers of words read no others.

    Raises:
        ValueError: `path` is no folder with a recognizer, `vocabulary` is unknown, or the recognizer is `isolated` and
            reads continuous signing only.
    """
    if vocabulary not in VOCABULARIES:
        raise ValueError(f"`vocabulary` must be one of {', '.join(VOCABULARIES)}, got {vocabulary!r}.")
    folder = VOCABULARIES[vocabulary] if path is None else Path(path)
    missing = [
        name
        for name in ("config.json", "model.safetensors", "preprocessor_config.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise ValueError(f"`path` must be a folder with a recognizer, got {str(folder)!r} without {missing[0]}.")
    with loading(folder):
        config = SignRecognizerConfig.from_pretrained(folder, local_files_only=True)
    kind = (config.architectures or ["none"])[0]
    if kind not in MODELS:
        raise ValueError(f"{folder / 'config.json'}: `architectures` must name one of {', '.join(MODELS)}, got {kind}.")
    with quietly(), loading(folder):
        model, found = cast(Any, MODELS[kind]).from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    if found["missing_keys"] or found["mismatched_keys"]:
        labels = f"the {len(config.glosses)} labels that config.json names"
        raise ValueError(f"{folder}: expected weights of {kind} for {labels}, found others.")
    if isolated and isinstance(model, SignRecognizerForCTC) and not config.isolated:
        raise ValueError(f"`isolated` must be False for a recognizer of continuous signing only, got {str(folder)!r}.")
    with loading(folder):
        processor = SignRecognizerProcessor.from_pretrained(folder, local_files_only=True)
    return Recognizer(model.eval(), processor, vocabulary if path is None else str(path), isolated)


@contextmanager
def quietly() -> Iterator[None]:
    """Loading a few million weights takes no time worth a bar, and what is wrong with them we say ourselves."""
    enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if enabled:
            logging.enable_progress_bar()


@overload
def read_glosses(poses: PoseSequence, recognizer: Recognizer) -> Reading: ...
@overload
def read_glosses(poses: Sequence[PoseSequence], recognizer: Recognizer) -> list[Reading]: ...
def read_glosses(poses: PoseSequence | Sequence[PoseSequence], recognizer: Recognizer) -> Reading | list[Reading]:
    """Reads clips of any length and frame rate.

    A clip that cannot be read (`why_unreadable`) has an empty reading that says why. Where a clip states its language
    and a recognizer of words knows glosses of that language, only these are considered.

    Args:
        poses: A clip or several.
        recognizer: See `load_recognizer`.

    Raises:
        ValueError: A clip is slower than 5 or faster than 120 frames a second.
    """
    clips = [poses] if isinstance(poses, PoseSequence) else list(poses)
    continuous = isinstance(recognizer.model, SignRecognizerForCTC) and not recognizer.isolated
    readings = _read_continuous(clips, recognizer) if continuous else _read_isolated(clips, recognizer)
    return readings[0] if isinstance(poses, PoseSequence) else readings


def _read_continuous(clips: Sequence[PoseSequence], recognizer: Recognizer) -> list[Reading]:
    """Reads clips of any number of signs, those of like length together."""
    readings = [Reading((), why_unreadable(clip), recognizer.vocabulary) for clip in clips]
    readable = [number for number, reading in enumerate(readings) if not reading.reason]
    for batch in _of_like_length(readable, [clip.duration_s * recognizer.processor.frame_rate for clip in clips]):
        together = _read_steps([clips[number] for number in batch], recognizer)
        for number, (log_probs, _) in zip(batch, together, strict=True):
            readings[number] = reading_from(log_probs, clips[number], recognizer)
    return readings


def _of_like_length(numbers: Sequence[int], frames: Sequence[float]) -> Iterator[list[int]]:
    """Parts clips into batches of at most `FRAMES_AT_ONCE` frames, or of one clip."""
    batch: list[int] = []
    for number in sorted(numbers, key=lambda number: frames[number]):
        if batch and (len(batch) + 1) * frames[number] > FRAMES_AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def reading_from(log_probs: np.ndarray, poses: PoseSequence, recognizer: Recognizer) -> Reading:
    """Reads a clip from what `read_steps` says of it, for whoever needs both."""
    config = recognizer.model.config
    # Steps are `conv_stride` frames at the processor's rate; the reading speaks of the clip's own frames.
    frames_per_step = config.conv_stride * poses.fps / recognizer.processor.frame_rate
    readings = []
    for label, start, stop in decode(log_probs, blank=config.pad_token_id):
        first = min(round(start * frames_per_step), len(poses) - 1)
        last = min(max(round(stop * frames_per_step), first + 1), len(poses))
        confidence = float(np.exp(log_probs[start:stop, label]).mean())
        readings.append(GlossReading(config.glosses[label], confidence, first, last))
    return Reading(tuple(readings), "" if readings else "no gloss was recognised", recognizer.vocabulary)


def why_unreadable(poses: PoseSequence) -> str:
    """Says what a clip lacks to be read, or nothing."""
    if not hands_seen(poses).any():
        return "no hand is seen"
    if not poses.shoulder_width_px() > 0:
        return "the shoulders are not seen"
    return ""


Steps = tuple[Float[np.ndarray, "steps labels"], Float[np.ndarray, "steps hidden"]]
"""Log probabilities of every label, and hidden states, each `config.conv_stride` frames at the processor's rate."""


def read_steps(poses: PoseSequence, recognizer: Recognizer) -> Steps:
    """What a network of continuous signing says at every step of a clip, and what it says that from."""
    return _read_steps([poses], recognizer)[0]


@torch.no_grad()
def _read_steps(clips: Sequence[PoseSequence], recognizer: Recognizer) -> list[Steps]:
    batch = recognizer.processor(clips).to(recognizer.model.device)
    stride = recognizer.model.config.conv_stride
    pieces, states = [], []
    for first, start, stop, last in windows(batch["attention_mask"].shape[1], stride):
        seen = recognizer.model(**{name: values[:, first:last] for name, values in batch.items()})
        kept = slice((start - first) // stride, -(-(stop - first) // stride))
        pieces.append(seen.logits[:, kept])
        states.append(seen.last_hidden_state[:, kept])
    log_probs = torch.cat(pieces, dim=1).log_softmax(dim=-1).cpu().numpy()
    hidden = torch.cat(states, dim=1).float().cpu().numpy()
    steps = -(-batch["attention_mask"].sum(dim=1) // stride)
    return [(log_probs[row, :length], hidden[row, :length]) for row, length in enumerate(steps.tolist())]


def windows(num_frames: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Parts a clip into windows that overlap, so that memory grows with its length only in proportion.

    Yields:
        The first frame that the network sees, the first and one past the last that are kept, one past the last seen.
    """
    kept, seen_around = WINDOW_STEPS * stride, CONTEXT_STEPS * stride
    if num_frames <= kept + 2 * seen_around:
        yield 0, 0, num_frames, num_frames
        return
    for start in range(0, num_frames, kept):
        stop = min(start + kept, num_frames)
        yield max(start - seen_around, 0), start, stop, min(stop + seen_around, num_frames)


def _read_isolated(clips: Sequence[PoseSequence], recognizer: Recognizer) -> list[Reading]:
    """Reads clips of one sign each, a few hundred at once."""
    reasons = [_why_no_sign(clip) for clip in clips]
    readable = [clip for clip, reason in zip(clips, reasons, strict=True) if not reason]
    read = (
        _sign_reading(logits, clip, recognizer)
        for start in range(0, len(readable), CLIPS_AT_ONCE)
        for some in [readable[start : start + CLIPS_AT_ONCE]]
        for logits, clip in zip(sign_logits(some, recognizer), some, strict=True)
    )
    return [Reading((), reason, recognizer.vocabulary) if reason else next(read) for reason in reasons]


def _why_no_sign(poses: PoseSequence) -> str:
    if reason := why_unreadable(poses):
        return reason
    if poses.duration_s > LONGEST_SIGN_S:
        return f"one sign lasts at most {LONGEST_SIGN_S:g} s and the clip {poses.duration_s:.0f} s"
    return ""


@torch.no_grad()
def sign_logits(clips: Sequence[PoseSequence], recognizer: Recognizer) -> Float[np.ndarray, "clips labels"]:
    """Logits of clips of one sign each, before temperature; label 0 is no sign."""
    model, processor = recognizer.model, recognizer.processor
    if isinstance(model, SignRecognizerForCTC):
        letters = collate([normalize_letter(clip, processor) for clip in clips])
        return model.classify(**letters.to(model.device)).cpu().numpy()
    return model(**processor(clips).to(model.device)).logits.cpu().numpy()


def _sign_reading(logits: np.ndarray, poses: PoseSequence, recognizer: Recognizer) -> Reading:
    """Reads a clip from its logits [labels], of which the first is no gloss."""
    config = recognizer.model.config
    of_language = [label for label, gloss in enumerate(config.glosses) if gloss.startswith(f"{poses.language}:")]
    possible = [0, *(of_language or range(1, len(config.glosses)))]
    probabilities = softmax(logits[possible] / config.temperature)
    own_span = letter_span if isinstance(recognizer.model, SignRecognizerForCTC) else recognizer.processor.signing_span
    start, stop = own_span(poses)
    ranked = sorted(range(1, len(possible)), key=lambda place: -probabilities[place])[:NUM_CANDIDATES]
    candidates = tuple(
        GlossReading(config.glosses[possible[place]], float(probabilities[place]), start, stop) for place in ranked
    )
    reason = ""
    if probabilities[0] >= candidates[0].confidence:
        reason = "no sign was recognised"
    elif candidates[0].confidence < config.unknown_threshold:
        reason = f"not sure enough ({candidates[0].confidence:.2f}, asked {config.unknown_threshold:.2f})"
    return Reading(() if reason else candidates[:1], reason, recognizer.vocabulary, candidates)
