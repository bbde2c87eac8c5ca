"""Poses: the value both halves of the loop stand on, its file formats, drawing and estimation."""

import os

from poses.sequence import GlossSpan, PoseFileError, PoseSequence

__all__ = ["GlossSpan", "PoseFileError", "PoseSequence"]

# onnxruntime, which diffusers imports wherever it finds it, reports its use to its makers from then on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
