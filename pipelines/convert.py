"""Converts a clip into another format, cleaned and retargeted on the way, and says what was lost."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.progress import Stages
from poses.clean import fill_gaps, resample, smooth
from poses.formats.frame_runs import MAX_FRAMES
from poses.io import load_poses, save_poses
from poses.keypoints import PARTS
from poses.retarget import bone_ratios, displace, find_displacement
from poses.sequence import PoseSequence


@dataclass(frozen=True)
class Losses:
    """What a file does not hold of the clip that was written to it, found by reading it back.

    Attributes:
        points: Points seen before and not after, by part, counted in every frame.
        largest_shift_px: How far a point moved, in pixels of the clip.
        largest_confidence_change: How much more or less certain a point became.
        glosses: How many glosses.
        language: The code of the language, empty where it was kept.
        estimator: Who found the points, empty where it was kept.
        frame: Width and height of the clip, where the file has others.
    """

    points: dict[str, int]
    largest_shift_px: float
    largest_confidence_change: float
    glosses: int
    language: str
    estimator: str
    frame: tuple[int, int] | None


@dataclass(frozen=True)
class Conversion:
    """What was done to a clip.

    Attributes:
        output: What was written.
        num_frames: How many frames it has.
        fps: Its frames per second.
        source_fps: Those of the clip that was read.
        bone_ratios: How many times as long each bone became; empty without a reference.
        filled_points: Points put into gaps, counted in every frame.
        lost: What the file does not hold.
    """

    output: str
    num_frames: int
    fps: float
    source_fps: float
    bone_ratios: dict[str, float]
    filled_points: int
    lost: Losses

    def facts(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def convert_poses(
    poses: PoseSequence,
    output: Path,
    *,
    format: str | None = None,
    reference: PoseSequence | None = None,
    smoothed: bool = False,
    longest_gap_s: float = 0.0,
    fps: float | None = None,
    overwrite: bool = False,
    stages: Stages | None = None,
) -> Conversion:
    """Fills gaps, smooths, retargets, resamples, writes, and reads back what was written.

    Args:
        poses: The clip.
        output: A file, or a folder for formats of one file a frame.
        format: A name of `poses.io.FORMATS`; by default that of the suffix.
        reference: A clip of the signer whose proportions to take.
        smoothed: Whether to filter jitter.
        longest_gap_s: Seconds up to which points that were lost are filled in.
        fps: Frames per second to resample to.
        overwrite: Whether a file that is already there may be replaced.
        stages: Times and shows the stages.

    Raises:
        ValueError: A value cannot be, the format cannot hold the clip, or `output` is taken.
    """
    stages = stages or Stages()
    with stages.stage("clean"):
        cleaned = fill_gaps(poses, longest_s=longest_gap_s)
        filled = int((cleaned.confidence > 0).sum() - (poses.confidence > 0).sum())
        if smoothed:
            cleaned = smooth(cleaned)
        ratios = bone_ratios(cleaned, reference) if reference else {}
        if ratios:
            cleaned = displace(cleaned, find_displacement(cleaned, ratios))
        if fps is not None:
            cleaned = _resampled(cleaned, fps)
    with stages.stage("write"):
        save_poses(cleaned, output, format=format, overwrite=overwrite)
    with stages.stage("compare"):
        written = load_poses(output)
    return Conversion(
        output=str(output),
        num_frames=len(written),
        fps=written.fps,
        source_fps=poses.fps,
        bone_ratios={bone: round(ratio, 4) for bone, ratio in ratios.items()},
        filled_points=filled,
        lost=find_losses(cleaned, written),
    )


def find_losses(poses: PoseSequence, written: PoseSequence) -> Losses:
    """Compares a clip with the file it was written to, whose frame may be a piece from its middle.

    Args:
        poses: The clip.
        written: What the file holds.
    """
    assert len(poses) == len(written), "a format lost frames"
    frame, kept_frame = np.array([poses.width, poses.height]), np.array([written.width, written.height])
    before, after = poses.confidence, written.confidence
    kept = (before > 0) & (after > 0)
    shift = np.abs(written.pixels() + (frame - kept_frame) / 2 - poses.pixels())[kept]
    gone = (before > 0) & (after == 0)
    return Losses(
        points={part: int(gone[:, where].sum()) for part, where in PARTS.items()},
        largest_shift_px=round(float(shift.max(initial=0)), 3),
        largest_confidence_change=round(float(np.abs(after - before)[kept].max(initial=0)), 3),
        glosses=len(poses.glosses) if written.glosses != poses.glosses else 0,
        language=poses.language if written.language != poses.language else "",
        estimator=poses.estimator if written.estimator != poses.estimator else "",
        frame=None if (frame == kept_frame).all() else (poses.width, poses.height),
    )


def summary(conversion: Conversion) -> str:
    """The same in words."""
    lost = conversion.lost
    points = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in lost.points.items() if count)
    losses = [
        f"points ({points})" * bool(points),
        f"up to {lost.largest_shift_px:g} px of place" * (lost.largest_shift_px > 0),
        f"up to {lost.largest_confidence_change:g} of confidence" * (lost.largest_confidence_change > 0),
        f"{lost.glosses} glosses" * bool(lost.glosses),
        "the language" * bool(lost.language),
        "who found the points" * bool(lost.estimator),
        "the frame around its middle square" * (lost.frame is not None),
    ]
    ratios = ", ".join(f"{bone.replace('_', ' ')} {ratio:.2f}" for bone, ratio in conversion.bone_ratios.items())
    lines = [
        f"{conversion.output}: {conversion.num_frames} frames at {conversion.fps:g} frames per second.",
        f"Filled: {conversion.filled_points} points, less certain than those around them."
        * bool(conversion.filled_points),
        f"Times as long: {ratios}." * bool(ratios),
        f"Lost: {', '.join(filter(None, losses)) or 'nothing'}.",
    ]
    return "\n".join(filter(None, lines))


def _resampled(poses: PoseSequence, fps: float) -> PoseSequence:
    if not 0.1 <= fps <= 1000:
        raise ValueError(f"`fps` must be 0.1 to 1000 frames per second, got {fps:g}.")
    if len(poses) * fps / poses.fps > MAX_FRAMES:
        raise ValueError(f"`fps` must give at most {MAX_FRAMES} frames, got {fps:g} for {poses.duration_s:.0f} s.")
    return resample(poses, fps)
