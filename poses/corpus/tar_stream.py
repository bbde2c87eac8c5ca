"""Reads tar archives of unknown origin as a stream: nothing is unpacked, and nothing that is damaged passes unseen.

`tarfile` takes a damaged header in a stream for the end of the archive, and reads whatever length a PAX header claims.
Here every header is checked, lengths are capped, and reading goes on at the next whole header. What `tarfile`'s
`filter="data"` would refuse to unpack is refused: links, devices, and names that lead out of the archive.
Formats: POSIX ustar and PAX (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html), and GNU's long
names (https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

BLOCK = 512

_MAX_EXTENSION_BYTES = 2**16
"""Bytes of a PAX header or long name; those of the corpus hold a time and take 30."""

_MAX_NAME_BYTES = 4096
_MAX_SIZE = 2**40
_CHUNK = 2**20
_SEARCHED_AT_ONCE = 2**16
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe",
    b"S": "a sparse file", b"7": "a contiguous file", b"K": "a long link name", b"g": "a global header",
}  # fmt: skip
_WITHOUT_DATA = b"123456"
_PAX_RECORD = re.compile(rb"(\d{1,6}) ([^=\n]{1,200})=")


@dataclass(eq=False)
class TarMember:
    """What an archive holds, in order. A file can be read until the next member is asked for.

    Attributes:
        kind: `damage` is a stretch that is no archive, and `refused` what must not be unpacked.
        offset: Where its first header begins; where a damaged stretch begins.
        name: Without `./` and a last slash; for what is refused as it is, and empty for damage.
        size: Bytes of a file.
        reason: Why it is refused, or what is damaged; empty otherwise.
    """

    kind: Literal["file", "folder", "refused", "damage"]
    offset: int
    name: str = ""
    size: int = 0
    reason: str = ""
    source: "_Source | None" = None

    def read(self) -> bytes | None:
        """The content of a file, None where the archive ends before it does."""
        assert self.source is not None
        data = self.source.read(self.size)
        return data if len(data) == self.size else None


class _DamagedError(Exception):
    """What was read is no header of a member."""


class _Source:
    """A stream that is read forward, with its position and room to put bytes back."""

    def __init__(self, stream: BinaryIO):
        self.stream = stream
        self.at = 0
        self.ahead = b""

    def read(self, size: int) -> bytes:
        taken, self.ahead = self.ahead[:size], self.ahead[size:]
        pieces, missing = [taken], size - len(taken)
        while missing > 0 and (piece := self.stream.read(min(missing, _CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
        self.at += size - missing
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def put_back(self, data: bytes) -> None:
        self.ahead = data + self.ahead
        self.at -= len(data)

    def skip_to(self, offset: int) -> bool:
        """Moves on, and says whether the stream goes that far."""
        dropped = min(offset - self.at, len(self.ahead))
        self.ahead = self.ahead[dropped:]
        self.at += dropped
        if offset - self.at > _CHUNK and self.stream.seekable():
            # The last byte is read, since a seek goes beyond the end without a word.
            self.stream.seek(offset - self.at - 1, 1)
            self.at = offset - 1
        while self.at < offset:
            if not self.read(min(offset - self.at, _CHUNK)):
                return False
        return True


def iterate_tar(stream: BinaryIO) -> Iterator[TarMember]:
    """Goes through an archive once, from where the stream stands to its end.

    A stretch without a header is given as `damage`, and so is an end without the block of zeros that closes an archive,
    since members may be missing there.
    """
    source = _Source(stream)
    while True:
        offset = source.at
        try:
            member = _next_member(source)
        except _DamagedError as error:
            yield TarMember("damage", offset, reason=str(error))
            if not _find_header(source):
                return
            continue
        if member is None:
            beyond = _find_header(source)
            if beyond:
                yield TarMember("damage", offset, reason=f"the archive is closed at byte {offset}, but goes on")
                continue
            return
        stop = source.at + (_padded(member.size) if member.kind != "folder" else 0)
        yield member
        if not source.skip_to(stop):
            yield TarMember("damage", source.at, reason=f"the archive ends at byte {source.at}, inside a member")
            return


def _next_member(source: _Source) -> TarMember | None:
    """The next member, None where the archive is closed."""
    offset = source.at
    extended: dict[str, str] = {}
    while True:
        at = source.at
        block = source.read(BLOCK)
        if len(block) < BLOCK:
            raise _DamagedError(f"the archive ends at byte {source.at} without being closed")
        if not any(block) and at == offset:
            return None
        name, size, kind = _header(block, at)
        if kind in (b"x", b"L"):
            extended |= _extension(source, size, kind, at)
            continue
        break
    name = extended.get("path", name)
    size = int(extended.get("size", size))
    if size > _MAX_SIZE:
        raise _DamagedError(f"the header at byte {at} states a size of {size} bytes")
    if kind in _WITHOUT_DATA and kind != b"5":
        return TarMember("refused", offset, name, 0, _KINDS[kind])
    if kind not in (b"0", b"\0", b"5"):
        return TarMember("refused", offset, name, size, _KINDS.get(kind, "of an unknown kind"))
    inside = name.removesuffix("/")
    while inside.startswith("./"):
        inside = inside[2:].lstrip("/")
    if reason := _leads_out(inside):
        return TarMember("refused", offset, name, 0 if kind == b"5" else size, reason)
    if kind == b"5":
        return TarMember("folder", offset, inside)
    return TarMember("file", offset, inside, size, "", source)


def _header(block: bytes, at: int) -> tuple[str, int, bytes]:
    """Name, size and kind that a header states."""
    if block[257:262] != b"ustar":
        raise _DamagedError(f"byte {at} must begin a header, but does not")
    if _number(block[148:156], at) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise _DamagedError(f"the header at byte {at} does not match its checksum")
    name = block[:100].split(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345] != 0:
        name = block[345:500].split(b"\0")[0] + b"/" + name
    return _text(name), _number(block[124:136], at), block[156:157]


def _number(field: bytes, at: int) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if not re.fullmatch(rb"[0-7]*", digits):
        raise _DamagedError(f"the header at byte {at} holds a number that is none")
    return int(digits or b"0", 8)


def _extension(source: _Source, size: int, kind: bytes, at: int) -> dict[str, str]:
    """What a PAX header or a GNU long name says of the next member: its `path`, its `size`."""
    if size > _MAX_EXTENSION_BYTES:
        raise _DamagedError(f"the header at byte {at} is continued over {size} bytes, more than {_MAX_EXTENSION_BYTES}")
    data = source.read(_padded(size))
    if len(data) < _padded(size):
        raise _DamagedError(f"the archive ends at byte {source.at}, inside a header")
    if kind == b"L":
        return {"path": _text(data[:size].split(b"\0")[0])}
    found, begin = {}, 0
    while begin < size:
        record = _PAX_RECORD.match(data, begin)
        stop = begin + int(record[1]) if record else 0
        if record is None or not record.end() < stop <= size or data[stop - 1 : stop] != b"\n":
            raise _DamagedError(f"the header at byte {at} is continued by records that are none")
        key, value = record[2], data[record.end() : stop - 1]
        if key.startswith(b"GNU.sparse") or (key == b"size" and not re.fullmatch(rb"\d{1,19}", value)):
            raise _DamagedError(f"the header at byte {at} states a size that is none")
        if key in (b"path", b"size"):
            found[key.decode()] = _text(value)
        begin = stop
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", errors="surrogateescape")


def _leads_out(name: str) -> str:
    """Why a name must not be unpacked, empty where it may be."""
    parts = name.split("/")
    if name.startswith("/"):
        return "an absolute path"
    if ".." in parts:
        return "a path that leads out of the archive"
    if "" in parts or "." in parts:
        return "a path with an empty part"
    if not name.isprintable() or "\\" in name or len(name.encode("utf-8", errors="replace")) > _MAX_NAME_BYTES:
        return "a path that is no plain name"
    return ""


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _find_header(source: _Source) -> bool:
    """Moves on to the next whole header, and says whether there is one."""
    # What was read of the damaged member is left behind: a header that lies in it would begin in a whole block.
    source.read(-source.at % BLOCK)
    while chunk := source.read(_SEARCHED_AT_ONCE):
        at = chunk.find(b"ustar")
        while at >= 0:
            begin = at - 257
            if begin >= 0 and begin % BLOCK == 0 and _is_header(chunk[begin : begin + BLOCK]):
                source.put_back(chunk[begin:])
                return True
            at = chunk.find(b"ustar", at + 1)
    return False


def _is_header(block: bytes) -> bool:
    try:
        _header(block, 0)
    except _DamagedError:
        return False
    return len(block) == BLOCK
