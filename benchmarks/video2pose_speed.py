"""How fast the package's Video2Pose finds poses, beside MediaPipe, and how its memory grows with the video.

`OMP_NUM_THREADS=1 python -m benchmarks.video2pose_speed VIDEO` prints one JSON line; with more threads, their number
is that of the environment. The video's frames are seen over and over.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import torch

from pipelines.estimators import create_estimator
from poses.estimators import Estimator
from poses.video import read_frames


def frames_per_second(estimator: Estimator, frames: list[np.ndarray], repeats: int) -> dict[str, list[float]]:
    """By the clock and by processor time, each repeat by itself, after one that is not counted."""
    rates: dict[str, list[float]] = {"wall": [], "processor": []}
    for repeat in range(repeats + 1):
        estimator.reset()
        wall, processor = time.perf_counter(), time.process_time()
        for frame in frames:
            estimator.estimate(frame)
        if repeat:
            rates["wall"].append(len(frames) / (time.perf_counter() - wall))
            rates["processor"].append(len(frames) / (time.process_time() - processor))
    return rates


def resident_mib(estimator: Estimator, frames: list[np.ndarray], counts: list[int]) -> dict[int, float]:
    """Memory of the process after that many frames of one video."""
    estimator.reset()
    resident = {}
    for number, frame in enumerate(itertools.islice(itertools.cycle(frames), max(counts)), start=1):
        estimator.estimate(frame)
        if number in counts:
            resident[number] = psutil.Process().memory_info().rss / 2**20
    return resident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000], help="after how many memory is read")
    arguments = parser.parse_args()
    frames = list(read_frames(arguments.video))
    result: dict = {"threads": torch.get_num_threads(), "frames": len(frames), "shape": frames[0].shape}
    for name in ("video2pose", "mediapipe"):
        result[name] = frames_per_second(create_estimator(name), frames, arguments.repeats)
    result["resident_mib"] = resident_mib(create_estimator("video2pose"), frames, arguments.frames)
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
