"""One clip measured: a driving pose, a video of it, and, where there is one, the real video."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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
from pipelines.measures.dtw import MAX_FRAMES
from pipelines.measures.features import FeatureNetwork
from pipelines.measures.pose import segment_means
from pipelines.measures.reading import gloss_names, joined_glosses, read_out
from pipelines.pairs import Pair
from pipelines.watching import Clock, WatchedPair, watch_pair
from poses.estimators import Estimator
from poses.sequence import PoseSequence
from recognizer.one_thread import one_thread
from recognizer.reading import Recognizer


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


@one_thread()
def evaluate_clip(
    pair: Pair, judges: Judges
) -> tuple[ClipEvaluation, dict[str, PoseSequence], dict[str, Float[np.ndarray, "_rows _features"]]]:
    """Measures one clip.

    Returns:
        The figures; the driving pose in the video's frames (`driving`) and what was found there (`reextracted`); and
        rows of features for figures of the whole set.

    Raises:
        ValueError: A file cannot be read.
    """
    clock = Clock()
    seen = watch_pair(pair, judges.estimator, clock)
    shown, reference, placed, problems = seen.shown, seen.reference, seen.shown.asked, list(seen.problems)

    figures, error_over_time = pose_figures(placed, shown.poses, estimator=judges.estimator.version)
    figures["duration_ratio"] = shown.poses.duration_s / seen.driving.duration_s
    if max(len(placed), len(shown.poses)) > MAX_FRAMES:
        problems.append(f"it has more than {MAX_FRAMES} frames; no distance was warped")
    compared = reference.crops if reference and seen.comparable else None
    if compared and len(shown.crops) < len(compared):
        problems.append("the video ends before its reference; no picture was compared with it")
    likeness, described, described_reference = picture_figures(shown.crops, compared, judges.network)
    segments = {
        "mean_error/hands": segment_means(error_over_time),
        f"{judges.network.name}_drift": face_drift(described, shown.crops.valid),
    }
    figures |= likeness | steadiness_figures(shown.crops.small, placed) | colour_figures(shown.colours, seen.signer)
    figures["drift/pose"] = last_minus_first(segments["mean_error/hands"])
    figures[f"{judges.network.name}_drift"] = segments[f"{judges.network.name}_drift"][-1]

    readouts = {"driving": read_out(placed, judges.recognizer), "video": read_out(shown.poses, judges.recognizer)}
    if reference:
        readouts["reference"] = read_out(reference.poses, judges.recognizer)
    names = gloss_names(judges.recognizer)
    figures |= reading_figures(readouts, names)
    evaluation = ClipEvaluation(
        name=pair.name,
        language=placed.language,
        signer=pair.signer,
        glosses=pair.glosses or joined_glosses(seen.driving.glosses),
        num_frames=len(seen.driving),
        video_frames=len(shown.poses),
        fps=seen.driving.fps,
        video_fps=seen.info.fps,
        width=seen.info.width,
        height=seen.info.height,
        figures=checked(figures, problems),
        floor=checked(_floor(seen, pair, judges), problems),
        floor_source="reference" if reference else "control" if seen.control else "",
        read={of: Read(readout.glosses, readout.top(names), readout.reason) for of, readout in readouts.items()},
        segments=segments,
        error_over_time=error_over_time,
        problems=tuple(problems),
        seconds={"extract": round(clock.extract, 4), "measure": round(clock.rest(), 4)},
    )
    rows = {"pictures": described, "reference_pictures": described_reference}
    rows |= {f"{of}_states": readout.states for of, readout in readouts.items()}
    return evaluation, {"driving": placed, "reextracted": shown.poses}, rows


def _floor(seen: WatchedPair, pair: Pair, judges: Judges) -> Figures:
    """What the same estimator gets from the reference or, where there is none, from the control video."""
    floor: Figures = {}
    if other := seen.reference or seen.control:
        floor, _ = pose_figures(other.asked, other.poses, estimator=judges.estimator.version)
    if seen.reference and pair.image:
        floor |= colour_figures(seen.reference.colours, seen.signer)
    return floor
