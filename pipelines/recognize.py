"""What a clip says: its glosses with confidence and time, over the skeleton that they were read from."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from pipelines.environment import fingerprint, package_versions
from pipelines.inputs import check_frame_rate, extract_from_video
from pipelines.measures.reading import error_rate
from pipelines.output import ClipFacts, Model, RecognitionReport, to_json
from pipelines.progress import Stages
from pipelines.report.reading import write_reading_page
from poses.draw import draw_poses
from poses.estimators import Estimator
from poses.files import new_directory
from poses.io import is_video, load_poses, save_poses
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info, write_video
from recognizer.reading import Recognizer, read_glosses

PRESET = "videox-fun"
OVERLAY_PX = 512
"""Longer side of the video with the skeleton."""

COMMENT = "A clip under the skeleton that was found in it."


def run_recognition(
    clip: Path,
    output: Path,
    *,
    recognizer: Recognizer,
    estimator: Estimator,
    language: str | None = None,
    stages: Stages | None = None,
) -> RecognitionReport:
    """Reads a clip and writes `overlay.mp4`, `poses.npz`, `reading.json` and `index.html` into a new directory.

    Args:
        clip: A pose file or a video.
        output: The directory; it appears when everything is in it.
        recognizer: Who reads.
        estimator: Who finds the poses in a video.
        language: See `in_language`.
        stages: Times the work.

    Raises:
        ValueError: The file is neither, nobody is in it, it is slower than 5 or faster than 120 frames a second, or the
            recognizer knows no glosses of `language`.
    """
    stages = stages or Stages()
    check_language(language, recognizer)
    with new_directory(output) as directory:
        from_video, poses = is_video(clip), in_language(find_poses(clip, estimator, stages), language)
        with stages.stage("recognize"):
            reading = read_glosses(poses, recognizer)
        with stages.stage("draw", len(poses)) as track:
            frames = overlay(poses, read_frames(clip) if from_video else None)
            write_video(directory / "overlay.mp4", track(frames), fps=poses.fps, comment=COMMENT)
            save_poses(poses, directory / "poses.npz")
        models = {"recognizer": Model(type(recognizer.model).__name__, fingerprint(recognizer.model))}
        if from_video:
            models["estimator"] = Model(estimator.name, estimator.version)
        report = RecognitionReport(
            signloop=version("signloop"),
            input=ClipFacts(clip.name, poses.language, len(poses), poses.fps, poses.width, poses.height),
            from_video=from_video,
            known_glosses=recognizer.model.config.glosses[1:],  # the first is the blank
            reference_glosses=poses.glosses,
            reading=reading,
            wer=error_rate(poses.glosses, reading.glosses),
            models=models,
            packages=package_versions(),
            seconds={name: round(seconds, 3) for name, seconds in stages.seconds.items()},
        )
        (directory / "reading.json").write_text(to_json(report) + "\n", encoding="utf-8")
        write_reading_page(report, overlay_size(poses), directory / "index.html")
    return report


def find_poses(clip: Path, estimator: Estimator, stages: Stages) -> PoseSequence:
    """The poses of a pose file, or of a video, which is refused first where none of them could be read.

    Raises:
        ValueError: See `run_recognition`, or the video is slower than 5 or faster than 120 frames a second.
    """
    if not is_video(clip):
        return load_poses(clip)
    check_frame_rate(clip, read_info(clip).fps)
    return extract_from_video(clip, estimator, stages)


def check_language(language: str | None, recognizer: Recognizer) -> None:
    """Refuses a language of which a recognizer knows no glosses.

    Raises:
        ValueError: It is one.
    """
    known = sorted({gloss.partition(":")[0] for gloss in recognizer.model.config.glosses if ":" in gloss})
    if language is not None and language not in known:
        expected = f"be one of {', '.join(known)}" if known else "be left out, since its glosses are of no language"
        raise ValueError(f"`language` must {expected}: the recognizer is of {recognizer.vocabulary}, got {language!r}.")


def in_language(poses: PoseSequence, language: str | None) -> PoseSequence:
    """The same clip, said to be of a language: then a recognizer of words considers no glosses of others.

    Args:
        poses: The clip.
        language: ISO 639-3 code; None for what the clip itself says.
    """
    return poses if language is None else replace(poses, language=language)


def overlay_size(poses: PoseSequence) -> tuple[int, int]:
    """Width and height, both even, at which `overlay` draws a clip."""
    scale = OVERLAY_PX / max(poses.width, poses.height)
    return 2 * round(poses.width * scale / 2), 2 * round(poses.height * scale / 2)


def overlay(
    poses: PoseSequence, frames: Iterable[UInt8[np.ndarray, "_ _ 3"]] | None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draws the skeleton over the frames that it was found in, or on black."""
    width, height = overlay_size(poses)
    drawn = draw_poses(poses, PRESET, height=height, width=width)
    if frames is None:
        yield from drawn
        return
    for skeleton, frame in zip(drawn, frames, strict=True):
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        yield np.where(skeleton.any(axis=2, keepdims=True), skeleton, small)
