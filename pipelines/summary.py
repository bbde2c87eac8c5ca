"""What a set of clips comes to: its figures, the same by gloss and by language, what was confused, what was missing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pipelines.clip_evaluation import ClipEvaluation
from pipelines.measures.reading import confusions, embed, faithfulness
from pipelines.set_figures import (
    ClipSet,
    Figure,
    back_translation_figures,
    figures_of_clips,
    frechet_figures,
    kappa_figure,
    reading_figure,
)
from recognizer.metrics import word_error_rate


@dataclass(frozen=True)
class Group:
    """The clips of one gloss or one language."""

    name: str
    clips: int
    values: dict[str, float | None]


@dataclass(frozen=True)
class Summary:
    """What all clips come to.

    Attributes:
        figures: Of the whole set.
        back_translation: Figures of what a recognizer reads: on driving poses (the ceiling), on videos, and the drop.
        by_gloss: Per gloss, of clips that show it.
        by_language: Per language.
        confusions: What was read, from the videos, in place of what, and how often; empty stands for nothing.
        single: Glosses that one clip shows: of them nothing can be said in general.
    """

    figures: tuple[Figure, ...]
    back_translation: tuple[Figure, ...]
    by_gloss: tuple[Group, ...]
    by_language: tuple[Group, ...]
    confusions: tuple[tuple[str, str, int], ...]
    single: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of a set found.

    Attributes:
        signloop: Version of the package.
        source: The table or folder that the clips were named in.
        judges: Name and version of estimator, recognizer and feature network.
        summary: Of all clips.
        clips: Every clip.
        failed: Clips that could not be evaluated, with the reason; they are counted as missing in every figure.
        alone: Files of the folder that are in no pair.
        seconds_per_frame: Of all clips together, for finding poses (`extract`) and for all else (`measure`).
        packages: Versions of the packages that figures depend on.
        machine: What it ran on.
    """

    signloop: str
    source: str
    judges: dict[str, str]
    summary: Summary
    clips: tuple[ClipEvaluation, ...]
    failed: dict[str, str]
    alone: tuple[str, ...]
    seconds_per_frame: dict[str, float]
    packages: dict[str, str]
    machine: str


TABLE = ("pck_0.2/hands", "recall/hands", "ndtwp", "movement_ratio", "top1_agreement", "js_divergence")
"""Figures that the tables of glosses and languages have."""


def with_faithfulness(
    clips: Sequence[ClipEvaluation], features: Sequence[Mapping[str, Float[np.ndarray, "_rows _features"]]]
) -> list[ClipEvaluation]:
    """Adds the one figure of a clip that depends on the other clips."""
    embedded = [[embed(of_clip[f"{of}_states"]) for of_clip in features] for of in ("video", "driving")]
    ratios = faithfulness(*embedded)
    return [
        replace(clip, figures={**clip.figures, "faithfulness": ratio})
        for clip, ratio in zip(clips, ratios, strict=True)
    ]


def summarise(of: ClipSet) -> Summary:
    """Sums up a set of clips that have their faithfulness."""
    clips = of.clips
    shown_by = Counter(gloss for clip in clips for gloss in set(clip.glosses))
    return Summary(
        figures=(*figures_of_clips(of), *frechet_figures(of), reading_figure(of), kappa_figure(of)),
        back_translation=tuple(back_translation_figures(of)),
        by_gloss=_groups(clips, lambda clip: sorted(set(clip.glosses))),
        by_language=_groups(clips, lambda clip: [clip.language] if clip.language else []),
        confusions=tuple(
            confusions([_expected(clip) for clip in clips], [clip.read["video"].glosses for clip in clips])
        ),
        single=tuple(sorted(gloss for gloss, count in shown_by.items() if count == 1)),
    )


def _groups(clips: Sequence[ClipEvaluation], names: Callable[[ClipEvaluation], Sequence[str]]) -> tuple[Group, ...]:
    of_name: dict[str, list[ClipEvaluation]] = {}
    for clip in clips:
        for name in names(clip):
            of_name.setdefault(name, []).append(clip)
    groups = []
    for name, members in sorted(of_name.items()):
        values: dict[str, float | None] = {}
        for key in TABLE:
            known = [value for clip in members if (value := clip.figures[key]) is not None]
            values[key] = float(np.mean(known)) if known else None
        labelled = [clip for clip in members if clip.glosses]
        for of in ("driving", "video"):
            rate = (
                word_error_rate([c.glosses for c in labelled], [c.read[of].glosses for c in labelled])
                if labelled
                else None
            )
            values[f"wer/{of}"] = rate.rate if rate else None
        groups.append(Group(name, len(members), values))
    return tuple(groups)


def _expected(clip: ClipEvaluation) -> tuple[str, ...]:
    """What is signed, or, where nobody says, what the recognizer reads from the driving pose."""
    return clip.glosses or clip.read["driving"].glosses
