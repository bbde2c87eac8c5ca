"""The same word through two renderers: what is read from each video, and how much of the hand is found again.

`python examples/compare_renderers.py WORD LANGUAGE FOLDER`, such as `SIGN gsg out`, takes about a minute.
"""

import sys
from pathlib import Path

from gen.renderers import RENDERERS, create_renderer
from pipelines.loop import run_loop
from poses.estimators import create_estimator
from poses.fingerspelling import spell
from recognizer.reading import load_recognizer


def main(word: str, language: str, folder: Path) -> None:
    """Writes one report a renderer into a new folder and prints a line of each."""
    folder.mkdir()
    poses = spell(word, language)
    recognizer, estimator = load_recognizer(), create_estimator("mediapipe")
    for name in RENDERERS:
        report = run_loop(
            poses, folder / name, renderer=create_renderer(name), recognizer=recognizer, estimator=estimator
        )
        assert report.render_wer is not None  # a spelled clip says what is signed
        hand = report.fidelity.parts["left_hand" if language == "ise" else "right_hand"]
        print(
            f"{name:<13} read {report.render_reading}  word error rate {report.render_wer.rate:.2f}"
            f"  hand found {hand.recall or 0:.0%}  {report.render_frames_per_second:.1f} frames per second"
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
