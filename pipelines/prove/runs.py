"""All runs of an experiment as a bulk job: each arm with each seed is trained once, and what it reads is kept."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.bulk import Part, Tell, run_bulk
from pipelines.candidates import write_json
from pipelines.prove.arms import Arm, Stage, select
from pipelines.prove.plan import Training
from pipelines.prove.pool import Pool, Sample
from poses.files import read_json
from recognizer.one_thread import one_thread

PIXELS, POSES = "pixels", "poses"
TOP = 5


@dataclass(frozen=True, eq=False)
class Run:
    """One training, and its tests.

    Attributes:
        reads: `PIXELS` or `POSES`.
        arm: What it is trained on.
        seed: Of its weights, its batches, and which share of the clips it gets.
        stages: The clips themselves.
        tests: By name, clips and renders to be read.
        glosses: All that there are.
    """

    reads: str
    arm: Arm
    seed: int
    stages: tuple[Stage, ...]
    tests: Mapping[str, tuple[Sample, ...]]
    glosses: tuple[str, ...]

    @property
    def name(self) -> str:
        """Names arm and seed, and what they come to, so that a result is never taken for that of another set."""
        taught = [[(*_facts(sample), label) for sample, label in stage.samples] for stage in self.stages]
        asked = {name: [_facts(sample) for sample in samples] for name, samples in self.tests.items()}
        said = repr((taught, asked, self.glosses))
        return f"{self.arm.name}-seed-{self.seed}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class RunResult:
    """What one run read.

    Attributes:
        arm: Its name.
        seed: See `Run`.
        num_clips: Different clips and renders that it was trained on.
        num_steps: Optimizer steps.
        loss: Mean over the last tenth of them.
        seconds: All of it.
        read: By test, the likeliest glosses of each clip, at most `TOP`, the likeliest first; none of one that the
            network cannot be given, since nobody was found in it.
    """

    arm: str
    seed: int
    num_clips: int
    num_steps: int
    loss: float
    seconds: float
    read: dict[str, list[list[str]]]


def run_arms(
    reads: str,
    arms: Sequence[Arm],
    pool: Pool,
    output: Path,
    training: Training,
    *,
    seeds: Sequence[int],
    workers: int,
    show: bool,
) -> list[RunResult]:
    """Trains every arm with every seed, as far as that is not done yet.

    Args:
        reads: `PIXELS` or `POSES`.
        arms: What is trained.
        pool: What there is to be seen.
        output: The job's folder.
        training: How.
        seeds: Of the runs.
        workers: Processes.
        show: Whether to show a progress bar on standard error.

    Raises:
        ValueError: A run failed.
    """
    glosses = tuple(sorted({sample.gloss for sample in pool.real}))
    tests = {"test": pool.test, "synthetic-test": pool.synthetic_test}
    runs = [Run(reads, arm, seed, select(arm, pool, seed=seed), tests, glosses) for arm in arms for seed in seeds]
    settings = {"command": f"prove train {reads}", **asdict(training)}
    items = {run.name: run for run in runs}
    work = partial(train_run, training=training)
    done = run_bulk(work, items, output, settings=settings, workers=workers, unit=" runs", show=show)
    if done.failed:
        raise ValueError(f"{output}: every run is needed, and {len(done.failed)} failed: {min(done.failed.items())}.")
    return [read_result(output / "parts" / name) for name in items]


@one_thread()  # several add up in another order, so that figures would depend on the number of workers
def train_run(run: Run, folder: Path, *, seed: int, tell: Tell, training: Training) -> Part:
    """Trains and tests one network, into `result.json`."""
    from pipelines.prove.training import pose_model, pose_set, scores, train, video_model, video_set

    started = time.perf_counter()
    make_set, make_model = (video_set, video_model) if run.reads == PIXELS else (pose_set, pose_model)
    num_steps = training.num_steps if run.reads == PIXELS else training.pose_steps
    number = {gloss: label for label, gloss in enumerate(run.glosses)}
    stages = []
    for stage, steps in zip(run.stages, share_steps(run.stages, num_steps), strict=True):
        files = [_file(sample, run.reads) for sample, _ in stage.samples]
        stages.append((make_set(files, [number[label] for _, label in stage.samples]), steps))
    model = make_model(run.glosses, training, seed=run.seed)
    loss = train(model, stages, training, classical=run.arm.classical, seed=run.seed)
    read = {}
    for name, samples in run.tests.items():
        read[name] = [[] for _ in samples]
        given = [number for number, sample in enumerate(samples) if run.reads == PIXELS or sample.poses]
        if given:
            rows = scores(model, make_set([_file(samples[number], run.reads) for number in given], [0] * len(given)))
            for number, row in zip(given, rows, strict=True):
                read[name][number] = [run.glosses[label] for label in np.argsort(-row, kind="stable")[:TOP]]
    clips = {_file(sample, run.reads) for stage in run.stages for sample, _ in stage.samples}
    seconds = round(time.perf_counter() - started, 2)
    result = RunResult(run.arm.name, run.seed, len(clips), sum(steps for _, steps in stages), loss, seconds, read)
    write_json(folder / "result.json", asdict(result))
    tell(1)
    return Part(1, 1)


def share_steps(stages: Sequence[Stage], num_steps: int) -> list[int]:
    """Optimizer steps of each stage; whatever the shares, they add up to `num_steps`."""
    ends = np.floor(np.cumsum([0.0] + [stage.share for stage in stages]) * num_steps + 0.5).astype(int)
    assert ends[-1] == num_steps, "the shares of the stages must add up to 1"
    return np.diff(ends).tolist()


def read_result(folder: Path) -> RunResult:
    """Reads what `train_run` wrote."""
    return RunResult(**read_json(folder / "result.json"))


def _file(sample: Sample, reads: str) -> Path:
    if reads == PIXELS:
        return sample.view
    assert sample.poses is not None, "who has no poses is neither trained on nor asked"
    return sample.poses


def _facts(sample: Sample) -> tuple[str, str, int, str]:
    return sample.clip, sample.view.parent.name, sample.variant, sample.content
