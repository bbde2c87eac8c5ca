"""What every reader checks before it hands out a clip."""

import numpy as np

from poses.sequence import GlossSpan, PoseFileError, PoseSequence

_FARTHEST = 100
"""Frame widths or heights. Estimators put lost points just outside the frame; farther ones are damage, or pixels."""

_LARGEST_FRAME = 65_535
_SMALLEST_FPS, _LARGEST_FPS = 0.1, 1000


def check_facts(path: object, *, fps: float, width: int, height: int) -> None:
    """Refuses a frame rate and a frame size that no video has.

    Args:
        path: The file, for messages.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.

    Raises:
        PoseFileError: One cannot be true.
    """
    if not (0 < width <= _LARGEST_FRAME and 0 < height <= _LARGEST_FRAME):
        raise PoseFileError(
            f"{path}: must state a frame size of 1 to {_LARGEST_FRAME} pixels, found {width} x {height}."
        )
    if not _SMALLEST_FPS <= fps <= _LARGEST_FPS:
        raise PoseFileError(f"{path}: must state {_SMALLEST_FPS} to {_LARGEST_FPS} frames per second, found {fps:g}.")


def checked_sequence(
    path: object,
    keypoints: np.ndarray,
    confidence: np.ndarray,
    *,
    fps: float,
    width: int,
    height: int,
    language: str = "",
    glosses: tuple[GlossSpan, ...] = (),
    estimator: str = "",
) -> PoseSequence:
    """Builds the clip that a file holds. Points that were not seen go to (0, 0).

    Args:
        path: The file, for messages and as the clip's source.
        keypoints: x / frame width and y / frame height, [frames, 128, 2].
        confidence: 0 (not seen) to 1, [frames, 128].

    Raises:
        PoseFileError: A number cannot be true, or nobody is in the clip.
    """
    if len(keypoints) == 0:
        raise PoseFileError(f"{path}: must hold at least one frame, found none.")
    check_facts(path, fps=fps, width=width, height=height)
    with np.errstate(over="ignore", invalid="ignore"):
        keypoints, confidence = keypoints.astype(np.float32), confidence.astype(np.float32)
    seen = confidence > 0
    keypoints = np.where(seen[..., None], keypoints, np.float32(0))
    finite = np.isfinite(keypoints).all(axis=(1, 2)) & np.isfinite(confidence).all(axis=1)
    if not finite.all():
        raise PoseFileError(f"{path}: must hold finite numbers, found NaN or infinity in frame {finite.argmin()}.")
    if not seen.any():
        raise PoseFileError(f"{path}: must show a person, but nobody is in any of its {len(seen)} frames.")
    farthest = np.abs(keypoints).max()
    if farthest > _FARTHEST:
        raise PoseFileError(f"{path}: must hold points in or near the frame, found one {farthest:g} frame sizes away.")
    try:
        return PoseSequence(keypoints, confidence, fps, width, height, str(path), language, glosses, estimator)
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from None
