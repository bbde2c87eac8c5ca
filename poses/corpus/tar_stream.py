"""Reads tar archives of unknown origin as a stream: nothing is unpacked, and nothing that is damaged passes unseen.

`tarfile` takes a damaged header in a stream for the end of the archive, and reads whatever length a PAX header claims.
Here every header is checked, lengths are capped, and reading goes on at the next whole header, at whatever byte it is:
where a byte came in or was lost, all that follows lies between the blocks. A header inside a file shows that the file's
size is damaged, since it would reach over its neighbours; so archives of archives are not for this module.
What `tarfile`'s `filter="data"` would refuse to unpack is refused: links, devices, and names that lead out of the
archive.
Formats: POSIX ustar and PAX (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html), and GNU's long
names (https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

BLOCK = 512
_MAGIC_AT = 257

_MAX_EXTENSION_BYTES = 2**16
"""Bytes of a PAX header or long name; those of the corpus hold a time and take 30."""

_MAX_NAME_BYTES = 4096
_MAX_SIZE = 2**40
_ENDLESS = 2**63
_CHUNK = 2**20
_SEARCHED_AT_ONCE = 2**16
_KEPT = 2 * BLOCK - 1
"""Bytes that are kept of what was read: a block that is no header may hold all but the first byte of one."""

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
        stop: Where a damaged stretch ends.
    """

    kind: Literal["file", "folder", "refused", "damage"]
    offset: int
    name: str = ""
    size: int = 0
    reason: str = ""
    source: "_Source | None" = None
    stop: int = 0

    def read(self) -> bytes | None:
        """The content of a file, None where it is damaged: the archive ends in it, or another member begins in it."""
        assert self.source is not None
        pieces: list[bytes] = []
        return b"".join(pieces) if self.source.advance(self.size, pieces) == "whole" else None


class _DamagedError(Exception):
    """What was read is no header of a member."""


class _Source:
    """A stream that is read forward, with its position, a few bytes that were read last, and room to put bytes back.

    Attributes:
        at: The byte that comes next.
        least: Where the next header can begin at the earliest.
    """

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._ahead = b""
        self._behind = b""
        self.at = 0
        self.least = 0

    def read(self, size: int) -> bytes:
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        pieces, missing = [taken], size - len(taken)
        while missing > 0 and (piece := self._stream.read(min(missing, _CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self._behind = (self._behind + data[-_KEPT:])[-_KEPT:]
        self.at += len(data)
        return data

    def put_back(self, data: bytes) -> None:
        """Takes back what was read last."""
        self._ahead = data + self._ahead
        self._behind = self._behind[: max(len(self._behind) - len(data), 0)]
        self.at -= len(data)

    def advance(self, size: int, into: list[bytes] | None = None) -> Literal["whole", "short", "header"]:
        """Reads on, where no header should be.

        Args:
            size: Bytes to read.
            into: Gets what was read.

        Returns:
            Whether all was read, the stream ended before, or a header begins, which comes next then.
        """
        before, missing = b"", size
        while missing > 0:
            piece = self.read(min(missing, _SEARCHED_AT_ONCE))
            if not piece:
                return "short"
            searched = before + piece
            header = _find_header(searched)
            if header >= 0:
                self.put_back(searched[header:])
                return "header"
            if into is not None:
                into.append(piece)
            before = searched[1 - BLOCK :]
            missing -= len(piece)
        return "whole"

    def pass_to(self, offset: int) -> Literal["whole", "short", "header"]:
        """Moves on, looking into what is not far."""
        if offset - self.at - len(self._ahead) > _CHUNK and self._stream.seekable():
            # The last bytes are read: a seek goes beyond the end without a word.
            self._stream.seek(offset - self.at - len(self._ahead) - _KEPT, 1)
            self.at, self._ahead, self._behind = offset - _KEPT, b"", b""
        return self.advance(offset - self.at)

    def find_header(self) -> bool:
        """Moves to the next whole header, at whatever byte, and says whether there is one."""
        again = min(self.at - self.least, len(self._behind))
        self.put_back(self._behind[len(self._behind) - again :])
        return self.advance(_ENDLESS) == "header"


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
            goes_on = source.find_header()
            yield TarMember("damage", offset, stop=source.at, reason=str(error))
            if not goes_on:
                return
            continue
        if member is None:
            if not source.find_header():
                return
            yield TarMember(
                "damage", offset, stop=source.at, reason=f"the archive is closed at byte {offset}, but goes on"
            )
            continue
        stop = source.at + (_padded(member.size) if member.kind != "folder" else 0)
        yield member
        outcome = source.pass_to(stop)
        if outcome == "header":
            reason = f"another member begins at byte {source.at}, inside the one at byte {offset}"
            yield TarMember("damage", offset, stop=source.at, reason=reason)
        elif outcome == "short":
            yield TarMember(
                "damage", offset, stop=source.at, reason=f"the archive ends at byte {source.at}, inside a member"
            )
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
        source.least = source.at
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
    if len(block) < BLOCK or block[_MAGIC_AT : _MAGIC_AT + 5] != b"ustar":
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
    pieces: list[bytes] = []
    outcome = source.advance(_padded(size), pieces)
    if outcome == "short":
        raise _DamagedError(f"the archive ends at byte {source.at}, inside a header")
    if outcome == "header":
        raise _DamagedError(f"another member begins at byte {source.at}, inside the header at byte {at}")
    data = b"".join(pieces)
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


def _find_header(data: bytes) -> int:
    """Where the first whole header begins, -1 where there is none."""
    at = data.find(b"ustar", _MAGIC_AT)
    while at >= 0 and not _is_header(data[at - _MAGIC_AT : at - _MAGIC_AT + BLOCK]):
        at = data.find(b"ustar", at + 1)
    return at - _MAGIC_AT if at >= 0 else -1


def _is_header(block: bytes) -> bool:
    try:
        _header(block, 0)
    except _DamagedError:
        return False
    return True
