"""From video frames to what Video2Pose sees, and from its keypoints back to the frame."""

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

GREY = 127
"""Of what lies beyond the frame."""


class Video2PoseProcessor(FeatureExtractionMixin):
    """Fits frames of any size into a square, the rest of which is grey.

    Args:
        image_size: Pixels to a side of the square.
        image_mean: Taken away from colours of 0 to 1, as Google's vision transformers want it.
        image_std: By which they are then divided.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, image_size: int = 224, image_mean: float = 0.5, image_std: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.image_size, self.image_mean, self.image_std = image_size, image_mean, image_std

    def __call__(self, frames: Sequence[UInt8[np.ndarray, "height width 3"]]) -> BatchFeature:
        """A clip of RGB frames as `pixel_values` [1, frames, 3, size, size]."""
        squares = np.stack([self.fit(frame) for frame in frames])
        return BatchFeature({"pixel_values": self.normalize(torch.from_numpy(squares))[None]})

    def fit(self, frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "size size 3"]:
        """The whole frame in the middle of the square."""
        height, width = frame.shape[:2]
        scale = self.image_size / max(height, width)
        rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = np.full((self.image_size, self.image_size, 3), GREY, np.uint8)
        top, left = (self.image_size - rows) // 2, (self.image_size - columns) // 2
        resized = cv2.resize(frame, (columns, rows), interpolation=interpolation)
        square[top : top + rows, left : left + columns] = resized
        return square

    def normalize(
        self, squares: UInt8[torch.Tensor, "*frames size size 3"]
    ) -> Float[torch.Tensor, "*frames 3 size size"]:
        """Colours as the network wants them, channels first."""
        return self.standardize(squares.movedim(-1, -3).float() / 255)

    def standardize(self, pixels: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
        """Colours of 0 to 1 as the network wants them."""
        return (pixels - self.image_mean) / self.image_std

    def to_frame(
        self, keypoints: Float[np.ndarray, "*points 2"], height: int, width: int
    ) -> Float[np.ndarray, "*points 2"]:
        """Keypoints in fractions of the square as fractions of a height x width frame."""
        longest = max(height, width)
        sides = np.array([width, height], np.float32)
        return (0.5 + (keypoints - 0.5) * (longest / sides)).astype(np.float32)
