"""Figures of glosses and translations as sign-language papers give them: PHOENIX clean-ups, ROUGE-L, BLEU, chrF."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

EMPTY = "[EMPTY]"
"""What PHOENIX's clean-up leaves of a sentence without glosses."""

_PHOENIX_2014_NAMES = {"S0NNE": "SONNE", "HABEN2": "HABEN", "ZEIGEN": "ZEIGEN-BILDSCHIRM"}


def clean_phoenix_2014(glosses: Sequence[str]) -> list[str]:
    """Glosses of RWTH-PHOENIX-Weather 2014 as evaluations of it compare them.

    Rules of `signjoey/phoenix_utils/phoenix_cleanup.py` in
    https://github.com/neccam/slt/tree/b9f1a7b4efd25d381b178f0ae7375ff329fde2cd, which renders the corpus's own scripts.
    Theirs join spelled letters in several passes that miss some places; here every run of letters is joined.
    """
    kept = [re.sub(r"^((loc|cl|qu|poss|lh)-)+", "", gloss) for gloss in glosses]
    kept = [gloss for gloss in kept if gloss not in ("__EMOTION__", "__PU__", "__LEFTHAND__")]
    return _clean([_PHOENIX_2014_NAMES.get(gloss, gloss) for gloss in kept])


def clean_phoenix_2014_t(glosses: Sequence[str]) -> list[str]:
    """Glosses of RWTH-PHOENIX-Weather 2014 T as evaluations of it compare them; see `clean_phoenix_2014`."""
    kept = [gloss for gloss in glosses if not re.fullmatch(r"__.*__", gloss)]
    return _clean([re.sub(r"^((loc|cl)-)+", "", gloss) for gloss in kept])


CLEAN_UPS: Mapping[str, Callable[[Sequence[str]], list[str]]] = MappingProxyType(
    {"": list, "phoenix-2014": clean_phoenix_2014, "phoenix-2014-t": clean_phoenix_2014_t}
)
"""How glosses are changed before they are compared, by the corpus whose evaluations do so."""


def _clean(glosses: Sequence[str]) -> list[str]:
    """What both have in common: joined compounds and spelled letters, cut suffixes, no immediate repeats."""
    text = " ".join(glosses).replace("WIE AUSSEHEN", "WIE-AUSSEHEN")
    text = " ".join(re.sub(r"(?<=[A-Z])RAUM$", "", re.sub(r"-PLUSPLUS$", "", gloss)) for gloss in text.split())
    letters = r"(?:[A-Z]|SCH|NN)(?:\+(?:[A-Z]|SCH|NN))*"
    text = re.sub(rf"(?<!\S){letters}(?: {letters})+(?!\S)", lambda spelled: spelled[0].replace(" ", "+"), text)
    return [gloss for gloss, _ in groupby(text.split())] or [EMPTY]


def rouge_l(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], *, beta: float = 1.2) -> float:
    """Mean over clips of ROUGE-L's F, 0 to 1: how much of both is in their longest common subsequence.

    Lin, "ROUGE", https://aclanthology.org/W04-1013, equations 2 to 4.

    Args:
        references: Words of each clip.
        hypotheses: Words that were read; an empty reading scores 0.
        beta: How much more recall counts than precision; 1.2 in sign-language translation.

    Raises:
        ValueError: There is no reference, an empty one, or not one hypothesis a reference.
    """
    _check_pairs(references, hypotheses)
    scores = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        common = _common_length(reference, hypothesis)
        recall, precision = common / len(reference), common / max(len(hypothesis), 1)
        scores.append((1 + beta**2) * recall * precision / (recall + beta**2 * precision) if common else 0.0)
    return sum(scores) / len(scores)


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row
        row = [0]
        for number, other in enumerate(second):
            row.append(before[number] + 1 if word == other else max(before[number + 1], row[number]))
    return row[-1]


@dataclass(frozen=True)
class TextScore:
    """A score of sacrebleu.

    Attributes:
        value: 0 to 100.
        signature: What was computed, and by which version.
    """

    value: float
    signature: str


def bleu(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], *, max_order: int = 4) -> TextScore:
    """Corpus BLEU of words that are parted already, by sacrebleu without further tokenisation.

    Args:
        references: Words of each clip.
        hypotheses: Words that were read.
        max_order: Longest n-gram, 1 to 4.

    Raises:
        ValueError: There is no reference, an empty one, or not one hypothesis a reference.
    """
    from sacrebleu.metrics.bleu import BLEU

    return _sacrebleu(BLEU(tokenize="none", max_ngram_order=max_order, force=True), references, hypotheses)


def chrf(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> TextScore:
    """Corpus chrF by sacrebleu, which is steadier than BLEU where scores are small.

    Raises:
        ValueError: There is no reference, an empty one, or not one hypothesis a reference.
    """
    from sacrebleu.metrics.chrf import CHRF

    return _sacrebleu(CHRF(), references, hypotheses)


def _sacrebleu(metric: Any, references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> TextScore:
    _check_pairs(references, hypotheses)
    score = metric.corpus_score([" ".join(words) for words in hypotheses], [[" ".join(words) for words in references]])
    return TextScore(float(score.score), str(metric.get_signature()))


def _check_pairs(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> None:
    if len(references) != len(hypotheses):
        raise ValueError(f"`hypotheses` must be one a reference, got {len(hypotheses)} for {len(references)}.")
    if not references or not all(references):
        raise ValueError("`references` must hold at least one word each, got none.")
