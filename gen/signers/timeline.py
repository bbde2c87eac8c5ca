"""What happens over the frames of a clip: smoothing in seconds, gaps."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d


def smooth(values: Float[np.ndarray, "frames ..."], seconds: float, fps: float) -> Float[np.ndarray, "frames ..."]:
    """Gaussian mean over time; frames more than five times as far apart stay as they are."""
    if seconds * fps < 0.2:
        return values
    return gaussian_filter1d(values, seconds * fps, axis=0, mode="nearest")


def interpolate(values: Float[np.ndarray, "frames ..."], seen: Bool[np.ndarray, " frames"]) -> np.ndarray:
    """Straight lines across gaps, the nearest value at the ends; `seen` must hold somewhere."""
    frames = np.arange(len(values))
    known = np.flatnonzero(seen)
    columns = values[known].reshape(len(known), -1).T
    return np.stack([np.interp(frames, known, column) for column in columns], axis=-1).reshape(values.shape)


def bridge(seen: Bool[np.ndarray, " frames"], longest: int) -> Bool[np.ndarray, " frames"]:
    """Where something was seen, gaps of fewer than `longest` frames included."""
    bridged = seen.copy()
    for start, stop in pairwise(np.flatnonzero(seen)):
        if stop - start <= longest:
            bridged[start:stop] = True
    return bridged


def ease(seen: Bool[np.ndarray, " frames"], frames: int) -> Float[np.ndarray, " frames"]:
    """1 where something was seen, 0 where that is more than `frames` away, smoothly between."""
    known = np.flatnonzero(seen)
    if len(known) == 0:
        return np.zeros(len(seen))
    every = np.arange(len(seen))
    after = np.searchsorted(known, every).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    distance = np.minimum(np.abs(known[after] - every), np.abs(known[before] - every))
    share = np.clip(1 - distance / (frames + 1), 0, 1)
    return share * share * (3 - 2 * share)
