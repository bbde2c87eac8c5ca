import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipelines.gate import Gate
from pipelines.prove.arms import CEILING, list_arms
from pipelines.prove.comparison import Estimate, Row
from pipelines.prove.experiment import run_proof
from pipelines.prove.plan import Comparison, Filming, Plan, Rendering, Training
from pipelines.prove.results import CHAIN_OF_STAND_IN, STAND_IN, Experiment, Proof, Wording
from pipelines.report.prove import PLOT_HEIGHT, axis_limit, curves, write_prove_page

COMPARISON = Comparison(fractions=(1.0,), ratios=(1.0,))
QUICK = Plan(
    Filming(glosses=2, train_clips=1, test_clips=1, train_signers=1, test_signers=1),
    Rendering(size=64, variants=1, signers=1),
    COMPARISON,
    Training(num_steps=2, pose_steps=2, batch_size=2, num_frames=2, image_size=16),
)


def experiment(wording: Wording) -> Experiment:
    """Every arm is right in a quarter, and a tenth worse than the ceiling, but for the ceiling itself."""
    none = Estimate(0.0, 0.0, 0.0)
    rows = tuple(
        Row(
            arm=arm.name,
            title=arm.title.format(real=wording.real),
            group=arm.group,
            train_clips=12.0,
            test_clips=34,
            runs=(0.2, 0.25, 0.3),
            top1=Estimate(0.25, 0.21, 0.28),
            top5=0.75,
            by_class=0.25,
            to_ceiling=none if arm.name == CEILING else Estimate(-0.1, -0.15, -0.05),
            to_same_share=None,
            to_classical=Estimate(0.02, 0.01, 0.03),
        )
        for arm in list_arms(COMPARISON)
    )
    return Experiment(
        name=wording.name,
        real=wording.real,
        about=wording.about,
        counts={"synthetic": 7},
        signers=(6, 5),
        chance=0.0556,
        rows=rows,
        left_out=("synthetic-gated",),
        ratio=None,
        by_gloss={"HOUSE & HOME": (0.5, 0.75)},
        seconds_per_run=1.0,
    )


def test_the_page_names_the_experiments_for_what_they_are_and_holds_every_figure(tmp_path):
    proof = Proof(
        signloop="1",
        data="words",
        seed=0,
        plan=asdict(Plan(comparison=COMPARISON)),
        gate=asdict(Gate()),
        judges={"estimator": "one"},
        kept_share=0.996,
        reasons={"hands_in_frame": 3},
        seconds_per_render=1.25,
        failed={"a-clip": "nobody is in it"},
        experiments=(experiment(STAND_IN), experiment(CHAIN_OF_STAND_IN)),
        packages={"torch": "2"},
        machine="a machine",
    )
    write_prove_page(proof, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Experiment: stand-in" in page
    assert "A stand-in, no real video" in page
    assert "Experiment: pose chain" in page
    assert "real alone" not in page
    assert "over clips, seeds and, where they are known, signers" in page  # nobody knows who signs the pose clips
    assert page.count('<th scope="row">stand-in + 1 × synthetic</th>') == 1
    assert "0.250 <small>[0.210, 0.280]</small>" in page
    assert '<span class="less">-0.100</span> <small>[-0.150, -0.050]</small>' in page
    assert '<span class="more">+0.020</span>' in page
    assert "HOUSE &amp; HOME" in page
    assert "<dd>synthetic-gated</dd>" in page
    assert "99.6\u202f%" in page
    assert "a-clip: nobody is in it" in page
    assert "http" not in page.replace('lang="en"', "")


def test_an_experiment_in_which_nothing_was_right_has_an_axis():
    nothing = Estimate(0.0, 0.0, 0.0)
    found = experiment(STAND_IN)
    wrong = replace(found, rows=tuple(replace(row, top1=nothing, runs=(0.0,) * 3) for row in found.rows))
    assert (axis_limit(found), axis_limit(wrong)) == (0.3, 0.1)
    assert {point[1] for line in curves(wrong, [1.0]) for point in line.points} == {PLOT_HEIGHT}


@pytest.mark.slow
def test_a_stand_in_is_proved_and_goes_on_and_so_are_a_users_own_videos(shared_data, tmp_path):
    def prove(data: Path, output: Path, plan: Plan, consent: str | None = None) -> Proof:
        return run_proof(data, output, plan, consent=consent, gate=Gate(), seed=0, workers=1, show=False)

    stand_in, output = shared_data / "isl18", tmp_path / "stand-in"
    first = prove(stand_in, output, QUICK)
    assert [found.name for found in first.experiments] == ["stand-in", "pose chain"]
    arms = {arm.name for arm in list_arms(COMPARISON)}
    assert all({row.arm for row in found.rows} | set(found.left_out) == arms for found in first.experiments)
    assert not first.failed
    assert json.loads((output / "prove.json").read_text(encoding="utf-8"))["experiments"][0]["name"] == "stand-in"

    made = {path: path.stat().st_mtime_ns for path in output.glob("*/parts/*/part.json")}
    again = prove(stand_in, output, replace(QUICK, comparison=replace(COMPARISON, ratios=(1.0, 2.0))))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(again.experiments[0].rows) == len(first.experiments[0].rows) + 1

    films = output / "films"
    with (films / "clips.csv").open(encoding="utf-8", newline="") as stream:
        rows = [f"{row['video']},{row['gloss']},{row['signer']},{row['split']}" for row in csv.DictReader(stream)]
    (films / "own.csv").write_text("\n".join(["video,gloss,signer,split", *rows]), encoding="utf-8")
    own = prove(films / "own.csv", tmp_path / "own", QUICK, consent="synthetic")
    assert [found.name for found in own.experiments] == ["real", "pose chain"]
    assert own.experiments[0].signers == (1, 1)
