"""Frames of a pickled array that lie one after another in the stream and differ only in their numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

MAX_FRAMES = 2**18
"""Three hours at 24 frames per second."""

_NOTHING = np.dtype(np.void)
_AFTER_FRAME = b"}ea"
"""Opcodes that follow a frame that is complete: the next one, or the end of a batch."""


@dataclass(eq=False)
class StoredArray:
    """An array whose bytes begin at `start` of `data`; one of objects holds its `items` instead.

    Unpickling first makes an empty one, then fills it.
    """

    filled: bool = False
    dtype: np.dtype = _NOTHING
    shape: tuple[int, ...] = ()
    order: str = "C"
    data: bytes | bytearray = b""
    start: int = 0
    items: list | None = None

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class FrameRun:
    """Frames of one layout.

    Attributes:
        count: How many frames.
        values: What the first frame holds; the others hold the same with other numbers, `stride` bytes on.
        stride: Bytes of a frame.
    """

    count: int
    values: Mapping[str, object]
    stride: int = 0

    def array(self, key: str) -> np.ndarray | None:
        """The arrays stored under `key`, [frames, ...], or None where no plain array is."""
        stored = self.values.get(key)
        if isinstance(stored, np.ndarray):
            return stored[None]
        if isinstance(stored, int):
            return np.full(self.count, stored)
        if not isinstance(stored, StoredArray) or not stored.filled or stored.items is not None:
            return None
        rows = np.ndarray((self.count, stored.num_bytes), np.uint8, stored.data, stored.start, (self.stride, 1))
        values = np.ascontiguousarray(rows).view(stored.dtype)
        if stored.order == "F":
            return values.reshape(self.count, *stored.shape[::-1]).transpose(0, *range(len(stored.shape), 0, -1))
        return values.reshape(self.count, *stored.shape)


@dataclass(frozen=True, eq=False)
class Layout:
    """A frame with its numbers left out.

    Attributes:
        stride: Bytes of the frame.
        pieces: The bytes between the numbers, with their offset in the frame.
        puts: Offsets of memo indices, with the index relative to the memo's size where the frame begins.
        memo_entries: How many entries a frame adds to the memo.
        values: The frame, its arrays placed relative to its start.
    """

    stride: int
    pieces: list[tuple[int, bytes]]
    puts: list[tuple[int, int]]
    memo_entries: int
    values: dict[str, object]

    def run(self, data: bytes | bytearray, at: int, memo_size: int) -> FrameRun | None:
        """The frames of this layout that lie one after another from `at`, None where there is none."""
        if any(
            int.from_bytes(data[at + put : at + put + 4], "little") != memo_size + index for put, index in self.puts
        ):
            return None
        stop, last = at, min(len(data) - self.stride, at + MAX_FRAMES * self.stride)
        count = looked_at = 0
        # Twice as far each time: however few of many frames are right, about as many are looked at.
        while count == looked_at and stop < last:
            ahead = min(last, stop + max(looked_at, 1) * self.stride)
            while stop < ahead and all(data.startswith(piece, stop + offset) for offset, piece in self.pieces):
                stop += self.stride
            found = (stop - at) // self.stride
            if found == looked_at:
                break
            count, looked_at = self._num_right(data, at, memo_size, found), found
        if count and count == looked_at and data[stop] not in _AFTER_FRAME:
            count -= 1
        if not count:
            return None
        values = {
            key: replace(value, start=at + value.start) if isinstance(value, StoredArray) else value
            for key, value in self.values.items()
        }
        return FrameRun(count, values, self.stride)

    def _num_right(self, data: bytes | bytearray, at: int, memo_size: int, count: int) -> int:
        """How many of the frames from `at` have the memo indices that they should, before the first that has not."""
        if not self.puts:
            return count
        stored = [np.ndarray((count,), "<u4", data, at + put, (self.stride,)) for put, _ in self.puts]
        frames = memo_size + self.memo_entries * np.arange(count)
        right = (np.stack(stored, axis=1) == frames[:, None] + [index for _, index in self.puts]).all(axis=1)
        return count if right.all() else int(right.argmin())


def find_layout(
    data: bytes | bytearray,
    start: int,
    stop: int,
    frame: dict[str, object],
    puts: list[tuple[int, int]],
    memo_entries: int,
) -> Layout | None:
    """The layout of a frame that was decoded from `start` to `stop`, None where others cannot be told by it."""
    if data[stop] not in _AFTER_FRAME:
        return None
    values, holes = {}, [(offset, 4) for offset, _ in puts]
    for key, value in frame.items():
        if isinstance(value, StoredArray):
            if value.data is not data or value.start < start or value.items is not None:
                return None
            value = replace(value, start=value.start - start)
            holes.append((value.start, value.num_bytes))
        elif not isinstance(value, int):
            return None
        values[key] = value
    pieces, begin = [], 0
    for offset, size in [*sorted(holes), (stop - start, 0)]:
        if offset > begin:
            pieces.append((begin, data[start + begin : start + offset]))
        begin = offset + size
    return Layout(stop - start, pieces, puts, memo_entries, values)
