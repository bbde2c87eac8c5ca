"""A driving pose and its videos, looked through: poses found in every frame, cut-outs and colours, and what differs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from pipelines.inputs import check_frame_rate
from pipelines.measures.identity import region_colours
from pipelines.measures.picture import Crops, cut_frames, region_boxes
from pipelines.measures.pose import VISIBLE_CONFIDENCE, visible_points
from pipelines.pairs import Pair
from poses.clean import resample
from poses.estimators import Estimator
from poses.io import load_poses
from poses.sequence import PoseSequence
from poses.video import VideoInfo, read_frames, read_info, read_picture

SAME_SHAPE = 0.02
"""Two frames have the same shape where width / height differs by at most this share."""


class Clock:
    """Keeps the time that finding poses takes apart from all other."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.extract = 0.0

    def rest(self) -> float:
        return time.perf_counter() - self.started - self.extract


@dataclass(frozen=True, eq=False)
class Watched:
    """What is kept of a video.

    Attributes:
        asked: The driving pose in its frames and at its times.
        poses: What was found.
        crops: Cut-outs of hands and face, where the driving pose has them.
        colours: Of the signer, in every frame.
    """

    asked: PoseSequence
    poses: PoseSequence
    crops: Crops
    colours: Float[np.ndarray, "frames 3 places 3"]


@dataclass(frozen=True, eq=False)
class WatchedPair:
    """What is kept of a pair.

    Attributes:
        driving: As the file has it.
        info: Of the video.
        shown: The video.
        reference: The real video.
        control: The drawing, where there is no reference.
        signer: Colours of the signer's picture, else of the reference; None where there is neither.
        comparable: Whether the reference's pictures can be compared with the video's, frame by frame.
        problems: What had to be done to compare them, and what could not be, a line each.
    """

    driving: PoseSequence
    info: VideoInfo
    shown: Watched
    reference: Watched | None
    control: Watched | None
    signer: Float[np.ndarray, "frames 3 places 3"] | None
    comparable: bool
    problems: list[str]


def watch_pair(pair: Pair, estimator: Estimator, clock: Clock) -> WatchedPair:
    """Looks through all videos of a pair.

    Raises:
        ValueError: A file cannot be read, or the video is slower than 5 or faster than 120 frames a second.
    """
    driving = load_poses(pair.driving)
    driving = replace(driving, language=pair.language or driving.language)
    info = read_info(pair.video)
    check_frame_rate(pair.video, info.fps)
    placed, problems = _in_frames_of(driving, info.fps, info.num_frames, info.width, info.height)
    boxes = region_boxes(placed.pixels(), visible_points(placed), placed.width, placed.height)
    boxes /= np.array([placed.width, placed.height] * 2)
    shown = _watch(read_frames(pair.video), placed, boxes, estimator, clock)
    problems += _length_problems(len(placed), len(shown.poses), "video")
    if not (shown.poses.confidence > 0).any():
        problems.append(f"nobody was found in any of the {len(shown.poses)} frames of the video")
    reference = _watch_other(pair.reference, placed, info, boxes, estimator, clock)
    control = None if reference else _watch_other(pair.control, placed, info, boxes, estimator, clock)
    differs = _reference_problems(placed, reference) if reference else []
    signer = _signers_colours(pair.image, estimator, clock) if pair.image else reference.colours if reference else None
    return WatchedPair(
        driving,
        info,
        shown,
        reference,
        control,
        signer,
        comparable=reference is not None and not differs,
        problems=problems + [f"{differ}; no picture was compared with it" for differ in differs],
    )


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
    clock: Clock,
) -> Watched:
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
    return Watched(asked, found, crops, np.stack(colours))


def _watch_other(
    path: Path | None,
    placed: PoseSequence,
    info: VideoInfo,
    boxes: Float[np.ndarray, "frames 3 4"],
    estimator: Estimator,
    clock: Clock,
) -> Watched | None:
    """Looks through another video of the same movement, which the estimator sees as large as it saw the first."""
    if path is None:
        return None
    of_path = read_info(path)
    asked, _ = _in_frames_of(placed, of_path.fps, of_path.num_frames, info.width, info.height)
    frames = (_resized(frame, info.width, info.height) for frame in read_frames(path))
    return _watch(frames, asked, boxes, estimator, clock)


def _reference_problems(placed: PoseSequence, reference: Watched) -> list[str]:
    """Why the pictures of a video cannot be compared with those of its reference, frame by frame."""
    differs = _length_problems(len(placed), len(reference.poses), "reference")
    if abs(reference.asked.fps / placed.fps - 1) > 0.01:
        differs.append(f"the reference has {reference.asked.fps:g} frames a second, the video {placed.fps:g}")
    return differs


def _resized(frame: UInt8[np.ndarray, "height width 3"], width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def _signers_colours(image: Path, estimator: Estimator, clock: Clock) -> Float[np.ndarray, "1 3 places 3"]:
    """Colours of the signer in a picture."""
    picture = read_picture(image)
    started = time.perf_counter()
    estimator.reset()
    found = estimator.estimate(picture)
    clock.extract += time.perf_counter() - started
    return _colours(picture, *found)[None]


def _colours(
    frame: UInt8[np.ndarray, "height width 3"],
    keypoints: Float[np.ndarray, "128 2"],
    confidence: Float[np.ndarray, " 128"],
) -> Float[np.ndarray, "3 places 3"]:
    size = np.array([frame.shape[1], frame.shape[0]])
    return region_colours(frame, keypoints * size, confidence >= VISIBLE_CONFIDENCE)
