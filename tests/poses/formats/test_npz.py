"""Zip files of unknown origin: sizes are believed only when they can be true."""

import io
import struct
import zipfile

import numpy as np
import pytest

from poses.formats.npz import open_member, open_npz, read_array
from poses.sequence import PoseFileError


def _npy(array, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def _stated(dtype: str, shape: str) -> bytes:
    """An array of 8 bytes, whatever its header says."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8


@pytest.fixture
def read(tmp_path):
    """Packs bytes as a.npy and reads them back."""

    def read(data: bytes, compression: int = zipfile.ZIP_STORED) -> np.ndarray:
        with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
            archive.writestr("a.npy", data)
        with open_npz(tmp_path / "a.npz", "a.npz") as archive:
            return read_array(archive, "a.npy", "a.npz")

    return read


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["a", "été", ""]),
        np.zeros((0, 3), np.uint8),
        np.arange(5),
        np.array([True, False]),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_reads_plain_arrays(read, array, compression):
    found = read(_npy(array), compression)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert found.shape == array.shape


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_npy(np.array([{}], object), allow_pickle=True), "found pickled objects"),
        (_npy(np.zeros(2, [("x", "f4")])), "must be a plain numpy array, found another header"),
        (_npy(np.zeros(9, np.float32))[:-1], r"must hold 9 values of 4 bytes for shape \[9\], found 35 bytes"),
        (_npy(np.zeros(9, np.float32)) + b"\0", "found 37 bytes"),
        (b"", "another header"),
        (b"hello", "another header"),
        (_npy(np.zeros(9))[:30], "another header"),
        (_stated("<f4", "(999999999999, 999999999999)"), "found 8 bytes"),
        (_stated("<f4", "(-2,)"), "another header"),
        (_stated("<f4", "__import__('os').system('x')"), "another header"),
        (_stated("<f4", "(" * 5000), "another header"),
        (_stated("<f7", "(1,)"), "found dtype <f7"),
        (_stated("<U99999999", "(1,)"), "found 8 bytes"),
        (_stated("<U999999999", "(1,)"), "found dtype <U999999999"),
        (_stated("|O", "(1,)"), "found pickled objects"),
        (_stated("<U0", "(999999999999,)").removesuffix(bytes(8)), "found dtype <U0"),
        (_stated("|S", "(999999999999,)").removesuffix(bytes(8)), r"found dtype \|S"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "another header"),
    ],
)
def test_refuses_other_arrays(read, data, message):
    with pytest.raises(PoseFileError, match=rf"^a\.npz: a\.npy .*{message}"):
        read(data)


def test_refuses_bombs(read):
    with pytest.raises(PoseFileError, match=r"a\.npy must unpack to .* 100 times its packed size, found 8000128 from"):
        read(_npy(np.zeros(10**6)), zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_other_packing(read, method):
    with pytest.raises(PoseFileError, match=f"must be stored or deflated, found method {method}"):
        read(_npy(np.zeros(3)), method)


def test_refuses_a_member_that_is_missing_or_there_twice(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", _npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", _npy(np.ones(1)))
    with pytest.raises(PoseFileError, match="must name each member once, found one twice"), open_npz(path, path):
        pass
    np.savez(path, a=np.zeros(1))
    with pytest.raises(PoseFileError, match=r"hold b\.npy, found no such member"), open_npz(path, path) as archive:
        read_array(archive, "b.npy", path)


@pytest.mark.parametrize("size", [2**25 + 1, 2**32 + 1])
@pytest.mark.parametrize("comment", [b"", b"c" * 65_535])
@pytest.mark.parametrize("in_memory", [False, True])
def test_refuses_a_long_list_of_members_without_reading_it(tmp_path, size, comment, in_memory):
    """What it states is enough, in the 64-bit record too, which counts where there is one."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, min(size, 2**32 - 1), 0, len(comment))
    if size >= 2**32:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 0)
        end = record + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + end
    path = tmp_path / "a.npz"
    path.write_bytes(bytes(100) + end + comment)
    file = io.BytesIO(path.read_bytes()) if in_memory else path
    with (
        pytest.raises(PoseFileError, match=rf"^a\.npz: must list .* at most 33554432 bytes, found {size}\.$"),
        open_npz(file, "a.npz"),
    ):
        pass


def test_refuses_damage(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive, archive.open("a.npy") as member:
        member.read(1)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data, message in ((whole[:-30], "not a zip file"), (bytes(flipped), "Bad CRC-32"), (b"PK\x03\x04", "zip")):
        path.write_bytes(data)
        with (
            pytest.raises(PoseFileError, match=rf"must be a whole zip file.*{message}"),
            open_npz(path, path) as archive,
        ):
            read_array(archive, "a.npy", path)


def test_a_members_stated_size_is_not_exceeded(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000))
    data = path.read_bytes()
    size = (8128).to_bytes(4, "little")
    assert data.count(size) >= 2
    path.write_bytes(data.replace(size, (10**8).to_bytes(4, "little")))
    with pytest.raises(PoseFileError), open_npz(path, path) as archive, open_member(archive, "a.npy", path) as stream:
        stream.read()
