import re

import numpy as np
import pytest

from poses.estimators import ESTIMATORS, create_estimator, extract_poses


class Counter:
    """An estimator that sees a person in frames brighter than black, at a place that counts frames since `reset`."""

    name = "counter"
    version = "counter 1"

    def __init__(self):
        self.frames = 0
        self.closed = False

    def estimate(self, frame):
        seen = float(frame.max() > 0)
        self.frames += 1
        return np.full((128, 2), 0.1 * self.frames * seen, np.float32), np.full(128, seen, np.float32)

    def reset(self):
        self.frames = 0

    def close(self):
        self.closed = True


def frames(count: int, value: int = 255, height: int = 48, width: int = 64):
    return (np.full((height, width, 3), value, np.uint8) for _ in range(count))


def test_poses_carry_the_facts_of_the_video():
    ticks = []
    poses = extract_poses(frames(3), fps=24000 / 1001, estimator=Counter(), source="clip.mp4", progress=ticks.append)
    assert (len(poses), poses.width, poses.height, poses.source) == (3, 64, 48, "clip.mp4")
    assert poses.fps == 24000 / 1001
    assert poses.estimator == Counter.name
    assert ticks == [1, 1, 1]
    np.testing.assert_allclose(poses.keypoints[:, 0, 0], [0.1, 0.2, 0.3], rtol=1e-6)


def test_a_loaded_estimator_starts_anew_and_stays_open():
    counter = Counter()
    for _ in range(2):
        poses = extract_poses(frames(1), fps=25, estimator=counter)
        assert poses.keypoints[0, 0, 0] == np.float32(0.1)
    assert not counter.closed


def test_an_estimator_made_here_is_closed(monkeypatch):
    counter = Counter()
    monkeypatch.setattr("poses.estimators.extract.create_estimator", lambda name: counter)
    with pytest.raises(ValueError, match="expected at least one frame"):
        extract_poses([], fps=25, estimator="mediapipe")
    assert counter.closed


def test_frames_are_taken_one_at_a_time():
    counter = Counter()

    def watched():
        for number in range(3):
            assert counter.frames == number
            yield np.full((48, 64, 3), 255, np.uint8)

    assert len(extract_poses(watched(), fps=25, estimator=counter)) == 3


def test_what_cannot_be_extracted():
    with pytest.raises(ValueError, match=r"^clip\.mp4: expected at least one frame, found none\.$"):
        extract_poses([], fps=25, estimator=Counter(), source="clip.mp4")
    with pytest.raises(ValueError, match=r"^clip\.mp4: expected a person, found none in any of 2 frames\.$"):
        extract_poses(frames(2, value=0), fps=25, estimator=Counter(), source="clip.mp4")
    with pytest.raises(ValueError, match=r"expected every frame to be 64 x 48, frame 1 is 32 x 48"):
        extract_poses([*frames(1), *frames(1, width=32)], fps=25, estimator=Counter())
    with pytest.raises(ValueError, match=r"^`fps` must be a positive number, got nan\.$"):
        extract_poses(frames(1), fps=float("nan"), estimator="alphapose")  # before anything is loaded
    with pytest.raises(ValueError, match="`estimator` must be one of mediapipe, dwpose, openpose, got 'alphapose'"):
        create_estimator("alphapose")
    assert tuple(ESTIMATORS) == ("mediapipe", "dwpose", "openpose")


@pytest.mark.parametrize("frame", [
    np.zeros((48, 64), np.uint8), np.zeros((48, 64, 1), np.uint8), np.zeros((48, 64, 4), np.uint8),
    np.zeros((48, 64, 3), np.float32), np.zeros((0, 64, 3), np.uint8),
], ids=["grey", "one channel", "alpha", "fractions", "no pixels"])  # fmt: skip
def test_frames_that_are_not_rgb_bytes_never_reach_an_estimator(frame):
    counter = Counter()
    message = f"clip: expected RGB frames, uint8 [height, width, 3], frame 1 is {frame.dtype} {list(frame.shape)}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        extract_poses([*frames(1), frame], fps=25, estimator=counter, source="clip")
    assert counter.frames == 1
