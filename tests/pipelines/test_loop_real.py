"""The loop as a user runs it, every part real."""

import json

import pytest

from pipelines.cli import main
from poses.video import read_info

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("renderer", ["avatar", "signer-small"])
def test_a_spelled_word(renderer, tmp_path, capfd):
    word, out = tmp_path / "word.npz", tmp_path / "out"
    assert main(["spell", "LOVE", str(word), "--language", "gsg"]) == 0
    assert main(["loop", str(word), "--output", str(out), "--renderer", renderer]) == 0
    assert capfd.readouterr().out.splitlines()[-1].endswith("index.html")
    report = json.loads((out / "report.json").read_text())
    assert [span["gloss"] for span in report["reference_glosses"]] == list("LOVE")
    assert report["driving_wer"]["rate"] == 0
    assert report["render_wer"]["rate"] <= 0.5
    hand = report["fidelity"]["parts"]["right_hand"]
    assert hand["recall"] > 0.8
    assert hand["mean_error"] < 0.1
    assert report["fidelity"]["parts"]["left_hand"]["recall"] is None
    assert 0.5 < report["fidelity"]["movement_ratio"] < 2
    assert read_info(out / "render.mp4").num_frames == report["input"]["num_frames"]


def test_a_video_of_a_person(shared_data, tmp_path):
    video = sorted((shared_data / "isl51" / "videos").rglob("*.mp4"))[0]
    out = tmp_path / "out"
    assert main(["loop", str(video), "--output", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert list(report["seconds"])[:3] == ["load", "extract", "render"]
    assert report["input"]["source"] == video.name
    assert report["driving_wer"] is None
    assert report["fidelity"]["parts"]["body"]["recall"] > 0.8
    assert read_info(out / "render.mp4").fps == pytest.approx(read_info(video).fps)
