"""Pose estimators by name: those of `poses`, and SignX's Video2Pose, which stands on the recognizer."""

from pathlib import Path

from poses.estimators import ESTIMATORS as POSE_ESTIMATORS
from poses.estimators import Estimator
from poses.estimators import create_estimator as create_pose_estimator

ESTIMATORS = (*POSE_ESTIMATORS, "video2pose")
"""What `--estimator` takes; `video2pose=FOLDER` is a Video2Pose of your own instead of the package's."""


def create_estimator(name: str) -> Estimator:
    """Loads the estimator called `name`.

    Raises:
        ValueError: `name` is not one of `ESTIMATORS`, or its weights are neither here nor to be fetched.
    """
    chosen, has_folder, folder = name.partition("=")
    if chosen not in ESTIMATORS or (has_folder and chosen != "video2pose"):
        raise ValueError(f"`estimator` must be one of {', '.join(ESTIMATORS)}, got {name!r}.")
    if chosen != "video2pose":
        return create_pose_estimator(name)
    from recognizer.video2pose_estimator import WEIGHTS, Video2PoseEstimator

    return Video2PoseEstimator(Path(folder) if has_folder else WEIGHTS)
