from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from gen.renderers.base import Placement
from poses.draw import draw_poses
from poses.keypoints import NAMES, PARTS, index
from poses.sequence import GlossSpan, PoseSequence
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import Recognizer


@pytest.fixture(scope="session")
def signer() -> PoseSequence:
    """Twelve frames of a signer, shoulders 80 of 200 pixels apart, whose right hand moves 4 pixels a frame."""
    keypoints = np.zeros((12, len(NAMES), 2), np.float32)
    keypoints[:, PARTS["body"]] = (0.5, 0.9)
    keypoints[:, PARTS["face"]] = (0.5, 0.25)
    keypoints[:, PARTS["right_hand"]] = (0.3, 0.5)
    for name, place in {
        "nose": (0.5, 0.25),
        "neck": (0.5, 0.5),
        "right_shoulder": (0.3, 0.5),
        "left_shoulder": (0.7, 0.5),
        "right_wrist": (0.3, 0.5),
        "left_wrist": (0.7, 0.9),
    }.items():
        keypoints[:, index(name)] = place
    fan = np.linspace(0, 0.1, 21, dtype=np.float32)
    keypoints[:, PARTS["right_hand"]] += np.stack([fan, -fan], axis=1)
    keypoints[:, [index("right_wrist"), *range(*PARTS["right_hand"].indices(128))], 1] += (
        0.02 * np.arange(12, dtype=np.float32)[:, None]
    )
    confidence = np.ones((12, len(NAMES)), np.float32)
    confidence[:, PARTS["left_hand"]] = 0
    keypoints[confidence == 0] = 0
    glosses = (GlossSpan("A", 0, 6), GlossSpan("B", 6, 12))
    return PoseSequence(keypoints, confidence, 24.0, 200, 200, source="a test clip", language="ase", glosses=glosses)


class SkeletonRenderer:
    """Renders the skeleton itself, placed in the middle."""

    name = "skeleton"
    version = "1"
    default_num_inference_steps = 1

    def place(self, poses, signer, *, height, width) -> Placement:
        scale = min(height / poses.height, width / poses.width)
        offset_x, offset_y = (width - scale * poses.width) / 2, (height - scale * poses.height) / 2
        return Placement(scale, offset_x, offset_y, width, height)

    def render(self, poses, signer, *, num_inference_steps=None, seed=0) -> Iterator[np.ndarray]:
        yield from draw_poses(poses, "videox-fun", height=poses.height, width=poses.width)


class KnowingEstimator:
    """Finds what it was told lies in the frames, whatever they show."""

    name = "knowing"
    version = "1"

    def __init__(self, poses: PoseSequence):
        self.poses = poses
        self.frame = 0

    def reset(self) -> None:
        self.frame = 0

    def estimate(self, frame):
        self.frame += 1
        return self.poses.keypoints[self.frame - 1], self.poses.confidence[self.frame - 1]

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def renderer() -> SkeletonRenderer:
    return SkeletonRenderer()


@pytest.fixture(scope="session")
def estimator_of() -> type[KnowingEstimator]:
    return KnowingEstimator


@pytest.fixture
def knowing_estimator(signer) -> KnowingEstimator:
    """Finds the signer as it is."""
    return KnowingEstimator(signer)


@pytest.fixture
def blind_estimator(signer) -> KnowingEstimator:
    return KnowingEstimator(
        replace(signer, keypoints=np.zeros_like(signer.keypoints), confidence=np.zeros_like(signer.confidence))
    )


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """A recognizer with random weights: it reads something, or nothing, but always the same."""
    config = SignRecognizerConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, conv_kernel_size=3
    )
    return Recognizer(SignRecognizerForCTC(config).eval(), SignRecognizerProcessor())
