"""The examples run as they are written, from a folder of their own."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_is_run_here():
    written = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{path.name}"' in written for path in EXAMPLES.glob("*.py"))


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
