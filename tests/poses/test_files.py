"""`poses.files`: whole under the final name, or nothing at all."""

import os
import re
import stat
from pathlib import Path

import pytest

from poses.files import check_utf8, new_directory, new_file, read_json


def test_new_file_appears_only_when_done(tmp_path):
    path = tmp_path / "clip.npz"
    with new_file(path) as aside:
        aside.write_text("whole")
        assert aside.parent == tmp_path
        assert aside.suffix == ".npz"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_new_file_leaves_nothing_after_a_failure(tmp_path, error):
    path = tmp_path / "clip.npz"
    path.write_text("before")
    with pytest.raises(error), new_file(path, overwrite=True) as aside:
        aside.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"/clip\.npz'$"), new_file(tmp_path / "clip.npz") as aside:
        aside.read_bytes()  # as where the file system refuses the name


def test_new_file_keeps_the_users_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        with new_file(tmp_path / "clip.npz") as aside:
            aside.write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "clip.npz").stat().st_mode) == 0o640


def test_new_file_takes_the_longest_name_there_is(tmp_path):
    path = tmp_path / ("x" * 251 + ".npz")
    with new_file(path) as aside:
        aside.write_text("")
    assert path.exists()


def test_a_longer_name_is_refused_before_any_work(tmp_path):
    for new in (new_file, new_directory):
        with (
            pytest.raises(ValueError, match=r"^x{40}\.\.\.: its name must be at most 255 bytes"),
            new(tmp_path / ("x" * 256)),
        ):
            pass


def test_new_file_refuses_what_is_there(tmp_path):
    (tmp_path / "clip.npz").write_text("mine")
    with pytest.raises(ValueError, match=r"clip\.npz: already there"), new_file(tmp_path / "clip.npz"):
        pass
    with pytest.raises(ValueError, match="must be a file"), new_file(tmp_path, overwrite=True):
        pass
    with pytest.raises(ValueError, match="folder does not exist"), new_file(tmp_path / "missing" / "clip.npz"):
        pass


def test_new_file_refuses_a_name_taken_meanwhile(tmp_path):
    path = tmp_path / "clip.npz"
    with pytest.raises(ValueError, match="already there"), new_file(path) as aside:
        aside.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exists", [False, True])
def test_new_directory_appears_only_when_done(tmp_path, exists):
    path = tmp_path / "report"
    if exists:
        path.mkdir()
    with new_directory(path) as aside:
        (aside / "index.html").write_text("whole")
        assert not (path / "index.html").exists()
    assert (path / "index.html").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_new_directory_leaves_nothing_after_a_failure(tmp_path, error):
    with pytest.raises(error), new_directory(tmp_path / "report") as aside:
        (aside / "index.html").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_new_directory_refuses_what_is_there(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(ValueError, match="full: must be an empty directory"), new_directory(tmp_path / "full"):
        pass
    with pytest.raises(ValueError, match="a file of that name"), new_directory(tmp_path / "full" / "mine"):
        pass
    with pytest.raises(ValueError, match="folder does not exist"), new_directory(tmp_path / "missing" / "report"):
        pass
    assert (tmp_path / "full" / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "must be JSON, but it is damaged"),
        (b'{"half": ', "must be JSON, but it is damaged"),
        (b"\xff", "must be JSON, but it is damaged"),
        (b"[" * 100_000, "must be JSON, but it is damaged"),
    ],
)
def test_damaged_json_is_told_by_its_name(tmp_path, held, said):
    path = tmp_path / "part.json"
    if held is not None:
        path.write_bytes(held)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {said}.")):
        read_json(path)


def test_names_that_no_report_could_hold_are_refused():
    check_utf8(Path("手/ü.mp4"))
    with pytest.raises(ValueError, match=r"in/v\\udcff\.mp4: its name must be UTF-8\."):
        check_utf8(Path("a.mp4"), Path("in/v\udcff.mp4"))


def test_json_is_read_as_utf8(tmp_path):
    (tmp_path / "part.json").write_bytes('{"sign": "手"}'.encode())
    assert read_json(tmp_path / "part.json") == {"sign": "手"}
