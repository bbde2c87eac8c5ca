import threading
import time

import numpy as np
import pytest

from pipelines.jobs import Job, Line, Stopped
from pipelines.progress import Stages


def test_a_job_gives_what_its_work_returns_and_says_how_far_it_is():
    reached, go_on = threading.Event(), threading.Event()

    def work(stages: Stages) -> int:
        with stages.stage("first"):
            pass
        with stages.stage("second", 4) as track:
            for item in track(range(4)):
                if item == 2:
                    reached.set()
                    go_on.wait(10)
        return 7

    job = Job(work, line=Line())
    assert reached.wait(10)
    assert (job.stages_done, job.stage, job.num_done, job.num_frames) == (["first"], "second", 2, 4)
    assert not job.wait(0.0)
    left = job.seconds_left()
    assert left is not None
    assert 0 < left < 10
    go_on.set()
    assert job.wait(10.0)
    assert job.outcome.result() == 7


def test_time_left_is_not_said_before_anything_is_known():
    gate = threading.Event()
    job = Job(lambda stages: gate.wait(10), line=Line())
    assert job.seconds_left() is None
    gate.set()
    assert job.wait(10.0)


def test_what_the_work_raises_is_raised_for_who_asks():
    def work(stages: Stages) -> None:
        raise ValueError("clip.npz: empty.")

    job = Job(work, line=Line())
    with pytest.raises(ValueError, match=r"clip.npz: empty\."):
        job.outcome.result(10)


def test_a_stopped_job_ends_at_its_next_frame():
    frames = []

    def work(stages: Stages) -> None:
        with stages.stage("render", 1_000_000) as track:
            for frame in track(iter(int, 1)):  # without end
                frames.append(frame)
                time.sleep(0.001)

    job = Job(work, line=Line())
    while not frames:
        time.sleep(0.001)
    job.stop()
    with pytest.raises(Stopped):
        job.outcome.result(10)


def test_jobs_take_turns_in_order_and_a_stopped_one_leaves_the_line():
    line, gate, order = Line(), threading.Event(), []

    def work(name: str):
        def run(stages: Stages) -> None:
            with stages.stage(name):
                order.append(f"{name} begins")
                gate.wait(10)
            order.append(f"{name} ends")

        return run

    first = Job(work("first"), line=line)
    while not order:
        time.sleep(0.001)
    second, third, fourth = (Job(work(name), line=line) for name in ("second", "third", "fourth"))
    assert [line.ahead(job) for job in (first, second, third, fourth)] == [0, 1, 2, 3]
    second.stop()
    with pytest.raises(Stopped):
        second.outcome.result(10)  # at once, while the first still works
    assert [line.ahead(job) for job in (first, third, fourth)] == [0, 1, 2]
    assert len(line) == 3
    gate.set()
    for job in (first, third, fourth):
        job.outcome.result(10)
    assert order == [f"{name} {what}" for name in ("first", "third", "fourth") for what in ("begins", "ends")]
    assert len(line) == 0


def test_who_waits_is_told_how_long_from_how_long_others_took():
    line, gate = Line(), threading.Event()
    Job(lambda stages: time.sleep(0.2), line=line).outcome.result(10)
    first, second, third = (Job(lambda stages: gate.wait(10), line=line) for _ in range(3))
    assert line.seconds_until(first) is None
    left = [line.seconds_until(second), line.seconds_until(third)]
    gate.set()
    third.outcome.result(10)
    assert left == [pytest.approx(0.2, abs=0.1), pytest.approx(0.4, abs=0.1)]
    assert line.seconds_until(third) is None


def test_only_rendered_frames_are_kept_and_only_the_last():
    frames = [np.full((1, 1, 3), value, np.uint8) for value in range(100)]

    def work(stages: Stages) -> None:
        for name in ("render", "draw"):
            with stages.stage(name, 100) as track:
                list(track(frames))

    job = Job(work, line=Line())
    job.outcome.result(10)
    assert [int(frame.max()) for frame in job.rendered] == list(range(52, 100))
