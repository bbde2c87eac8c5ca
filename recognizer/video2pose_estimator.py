"""Video2Pose as a pose estimator: frames in, one after the other, the 128 DWPose points out."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from poses.keypoints import PARTS, index
from poses.weights import loading
from recognizer.modeling_video2pose import SeenFrames, SignXForVideo2Pose, heatmap_spread
from recognizer.one_thread import one_thread
from recognizer.processing_video2pose import Video2PoseProcessor
from recognizer.reading import quietly

WEIGHTS = Path(__file__).parent / "weights" / "video2pose"
"""Those that the package carries, trained on synthetic signers alone; their README says how well they find what."""

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")

LEAST_CONFIDENCE = 0.5
"""A point that the network finds less likely in the frame is left out; unsure points of hands are given as such."""

HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
SHOULDERS = index("left_shoulder", "right_shoulder")

WIDE = 0.46
"""Shoulder widths: a hand's point with a heatmap of this standard deviation is as likely right, within 0.2, as not."""

STEEPNESS = 3.6
"""How soon narrower is surer. Both by logistic regression on films of signers whom the weights don't know."""


class Video2PoseEstimator:
    """Finds one signer's points with a trained Video2Pose, by the frame and by those before it.

    Confidence is the network's own, except of hands, whose heatmaps are the narrower the surer: the network says of
    hidden hands, too, that they are in the frame. It was trained on pictures of one signer each and looks for one.

    Args:
        folder: Of a trained Video2Pose; the package's if left out.

    Raises:
        ValueError: `folder` holds none.
    """

    name = "video2pose"

    def __init__(self, folder: Path = WEIGHTS):
        if missing := [file for file in FILES if not (folder / file).is_file()]:
            raise ValueError(
                f"{folder / missing[0]}: this file of Video2Pose is missing; the folder must be one that "
                "`signloop train video2pose` wrote, such as runs/video2pose/model."
            )
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        self.version = f"video2pose {digest[:12]}"
        with quietly(), loading(folder):
            model = SignXForVideo2Pose.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
            self._processor = Video2PoseProcessor.from_pretrained(folder, local_files_only=True)
        self._model = model.eval()
        self._seen: SeenFrames | None = None

    @torch.no_grad()
    @one_thread()
    def estimate(
        self, frame: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float32[np.ndarray, "128 2"], Float32[np.ndarray, " 128"]]:
        """Gives keypoints (fractions of width and height) and confidence; all zero where nobody is seen."""
        seen = self._model.see(**self._processor([frame]))
        known = seen if self._seen is None else self._seen.followed_by(seen)
        self._seen = known.last(self._model.config.temporal_reach + 1)
        found = self._model.follow(self._seen)
        assert found.keypoints is not None
        assert found.confidence is not None
        keypoints = self._processor.to_frame(found.keypoints[0, -1].numpy(), *frame.shape[:2])
        confidence = found.confidence[0, -1].numpy()
        shown = (confidence >= LEAST_CONFIDENCE) & (keypoints >= 0).all(axis=-1) & (keypoints < 1).all(axis=-1)
        confidence[HANDS] = hands_confidence(self._seen.heatmaps[0, -1], found.keypoints[0, -1]).numpy()
        return np.where(shown[:, None], keypoints, np.float32(0)), np.where(shown, confidence, np.float32(0))

    def reset(self) -> None:
        """Forgets the video so far; the next frame starts another."""
        self._seen = None

    def close(self) -> None:
        """Frees the network."""
        del self._model


def hands_confidence(
    heatmaps: Float[torch.Tensor, "128 rows columns"], keypoints: Float[torch.Tensor, "128 2"]
) -> Float[torch.Tensor, " 42"]:
    """How likely each point of both hands is within 0.2 shoulder widths of where it was found."""
    left, right = keypoints[SHOULDERS]
    return 1 / (1 + (heatmap_spread(heatmaps)[HANDS] / (WIDE * (left - right).norm())) ** STEEPNESS)
