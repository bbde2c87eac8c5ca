"""SignX's pose tracks of a video: those that can be estimated here, and SMPLer-X's results where somebody ran it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, UInt8

from pipelines.inputs import check_frame_rate, extract_from_video
from pipelines.progress import Stages
from poses.estimators import Estimator
from poses.video import read_frames, read_info
from recognizer.processing_sign_recognizer import FPS_RANGE, SignRecognizerProcessor
from recognizer.processing_signx import signer_track
from recognizer.track_extractors import extract_depth, extract_mediapipe, extract_segmentation
from recognizer.tracks import join_tracks, read_smplerx

FPS = 24.0
"""The rate that clips for Pose2Gloss are brought to, where nobody asks for another."""

Extractor = Callable[[Iterable[UInt8[np.ndarray, "height width 3"]]], Float32[np.ndarray, "frames features"]]

EXTRACTORS: Mapping[str, Extractor] = MappingProxyType(
    {
        "mediapipe_pose": extract_mediapipe,
        "primedepth_depth": extract_depth,
        "sapiens_segmentation": extract_segmentation,
    }
)
"""How each track but the first and the last is made of a video's frames."""


def extract_tracks(
    video: Path,
    tracks: Sequence[str],
    *,
    estimator: Estimator,
    smplerx: Path | None = None,
    fps: float = FPS,
    stages: Stages,
) -> Float32[np.ndarray, "frames 1959"]:
    """Makes tracks of a video, at one rate.

    Args:
        video: A video of one signer. Where the left hand leads, the DWPose track is mirrored, and no other.
        tracks: `dwpose` and any of `EXTRACTORS`; the others are missing.
        estimator: Who finds the poses of the DWPose track.
        smplerx: The output folder of SMPLer-X for this video.
        fps: Frames per second of the result: those of the clips that a network learned from.
        stages: Show how far it is.

    Raises:
        ValueError: A track has another name, `fps` is not from 5 to 120, the video cannot be read or shows nobody, or
            weights are not there.
        PoseFileError: A file of SMPLer-X is damaged.
    """
    names = ("dwpose", *EXTRACTORS)
    if unknown := [name for name in tracks or ("none",) if name not in names]:
        raise ValueError(f"`tracks` must be among {', '.join(names)}, got {unknown[0]!r}.")
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise ValueError(f"`fps` must be from {FPS_RANGE[0]} to {FPS_RANGE[1]}, got {fps:g}.")
    info = read_info(video)
    if "dwpose" in tracks:
        check_frame_rate(video, info.fps)
    if smplerx is not None and not smplerx.is_dir():
        raise ValueError(f"`smplerx` must be a folder with results of SMPLer-X, got {str(smplerx)!r}.")
    found = {}
    for name in tracks:
        if name == "dwpose":
            poses = extract_from_video(video, estimator, stages)
            found[name] = signer_track(poses, SignRecognizerProcessor(frame_rate=poses.fps))
        else:
            with stages.stage(name, info.num_frames) as track:
                found[name] = EXTRACTORS[name](track(read_frames(video)))
    num_frames = len(found[tracks[0]])
    if smplerx is not None:
        found["smplerx"] = read_smplerx(smplerx, num_frames=num_frames)
    times = np.arange(max(round(num_frames * fps / info.fps), 1)) * info.fps / fps
    return join_tracks(found)[np.minimum(times.round().astype(int), num_frames - 1)]
