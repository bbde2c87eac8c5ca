"""Makes pose tracks of video: MediaPipe with the models in its package, depth and segmentation with fetched weights."""

import contextlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from poses.quiet import quiet_stderr
from recognizer.optional_weights import OPTIONAL_WEIGHTS, announce_fetch
from recognizer.tracks import MAP_SHAPE, depth_track, mediapipe_track, pool_labels, pool_map, segmentation_track


def extract_depth(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    model: str | Path | None = None,
    *,
    shape: tuple[int, int] = MAP_SHAPE,
) -> Float32[np.ndarray, "frames 576"]:
    """Estimates inverse depth, one frame at a time.

    Args:
        frames: RGB.
        model: A folder, or a repository on the hub, for transformers' depth-estimation pipeline; one that predicts
            inverse depth. `OPTIONAL_WEIGHTS` names the one that is used when None.
        shape: Rows and columns of the map; 576 cells.

    Raises:
        ValueError: The weights are neither on this machine nor to be fetched, or the depth does not vary.
    """
    pipeline = _load_pipeline("depth-estimation", "primedepth_depth", model)
    maps = [pool_map(pipeline(_picture(frame))["predicted_depth"].float().numpy(), shape) for frame in frames]
    return depth_track(_stacked(maps))


def extract_segmentation(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    model: str | Path | None = None,
    *,
    shape: tuple[int, int] = MAP_SHAPE,
) -> Float32[np.ndarray, "frames 576"]:
    """Estimates the part of the body that each place shows, one frame at a time.

    Args:
        frames: RGB.
        model: A folder, or a repository on the hub, for transformers' image-segmentation pipeline. `OPTIONAL_WEIGHTS`
            names the one that is used when None.
        shape: Rows and columns of the map; 576 cells.

    Raises:
        ValueError: The weights are neither on this machine nor to be fetched.
    """
    pipeline = _load_pipeline("image-segmentation", "sapiens_segmentation", model)
    classes = pipeline.model.config.label2id
    maps = []
    for frame in frames:
        labels = np.zeros(frame.shape[:2], np.int64)
        for part in pipeline(_picture(frame), subtask="semantic"):
            labels[np.asarray(part["mask"]) > 0] = classes[part["label"]]
        maps.append(pool_labels(labels, len(classes), shape))
    return segmentation_track(_stacked(maps), len(classes))


def _load_pipeline(task: str, track: str, model: str | Path | None) -> Any:
    import transformers

    create: Any = transformers.pipeline  # its overloads know tasks one by one
    weights = OPTIONAL_WEIGHTS[track]
    if model is None:
        announce_fetch(weights)
    try:
        return create(task, model=str(model or weights.repository), device="cpu")
    except OSError as error:
        named = weights if model is None else model
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"`model` must be on this machine or to be fetched: {named} is neither; leave this track out ({reason})."
        ) from None


def _picture(frame: UInt8[np.ndarray, "height width 3"]) -> Any:
    from PIL import Image

    return Image.fromarray(frame)


def _stacked(maps: list[np.ndarray]) -> np.ndarray:
    if not maps:
        raise ValueError("`frames` must hold at least one frame, got none.")
    return np.stack(maps)


def extract_mediapipe(frames: Iterable[UInt8[np.ndarray, "height width 3"]]) -> Float32[np.ndarray, "frames 258"]:
    """Tracks one signer with MediaPipe Holistic, depth and all; frames without a body are NaN.

    Args:
        frames: RGB, in order.

    Raises:
        ValueError: There are no frames.
    """
    import mediapipe

    parts: dict[str, list[np.ndarray]] = {"pose": [], "left_hand": [], "right_hand": []}
    create: Any = mediapipe.solutions.holistic.Holistic
    # MediaPipe's C++ core logs before its logging has been set up, until the first frame is through.
    with quiet_stderr():
        holistic = create(model_complexity=1)
    with holistic, warnings.catch_warnings():
        # Said by protobuf 4 about mediapipe's own call.
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\) is deprecated")
        for number, frame in enumerate(frames):
            with contextlib.nullcontext() if number else quiet_stderr():
                found = holistic.process(frame)
            parts["pose"].append(_points(found.pose_landmarks, 33, ("x", "y", "z", "visibility")))
            parts["left_hand"].append(_points(found.left_hand_landmarks, 21, ("x", "y", "z")))
            parts["right_hand"].append(_points(found.right_hand_landmarks, 21, ("x", "y", "z")))
    return mediapipe_track(*(_stacked(points) for points in parts.values()))


def _points(landmarks: Any, count: int, fields: tuple[str, ...]) -> Float32[np.ndarray, "points fields"]:
    if landmarks is None:
        return np.full((count, len(fields)), np.nan, np.float32)
    return np.array([[getattr(point, field) for field in fields] for point in landmarks.landmark], np.float32)
