"""Poses: the value both halves of the loop stand on, its file formats, drawing and estimation."""

from poses.sequence import GlossSpan, PoseFileError, PoseSequence

__all__ = ["GlossSpan", "PoseFileError", "PoseSequence"]
