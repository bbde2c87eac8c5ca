"""Safe reading of a `poses.npz` against numpy's own, which runs whatever code is in it, and how exact the repairs are.

    python -m benchmarks.signverse_read

Prints one line of JSON: seconds to read and stack 2,000 frames, the median of alternating runs in one process, and of
1,000 random frames for each number of people how many hands come back to their owners bit for bit.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from poses.formats.signverse import read_people
from poses.formats.signverse_published import publish_video
from poses.keypoints import PARTS, index
from poses.people import People

HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    report: dict[str, object] = {"frames": arguments.frames, "runs": arguments.runs}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "poses.npz")
        for people in (1, 2):
            truth = random_people(arguments.frames, people)
            path.write_bytes(publish_video(truth, "abcdefghijk")["npz/poses.npz"])
            safe_s, numpy_s = compare(path, arguments.runs)
            report[f"people_{people}"] = {"safe_s": safe_s, "numpy_s": numpy_s, "times_faster": numpy_s / safe_s}
        report["hands_exact"] = {people: exact_hands(path, people) for people in range(1, 6)}
    print(json.dumps(report))


def random_people(frames: int, people: int) -> People:
    """People side by side, all points seen, each hand at its owner's wrist, which the guard of the repair looks at."""
    random = np.random.default_rng(people)
    keypoints = random.uniform(0, 1 / people, (frames, people, 128, 2)).astype(np.float32)
    keypoints[..., 0] += np.arange(people, dtype=np.float32)[:, None] / people
    for side in ("left", "right"):
        keypoints[..., index(f"{side}_hand_wrist"), :] = keypoints[..., index(f"{side}_wrist"), :]
    confidence = random.uniform(0.31, 1, keypoints.shape[:3]).astype(np.float32)
    return People(keypoints, confidence, np.full(frames, people, np.int32), 24.0, 1280, 720, "", (), ())


def exact_hands(path: Path, people: int) -> int:
    """Of 1,000 frames, those in which every hand is its owner's."""
    truth = random_people(1000, people)
    path.write_bytes(publish_video(truth, "abcdefghijk")["npz/poses.npz"])
    found = read_people(path)
    points = (found.keypoints[:, :, HANDS] == truth.keypoints[:, :, HANDS]).all(axis=(1, 2, 3))
    return int((points & (found.confidence[:, :, HANDS] == truth.confidence[:, :, HANDS]).all(axis=(1, 2))).sum())


def compare(path: Path, runs: int) -> tuple[float, float]:
    """Median seconds of the safe reader, and of numpy with the same stacking."""
    taken: dict[Callable[[Path], object], list[float]] = {read_people: [], read_with_numpy: []}
    for _ in range(runs):
        for read, seconds in taken.items():
            begin = time.perf_counter()
            read(path)
            seconds.append(time.perf_counter() - begin)
    safe_s, numpy_s = (float(np.median(seconds)) for seconds in taken.values())
    return safe_s, numpy_s


def read_with_numpy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Unpickles, and stacks to the same arrays, repairing nothing."""
    with np.load(path, allow_pickle=True) as file:
        payloads = file["frame_payloads"]
    people = range(max(int(payload["num_persons"]) for payload in payloads))
    keypoints, scores = (
        np.stack(
            [
                [np.concatenate([payload[f"person_{person:03d}_{part}_{what}"] for part in PARTS]) for person in people]
                for payload in payloads
            ]
        )
        for what in ("keypoints", "scores")
    )
    return keypoints, scores


if __name__ == "__main__":
    main()
