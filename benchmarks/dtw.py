"""Warped distances beside those of pose-evaluation on the same pairs of MediaPipe-layout clips.

`python -m benchmarks.dtw --peer PYTHON` prints one JSON line: seconds for all pairs of our DTWp, of fastdtw's path and
of dtaidistance's path, and how far ours is from the latter. PYTHON is an interpreter with `fastdtw` and `dtaidistance`,
and with a checkout of https://github.com/sign-language-processing/pose-evaluation at commit d812923 on its path; of it
only `metrics/distance_measure.py` and `metrics/dtw_metric.py`, as they are, are called. Without --peer only ours is
timed.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
from pose_format import Pose

from pipelines.environment import machine
from pipelines.measures.dtw import MISSING, mean_trajectory_distance

HANDS = {"LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"}
LETTERS = "ABCDEFGH"
LANGUAGES = ("ase", "ssp")
PEER = """
import json, sys, time, warnings
import numpy as np
from numpy import ma
from pose_evaluation.metrics.dtw_metric import DTWDTAIImplementationDistanceMeasure, DTWOptimizedDistanceMeasure
held = np.load(sys.argv[1])
pairs = [[ma.array(held[f"{number}_{side}"]) for side in "ab"] for number in range(len(held.files) // 2)]
found = {}
measures = {"dtaidistance": DTWDTAIImplementationDistanceMeasure(), "fastdtw": DTWOptimizedDistanceMeasure()}
for name, measure in measures.items():
    measure(*pairs[0])
    runs = []
    for _ in range(int(sys.argv[2]) if name == "dtaidistance" else 1):
        started = time.perf_counter()
        values = [float(measure(hyp, ref)) for hyp, ref in pairs]
        runs.append(time.perf_counter() - started)
    found[name] = {"seconds": min(runs), "values": values}
print(json.dumps(found))
"""


def hand_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Hands of single letters, each in two languages, [frames, 1, 42, xyz] in MediaPipe's own layout."""
    folder = Path(str(files("spoken_to_signed"))) / "assets" / "fingerspelling_lexicon"
    with (folder / "index.csv").open(encoding="utf-8", newline="") as table:
        paths = {(row["signed_language"], row["words"].upper()): folder / row["path"] for row in csv.DictReader(table)}
    pairs = []
    for letter in LETTERS:
        clips = [_hands(Pose.read(paths[language, letter].read_bytes())) for language in LANGUAGES]
        pairs.append((clips[0], clips[1]))
    return pairs


def _hands(pose: Pose) -> np.ndarray:
    names = [component.name for component in pose.header.components for _ in component.points]
    return np.asarray(pose.body.data[:, :, [name in HANDS for name in names]].filled(MISSING), np.float64)


def main() -> None:
    """Times both sides and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="an interpreter that can import pose_evaluation, fastdtw and dtaidistance")
    parser.add_argument("--repeats", type=int, default=5, help="the fastest run counts")
    arguments = parser.parse_args()
    pairs = hand_pairs()
    mean_trajectory_distance(pairs[0][1][:, 0], pairs[0][0][:, 0])
    runs = []
    for _ in range(arguments.repeats):
        started = time.perf_counter()
        values = [mean_trajectory_distance(ref[:, 0], hyp[:, 0]) for hyp, ref in pairs]
        runs.append(time.perf_counter() - started)
    figures = {
        "pairs": len(pairs),
        "frames": [[len(hyp), len(ref)] for hyp, ref in pairs],
        "seconds": round(min(runs), 5),
        "machine": machine(),
    }
    if arguments.peer:
        with tempfile.TemporaryDirectory() as folder:
            held = {
                f"{number}_{side}": clip
                for number, pair in enumerate(pairs)
                for side, clip in zip("ab", pair, strict=True)
            }
            np.savez(Path(folder) / "pairs.npz", allow_pickle=False, **held)
            command = [arguments.peer, "-c", PEER, str(Path(folder) / "pairs.npz"), str(arguments.repeats)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=sys.stderr).stdout
        peer = json.loads(told)
        figures |= {f"{name}_seconds": round(of["seconds"], 5) for name, of in peer.items()}
        figures |= {f"times_faster_than_{name}": round(of["seconds"] / min(runs), 2) for name, of in peer.items()}
        figures["largest_difference_to_dtaidistance"] = float(
            np.abs(np.subtract(values, peer["dtaidistance"]["values"])).max()
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
