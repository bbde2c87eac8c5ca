"""What the runs come to: the accuracy of every arm, and how it differs from others, with intervals.

A difference is paired: the same test clips, read by both. Its interval resamples signers, clips and seeds, each with
replacement and all at once, since an arm that is better for one signer or with one seed is not better yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipelines.prove.arms import CEILING, PROTOCOL, Arm
from pipelines.prove.pool import Sample
from pipelines.prove.runs import RunResult
from recognizer.metrics import bootstrap_interval

Right = Float[np.ndarray, "seeds clips"]
"""1 where a run read a clip right, 0 where it did not."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One arm on one test.

    Attributes:
        arm: Its name.
        title: For readers.
        group: Heading that it stands under.
        train_clips: Different clips and renders that it was trained on, as a mean over seeds.
        test_clips: How many it was tested on.
        runs: Top-1 accuracy of each seed.
        top1: Over all seeds.
        top5: Share of clips whose gloss is among the five likeliest.
        by_class: Top-1 accuracy as a mean over glosses.
        to_ceiling: Top-1 accuracy less that of the ceiling, on the same clips.
        to_same_share: Less that of the same real clips alone; None where there are none, or nothing else.
        to_classical: Less that of the same real clips augmented classically.
    """

    arm: str
    title: str
    group: str
    train_clips: float
    test_clips: int
    runs: tuple[float, ...]
    top1: Estimate
    top5: float
    by_class: float
    to_ceiling: Estimate
    to_same_share: Estimate | None
    to_classical: Estimate | None


class Readings:
    """What all runs of an experiment read, arm by arm.

    Args:
        results: All runs; every arm with the same seeds.
        tests: By name, the clips or renders that were read.
        by_signer: Whether signers are resampled; not where nobody knows who signs.
    """

    def __init__(self, results: Sequence[RunResult], tests: Mapping[str, Sequence[Sample]], *, by_signer: bool):
        self.of_arm: dict[str, list[RunResult]] = {}
        for result in sorted(results, key=lambda result: result.seed):
            self.of_arm.setdefault(result.arm, []).append(result)
        self.tests = tests
        self.by_signer = by_signer

    def right(self, arm: str, test: str, *, top: int = 1) -> Right:
        """Whether each clip's gloss is among the `top` likeliest, by seed."""
        glosses = [sample.gloss for sample in self.tests[test]]
        return np.array(
            [
                [gloss in read[:top] for gloss, read in zip(glosses, result.read[test], strict=True)]
                for result in self.of_arm[arm]
            ],
            float,
        )

    def causes(self, test: str, keep: np.ndarray, num_seeds: int) -> list[list[str]]:
        """What is resampled: of each reading its clip, its seed, and its signer where signers are known."""
        samples = [sample for sample, kept in zip(self.tests[test], keep, strict=True) if kept]
        items = [(str(seed), sample.clip, sample.signer) for seed in range(num_seeds) for sample in samples]
        seeds, clips, signers = (list(names) for names in zip(*items, strict=True))
        return [seeds, clips, signers] if self.by_signer else [seeds, clips]


def estimate(values: Right, causes: Sequence[Sequence[str]]) -> Estimate:
    """The mean of values, such as differences of two arms, and its interval."""
    flat = values.ravel()
    low, high = bootstrap_interval(lambda weights: float(flat @ weights / weights.sum()), causes)
    return Estimate(float(flat.mean()), low, high)


def estimate_ratio(values: Right, reference: Right, causes: Sequence[Sequence[str]]) -> Estimate | None:
    """The ratio of two means and its interval; None where the reference is right too seldom to be divided by."""
    above, below = values.ravel(), reference.ravel()
    with np.errstate(invalid="ignore"):  # between infinities there is no quantile
        low, high = bootstrap_interval(lambda w: float(above @ w / (below @ w)) if below @ w > 0 else np.inf, causes)
    return Estimate(float(above.sum() / below.sum()), low, high) if np.isfinite(high) else None


def compare(readings: Readings, arms: Sequence[Arm], *, real: str) -> list[Row]:
    """A row for every arm on the test, and for those of the protocol on renders of the test.

    Args:
        readings: What all runs read.
        arms: All of them.
        real: What the experiment calls its clips.
    """
    rows = [_row(readings, arm, arms, "test", None, real, "") for arm in arms]
    kept = np.array([sample.kept for sample in readings.tests["synthetic-test"]], bool)
    for arm in (arm for arm in arms if arm.group == PROTOCOL and not arm.gated):
        rows.append(_row(readings, arm, arms, "synthetic-test", None, real, ", tested on synthetic"))
        if 0 < kept.sum() < len(kept):
            rows.append(_row(readings, arm, arms, "synthetic-test", kept, real, ", tested on gated synthetic"))
    return rows


def _row(
    readings: Readings, arm: Arm, arms: Sequence[Arm], test: str, kept: np.ndarray | None, real: str, said: str
) -> Row:
    right = readings.right(arm.name, test)
    keep = np.ones(right.shape[1], bool) if kept is None else kept
    causes = readings.causes(test, keep, len(right))
    of_arm = readings.of_arm[arm.name]
    glosses = np.array([sample.gloss for sample in readings.tests[test]])[keep]

    place = {sample.clip: number for number, sample in enumerate(readings.tests["test"])}
    columns = [place[sample.clip] for sample in readings.tests[test]]

    def less(other: str | None) -> Estimate | None:
        if other is None:
            return None
        return estimate((right - readings.right(other, "test")[:, columns])[:, keep], causes)

    alone = next((o.name for o in arms if _plain(o) and o.fraction == arm.fraction), None)
    classical = next((o.name for o in arms if _only_classical(o) and o.fraction == arm.fraction), None)
    to_ceiling = less(CEILING)
    assert to_ceiling is not None
    return Row(
        arm=arm.name,
        title=arm.title.format(real=real) + said,
        group=arm.group,
        train_clips=float(np.mean([result.num_clips for result in of_arm])),
        test_clips=int(keep.sum()),
        runs=tuple(float(value) for value in right[:, keep].mean(axis=1)),
        top1=estimate(right[:, keep], causes),
        top5=float(readings.right(arm.name, test, top=5)[:, keep].mean()),
        by_class=float(np.mean([right[:, keep][:, glosses == gloss].mean() for gloss in np.unique(glosses)])),
        to_ceiling=to_ceiling,
        to_same_share=less(alone) if arm.real and alone != arm.name and not said else None,
        to_classical=less(classical) if arm.real and classical != arm.name and not said else None,
    )


def _plain(arm: Arm) -> bool:
    return arm.real and not (
        arm.ratio or arm.classical or arm.twice or arm.round_trip or arm.shuffled or arm.pretrained
    )


def _only_classical(arm: Arm) -> bool:
    return arm.real and arm.classical and not arm.ratio
