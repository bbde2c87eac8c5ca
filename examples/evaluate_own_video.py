"""Any project's video against the pose that drove it: what was found again, and what each figure rests on.

`python examples/evaluate_own_video.py POSES VIDEO FOLDER` writes a report into a new folder. The pose must lie where
the signer is in the video's frames.
"""

import sys
from pathlib import Path

from pipelines.evaluate import run_evaluation


def main(poses: Path, video: Path, folder: Path) -> None:
    """Writes a table with one pair beside the report, evaluates it, and prints every figure that could be measured."""
    table = folder.with_suffix(".csv")
    table.write_text(f"driving,video\n{poses.resolve()},{video.resolve()}\n", encoding="utf-8")
    evaluation = run_evaluation(table, folder)
    (clip,) = evaluation.clips
    print(f"{clip.name}: {clip.video_frames} frames; problems: {', '.join(clip.problems) or 'none'}")
    for figure in evaluation.summary.figures:
        if figure.value is not None:
            print(f"{figure.title:<46} {figure.value:.3f}  {figure.signature}")
    print(f"Wrote {folder / 'index.html'}.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
