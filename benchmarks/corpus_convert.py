"""Converting shards: two workers against one, memory against the number of clips, and what SIGKILL does to it.

    python -m benchmarks.corpus_convert

Prints one line of JSON. The corpus is made here as SignVerse-2M publishes it; conversions are commands of their own.

* speed: clips a second of one and of two workers, medians of alternating runs. Meaningful on an idle machine with two
  cores or more; start-up is in it.
* memory: the most that one worker ever holds, in MiB, for few clips and for many.
* kills: a conversion by two workers, killed at random moments and started again each time, until it was killed so often
  and came to its end; how many clips are missing or come twice, and which files differ from those of a conversion
  that was left alone.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.store import signer
from poses.corpus.store import ClipStore
from poses.formats.signverse_published import Defects, publish_video, write_shard

CLIPS_A_SHARD = 40
PARTS = ("speed", "memory", "kills")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--clips", type=int, default=1600, help="for speed")
    parser.add_argument("--frames", type=int, default=480, help="of each clip, for speed")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "speed" in arguments.parts:
            report["speed"] = speed(folder, arguments.clips, arguments.frames, arguments.runs)
        if "memory" in arguments.parts:
            report["memory"] = memory(folder, arguments.few, arguments.many)
        if "kills" in arguments.parts:
            report["kills"] = kills(folder, arguments.kills)
    print(json.dumps(report))


def make_corpus(folder: Path, num_clips: int, num_frames: int) -> Path:
    """Shards of 40 clips of one person, of which one in each is damaged."""
    folder.mkdir()
    files = [publish_video(signer(num_frames, seed), "abcdefghijk") for seed in range(8)]
    damaged = publish_video(signer(num_frames, 0), "abcdefghijk", Defects(damaged_crc=True))
    for first in range(0, num_clips, CLIPS_A_SHARD):
        numbers = range(first, min(first + CLIPS_A_SHARD, num_clips))
        with (folder / f"Sign_DWPose_NPZ_{first // CLIPS_A_SHARD:06d}.tar").open("wb") as stream:
            write_shard(stream, ((f"{at:011d}", damaged if at == first else files[at % 8]) for at in numbers))
    return folder


def start(corpus: Path, output: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipelines.cli", "corpus", "convert", corpus, output, "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def convert(corpus: Path, output: Path, workers: int) -> tuple[float, float]:
    """Seconds, and MiB of the command's own process."""
    begin = time.perf_counter()
    _, status, used = os.wait4(start(corpus, output, workers).pid, 0)
    assert status == 0, f"the conversion ended with {status}"
    return time.perf_counter() - begin, used.ru_maxrss / 1024


def speed(folder: Path, num_clips: int, num_frames: int, runs: int) -> dict[str, object]:
    corpus = make_corpus(folder / "speed", num_clips, num_frames)
    taken: dict[int, list[float]] = {1: [], 2: []}
    for run in range(runs):
        for workers, seconds in taken.items():
            seconds.append(convert(corpus, folder / f"speed-{run}-{workers}", workers)[0])
    one_s, two_s = (float(np.median(seconds)) for seconds in taken.values())
    return {
        "clips": num_clips,
        "frames": num_frames,
        "runs": runs,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "one_worker_clips_per_s": num_clips / one_s,
        "two_workers_clips_per_s": num_clips / two_s,
        "times_faster": one_s / two_s,
    }


def memory(folder: Path, few: int, many: int) -> dict[str, object]:
    peaks = {
        count: convert(make_corpus(folder / f"clips-{count}", count, 48), folder / f"store-{count}", 1)[1]
        for count in (few, many)
    }
    return {"peak_mib": peaks, "grows_mib": peaks[many] - peaks[few]}


def kills(folder: Path, num_kills: int) -> dict[str, object]:
    corpus = make_corpus(folder / "kills", 200, 48)
    whole_s, _ = convert(corpus, folder / "whole", 2)
    moments, killed, stores = random.Random(0), 0, 0
    lost, twice, differing = 0, 0, set()
    whole = contents(folder / "whole")
    while killed < num_kills:
        output = folder / f"killed-{stores}"
        stores += 1
        while True:
            job = start(corpus, output, 2)
            try:
                job.wait(moments.uniform(0, whole_s) if killed < num_kills else None)
                break
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
                job.wait()
                killed += 1
        found = Counter(ClipStore(output).ids)
        lost += len(set(ClipStore(folder / "whole").ids) - set(found))
        twice += sum(count > 1 for count in found.values())
        made = contents(output)
        differing |= {path for path in {*made, *whole} if made.get(path) != whole.get(path)}
    return {"kills": killed, "stores": stores, "lost": lost, "twice": twice, "differing_files": sorted(differing)}


def contents(folder: Path) -> dict[str, bytes]:
    """Files by path, but the hidden one that shows whether somebody works in the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


if __name__ == "__main__":
    main()
