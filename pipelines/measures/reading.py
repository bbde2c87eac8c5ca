"""What a recognizer makes of a clip, and how far two of its readings agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import jiwer
import numpy as np
from jaxtyping import Float

from pipelines.output import ErrorRate
from poses.sequence import GlossSpan, PoseSequence
from recognizer.metrics import word_error_rate
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.reading import GlossReading, Recognizer, read_steps, reading_from, why_unreadable


def error_rate(expected: Sequence[GlossSpan | GlossReading], read: Sequence[GlossReading]) -> ErrorRate | None:
    """Word error rate of one reading; None where there is nothing to compare it with."""
    if not expected:
        return None
    errors = word_error_rate([joined_glosses(expected)], [joined_glosses(read)])
    return ErrorRate(errors.rate, errors.substitutions, errors.deletions, errors.insertions, errors.reference_length)


def read_right(expected: Sequence[GlossSpan | GlossReading], read: Sequence[GlossReading]) -> list[bool]:
    """Tells which glosses of a reading are right, on the alignment with the fewest errors."""
    right = [False] * len(read)
    if expected and read:
        for chunk in jiwer.process_words(" ".join(joined_glosses(expected)), " ".join(joined_glosses(read))).alignments[
            0
        ]:
            if chunk.type == "equal":
                right[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return right


@dataclass(frozen=True, eq=False)
class Readout:
    """What the recognizer makes of a clip.

    Attributes:
        glosses: What it read, one word a gloss.
        reason: Why it read nothing.
        distribution: How probable each gloss is in the clip at large, summing to 1; empty where the clip is unreadable.
        states: The network's last hidden state, one row a step; none where the clip is unreadable.
    """

    glosses: tuple[str, ...]
    reason: str
    distribution: Float[np.ndarray, " glosses"]
    states: Float[np.ndarray, "steps hidden"]

    def top(self, names: Sequence[str]) -> str:
        """The most probable gloss, or nothing."""
        return names[int(self.distribution.argmax())] if len(self.distribution) else ""


def read_out(poses: PoseSequence, recognizer: Recognizer) -> Readout:
    """Reads a clip, and keeps what the reading rests on.

    Raises:
        ValueError: The clip is slower than 5 or faster than 120 frames a second, or `recognizer` reads single signs.
    """
    if not isinstance(recognizer.model, SignRecognizerForCTC):
        raise ValueError(f"`recognizer` must read continuous signing, got {recognizer.vocabulary!r}.")
    if reason := why_unreadable(poses):
        return Readout((), reason, np.zeros(0), np.zeros((0, 0)))
    log_probs, states = read_steps(poses, recognizer)
    reading = reading_from(log_probs, poses, recognizer)
    mass = np.delete(np.exp(log_probs.astype(np.float64)).sum(axis=0), recognizer.model.config.pad_token_id)
    return Readout(joined_glosses(reading.glosses), reading.reason, mass / mass.sum(), states)


def gloss_names(recognizer: Recognizer) -> tuple[str, ...]:
    """The glosses that `Readout.distribution` speaks of."""
    config = recognizer.model.config
    return tuple(gloss for label, gloss in enumerate(config.glosses) if label != config.pad_token_id)


def divergence(first: Float[np.ndarray, " glosses"], second: Float[np.ndarray, " or_none"]) -> float | None:
    """Jensen-Shannon divergence in bits, 0 (equal) to 1 (nothing in common); None where either is empty."""
    if not len(first) or not len(second):
        return None
    mean = (first + second) / 2
    parts = [
        np.where(p > 0, p * np.log2(np.where(p > 0, p, 1) / np.where(mean > 0, mean, 1)), 0) for p in (first, second)
    ]
    return float(max(sum(part.sum() for part in parts) / 2, 0.0))


def cohens_kappa(
    first: Sequence[str], second: Sequence[str], weights: Float[np.ndarray, " clips"] | None = None
) -> float | None:
    """Agreement of two readers beyond chance (Cohen 1960, https://doi.org/10.1177/001316446002000104).

    Args:
        first: Label of each clip.
        second: The other reader's.
        weights: How often each clip counts.

    Returns:
        1 for full agreement, 0 for what chance gives; None where the first says one label throughout, as of a single
        clip: whatever the second says then, they agree as often as by chance.
    """
    weights = np.ones(len(first)) if weights is None else weights
    if len({label for label, weight in zip(first, weights, strict=True) if weight}) < 2:
        return None
    weights = weights / weights.sum()
    agreed = float(sum(w for a, b, w in zip(first, second, weights, strict=True) if a == b))
    shares = [Counter(), Counter()]
    for share, labels in zip(shares, (first, second), strict=True):
        for label, weight in zip(labels, weights, strict=True):
            share[label] += weight
    chance = float(sum(shares[0][label] * shares[1][label] for label in shares[0]))
    return (agreed - chance) / (1 - chance) if chance < 1 - 1e-12 else None


def confusions(expected: Sequence[Sequence[str]], read: Sequence[Sequence[str]]) -> list[tuple[str, str, int]]:
    """What was read in place of what, the most frequent first; an empty gloss stands for nothing.

    Clips of which nothing is expected are left out.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for wanted, got in zip(expected, read, strict=True):
        if not wanted:
            continue
        for chunk in jiwer.process_words(" ".join(wanted), " ".join(got)).alignments[0]:
            of_wanted = wanted[chunk.ref_start_idx : chunk.ref_end_idx]
            of_got = got[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type != "equal":
                counts.update(zip_longest(of_wanted, of_got, fillvalue=""))
    return [(*pair, count) for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def embed(states: Float[np.ndarray, "steps hidden"], num_segments: int = 4) -> Float[np.ndarray, " features"] | None:
    """Mean state of each of equal stretches, one after the other; None where there are fewer steps than that."""
    if len(states) < num_segments:
        return None
    return np.concatenate([part.mean(axis=0) for part in np.array_split(states, num_segments)])


def faithfulness(
    shown: Sequence[Float[np.ndarray, " features"] | None], asked: Sequence[Float[np.ndarray, " features"] | None]
) -> list[float | None]:
    """How near each video is to its own driving pose, over how near it is to those of other clips.

    The target faithfulness of "Conditional Collapse" (https://arxiv.org/abs/2606.01643), in the recognizer's features:
    far below 1 where a video follows its pose, about 1 where it would do as well for any other.

    Returns:
        None for a clip without features, or where there is no other clip.
    """
    known = [number for number, features in enumerate(asked) if features is not None]
    ratios: list[float | None] = []
    for number, features in enumerate(shown):
        own = asked[number]
        others = [asked[other] for other in known if other != number]
        if features is None or own is None or not others:
            ratios.append(None)
            continue
        far = float(np.mean([np.linalg.norm(features - other) for other in others]))
        ratios.append(float(np.linalg.norm(features - own)) / far if far > 0 else None)
    return ratios


def joined_glosses(items: Sequence[GlossSpan | GlossReading]) -> tuple[str, ...]:
    """The glosses, each one word: one of several, as some corpora have, is joined."""
    return tuple("_".join(item.gloss.split()) for item in items)
