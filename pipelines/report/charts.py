"""What the page draws, as numbers: SVG paths, runs of frames, shares of a bar."""

import math
from collections.abc import Sequence

MAX_ERROR = 1.0
"""Shoulder widths at the upper edge of the error plot, at most; larger errors are drawn on the edge."""


def error_limit(lines: Sequence[Sequence[float | None]]) -> float:
    """Upper end of the error axis: the largest error rounded up to 0.05, from 0.25 to `MAX_ERROR`."""
    largest = max((value for line in lines for value in line if value is not None), default=0.0)
    return min(max(math.ceil(round(largest / 0.05, 6)) * 0.05, 0.25), MAX_ERROR)


def line_path(values: Sequence[float | None], limit: float) -> str:
    """An SVG path through one value a frame, broken where there is none.

    Frame i lies at x = i + 0.5; y runs from 100 (zero) up to 0 (`limit` and above). A value without neighbours becomes
    a short dash, since a path of one point is not drawn.
    """
    pieces: list[list[tuple[float, float]]] = [[]]
    for frame, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((frame + 0.5, 100 * (1 - min(value / limit, 1))))
    lines = [[(x - 0.3, y), (x + 0.3, y)] if len(line) == 1 else line for line in pieces if line for x, y in line[:1]]
    return "".join("M" + "L".join(f"{x:g} {y:.4g}" for x, y in line) for line in lines)


def runs(marked: Sequence[bool]) -> list[tuple[int, int]]:
    """First frame, and one past the last, of each run of marked frames."""
    edges = [False, *marked, False]
    starts = [frame for frame in range(len(marked)) if edges[frame + 1] and not edges[frame]]
    stops = [frame + 1 for frame in range(len(marked)) if edges[frame + 1] and not edges[frame + 2]]
    return list(zip(starts, stops, strict=True))


def missed(recall: Sequence[float | None]) -> list[tuple[int, int]]:
    """Runs of frames in which less than half of a part that should be seen was found."""
    return runs([value is not None and value < 0.5 for value in recall])
