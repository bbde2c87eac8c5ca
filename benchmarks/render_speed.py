"""Frames per second of `signloop render` as a user meets it: the whole command, weights loading included.

`python -m benchmarks.render_speed` renders a spelled clip of five seconds with each renderer's default steps, as it is
and with oneDNN held to AVX2 (so without the matrix units that make bf16 fast), and prints one JSON line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.environment import machine
from poses.fingerspelling import spell
from poses.io import save_poses

DURATION_S = 5.0
FPS = 24.0
WORD, LANGUAGE = "HANDSHAPES", "ase"
INSTRUCTION_SETS = {"all": None, "AVX2": "AVX2"}


def command_seconds(clip: Path, video: Path, renderer: str, instruction_set: str | None) -> float:
    """Seconds from starting the command until it is back."""
    environment = dict(os.environ)
    environment.pop("ONEDNN_MAX_CPU_ISA", None)
    if instruction_set:
        environment["ONEDNN_MAX_CPU_ISA"] = instruction_set
    command = [sys.executable, "-m", "pipelines.cli", "render", str(clip), str(video), "--renderer", renderer]
    started = time.perf_counter()
    subprocess.run([*command, "--overwrite"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Times the command and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renderers", nargs="+", default=["signer-small", "avatar"])
    parser.add_argument("--repeats", type=int, default=3, help="the median is printed")
    arguments = parser.parse_args()
    clip = spell(WORD, LANGUAGE, fps=FPS)[: round(DURATION_S * FPS)]
    assert len(clip) == DURATION_S * FPS
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        save_poses(clip, Path(folder) / "clip.npz")
        for renderer in arguments.renderers:
            for name, instruction_set in INSTRUCTION_SETS.items():
                seconds = sorted(
                    command_seconds(Path(folder) / "clip.npz", Path(folder) / "out.mp4", renderer, instruction_set)
                    for _ in range(arguments.repeats)
                )
                median = seconds[len(seconds) // 2]
                figures[f"{renderer}, {name}"] = {
                    "frames_per_second": round(len(clip) / median, 2),
                    "seconds": [round(value, 2) for value in seconds],
                }
    print(json.dumps({"frames": len(clip), "size": 256, "machine": machine(), "figures": figures}))


if __name__ == "__main__":
    main()
