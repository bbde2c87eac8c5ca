"""Unpacks archives of unknown origin: all that they say is checked before anything is written."""

import re
import shlex
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from poses.corpus.tar_stream import iterate_tar
from poses.formats.npz import open_member, open_npz
from poses.sequence import PoseFileError

MAX_FILES = 1000
"""Most members of an archive."""

MAX_UNPACKED_BYTES = 2**28
"""Most bytes that all files of an archive have together."""

_MAX_DEPTH = 6
_PART_OF_NAME = re.compile(r'[^\x00-\x1f\x7f\\:*?"<>|]{1,200}')


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: With its folders, as the archive has it.
        size: Bytes once unpacked, as the archive says; `read` gives no more.
        read: Gives its content, until the next member is asked for.
    """

    name: str
    size: int
    read: Callable[[], bytes]


def is_archive(path: Path) -> bool:
    """Tells by its first bytes whether a file is a zip or a tar, and by its members that it is no `.npz`.

    Raises:
        PoseFileError: It is a damaged zip, or not there.
    """
    if is_zip(path):
        return not all(name.endswith(".npy") for name in names_in(path))
    return _head(path)[257:] == b"ustar"


def names_in(path: Path) -> list[str]:
    """Names of the files in an archive, whatever else is in it.

    Raises:
        PoseFileError: It is a damaged zip, or not there.
    """
    if is_zip(path):
        with open_npz(path, path) as archive:
            return archive.namelist()
    with path.open("rb") as stream:
        return [member.name for member in iterate_tar(stream) if member.kind == "file"]


def unpack(path: Path, folder: Path, *, suffixes: Collection[str]) -> tuple[str, ...]:
    """Unpacks a zip or a tar.

    Args:
        path: The archive.
        folder: A new folder; nothing is written beside it.
        suffixes: Of the files that are wanted, in lower case.

    Returns:
        Names of those that were left out. Files that an operating system hides there are not worth a word.

    Raises:
        ValueError: It is damaged, holds what is neither file nor folder, is more than `MAX_FILES` or
            `MAX_UNPACKED_BYTES`, or a name leads out of the folder or cannot be that of a file everywhere.
    """
    names: set[str] = set()
    for member in _members(path):
        _check_name(member.name, path)
        names.add(member.name)
    if inside := next((name for name in names if names & {str(above) for above in PurePosixPath(name).parents}), None):
        raise ValueError(f"{path}: {inside[:80]!r} lies in a file.")
    folder.mkdir()
    left_out = []
    for member in _members(path):
        parts = PurePosixPath(member.name).parts
        if parts[0] == "__MACOSX" or parts[-1].startswith("."):
            continue
        if PurePosixPath(member.name).suffix.lower() not in suffixes:
            left_out.append(member.name)
            continue
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(member.read())
    return tuple(left_out)


def unpack_commands(path: Path, folder: str) -> tuple[str, ...]:
    """Command lines that unpack an archive into a new folder."""
    if is_zip(path):
        return (shlex.join(["unzip", path.name, "-d", folder]),)
    return shlex.join(["mkdir", folder]), shlex.join(["tar", "xf", path.name, "-C", folder])


def _members(path: Path) -> Iterator[Member]:
    """Goes through the files of a zip or a tar, as long as they are not too many or too large."""
    num_files = num_bytes = 0
    for member in _zip_members(path) if is_zip(path) else _tar_members(path):
        num_files, num_bytes = num_files + 1, num_bytes + member.size
        if num_files > MAX_FILES:
            raise ValueError(f"{path}: expected at most {MAX_FILES} files, found more.")
        if num_bytes > MAX_UNPACKED_BYTES:
            raise ValueError(f"{path}: expected at most {MAX_UNPACKED_BYTES >> 20} MB once unpacked, found more.")
        yield member


def _check_name(name: str, path: Path) -> None:
    parts = name.split("/")
    if len(parts) > _MAX_DEPTH or any(part in (".", "..") or not _PART_OF_NAME.fullmatch(part) for part in parts):
        raise ValueError(f"{path}: files must lie in it under plain names, found {name[:80]!r}.")


def is_zip(path: Path) -> bool:
    """Tells by its first bytes whether a file is a zip, which an `.npz` is, too."""
    return _head(path)[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(262)
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None


def _zip_members(path: Path) -> Iterator[Member]:
    with open_npz(path, path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"{path}: must hold files and folders, found {info.filename[:80]!r}: a link.")

            def read(name: str = info.filename) -> bytes:
                with open_member(archive, name, path) as stream:
                    return stream.read()

            if not info.is_dir():
                yield Member(info.filename, info.file_size, read)


def _tar_members(path: Path) -> Iterator[Member]:
    with path.open("rb") as stream:
        for member in iterate_tar(stream):
            if member.kind == "damage":
                raise ValueError(f"{path}: must be a whole tar archive, but {member.reason}.")
            if member.kind == "refused":
                raise ValueError(f"{path}: must hold files and folders, found {member.name[:80]!r}: {member.reason}.")

            def read(member=member) -> bytes:
                if (data := member.read()) is None:
                    raise ValueError(f"{path}: {member.name[:80]!r} is damaged.")
                return data

            if member.kind == "file":
                yield Member(member.name, member.size, read)
