"""Archives of unknown origin: what is whole comes out, what could do harm leaves nothing behind."""

import io
import tarfile
import zipfile

import pytest

from pipelines import unpacking
from pipelines.unpacking import is_archive, unpack

FILES = {"set/a.npz": b"pose", "set/deep/a.mp4": b"film", "set/note.txt": b"x", "__MACOSX/set/._a.mp4": b"x"}


def zipped(files, *, mode=0, level=zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", level) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, level
            archive.writestr(info, data)
    return stream.getvalue()


def tarred(files, *, kind=tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "/etc/passwd", len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_wanted_files_come_out_and_others_are_named(tmp_path, pack):
    path = tmp_path / "set.archive"
    path.write_bytes(pack(FILES))
    assert is_archive(path)
    assert unpack(path, tmp_path / "out", suffixes=(".npz", ".mp4")) == ("set/note.txt",)
    found = {file.relative_to(tmp_path / "out").as_posix(): file for file in (tmp_path / "out").rglob("*.*")}
    assert {name: file.read_bytes() for name, file in found.items()} == dict(list(FILES.items())[:2])


def test_pose_files_are_no_archives(tmp_path):
    (tmp_path / "clip.npz").write_bytes(zipped({"keypoints.npy": b"", "scores.npy": b""}))
    assert not is_archive(tmp_path / "clip.npz")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"../a.npz": b"x"}), r"under plain names, found '\.\./a\.npz'"),
        (zipped({"/etc/a.npz": b"x"}), "under plain names, found '/etc/a.npz'"),
        (zipped({"C:\\a.npz": b"x"}), "under plain names"),
        (zipped({"a/./b/../c.npz": b"x"}), "under plain names"),
        (zipped({"a/" * 7 + "a.npz": b"x"}), "under plain names"),
        (zipped({"a" * 201 + ".npz": b"x"}), "under plain names"),
        (zipped({"a\n.npz": b"x"}), "under plain names"),
        (zipped({"a.npz": b"/etc/passwd"}, mode=0o120777), "must hold files and folders, found 'a.npz': a link"),
        (zipped({"a.npz": b"x", "a.npz/b.npz": b"x"}), "'a.npz/b.npz' lies in a file"),
        (zipped({"a.npz": bytes(10**6)}), "must unpack to at most .* and 100 times its packed size"),
        (zipped({f"{number}.npz": b"" for number in range(11)}), "expected at most 10 files, found more"),
        (zipped({"a.npz": bytes(2**21)}, level=zipfile.ZIP_STORED), "expected at most 1 MB once unpacked, found more"),
        (zipped({"a.npz": bytes(99)})[:-30], "damaged"),
        (tarred({"../a.npz": b"x"}), "must hold files and folders, found '../a.npz'"),
        (tarred({"a.npz": b""}, kind=tarfile.SYMTYPE), "found 'a.npz': a symbolic link"),
        (tarred({"a.npz": b""}, kind=tarfile.CHRTYPE), "found 'a.npz': a device"),
        (tarred({"a.npz": bytes(2**21)}), "expected at most 1 MB once unpacked, found more"),
        (tarred({"a.npz": bytes(2000)})[:1500], "must be a whole tar archive"),
    ],
)
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path, monkeypatch, data, reason):
    monkeypatch.setattr(unpacking, "MAX_FILES", 10)
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 2**20)
    (tmp_path / "asked").mkdir()
    path = tmp_path / "asked" / "set.archive"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        unpack(path, tmp_path / "asked" / "out", suffixes=(".npz",))
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert written == [path]
