"""One clip measured: a driving pose, a video of it, and, where there is one, the real video."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from pipelines.environment import fingerprint
from pipelines.measures.dtw import measure_warped
from pipelines.measures.features import (
    FeatureNetwork,
    compare_pictures,
    cosine_similarity,
    describe_pictures,
)
from pipelines.measures.picture import (
    REGIONS,
    Crops,
    cut_frames,
    frozen_share,
    region_boxes,
    similarity_by_region,
    temporal_consistency,
)
from pipelines.measures.pose import (
    VISIBLE_CONFIDENCE,
    WRISTS,
    fit_length,
    hand_presence,
    jerk_ratio,
    measure_fidelity,
    measure_part,
    segment_means,
    visible_points,
)
from pipelines.measures.reading import Readout, divergence, gloss_names, joined_glosses, read_out
from pipelines.pairs import Pair
from poses.clean import resample
from poses.estimators import Estimator
from poses.io import load_poses
from poses.keypoints import PARTS
from poses.sequence import PoseSequence
from poses.video import VideoInfo, read_frames, read_info, read_picture
from recognizer.reading import Recognizer

SAME_SHAPE = 0.02
"""Two frames have the same shape where width / height differs by at most this share."""

FACE = REGIONS.index("face")
Figures = dict[str, float | None]


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
        figures: By name, see `pipelines.measures.catalogue`; None where it could not be measured.
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
    visible = visible_points(placed)
    boxes = region_boxes(placed.pixels(), visible, placed.width, placed.height)
    scale = np.array([placed.width, placed.height] * 2)
    crops, found = _watch(read_frames(pair.video), placed, boxes / scale, judges.estimator, clock)
    problems += _length_problems(len(placed), len(found), "video")
    if not (found.confidence > 0).any():
        problems.append(f"nobody was found in any of the {len(found)} frames of the video")

    figures, error_over_time = pose_figures(placed, found, estimator=judges.estimator.version)
    figures["duration_ratio"] = found.duration_s / driving.duration_s
    segments = {"mean_error/hands": segment_means(error_over_time)}
    figures["drift/pose"] = _last_minus_first(segments["mean_error/hands"])
    steps = np.where(visible[1:, WRISTS] & visible[:-1, WRISTS], _steps(placed), 0).max(axis=1)
    shared = min(len(crops.small), len(placed))
    figures["frozen_share"] = frozen_share(crops.small[:shared], steps[: shared - 1])
    figures["temporal_consistency"] = temporal_consistency(crops.small)

    floor, of_reference, reference_found = _measure_reference(
        pair, placed, info, boxes / scale, judges, clock, problems
    )
    likeness, described, described_reference = picture_figures(crops, of_reference, judges.network)
    figures |= likeness
    rows = {"pictures": described, "reference_pictures": described_reference}
    reference_faces = described_reference if of_reference is None else _faces(of_reference, described_reference)
    known = _signers_face(pair, reference_faces, judges)
    faces = _faces(crops, described)
    figures |= _face_figures(faces, crops.valid[:, FACE], known, judges.network.name, segments)
    if len(reference_faces) and not pair.image and known is not None:
        floor[f"{judges.network.name}_identity"] = _mean_likeness(reference_faces, known)

    readouts = {"driving": read_out(placed, judges.recognizer), "video": read_out(found, judges.recognizer)}
    if reference_found is not None and pair.reference:
        readouts["reference"] = read_out(reference_found, judges.recognizer)
    figures |= _reading_figures(readouts, judges.recognizer)
    rows |= {f"{of}_states": readout.states for of, readout in readouts.items()}
    names = gloss_names(judges.recognizer)
    evaluation = ClipEvaluation(
        name=pair.name,
        language=placed.language,
        signer=pair.signer,
        glosses=pair.glosses or joined_glosses(driving.glosses),
        num_frames=len(driving),
        video_frames=len(found),
        fps=driving.fps,
        video_fps=info.fps,
        width=info.width,
        height=info.height,
        figures=_checked(figures, problems),
        floor=_checked(floor, problems),
        floor_source="" if not floor else "reference" if pair.reference else "control",
        read={of: Read(readout.glosses, readout.top(names), readout.reason) for of, readout in readouts.items()},
        segments=segments,
        error_over_time=error_over_time,
        problems=tuple(problems),
        seconds={"extract": round(clock.extract, 4), "measure": round(clock.rest(), 4)},
    )
    return evaluation, {"driving": placed, "reextracted": found}, rows


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
    placed: PoseSequence,
    boxes: Float[np.ndarray, "frames 3 4"],
    estimator: Estimator,
    clock: _Clock,
) -> tuple[Crops, PoseSequence]:
    """Finds the pose in every frame and keeps the cut-outs; one frame is in memory at a time."""
    estimator.reset()
    points: list[np.ndarray] = []
    certainty: list[np.ndarray] = []

    def estimated() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        while True:
            started = time.perf_counter()
            frame = next(frames, None)
            if frame is not None:
                found = estimator.estimate(frame)
                points.append(found[0])
                certainty.append(found[1])
            clock.extract += time.perf_counter() - started
            if frame is None:
                return
            yield frame

    crops = cut_frames(estimated(), boxes)
    found = replace(placed, keypoints=np.stack(points), confidence=np.stack(certainty), glosses=(), source="video")
    return crops, found


def pose_figures(placed: PoseSequence, found: PoseSequence, *, estimator: str) -> tuple[Figures, list[float | None]]:
    """What can be told from two poses in one frame and at one rate: figures, and the hands' error in each frame."""
    fitted = fit_length(found, len(placed))
    fidelity = measure_fidelity(placed, fitted, estimator=estimator)
    visible = visible_points(placed)
    seen = visible & (fitted.confidence >= VISIBLE_CONFIDENCE)
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    unit = fidelity.shoulder_width_px or np.nan
    error = np.where(seen, np.linalg.norm(fitted.pixels() - placed.pixels(), axis=2), np.nan)[:, hands] / unit
    parts = {**fidelity.parts, "hands": measure_part(error, visible[:, hands], seen[:, hands])}
    figures: Figures = {}
    for part, values in parts.items():
        figures[f"pck_0.1/{part}"], figures[f"pck_0.2/{part}"] = values.pck_0_1, values.pck_0_2
        figures[f"mean_error/{part}"], figures[f"recall/{part}"] = values.mean_error, values.recall
    figures["hand_presence"] = hand_presence(visible, seen)
    figures["movement_ratio"] = fidelity.movement_ratio
    figures["jerk_ratio"] = jerk_ratio(placed.pixels()[:, WRISTS], fitted.pixels()[:, WRISTS], seen[:, WRISTS])
    figures |= asdict(measure_warped(placed, found, min_confidence=VISIBLE_CONFIDENCE))
    known = np.isfinite(error)
    means = [round(float(row[mask].mean()), 4) if mask.any() else None for row, mask in zip(error, known, strict=True)]
    return figures, means


def _measure_reference(
    pair: Pair,
    placed: PoseSequence,
    info: VideoInfo,
    boxes: Float[np.ndarray, "frames 3 4"],
    judges: Judges,
    clock: _Clock,
    problems: list[str],
) -> tuple[Figures, Crops | None, PoseSequence | None]:
    """The estimator's floor, the cut-outs of the reference where they can be compared, and the pose found in it."""
    path = pair.reference or pair.control
    if path is None:
        return {}, None, None
    of_path = read_info(path)
    # The estimator must see it as large as it sees the video.
    frames = (_resized(frame, info.width, info.height) for frame in read_frames(path))
    again, _ = _in_frames_of(placed, of_path.fps, of_path.num_frames, info.width, info.height)
    crops, found = _watch(frames, again, boxes, judges.estimator, clock)
    floor, _ = pose_figures(again, found, estimator=judges.estimator.version)
    if not pair.reference:
        return floor, None, found
    differs = _length_problems(len(placed), len(found), "reference")
    if abs(of_path.fps / info.fps - 1) > 0.01:
        differs.append(f"the reference has {of_path.fps:g} frames a second, the video {info.fps:g}")
    if differs:
        problems += [f"{differ}; no picture was compared with it" for differ in differs]
        return floor, None, found
    return floor, crops, found


def _resized(frame: UInt8[np.ndarray, "height width 3"], width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def picture_figures(
    crops: Crops, reference: Crops | None, network: FeatureNetwork
) -> tuple[Figures, Float[np.ndarray, "cuts features"], Float[np.ndarray, "reference_cuts features"]]:
    """Likeness of hands and face to the reference's, frame by frame; None throughout without one.

    Returns:
        The figures, and a description of every valid cut-out: of the video's and of the reference's.
    """
    shown = crops.regions[crops.valid]
    keys = ("ssim", "psnr", f"{network.name}_distance")
    figures: Figures = {f"{key}/{region}": None for key in keys for region in REGIONS}
    asked = shown[:0] if reference is None else reference.regions[reference.valid]
    # The boxes are the same, so the same regions are valid unless the lengths differ.
    if reference is None or not np.array_equal(crops.valid, reference.valid):
        return figures, describe_pictures(network, shown), describe_pictures(network, asked)
    rows, reference_rows, distances = compare_pictures(network, shown, asked)
    region_of = np.nonzero(crops.valid)[1]
    for number, (region, (ssim, psnr)) in enumerate(similarity_by_region(crops, reference).items()):
        if not len(ssim):
            continue
        for key, values in zip(keys, (ssim, psnr, distances[region_of == number]), strict=True):
            figures[f"{key}/{region}"] = float(values.mean())
    return figures, rows, reference_rows


def _faces(crops: Crops, described: Float[np.ndarray, "cuts features"]) -> Float[np.ndarray, "faces features"]:
    """Those descriptions that are of faces, one for each frame that has one."""
    return described[np.nonzero(crops.valid)[1] == FACE]


def _signers_face(
    pair: Pair, reference_faces: Float[np.ndarray, "faces features"], judges: Judges
) -> Float[np.ndarray, " features"] | None:
    """Features of the face that the video should show: in the signer's picture, else in the reference."""
    if pair.image:
        picture = read_picture(pair.image)
        height, width = picture.shape[:2]
        judges.estimator.reset()
        points, certainty = judges.estimator.estimate(picture)
        scale = np.array([width, height])
        boxes = region_boxes(points[None] * scale, certainty[None] >= VISIBLE_CONFIDENCE, width, height)
        cut = cut_frames([picture], boxes / np.tile(scale, 2))
        reference_faces = describe_pictures(judges.network, cut.regions[cut.valid[:, FACE], FACE])
    return reference_faces.mean(axis=0) if len(reference_faces) else None


def _face_figures(
    faces: Float[np.ndarray, "faces features"],
    valid: Bool[np.ndarray, " frames"],
    known: Float[np.ndarray, " features"] | None,
    network: str,
    segments: dict[str, list[float | None]],
) -> Figures:
    """How like the signer the face is, and how far it wanders from how it began."""
    quarter_of = np.concatenate([np.full(len(part), at) for at, part in enumerate(np.array_split(valid, 4))])[valid]
    quarters = [faces[quarter_of == quarter].mean(axis=0) for quarter in np.unique(quarter_of)]
    likeness = [cosine_similarity(quarters[0], quarter) for quarter in quarters] if len(quarters) == 4 else [None] * 4
    segments[f"{network}_drift"] = [None if value is None else 1 - value for value in likeness]
    return {
        f"{network}_drift": segments[f"{network}_drift"][-1],
        f"{network}_identity": None if known is None else _mean_likeness(faces, known),
    }


def _mean_likeness(rows: Float[np.ndarray, "frames features"], known: Float[np.ndarray, " features"]) -> float | None:
    values = [value for row in rows if (value := cosine_similarity(row, known)) is not None]
    return float(np.mean(values)) if values else None


def _reading_figures(readouts: Mapping[str, Readout], recognizer: Recognizer) -> Figures:
    """Agreement of the video's reading with the driving pose's. A video that cannot be read agrees with none."""
    names = gloss_names(recognizer)
    asked, shown = readouts["driving"], readouts["video"]
    readable = len(asked.distribution) > 0
    return {
        "top1_agreement": float(asked.top(names) == shown.top(names)) if readable else None,
        "js_divergence": divergence(asked.distribution, shown.distribution),
        "faithfulness": None,  # known when all clips are
    }


def _steps(placed: PoseSequence) -> Float[np.ndarray, "steps wrists"]:
    """How far the wrists go from frame to frame, in shoulder widths."""
    return np.linalg.norm(np.diff(placed.pixels()[:, WRISTS], axis=0), axis=2) / placed.shoulder_width_px()


def _last_minus_first(values: list[float | None]) -> float | None:
    return None if values[0] is None or values[-1] is None else values[-1] - values[0]


def _checked(figures: Figures, problems: list[str]) -> Figures:
    """A figure that is no number is said to be none, and never averaged."""
    wrong = [name for name, value in figures.items() if value is not None and not np.isfinite(value)]
    problems += [f"{name} came out as no number" for name in wrong]
    return {name: None if name in wrong or value is None else round(float(value), 9) for name, value in figures.items()}
