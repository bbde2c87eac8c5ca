"""From label scores to glosses, on plain arrays."""

import itertools

import numpy as np
from jaxtyping import Float, Float32

_IMPOSSIBLE = -np.inf


def decode(
    log_probs: Float[np.ndarray, "steps labels"], *, blank: int = 0, blank_cost: float = 2.0, gloss_cost: float = 2.0
) -> list[tuple[int, int, int]]:
    """Finds the best path of glosses with a blank between any two of them (Viterbi).

    Signers that the recognizer has not seen spread its scores over several glosses at once: the best path through
    them would jump back and forth within one sign, and blanks would win where no gloss does. Hence the two costs.

    Args:
        log_probs: Log probability of every label at every step.
        blank: The label of no gloss.
        blank_cost: Subtracted from the blank's log probability at every step.
        gloss_cost: Subtracted once a gloss.

    Returns:
        Label, first step and one past the last of each gloss.
    """
    steps, labels = log_probs.shape
    scores = log_probs - blank_cost * (np.arange(labels) == blank)
    entry = np.full(labels, gloss_cost)
    entry[blank] = 0
    total = scores[0] - entry
    origins = np.empty((steps, labels), int)
    for step in range(1, steps):
        # A gloss goes on or comes from the blank; the blank comes from anywhere.
        enters = total[blank] - entry > total
        origins[step] = np.where(enters, blank, np.arange(labels))
        origins[step, blank] = total.argmax()
        total = total[origins[step]] - np.where(enters, entry, 0) + scores[step]
    path = np.empty(steps, int)
    label = int(total.argmax())
    for step in range(steps - 1, -1, -1):
        path[step] = label
        label = origins[step, label]
    edges = np.flatnonzero(np.diff(path, prepend=blank, append=blank))
    return [
        (int(path[start]), int(start), int(stop)) for start, stop in itertools.pairwise(edges) if path[start] != blank
    ]


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
