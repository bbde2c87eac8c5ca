"""One clip measured: a driving pose, a video of it, and, where there is one, the real video."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from pipelines.clip_figures import (
    Figures,
    checked,
    colour_figures,
    face_drift,
    last_minus_first,
    picture_figures,
    pose_figures,
    reading_figures,
    steadiness_figures,
)
from pipelines.environment import fingerprint
from pipelines.measures.features import FeatureNetwork
from pipelines.measures.identity import region_colours
from pipelines.measures.picture import Crops, cut_frames, region_boxes
from pipelines.measures.pose import VISIBLE_CONFIDENCE, segment_means, visible_points
from pipelines.measures.reading import gloss_names, joined_glosses, read_out
from pipelines.pairs import Pair
from poses.clean import resample
from poses.estimators import Estimator
from poses.io import load_poses
from poses.sequence import PoseSequence
from poses.video import VideoInfo, read_frames, read_info, read_picture
from recognizer.reading import Recognizer

SAME_SHAPE = 0.02
"""Two frames have the same shape where width / height differs by at most this share."""


@dataclass(frozen=True)
class Read:
    """What the recognizer read from one of a clip's poses."""

    glosses: tuple[str, ...]
    top: str
    reason: str


@dataclass(frozen=True)
class ClipEvaluation:
    """What one clip's evaluation found.

    Attributes:
        name: Of the pair.
        language: ISO 639-3, empty where unknown.
        signer: Whoever signs, empty where unknown.
        glosses: What is signed; empty where unknown.
        num_frames: Of the driving pose as given.
        video_frames: Of the video.
        fps: Of the driving pose as given.
        video_fps: Of the video.
        width: Of the video, pixels.
        height: Of the video, pixels.
        figures: See `pipelines.clip_figures.Figures`.
        floor: Those that the same estimator gets from the reference (or control) video.
        floor_source: `reference`, `control`, or nothing.
        read: By `driving`, `video` and, where there is one, `reference`.
        segments: By figure, its mean in each quarter of the clip.
        error_over_time: Mean error of both hands in each frame, shoulder widths.
        problems: What was wrong with the input, one line each.
        seconds: `extract` for finding poses, decoding included, and `measure` for all else.
    """

    name: str
    language: str
    signer: str
    glosses: tuple[str, ...]
    num_frames: int
    video_frames: int
    fps: float
    video_fps: float
    width: int
    height: int
    figures: Figures
    floor: Figures
    floor_source: str
    read: dict[str, Read]
    segments: dict[str, list[float | None]]
    error_over_time: list[float | None]
    problems: tuple[str, ...]
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Judges:
    """What finds poses, reads them, and compares pictures."""

    estimator: Estimator
    recognizer: Recognizer
    network: FeatureNetwork

    def names(self) -> dict[str, str]:
        """Name and version of each."""
        return {
            "estimator": self.estimator.version,
            "recognizer": f"{type(self.recognizer.model).__name__} {fingerprint(self.recognizer.model)}",
            "network": self.network.name,
        }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs torch on one thread: what it gets here is so small that several would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class _Watched:
    """What is kept of a video: the pose asked for in its frames and at its times, and what was found in it."""

    asked: PoseSequence
    poses: PoseSequence
    crops: Crops
    colours: Float[np.ndarray, "frames 3 3"]


@_one_thread()
def evaluate_clip(
    pair: Pair, judges: Judges
) -> tuple[ClipEvaluation, dict[str, PoseSequence], dict[str, Float[np.ndarray, "rows features"]]]:
    """Measures one clip.

    Returns:
        The figures; the driving pose in the video's frames (`driving`) and what was found there (`reextracted`); and
        rows of features for figures of the whole set.

    Raises:
        ValueError: A file cannot be read.
    """
    clock = _Clock()
    driving = _with_words(load_poses(pair.driving), pair)
    info = read_info(pair.video)
    placed, problems = _in_frames_of(driving, info.fps, info.num_frames, info.width, info.height)
    boxes = region_boxes(placed.pixels(), visible_points(placed), placed.width, placed.height)
    boxes /= np.array([placed.width, placed.height] * 2)
    shown = _watch(read_frames(pair.video), placed, boxes, judges.estimator, clock)
    problems += _length_problems(len(placed), len(shown.poses), "video")
    if not (shown.poses.confidence > 0).any():
        problems.append(f"nobody was found in any of the {len(shown.poses)} frames of the video")
    real = _watch_other(pair.reference, placed, info, boxes, judges.estimator, clock)
    control = None if real else _watch_other(pair.control, placed, info, boxes, judges.estimator, clock)
    differs = _reference_problems(placed, real) if real else []
    problems += [f"{differ}; no picture was compared with it" for differ in differs]

    figures, error_over_time = pose_figures(placed, shown.poses, estimator=judges.estimator.version)
    figures["duration_ratio"] = shown.poses.duration_s / driving.duration_s
    figures |= steadiness_figures(shown.crops.small, placed)
    compared = real.crops if real and not differs else None
    likeness, described, described_reference = picture_figures(shown.crops, compared, judges.network)
    segments = {
        "mean_error/hands": segment_means(error_over_time),
        f"{judges.network.name}_drift": face_drift(described, shown.crops.valid),
    }
    figures |= likeness | {"drift/pose": last_minus_first(segments["mean_error/hands"])}
    figures[f"{judges.network.name}_drift"] = segments[f"{judges.network.name}_drift"][-1]
    signer = _signers_colours(pair.image, judges.estimator) if pair.image else real.colours if real else None
    figures |= colour_figures(shown.colours, signer)

    readouts = {"driving": read_out(placed, judges.recognizer), "video": read_out(shown.poses, judges.recognizer)}
    if real:
        readouts["reference"] = read_out(real.poses, judges.recognizer)
    names = gloss_names(judges.recognizer)
    figures |= reading_figures(readouts, names)

    floor: Figures = {}
    if other := real or control:
        floor, _ = pose_figures(other.asked, other.poses, estimator=judges.estimator.version)
    if real and pair.image:
        floor |= colour_figures(real.colours, signer)
    evaluation = ClipEvaluation(
        name=pair.name,
        language=placed.language,
        signer=pair.signer,
        glosses=pair.glosses or joined_glosses(driving.glosses),
        num_frames=len(driving),
        video_frames=len(shown.poses),
        fps=driving.fps,
        video_fps=info.fps,
        width=info.width,
        height=info.height,
        figures=checked(figures, problems),
        floor=checked(floor, problems),
        floor_source="reference" if real else "control" if control else "",
        read={of: Read(readout.glosses, readout.top(names), readout.reason) for of, readout in readouts.items()},
        segments=segments,
        error_over_time=error_over_time,
        problems=tuple(problems),
        seconds={"extract": round(clock.extract, 4), "measure": round(clock.rest(), 4)},
    )
    rows = {"pictures": described, "reference_pictures": described_reference}
    rows |= {f"{of}_states": readout.states for of, readout in readouts.items()}
    return evaluation, {"driving": placed, "reextracted": shown.poses}, rows


class _Clock:
    """Keeps the time that finding poses takes apart from all other."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.extract = 0.0

    def rest(self) -> float:
        return time.perf_counter() - self.started - self.extract


def _with_words(driving: PoseSequence, pair: Pair) -> PoseSequence:
    return replace(driving, language=pair.language or driving.language)


def _in_frames_of(
    driving: PoseSequence, fps: float, num_frames: int | None, width: int, height: int
) -> tuple[PoseSequence, list[str]]:
    """Puts a driving pose into a video's frames and times, and says what had to be done for that."""
    problems = []
    shape, wanted = driving.width / driving.height, width / height
    if abs(shape / wanted - 1) > SAME_SHAPE:
        problems.append(
            f"the video is {width} x {height}, the driving pose {driving.width} x {driving.height}: another shape, "
            "so the points are stretched with the frame"
        )
    if abs(driving.fps / fps - 1) > 0.01:
        if num_frames == len(driving):
            problems.append(
                f"the video has {fps:g} frames a second, the driving pose {driving.fps:g}: compared frame by frame"
            )
            driving = replace(driving, fps=fps)
        else:
            problems.append(
                f"the video has {fps:g} frames a second, the driving pose {driving.fps:g}: resampled to the video's"
            )
            driving = resample(driving, fps)
    return replace(driving, width=width, height=height, fps=fps), problems


def _length_problems(expected: int, found: int, what: str) -> list[str]:
    if found == expected:
        return []
    lost = "the missing ones count as not found" if found < expected else "those beyond are left out frame by frame"
    return [f"the {what} has {found} frames, the driving pose {expected} at its rate: {lost}"]


def _watch(
    frames: Iterator[UInt8[np.ndarray, "height width 3"]],
    asked: PoseSequence,
    boxes: Float[np.ndarray, "frames 3 4"],
    estimator: Estimator,
    clock: _Clock,
) -> _Watched:
    """Finds the pose in every frame and keeps cut-outs and colours; one frame is in memory at a time."""
    estimator.reset()
    points: list[np.ndarray] = []
    certainty: list[np.ndarray] = []
    colours: list[np.ndarray] = []

    def estimated() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        while True:
            started = time.perf_counter()
            frame = next(frames, None)
            found = None if frame is None else estimator.estimate(frame)
            clock.extract += time.perf_counter() - started
            if frame is None or found is None:
                return
            points.append(found[0])
            certainty.append(found[1])
            colours.append(_colours(frame, *found))
            yield frame

    crops = cut_frames(estimated(), boxes)
    found = replace(asked, keypoints=np.stack(points), confidence=np.stack(certainty), glosses=(), source="video")
    return _Watched(asked, found, crops, np.stack(colours))


def _watch_other(
    path: Path | None,
    placed: PoseSequence,
    info: VideoInfo,
    boxes: Float[np.ndarray, "frames 3 4"],
    estimator: Estimator,
    clock: _Clock,
) -> _Watched | None:
    """Looks through another video of the same movement, which the estimator sees as large as it saw the first."""
    if path is None:
        return None
    of_path = read_info(path)
    asked, _ = _in_frames_of(placed, of_path.fps, of_path.num_frames, info.width, info.height)
    frames = (_resized(frame, info.width, info.height) for frame in read_frames(path))
    return _watch(frames, asked, boxes, estimator, clock)


def _reference_problems(placed: PoseSequence, reference: _Watched) -> list[str]:
    """Why the pictures of a video cannot be compared with those of its reference, frame by frame."""
    differs = _length_problems(len(placed), len(reference.poses), "reference")
    if abs(reference.asked.fps / placed.fps - 1) > 0.01:
        differs.append(f"the reference has {reference.asked.fps:g} frames a second, the video {placed.fps:g}")
    return differs


def _resized(frame: UInt8[np.ndarray, "height width 3"], width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def _signers_colours(image: Path, estimator: Estimator) -> Float[np.ndarray, "1 3 3"]:
    """Colours of the signer in a picture."""
    picture = read_picture(image)
    estimator.reset()
    return _colours(picture, *estimator.estimate(picture))[None]


def _colours(
    frame: UInt8[np.ndarray, "height width 3"],
    keypoints: Float[np.ndarray, "128 2"],
    confidence: Float[np.ndarray, " 128"],
) -> Float[np.ndarray, "3 3"]:
    size = np.array([frame.shape[1], frame.shape[0]])
    return region_colours(frame, keypoints * size, confidence >= VISIBLE_CONFIDENCE)
