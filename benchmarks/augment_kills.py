"""What SIGKILL at random moments does to an augmentation: nothing, if the set comes out as if left alone.

    python -m benchmarks.augment_kills --kills 20

Prints one line of JSON: how often `signloop augment` was killed, the sets made meanwhile, how many renders are missing
or listed twice in them, whether what went in is what came out and was rejected, and which files differ from those of
the set that was made without a kill. Moments are drawn evenly from the time that the whole takes, counted from when the
set's folder is there.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.corpus_convert import contents
from poses.fingerspelling import spell
from poses.io import save_poses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--words", nargs="+", default=["HI", "CAB"])
    parser.add_argument("--size", type=int, default=128, help="pixels to a side")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for word in arguments.words:
            save_poses(spell(word, "ase"), folder / "corpus" / f"{word}.npz")
        print(json.dumps(kills(folder, arguments.kills, arguments.size, arguments.workers)))


def start(folder: Path, output: Path, size: int, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipelines.cli", "augment", folder / "corpus", output, "--config", "augment-quick"]
    command += ["--height", str(size), "--width", str(size), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kills(folder: Path, num_kills: int, size: int, workers: int) -> dict[str, object]:
    """Kills and starts again until it was killed so often, and each set came to its end."""
    begin = time.perf_counter()
    assert start(folder, folder / "whole", size, workers).wait() == 0
    whole_s = time.perf_counter() - begin
    whole = contents(folder / "whole")
    moments, killed, sets = random.Random(0), 0, 0
    lost, twice, unbalanced, differing = 0, 0, 0, set()
    while killed < num_kills:
        output = folder / f"killed-{sets}"
        sets += 1
        while True:
            job, begin = start(folder, output, size, workers), time.perf_counter()
            while not output.exists() and job.poll() is None:  # a kill before there is anything shows nothing
                time.sleep(0.01)
            try:
                status = job.wait(moments.uniform(0, whole_s) if killed < num_kills else None)
                assert status == 0, f"augment ended with {status}"
                break
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
                job.wait()
                killed += 1
                print(f"{killed} kills, the last after {time.perf_counter() - begin:.1f} s", file=sys.stderr)
        listed = Counter(renders(output))
        lost += len(set(renders(folder / "whole")) - set(listed))
        twice += sum(count > 1 for count in listed.values())
        rows = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
        unbalanced += sum(row["num_in"] != row["num_out"] + row["num_rejects"] for row in rows)
        made = contents(output)
        differing |= {path for path in {*made, *whole} if made.get(path) != whole.get(path)}
    return {
        "kills": killed,
        "sets": sets,
        "whole_s": round(whole_s, 1),
        "renders": len(renders(folder / "whole")),
        "lost": lost,
        "twice": twice,
        "unbalanced": unbalanced,
        "differing_files": sorted(differing),
    }


def renders(output: Path) -> list[tuple[str, int]]:
    """Item and candidate of every render that a set lists."""
    lines = (output / "dataset" / "candidates.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["item"], row["candidate"]) for row in map(json.loads, lines)]


if __name__ == "__main__":
    main()
