"""Writes sets of isolated signs as folders of pose files with a table, which `signloop train words` learns from.

`python -m benchmarks.word_sets DATA OUTPUT` reads `isl18/keypoints.npz` (Indian Sign Language) and
`asl16/keypoints.npz` (American Sign Language) below DATA.
"""

import argparse
import csv
from pathlib import Path

from tqdm import tqdm

from poses.files import new_directory
from poses.io import save_poses
from recognizer.word_clips import NO_GLOSS, read_word_set

SETS = {"isl18": "ins", "asl16": "ase"}
"""Folder and ISO 639-3 code of each set."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, language in SETS.items():
        clips = read_word_set(arguments.data / name / "keypoints.npz", language)
        rows = []
        with new_directory(arguments.output / name) as folder:
            for number, clip in enumerate(tqdm(clips, desc=name, unit="clip")):
                file = f"{name}-{number:05d}.npz"
                save_poses(clip.poses, folder / file)
                gloss = clip.gloss if clip.gloss == NO_GLOSS else clip.gloss.partition(":")[2]
                rows.append({"poses": file, "glosses": gloss, "language": language, "signer": clip.signer})
            with (folder / "glosses.csv").open("w", encoding="utf-8", newline="") as table:
                writer = csv.DictWriter(table, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
