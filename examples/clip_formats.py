"""A clip from letters to file to picture: spell it, save it, read it in another format, look at a point, draw it.

`python examples/clip_formats.py FOLDER` writes into a new folder. It takes a second or two.
"""

import sys
from pathlib import Path

from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.io import load_poses, save_poses
from poses.keypoints import index
from poses.video import write_video


def main(folder: Path) -> None:
    """Writes `hands.npz` (SignVerse-2M), `hands.pose` (pose-format) and `hands.mp4` (a control video)."""
    folder.mkdir()
    poses = spell("HANDS", "ase")
    save_poses(poses, folder / "hands.npz")
    save_poses(load_poses(folder / "hands.npz"), folder / "hands.pose")

    tip = poses.pixels()[:, index("right_hand_index_tip")]
    for span in poses.glosses:
        x, y = tip[(span.start + span.stop) // 2]
        print(f"{span.gloss}: frames {span.start} to {span.stop - 1}, tip of the index finger at {x:.0f}, {y:.0f}")

    frames = draw_poses(poses, "mimicmotion", height=512, width=512)
    write_video(folder / "hands.mp4", frames, fps=poses.fps)
    print(f"Wrote {', '.join(sorted(path.name for path in folder.iterdir()))} to {folder}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
