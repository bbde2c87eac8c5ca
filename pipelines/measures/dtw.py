"""Distances between two movements that may differ in tempo, by dynamic time warping.

Four definitions are in use in this field; they differ, and figures of one must not be put beside figures of another:

* **DTWp** and **nDTWp** (Jiang et al., WMT 2025, https://arxiv.org/abs/2510.07453; `pose-evaluation`): hands only, one
  warping a point, root of summed squares, mean over points. What is missing lies at 10 in each coordinate.
* **DTW-MJE** (Saunders et al., "Progressive Transformers", https://arxiv.org/abs/2004.14874): one warping for all
  points together, sum of absolute differences, divided by the length of the reference.
* **nDTW-MJE** (Shalev-Arkushin et al., "Ham2Pose", https://arxiv.org/abs/2211.13613): one warping a point, a missing
  point costs half its distance from the origin, mean over points. The paper's path is approximate, ours exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from dtaidistance import dtw_ndim
from jaxtyping import Bool, Float
from scipy.spatial.distance import cdist

from poses.keypoints import NAMES, PARTS, index
from poses.sequence import PoseSequence

MISSING = 10.0
"""Where DTWp and nDTWp put a coordinate that is missing, as `pose-evaluation` does."""

MAX_FRAMES = 4096
"""Longest clip that is warped: work grows with the square of the length."""

CELLS_AT_ONCE = 2_000_000
"""Most cells of cost matrices that are in memory together."""

HANDS = list(range(*PARTS["left_hand"].indices(len(NAMES)))) + list(range(*PARTS["right_hand"].indices(len(NAMES))))
UPPER_BODY = index(
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"
)


@dataclass(frozen=True)
class WarpedDistances:
    """The four distances of a clip. 0 is equal; the larger, the further. None where nothing could be measured.

    Attributes:
        dtwp: In pixels.
        ndtwp: In shoulder widths.
        dtw_mje: In shoulder widths a frame, summed over coordinates.
        ndtw_mje: In shoulder widths, summed along the path.
    """

    dtwp: float | None = None
    ndtwp: float | None = None
    dtw_mje: float | None = None
    ndtw_mje: float | None = None


def measure_warped(reference: PoseSequence, hypothesis: PoseSequence, *, min_confidence: float) -> WarpedDistances:
    """Measures how far a movement is from another, whatever their tempo.

    Args:
        reference: The driving pose.
        hypothesis: What was found, at the same frame rate.
        min_confidence: Certainty below which a point is missing.
    """
    if max(len(reference), len(hypothesis)) > MAX_FRAMES:
        return WarpedDistances()
    clips = [
        (poses.pixels().astype(np.float64), poses.confidence >= min_confidence) for poses in (reference, hypothesis)
    ]
    hands = [_filled_hands(pixels, seen) for pixels, seen in clips]
    dtwp = mean_trajectory_distance(*hands)
    normal = [(in_shoulder_widths(pixels, seen), seen) for pixels, seen in clips]
    if not all(np.isfinite(pixels).all() for pixels, _ in normal):
        return WarpedDistances(dtwp=dtwp)
    points = UPPER_BODY + HANDS
    (ref, ref_seen), (hyp, hyp_seen) = [(pixels[:, points], seen[:, points]) for pixels, seen in normal]
    return WarpedDistances(
        dtwp=dtwp,
        ndtwp=mean_trajectory_distance(*[_filled_hands(pixels, seen) for pixels, seen in normal]),
        dtw_mje=joint_distance(np.where(ref_seen[..., None], ref, 0), np.where(hyp_seen[..., None], hyp, 0)),
        ndtw_mje=masked_joint_distance(ref, ref_seen, hyp, hyp_seen),
    )


def in_shoulder_widths(
    pixels: Float[np.ndarray, "frames 128 2"], seen: Bool[np.ndarray, "frames 128"]
) -> Float[np.ndarray, "frames 128 2"]:
    """Moves the mean point between the shoulders to 0 and their mean distance to 1, as pose-format's `normalize` does.

    NaN throughout where they are never both seen.
    """
    shoulders = index("right_shoulder", "left_shoulder")
    right, left = pixels[seen[:, shoulders].all(axis=1)][:, shoulders].swapaxes(0, 1)
    width = np.linalg.norm(right - left, axis=1).mean() if len(right) else 0
    return (pixels - (right + left).mean(axis=0) / 2) / width if width > 0 else np.full_like(pixels, np.nan)


def mean_trajectory_distance(
    reference: Float[np.ndarray, "ref_frames points dims"], hypothesis: Float[np.ndarray, "hyp_frames points dims"]
) -> float:
    """Mean over points of dtaidistance's DTW: each point warped by itself, the root of summed squared distances.

    The formula of `pose-evaluation`'s `DTWDTAIImplementationDistanceMeasure`
    (https://github.com/sign-language-processing/pose-evaluation/blob/d8129232615f540b3ad332298a8ba6a309c08e0b/pose_evaluation/metrics/dtw_metric.py#L166).
    """
    pairs = zip(_trajectories(reference), _trajectories(hypothesis), strict=True)
    return float(np.mean([dtw_ndim.distance_fast(hyp, ref) for ref, hyp in pairs]))


def joint_distance(
    reference: Float[np.ndarray, "ref_frames points dims"], hypothesis: Float[np.ndarray, "hyp_frames points dims"]
) -> float:
    """DTW of whole poses: absolute differences summed over coordinates and path, over the reference's length."""
    flat = [poses.reshape(len(poses), -1) for poses in (reference, hypothesis)]
    return float(warped_cost(cdist(*flat, metric="cityblock")[None])[0] / len(reference))


def masked_joint_distance(
    reference: Float[np.ndarray, "ref_frames points dims"],
    reference_seen: Bool[np.ndarray, "ref_frames points"],
    hypothesis: Float[np.ndarray, "hyp_frames points dims"],
    hypothesis_seen: Bool[np.ndarray, "hyp_frames points"],
) -> float:
    """Mean over points of a DTW in which a point costs nothing where the reference lacks it.

    Where the hypothesis lacks it, it costs half of how far the reference is from the origin.
    """
    totals = []
    for points in _blocks(reference.shape[1], len(reference) * len(hypothesis)):
        ref, hyp = reference[:, points].T, hypothesis[:, points].T  # dims x points x frames
        cost = np.sqrt(sum((r[:, :, None] - h[:, None]) ** 2 for r, h in zip(ref, hyp, strict=True)))
        lost = np.linalg.norm(ref, axis=0)[:, :, None] / 2
        cost = np.where(hypothesis_seen[:, points].T[:, None], cost, lost)
        totals.append(warped_cost(cost * reference_seen[:, points].T[:, :, None]))
    return float(np.concatenate(totals).mean())


def warped_cost(cost: Float[np.ndarray, "pairs rows columns"]) -> Float[np.ndarray, " pairs"]:
    """Cheapest way through each matrix from its first corner to its last, a step being right, down or both.

    All cells of an antidiagonal depend only on the two before it, so each is one operation over all pairs.
    """
    pairs, rows, columns = cost.shape
    flipped = cost[:, :, ::-1]
    # Column r + 1 stands for row r; the first is a border that no way comes from.
    before_last, last = np.full((2, pairs, rows + 1), np.inf)
    before_last[:, 0] = 0
    for number in range(rows + columns - 1):
        first, stop = max(0, number - columns + 1), min(number, rows - 1) + 1
        cells = np.diagonal(flipped, columns - 1 - number, 1, 2)
        cheapest = np.minimum(
            np.minimum(last[:, first:stop], last[:, first + 1 : stop + 1]), before_last[:, first:stop]
        )
        now = np.full((pairs, rows + 1), np.inf)
        now[:, first + 1 : stop + 1] = cells + cheapest
        before_last, last = last, now
    return last[:, rows]


def _filled_hands(
    pixels: Float[np.ndarray, "frames 128 2"], seen: Bool[np.ndarray, "frames 128"]
) -> Float[np.ndarray, "kept 42 2"]:
    """Hands from the first frame in which one is seen to the last; all frames where none ever is."""
    seen = seen[:, HANDS]
    shown = np.flatnonzero(seen.any(axis=1))
    span = slice(shown[0], shown[-1] + 1) if len(shown) else slice(None)
    return np.where(seen[span, :, None], pixels[span][:, HANDS], MISSING)


def _trajectories(poses: Float[np.ndarray, "frames points dims"]) -> Float[np.ndarray, "points frames dims"]:
    return np.ascontiguousarray(poses.swapaxes(0, 1), dtype=np.float64)


def _blocks(points: int, cells: int) -> Iterator[slice]:
    """Slices of points whose matrices together stay small."""
    size = max(1, CELLS_AT_ONCE // cells)
    yield from (slice(first, first + size) for first in range(0, points, size))
