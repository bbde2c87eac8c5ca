"""What a long clip costs and whether it drifts: peak memory, colour and sharpness against length.

`python -m benchmarks.render_length --minutes 0.1 1` renders a word spelled over and over for as long as that, each in a
process of its own, and prints one JSON line. `--minutes 1 10` is the real question, and takes long. Since the driving
pose repeats, so should the picture: drift is how much the mean of each colour, and the variance of the Laplacian,
change from repetition to repetition, as a share of their mean, by a straight line through all of them, in a minute.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np

from pipelines.environment import machine, peak_memory_mib
from pipelines.measures.picture import luma
from poses.fingerspelling import spell

FPS = 24.0
SIZE = 256
WORD, LANGUAGE = "AB", "ase"


def render_long(minutes: float, renderer_name: str) -> dict:
    """Renders a clip of that length into nothing, and says what memory it took and how it changed."""
    from gen.renderers import create_renderer

    word = spell(WORD, LANGUAGE, fps=FPS)
    repetitions = max(round(minutes * 60 * FPS / len(word)), 2)
    clip = replace(
        word,
        keypoints=np.tile(word.keypoints, (repetitions, 1, 1)),
        confidence=np.tile(word.confidence, (repetitions, 1)),
        glosses=(),
    )
    renderer = create_renderer(renderer_name)
    placed = renderer.place(clip, None, height=SIZE, width=SIZE)(clip)
    looks = np.array([look_of(frame) for frame in renderer.render(placed, None)])
    assert len(looks) == len(clip)
    by_repetition = looks.reshape(repetitions, len(word), -1).mean(axis=1)
    at_minute = np.arange(repetitions) * len(word) / FPS / 60
    slope = np.polyfit(at_minute, by_repetition / by_repetition.mean(axis=0), 1)[0]
    return {
        "frames": len(clip),
        "repetitions": repetitions,
        "peak_memory_mib": round(peak_memory_mib()),
        "drift_a_minute": dict(zip(("red", "green", "blue", "sharpness"), slope.round(5).tolist(), strict=True)),
    }


def look_of(frame: np.ndarray) -> list[float]:
    """Mean red, green and blue, and the variance of the Laplacian of the luma."""
    return [*frame.mean(axis=(0, 1)).tolist(), float(cv2.Laplacian(luma(frame), cv2.CV_32F).var())]


def main() -> None:
    """Measures each length and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.1, 0.5])
    parser.add_argument("--renderer", default="signer-small")
    parser.add_argument(
        "--here", action="store_true", help="measure the first length in this process, and nothing else"
    )
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(render_long(arguments.minutes[0], arguments.renderer)))
        return
    figures = {}
    for minutes in arguments.minutes:
        command = [sys.executable, "-m", "benchmarks.render_length", "--here", "--minutes", str(minutes)]
        done = subprocess.run(
            [*command, "--renderer", arguments.renderer], check=True, stdout=subprocess.PIPE, text=True
        )
        figures[f"{minutes:g} min"] = json.loads(done.stdout)
    peaks = [figure["peak_memory_mib"] for figure in figures.values()]
    print(json.dumps({"machine": machine(), "lengths": figures, "memory_to_shortest": round(peaks[-1] / peaks[0], 3)}))


if __name__ == "__main__":
    main()
