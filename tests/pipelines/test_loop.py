import json
from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from gen.renderers.base import SignerPicture
from pipelines.loop import run_loop
from pipelines.progress import Stages
from pipelines.render import GENERATED, render_video
from poses.io import load_poses
from poses.video import read_frames, read_info

FILES = {
    "control.mp4",
    "render.mp4",
    "reextracted.mp4",
    "comparison.mp4",
    "driving.npz",
    "reextracted.npz",
    "report.json",
    "index.html",
}


def run(driving, directory, renderer, recognizer, estimator, **options):
    options = {"height": 200, "width": 200, **options}
    return run_loop(driving, directory, renderer=renderer, recognizer=recognizer, estimator=estimator, **options)


@pytest.fixture(scope="module")
def loop(signer, renderer, recognizer, estimator_of, tmp_path_factory):
    """One run, looked at by several tests."""
    directory = tmp_path_factory.mktemp("loop") / "out"
    return run(signer, directory, renderer, recognizer, estimator_of(signer), seed=5), directory


def test_everything_is_in_the_directory(loop):
    _, directory = loop
    assert {path.name for path in directory.iterdir()} == FILES
    assert json.loads((directory / "report.json").read_text())["seed"] == 5
    assert [path.name for path in directory.parent.iterdir()] == ["out"]


def test_videos_have_the_clips_frames_and_rate(loop):
    _, directory = loop
    for name, width, height in (
        ("control.mp4", 200, 200),
        ("render.mp4", 200, 200),
        ("reextracted.mp4", 200, 200),
        ("comparison.mp4", 600, 224),
    ):
        info = read_info(directory / name)
        assert (info.width, info.height, info.fps, info.num_frames) == (width, height, 24, 12)


def test_comparison_shows_the_three_under_their_names(loop):
    _, directory = loop
    comparison = next(iter(read_frames(directory / "comparison.mp4"))).astype(int)
    for number, name in enumerate(("control.mp4", "render.mp4", "reextracted.mp4")):
        panel = comparison[:, 200 * number : 200 * (number + 1)]
        frame = next(iter(read_frames(directory / name))).astype(int)
        assert abs(panel[24:] - frame).mean() < 2
        assert panel[:24].max() > 150


def test_a_perfect_estimator_finds_everything(loop, signer):
    report, _ = loop
    assert report.fidelity.parts["right_hand"].recall == 1
    assert report.fidelity.parts["right_hand"].mean_error == 0
    assert report.fidelity.movement_ratio == 1
    assert report.driving_reading == report.render_reading


def test_report_names_models_times_and_memory(loop):
    report, _ = loop
    assert (report.models["renderer"].name, report.models["estimator"].version) == ("skeleton", "1")
    assert report.models["recognizer"].name == "SignRecognizerForCTC"
    assert report.models["recognizer"].version.startswith("weights ")
    assert list(report.seconds) == ["render", "re-extract", "recognize", "draw"]
    assert report.render_frames_per_second > report.total_frames_per_second > 0
    assert report.peak_memory_mib > 50
    assert report.num_inference_steps == 1
    assert "".join(report.known_glosses) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert "torch" in report.packages


def test_poses_are_kept_in_the_rendered_frame(signer, renderer, recognizer, knowing_estimator, tmp_path):
    run(signer, tmp_path / "out", renderer, recognizer, knowing_estimator, height=100, width=200)
    driving = load_poses(tmp_path / "out" / "driving.npz")
    assert (driving.width, driving.height, driving.fps) == (200, 100, 24)
    # 200 x 200 at half its size, in the middle of a frame twice as wide.
    np.testing.assert_allclose(driving.pixels()[0, 0], [0.5 * 100 + 50, 0.25 * 100], atol=1e-3)


@pytest.mark.parametrize(("name", "shown"), [("avatar", "alex"), ("skeleton", "")])
def test_the_report_names_the_default_signer(signer, renderer, recognizer, knowing_estimator, tmp_path, name, shown):
    named = copy(renderer)
    named.name = name
    report = run(signer[:1], tmp_path / "out", named, recognizer, knowing_estimator)
    assert (report.signer.name, report.signer.consent) == (shown, "built-in")


def test_a_render_in_which_nobody_is_found_is_a_finding(signer, renderer, recognizer, blind_estimator, tmp_path):
    report = run(signer, tmp_path / "out", renderer, recognizer, blind_estimator)
    assert {part: figures.recall for part, figures in report.fidelity.parts.items()} == {
        "body": 0,
        "left_hand": None,
        "right_hand": 0,
        "face": 0,
    }
    assert report.render_reading.glosses == ()
    assert report.render_reading.reason == "no hand is seen"
    assert report.render_wer.rate == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_one_frame_is_enough(signer, renderer, recognizer, knowing_estimator, tmp_path):
    report = run(signer[:1], tmp_path / "out", renderer, recognizer, knowing_estimator)
    assert report.input.num_frames == 1
    assert report.fidelity.movement_ratio is None
    assert report.driving_wer is None


def test_a_clip_that_nobody_reads_is_refused_before_it_is_rendered(
    signer, renderer, recognizer, knowing_estimator, tmp_path, monkeypatch
):
    monkeypatch.setattr(renderer, "render", lambda *_, **__: pytest.fail("rendered"))
    with pytest.raises(ValueError, match="a test clip: expected 5 to 120 frames per second, found 4"):
        run(replace(signer, fps=4.0), tmp_path / "out", renderer, recognizer, knowing_estimator)


def test_a_directory_that_holds_something_is_left_alone(signer, renderer, recognizer, knowing_estimator, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be an empty directory or a new one, but it holds something"):
        run(signer, tmp_path, renderer, recognizer, knowing_estimator)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_cut_short_leaves_nothing(signer, renderer, recognizer, knowing_estimator, tmp_path, error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(knowing_estimator, "estimate", fail)
    with pytest.raises(error):
        run(signer, tmp_path / "out", renderer, recognizer, knowing_estimator)
    assert list(tmp_path.iterdir()) == []


def test_stages_timed_before_are_in_the_report(signer, renderer, recognizer, knowing_estimator, tmp_path):
    stages = Stages()
    with stages.stage("load"):
        pass
    report = run(signer, tmp_path / "out", renderer, recognizer, knowing_estimator, stages=stages)
    assert next(iter(report.seconds)) == "load"


def test_every_render_says_that_it_is_generated(signer, renderer, tmp_path):
    placement = render_video(signer, tmp_path / "render.mp4", renderer=renderer, height=100, width=100)
    assert placement.scale == 0.5
    assert read_info(tmp_path / "render.mp4").comment == GENERATED
    assert len(list(read_frames(tmp_path / "render.mp4"))) == 12


def test_why_a_person_is_shown_is_in_the_report_and_in_what_shows_them(
    signer, renderer, recognizer, knowing_estimator, tmp_path
):
    me = SignerPicture(np.zeros((64, 64, 3), np.uint8), signer[:1], "me.png", "self")
    run(signer[:1], tmp_path / "out", renderer, recognizer, knowing_estimator, signer=me)
    said = json.loads((tmp_path / "out" / "report.json").read_text())["signer"]
    assert said == {"name": "me.png", "consent": "self"}
    for name in ("render.mp4", "comparison.mp4"):
        comment = read_info(tmp_path / "out" / name).comment
        assert comment == f"{GENERATED} Consent for the signer's picture: self."


def test_a_render_is_no_gif_which_could_not_say_that_it_is_generated(signer, renderer, tmp_path):
    with pytest.raises(ValueError, match=r"render\.gif: expected a name that ends in \.mp4\.$"):
        render_video(signer, tmp_path / "render.gif", renderer=renderer)
    assert not list(tmp_path.iterdir())


def test_a_render_is_not_replaced_unless_asked_for(signer, renderer, tmp_path):
    path = tmp_path / "render.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="already there"):
        render_video(signer, path, renderer=renderer)
    assert path.read_bytes() == b"mine"
    render_video(signer, path, renderer=renderer, overwrite=True)
    assert read_info(path).num_frames == 12
