"""`SignLoop` hands everything to what the pipelines do already: fakes say what arrives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipelines
from pipelines import SignLoop
from pipelines.api import SignLoop as Defined
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.video import read_info, write_video

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def loop(renderer, knowing_estimator) -> SignLoop:
    return SignLoop(renderer=renderer, estimator=knowing_estimator)


def test_importing_pipelines_loads_nothing():
    code = "import sys, pipelines; print(sorted({'torch', 'numpy', 'mediapipe', 'gen', 'poses'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_the_way_in_is_the_class():
    assert SignLoop is Defined
    with pytest.raises(AttributeError, match=r"module 'pipelines' has no attribute 'SignLop'"):
        pipelines.SignLop  # noqa: B018


def test_a_clip_and_its_file_are_read_alike(loop, tmp_path):
    poses = loop.spell("LAB", language="sgg")
    assert (poses.language, len(poses)) == ("sgg", len(spell("LAB", "sgg")))
    save_poses(poses, tmp_path / "lab.npz")
    assert str(loop.read(poses)) == str(loop.read(str(tmp_path / "lab.npz"))) == "L A B"


def test_render_gives_the_path_of_what_it_wrote(loop, signer, tmp_path):
    video = loop.render(signer, str(tmp_path / "video.mp4"), height=64, width=64)
    assert video == tmp_path / "video.mp4"
    assert read_info(video).num_frames == len(signer) == len(loop.poses(video))
    with pytest.raises(ValueError, match=r"video\.mp4: already there"):
        loop.render(signer, video, height=64, width=64)


def test_run_writes_a_report(loop, signer, tmp_path):
    report = loop.run(signer, tmp_path / "out", height=64, width=64)
    assert report.input.num_frames == len(signer)
    assert (tmp_path / "out" / "index.html").is_file()


def test_a_video_that_is_too_slow_to_read_is_not_looked_through(loop, monkeypatch, tmp_path):
    write_video(tmp_path / "slow.mp4", np.zeros((2, 64, 64, 3), np.uint8), fps=4)
    monkeypatch.setattr("pipelines.recognize.extract_from_video", lambda *_: pytest.fail("was looked through"))
    with pytest.raises(ValueError, match=r"slow\.mp4: expected 5 to 120 frames per second, found 4"):
        loop.read(tmp_path / "slow.mp4")


def test_names_are_checked_at_once():
    with pytest.raises(ValueError, match="`renderer` must be one of avatar"):
        SignLoop(renderer="vhs")
