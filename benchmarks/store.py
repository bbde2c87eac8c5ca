"""A clip from a store against numpy's reading of the published file, which runs whatever code is in it.

    python -m benchmarks.store

Prints one line of JSON: seconds to get the poses of 2,000 frames as float32, from clips of the store taken at random;
the float16 views that lie under them; and what it takes to open the store anew and get one clip. Each is the median of
runs one after another, all files in memory, in processor time, so that others on the machine do not count.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.signverse_read import read_with_numpy
from pipelines.conversion import convert_shards
from poses.corpus.store import ClipStore, StoredClip
from poses.formats.signverse_published import publish_video, write_shard
from poses.people import People


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--runs", type=int, default=25)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = [publish_video(signer(arguments.frames, seed), "abcdefghijk") for seed in range(arguments.clips)]
        (folder / "poses.npz").write_bytes(videos[0]["npz/poses.npz"])
        with (folder / "shard.tar").open("wb") as stream:
            write_shard(stream, ((f"video{number:06d}", files) for number, files in enumerate(videos)))
        convert_shards([str(folder / "shard.tar")], folder / "store")
        print(json.dumps(compare(folder, arguments.runs)))


def signer(frames: int, seed: int) -> People:
    """Somebody who moves a little from frame to frame, all points seen."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 5e-4, (frames, 1, 128, 2)).cumsum(axis=0)
    keypoints = (random.uniform(0.3, 0.6, (128, 2)) + steps).clip(0, 1).astype(np.float32)
    confidence = random.uniform(0.31, 1, (frames, 1, 128)).astype(np.float32)
    return People(keypoints, confidence, np.ones(frames, np.int32), 24.0, 1280, 720, "", (), ())


def compare(folder: Path, runs: int) -> dict[str, float]:
    """Median seconds of each way."""
    store, random = ClipStore(folder / "store"), np.random.default_rng(0)

    def any_clip() -> StoredClip:
        return store[int(random.integers(len(store)))]

    def views() -> tuple[np.ndarray, np.ndarray]:
        clip = any_clip()
        return clip.keypoints, clip.confidence

    ways: dict[str, Callable[[], object]] = {
        "numpy_s": lambda: read_with_numpy(folder / "poses.npz"),
        "store_s": lambda: any_clip().poses(),
        "views_s": views,
        "open_and_read_s": lambda: ClipStore(folder / "store")[0].poses(),
    }
    medians = {name: median_s(way, runs) for name, way in ways.items()}
    frames = {"frames": len(store[0].poses()), "clips": len(store), "runs": runs}
    return frames | medians | {"times_faster": medians["numpy_s"] / medians["store_s"]}


def median_s(way: Callable[[], object], runs: int) -> float:
    """Median seconds of runs one after another, as a training reads clips."""
    taken = []
    for _ in range(runs):
        begin = time.process_time()
        way()
        taken.append(time.process_time() - begin)
    return float(np.median(taken))


if __name__ == "__main__":
    main()
