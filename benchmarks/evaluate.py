"""What evaluating a clip costs besides finding poses in it, with the default figures.

`python -m benchmarks.evaluate` evaluates a spelled word against a drawing of it, with and without a reference video, by
an estimator that knows the answer. It prints milliseconds a frame, by the clock and of processor time, as one line.
"""

import argparse
import gc
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pipelines.clip_evaluation import Judges, evaluate_clip
from pipelines.environment import machine
from pipelines.measures.features import OrientedFilters
from pipelines.pairs import Pair
from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.sequence import PoseSequence
from poses.video import write_video
from recognizer.reading import load_recognizer

WORD, LANGUAGE, SIZE = "HANDSHAPES", "ase", 256


class KnowingEstimator:
    """Gives the poses that the pictures were drawn from, at no cost."""

    name = version = "knowing"

    def __init__(self, poses: PoseSequence):
        self.poses = poses
        self.reset()

    def reset(self) -> None:
        self.frame = -1

    def estimate(self, frame):
        self.frame += 1
        return self.poses.keypoints[self.frame], self.poses.confidence[self.frame]

    def close(self) -> None:
        pass


def main() -> None:
    """Times both kinds of pair and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="the fastest run counts")
    arguments = parser.parse_args()
    clip = replace(spell(WORD, LANGUAGE), width=SIZE, height=SIZE)
    judges = Judges(KnowingEstimator(clip), load_recognizer(), OrientedFilters())
    gc.freeze()  # as `load_judges` does
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        pose, video = Path(folder) / "clip.npz", Path(folder) / "clip.mp4"
        save_poses(clip, pose)
        write_video(video, draw_poses(clip, "videox-fun", height=SIZE, width=SIZE), fps=clip.fps)
        for name, reference in (("pair", None), ("with_reference", video)):
            runs = []
            for _ in range(arguments.repeats + 1):  # the first warms up
                started = time.process_time()
                evaluation, _, _ = evaluate_clip(Pair(name, pose, video, reference), judges)
                runs.append((evaluation.seconds["measure"], time.process_time() - started))
            clock, processor = (1000 * min(column) / len(clip) for column in zip(*runs[1:], strict=True))
            figures[name] = {
                "clock_ms_a_frame": round(clock, 2),
                "processor_ms_a_frame_decoding_included": round(processor, 2),
            }
    print(json.dumps({"frames": len(clip), "size": SIZE, "machine": machine(), **figures}))


if __name__ == "__main__":
    main()
