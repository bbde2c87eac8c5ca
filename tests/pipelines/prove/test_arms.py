from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.prove.arms import CEILING, Arm, can_be_trained, list_arms, real_share, select, synthetic_share
from pipelines.prove.plan import Comparison, Training
from pipelines.prove.pool import Pool, Sample
from pipelines.prove.runs import share_steps

GLOSSES = ("HOUSE", "TREE")


def sample(clip: str, kind: str = "clip", variant: int = 0, *, kept: bool = True) -> Sample:
    path = Path(f"{kind}-{variant}-{clip}")
    return Sample(clip, path / "view.npy", path / "poses.pose", clip.split("-")[0], f"signer of {clip}", variant, kept)


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Ten clips of each of two glosses, two renders of each, of which the gate rejects every first one of a TREE."""
    names = [f"{gloss}-{number}" for gloss in GLOSSES for number in range(10)]
    return Pool(
        stand_in=True,
        real=tuple(sample(name) for name in names),
        synthetic=tuple(
            sample(name, "synthetic", variant, kept=variant == 1 or name.startswith("HOUSE"))
            for variant in range(2)
            for name in names
        ),
        round_trip=tuple(sample(name, "round-trip") for name in names),
        test=(sample("HOUSE-t"), sample("TREE-t")),
        synthetic_test=(sample("HOUSE-t", "synthetic-test"),),
        failed={},
    )


@pytest.fixture(scope="module")
def arms() -> dict[str, Arm]:
    return {arm.name: arm for arm in list_arms(Comparison(fractions=(0.25, 1.0), ratios=(0.5, 1.0, 2.0)))}


def kinds(pool: Pool, arm: Arm) -> list[Counter]:
    """How many samples of each kind and gloss every stage has."""
    return [
        Counter((taught.view.parent.name.rsplit("-", 3)[0], taught.gloss) for taught, _ in stage.samples)
        for stage in select(arm, pool, seed=0)
    ]


def test_every_arm_has_its_share_and_ratio(pool, arms):
    def total(name: str) -> dict[str, int]:
        counts = Counter()
        for stage in kinds(pool, arms[name]):
            for (kind, _), number in stage.items():
                counts[kind] += number
        return dict(counts)

    assert total(CEILING) == {"clip": 20}
    assert total("real-25") == {"clip": 6}  # 2.5 of each gloss go up to 3
    assert total("real-100-synthetic-0.5") == {"clip": 20, "synthetic": 10}
    assert total("real-100-synthetic-2") == {"clip": 20, "synthetic": 40}
    assert total("real-25-synthetic-1") == {"clip": 6, "synthetic": 6}
    assert total("synthetic") == {"synthetic": 20}
    assert total("real-100-twice") == {"clip": 40}
    assert total("real-100-round-trip") == {"clip": 20, "round-trip": 20}
    assert total("real-100-classical") == {"clip": 20}


def test_a_share_takes_the_same_of_every_gloss_and_is_part_of_a_larger_one(pool):
    chosen = [{sample.clip for sample in real_share(pool.real, fraction, seed=3)} for fraction in (0.01, 0.3, 1.0)]
    assert [len(clips) for clips in chosen] == [2, 6, 20]
    assert chosen[0] < chosen[1] < chosen[2]
    assert Counter(clip.split("-")[0] for clip in chosen[1]) == {"HOUSE": 3, "TREE": 3}
    assert {sample.clip for sample in real_share(pool.real, 0.3, seed=4)} != chosen[1]


def test_renders_show_chosen_clips_only_and_one_of_each_before_a_second(pool):
    chosen = real_share(pool.real, 0.3, seed=0)
    renders = synthetic_share(pool.synthetic, chosen, 1.5, gated=False, seed=0)
    assert [render.variant for render in renders] == [0] * 6 + [1] * 3
    assert {render.clip for render in renders[:6]} == {sample.clip for sample in chosen}


def test_the_gate_takes_others_in_place_of_those_it_rejects(pool, arms):
    (stage,) = select(arms["real-100-synthetic-1-gated"], pool, seed=0)
    renders = [sample for sample, _ in stage.samples if sample.view.parent.name.startswith("synthetic")]
    assert len(renders) == 20
    assert all(render.kept for render in renders)


def test_pre_training_comes_first_and_takes_half_of_the_steps(pool, arms):
    first, second = select(arms["synthetic-1-then-real-25"], pool, seed=0)
    assert {sample.view.parent.name.split("-")[0] for sample, _ in first.samples} == {"synthetic"}
    assert {sample.view.parent.name.split("-")[0] for sample, _ in second.samples} == {"clip"}
    assert share_steps((first, second), 15) == [8, 7]


def test_every_arm_has_as_many_steps(pool, arms):
    steps = {name: sum(share_steps(select(arm, pool, seed=0), Training().num_steps)) for name, arm in arms.items()}
    assert set(steps.values()) == {Training().num_steps}


def test_shuffling_changes_labels_and_not_how_many_there_are(pool, arms):
    (stage,) = select(arms["real-100-shuffled"], pool, seed=0)
    assert {sample.clip for sample, _ in stage.samples} == {sample.clip for sample in pool.real}
    assert Counter(label for _, label in stage.samples) == {"HOUSE": 10, "TREE": 10}
    assert 4 <= sum(sample.gloss != label for sample, label in stage.samples) <= 16


def test_no_arm_sees_a_clip_of_the_test(pool, arms):
    unseen = {sample.clip for sample in pool.test}
    for arm in arms.values():
        assert not unseen & {sample.clip for stage in select(arm, pool, seed=1) for sample, _ in stage.samples}


def test_an_arm_without_clips_cannot_be_trained(pool, arms):
    rejected = replace(pool, synthetic=tuple(replace(render, kept=False) for render in pool.synthetic))
    assert can_be_trained(arms["synthetic-gated"], pool, [0, 1])
    assert not can_be_trained(arms["synthetic-gated"], rejected, [0, 1])
    assert can_be_trained(arms["synthetic"], rejected, [0, 1])


def test_a_pool_for_poses_teaches_no_renders_without_poses_and_asks_them_all_the_same(pool):
    lost = (replace(pool.synthetic[0], poses=None), *pool.synthetic[1:])
    unseen = (replace(pool.synthetic_test[0], poses=None),)
    found = replace(pool, synthetic=lost, synthetic_test=unseen).with_poses()
    assert (len(found.synthetic), found.synthetic_test) == (39, unseen)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fractions": (0.0, 1.0)}, r"`comparison.fractions` must lie in \(0, 1\], got \[0.0, 1.0\]"),
        ({"fractions": (0.5,)}, r"`comparison.fractions` must have 1"),
        ({"ratios": (2.0,)}, r"`comparison.ratios` must be positive, and 1 among them"),
        ({"seeds": 2}, r"`comparison.seeds` must be at least 3, got 2"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Comparison(**wrong)
