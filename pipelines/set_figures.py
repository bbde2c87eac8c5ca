"""Figures of a whole set of clips: each with its bootstrap interval, its signature, and how often it was missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Bool, Float, Int

from pipelines.clip_evaluation import ClipEvaluation
from pipelines.measures.catalogue import catalogue
from pipelines.measures.features import frechet_distance, moments, weighted_sum
from pipelines.measures.reading import cohens_kappa
from pipelines.measures.signature import Better, signature
from recognizer.metrics import bootstrap_interval, word_error_rate

Interval = tuple[float, float]
Errors = tuple[int, int, int]
"""Substitutions, deletions, insertions."""
Statistic = Callable[[np.ndarray], float | None]
"""A figure of those clips that have it, of which each counts as often as its weight says."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A figure of the whole set.

    Attributes:
        name: Unique.
        title: For readers.
        group: Heading that it stands under.
        better: Which way is better.
        value: None where no clip could be measured.
        interval: 95 % bootstrap interval; None for fewer than two clips, and of Fréchet distances.
        floor: The same of the reference or control videos, over the clips that have one.
        floor_clips: How many those are.
        errors: Of an error rate, its substitutions, deletions and insertions; None of all else.
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
    floor_clips: int
    errors: Errors | None
    clips: int
    missing: int
    digits: int
    signature: str


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips to be summed up.

    Attributes:
        clips: That were evaluated.
        features: Rows of features of each.
        judges: Names and versions of estimator, recognizer and feature network.
        failed: How many further clips could not be evaluated at all: they are missing in every figure.
    """

    clips: Sequence[ClipEvaluation]
    features: Sequence[Mapping[str, Float[np.ndarray, "_rows _features"]]]
    judges: Mapping[str, str]
    failed: int = 0

    @cached_property
    def causes(self) -> list[list[str]]:
        """What is resampled: clips, and signers where several are named."""
        signers, names = ([getattr(clip, of) for clip in self.clips] for of in ("signer", "name"))
        return [names, signers] if all(signers) and len(set(signers)) > 1 else [names]

    @cached_property
    def facts(self) -> dict[str, str]:
        """What every figure depends on."""
        rates = sorted({clip.video_fps for clip in self.clips})
        sizes = sorted({(clip.width, clip.height) for clip in self.clips})
        return {
            "layout": "dwpose128",
            "estimator": self.judges["estimator"],
            "fps": ",".join(f"{rate:g}" for rate in rates[:4]) + (",..." if len(rates) > 4 else ""),
            "frame": ",".join(f"{w}x{h}" for w, h in sizes[:4]) + (",..." if len(sizes) > 4 else ""),
            "interval": f"bootstrap95-{'signers-' if len(self.causes) > 1 else ''}clips",
        }

    def interval(self, statistic: Statistic, known: Bool[np.ndarray, " clips"]) -> Interval | None:
        """None for fewer than two clips, and where a resample has no value."""
        if known.sum() < 2:
            return None
        values = bootstrap_interval(
            lambda weights: np.nan if (value := statistic(weights)) is None else value,
            [pick(cause, known) for cause in self.causes],
            num_resamples=RESAMPLES,
        )
        return values if np.isfinite(values).all() else None

    def figure(
        self,
        name: str,
        title: str,
        group: str,
        better: Better,
        statistic: Statistic,
        known: Bool[np.ndarray, " clips"],
        *,
        signature: str,
        floors: Sequence[float] = (),
        errors: Errors | None = None,
        digits: int = 3,
        resampled: bool = True,
    ) -> Figure:
        """One figure.

        Args:
            name: See `Figure`, as for all that is not listed here.
            title: For readers.
            group: Heading.
            better: Which way is better.
            statistic: The figure of the clips that are known.
            known: Which clips have what it is made of.
            signature: What it depends on.
            floors: Of the reference videos.
            errors: See `Figure`.
            digits: To be shown.
            resampled: Whether it gets an interval.
        """
        value = statistic(np.ones(int(known.sum()))) if known.any() else None
        clips = int(known.sum()) if value is not None else 0
        return Figure(
            name=name,
            title=title,
            group=group,
            better=better,
            value=value,
            interval=self.interval(statistic, known) if resampled and value is not None else None,
            floor=float(np.mean(floors)) if floors else None,
            floor_clips=len(floors),
            errors=errors,
            clips=clips,
            missing=len(self.clips) + self.failed - clips,
            digits=digits,
            signature=signature,
        )


def figures_of_clips(of: ClipSet) -> list[Figure]:
    """The mean of every figure that clips have."""
    figures = []
    for measure in catalogue(of.judges["network"]).values():
        values = np.array([np.nan if (v := clip.figures[measure.name]) is None else v for clip in of.clips], float)
        floors = [value for clip in of.clips if (value := clip.floor.get(measure.name)) is not None]
        known = np.isfinite(values)

        figures.append(
            of.figure(
                measure.name,
                measure.title,
                measure.group,
                measure.better,
                partial(_weighted_mean, values[known]),
                known,
                signature=measure.signature(**of.facts),
                floors=floors,
                digits=measure.digits,
            )
        )
    return figures


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(values @ weights / weights.sum())


def frechet_figures(of: ClipSet) -> list[Figure]:
    """Distances between the features of all videos and of all that they should be like.

    They have no interval: a resample holds fewer different clips than the set, so its distance is larger, and of some
    tens of clips the interval lies wholly above the value.
    """
    recognizer, network = of.judges["recognizer"], of.judges["network"]
    return [
        _frechet_figure(of, recognizer, "driving_states", "video_states", "of its driving poses"),
        _frechet_figure(of, network, "reference_pictures", "pictures", "of hands and faces"),
    ]


def _frechet_figure(of: ClipSet, network: str, asked: str, shown: str, what: str) -> Figure:
    known = np.array([bool(len(rows.get(asked, ())) and len(rows.get(shown, ()))) for rows in of.features], bool)
    pairs = [(moments(rows[asked]), moments(rows[shown])) for rows in pick(of.features, known)]

    def distance(weights: np.ndarray) -> float | None:
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        return frechet_distance(weighted_sum(first, weights), weighted_sum(second, weights))

    name = f"frechet_{network.split()[0]}"
    return of.figure(
        name,
        f"Fréchet distance to the features {what} in {network.split()[0]}",
        "Distribution",
        "lower",
        distance,
        known,
        signature=signature(
            name, 1, **{**of.facts, "interval": "none"}, network=network, rows="all-steps-or-cut-outs", form="squared"
        ),
        resampled=False,
    )


def kappa_figure(of: ClipSet) -> Figure:
    """Agreement of the likeliest glosses of videos and driving poses beyond chance."""
    known = np.array([bool(clip.read["driving"].top) for clip in of.clips], bool)
    asked, shown = ([clip.read[source].top for clip in pick(of.clips, known)] for source in ("driving", "video"))
    return of.figure(
        "cohens_kappa",
        "Agreement of likeliest glosses beyond chance (Cohen's kappa)",
        "Recognizer agreement",
        "higher",
        lambda weights: cohens_kappa(asked, shown, weights),
        known,
        signature=signature("cohens_kappa", 1, **of.facts, labels="likeliest-gloss-of-clip", unread="a-label"),
    )


def reading_figure(of: ClipSet) -> Figure:
    """Word error rate of what is read from the videos, where what is read from their driving poses is right."""
    known = np.array([bool(clip.read["driving"].glosses) for clip in of.clips], bool)
    asked, shown = ([clip.read[source].glosses for clip in pick(of.clips, known)] for source in ("driving", "video"))
    counts = np.array([_errors(*pair) for pair in zip(asked, shown, strict=True)], int).reshape(-1, 3)
    errors = counts.sum(axis=1)
    lengths = np.array([len(glosses) for glosses in asked], float)
    return of.figure(
        "wer/video_against_driving",
        "Word error rate against the driving reading",
        "Recognizer agreement",
        "lower",
        lambda weights: float(errors @ weights / (lengths @ weights)),
        known,
        signature=signature(
            "wer/video_against_driving", 1, **of.facts, judge=of.judges["recognizer"], average="corpus"
        ),
        errors=_summed(counts),
    )


def back_translation_figures(of: ClipSet) -> list[Figure]:
    """Word error rate of what the judge reads, over the corpus: on real poses, on the videos, and the drop."""
    known = np.array([bool(clip.glosses) for clip in of.clips], bool)
    labelled = pick(of.clips, known)
    if not labelled:
        return []
    sources = {"driving": "Ceiling: read from the driving pose", "reference": "Ceiling: read from the reference video"}
    if not all("reference" in clip.read for clip in labelled):
        del sources["reference"]
    lengths = np.array([len(clip.glosses) for clip in labelled], float)
    errors = {
        source: np.array([_errors(clip.glosses, clip.read[source].glosses) for clip in labelled])
        for source in (*sources, "video")
    }

    def figure(name: str, title: str, counts: np.ndarray) -> Figure:
        def rate(weights: np.ndarray) -> float:
            return float(counts.sum(axis=1) @ weights / (lengths @ weights))

        signed = signature(name, 1, **of.facts, judge=of.judges["recognizer"], average="corpus")
        return of.figure(
            name, title, "Back-translation", "lower", rate, known, signature=signed, errors=_summed(counts)
        )

    titles = {**sources, "video": "Read from the video"}
    rows = [figure(f"wer/{source}", f"{title}, word error rate", errors[source]) for source, title in titles.items()]
    for source, title in sources.items():
        change = errors["video"] - errors[source]
        rows.append(figure(f"wer_change/{source}", f"Drop, against the {title.split('the ')[-1]}", change))
    return rows


def pick(items: Sequence, known: Bool[np.ndarray, " items"]) -> list:
    """Those items that are known."""
    return [item for item, keep in zip(items, known, strict=True) if keep]


def _errors(wanted: Sequence[str], read: Sequence[str]) -> Errors:
    errors = word_error_rate([list(wanted)], [list(read)])
    return errors.substitutions, errors.deletions, errors.insertions


def _summed(counts: Int[np.ndarray, "clips 3"]) -> Errors:
    substitutions, deletions, insertions = counts.sum(axis=0).tolist()
    return substitutions, deletions, insertions
