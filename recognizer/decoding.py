"""From label scores to glosses: CTC decoding and alignment, on plain arrays."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32

_IMPOSSIBLE = -np.inf


def greedy_decode(log_probs: Float[np.ndarray, "steps labels"], *, blank: int = 0) -> list[int]:
    """Takes the best label of every step, merges repeats, drops blanks."""
    best = log_probs.argmax(axis=1)
    changed = np.append(True, best[1:] != best[:-1])
    return [int(label) for label in best[changed] if label != blank]


def beam_search(log_probs: Float[np.ndarray, "steps labels"], *, beam_width: int = 16, blank: int = 0) -> list[int]:
    """Finds the likeliest label sequence, summed over all its alignments (prefix beam search).

    Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs",
    arXiv 1408.2873, algorithm 1, without its language model. Exact where `beam_width` holds every prefix.
    """
    # Log probability of each prefix, ending in blank and ending in its last label.
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _IMPOSSIBLE)}
    for step in log_probs:
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (in_blank, in_label) in beams.items():
            total = np.logaddexp(in_blank, in_label)
            _add(grown, prefix, total + step[blank], _IMPOSSIBLE)
            if prefix:
                _add(grown, prefix, _IMPOSSIBLE, in_label + step[prefix[-1]])
            for label in range(len(step)):
                if label != blank:
                    before = in_blank if prefix and label == prefix[-1] else total
                    _add(grown, (*prefix, label), _IMPOSSIBLE, before + step[label])
        best = sorted(grown, key=lambda prefix: np.logaddexp(*grown[prefix]), reverse=True)[:beam_width]
        beams = {prefix: grown[prefix] for prefix in best}
    return list(next(iter(beams), ()))


def _add(
    beams: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], in_blank: float, in_label: float
) -> None:
    old_blank, old_label = beams.get(prefix, (_IMPOSSIBLE, _IMPOSSIBLE))
    beams[prefix] = (float(np.logaddexp(old_blank, in_blank)), float(np.logaddexp(old_label, in_label)))


def forced_alignment(
    log_probs: Float[np.ndarray, "steps labels"], labels: Sequence[int], *, blank: int = 0
) -> list[tuple[int, int]]:
    """Finds the likeliest alignment of `labels` (Viterbi): for each, the first step and one past the last.

    Raises:
        ValueError: There are fewer steps than the labels need.
    """
    steps = len(log_probs)
    needed = len(labels) + sum(a == b for a, b in pairwise(labels))
    if steps < needed:
        raise ValueError(f"`log_probs` must have at least {needed} steps for {len(labels)} labels, got {steps}.")
    states = [blank] + [state for label in labels for state in (label, blank)]
    skips = np.array([i > 1 and state != blank and state != states[i - 2] for i, state in enumerate(states)])
    score = np.full(len(states), _IMPOSSIBLE)
    score[:2] = log_probs[0, states[:2]]
    origins = np.zeros((steps, len(states)), int)
    for step in range(1, steps):
        one = np.concatenate([[_IMPOSSIBLE], score[:-1]])
        two = np.where(skips, np.concatenate([[_IMPOSSIBLE] * 2, score[:-2]])[: len(states)], _IMPOSSIBLE)
        choices = np.stack([score, one, two])
        origins[step] = choices.argmax(axis=0)
        score = choices.max(axis=0) + log_probs[step, states]
    state = len(states) - 1 if len(states) == 1 or score[-1] >= score[-2] else len(states) - 2
    path = np.empty(steps, int)
    for step in range(steps - 1, -1, -1):
        path[step] = state
        state -= origins[step, state]
    spans = [np.flatnonzero(path == 2 * number + 1) for number in range(len(labels))]
    return [(int(found[0]), int(found[-1]) + 1) for found in spans]


def sequence_scores(log_probs: Float[np.ndarray, "steps labels"], *, blank: int = 0) -> Float32[np.ndarray, " labels"]:
    """Log probability, over all alignments, that the clip is one gloss, for each; minus infinity for the blank."""
    # The states before, in and after the one label.
    before = np.zeros(log_probs.shape[1])
    inside, after = np.full((2, log_probs.shape[1]), _IMPOSSIBLE)
    for step in log_probs:
        inside, after, before = (
            np.logaddexp(before, inside) + step,
            np.logaddexp(inside, after) + step[blank],
            before + step[blank],
        )
    scores = np.logaddexp(inside, after)
    scores[blank] = _IMPOSSIBLE
    return scores.astype(np.float32)
