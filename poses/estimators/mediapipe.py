"""MediaPipe Holistic: the estimator whose models come inside its package, so that it works offline."""

from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from poses.estimators.holistic import HolisticGraph, import_mediapipe
from poses.formats.mediapipe import holistic_to_dwpose
from poses.keypoints import NUM_KEYPOINTS, PARTS, index
from poses.quiet import quiet_stderr

LEAST_WRIST_CONFIDENCE = 0.3
"""A wrist less sure than this is no place to look for a hand."""

SQUARE_WIDTH = 1.2
"""Side of the square in which a lost hand is looked for, in shoulder widths: two hands' lengths."""

FARTHEST_WRIST = 0.3
"""How far a hand's wrist may lie from the arm's, in shoulder widths; farther off it is another hand, or none."""

REACH = 0.35
"""How far beyond the wrist the square's middle lies, in forearm lengths."""

LEAST_PALM_SCORE = 0.3
"""The square holds a hand nearly always, so that less is asked of a palm than MediaPipe's 0.5."""

FIRST_PIXEL = 0.5
"""Where the middle of the first pixel is. Points of hands and faces are counted from there: on renders whose points are
known they lie half a pixel too far left and up, on mirrored ones too."""

_COUNTED = np.arange(NUM_KEYPOINTS) >= PARTS["left_hand"].start
"""Points of hands and face."""


class MediaPipeEstimator:
    """Tracks one person with MediaPipe Holistic 0.10.14: 33 body, 478 face and 2 x 21 hand points.

    Holistic guesses from the arm where a hand is and loses hands seen from the side or pointing down. MediaPipe Hands,
    which looks for palms, then looks again about the wrist.

    Body confidence is MediaPipe's visibility. For hands and face it gives none: 1 where the part was found, else 0.
    """

    name = "mediapipe"

    def __init__(self):
        self.version = f"mediapipe {version('mediapipe')}"
        self._holistic: HolisticGraph | None = None
        # Its results are named tuples made at run time, which no type checker sees.
        self._hands: Any = None

    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        if self._holistic is None:
            self._holistic = HolisticGraph(import_mediapipe())
        pose, face, left_hand, right_hand = self._holistic.find(frame)
        size = np.array([frame.shape[1], frame.shape[0]], np.float32)
        keypoints, confidence = holistic_to_dwpose(
            _array(pose, 33, "visibility"), _array(face, 478), _array(left_hand, 21), _array(right_hand, 21)
        )
        for side, other in (("right", "left"), ("left", "right")):
            hand, other_hand = PARTS[f"{side}_hand"], PARTS[f"{other}_hand"]
            if confidence[hand].any():
                continue
            points = self._look_again(frame, keypoints, confidence, side)
            taken = confidence[other_hand].any()
            if points is not None and not (taken and _same(points * size, keypoints[other_hand] * size)):
                keypoints[hand], confidence[hand] = points, 1
        counted = (confidence > 0) & _COUNTED
        keypoints[counted] += np.float32(FIRST_PIXEL) / size
        return keypoints, confidence

    def _look_again(
        self, frame: np.ndarray, keypoints: np.ndarray, confidence: np.ndarray, side: str
    ) -> np.ndarray | None:
        """Looks for a lost hand about its wrist; None where there is none."""
        size = np.array([frame.shape[1], frame.shape[0]], np.float32)
        square = _square(keypoints * size, confidence, side)
        if square is None or not (0 <= square[0] < size[0] and 0 <= square[1] < size[1]):
            return None
        middle_x, middle_y, half = square
        rows, columns = (np.arange(middle - half, middle + half) for middle in (middle_y, middle_x))
        cut = frame[np.clip(rows, 0, frame.shape[0] - 1)[:, None], np.clip(columns, 0, frame.shape[1] - 1)]
        if self._hands is None:
            with quiet_stderr():
                self._hands = import_mediapipe().solutions.hands.Hands(
                    static_image_mode=True, max_num_hands=1, min_detection_confidence=LEAST_PALM_SCORE
                )
                found = self._hands.process(cut)
        else:
            found = self._hands.process(cut)
        if not found.multi_hand_landmarks:
            return None
        points = _points(found.multi_hand_landmarks[0], 21) * (2 * half) + [columns[0], rows[0]]
        apart = np.linalg.norm(points[0] - keypoints[index(f"{side}_wrist")] * size)
        return (points / size).astype(np.float32) if apart < FARTHEST_WRIST * 2 * half / SQUARE_WIDTH else None

    def reset(self) -> None:
        """Forgets the video so far; the next frame starts another."""
        if self._holistic is not None:
            self._holistic.forget()

    def close(self) -> None:
        """Frees the trackers."""
        for tracker in (self._holistic, self._hands):
            if tracker is not None:
                tracker.close()
        self._holistic = self._hands = None


def _square(pixels: np.ndarray, confidence: np.ndarray, side: str) -> tuple[int, int, int] | None:
    """Where a hand should be: the middle and half the side of a square in pixels; None where the arm was not seen."""
    wrist, elbow, *shoulders = index(f"{side}_wrist", f"{side}_elbow", "right_shoulder", "left_shoulder")
    if confidence[wrist] < LEAST_WRIST_CONFIDENCE or not confidence[[elbow, *shoulders]].all():
        return None
    half = round(SQUARE_WIDTH / 2 * float(np.linalg.norm(pixels[shoulders[0]] - pixels[shoulders[1]])))
    middle = pixels[wrist] + REACH * (pixels[wrist] - pixels[elbow])
    return (round(float(middle[0])), round(float(middle[1])), half) if half > 0 else None


def _same(hand: np.ndarray, other: np.ndarray) -> bool:
    """Whether two hands are one that was found twice: their pixels lie closer than a quarter of the hand's extent."""
    return bool(np.linalg.norm(hand - other, axis=1).mean() < 0.25 * np.ptp(other, axis=0).max())


def _array(landmarks: Any, count: int, *extra: str) -> np.ndarray | None:
    """Gives x, y and `extra` of MediaPipe's landmarks, or None for a part that was not found."""
    return None if landmarks is None else _points(landmarks, count, *extra)


def _points(landmarks: Any, count: int, *extra: str) -> np.ndarray:
    fields = ("x", "y", *extra)
    points = np.array([[getattr(point, field) for field in fields] for point in landmarks.landmark], np.float32)
    assert points.shape == (count, len(fields)), points.shape
    return points
