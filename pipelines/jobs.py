"""Work that somebody waits for: on a thread of its own, saying how far it is, stopped when nobody waits any more."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from pipelines.progress import Stages

Outcome = TypeVar("Outcome")


class Stopped(Exception):
    """The job was told to stop."""


class Job(Generic[Outcome]):
    """Runs a function that times itself with `Stages`, and stops it at its next frame once told to.

    Args:
        work: Gets the stages.
        turn: Held while working, so that jobs which share models take turns.

    Attributes:
        stages_done: Stages that are over, in order.
        stage: The one that runs, empty before the first.
        num_done: Frames of it that are done.
        num_frames: How many it has, None where that is not known.
        outcome: What `work` returns or raises, once it is over.
    """

    def __init__(self, work: Callable[[Stages], Outcome], *, turn: threading.Lock):
        self._work, self._turn = work, turn
        self._told_to_stop = threading.Event()
        self._stage_started = time.monotonic()
        self.stages_done: list[str] = []
        self.stage = ""
        self.num_done = 0
        self.num_frames: int | None = None
        self.outcome: Future[Outcome] = Future()
        # A daemon, since a render that nobody waits for must not hold up Ctrl-C.
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits, and tells whether the work is over."""
        return bool(wait([self.outcome], seconds).done)

    def stop(self) -> None:
        """Ends the work with `Stopped` at its next frame or stage."""
        self._told_to_stop.set()

    def seconds_left(self) -> float | None:
        """How much longer the stage will take, None where that cannot be said."""
        if not self.num_frames or not self.num_done:
            return None
        return (time.monotonic() - self._stage_started) * (self.num_frames / self.num_done - 1)

    def _run(self) -> None:
        try:
            with self._turn:
                self.outcome.set_result(self._work(Stages(on_progress=self._note)))
        except BaseException as error:  # raised again for whoever asks for the outcome
            self.outcome.set_exception(error)

    def _note(self, stage: str, num_done: int, num_frames: int | None) -> None:
        if self._told_to_stop.is_set():
            raise Stopped
        if stage != self.stage:
            if self.stage:
                self.stages_done.append(self.stage)
            self.stage, self._stage_started = stage, time.monotonic()
        self.num_done, self.num_frames = num_done, num_frames
