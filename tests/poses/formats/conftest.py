"""Clips to convert, and a writer that makes SignVerse-2M files with the defects they are published with."""

from dataclasses import dataclass

import numpy as np
import pytest

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
        keypoints[..., 0] += np.arange(shape[1])[:, None] / shape[1]
        for side, wrist in (("left_hand", 7), ("right_hand", 4)):
            keypoints[:, :, PARTS[side].start] = keypoints[:, :, wrist]
        confidence[..., [4, 7, PARTS["left_hand"].start, PARTS["right_hand"].start]] = 0.9
        for frame, count in enumerate(counts):
            keypoints[frame, count:] = confidence[frame, count:] = 0
        payloads = [
            payload(keypoints[frame, :count], confidence[frame, :count], width, height)
            for frame, count in enumerate(counts)
        ]
        return Published(keypoints, confidence, payloads)

    def payload(keypoints, confidence, width, height):
        count = len(keypoints)
        fields = {"num_persons": np.asarray(count, np.int32)}
        fields |= {"frame_width": np.asarray(width, np.int32), "frame_height": np.asarray(height, np.int32)}
        hands = [(keypoints[:, PARTS[side]], confidence[:, PARTS[side]]) for side in ("left_hand", "right_hand")]
        hand_points, hand_scores = (np.concatenate(each) for each in zip(*hands, strict=True))
        for person in range(count):
            codes = np.arange(18, dtype=np.float32) + 18 * person
            body = np.where(confidence[person, PARTS["body"]] > 0.3, codes, np.float32(-1))
            fields |= {
                f"person_{person:03d}_body_keypoints": keypoints[person, PARTS["body"]],
                f"person_{person:03d}_body_scores": body,
                f"person_{person:03d}_face_keypoints": keypoints[person, PARTS["face"]],
                f"person_{person:03d}_face_scores": confidence[person, PARTS["face"]],
                f"person_{person:03d}_left_hand_keypoints": hand_points[2 * person],
                f"person_{person:03d}_left_hand_scores": hand_scores[2 * person],
                f"person_{person:03d}_right_hand_keypoints": hand_points[2 * person + 1],
                f"person_{person:03d}_right_hand_scores": hand_scores[2 * person + 1],
            }
        return fields

    return make


@pytest.fixture
def save_poses_npz(tmp_path):
    """Saves payloads as a `poses.npz`; other keys can be replaced, or left out with None."""

    def save(payloads: list[dict], **others):
        count = len(payloads)
        frames = np.empty(count, object)
        frames[:] = payloads
        arrays = {
            "video_id": np.asarray("abcdefghijk"),
            "fps": np.asarray(24, np.int32),
            "total_frames": np.asarray(count, np.int32),
            "frame_widths": np.full(count, 640, np.int32),
            "frame_heights": np.full(count, 360, np.int32),
            "frame_indices": np.arange(1, count + 1, dtype=np.int32),
            "frame_payloads": frames,
        } | others
        path = tmp_path / "poses.npz"
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return save
