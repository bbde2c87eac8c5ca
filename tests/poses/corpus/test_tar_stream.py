"""Tar streams: what `tarfile` writes is read alike, what it overlooks is seen, what it must not unpack is refused."""

import io
import tarfile
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poses.corpus.tar_stream import BLOCK, iterate_tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


class Pipe(io.RawIOBase):
    """A stream that gives a few bytes at a time and cannot be sought in."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self.data[self.at : self.at + min(size, 777)]
        self.at += len(piece)
        return piece


def archive(*members: tuple[tarfile.TarInfo | str, bytes], **options) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as file:
        for info, data in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def special(name: str, kind: bytes, **fields) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def held(stream) -> list[tuple]:
    return [
        (member.kind, member.name, member.read() if member.kind == "file" else member.reason)
        for member in iterate_tar(stream)
    ]


NAMES = st.lists(st.text("abß-_.0", min_size=1, max_size=60).filter(lambda part: part.strip(".")), max_size=4)


@given(
    st.lists(st.tuples(NAMES.map("/".join).filter(bool), st.binary(max_size=1500)), max_size=6),
    st.sampled_from(FORMATS[1:]),
    st.booleans(),
)
def test_what_tarfile_writes_is_read(files, form, seekable):
    data = archive(*files, format=form)
    stream = io.BytesIO(data) if seekable else Pipe(data)
    assert held(stream) == [("file", name, content) for name, content in files]


@pytest.mark.parametrize("form", FORMATS)
def test_long_names_times_and_folders(form):
    long = "/".join(["d" * 60] * 3)
    info = special(long, tarfile.REGTYPE, mtime=1.25 if form == tarfile.PAX_FORMAT else 1)
    data = archive((special("d", tarfile.DIRTYPE), b""), (info, b"x"), ("./e//f", b"y"), format=form)
    assert held(io.BytesIO(data)) == [
        ("folder", "d", ""),
        ("file", long, b"x"),
        ("refused", "./e//f", "a path with an empty part"),
    ]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (special("a", tarfile.SYMTYPE, linkname="/etc/passwd"), "a symbolic link"),
        (special("a", tarfile.LNKTYPE, linkname="../b"), "a hard link"),
        (special("a", tarfile.CHRTYPE), "a device"),
        (special("a", tarfile.BLKTYPE), "a device"),
        (special("a", tarfile.FIFOTYPE), "a pipe"),
        (special("a", tarfile.CONTTYPE), "a contiguous file"),
        (special("a", b"Z"), "of an unknown kind"),
        (tarfile.TarInfo("/etc/passwd"), "an absolute path"),
        (tarfile.TarInfo("a/../../b"), "a path that leads out of the archive"),
        (tarfile.TarInfo(".//../b"), "a path that leads out of the archive"),
        (tarfile.TarInfo("a\nb"), "a path that is no plain name"),
        (tarfile.TarInfo("a\\..\\b"), "a path that is no plain name"),
        (tarfile.TarInfo("a\udc80"), "a path that is no plain name"),
        (tarfile.TarInfo("d" * 5000), "a path that is no plain name"),
    ],
)
def test_what_must_not_be_unpacked_is_refused(member, reason):
    data = archive(("first", b"1"), (member, b""), ("last", b"2"))
    first, refused, last = held(io.BytesIO(data))
    assert (first, last) == (("file", "first", b"1"), ("file", "last", b"2"))
    assert (refused[0], refused[2]) == ("refused", reason)


def test_members_left_unread_are_passed_over():
    data = archive(("a", b"1" * 3_000_000), ("b", b"2"))
    for stream in (io.BytesIO(data), Pipe(data)):
        assert [(member.name, member.size, member.offset) for member in iterate_tar(stream)] == [
            ("a", 3_000_000, 0), ("b", 1, 512 + 3_000_320)
        ]  # fmt: skip


def damaged(at: int, value: int = 0xFF) -> bytes:
    data = bytearray(archive(("a", b"1" * 1000), ("b", b"2"), ("c", b"3"), format=tarfile.USTAR_FORMAT))
    data[at] ^= value
    return bytes(data)


def test_a_damaged_header_costs_one_member():
    """Where `tarfile` sees the end of the stream and says nothing."""
    data = damaged(3 * BLOCK + 2)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as file:
        assert file.getnames() == ["a"]
    assert held(io.BytesIO(data)) == [
        ("file", "a", b"1" * 1000),
        ("damage", "", "the header at byte 1536 does not match its checksum"),
        ("file", "c", b"3"),
    ]


@pytest.mark.parametrize(
    ("data", "names", "reason"),
    [
        (b"", [], "ends at byte 0 without being closed"),
        (b"\0" * 10240, [], ""),
        (b"no archive" * 1000, [], "byte 0 must begin a header"),
        (damaged(0), ["b", "c"], "byte 0 does not match its checksum"),
        (damaged(258), ["b", "c"], "byte 0 must begin a header"),
        (damaged(124, 0x80), ["b", "c"], "byte 0 does not match"),
        (archive(("a", b"1"))[:BLOCK], ["a"], "ends at byte 512, inside a member"),
        (archive(("a", b"1"))[: 2 * BLOCK], ["a"], "ends at byte 1024 without being closed"),
        (archive(("a", b"1"))[: 2 * BLOCK + 7], ["a"], "ends at byte 1031 without being closed"),
        (archive(("a", b"1")) + archive(("b", b"2")), ["a", "b"], "closed at byte 1024, but goes on"),
        (
            special("a", b"x", size=2**17).tobuf(tarfile.USTAR_FORMAT),
            [],
            "continued over 131072 bytes, more than 65536",
        ),
        (archive((special("a", b"x"), b"7 path\n")), [], "continued by records that are none"),
        (archive((special("a", b"x"), b"999 path=b\n")), [], "continued by records that are none"),
        (archive((special("a", b"x"), b"11 size=-1\n")), [], "states a size that is none"),
        (archive((special("a", b"x"), b"22 GNU.sparse.major=1\n")), [], "states a size that is none"),
        (archive((special("a", b"x"), b"25 size=9999999999999999\n"), ("b", b"")), [], "a size of 9999999999999999"),
        (special("a", tarfile.REGTYPE, size=2**60).tobuf(tarfile.GNU_FORMAT), [], "states a size of"),
        (archive((special("a", b"x"), b"9 path=c\n"))[: BLOCK + 5], [], "ends at byte 517, inside a header"),
    ],
)
def test_damage_is_seen(data, names, reason):
    for stream in (io.BytesIO(data), Pipe(data)):
        members = list(iterate_tar(stream))
        assert [member.name for member in members if member.kind == "file"] == names
        reasons = [member.reason for member in members if member.kind == "damage"]
        assert len(reasons) == bool(reason)
        assert not reason or reason in reasons[0]


def resized(data: bytes, at: int, size: int) -> bytes:
    """The archive with another size in a header, whose checksum is right again."""
    header = bytearray(data[at : at + BLOCK])
    header[124:136] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + BLOCK :]


@pytest.mark.parametrize("size", [1001, 1536, 2048, 2700, 3584, 100_000])
def test_a_file_that_reaches_over_others_costs_itself_alone(size):
    """Two digits of a size that change places keep the checksum of the header."""
    data = resized(damaged(0, 0), 0, size)
    for stream in (io.BytesIO(data), Pipe(data)):
        members = held(stream)
        assert [member for member in members if member[0] == "file"][-2:] == [("file", "b", b"2"), ("file", "c", b"3")]
        assert size <= 1024 or members[:2] == [
            ("file", "a", None),
            ("damage", "", "another member begins at byte 1536, inside the one at byte 0"),
        ]


def test_a_name_that_reaches_over_others_costs_itself_alone():
    data = archive(("a" * 150, b"1"), ("b", b"2"), ("c", b"3"), format=tarfile.GNU_FORMAT)
    damage, *rest = held(io.BytesIO(resized(data, 0, 3000)))
    assert damage == ("damage", "", "another member begins at byte 1024, inside the header at byte 0")
    assert rest[1:] == [("file", "b", b"2"), ("file", "c", b"3")]


@given(st.integers(0, 6 * BLOCK), st.integers(1, BLOCK - 1), st.booleans())
def test_bytes_too_many_or_too_few_cost_what_they_hit(at, length, inserted):
    """All that follows lies between the blocks of 512 bytes."""
    whole = archive(("a", b"1" * 1000), ("b", b"2"), ("c", b"3" * 600), ("d", b"4"), format=tarfile.USTAR_FORMAT)
    data = whole[:at] + b"\xaa" * length + whole[at:] if inserted else whole[:at] + whole[at + length :]
    begins = {"a": 0, "b": 3 * BLOCK, "c": 5 * BLOCK, "d": 8 * BLOCK}
    hit_until = at if inserted else at + length
    for stream in (io.BytesIO(data), Pipe(data)):
        members = list(iterate_tar(stream))
        read = {member.name for member in members if member.kind == "file"}
        assert read >= {name for name, begin in begins.items() if begin >= hit_until or begin + BLOCK <= at}
        lost = set(begins) - read
        assert not lost or any(member.kind == "damage" for member in members)


def test_a_damaged_stretch_says_where_it_ends():
    stretches = [(member.offset, member.stop) for member in iterate_tar(io.BytesIO(damaged(3 * BLOCK + 2)))]
    assert stretches == [(0, 0), (3 * BLOCK, 5 * BLOCK), (5 * BLOCK, 0)]


def test_a_file_that_ends_early_is_no_file():
    first, end = held(io.BytesIO(archive(("a", b"1" * 2000))[: BLOCK + 1500]))
    assert first == ("file", "a", None)
    assert end == ("damage", "", "the archive ends at byte 2012, inside a member")


@given(st.integers(0, 2**32 - 1))
def test_mutated_archives_are_read_to_their_end(seed):
    random = np.random.default_rng(seed)
    data = bytearray(archive(("a/b", b"1" * 600), ("a/c", b"2" * 300), (special("d" * 150, tarfile.DIRTYPE), b"")))
    for _ in range(random.integers(1, 5)):
        data[random.integers(len(data))] = random.integers(256)
    if random.random() < 0.3:
        del data[random.integers(len(data)) :]
    begin = time.process_time()
    assert held(io.BytesIO(bytes(data))) == held(Pipe(bytes(data)))
    assert time.process_time() - begin < 2


def test_a_file_of_false_headers_takes_no_time():
    header = bytearray(archive(("a", b""))[:BLOCK])
    good, bad = bytes(header), bytes([header[0] ^ 1, *header[1:]])
    begin = time.process_time()
    assert len(list(iterate_tar(io.BytesIO((good + bad) * 1000)))) == 2000
    assert time.process_time() - begin < 2
