"""What a set of clips comes to: every figure with its interval, its signature, and how often it was not measured."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pipelines.clip_evaluation import ClipEvaluation
from pipelines.measures.catalogue import catalogue
from pipelines.measures.features import Moments, frechet_distance, moments, weighted_sum
from pipelines.measures.reading import cohens_kappa, confusions, embed, faithfulness
from pipelines.measures.signature import Better, signature
from recognizer.metrics import bootstrap_interval, word_error_rate

Interval = tuple[float, float]
Statistic = Callable[[np.ndarray], float | None]

RESAMPLES = 1000
FRECHET_RESAMPLES = 100
"""Fewer, since each takes the roots of a matrix."""


@dataclass(frozen=True)
class Figure:
    """A figure of the whole set.

    Attributes:
        name: Unique.
        title: For readers.
        group: Heading that it stands under.
        better: Which way is better.
        value: None where no clip could be measured.
        interval: 95 % bootstrap interval; None for fewer than two clips.
        floor: The same of the reference or control videos, over the clips that have one.
        clips: How many the value rests on.
        missing: How many could not be measured; they are in no average.
        digits: To be shown.
        signature: What the value depends on.
    """

    name: str
    title: str
    group: str
    better: Better
    value: float | None
    interval: Interval | None
    floor: float | None
    clips: int
    missing: int
    digits: int
    signature: str


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
    clips: Sequence[ClipEvaluation], features: Sequence[Mapping[str, Float[np.ndarray, "rows features"]]]
) -> list[ClipEvaluation]:
    """Adds the one figure of a clip that depends on the other clips."""
    embedded = [[embed(of_clip[f"{of}_states"]) for of_clip in features] for of in ("video", "driving")]
    ratios = faithfulness(*embedded)
    return [
        replace(clip, figures={**clip.figures, "faithfulness": ratio})
        for clip, ratio in zip(clips, ratios, strict=True)
    ]


def summarise(
    clips: Sequence[ClipEvaluation],
    features: Sequence[Mapping[str, Float[np.ndarray, "rows features"]]],
    *,
    judges: Mapping[str, str],
    failed: int = 0,
) -> Summary:
    """Sums up a set.

    Args:
        clips: That were evaluated, with their faithfulness.
        features: Of each.
        judges: Names and versions of estimator, recognizer and feature network.
        failed: How many clips could not be evaluated at all: they are missing in every figure.
    """
    total = len(clips) + failed
    facts = _common_facts(clips, judges)
    causes = _causes(clips)
    figures = []
    for measure in catalogue(judges["network"]).values():
        values = np.array([np.nan if (v := clip.figures[measure.name]) is None else v for clip in clips], float)
        floors = [value for clip in clips if (value := clip.floor.get(measure.name)) is not None]
        known = np.isfinite(values)
        interval = _interval(lambda weights, of=values[known]: _mean(of, weights), [_pick(c, known) for c in causes])
        figures.append(
            Figure(
                name=measure.name,
                title=measure.title,
                group=measure.group,
                better=measure.better,
                value=float(values[known].mean()) if known.any() else None,
                interval=interval,
                floor=float(np.mean(floors)) if floors else None,
                clips=int(known.sum()),
                missing=total - int(known.sum()),
                digits=measure.digits,
                signature=measure.signature(**facts),
            )
        )
    figures += [*_frechet_figures(clips, features, judges, facts, total, causes), _kappa(clips, facts, total, causes)]
    tops = Counter(gloss for clip in clips for gloss in set(clip.glosses))
    return Summary(
        figures=tuple(figures),
        back_translation=tuple(_back_translation(clips, facts, judges, total, causes)),
        by_gloss=_groups(clips, lambda clip: sorted(set(clip.glosses))),
        by_language=_groups(clips, lambda clip: [clip.language] if clip.language else []),
        confusions=tuple(
            confusions([_expected(clip) for clip in clips], [clip.read["video"].glosses for clip in clips])
        ),
        single=tuple(sorted(gloss for gloss, count in tops.items() if count == 1)),
    )


def _common_facts(clips: Sequence[ClipEvaluation], judges: Mapping[str, str]) -> dict[str, str]:
    rates = sorted({clip.video_fps for clip in clips})
    sizes = sorted({(clip.width, clip.height) for clip in clips})
    return {
        "layout": "dwpose128",
        "estimator": judges["estimator"],
        "fps": ",".join(f"{rate:g}" for rate in rates[:4]) + (",..." if len(rates) > 4 else ""),
        "frame": ",".join(f"{w}x{h}" for w, h in sizes[:4]) + (",..." if len(sizes) > 4 else ""),
        "interval": f"bootstrap95-{'signers-' if len({clip.signer for clip in clips} - {''}) > 1 else ''}clips",
    }


def _causes(clips: Sequence[ClipEvaluation]) -> list[list[str]]:
    """What is resampled: clips, and signers where several are named."""
    signers = [clip.signer for clip in clips]
    names = [clip.name for clip in clips]
    return [names, signers] if all(signers) and len(set(signers)) > 1 else [names]


def _pick(items: Sequence[str], known: np.ndarray) -> list[str]:
    return [item for item, keep in zip(items, known, strict=True) if keep]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(values @ weights / weights.sum())


def _interval(statistic: Statistic, causes: Sequence[Sequence[str]], resamples: int | None = None) -> Interval | None:
    """None for fewer than two clips, and where a resample has no value."""
    if len(causes[0]) < 2:
        return None
    values = bootstrap_interval(
        lambda weights: np.nan if (value := statistic(weights)) is None else value,
        causes,
        num_resamples=resamples or RESAMPLES,
    )
    return values if np.isfinite(values).all() else None


def _frechet_figures(
    clips: Sequence[ClipEvaluation],
    features: Sequence[Mapping[str, np.ndarray]],
    judges: Mapping[str, str],
    facts: Mapping[str, str],
    total: int,
    causes: Sequence[Sequence[str]],
) -> list[Figure]:
    """Distances between the features of all videos and of all that they should be like."""
    recognizer = judges["recognizer"].split()[0]
    kinds = {
        f"frechet_{recognizer}": ("driving_states", "video_states", "of its driving poses", judges["recognizer"]),
        f"frechet_{judges['network']}": ("reference_pictures", "pictures", "of hands and faces", judges["network"]),
    }
    figures = []
    for name, (asked, shown, what, network) in kinds.items():
        known = np.array([bool(len(of.get(asked, ())) and len(of.get(shown, ()))) for of in features], bool)
        pairs = [(moments(of[asked]), moments(of[shown])) for of, keep in zip(features, known, strict=True) if keep]

        def distance(weights: np.ndarray, pairs: Sequence[tuple[Moments, Moments]] = pairs) -> float | None:
            first, second = ([pair[side] for pair in pairs] for side in (0, 1))
            return frechet_distance(weighted_sum(first, weights), weighted_sum(second, weights))

        value = distance(np.ones(len(pairs))) if pairs else None
        picked = [_pick(cause, known) for cause in causes]
        figures.append(
            Figure(
                name=name,
                title=f"Fréchet distance to the features {what} in {network.split()[0]}",
                group="Distribution",
                better="lower",
                value=value,
                interval=None if value is None else _interval(distance, picked, FRECHET_RESAMPLES),
                floor=None,
                clips=len(pairs) if value is not None else 0,
                missing=total - (len(pairs) if value is not None else 0),
                digits=3,
                signature=signature(name, 1, **facts, network=network, rows="all-steps-or-cut-outs", form="squared"),
            )
        )
    return figures


def _kappa(
    clips: Sequence[ClipEvaluation], facts: Mapping[str, str], total: int, causes: Sequence[Sequence[str]]
) -> Figure:
    known = np.array([bool(clip.read["driving"].top) for clip in clips], bool)
    asked, shown = (_pick([clip.read[of].top for clip in clips], known) for of in ("driving", "video"))
    return Figure(
        name="cohens_kappa",
        title="Agreement of likeliest glosses beyond chance (Cohen's kappa)",
        group="Recognizer agreement",
        better="higher",
        value=cohens_kappa(asked, shown) if known.any() else None,
        interval=_interval(lambda w: cohens_kappa(asked, shown, w), [_pick(cause, known) for cause in causes]),
        floor=None,
        clips=int(known.sum()),
        missing=total - int(known.sum()),
        digits=3,
        signature=signature("cohens_kappa", 1, **facts, labels="likeliest-gloss-of-clip", unread="a-label"),
    )


def _back_translation(
    clips: Sequence[ClipEvaluation],
    facts: Mapping[str, str],
    judges: Mapping[str, str],
    total: int,
    causes: Sequence[Sequence[str]],
) -> list[Figure]:
    """Word error rate of what the judge reads, over the corpus: on real poses, on the videos, and the drop."""
    known = np.array([bool(clip.glosses) for clip in clips], bool)
    labelled = [clip for clip, keep in zip(clips, known, strict=True) if keep]
    if not labelled:
        return []
    wanted = [clip.glosses for clip in labelled]
    lengths = np.array([len(glosses) for glosses in wanted], float)
    picked = [_pick(cause, known) for cause in causes]
    sources = {"driving": "Ceiling: read from the driving pose", "reference": "Ceiling: read from the reference video"}
    if not all("reference" in clip.read for clip in labelled):
        del sources["reference"]
    errors = {
        of: np.array([_count(glosses, clip.read[of].glosses) for glosses, clip in zip(wanted, labelled, strict=True)])
        for of in (*sources, "video")
    }

    def figure(name: str, title: str, counts: np.ndarray, detail: str) -> Figure:
        def rate(weights: np.ndarray) -> float:
            return float(counts.sum(axis=1) @ weights / (lengths @ weights))

        return Figure(
            name=name,
            title=title,
            group="Back-translation",
            better="lower",
            value=rate(np.ones(len(labelled))),
            interval=_interval(rate, picked),
            floor=None,
            clips=len(labelled),
            missing=total - len(labelled),
            digits=3,
            signature=signature(name, 1, **facts, judge=judges["recognizer"], average="corpus", **{"s/d/i": detail}),
        )

    def counted(of: str) -> str:
        return "/".join(str(int(count)) for count in errors[of].sum(axis=0))

    rows = [figure(f"wer/{of}", f"{title}, word error rate", errors[of], counted(of)) for of, title in sources.items()]
    rows.append(figure("wer/video", "Read from the video, word error rate", errors["video"], counted("video")))
    for of, title in sources.items():
        change = errors["video"] - errors[of]
        detail = "/".join(f"{int(count):+d}" for count in change.sum(axis=0))
        rows.append(figure(f"wer_change/{of}", f"Drop, against the {title.split('the ')[-1]}", change, detail))
    return rows


def _count(wanted: Sequence[str], read: Sequence[str]) -> tuple[int, int, int]:
    errors = word_error_rate([list(wanted)], [list(read)])
    return errors.substitutions, errors.deletions, errors.insertions


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
