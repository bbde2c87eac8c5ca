"""Stages of a long job: how long each took, and a progress bar with the time left while it runs."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Track = Callable[[Iterable[Item]], Iterator[Item]]
OnProgress = Callable[[str, float | int, int | None, object], None]
"""Called with the stage, how many frames are done and, where known, how many there are, and the last one done."""


class Stages:
    """Times the stages of one job, in the order in which they first ran.

    Attributes:
        seconds: Seconds by stage. A stage that failed has none.
        tell: `on_progress`, for work that counts by itself.
    """

    def __init__(self, *, on_progress: OnProgress | None = None, show: bool = False):
        self.seconds: dict[str, float] = {}
        self.tell: OnProgress = on_progress or (lambda *_: None)
        self._show = show

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = "frames") -> Iterator[Track]:
        """Times the block. It gives a function that passes frames through and counts them on the bar.

        Args:
            name: What is done, for the bar and the report.
            total: Number of frames, where it is known.
            unit: What is counted, for the bar.
        """
        started = time.perf_counter()
        done = itertools.count(1)
        self.tell(name, 0, total, None)
        with tqdm(
            desc=f"{name:<11}",
            total=total,
            unit=f" {unit}",
            bar_format=None if total else "{desc}: {elapsed}",
            disable=not self._show,
        ) as bar:

            def track(items: Iterable[Item]) -> Iterator[Item]:
                for item in items:
                    yield item
                    bar.update()
                    self.tell(name, next(done), total, item)

            yield track
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())
