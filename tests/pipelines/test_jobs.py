import threading
import time

import pytest

from pipelines.jobs import Job, Stopped
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

    job = Job(work, turn=threading.Lock())
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
    job = Job(lambda stages: gate.wait(10), turn=threading.Lock())
    assert job.seconds_left() is None
    gate.set()
    assert job.wait(10.0)


def test_what_the_work_raises_is_raised_for_who_asks():
    def work(stages: Stages) -> None:
        raise ValueError("clip.npz: empty.")

    job = Job(work, turn=threading.Lock())
    with pytest.raises(ValueError, match=r"clip.npz: empty\."):
        job.outcome.result(10)


def test_a_stopped_job_ends_at_its_next_frame():
    frames = []

    def work(stages: Stages) -> None:
        with stages.stage("render", 1_000_000) as track:
            for frame in track(iter(int, 1)):  # without end
                frames.append(frame)
                time.sleep(0.001)

    job = Job(work, turn=threading.Lock())
    while not frames:
        time.sleep(0.001)
    job.stop()
    with pytest.raises(Stopped):
        job.outcome.result(10)


def test_jobs_take_turns_and_a_stopped_one_gives_its_turn_back():
    turn, gate, order = threading.Lock(), threading.Event(), []

    def work(name: str):
        def run(stages: Stages) -> None:
            with stages.stage(name):
                order.append(f"{name} begins")
                gate.wait(10)
            order.append(f"{name} ends")

        return run

    first = Job(work("first"), turn=turn)
    while not order:
        time.sleep(0.001)
    second = Job(work("second"), turn=turn)
    second.stop()
    third = Job(work("third"), turn=turn)
    gate.set()
    assert first.wait(10.0)
    assert third.wait(10.0)
    with pytest.raises(Stopped):
        second.outcome.result(10)
    assert sorted(order) == ["first begins", "first ends", "third begins", "third ends"]
    assert order[:2] == ["first begins", "first ends"]
