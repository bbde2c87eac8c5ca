"""Pose estimators: pictures in, the 128 DWPose points out."""

from poses.estimators.extract import ESTIMATORS, Estimator, create_estimator, extract_poses

__all__ = ["ESTIMATORS", "Estimator", "create_estimator", "extract_poses"]
