"""Figures of readings over a corpus: word error rate, accuracy among the likeliest; and how sure they are."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from jaxtyping import Float, Int


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


def word_error_rate(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], *, sclite_costs: bool = False
) -> WordErrors:
    """Counts the errors of a corpus; its rate is not the mean of the clips' rates.

    Args:
        references: The glosses of each clip.
        hypotheses: The glosses read from each clip; may be empty.
        sclite_costs: Align as sclite does, where a substitution costs 4, a deletion or an insertion 3
            (https://github.com/usnistgov/SCTK), rather than 1 each. S, D and I differ then, and their sum may, too.

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
    length = sum(map(len, references))
    if sclite_costs:
        counted = np.array([_sclite_errors(*pair) for pair in zip(references, hypotheses, strict=True)])
        substitutions, deletions, insertions = counted.sum(axis=0).tolist()
        return WordErrors(substitutions, deletions, insertions, length)
    counts = jiwer.process_words([" ".join(clip) for clip in references], [" ".join(clip) for clip in hypotheses])
    return WordErrors(counts.substitutions, counts.deletions, counts.insertions, length)


def _sclite_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """S, D and I of the cheapest alignment, and of equally cheap ones that with the fewest substitutions."""
    # Of each prefix of the hypothesis, against the reference so far: cost, then S, D, I.
    row = [(3 * length, 0, 0, length) for length in range(len(hypothesis) + 1)]
    for gloss in reference:
        above, row = row, [(row[0][0] + 3, 0, row[0][2] + 1, 0)]
        for number, read in enumerate(hypothesis):
            cost, s, d, i = above[number]
            wrong = gloss != read
            diagonal = (cost + 4 * wrong, s + wrong, d, i)
            cost, s, d, i = above[number + 1]
            deletion = (cost + 3, s, d + 1, i)
            cost, s, d, i = row[number]
            row.append(min(diagonal, deletion, (cost + 3, s, d, i + 1)))
    return row[-1][1:]


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


@dataclass(frozen=True)
class TopK:
    """Share of clips whose gloss is among the likeliest.

    Attributes:
        per_instance: Of all clips.
        per_class: Mean over glosses of the share of each one's clips, so that a rare gloss counts like a frequent one.
    """

    per_instance: float
    per_class: float


def top_k_accuracy(scores: Float[np.ndarray, "clips labels"], labels: Int[np.ndarray, " clips"], *, k: int) -> TopK:
    """Whether each clip's label is among its `k` highest scores; equal scores count against it.

    Raises:
        ValueError: There are no clips, not one label a clip, or `k` is not 1 to the number of labels.
    """
    if not len(labels) or len(labels) != len(scores):
        raise ValueError(f"`labels` must be one a clip, got {len(labels)} for {len(scores)}.")
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"`k` must be 1 to {scores.shape[1]}, got {k}.")
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    found = (scores >= own).sum(axis=1) <= k
    return TopK(float(found.mean()), float(np.mean([found[labels == label].mean() for label in np.unique(labels)])))
