"""Work that somebody waits for: on a thread of its own, saying how far it is, stopped when nobody waits any more."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np

from pipelines.progress import Stages

Outcome = TypeVar("Outcome")

RENDERING = ("render", "augment")
"""Stages whose frames are rendered ones."""

_SHOWN_FRAMES = 48
"""Most frames of a preview: two seconds."""


class Stopped(Exception):
    """The job was told to stop."""


class Line:
    """Who works and who waits: one works at a time, whoever came first."""

    def __init__(self):
        self._moved = threading.Condition()
        self._jobs: list[Job] = []
        self._since = 0.0
        self._lasted: deque[float] = deque(maxlen=10)

    def __len__(self) -> int:
        return len(self._jobs)

    def ahead(self, job: "Job") -> int:
        """How many come before a job, the one that works included."""
        with self._moved:
            return self._jobs.index(job) if job in self._jobs else 0

    def seconds_until(self, job: "Job") -> float | None:
        """How long a job will wait, from how long others took; None while none has been done."""
        if not (num_ahead := self.ahead(job)) or not self._lasted:
            return None
        usual = sum(self._lasted) / len(self._lasted)
        return max(usual - (time.monotonic() - self._since), 0) + usual * (num_ahead - 1)

    def join(self, job: "Job") -> None:
        """Puts a job at the end."""
        with self._moved:
            self._jobs.append(job)

    def move(self) -> None:
        """Has everybody look whether they wait any longer."""
        with self._moved:
            self._moved.notify_all()

    @contextmanager
    def turn(self, job: "Job") -> Iterator[None]:
        """Waits until a job is the first, and lets the next one work after the block.

        Raises:
            Stopped: The job was stopped before.
        """
        try:
            with self._moved:
                self._moved.wait_for(lambda: job.stopped or self._jobs[0] is job)
            if job.stopped:
                raise Stopped
            self._since = time.monotonic()
            yield
            self._lasted.append(time.monotonic() - self._since)
        finally:
            with self._moved:
                self._jobs.remove(job)
                self._moved.notify_all()


class Job(Generic[Outcome]):
    """Runs a function that times itself with `Stages`, and stops it at its next frame once told to.

    Args:
        work: Gets the stages.
        line: Where it waits for its turn, so that jobs which share models work one after the other.

    Attributes:
        stages_done: Stages that are over, in order.
        stage: The one that runs, empty before the first.
        num_done: Frames of it that are done.
        num_frames: How many it has, None where that is not known.
        rendered: The last rendered frames.
        stopped: Whether it was told to stop.
        outcome: What `work` returns or raises, once it is over.
    """

    def __init__(self, work: Callable[[Stages], Outcome], *, line: Line):
        self._work, self._line = work, line
        self._stage_started = time.monotonic()
        self.stages_done: list[str] = []
        self.stage = ""
        self.num_done: float | int = 0
        self.num_frames: int | None = None
        self.rendered: deque[np.ndarray] = deque(maxlen=_SHOWN_FRAMES)
        self.stopped = False
        self.outcome: Future[Outcome] = Future()
        line.join(self)
        # A daemon, since a render that nobody waits for must not hold up Ctrl-C.
        threading.Thread(target=self._run, name="job", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits, and tells whether the work is over."""
        return bool(wait([self.outcome], seconds).done)

    def stop(self) -> None:
        """Ends the work with `Stopped` at its next frame or stage, or at once while it waits for its turn."""
        self.stopped = True
        self._line.move()

    def seconds_left(self) -> float | None:
        """How much longer the stage will take, None where that cannot be said."""
        if not self.num_frames or not self.num_done:
            return None
        return (time.monotonic() - self._stage_started) * (self.num_frames / self.num_done - 1)

    def _run(self) -> None:
        try:
            with self._line.turn(self):
                result = self._work(Stages(on_progress=self._note))
        except BaseException as error:  # raised again for whoever asks for the outcome
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)

    def _note(self, stage: str, num_done: float | int, num_frames: int | None, frame: object) -> None:
        if self.stopped:
            raise Stopped
        if stage != self.stage:
            if self.stage:
                self.stages_done.append(self.stage)
            self.stage, self._stage_started = stage, time.monotonic()
        self.num_done, self.num_frames = num_done, num_frames
        if stage in RENDERING and isinstance(frame, np.ndarray):
            self.rendered.append(frame)
