"""Clips to convert, and random people as SignVerse-2M publishes them."""

from dataclasses import dataclass

import numpy as np
import pytest

from poses.formats.signverse_published import frame_payload, poses_arrays
from poses.keypoints import PARTS
from poses.sequence import PoseSequence


@pytest.fixture
def make_poses():
    """Makes a clip of random points, some of them unseen, some off the frame."""

    def make(seed: int = 0, num_frames: int = 4, **fields) -> PoseSequence:
        random = np.random.default_rng(seed)
        confidence = random.random((num_frames, 128), dtype=np.float32)
        confidence[random.random(confidence.shape) < 0.2] = 0
        confidence[0, 0] = 1
        keypoints = random.uniform(-0.5, 1.5, (num_frames, 128, 2)).astype(np.float32)
        fields = {"fps": 24.0, "width": 640, "height": 360} | fields
        return PoseSequence(np.where(confidence[..., None] > 0, keypoints, np.float32(0)), confidence, **fields)

    return make


@dataclass(frozen=True)
class Published:
    """People as an estimator found them, and the payloads that SignVerse-2M makes of them, defects included."""

    keypoints: np.ndarray  # [frames, people, 128, 2]
    confidence: np.ndarray  # [frames, people, 128]
    payloads: list[dict[str, np.ndarray]]


@pytest.fixture
def publish():
    """Makes the payloads of random people; a count for each frame."""

    def make(counts: list[int], *, seed: int = 0, width: int = 640, height: int = 360) -> Published:
        random = np.random.default_rng(seed)
        shape = (len(counts), max(counts), 128)
        confidence = random.uniform(0, 1, shape).astype(np.float32)
        # People stand side by side and every hand is at its owner's wrist.
        keypoints = random.uniform(0, 0.05, (*shape, 2)).astype(np.float32)
        keypoints[..., 0] += np.arange(shape[1])[:, None] / max(shape[1], 1)
        for side, wrist in (("left_hand", 7), ("right_hand", 4)):
            keypoints[:, :, PARTS[side].start] = keypoints[:, :, wrist]
        confidence[..., [4, 7, PARTS["left_hand"].start, PARTS["right_hand"].start]] = 0.9
        for frame, count in enumerate(counts):
            keypoints[frame, count:] = confidence[frame, count:] = 0
        payloads = [
            frame_payload(keypoints[frame, :count], confidence[frame, :count], width, height)
            for frame, count in enumerate(counts)
        ]
        return Published(keypoints, confidence, payloads)

    return make


@pytest.fixture
def save_poses_npz(tmp_path):
    """Saves payloads as a `poses.npz`; other keys can be replaced, or left out with None."""

    def save(payloads: list, **others):
        frames = np.empty(len(payloads), object)
        frames[:] = payloads
        sizes = [frame_payload(*np.zeros((2, 0)), 640, 360)] * len(payloads)  # payloads may state none
        arrays = poses_arrays(sizes, "abcdefghijk", fps=24) | {"frame_payloads": frames} | others
        path = tmp_path / "poses.npz"
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return save
