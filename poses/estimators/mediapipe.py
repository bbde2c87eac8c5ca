"""MediaPipe Holistic: the estimator whose models come inside its package, so that it works offline."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from poses.formats.mediapipe import holistic_to_dwpose
from poses.quiet import quiet_stderr


class MediaPipeEstimator:
    """Tracks one person with MediaPipe Holistic 0.10.14: 33 body, 478 face and 2 x 21 hand points.

    Body confidence is MediaPipe's visibility. For hands and face it gives none: 1 where the part was found, else 0.
    """

    name = "mediapipe"

    def __init__(self):
        import mediapipe

        self.version = f"mediapipe {mediapipe.__version__}"
        # Said by protobuf 4 about mediapipe's own call, once for every packet type.
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\) is deprecated")
        # Its results are named tuples made at run time, which no type checker sees.
        self._create: Callable[..., Any] = mediapipe.solutions.holistic.Holistic
        self._holistic: Any = None

    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        if self._holistic is None:
            # MediaPipe's C++ core logs before its logging has been set up, so that no log level holds it back.
            with quiet_stderr():
                # 1 is the only complexity whose model is inside the package; refined landmarks follow lips and eyes.
                self._holistic = self._create(model_complexity=1, refine_face_landmarks=True)
                found = self._holistic.process(frame)
        else:
            found = self._holistic.process(frame)
        return holistic_to_dwpose(
            _array(found.pose_landmarks, 33, "visibility"),
            _array(found.face_landmarks, 478),
            _array(found.left_hand_landmarks, 21),
            _array(found.right_hand_landmarks, 21),
        )

    def reset(self) -> None:
        """Forgets the video so far; the next frame starts another."""
        self.close()

    def close(self) -> None:
        """Frees the tracker."""
        if self._holistic is not None:
            self._holistic.close()
            self._holistic = None


def _array(landmarks: Any, count: int, *extra: str) -> np.ndarray | None:
    """Gives x, y and `extra` of MediaPipe's landmarks, or None for a part that was not found."""
    if landmarks is None:
        return None
    fields = ("x", "y", *extra)
    points = np.array([[getattr(point, field) for field in fields] for point in landmarks.landmark], np.float32)
    assert points.shape == (count, len(fields)), points.shape
    return points
