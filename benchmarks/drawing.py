"""Speed of the mimicmotion drawing on one core, and with `--reference` its equality with easy-dwpose's, frame by frame.

    pip install --no-deps --target REFERENCE easy-dwpose==1.0.2
    python -m benchmarks.drawing --reference REFERENCE

Prints one line of JSON; `fps` is frames a second of processor time. The poses are 20 words in 15 alphabets, spelled
from real clips, or those of `--poses`.
"""

import argparse
import json
import runpy
import time
from itertools import islice, product
from pathlib import Path

import cv2
import numpy as np

from poses.draw import draw_poses
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES, letter_clips, spell
from poses.io import load_poses
from poses.sequence import PoseSequence

REFERENCES = Path(__file__).parents[1] / "tests" / "golden" / "references.py"
NUM_CLIPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="folder that easy-dwpose 1.0.2 was installed into")
    parser.add_argument("--poses", type=Path, nargs="+", help="pose files to draw")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=512)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    size = {"height": arguments.height, "width": arguments.width}
    languages = [language for language in LANGUAGES if language not in HELD_OUT_LANGUAGES]
    clips = [load_poses(path) for path in arguments.poses or ()]
    clips = clips or [_word(*which) for which in islice(product(range(2), languages), NUM_CLIPS)]
    draw = arguments.reference and runpy.run_path(str(REFERENCES))["easy_dwpose_mimicmotion"](arguments.reference)
    next(draw_poses(clips[0], "mimicmotion", **size))
    ours_s, reference_s, frames, equal = 0.0, 0.0, 0, 0
    for clip in clips:
        start = time.process_time()
        ours = list(draw_poses(clip, "mimicmotion", **size))
        ours_s += time.process_time() - start
        frames += len(clip)
        if draw:
            start = time.process_time()
            theirs = [draw(*frame, *size.values()) for frame in zip(clip.keypoints, clip.confidence, strict=True)]
            reference_s += time.process_time() - start
            equal += sum(map(np.array_equal, ours, theirs))
    report: dict[str, object] = {**size, "clips": len(clips), "frames": frames, "fps": frames / ours_s}
    if draw:
        report |= {"equal": equal, "reference_fps": frames / reference_s, "times_faster": reference_s / ours_s}
    print(json.dumps(report))


def _word(number: int, language: str) -> PoseSequence:
    """A word of four of the language's letters."""
    letters = list(letter_clips(language))
    return spell("".join(letters[4 * number : 4 * number + 4]), language)


if __name__ == "__main__":
    main()
