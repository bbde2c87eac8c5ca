import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gen.renderers.base import Placement, SignerPicture
from pipelines import augment
from pipelines.augment import Plan, run_augmentation
from pipelines.candidates import hands_in_frame, label_share
from pipelines.casting import read_castings
from pipelines.clip_evaluation import Judges
from pipelines.gate import Gate
from pipelines.measures.features import OrientedFilters
from pipelines.measures.reading import Readout
from pipelines.render import GENERATED
from pipelines.report.training_set import in_words, reason_in_words
from pipelines.variation import Variation
from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.io import load_poses, save_poses
from poses.keypoints import PARTS
from poses.video import read_info

ROOT = Path(__file__).resolve().parents[2]
OPEN = Gate(label_share=0.0, colour=1000.0, colour_drift=1000.0, frozen_share=1.0)
PLAN = Plan(height=64, width=64, candidates=2, keep_rejected=True, variation=Variation(mirrored_share=0.5), gate=OPEN)


class Stage:
    """Renders the skeleton, and finds again what it showed, the hands displaced by an error that follows the seed."""

    name = "stage"
    version = "1"
    default_num_inference_steps = 1

    def place(self, poses, signer, *, height, width) -> Placement:
        return Placement(height / poses.height, 0.0, 0.0, width, height)

    def render(self, poses, signer, *, num_inference_steps=None, seed=0):
        self.shown, self.error = poses, (seed % 4) * 0.03
        yield from draw_poses(poses, "videox-fun", height=poses.height, width=poses.width)

    def reset(self) -> None:
        self.frame = -1

    def estimate(self, frame):
        self.frame = min(self.frame + 1, len(self.shown) - 1)
        keypoints = self.shown.keypoints[self.frame].copy()
        hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
        confidence = self.shown.confidence[self.frame]
        keypoints[hands] += np.float32(self.error) * (confidence[hands, None] > 0)
        return keypoints, confidence

    def close(self) -> None:
        pass


def put_on_stage(patch, signer, recognizer) -> None:
    """Lets `augment` use the stage in place of what takes weights."""
    stage = Stage()
    image = SignerPicture(np.full((64, 64, 3), 90, np.uint8), replace(signer[:1], glosses=()), "kenji", "built-in")
    patch.setattr(augment, "load_renderer", lambda name: stage)
    patch.setattr(augment, "load_judges", lambda estimator: Judges(stage, recognizer, OrientedFilters()))
    patch.setattr(augment, "load_casting", lambda casting, height, width: replace(image, name=casting.name))


@pytest.fixture(scope="module")
def corpus(signer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("one", "two"):
        save_poses(signer, folder / f"{name}.npz")
    (folder / "words.csv").write_text("poses,glosses,caption\none.npz,A B,A and B.\n")
    return folder


def run(corpus, output, **options):
    return run_augmentation([corpus], output, PLAN, signers=["alex", "kenji"], **options)


@pytest.fixture(scope="module")
def made(corpus, signer, recognizer, tmp_path_factory):
    """Two clips by two signers, two candidates each."""
    gc.collect()
    gc.freeze()  # imageio collects garbage whenever it closes a video
    with pytest.MonkeyPatch.context() as patch:
        put_on_stage(patch, signer, recognizer)
        yield corpus, (output := tmp_path_factory.mktemp("made") / "set"), run(corpus, output)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_that_went_in_came_out_or_was_rejected_with_a_reason(made):
    _, output, result = made
    assert result.num_in == 8 == result.num_out + len(result.rejects)
    assert 0 < result.num_out <= 4
    assert all(row["reason"] and row["group"] in ("alex", "kenji") for row in rows(output / "rejects.jsonl"))
    tried = rows(output / "dataset" / "candidates.jsonl")
    assert len(tried) == 8
    assert sum(row["kept"] for row in tried) == result.num_out
    assert all(row["kept"] != bool(row["reasons"]) for row in tried)
    assert {"pck_0.2/hands", "hands_in_frame", "delta_e/largest"} <= tried[0]["figures"].keys()
    for row in tried:
        if row["reasons"][:1] and row["reasons"][0].startswith("it passed"):
            (chosen,) = [other for other in tried if other["item"] == row["item"] and other["kept"]]
            assert row["figures"]["pck_0.1/hands"] <= chosen["figures"]["pck_0.1/hands"]


def test_a_page_shows_the_kept_and_the_rejected_with_reasons(made):
    _, output, result = made
    page = (output / "index.html").read_text(encoding="utf-8")
    kept, rejected = page.split('<h2 id="rejected">')
    videos = [re.findall(r'<video src="([^"]+)"', part) for part in (kept, rejected)]
    assert [len(found) for found in videos] == [result.num_out, len(result.rejects)]
    assert all((output / video).is_file() for found in videos for video in found)
    assert kept.count("Hands&#39; points in place: ") == result.num_out
    labelled = [
        row for row in rows(output / "dataset" / "candidates.jsonl") if row["kept"] and "label_share" in row["figures"]
    ]
    assert kept.count("Glosses among the likeliest read: ") == len(labelled) > 0
    assert kept.count('class="reason"') == 0 < rejected.count('class="reason"')


def test_reasons_and_changes_are_put_into_words():
    assert reason_in_words("pck_0.1/hands 0.512 is below 0.7") == "Hands' points in place: 0.512 is below 0.7"
    nothing = Gate().reasons(dict.fromkeys(Gate().figures(), 1e9) | dict.fromkeys(Gate().figures()[:4], -1.0))
    assert len(nothing) == len(Gate().figures())
    assert all(reason.split()[0] not in reason_in_words(reason) for reason in nothing)
    assert reason_in_words("it passed, but another was better") == "it passed, but another was better"
    still = {"mirrored": False, "speed": 1.0, "zoom": 1.0, "turns_deg": {"neck": 0.0}, "ratios": {"neck": 1.0}}
    still["shift"] = (0.0, 0.0)
    assert in_words(still) == "as it was"
    change = still | {"mirrored": True, "speed": 1.07, "zoom": 0.96, "turns_deg": {"left_forearm": -3.2}}
    assert in_words(change) == "mirrored, 7 % faster, 4 % smaller, arms turned by up to 3°"
    change = still | {"ratios": {"neck": 1.01, "forearm": 0.96}, "shift": (0.004, -0.02)}
    assert in_words(change) == "proportions changed by up to 4 %, moved by up to 2 % of the picture"


def test_a_kept_clip_says_what_it_is(made):
    _, output, result = made
    kept = sorted((output / "dataset" / "clips").glob("*.json"))
    assert len(kept) == result.num_out
    facts = next(facts for path in kept if (facts := json.loads(path.read_text()))["clip"] == "one")
    video = output / "dataset" / "clips" / f"{facts['id']}.mp4"
    assert facts["generated"] == GENERATED == read_info(video).comment
    assert facts["glosses"] == ["A", "B"]
    assert [caption["text"] for caption in facts["captions"]] == ["A and B."]
    assert facts["captions"][0]["end_s"] == pytest.approx(facts["num_frames"] / facts["fps"], abs=1 / facts["fps"])
    poses = load_poses(video.with_suffix(".poses.npz"))
    assert (len(poses), poses.width, poses.height) == (facts["num_frames"], 64, 64)
    card = (output / "dataset" / "README.md").read_text()
    assert "AI-generated" in card
    assert "* kenji: built-in" in card
    assert f"| clips kept | {result.num_out} |" in card
    assert f"| renders rejected | {len(result.rejects)} |" in card


def test_a_mirrored_clip_shows_the_other_hand_and_says_so(made):
    _, output, _ = made
    mirrored = {}
    for path in (output / "dataset" / "clips").glob("*.json"):
        poses = load_poses(path.with_suffix(".poses.npz"))
        hands = [poses.confidence[:, PARTS[f"{side}_hand"]].any() for side in ("left", "right")]
        mirrored[json.loads(path.read_text())["change"]["mirrored"]] = hands
    assert mirrored == {False: [False, True], True: [True, False]}  # the corpus signs with the right hand alone


@pytest.mark.long
def test_stopped_it_goes_on_and_comes_out_the_same(made, tmp_path, monkeypatch):
    corpus, output, _ = made
    work, done = augment.augment_item, []

    def interrupted(item, *arguments, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(item.name)
        return work(item, *arguments, **options)

    monkeypatch.setattr(augment, "augment_item", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(corpus, tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set" / "parts").iterdir()) == done
    done.append("")  # not interrupted again
    run(corpus, tmp_path / "set")
    assert len(done) == len(set(done)) == 5
    assert contents(tmp_path / "set") == contents(output)


def test_other_settings_are_refused(made):
    corpus, output, _ = made
    with pytest.raises(ValueError, match="was begun with variants 1, not 2"):
        run(corpus, output, variants=2)


def test_wrong_arguments_are_refused(corpus, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="`variants` must be at least 1, got 0"):
        run_augmentation([corpus], tmp_path / "set", PLAN, variants=0)
    with pytest.raises(ValueError, match="`format` must be one of folder, webdataset, datasets, got 'zip'"):
        run_augmentation([corpus], tmp_path / "set", PLAN, format="zip")
    monkeypatch.setattr(augment, "load_renderer", lambda name: SimpleNamespace(default_num_inference_steps=0))
    with pytest.raises(ValueError, match="`candidates` must be 1 for avatar, which draws without noise, got 2"):
        run_augmentation([corpus], tmp_path / "set", replace(PLAN, renderer="avatar"))
    with pytest.raises(ValueError, match=r"or a picture as PICTURE=CONSENT, got 'me.png'"):
        read_castings(["me.png"])
    with pytest.raises(ValueError, match=r"`signers` must have different names, got 'alex' twice"):
        read_castings(["alex", "alex"])


def test_clips_that_nobody_reads_are_refused_before_any_render(signer, recognizer, tmp_path, monkeypatch):
    put_on_stage(monkeypatch, signer, recognizer)
    fast, torn = tmp_path / "fast.npz", tmp_path / "torn.npz"
    save_poses(replace(signer, fps=240.0), fast)
    torn.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"fast.npz: expected 5 to 120 frames per second, found 240"):
        run_augmentation([torn, fast], tmp_path / "set", PLAN, signers=["alex"])
    assert not (tmp_path / "set").exists()
    with pytest.raises(ValueError, match=r"set: no clip could be rendered, the first because: .*torn.npz: must be a"):
        run_augmentation([torn], tmp_path / "set", PLAN, signers=["alex"])


def test_labels_are_looked_for_among_the_likeliest():
    readout = Readout((), "", np.array([0.4, 0.1, 0.3, 0.2]), np.zeros((0, 0)))
    assert label_share(["C"], readout, "ABCD", top_k=1) == 0
    assert label_share(["C"], readout, "ABCD", top_k=2) == 1
    assert label_share(["C", "B", "X"], readout, "ABCD", top_k=1) == 0.5  # one more place for the second label
    assert label_share(["X"], readout, "ABCD", top_k=2) is None
    assert label_share(["A"], replace(readout, distribution=np.zeros(0)), "ABCD", top_k=2) == 0


def test_hands_outside_the_picture_are_counted(signer):
    assert hands_in_frame(signer) == 1
    assert hands_in_frame(replace(signer, keypoints=signer.keypoints - np.float32(2))) == 0
    assert hands_in_frame(replace(signer, confidence=np.zeros_like(signer.confidence))) is None


SCRIPT = """
import sys
from pathlib import Path
import pytest
from tests.pipelines.conftest import recognizer, signer
from tests.pipelines.test_augment import put_on_stage, run
if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    make = lambda fixture: getattr(fixture, "__wrapped__", None) or fixture._get_wrapped_function()
    import torch
    torch.manual_seed(0)
    put_on_stage(patch, make(signer)(), make(recognizer)())
    run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_killed_it_goes_on_and_nothing_differs(corpus, tmp_path):
    (tmp_path / "job.py").write_text(SCRIPT)

    def start(output: Path) -> subprocess.Popen:
        command = [sys.executable, tmp_path / "job.py", corpus, output]
        return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})

    assert start(tmp_path / "whole").wait() == 0
    job = start(tmp_path / "killed")
    while not (tmp_path / "killed" / "parts").is_dir() or not any((tmp_path / "killed" / "parts").iterdir()):
        assert job.poll() is None
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert len(list((tmp_path / "killed" / "parts").iterdir())) < 4
    assert start(tmp_path / "killed").wait() == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_two_workers_make_the_same(tmp_path):
    (tmp_path / "corpus").mkdir()
    save_poses(spell("B", "ase", fps=12), tmp_path / "corpus" / "B.npz")
    plan = Plan(renderer="avatar", height=128, width=128)
    for workers in (1, 2):
        output = tmp_path / str(workers)
        run_augmentation([tmp_path / "corpus"], output, plan, signers=["alex", "kenji"], workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
