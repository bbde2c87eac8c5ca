"""The page as it is served: what programs get, and what strangers do not."""

import json
import os
import re
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from pipelines.examples import example_poses

pytestmark = [
    # Gradio's server leaves sockets and event loops to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # Gradio calls pandas 3 as one calls pandas 2.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

ROOT = Path(__file__).resolve().parents[2]

# Reading the certificates, which plain HTTP has no use for, would take longer than most answers.
get, post = partial(httpx.get, verify=False), partial(httpx.post, verify=False)


def upload(server: str, name: str, content: bytes) -> httpx.Response:
    return post(f"{server}gradio_api/upload", files={"files": (name, content)})


def fetch(server: str, path: str | Path) -> httpx.Response:
    return get(f"{server}gradio_api/file={path}")


def order(server: str, tab: str, *answers: object) -> list[object] | None:
    """What a tab answers at last; None where it refuses to be asked so."""
    event = post(f"{server}gradio_api/call/{tab}", json={"data": answers}).json()["event_id"]
    lines = get(f"{server}gradio_api/call/{tab}/{event}", timeout=60).text.splitlines()
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    failed = any(line == "event: error" for line in lines)
    return None if failed else [answer for answer in told if answer][-1]


def handed_over(path: str | Path) -> dict[str, object]:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_the_documented_program_gets_what_it_asks_for(server, tmp_path, monkeypatch, capsys):
    how_to = (ROOT / "docs" / "how-to" / "app.md").read_text(encoding="utf-8")
    program, _ = re.findall(r"```python\n(.*?)```", how_to, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    example_poses(tmp_path).rename("clip.npz")
    got: dict[str, Any] = {}
    exec(program.replace("http://127.0.0.1:7860/", server).replace("HANDS", "A"), got)
    assert "Signed: A. Read from the render: A." in capsys.readouterr().out
    assert "Read: H" in got["status"]
    with zipfile.ZipFile(got["download"]["value"]) as archive:
        assert {"index.html", "reading.json", "overlay.mp4", "poses.npz"} <= set(archive.namelist())
    endpoints = got["client"].view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/render", "/recognize", "/evaluate", "/augment", "/explore"}
    assert all(
        parameter["parameter_has_default"] for endpoint in endpoints.values() for parameter in endpoint["parameters"]
    )


def test_no_file_is_served_but_uploads_and_results(server):
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    (uploads.parent / "beside.txt").write_text("secret")
    paths = [
        "/etc/passwd",
        ROOT / "app.py",
        "app.py",
        uploads.parent / "beside.txt",
        uploads,
        uploads.parent / "results",
    ]
    paths += [f"{uploads}/../beside.txt", f"{uploads.parent}/results/../beside.txt"]
    paths += [quote(str(path), safe="") for path in paths]
    answers = {str(path): fetch(server, path).status_code for path in paths}
    assert set(answers.values()) <= {403, 404}, answers


def test_no_path_and_no_address_that_is_sent_is_opened(server, tmp_path, monkeypatch):
    asked = []

    async def download(url: str, cache_dir: str) -> str:
        asked.append(url)
        return str(tmp_path / "HANDS.npz")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", download)
    clip = example_poses(tmp_path)
    for path in (clip, "/etc/passwd", f"{server}gradio_api/info", "https://example.com/clip.npz"):
        assert order(server, "recognize", "A file", handed_over(path), None) is None, path
    assert asked == []
    (uploaded,) = upload(server, "clip.npz", clip.read_bytes()).json()
    answer = order(server, "recognize", "A file", handed_over(uploaded), None)
    assert answer is not None
    assert "Read: H" in str(answer)


def test_uploads_stay_in_their_folder_and_are_never_shown_as_pages(server):
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    for name in ("../../evil.html", "/etc/evil.html", "evil.html", "evil.svg"):
        (path,) = upload(server, name, b"<script>alert(1)</script>").json()
        assert Path(path).resolve().is_relative_to(uploads.resolve())
        assert fetch(server, path).headers["content-disposition"].startswith("attachment")
    assert upload(server, "large.npz", bytes(2**20 + 2**10)).status_code == 413


def test_uploads_are_deleted_when_their_time_is_over(app, tmp_path, monkeypatch):
    old, young = tmp_path / "a" / "old.npz", tmp_path / "b" / "young.npz"
    for path in (old, young):
        path.parent.mkdir()
        path.touch()
    os.utime(old, (time.time() - app.KEPT_S - 1,) * 2)
    monkeypatch.setattr(app.time, "sleep", lambda seconds: tmp_path.rename(tmp_path.with_name("gone")))
    app.sweep(tmp_path)
    assert [path.name for path in tmp_path.with_name("gone").rglob("*.npz")] == ["young.npz"]


def test_a_password_is_asked_for_where_there_is_one(app, demo):
    assert app.login(None) == app.login("") == {}
    server = app.launch(demo, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **app.login("let me in"))
    try:
        with httpx.Client(base_url=server, verify=False) as client:
            asked = ("gradio_api/info", "config", "gradio_api/file=/etc/passwd", "gradio_api/queue/data?session_hash=x")
            assert {client.get(path).status_code for path in asked} == {401}
            assert client.post("gradio_api/upload", files={"files": ("a", b"a")}).status_code == 401
            assert client.post("login", data={"username": "signloop", "password": "let me"}).status_code == 400
            assert client.post("login", data={"username": "signloop", "password": "let me in"}).status_code == 200
            assert client.get("gradio_api/info").status_code == 200
    finally:
        demo.close()
