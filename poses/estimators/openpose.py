"""OpenPose through controlnet-aux. Its weights are for non-commercial use."""

from importlib.metadata import version

import numpy as np
from jaxtyping import Float32, UInt8

from poses.estimators.weights import missing_weights
from poses.keypoints import NUM_KEYPOINTS, PARTS
from poses.quiet import import_quietly

_HUB = "lllyasviel/Annotators"
_FILES = ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")
_LICENCE = "OpenPose's weights are for non-commercial use only. "


class OpenPoseEstimator:
    """Finds people, then their hands and face, with OpenPose's networks; keeps the person who covers most.

    Every frame stands alone. controlnet-aux passes no scores on: confidence is 1 where a point was found, else 0.
    """

    name = "openpose"

    def __init__(self):
        for file in _FILES:
            _fetch(file)
        detector = import_quietly("controlnet_aux.open_pose").OpenposeDetector
        self.version = f"controlnet-aux {version('controlnet-aux')}, {_HUB} (non-commercial weights)"
        self._detector = detector.from_pretrained(_HUB)

    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        people = [
            _points(person) for person in self._detector.detect_poses(frame, include_hand=True, include_face=True)
        ]
        if not people:
            return np.zeros((NUM_KEYPOINTS, 2), np.float32), np.zeros(NUM_KEYPOINTS, np.float32)
        return max(people, key=_area)

    def reset(self) -> None:
        """Forgets nothing: frames stand alone."""

    def close(self) -> None:
        """Frees the networks."""
        del self._detector


def _points(person) -> tuple[np.ndarray, np.ndarray]:
    """Lays one `PoseResult` of controlnet-aux out as 128 points."""
    keypoints, confidence = np.zeros((NUM_KEYPOINTS, 2), np.float32), np.zeros(NUM_KEYPOINTS, np.float32)
    # Missing body points are None, missing hand points are negative. Missing face points are left out and the rest
    # move up, so that only a whole face (68 points, two pupils, a background peak) can be told apart.
    face = person.face[:68] if person.face and len(person.face) == 71 else None
    for part, found in zip(
        PARTS.values(), (person.body.keypoints, person.left_hand, person.right_hand, face), strict=True
    ):
        for index, point in zip(range(part.start, part.stop), found or (), strict=False):
            if point is not None and point.x >= 0 and point.y >= 0:
                keypoints[index] = point.x, point.y
                confidence[index] = 1
    return keypoints, confidence


def _area(person: tuple[np.ndarray, np.ndarray]) -> float:
    keypoints, confidence = person
    seen = keypoints[confidence > 0]
    return float(np.ptp(seen, axis=0).prod()) if len(seen) else 0.0


def _fetch(file: str) -> None:
    """Makes sure a weight file is in the hub's cache."""
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(_HUB, file)
    except OSError:
        raise missing_weights(file, f"https://huggingface.co/{_HUB}", note=_LICENCE) from None
