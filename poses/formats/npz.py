"""Opens `.npz` files of unknown origin: sizes are checked before memory is taken, and nothing is ever unpickled."""

import re
import struct
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from math import prod
from os import SEEK_END, PathLike
from typing import IO, BinaryIO

import numpy as np

from poses.sequence import PoseFileError

MAX_MEMBER_BYTES = 2**30
"""The largest member that is read. Three hours of one signer are 900 MB."""

_MAX_DIRECTORY_BYTES = 2**25
"""The longest list of members: those of a video with one file a frame, three hours of it. Each takes 50 bytes or more
of it, and of memory ten times as many."""

_END_BYTES = 2**16 + 100
"""The list's length is stated among the last bytes of a file, before a comment of at most 64 KB."""

_DIRECTORY_BYTES = re.compile(rb"(?s)(?=PK\x05\x06.{8}(.{4})|PK\x06\x06.{36}(.{8}))")
_SAID_ELSEWHERE = 2**32 - 1

_MAX_RATIO = 100
"""The strongest compression believed: coordinates shrink twofold, only a bomb shrinks a hundredfold."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError)
"""All that `zipfile` was seen to raise on damaged files."""

_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[biufSUO]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}, ?){0,8}\d{0,12})\), \} *\n"
)
"""What numpy writes for every array that isn't structured, of a few dimensions; anything else is refused."""


@contextmanager
def open_npz(file: str | PathLike[str] | BinaryIO, name: object) -> Generator[zipfile.ZipFile]:
    """Opens a zip file.

    Raises:
        PoseFileError: It is none, its directory is damaged, too long, or names a member twice.
    """
    with _damage_named(name):
        with open(file, "rb") if isinstance(file, str | PathLike) else nullcontext(file) as stream:
            _check_directory(stream, name)
        archive = zipfile.ZipFile(file)
    with archive:
        if len(set(archive.namelist())) != len(archive.namelist()):
            raise PoseFileError(f"{name}: must name each member once, found one twice.")
        yield archive


def _check_directory(stream: IO[bytes], name: object) -> None:
    """Refuses a file whose list of members is longer than any true one; `zipfile` reads all of it at once."""
    stream.seek(0, SEEK_END)
    stream.seek(max(stream.tell() - _END_BYTES, 0))
    for found in _DIRECTORY_BYTES.finditer(stream.read(_END_BYTES)):
        stated = int.from_bytes(found[1] or found[2], "little")
        if stated > _MAX_DIRECTORY_BYTES and stated != _SAID_ELSEWHERE:
            raise PoseFileError(
                f"{name}: must list its members in at most {_MAX_DIRECTORY_BYTES} bytes, found {stated}."
            )


@contextmanager
def open_member(
    archive: zipfile.ZipFile, member: str, name: object, *, max_bytes: int = MAX_MEMBER_BYTES
) -> Generator[IO[bytes]]:
    """Opens one member, for reading and nothing else: what goes wrong inside the block is taken for damage.

    Args:
        archive: What `open_npz` gives.
        member: Its name.
        name: The archive, for messages.
        max_bytes: Those of the largest member that is opened.

    Raises:
        PoseFileError: The member is missing, too large, packed in a way numpy never does, or damaged.
    """
    if member not in archive.namelist():
        raise PoseFileError(f"{name}: must hold {member}, found no such member.")
    info = archive.getinfo(member)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PoseFileError(f"{name}: {member} must be stored or deflated, found method {info.compress_type}.")
    if info.file_size > min(max_bytes, _MAX_RATIO * max(info.compress_size, 1000)):
        raise PoseFileError(
            f"{name}: {member} must unpack to at most {max_bytes} bytes and {_MAX_RATIO} times its packed size, "
            f"found {info.file_size} from {info.compress_size}."
        )
    with _damage_named(name), archive.open(info) as stream:
        yield stream


@contextmanager
def _damage_named(name: object) -> Generator[None]:
    try:
        yield
    except PoseFileError:
        raise
    except _ZIP_ERRORS as error:
        reason = " ".join(str(error).split())[:100] or "it ends early"
        raise PoseFileError(f"{name}: must be a whole zip file, but it is damaged ({reason}).") from None


def read_header(stream: IO[bytes], where: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Reads a `.npy` header: dtype, shape and whether the array is stored in Fortran order.

    Raises:
        PoseFileError: It is not the header of a plain array.
    """
    magic = stream.read(8)
    length_bytes = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4, b"\x93NUMPY\x03\x00": 4}.get(magic, 0)
    length = int.from_bytes(stream.read(length_bytes), "little")
    found = _HEADER.fullmatch(stream.read(length)) if 0 < length <= 10_000 else None
    if found is None:
        raise PoseFileError(f"{where} must be a plain numpy array, found another header.")
    descr, fortran_order, shape = (group.decode("ascii") for group in found.groups())
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError):
        raise PoseFileError(f"{where} must be an array of numbers or text, found dtype {descr}.") from None
    if not dtype.itemsize:  # no bytes would be any number of them
        raise PoseFileError(f"{where} must be an array of numbers or text, found dtype {descr}.")
    return dtype, tuple(int(size) for size in shape.split(",") if size.strip()), fortran_order == "True"


def read_array(archive: zipfile.ZipFile, member: str, name: object, *, max_bytes: int = MAX_MEMBER_BYTES) -> np.ndarray:
    """Reads an array of numbers or text.

    Args:
        archive: What `open_npz` gives.
        member: Its name.
        name: The archive, for messages.
        max_bytes: Those of the largest member that is read.

    Raises:
        PoseFileError: The member holds anything else, or not as many bytes as its shape says.
    """
    where = f"{name}: {member}"
    with open_member(archive, member, name, max_bytes=max_bytes) as stream:
        dtype, shape, fortran_order = read_header(stream, where)
        data = stream.read()
    if dtype.hasobject:
        raise PoseFileError(f"{where} must be an array of numbers or text, found pickled objects.")
    if prod(shape) * dtype.itemsize != len(data):
        raise PoseFileError(
            f"{where} must hold {prod(shape)} values of {dtype.itemsize} bytes for shape {list(shape)}, "
            f"found {len(data)} bytes."
        )
    return np.ndarray(shape, dtype, data, order="F" if fortran_order else "C")
