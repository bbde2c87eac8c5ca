"""From video frames to a `PoseSequence`, with the estimator that the user names."""

from collections.abc import Callable, Iterable
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from poses.sequence import PoseSequence

ESTIMATORS = MappingProxyType(
    {
        "mediapipe": "poses.estimators.mediapipe:MediaPipeEstimator",
        "dwpose": "poses.estimators.dwpose:DWPoseEstimator",
        "openpose": "poses.estimators.openpose:OpenPoseEstimator",
    }
)
"""Estimators by name, and where each is found: a module is imported, and weights are loaded, when it is asked for."""


@runtime_checkable
class Estimator(Protocol):
    """Finds the main signer's 128 points in the RGB frames of one video, given in order.

    Attributes:
        name: As in `ESTIMATORS`.
        version: Package and version of what does the work, for reports.
    """

    name: str
    version: str

    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        ...

    def reset(self) -> None:
        """Forgets the video so far; the next frame starts another."""
        ...

    def close(self) -> None:
        """Frees what the estimator holds."""
        ...


def create_estimator(name: str) -> Estimator:
    """Loads the estimator called `name`.

    Raises:
        ValueError: `name` is not one of `ESTIMATORS`, or its weights are neither here nor to be fetched.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"`estimator` must be one of {', '.join(ESTIMATORS)}, got {name!r}.")
    module, _, cls = ESTIMATORS[name].partition(":")
    return getattr(import_module(module), cls)()


def extract_poses(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    *,
    fps: float,
    estimator: str | Estimator = "mediapipe",
    source: str = "",
    progress: Callable[[int], object] | None = None,
) -> PoseSequence:
    """Estimates the main signer's poses, one frame in memory at a time.

    Args:
        frames: RGB frames of one size, in order, 0 to 255.
        fps: Frames per second.
        estimator: A name of `ESTIMATORS`, or a loaded estimator to use again for another video.
        source: What the frames come from, for reports and error messages.
        progress: Called with 1 after each frame, such as a tqdm bar's `update`.

    Raises:
        ValueError: There is no frame, no person in any frame, the size changes, a frame is not RGB bytes, or `fps` is
            not a positive number.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"`fps` must be a positive number, got {fps!r}.")
    loaded = create_estimator(estimator) if isinstance(estimator, str) else estimator
    loaded.reset()
    name = source or "`frames`"
    keypoints, confidence = [], []
    size = None
    try:
        for frame in frames:
            # MediaPipe would read beyond the end of one with fewer channels, and never recover from one without pixels.
            if frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0 or frame.dtype != np.uint8:
                raise ValueError(
                    f"{name}: expected RGB frames, uint8 [height, width, 3], "
                    f"frame {len(keypoints)} is {frame.dtype} {list(frame.shape)}."
                )
            size = size or frame.shape[:2]
            if frame.shape[:2] != size:
                raise ValueError(
                    f"{name}: expected every frame to be {size[1]} x {size[0]}, "
                    f"frame {len(keypoints)} is {frame.shape[1]} x {frame.shape[0]}."
                )
            points, certainty = loaded.estimate(frame)
            keypoints.append(points)
            confidence.append(certainty)
            if progress is not None:
                progress(1)
    finally:
        if loaded is not estimator:
            loaded.close()
    if size is None:
        raise ValueError(f"{name}: expected at least one frame, found none.")
    if not any(certainty.any() for certainty in confidence):
        raise ValueError(f"{name}: expected a person, found none in any of {len(confidence)} frames.")
    return PoseSequence(
        keypoints=np.stack(keypoints),
        confidence=np.stack(confidence),
        fps=float(fps),
        width=size[1],
        height=size[0],
        source=source,
        estimator=loaded.name,
    )
