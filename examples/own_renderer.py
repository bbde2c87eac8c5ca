"""A renderer of one's own: anything with a name, a version, `place` and `render` goes through the same measurements.

This one draws a stick figure. An estimator that was made for people finds little of a person in it, and the report says
so: that is what the loop is for. `python examples/own_renderer.py FOLDER` writes a report into a new folder.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gen.renderers import Placement, SignerPicture
from pipelines.loop import run_loop
from poses import PoseSequence
from poses.draw import draw_poses
from poses.estimators import create_estimator
from poses.fingerspelling import spell
from recognizer.reading import load_recognizer


class StickFigureRenderer:
    """Draws the skeleton in the middle of the frame, whoever the signer is."""

    name = "stick-figure"
    version = "1"
    default_num_inference_steps = 0

    def place(self, poses: PoseSequence, signer: SignerPicture | None, *, height: int, width: int) -> Placement:
        """Fits the driving frame into the rendered one."""
        scale = min(width / poses.width, height / poses.height)
        return Placement(scale, (width - scale * poses.width) / 2, (height - scale * poses.height) / 2, width, height)

    def render(
        self,
        poses: PoseSequence,
        signer: SignerPicture | None,
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> Iterator[np.ndarray]:
        """Draws one frame per pose."""
        yield from draw_poses(poses, "videox-fun", height=poses.height, width=poses.width)


def main(folder: Path) -> None:
    """Runs the loop and prints what is left of the word."""
    report = run_loop(
        spell("SIGN", "gsg"),
        folder,
        renderer=StickFigureRenderer(),
        recognizer=load_recognizer(),
        estimator=create_estimator("mediapipe"),
    )
    print(f"read {str(report.render_reading) or 'nothing'} from the render (signed: S I G N)")
    for name, part in report.fidelity.parts.items():
        print(f"{name:<11} found again {'–' if part.recall is None else f'{part.recall:.0%}'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
