"""Runs a proof: fills the pool, trains every arm of both experiments, compares, and writes it all down.

OUTPUT/films/, clips/, renders/, runs-pixels/, runs-poses/    bulk jobs; killed, they go on
OUTPUT/prove.json, index.html                                 what they come to
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pipelines.environment import machine, package_versions
from pipelines.evaluate import load_judges
from pipelines.gate import Gate
from pipelines.inputs import CONSENTS
from pipelines.prove.arms import CEILING, Arm, can_be_trained, list_arms
from pipelines.prove.clips import COLUMNS
from pipelines.prove.comparison import Readings, compare, estimate_ratio
from pipelines.prove.plan import Plan
from pipelines.prove.pool import Pool, fill_pool
from pipelines.prove.renders import SECONDS
from pipelines.prove.results import (
    CHAIN_OF_REAL,
    CHAIN_OF_STAND_IN,
    REAL,
    STAND_IN,
    Experiment,
    Proof,
    Wording,
)
from pipelines.prove.runs import PIXELS, POSES, RunResult, run_arms
from pipelines.prove.stand_in import KEYPOINTS_FILE
from pipelines.report.prove import write_prove_page
from poses.files import new_file, read_json


def run_proof(
    data: Path | None, output: Path, plan: Plan, *, consent: str | None, gate: Gate, seed: int, workers: int, show: bool
) -> Proof:
    """Runs a proof, or goes on with one, and writes its page.

    Args:
        data: A table of labelled videos, or a folder of pose clips.
        output: A new folder, or one that the same call began.
        plan: What is filmed, rendered and trained.
        consent: Who is in the videos; none for pose clips.
        gate: Says which renders are kept.
        seed: Decides all that is random.
        workers: Processes.
        show: Whether to show progress bars on standard error.

    Raises:
        ValueError: An argument or the data are wrong.
    """
    data = checked_data(data, consent)
    pool = fill_pool(
        data, output, plan, consent=consent or "synthetic", gate=gate, seed=seed, workers=workers, show=show
    )
    arms = list_arms(plan.comparison)
    seeds = range(seed, seed + plan.comparison.seeds)
    wordings = {PIXELS: STAND_IN, POSES: CHAIN_OF_STAND_IN} if pool.stand_in else {PIXELS: REAL, POSES: CHAIN_OF_REAL}
    experiments = []
    for reads, wording in wordings.items():
        seen = pool if reads == PIXELS else pool.with_poses()
        folder = output / f"runs-{reads}"
        able = [arm for arm in arms if can_be_trained(arm, seen, seeds)]
        results = run_arms(reads, able, seen, folder, plan.training, seeds=seeds, workers=workers, show=show)
        left_out = tuple(arm.name for arm in arms if arm not in able)
        by_signer = reads == PIXELS or not pool.stand_in
        experiments.append(sum_up(wording, seen, able, results, by_signer=by_signer, left_out=left_out))
    kept, reasons, seconds = gate_facts(pool, gate)
    proof = Proof(
        signloop=version("signloop"),
        data=data.name,
        seed=seed,
        plan=asdict(plan),
        gate=asdict(gate),
        judges=load_judges(plan.rendering.estimator).names(),
        kept_share=kept,
        reasons=reasons,
        seconds_per_render=seconds,
        failed=dict(pool.failed),
        experiments=tuple(experiments),
        packages=package_versions(),
        machine=machine(),
    )
    with new_file(output / "prove.json", overwrite=True) as aside:
        text = json.dumps(asdict(proof), indent=1, ensure_ascii=False, allow_nan=False)
        aside.write_text(text + "\n", encoding="utf-8")
    with new_file(output / "index.html", overwrite=True) as aside:
        write_prove_page(proof, aside)
    return proof


def checked_data(data: Path | None, consent: str | None) -> Path:
    """Says what is expected where `data` is something else.

    Raises:
        ValueError: It is no table of videos with a `consent`, and no folder of pose clips without one.
    """
    if data is not None and (data / KEYPOINTS_FILE).is_file():
        if consent is not None:
            raise ValueError(f"`consent` must be left out for pose clips, which show nobody, got {consent!r}.")
        return data
    if data is not None and data.is_file() and data.suffix.lower() == ".csv":
        if consent not in CONSENTS:
            found = "none" if consent is None else repr(consent)
            raise ValueError(f"{data}: `consent` must say who is in it, one of {', '.join(CONSENTS)}, got {found}.")
        return data
    raise ValueError(
        f"`data` must be a .csv table of labelled videos with the columns {', '.join(COLUMNS[:3])}, or a folder with "
        f"{KEYPOINTS_FILE}, labelled MediaPipe Holistic points of several sessions (docs/prove.md), got "
        f"{'nothing' if data is None else repr(str(data))}. No such data come with SignLoop."
    )


def sum_up(
    wording: Wording,
    pool: Pool,
    arms: Sequence[Arm],
    results: Sequence[RunResult],
    *,
    by_signer: bool,
    left_out: tuple[str, ...],
) -> Experiment:
    """What the runs of one experiment come to."""
    readings = Readings(results, {"test": pool.test, "synthetic-test": pool.synthetic_test}, by_signer=by_signer)
    ceiling, synthetic, both = (readings.right(arm, "test") for arm in (CEILING, "synthetic", "real-100-synthetic-1"))
    glosses = np.array([sample.gloss for sample in pool.test])
    causes = readings.causes("test", np.ones(len(glosses), bool), len(ceiling))
    groups = {
        "training clips": pool.real,
        "synthetic": pool.synthetic,
        "synthetic, gated": [sample for sample in pool.synthetic if sample.kept],
        "re-rendered by the same signers": pool.round_trip,
        "test clips": pool.test,
        "synthetic of the test": pool.synthetic_test,
    }
    num_signers = len({sample.signer for sample in pool.real}), len({sample.signer for sample in pool.test})
    return Experiment(
        name=wording.name,
        real=wording.real,
        about=wording.about,
        counts={name: len(samples) for name, samples in groups.items()},
        signers=num_signers if by_signer else None,
        chance=float(max(np.mean(glosses == gloss) for gloss in set(glosses))),
        rows=tuple(compare(readings, arms, real=wording.real)),
        left_out=left_out,
        ratio=estimate_ratio(synthetic, ceiling, causes),
        by_gloss={
            gloss: (float(ceiling[:, glosses == gloss].mean()), float(both[:, glosses == gloss].mean()))
            for gloss in sorted(set(glosses))
        },
        seconds_per_run=float(np.median([result.seconds for result in results])),
    )


def gate_facts(pool: Pool, gate: Gate) -> tuple[float, dict[str, int], float]:
    """Share of the training renders that are kept, how often each figure spoke against one, and seconds a render."""
    reasons: dict[str, int] = {}
    seconds = []
    for sample in pool.synthetic:
        figures = read_json(sample.view.parent / "figures.json")
        seconds.append(figures[SECONDS])
        for reason in gate.reasons(figures):
            reasons[reason.split()[0]] = reasons.get(reason.split()[0], 0) + 1
    kept = float(np.mean([sample.kept for sample in pool.synthetic]))
    return kept, dict(sorted(reasons.items(), key=lambda item: -item[1])), float(np.median(seconds))
