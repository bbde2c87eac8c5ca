"""A SignVerse-2M file: who is in it, what was wrong with it and repaired, and what a repair changes.

`python examples/read_signverse.py POSES`, where `POSES` is a `poses.npz` or a folder of one `.npz` a frame; one that
`signloop spell HELLO hello.npz` wrote will do. It takes a second or two.
"""

import sys
from pathlib import Path

from pipelines.inspect import inspect_poses, summary
from poses.formats.signverse import read_people
from poses.formats.signverse_repairs import Repairs
from poses.io import load_poses
from poses.keypoints import PARTS, index


def main(path: Path) -> None:
    """Prints what the file holds, raw and repaired, and how much of the main signer is seen."""
    print(summary(inspect_poses(path)))

    people, raw = read_people(path), read_people(path, repairs=Repairs(body_codes=False, scores=False))
    joint = (0, 0, index("right_shoulder"))  # of the first person in the first frame
    print(f"score of the right shoulder: {raw.confidence[joint]:g} as stored, {people.confidence[joint]:g} repaired")
    for repair in people.repaired:
        print(f"repaired {repair.name}, version {repair.version}, in {repair.frames} of {len(people.keypoints)} frames")

    poses = load_poses(path)  # the main signer, followed through all frames
    for part in PARTS:
        _, confidence = poses.part(part)
        print(f"{part.replace('_', ' '):<11}{(confidence > 0).mean():.0%} of its points seen")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
