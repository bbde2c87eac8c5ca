"""The sign languages of SignVerse-2M, and averages in which each of them counts once.

`languages.tsv` holds the 56 codes of the corpus's index with their number of videos, and which codes of the list on
the data set's card mean the same (https://huggingface.co/datasets/SignerX/SignVerse-2M). The card disagrees with the
index: 10 of its 25 codes are not in it, and two of those stand for languages of which the index has no video. A last
one without a video is here because `poses.fingerspelling` spells it.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

NOT_STATED = "???"
"""The index's code of videos whose language nobody stated."""


@dataclass(frozen=True)
class SignLanguage:
    """A code of the index.

    Attributes:
        code: ISO 639-3, but for `???`, `slovenia` and `vietnam`.
        name: In English.
        num_videos: Videos in the index; 0 for languages that it does not have.
        card_codes: What the card calls it.
    """

    code: str
    name: str
    num_videos: int
    card_codes: tuple[str, ...]


@lru_cache
def sign_languages() -> Mapping[str, SignLanguage]:
    """All languages by code, those with most videos first."""
    with Path(__file__).with_name("languages.tsv").open(encoding="utf-8", newline="") as stream:
        rows = [
            SignLanguage(row["code"], row["name"], int(row["videos"]), tuple(row["card"].split()))
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    return MappingProxyType({row.code: row for row in rows})


def sign_language(code: str) -> SignLanguage:
    """Finds a language by the index's code or by one that only the card uses, such as `lse` for `ssp`.

    The card's `lsc` may be Catalan or Colombian, and its `sgd` is no sign language.

    Raises:
        ValueError: No language has that code, or several have.
    """
    if code in sign_languages():
        return sign_languages()[code]
    meant = [language for language in sign_languages().values() if code in language.card_codes]
    if len(meant) > 1:
        names = " or ".join(f"{language.code} ({language.name})" for language in meant)
        raise ValueError(f"`language` must be one language, but {code!r} may be {names}.")
    if not meant:
        raise ValueError(f"`language` must be a code such as 'ase' or 'gsg' in languages.tsv, got {code!r}.")
    return meant[0]


def macro_average(figures: Mapping[str, float]) -> float:
    """The mean over languages, each counted once; 43 of 100 videos are American, and would decide any other mean.

    Args:
        figures: A figure by language. Videos whose language is not stated are no language.

    Raises:
        ValueError: There is none, a code is unknown or given twice by different names, or a figure is not finite.
    """
    if not figures:
        raise ValueError("`figures` must hold at least one language, got none.")
    codes = [sign_language(code).code for code in figures]
    if NOT_STATED in codes:
        raise ValueError(f"`figures` must be of stated languages, got {NOT_STATED!r}.")
    if len(set(codes)) < len(codes):
        twice = next(code for code in codes if codes.count(code) > 1)
        raise ValueError(f"`figures` must hold each language once, got {twice!r} under two names.")
    for code, figure in figures.items():
        if not math.isfinite(figure):
            raise ValueError(f"`figures` must be finite, got {figure} for {code!r}.")
    return math.fsum(figures.values()) / len(figures)
