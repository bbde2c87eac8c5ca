"""Word error rate over a corpus, and how sure it is."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np


@dataclass(frozen=True)
class WordErrors:
    """Errors of a corpus, counted on the alignment with the fewest.

    Attributes:
        substitutions: Glosses read as another.
        deletions: Glosses not read.
        insertions: Glosses read that were not there.
        reference_length: Glosses there were.
    """

    substitutions: int
    deletions: int
    insertions: int
    reference_length: int

    @property
    def rate(self) -> float:
        """(S + D + I) / N: may exceed 1."""
        return (self.substitutions + self.deletions + self.insertions) / self.reference_length


def word_error_rate(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> WordErrors:
    """Counts the errors of a corpus; its rate is not the mean of the clips' rates.

    Args:
        references: The glosses of each clip.
        hypotheses: The glosses read from each clip; may be empty.

    Raises:
        ValueError: There is no reference gloss, not one hypothesis a reference, or a gloss is empty or holds a space.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"`hypotheses` must be one a reference, got {len(hypotheses)} for {len(references)}.")
    for glosses in (*references, *hypotheses):
        if wrong := [gloss for gloss in glosses if gloss != "".join(gloss.split()) or not gloss]:
            raise ValueError(f"`references` and `hypotheses` must hold glosses without spaces, got {wrong[0]!r}.")
    if not any(references):
        raise ValueError("`references` must hold at least one gloss, got none.")
    counts = jiwer.process_words([" ".join(clip) for clip in references], [" ".join(clip) for clip in hypotheses])
    return WordErrors(counts.substitutions, counts.deletions, counts.insertions, sum(map(len, references)))


def errors_by_gloss(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> list[list[int]]:
    """The errors of `word_error_rate`, each charged to a reference gloss of its clip.

    An insertion is charged to the gloss before it, or to the first. References must not be empty.
    """
    if any(not clip for clip in references):
        raise ValueError("`references` must hold at least one gloss each, got an empty one.")
    counts = jiwer.process_words([" ".join(clip) for clip in references], [" ".join(clip) for clip in hypotheses])
    errors = [[0] * len(clip) for clip in references]
    for of_clip, chunks in zip(errors, counts.alignments, strict=True):
        for chunk in chunks:
            if chunk.type == "insert":
                of_clip[max(chunk.ref_start_idx - 1, 0)] += chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type != "equal":
                for position in range(chunk.ref_start_idx, chunk.ref_end_idx):
                    of_clip[position] += 1
    return errors


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[Sequence[Hashable]],
    *,
    level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic of items that share causes, by resampling the causes.

    Every cause (a language, a letter) is drawn again with replacement; an item weighs the product of how often its
    causes were drawn (Owen, "The pigeonhole bootstrap", arXiv 0712.1111).

    Args:
        statistic: The figure, given a weight for every item.
        groups: For each kind of cause, the cause of every item: `[language_of_item, letter_of_item]`.
        level: Share of resamples inside.
        num_resamples: Resamples; those that leave no item are drawn again.
        seed: Of the draws.

    Raises:
        ValueError: `groups` is empty or ragged, or `level` is not between 0 and 1.
    """
    if not groups or not groups[0] or len({len(group) for group in groups}) > 1:
        raise ValueError(f"`groups` must name a cause for every item, got lengths {[len(group) for group in groups]}.")
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, got {level!r}.")
    rng = np.random.default_rng(seed)
    causes = []
    for group in groups:
        names = {name: number for number, name in enumerate(dict.fromkeys(group))}
        causes.append((len(names), np.array([names[name] for name in group])))
    values = []
    while len(values) < num_resamples:
        weights = np.ones(len(groups[0]))
        for number, of_item in causes:
            weights *= rng.multinomial(number, np.full(number, 1 / number))[of_item]
        if weights.any():
            values.append(statistic(weights))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
