"""Speed of the mimicmotion drawing on one core, and with `--reference` its equality with easy-dwpose's.

    pip install --no-deps --target REFERENCE easy-dwpose==1.0.2
    python -m benchmarks.drawing --reference REFERENCE

Prints one line of JSON. The poses are a fingerspelled word from real clips, or those of `--poses`.
"""

import argparse
import json
import runpy
import time
from pathlib import Path

import cv2
import numpy as np

from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.io import load_poses

REFERENCES = Path(__file__).parents[1] / "tests" / "golden" / "references.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="folder that easy-dwpose 1.0.2 was installed into")
    parser.add_argument("--poses", type=Path, help="a pose file to draw")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=512)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    size = arguments.height, arguments.width
    poses = load_poses(arguments.poses) if arguments.poses else spell("SIGNLOOP", "ase")
    next(draw_poses(poses, "mimicmotion", height=size[0], width=size[1]))
    start = time.perf_counter()
    frames = sum(1 for _ in draw_poses(poses, "mimicmotion", height=size[0], width=size[1]))
    ours_s = time.perf_counter() - start
    report: dict[str, object] = {"height": size[0], "width": size[1], "frames": frames, "fps": frames / ours_s}
    if arguments.reference:
        draw = runpy.run_path(str(REFERENCES))["easy_dwpose_mimicmotion"](arguments.reference)
        reference_s, equal = 0.0, 0
        ours = draw_poses(poses, "mimicmotion", height=size[0], width=size[1])
        for picture, keypoints, confidence in zip(ours, poses.keypoints, poses.confidence, strict=True):
            start = time.perf_counter()
            reference = draw(keypoints, confidence, *size)
            reference_s += time.perf_counter() - start
            equal += np.array_equal(picture, reference)
        report |= {"equal": equal, "reference_fps": frames / reference_s, "times_faster": reference_s / ours_s}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
