from pathlib import Path

import numpy as np
import pytest

from pipelines.prove.arms import CEILING, list_arms
from pipelines.prove.comparison import Readings, compare, estimate, estimate_ratio
from pipelines.prove.plan import Comparison
from pipelines.prove.pool import Sample
from pipelines.prove.runs import RunResult

CHOSEN = (CEILING, "synthetic", "real-100-classical", "real-100-synthetic-1")
ARMS = tuple(arm for arm in list_arms(Comparison(fractions=(1.0,), ratios=(1.0,))) if arm.name in CHOSEN)


def clip(name: str, gloss: str, signer: str, *, kept: bool = True) -> Sample:
    return Sample(name, Path(name), Path(name), gloss, signer, kept=kept)


TEST = (clip("a", "HOUSE", "ann"), clip("b", "TREE", "ann"), clip("c", "HOUSE", "bob"), clip("d", "TREE", "bob"))
RENDERED = (clip("d", "TREE", "bob"), clip("a", "HOUSE", "ann", kept=False))


def readings(right: dict[str, str], *, by_signer: bool = True) -> Readings:
    """Every arm reads HOUSE everywhere, those named read the clips of the test that they are given right."""

    def read(sample: Sample, said: str | None) -> list[str]:
        wrong = "TREE" if sample.gloss == "HOUSE" else "HOUSE"
        if said is None:
            return ["HOUSE", "TREE"]
        return [sample.gloss, wrong] if sample.clip in said else [wrong, sample.gloss]

    results = [
        RunResult(
            arm=arm.name,
            seed=seed,
            num_clips=4,
            num_steps=1,
            loss=0.0,
            seconds=1.0,
            read={
                "test": [read(sample, right.get(arm.name)) for sample in TEST],
                "synthetic-test": [read(sample, right.get(arm.name)) for sample in RENDERED],
            },
        )
        for arm in ARMS
        for seed in range(3)
    ]
    return Readings(results, {"test": TEST, "synthetic-test": RENDERED}, by_signer=by_signer)


def test_the_interval_of_a_difference_is_that_of_resampled_signers_and_clips():
    # Right where signer 1 signs, wrong where signer 2 does: a resample has 2, 1 or 0 times the first one, with
    # probabilities 1/4, 1/2, 1/4, so that the 95 % interval is all there is.
    found = estimate(np.array([[1.0, 1.0, 0.0, 0.0]]), [["a", "b", "c", "d"], ["1", "1", "2", "2"]])
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    # A difference that is the same everywhere has no spread, however it is resampled.
    found = estimate(np.full((3, 4), 0.25), [list("abcd") * 3])
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_the_interval_is_that_of_the_binomial_where_clips_alone_are_resampled():
    right = np.array([[1.0] * 60 + [0.0] * 40])
    found = estimate(right, [[str(number) for number in range(100)]])
    assert found.value == 0.6
    spread = np.sqrt(0.6 * 0.4 / 100)
    np.testing.assert_allclose([found.low, found.high], [0.6 - 1.96 * spread, 0.6 + 1.96 * spread], atol=0.012)


def test_a_ratio_has_no_interval_where_the_reference_may_be_nothing():
    causes = [list("abcd")]
    found = estimate_ratio(np.array([[1.0, 0, 1, 0]]), np.ones((1, 4)), causes)
    assert found is not None
    assert found.value == 0.5
    assert estimate_ratio(np.ones((1, 4)), np.array([[1.0, 0, 0, 0]]), causes) is None


def test_every_arm_has_a_row_with_its_difference_to_the_ceiling():
    found = compare(readings({CEILING: "abc", "synthetic": "a", "real-100-synthetic-1": "abcd"}), ARMS, real="stand-in")
    rows = {row.title: row for row in found}
    assert {row.arm for row in found} == {arm.name for arm in ARMS}
    ceiling, synthetic, both = (
        rows[title] for title in ("stand-in alone", "synthetic alone", "stand-in + 1 × synthetic")
    )
    assert (ceiling.top1.value, ceiling.runs, ceiling.top5) == (0.75, (0.75,) * 3, 1.0)
    assert (ceiling.to_ceiling.value, ceiling.to_ceiling.low, ceiling.to_ceiling.high) == (0, 0, 0)
    assert synthetic.to_ceiling.value == -0.5
    assert both.to_ceiling.value == 0.25
    assert both.to_same_share == both.to_ceiling
    assert both.to_classical is not None
    assert both.to_classical.value == 0.5  # HOUSE everywhere is right in half
    assert (ceiling.to_same_share, synthetic.to_same_share, synthetic.to_classical) == (None, None, None)


def test_renders_of_the_test_are_compared_with_the_clips_that_they_show():
    found = compare(readings({CEILING: "a", "synthetic": "d"}), ARMS, real="stand-in")
    rows = {row.title: row for row in found}
    all_renders = rows["stand-in alone, tested on synthetic"]
    assert (all_renders.test_clips, all_renders.top1.value, all_renders.to_ceiling.value) == (2, 0.5, 0)
    gated = rows["synthetic alone, tested on gated synthetic"]
    assert (gated.test_clips, gated.top1.value, gated.to_ceiling.value) == (1, 1.0, 1.0)


def test_signers_are_resampled_only_where_they_are_known():
    every = np.ones(4, bool)
    assert len(readings({}).causes("test", every, 3)) == 3
    assert len(readings({}, by_signer=False).causes("test", every, 3)) == 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_reading_has_a_clip_a_seed_and_a_signer(seeds):
    runs, clips, signers = readings({}).causes("test", np.array([True, False, True, False]), seeds)
    assert clips == ["a", "c"] * seeds
    assert signers == ["ann", "bob"] * seeds
    assert len(set(runs)) == seeds
