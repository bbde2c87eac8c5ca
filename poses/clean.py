"""Makes a clip steadier and fuller: jitter is filtered per part, short gaps are filled, frame rates changed."""

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float64

from poses.keypoints import PARTS
from poses.sequence import GlossSpan, PoseSequence

FILLED = 0.5
"""Confidence of a filled point, as a share of that of the less certain end of the gap."""

_SAME_TIME = 1e-6
"""Frames: what is nearer to a frame than this is that frame, but for rounding."""

_SPEED_CUTOFF_HZ = 1.0
_UNIT_OF_FRAME = 4
"""The frame's shorter side in units, where no shoulders are seen to measure by."""


@dataclass(frozen=True)
class Cutoff:
    """How strongly a part is smoothed.

    Attributes:
        at_rest_hz: Faster movement is taken for jitter while a point rests; lower is smoother.
        per_speed_hz: How much this rises with each shoulder width per second that a point moves; higher lags less.
    """

    at_rest_hz: float
    per_speed_hz: float


CUTOFFS = MappingProxyType(
    {
        "body": Cutoff(1.5, 2.0),
        "left_hand": Cutoff(3.0, 4.0),
        "right_hand": Cutoff(3.0, 4.0),
        "face": Cutoff(2.0, 4.0),
    }
)
"""Hands least, since fingers mean something; lips and brows move little and fast."""


def smooth(poses: PoseSequence) -> PoseSequence:
    """Filters jitter with a One-Euro filter for each part, forward and backward, so that nothing comes late.

    Each run of frames in which a point is seen is filtered on its own. Filter: Casiez, Roussel and Vogel, "1 Euro
    Filter", CHI 2012, https://gery.casiez.net/1euro; here a point's speed is one number for both coordinates.
    """
    unit = poses.shoulder_width_px()
    if not unit > 0:
        unit = min(poses.width, poses.height) / _UNIT_OF_FRAME
    points, seen = poses.pixels().astype(np.float64) / unit, poses.confidence > 0
    smoothed = np.empty_like(points)
    for part, where in PARTS.items():
        forward = one_euro(points[:, where], seen[:, where], poses.fps, CUTOFFS[part])
        backward = one_euro(points[::-1, where], seen[::-1, where], poses.fps, CUTOFFS[part])[::-1]
        smoothed[:, where] = (forward + backward) / 2
    keypoints = smoothed * unit / [poses.width, poses.height]
    return replace(poses, keypoints=np.where(seen[..., None], keypoints, 0).astype(np.float32))


def one_euro(
    points: Float64[np.ndarray, "frames points 2"], seen: Bool[np.ndarray, "frames points"], fps: float, cutoff: Cutoff
) -> Float64[np.ndarray, "frames points 2"]:
    """Runs the filter forward in time; it begins anew wherever a point is seen again."""
    smoothed = points.copy()
    speed = np.zeros(points.shape[1:])
    speed_share = _share(np.array(_SPEED_CUTOFF_HZ), fps)
    for t in range(1, len(points)):
        goes_on = (seen[t] & seen[t - 1])[:, None]
        speed = np.where(goes_on, speed + speed_share * ((points[t] - points[t - 1]) * fps - speed), 0)
        rate = cutoff.at_rest_hz + cutoff.per_speed_hz * np.linalg.norm(speed, axis=-1, keepdims=True)
        step = _share(rate, fps) * (points[t] - smoothed[t - 1])
        smoothed[t] = np.where(goes_on, smoothed[t - 1] + step, points[t])
    return smoothed


def _share(cutoff_hz: np.ndarray, fps: float) -> np.ndarray:
    """How much of a new value a low-pass filter takes."""
    return 1 / (1 + fps / (2 * math.pi * cutoff_hz))


def fill_gaps(poses: PoseSequence, *, longest_s: float) -> PoseSequence:
    """Puts points that were lost for a while on the straight line between where they were last and next seen.

    A filled point has `FILLED` times the confidence of the less certain of the two. Gaps at the clip's ends stay.

    Args:
        poses: A clip.
        longest_s: Seconds; longer gaps stay, too.

    Raises:
        ValueError: `longest_s` is negative.
    """
    if not longest_s >= 0:
        raise ValueError(f"`longest_s` must be 0 or more seconds, got {longest_s:g}.")
    seen = poses.confidence > 0
    times = np.arange(len(poses))[:, None]
    before = np.maximum.accumulate(np.where(seen, times, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, times, len(poses))[::-1], axis=0)[::-1]
    missing = after - before - 1
    fill = ~seen & (before >= 0) & (after < len(poses)) & (missing <= longest_s * poses.fps + 1e-6)
    t, point = fill.nonzero()
    start, stop = before[t, point], after[t, point]
    share = ((t - start) / (stop - start)).astype(np.float32)[:, None]
    keypoints, confidence = poses.keypoints.copy(), poses.confidence.copy()
    ends = poses.keypoints[start, point], poses.keypoints[stop, point]
    keypoints[t, point] = (1 - share) * ends[0] + share * ends[1]
    confidence[t, point] = FILLED * np.minimum(poses.confidence[start, point], poses.confidence[stop, point])
    return replace(poses, keypoints=keypoints, confidence=confidence)


def resample(poses: PoseSequence, fps: float, *, speed: float = 1.0) -> PoseSequence:
    """Changes the frame rate, and the speed, by linear interpolation in time.

    A new frame sees a point only where both frames it lies between do; `glosses` move along.

    Args:
        poses: A clip.
        fps: Frames per second of the result.
        speed: 2 plays the clip in half its time.
    """
    step = poses.fps / fps * speed
    if step == 1:
        return poses
    times = np.arange(0, len(poses) - 1 + _SAME_TIME, step)
    before = (times + _SAME_TIME).astype(int)
    weight = np.maximum(times - before, 0).astype(np.float32)
    after = np.where(weight < _SAME_TIME, before, np.minimum(before + 1, len(poses) - 1))
    confidence = np.minimum(poses.confidence[before], poses.confidence[after])
    blend = poses.keypoints[before] + weight[:, None, None] * (poses.keypoints[after] - poses.keypoints[before])
    glosses = tuple(
        GlossSpan(span.gloss, start, max(min(round(span.stop / step), len(times)), start + 1))
        for span in poses.glosses
        for start in [min(round(span.start / step), len(times) - 1)]
    )
    keypoints = np.where(confidence[..., None] > 0, blend, 0).astype(np.float32)
    return replace(poses, keypoints=keypoints, confidence=confidence, fps=fps, glosses=glosses)
