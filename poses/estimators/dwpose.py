"""DWPose through rtmlib: the two ONNX files that SignVerse-2M was made with."""

import contextlib
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from poses.estimators.weights import missing_weights
from poses.formats.coco_wholebody import coco_wholebody_to_dwpose

_HUB = "https://huggingface.co/yzd-v/DWPose/resolve/main/"
_DETECTOR, _POSE = "yolox_l.onnx", "dw-ll_ucoco_384.onnx"
_PERSON = 0


class DWPoseEstimator:
    """Finds people with YOLOX-L and estimates the 133 COCO-WholeBody points of the largest with DWPose-L, 384 x 288.

    Every frame stands alone. Confidence is the mean height of the two SimCC peaks, capped at 1; the pipeline of
    SignVerse-2M took the lower one.
    """

    name = "dwpose"

    def __init__(self):
        import rtmlib

        self.version = f"rtmlib {version('rtmlib')}, {_DETECTOR}, {_POSE}"
        detector, pose = _fetch(_DETECTOR), _fetch(_POSE)
        self._detect = _load(rtmlib.YOLOX, detector, model_input_size=(640, 640), det_mode="multiclass", score_thr=0.3)
        self._estimate = _load(rtmlib.RTMPose, pose, model_input_size=(288, 384))

    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        # RGB for both, as SignVerse-2M's pipeline did.
        boxes, classes = self._detect(frame)
        boxes = boxes[classes == _PERSON]
        if len(boxes) == 0:  # without a box RTMPose takes the whole picture for a person
            return np.zeros((128, 2), np.float32), np.zeros(128, np.float32)
        sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        keypoints, scores = self._estimate(frame, bboxes=[boxes[sizes.argmax()]])
        height, width = frame.shape[:2]
        return coco_wholebody_to_dwpose(
            (keypoints[0] / (width, height)).astype(np.float32), np.clip(scores[0], 0, 1).astype(np.float32)
        )

    def reset(self) -> None:
        """Forgets nothing: frames stand alone."""

    def close(self) -> None:
        """Frees both networks."""
        del self._detect, self._estimate


def _fetch(file: str) -> str:
    """Finds a weight file in rtmlib's cache, or fetches it there."""
    from rtmlib.tools.file import download_checkpoint

    try:
        return download_checkpoint(_HUB + file)
    except OSError:
        raise missing_weights(file, _HUB + file) from None


def _load(network: Callable[..., Any], file: str, **settings: Any) -> Any:
    """Loads a weight file, which rtmlib keeps in its cache even where the connection broke off in the middle of it."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # rtmlib prints what it loads
            return network(file, **settings)
    except Exception as error:  # what ONNX Runtime raises has nothing else in common
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ValueError(
            f"{file}: this weight file cannot be loaded ({reason}). Once deleted, it is fetched anew."
        ) from error
