"""What finding poses in a batch of videos costs beside bare MediaPipe on the same frames.

    python -m benchmarks.reextraction --workers 2

Writes videos of a built-in signer, then runs, each as a command of its own from start to end: `signloop extract` on
their folder, and a script that does nothing but decode them and call MediaPipe Holistic on every frame in one process.
The bare side keeps nothing, writes nothing and never looks twice, while ours looks again for hands that Holistic lost.
It is timed with the settings that ours has (`refine_face_landmarks`) and with MediaPipe's own. One line of JSON, with
processor time beside, which says how much of a wait was for other work of the machine.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gen.renderers import create_renderer
from pipelines.environment import machine
from pipelines.render import render_video
from poses.fingerspelling import spell
from poses.video import read_info

WORDS = ("HAND", "SIGN", "LOOP", "FACE", "BODY", "WORD", "READ", "SHOW")
SIZE = 256
BARE = """
import sys, warnings
from pathlib import Path
import imageio.v3 as iio
warnings.simplefilter("ignore")
import mediapipe
for path in sorted(Path(sys.argv[1]).glob("*.mp4")):
    with mediapipe.solutions.holistic.Holistic(refine_face_landmarks=sys.argv[2] == "refined") as holistic:
        for frame in iio.imiter(path, plugin="pyav"):
            holistic.process(frame)
"""


def main() -> None:
    """Times both sides in turn and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest run of each side counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = write_videos(folder / "videos")
        seconds: dict[str, list[float]] = {"ours": [], "bare_refined": [], "bare_default": []}
        processor: dict[str, list[float]] = {side: [] for side in seconds}
        for number in range(arguments.repeats):
            commands = {
                "ours": ["-m", "pipelines.cli", "extract", folder / "videos", folder / f"out-{number}"],
                "bare_refined": ["-c", BARE, folder / "videos", "refined"],
                "bare_default": ["-c", BARE, folder / "videos", "default"],
            }
            commands["ours"] += ["--workers", str(arguments.workers)]
            for side, command in commands.items():
                started, used = time.perf_counter(), processor_s()
                subprocess.run([sys.executable, *command], check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)
                seconds[side].append(time.perf_counter() - started)
                processor[side].append(processor_s() - used)
    best, least = ({side: min(runs) for side, runs in of.items()} for of in (seconds, processor))
    figures = {
        "videos": len(WORDS),
        "frames": frames,
        "size": SIZE,
        "workers": arguments.workers,
        "seconds": {side: [round(run, 2) for run in runs] for side, runs in seconds.items()},
        "processor_seconds": {side: [round(run, 2) for run in runs] for side, runs in processor.items()},
        "share_of_bare_refined": round(best["ours"] / best["bare_refined"], 3),
        "share_of_bare_default": round(best["ours"] / best["bare_default"], 3),
        "processor_share_of_bare_refined": round(least["ours"] / least["bare_refined"], 3),
        "processor_share_of_bare_default": round(least["ours"] / least["bare_default"], 3),
        "machine": machine(),
    }
    print(json.dumps(figures))


def processor_s() -> float:
    """Processor time of all processes that were started here and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_videos(folder: Path) -> int:
    """Spelled words by the fitted body drawn directly; gives how many frames they have."""
    folder.mkdir()
    renderer = create_renderer("avatar")
    for word in WORDS:
        render_video(spell(word, "ase"), folder / f"{word}.mp4", renderer=renderer, height=SIZE, width=SIZE)
    return sum(read_info(path).num_frames or 0 for path in folder.iterdir())


if __name__ == "__main__":
    main()
