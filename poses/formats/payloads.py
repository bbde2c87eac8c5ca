"""Decodes the pickled `frame_payloads` of SignVerse-2M without pickle.

Unpickling a file runs whatever code its maker put in. This is a small interpreter of the same byte stream which knows
only what numpy writes for a list of dictionaries of arrays, and never calls anything that the stream names. Arrays are
not even built here: decoding ends in an index of where their bytes lie.

It is also faster than pickle. A pickled frame differs from the one before only in its numbers, so after one
frame was decoded step by step, those of the same layout are recognised by comparing the bytes between the numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from poses.formats.frame_runs import MAX_FRAMES, FrameRun, Layout, StoredArray, find_layout
from poses.sequence import PoseFileError

_MAX_STEPS = 2_000_000
"""Opcodes decoded one by one, in about a second. As many empty lists take 0.2 GB."""

_MAX_LAYOUTS = 16
"""Frames of different numbers of people differ in layout; more kinds than this are decoded step by step."""

_MAX_KEY = 100
"""Characters of a key; those of the corpus have up to 30."""

_PIECE = 2**20
"""Bytes read at once, so that what is read is in memory once."""

_BLOCK, _STOP = 0x95, ord(".")


@dataclass(eq=False)
class _Dtype:
    code: str
    byte_order: str = ""

    def numpy(self) -> np.dtype:
        return np.dtype(self.byte_order + self.code)


def read_unframed(stream: IO[bytes], where: str) -> bytearray:
    """Reads a pickle and takes out its framing.

    Since protocol 4 it is cut into blocks of 64 KB, each with a header that may lie between any two opcodes. Without
    them, frames of one layout are alike to the byte.

    Args:
        stream: The pickle, without the `.npy` header.
        where: File and member, for error messages.

    Raises:
        PoseFileError: The last block is not whole.
    """
    data = bytearray(stream.read(2))
    head = stream.read(9)
    while len(head) == 9 and head[0] == _BLOCK:
        missing = int.from_bytes(head[1:], "little")
        while missing:
            piece = stream.read(min(missing, _PIECE))
            if not piece:
                raise PoseFileError(f"{where}: the pickle ends early.")
            data += piece
            missing -= len(piece)
        head = stream.read(9)
    data += head
    while piece := stream.read(_PIECE):
        data += piece
    return data


def decode_frame_payloads(data: bytes | bytearray, where: str) -> list[FrameRun]:
    """Decodes a pickled object array of one dictionary a frame.

    Args:
        data: What `read_unframed` gives.
        where: File and member, for error messages.

    Raises:
        PoseFileError: It holds anything but dictionaries of plain arrays, or is damaged.
    """
    try:
        try:
            return _Decoder(data, find_runs=True).decode()
        except _InsideRunError:
            return _Decoder(data, find_runs=False).decode()
    except _RefusedError as error:
        raise PoseFileError(f"{where}: {error}") from None
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise PoseFileError(f"{where} must be a pickled array of dictionaries, but it is damaged.") from None


class _RefusedError(Exception):
    """The stream holds what is not decoded here."""


class _InsideRunError(Exception):
    """The stream refers to something inside frames that were taken as a run."""


# Decoding. What follows mirrors the opcodes of pickle protocols 2 to 5 as documented in the standard library's
# `pickletools`, as far as numpy's writer uses them.


@dataclass(frozen=True, eq=False)
class _Span:
    """Bytes of the stream, left where they are."""

    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class _Global:
    """What stands for a function or class that the stream names: `build` makes our value from its arguments."""

    build: Callable[["_Decoder", tuple], object] | None


@dataclass(eq=False)
class _OpenFrame:
    start: int
    memo_size: int
    value: dict
    puts: list[tuple[int, int]] = field(default_factory=list)
    repeats: bool = True


class _Decoder:
    def __init__(self, data: bytes | bytearray, find_runs: bool):
        self.data = data
        self.at = 2
        self.stack: list = []
        self.below_marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.skipped_entries = 0
        self.encoded_bytes = 0
        self.find_runs = find_runs
        self.frame: _OpenFrame | None = None
        self.layouts: list[Layout] = []

    def decode(self) -> list[FrameRun]:
        if self.data[0] != 0x80 or not 2 <= self.data[1] <= 5:
            raise _RefusedError("must be a pickle of protocol 2 to 5.")
        for _ in range(_MAX_STEPS):
            opcode = self.take(1)[0]
            if opcode == _STOP:
                return self.result()
            if opcode not in _OPCODES:
                raise _RefusedError(
                    f"opcode {opcode:#04x} at byte {self.at - 1} is not part of an array of dictionaries."
                )
            _OPCODES[opcode](self)
        raise _RefusedError(f"must decode in at most {_MAX_STEPS} steps, but does not.")

    def result(self) -> list[FrameRun]:
        (array,) = self.stack
        if not isinstance(array, StoredArray) or array.items is None:
            raise _RefusedError("must be an array of dictionaries, found something else.")
        runs = []
        for frame in array.items:
            if not isinstance(frame, (dict, FrameRun)):
                raise _RefusedError(f"each frame must be a dictionary, found {type(frame).__name__.strip('_')}.")
            runs.append(frame if isinstance(frame, FrameRun) else FrameRun(1, frame))
        # A dictionary may be there many times, and is looked through each time.
        if sum(len(frame) for frame in array.items if isinstance(frame, dict)) > _MAX_STEPS:
            raise _RefusedError(f"must hold at most {_MAX_STEPS} keys, found more.")
        count = sum(run.count for run in runs)
        if array.shape != (count,) or count > MAX_FRAMES:
            raise _RefusedError(f"must hold 1 to {MAX_FRAMES} frames, found {count} for shape {list(array.shape)}.")
        return runs

    def take(self, size: int) -> bytes | bytearray:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise _RefusedError("the pickle ends early.")
        self.at += size
        return taken

    def skip_block_header(self) -> None:
        self.take(8)

    def take_int(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def take_text(self, size: int) -> str:
        return self.take(size).decode("utf-8")

    def take_line(self) -> str:
        end = self.data.index(b"\n", self.at, self.at + 100)
        return self.take(end + 1 - self.at)[:-1].decode("ascii")

    def take_span(self, size: int) -> _Span:
        self.at += size
        if self.at > len(self.data):
            raise _RefusedError("the pickle ends early.")
        return _Span(self.at - size, self.at)

    def memo_size(self) -> int:
        return len(self.memo) + self.skipped_entries

    def pop_to_mark(self) -> list:
        items, self.stack = self.stack, self.below_marks.pop()
        return items

    def mark(self) -> None:
        self.below_marks.append(self.stack)
        self.stack = []

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def long_put(self) -> None:
        index = self.take_int(4)
        if self.frame is not None:
            self.frame.puts.append((self.at - 4 - self.frame.start, index - self.frame.memo_size))
        self.put(index)

    def short_put(self) -> None:
        if self.frame is not None:
            self.frame.repeats = False  # the next frame's index may need more bytes
        self.put(self.take_int(1))

    def get(self, index: int) -> None:
        if index not in self.memo and self.skipped_entries:
            raise _InsideRunError
        value = self.memo[index]
        if self.frame is not None and (index >= self.frame.memo_size or isinstance(value, (list, dict, StoredArray))):
            self.frame.repeats = False  # it means another object, or the same one changed, in the next frame
        self.stack.append(value)

    def name(self, module: str, name: str) -> None:
        if (module, name) not in _GLOBALS:
            raise _RefusedError(f"names {f'{module}.{name}'[:80]!r}, which is not part of an array.")
        self.stack.append(_GLOBALS[module, name])

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise _RefusedError("names something by other than text.")
        self.name(module, name)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global) or function.build is None or not isinstance(arguments, tuple):
            raise _RefusedError("calls something that is not part of an array.")
        self.stack.append(function.build(self, arguments))

    def build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, _Dtype) and not value.byte_order:
            if state[1] not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
                raise _RefusedError("must hold arrays of plain numbers, found a structured dtype.")
            value.byte_order = state[1]
        elif isinstance(value, StoredArray) and not value.filled:
            _, shape, dtype, fortran_order, content = state
            self.fill(value, shape, dtype, "F" if fortran_order else "C", content)
        else:
            raise _RefusedError("sets the state of something that is not a new array.")

    def fill(self, array: StoredArray, shape: tuple, dtype: _Dtype, order: str, content: object) -> None:
        if not (isinstance(shape, tuple) and len(shape) <= 4 and all(isinstance(n, int) and n >= 0 for n in shape)):
            raise _RefusedError("must hold arrays of at most 4 dimensions, found another shape.")
        array.filled, array.dtype, array.shape, array.order = True, dtype.numpy(), shape, order
        if array.dtype.hasobject:
            if not isinstance(content, list):
                raise _RefusedError("must hold its objects in a list, found something else.")
            array.items = content
            return
        if isinstance(content, _Span):
            array.data, array.start, size = self.data, content.start, content.stop - content.start
        elif isinstance(content, bytes):
            array.data, size = content, len(content)
        else:
            raise _RefusedError("must hold its numbers as bytes, found something else.")
        if size != array.num_bytes:
            raise _RefusedError(f"an array of shape {list(shape)} must hold {array.num_bytes} bytes, found {size}.")

    def append(self, items: list) -> None:
        if not isinstance(self.stack[-1], list):
            raise _RefusedError("appends to something that is not a list.")
        self.stack[-1].extend(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])
        self.close_frame(learn=False)

    def set_marked_items(self) -> None:
        self.set_items(self.pop_to_mark())
        self.close_frame(learn=True)

    def set_items(self, items: list) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2 or not all(isinstance(k, str) for k in items[::2]):
            raise _RefusedError("must hold dictionaries with text as keys, found something else.")
        if any(len(key) > _MAX_KEY for key in items[::2]):
            raise _RefusedError(f"must hold keys of at most {_MAX_KEY} characters, found a longer one.")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def open_frame(self) -> None:
        at = self.at - 1
        for layout in self.layouts if self.frame is None else ():
            run = layout.run(self.data, at, self.memo_size())
            if run is not None:
                self.stack.append(run)
                self.at = at + run.count * layout.stride
                self.skipped_entries += run.count * layout.memo_entries
                return
        value = {}
        self.stack.append(value)
        if self.frame is None:
            self.frame = _OpenFrame(at, self.memo_size(), value)

    def close_frame(self, *, learn: bool) -> None:
        frame = self.frame
        if frame is None or frame.value is not self.stack[-1]:
            return
        self.frame = None
        if learn and self.find_runs and frame.repeats:
            entries = self.memo_size() - frame.memo_size
            layout = find_layout(self.data, frame.start, self.at, frame.value, frame.puts, entries)
            if layout is not None:
                self.layouts = [layout, *self.layouts[: _MAX_LAYOUTS - 1]]


def _new_array(decoder: _Decoder, arguments: tuple) -> StoredArray:
    if arguments[0] is not _NDARRAY:
        raise _RefusedError("must hold plain numpy arrays, found another class.")
    return StoredArray()


def _array_from_buffer(decoder: _Decoder, arguments: tuple) -> StoredArray:
    content, dtype, shape, order = arguments
    array = StoredArray()
    decoder.fill(array, shape, dtype, "F" if order == "F" else "C", content)
    return array


def _scalar(decoder: _Decoder, arguments: tuple) -> StoredArray:
    dtype, content = arguments
    array = StoredArray()
    decoder.fill(array, (), dtype, "C", content)
    return array


def _new_dtype(decoder: _Decoder, arguments: tuple) -> _Dtype:
    code = arguments[0]
    if not (isinstance(code, str) and re.fullmatch(r"[biuf]\d{1,2}|O8?", code)):
        raise _RefusedError(f"must hold arrays of plain numbers, found dtype {str(code)[:20]!r}.")
    return _Dtype(code)


def _encoded(decoder: _Decoder, arguments: tuple) -> bytes:
    text, encoding = arguments
    if encoding != "latin1":
        raise _RefusedError(f"must encode bytes as latin1, found {str(encoding)[:20]!r}.")
    encoded = text.encode("latin1")
    decoder.encoded_bytes += len(encoded)
    if decoder.encoded_bytes > len(decoder.data):  # each text that numpy writes is encoded once
        raise _RefusedError("must encode each text once, found more bytes than the pickle has.")
    return encoded


_NDARRAY = _Global(None)
_GLOBALS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Global(_new_dtype),
    ("_codecs", "encode"): _Global(_encoded),
} | {
    (f"numpy.{core}.{module}", name): _Global(build)
    for core in ("core", "_core")
    for module, name, build in (
        ("multiarray", "_reconstruct", _new_array),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _array_from_buffer),
    )
}
"""All that a stream may name, and what is called in its place."""


def _push(value: Callable[[_Decoder], object]) -> Callable[[_Decoder], None]:
    def push(decoder: _Decoder) -> None:
        pushed = value(decoder)  # first, since it may change which list the stack is
        decoder.stack.append(pushed)

    return push


def _tuple(size: int) -> Callable[[_Decoder], None]:
    def build(decoder: _Decoder) -> None:
        items = tuple(decoder.stack[-size:])
        if len(items) != size:
            raise IndexError
        decoder.stack[-size:] = [items]

    return build


_OPCODES: dict[int, Callable[[_Decoder], None]] = {
    ord("("): _Decoder.mark,
    ord("t"): _push(lambda decoder: tuple(decoder.pop_to_mark())),
    ord(")"): _push(lambda decoder: ()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("]"): _push(lambda decoder: []),
    ord("a"): lambda decoder: decoder.append([decoder.stack.pop()]),
    ord("e"): lambda decoder: decoder.append(decoder.pop_to_mark()),
    ord("}"): _Decoder.open_frame,
    ord("s"): _Decoder.set_item,
    ord("u"): _Decoder.set_marked_items,
    ord("N"): _push(lambda decoder: None),
    0x88: _push(lambda decoder: True),
    0x89: _push(lambda decoder: False),
    ord("K"): _push(lambda decoder: decoder.take_int(1)),
    ord("M"): _push(lambda decoder: decoder.take_int(2)),
    ord("J"): _push(lambda decoder: int.from_bytes(decoder.take(4), "little", signed=True)),
    ord("X"): _push(lambda decoder: decoder.take_text(decoder.take_int(4))),
    0x8C: _push(lambda decoder: decoder.take_text(decoder.take_int(1))),
    ord("B"): _push(lambda decoder: decoder.take_span(decoder.take_int(4))),
    ord("C"): _push(lambda decoder: decoder.take_span(decoder.take_int(1))),
    0x8E: _push(lambda decoder: decoder.take_span(decoder.take_int(8))),
    0x96: _push(lambda decoder: decoder.take_span(decoder.take_int(8))),
    0x94: lambda decoder: decoder.put(decoder.memo_size()),
    ord("q"): _Decoder.short_put,
    ord("r"): _Decoder.long_put,
    ord("h"): lambda decoder: decoder.get(decoder.take_int(1)),
    ord("j"): lambda decoder: decoder.get(decoder.take_int(4)),
    ord("c"): lambda decoder: decoder.name(decoder.take_line(), decoder.take_line()),
    0x93: _Decoder.stack_name,
    ord("R"): _Decoder.reduce,
    ord("b"): _Decoder.build,
    _BLOCK: _Decoder.skip_block_header,
}
