import json
from pathlib import Path

import numpy as np
import pytest

from pipelines import extraction
from pipelines.cli import main
from pipelines.extraction import find_videos, run_extraction
from poses.draw import draw_poses
from poses.io import load_poses
from poses.video import write_video


@pytest.fixture
def videos(signer, tmp_path) -> Path:
    """Two videos of which the second is torn, and a note."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "one.mp4", draw_poses(signer, "videox-fun", height=64, width=64), fps=24)
    (folder / "torn.mp4").write_bytes((folder / "one.mp4").read_bytes()[:1500])
    (folder / "note.txt").write_text("filmed on Monday")
    return folder


def test_every_video_has_its_poses_or_a_reason(videos, tmp_path, signer, knowing_estimator, monkeypatch):
    monkeypatch.setattr(extraction, "load_estimator", lambda name: knowing_estimator)
    result = run_extraction(videos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "poses").iterdir()] == ["one.npz"]
    poses = load_poses(tmp_path / "out" / "poses" / "one.npz")
    np.testing.assert_allclose(poses.keypoints, signer.keypoints, atol=1e-6)
    assert (poses.fps, poses.width) == (24, 64)
    (reason,) = result.failed.values()
    assert "torn.mp4" in reason
    assert "torn.mp4" in (tmp_path / "out" / "rejects.jsonl").read_text()


def test_a_changed_video_is_looked_at_again_and_others_are_not(videos, tmp_path, signer, estimator_of, monkeypatch):
    calls = []

    def load(name):
        calls.append(name)
        return estimator_of(signer)

    monkeypatch.setattr(extraction, "load_estimator", load)
    run_extraction(videos, tmp_path / "out")
    (videos / "torn.mp4").unlink()
    calls.clear()
    run_extraction(videos, tmp_path / "out")
    assert len(calls) == 1  # for its version
    short = draw_poses(signer[:6], "videox-fun", height=64, width=64)
    write_video(videos / "one.mp4", short, fps=24, overwrite=True)
    run_extraction(videos, tmp_path / "out")
    assert len(load_poses(tmp_path / "out" / "poses" / "one.npz")) == 6


def test_the_command_takes_a_folder(videos, tmp_path, knowing_estimator, monkeypatch, capsys):
    monkeypatch.setattr(extraction, "load_estimator", lambda name: knowing_estimator)
    assert main(["extract", str(videos), str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["num_out"], next(iter(told["failed"].values())).partition(":")[0]) == (1, str(videos / "torn.mp4"))
    assert main(["extract", str(videos / "one.mp4"), str(tmp_path / "one.npz"), "--workers", "2"]) == 2
    assert "`workers` must be 1 for one video" in capsys.readouterr().err
    assert main(["extract", str(videos), str(tmp_path / "out"), "--overwrite"]) == 2
    assert "`overwrite` is for one video" in capsys.readouterr().err


def test_what_is_no_folder_of_videos_is_refused(videos, tmp_path):
    with pytest.raises(ValueError, match=r"one.mp4: must be a folder of videos"):
        find_videos(videos / "one.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: must hold videos, found none"):
        find_videos(tmp_path / "empty")
    (videos / "one.mov").write_bytes((videos / "one.mp4").read_bytes())
    with pytest.raises(ValueError, match="a name of its own, found 'one' twice"):
        find_videos(videos)
