"""How much of a driving pose survives in a video of it: pure functions on keypoints.

The driving pose is the reference, the pose re-extracted from the video the hypothesis. Both have the same frames and
lie in the same picture. Every figure looks only where the reference is visible: what was not asked for cannot be lost.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from pipelines.output import Fidelity, PartFidelity
from poses.keypoints import PARTS, index
from poses.sequence import PoseSequence

VISIBLE_CONFIDENCE = 0.3
"""Certainty from which a point counts as seen; DWPose draws no point below it."""

WRISTS = index("right_wrist", "left_wrist")


def visible_points(poses: PoseSequence) -> Bool[np.ndarray, "frames 128"]:
    """Tells which points are seen with confidence and lie inside the frame, where a picture can show them."""
    inside = ((poses.keypoints >= 0) & (poses.keypoints <= 1)).all(axis=2)
    return inside & (poses.confidence >= VISIBLE_CONFIDENCE)


def keypoint_error(
    reference: Float[np.ndarray, "frames points 2"],
    hypothesis: Float[np.ndarray, "frames points 2"],
    found: Bool[np.ndarray, "frames points"],
) -> Float[np.ndarray, "frames points"]:
    """Distance between two sets of points in their own unit, NaN where `found` is not set."""
    return np.where(found, np.linalg.norm(hypothesis - reference, axis=2), np.nan)


def measure_part(
    error: Float[np.ndarray, "frames points"],
    visible: Bool[np.ndarray, "frames points"],
    found: Bool[np.ndarray, "frames points"],
) -> PartFidelity:
    """Sums up one part of the body.

    Mean error is over the points that were found: of those that were not, it says nothing, and recall, beside it, does.
    PCK@a (percentage of correct keypoints, Yang and Ramanan 2013, https://doi.org/10.1109/TPAMI.2012.261, here with
    the shoulder width as the unit) is over all visible points: one that was not found is wrong.

    Args:
        error: In shoulder widths; NaN throughout where the shoulders were never seen.
        visible: Visible in the reference.
        found: Visible in the reference and found in the hypothesis.
    """
    num_visible, num_found = int(visible.sum()), int(found.sum())
    if not num_visible:
        return PartFidelity(visible_points=0, recall=None, mean_error=None, pck_0_1=None, pck_0_2=None)
    distances = error[found]
    measurable = not np.isnan(distances).any()
    return PartFidelity(
        visible_points=num_visible,
        recall=num_found / num_visible,
        mean_error=float(distances.mean()) if num_found and measurable else None,
        pck_0_1=int((distances <= 0.1).sum()) / num_visible if measurable else None,
        pck_0_2=int((distances <= 0.2).sum()) / num_visible if measurable else None,
    )


def movement_ratio(
    reference: Float[np.ndarray, "frames points 2"],
    hypothesis: Float[np.ndarray, "frames points 2"],
    found: Bool[np.ndarray, "frames points"],
) -> float | None:
    """Length of the path that points took in the hypothesis over that in the reference.

    Below 1 the signer moves too little, which distances alone can reward; above 1 too much, or the estimator trembles.
    A step counts where both of its ends were found, so both paths are made of the same steps. The SLRTP 2025
    challenge prints the same ratio beside its distances, for that reason.

    Returns:
        None where the reference does not move or too little was found.
    """
    steps = found[1:] & found[:-1]
    asked = np.linalg.norm(np.diff(reference, axis=0), axis=2)[steps].sum()
    shown = np.linalg.norm(np.diff(hypothesis, axis=0), axis=2)[steps].sum()
    return float(shown / asked) if asked > 0 else None


def jerk_ratio(
    reference: Float[np.ndarray, "frames points 2"],
    hypothesis: Float[np.ndarray, "frames points 2"],
    found: Bool[np.ndarray, "frames points"],
) -> float | None:
    """Mean jerk (third difference in time) of points in the hypothesis over that in the reference.

    Above 1 the video, or the estimator in it, trembles; below 1 it is smoother than was asked for.

    Returns:
        None where the reference has none or fewer than four frames in a row were found.
    """
    if len(found) < 4:
        return None
    runs = found[3:] & found[2:-1] & found[1:-2] & found[:-3]
    asked, shown = (
        np.linalg.norm(np.diff(points, 3, axis=0), axis=2)[runs].sum() for points in (reference, hypothesis)
    )
    return float(shown / asked) if asked > 0 else None


def hand_presence(visible: Bool[np.ndarray, "frames 128"], found: Bool[np.ndarray, "frames 128"]) -> float | None:
    """Share of the hands to be seen, left and right in every frame, of which at least half of the points were found."""
    sides = [PARTS["left_hand"], PARTS["right_hand"]]
    asked = np.stack([visible[:, side].mean(axis=1) >= 0.5 for side in sides])
    shown = np.stack([found[:, side].sum(axis=1) >= 0.5 * visible[:, side].sum(axis=1) for side in sides])
    return float(shown[asked].mean()) if asked.any() else None


def fit_length(poses: PoseSequence, num_frames: int) -> PoseSequence:
    """Makes a clip `num_frames` long: what is too long is left out, what is too short goes on with nothing seen."""
    if len(poses) >= num_frames:
        return replace(poses[:num_frames], glosses=())
    missing = ((0, num_frames - len(poses)), (0, 0))
    return replace(
        poses,
        keypoints=np.pad(poses.keypoints, (*missing, (0, 0))),
        confidence=np.pad(poses.confidence, missing),
    )


def segment_means(values: Sequence[float | None], num_segments: int = 4) -> list[float | None]:
    """Mean of each of equal stretches of a clip; None for a stretch without a value."""
    parts = np.array_split(np.array([np.nan if value is None else value for value in values]), num_segments)
    return [float(np.nanmean(part)) if np.isfinite(part).any() else None for part in parts]


def measure_fidelity(driving: PoseSequence, reextracted: PoseSequence, *, estimator: str) -> Fidelity:
    """Compares a driving pose with the pose re-extracted from its video, frame by frame.

    The unit is the driving pose's shoulder width: the median over the clip, since a turning signer's shoulders
    foreshorten.

    Args:
        driving: As it was put into the rendered frame.
        reextracted: From the video, in the same frame.
        estimator: Name and version of what found it, for the signature.

    Raises:
        ValueError: The two differ in their number of frames or in frame size.
    """
    if len(driving) != len(reextracted):
        raise ValueError(
            f"`reextracted` must have the {len(driving)} frames of the driving pose, got {len(reextracted)}."
        )
    if (driving.width, driving.height) != (reextracted.width, reextracted.height):
        raise ValueError(
            f"`reextracted` must lie in the driving pose's frame of {driving.width} x {driving.height}, "
            f"got {reextracted.width} x {reextracted.height}."
        )
    # NaN without shoulders, or where both lie in one place: then recall and movement are known, distances are not.
    unit = driving.shoulder_width_px()
    visible = visible_points(driving)
    found = visible & (reextracted.confidence >= VISIBLE_CONFIDENCE)
    reference, hypothesis = driving.pixels(), reextracted.pixels()
    error = keypoint_error(reference, hypothesis, found) / unit
    return Fidelity(
        parts={
            part: measure_part(error[:, points], visible[:, points], found[:, points]) for part, points in PARTS.items()
        },
        movement_ratio=movement_ratio(reference[:, WRISTS], hypothesis[:, WRISTS], found[:, WRISTS]),
        shoulder_width_px=unit if np.isfinite(unit) else None,
        error_over_time={part: _mean_by_frame(error[:, points], found[:, points]) for part, points in PARTS.items()},
        recall_over_time={
            part: _mean_by_frame(found[:, points].astype(np.float32), visible[:, points])
            for part, points in PARTS.items()
        },
        signature=(
            f"layout:dwpose128|unit:median-shoulder-width|visible:{VISIBLE_CONFIDENCE}-inside|estimator:{estimator}"
            f"|frame:{driving.width}x{driving.height}|fps:{driving.fps:g}|v1"
        ),
    )


def _mean_by_frame(
    values: Float[np.ndarray, "frames points"], counted: Bool[np.ndarray, "frames points"]
) -> list[float | None]:
    means = [float(frame[mask].mean()) if mask.any() else np.nan for frame, mask in zip(values, counted, strict=True)]
    return [round(mean, 4) if np.isfinite(mean) else None for mean in means]
