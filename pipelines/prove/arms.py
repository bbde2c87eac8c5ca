"""The ways of training that are compared, and which clips each may see.

All have the same number of optimizer steps and the same batch size. With one seed, all start from the same weights, and
all that use a share of the real clips use the same ones; a smaller share is part of a larger one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.prove.plan import Comparison
from pipelines.prove.pool import Pool, Sample

PROTOCOL, MIXED, LITTLE, CONTROLS = (
    "Ceiling and substitution",
    "Real and synthetic",
    "Little real data",
    "Controls",
)

CEILING = "real-100"


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        name: Unique; letters, digits and ._-
        title: For readers, `{real}` standing for what the experiment calls its clips.
        group: Heading that it stands under.
        fraction: Share of the real training clips.
        real: Whether these are trained on, and not only their renders.
        ratio: Synthetic clips for each of them.
        gated: Whether only renders that pass the gate are used; no fewer, as far as there are enough.
        pretrained: Half of the steps on the synthetic clips, then half on the real ones.
        classical: Whether all that is seen is augmented as pictures are: colour, place, size, speed.
        twice: Whether the real clips are in the set twice.
        round_trip: Whether renders of the real clips by their own signers are added.
        shuffled: Whether the labels are shuffled.
    """

    name: str
    title: str
    group: str
    fraction: float = 1.0
    real: bool = True
    ratio: float = 0.0
    gated: bool = False
    pretrained: bool = False
    classical: bool = False
    twice: bool = False
    round_trip: bool = False
    shuffled: bool = False


@dataclass(frozen=True)
class Stage:
    """What is trained on for a share of the steps.

    Attributes:
        samples: Each with the label that is taught, which shuffling has changed.
        share: Of the optimizer steps.
    """

    samples: tuple[tuple[Sample, str], ...]
    share: float = 1.0


def list_arms(comparison: Comparison) -> tuple[Arm, ...]:
    """All ways of training; the ceiling first."""
    arms = [
        Arm(CEILING, "{real} alone", PROTOCOL),
        Arm("synthetic", "synthetic alone", PROTOCOL, real=False, ratio=1.0),
        Arm("synthetic-gated", "synthetic alone, gated", PROTOCOL, real=False, ratio=1.0, gated=True),
    ]
    for fraction in sorted(comparison.fractions, reverse=True):
        arms += _arms_of_share(fraction, comparison.ratios)
    arms += [
        Arm("real-100-twice", "{real} twice", CONTROLS, twice=True),
        Arm("real-100-round-trip", "{real} + re-rendered by the same signers", CONTROLS, round_trip=True),
        Arm("real-100-shuffled", "{real} with shuffled labels", CONTROLS, shuffled=True),
    ]
    return tuple(arms)


def _arms_of_share(fraction: float, ratios: Sequence[float]) -> list[Arm]:
    group = MIXED if fraction == 1 else LITTLE
    name, title = f"real-{100 * fraction:g}", "{real}" if fraction == 1 else f"{100 * fraction:g} % of {{real}}"
    arms = [] if fraction == 1 else [Arm(name, f"{title} alone", group, fraction)]
    arms.append(Arm(f"{name}-classical", f"{title}, augmented classically", group, fraction, classical=True))
    arms += [
        Arm(f"{name}-synthetic-{ratio:g}", f"{title} + {ratio:g} × synthetic", group, fraction, ratio=ratio)
        for ratio in ratios
    ]
    both, one = f"{title} + 1 × synthetic", {"fraction": fraction, "ratio": 1.0}
    arms += [
        Arm(f"{name}-synthetic-1-gated", f"{both}, gated", group, gated=True, **one),
        Arm(f"{name}-synthetic-1-classical", f"{both}, augmented classically", group, classical=True, **one),
        Arm(f"synthetic-1-then-{name}", f"1 × synthetic, then {title}", group, pretrained=True, **one),
    ]
    return arms


def select(arm: Arm, pool: Pool, *, seed: int) -> tuple[Stage, ...]:
    """Which clips an arm is trained on, in which order."""
    chosen = real_share(pool.real, arm.fraction, seed=seed)
    real = [*chosen, *(chosen if arm.twice else ())]
    if arm.round_trip:
        names = {sample.clip for sample in chosen}
        real += [sample for sample in pool.round_trip if sample.clip in names]
    synthetic = synthetic_share(pool.synthetic, chosen, arm.ratio, gated=arm.gated, seed=seed)
    if arm.pretrained:
        return (Stage(_labelled(synthetic), 0.5), Stage(_labelled(real), 0.5))
    samples = _labelled([*(real if arm.real else ()), *synthetic])
    if arm.shuffled:
        order = np.random.default_rng([seed, 0x3F]).permutation(len(samples))
        samples = tuple((sample, samples[other][1]) for (sample, _), other in zip(samples, order, strict=True))
    return (Stage(samples),)


def can_be_trained(arm: Arm, pool: Pool, seeds: Sequence[int]) -> bool:
    """Whether there is something to train on in every stage: the gate may keep nothing."""
    return all(stage.samples for seed in seeds for stage in select(arm, pool, seed=seed))


def real_share(real: Sequence[Sample], fraction: float, *, seed: int) -> list[Sample]:
    """The same share of every gloss, at least one clip; a smaller share is part of a larger one."""
    rng = np.random.default_rng([seed, 0x9E])
    chosen = []
    for gloss in sorted({sample.gloss for sample in real}):
        of_gloss = [sample for sample in real if sample.gloss == gloss]
        order = rng.permutation(len(of_gloss))
        chosen += [of_gloss[number] for number in order[: max(1, _round(fraction * len(of_gloss)))]]
    return chosen


def synthetic_share(
    synthetic: Sequence[Sample], chosen: Sequence[Sample], ratio: float, *, gated: bool, seed: int
) -> list[Sample]:
    """Renders of the chosen clips: `ratio` for each, as far as there are so many; one of each before a second one."""
    order = np.random.default_rng([seed, 0xC3]).permutation(len(chosen))
    rank = {chosen[number].clip: place for place, number in enumerate(order)}
    candidates = [sample for sample in synthetic if sample.clip in rank and (sample.kept or not gated)]
    candidates.sort(key=lambda sample: (sample.variant, rank[sample.clip]))
    return candidates[: _round(ratio * len(chosen))]


def _labelled(samples: Sequence[Sample]) -> tuple[tuple[Sample, str], ...]:
    return tuple((sample, sample.gloss) for sample in samples)


def _round(value: float) -> int:
    """Halves go up: Python's own `round` takes 2.5 for 2."""
    return int(np.floor(value + 0.5))
