"""The examples run as they are written, from a folder of their own."""

import json
import runpy
from pathlib import Path

import pytest

from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.video import write_video

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_is_run_here():
    written = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{path.name}"' in written for path in EXAMPLES.glob("*.py"))
    assert [path.name for path in EXAMPLES.glob("*.ipynb")] == ["tour.ipynb"]


def cells() -> list[str]:
    """The notebook's code, cell by cell."""
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_compiles_and_holds_no_output():
    for cell in cells():
        compile(cell, "tour.ipynb", "exec")
    written = (EXAMPLES / "tour.ipynb").read_text(encoding="utf-8")
    assert written.count('"outputs": []') == len(cells())


def test_read_signverse(tmp_path, monkeypatch, capsys):
    save_poses(spell("AB", "ase"), tmp_path / "ab.npz")
    run("read_signverse.py", str(tmp_path / "ab.npz"), monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert "score of the right shoulder: 2 as stored, 1 repaired" in said
    assert "repaired body-codes, version 1" in said
    assert "\nright hand " in said


def test_clip_formats(tmp_path, monkeypatch, capsys):
    run("clip_formats.py", str(tmp_path / "out"), monkeypatch=monkeypatch)
    said = capsys.readouterr().out.splitlines()
    assert [line[:2] for line in said[:5]] == ["H:", "A:", "N:", "D:", "S:"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"hands.npz", "hands.pose", "hands.mp4"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compare_renderers(tmp_path, monkeypatch, capsys):
    run("compare_renderers.py", "SI", "gsg", str(tmp_path / "out"), monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    for renderer in ("avatar", "signer-small"):
        assert f"\n{renderer}" in f"\n{said}"
        assert (tmp_path / "out" / renderer / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_renderer(tmp_path, monkeypatch, capsys):
    run("own_renderer.py", str(tmp_path / "out"), monkeypatch=monkeypatch)
    assert "right_hand  found again" in capsys.readouterr().out
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_evaluate_own_video(tmp_path, monkeypatch, capsys):
    poses = spell("AB", "ase")
    save_poses(poses, tmp_path / "ab.npz")
    write_video(tmp_path / "ab.mp4", draw_poses(poses, "videox-fun", height=256, width=256), fps=poses.fps)
    arguments = [str(tmp_path / name) for name in ("ab.npz", "ab.mp4", "report")]
    run("evaluate_own_video.py", *arguments, monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert f"ab: {len(poses)} frames" in said
    assert "Duration ratio" in said
    assert (tmp_path / "report" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells():
        exec(compile(cell, "tour.ipynb", "exec"), names)
    assert "word error rate" in capsys.readouterr().out
    assert (tmp_path / "sign.mp4").is_file()
    assert (tmp_path / "report" / "index.html").is_file()
