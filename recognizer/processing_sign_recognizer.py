"""From poses to what the recognizer reads: one frame rate, one body frame, the leading hand on the right."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float32
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from poses.clean import resample
from poses.fingerspelling import letter_span
from poses.keypoints import NAMES, PARTS, index
from poses.sequence import PoseSequence
from recognizer.framing import BODY_POINTS, signing_span, stretch

FPS_RANGE = (5, 120)

_POINTS = [NAMES.index(name) for name in BODY_POINTS]
_POINTS += [number for hand in ("right_hand", "left_hand") for number in range(*PARTS[hand].indices(len(NAMES)))]


RESTING_DEPTH = 1.25
"""A hand whose wrist is this many shoulder widths below the shoulders rests. Of 545 letters in the training languages
99.7 % are signed higher."""


def swap_sides(name: str) -> str:
    """The point of this name on the signer's other side."""
    if "right_" in name:
        return name.replace("right_", "left_")
    return name.replace("left_", "right_")


_MIRRORED = [NAMES.index(swap_sides(name)) if swap_sides(name) in NAMES else i for i, name in enumerate(NAMES)]


def mirror(poses: PoseSequence) -> PoseSequence:
    """Makes a left-handed signer of a right-handed one: the picture flipped, left and right exchanged.

    Face points keep their numbers except brows and eyelids; nothing here reads the others.
    """
    keypoints = poses.keypoints[:, _MIRRORED]
    confidence = poses.confidence[:, _MIRRORED]
    flipped = np.where(confidence[..., None] > 0, np.array([1, 0], np.float32) + keypoints * [-1, 1], 0)
    return replace(poses, keypoints=flipped.astype(np.float32), confidence=confidence)


def hands_seen(poses: PoseSequence) -> Bool[np.ndarray, "frames 2"]:
    """Whether at least half of the left, and of the right, hand's points are seen."""
    return np.stack([(poses.part(f"{side}_hand")[1] > 0).mean(axis=1) >= 0.5 for side in ("left", "right")], axis=1)


def leads_with_left(poses: PoseSequence) -> bool:
    """Whether the left hand signs more: in more frames, and higher up; at one and a half shoulder widths down it rests.

    Where no shoulder is seen, frames alone count.
    """
    seen = hands_seen(poses)
    shoulders = index("left_shoulder", "right_shoulder")
    width = poses.shoulder_width_px()
    if not width > 0:
        return bool(seen[:, 0].sum() > seen[:, 1].sum())
    pixels = poses.pixels()
    level = np.median(pixels[(poses.confidence[:, shoulders] > 0).all(axis=1)][:, shoulders, 1])
    depth = (pixels[:, index("left_hand_wrist", "right_hand_wrist"), 1] - level) / width
    left, right = (seen * np.clip(1.5 - depth, 0, 1)).sum(axis=0)
    return bool(left > right)


class SignRecognizerProcessor(FeatureExtractionMixin):
    """Normalises poses for the sign recognizers.

    Args:
        frame_rate: Frames per second that a recognizer of continuous signing was trained on.
        num_frames: Frames that every clip is stretched to, from the first to the last in which a hand signs, for a
            recognizer of whole clips, which thus depends on no frame rate; None for a continuous one.
    """

    model_input_names: ClassVar[list[str]] = ["keypoints", "confidence", "attention_mask"]

    def __init__(self, frame_rate: float = 24.0, num_frames: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.frame_rate = frame_rate
        self.num_frames = num_frames

    def __call__(self, poses: PoseSequence | Sequence[PoseSequence]) -> BatchFeature:
        """Batches clips of any frame rate and length.

        Returns:
            `keypoints` [batch, frames, points, 2] in shoulder widths from between the shoulders, y down;
            `confidence`; `attention_mask`, 0 where a clip was padded.

        Raises:
            ValueError: A clip is slower than 5 or faster than 120 frames a second, or shows no two shoulders.
        """
        clips = [poses] if isinstance(poses, PoseSequence) else list(poses)
        return collate([self.normalize(clip) for clip in clips])

    def normalize(
        self, poses: PoseSequence
    ) -> tuple[Float32[np.ndarray, "frames points 2"], Float32[np.ndarray, "frames points"]]:
        """One clip's keypoints and confidence at `frame_rate`, or in `num_frames`; see `__call__`."""
        keypoints, confidence = self._in_body_frame(poses)
        if self.num_frames is None:
            return keypoints, confidence
        keypoints, confidence = stretch(
            torch.from_numpy(keypoints)[None], torch.from_numpy(confidence)[None], self.num_frames
        )
        return keypoints[0].numpy(), confidence[0].numpy()

    def signing_span(self, poses: PoseSequence) -> tuple[int, int]:
        """The first frame in which a hand signs, and one past the last; all frames where none does."""
        keypoints, confidence = (torch.from_numpy(of)[None] for of in self._in_body_frame(poses))
        start, last = (int(of) for of in signing_span(keypoints, confidence))
        return start, last + 1

    def _in_body_frame(
        self, poses: PoseSequence
    ) -> tuple[Float32[np.ndarray, "frames points 2"], Float32[np.ndarray, "frames points"]]:
        """Keypoints and confidence at `frame_rate` or, for a recognizer of whole clips, at the clip's own."""
        if not FPS_RANGE[0] <= poses.fps <= FPS_RANGE[1]:
            raise ValueError(
                f"`poses` must have {FPS_RANGE[0]} to {FPS_RANGE[1]} frames per second, "
                f"got {poses.fps:g} ({poses.source})."
            )
        shoulder_width = poses.shoulder_width_px()
        if not shoulder_width > 0:
            raise ValueError(f"`poses` must show both shoulders in at least one frame, got none ({poses.source}).")
        if leads_with_left(poses):
            poses = mirror(poses)
        shoulders = index("right_shoulder", "left_shoulder")
        seen = (poses.confidence[:, shoulders] > 0).all(axis=1)
        middle = np.median(poses.pixels()[seen][:, shoulders].mean(axis=1), axis=0)
        if self.num_frames is None:
            poses = resample(poses, self.frame_rate)  # which may leave out the frames that show both shoulders
        confidence = poses.confidence[:, _POINTS]
        keypoints = (poses.pixels()[:, _POINTS] - middle) / shoulder_width
        confidence = np.where(_resting(keypoints), np.float32(0), confidence)
        keypoints = np.where(confidence[..., None] > 0, keypoints, 0).astype(np.float32)
        return keypoints, confidence


def normalize_letter(
    poses: PoseSequence, processor: SignRecognizerProcessor
) -> tuple[Float32[np.ndarray, "frames points 2"], Float32[np.ndarray, "frames points"]]:
    """A clip of one letter as the recognizer of continuous signing gets it, without raising and lowering the hand."""
    keypoints, confidence = processor.normalize(poses)
    start, stop = (round(frame * processor.frame_rate / poses.fps) for frame in letter_span(poses))
    start = min(start, len(keypoints) - 1)
    own = slice(start, max(stop, start + 1))
    return keypoints[own], confidence[own]


def _resting(keypoints: Float32[np.ndarray, "frames points 2"]) -> Bool[np.ndarray, "frames points"]:
    """Points of hands that hang or lie in the lap: a video shows them, and they sign nothing."""
    resting = np.zeros(keypoints.shape[:2], bool)
    for first in (len(BODY_POINTS), len(BODY_POINTS) + 21):
        resting[:, first : first + 21] = keypoints[:, first : first + 1, 1] > RESTING_DEPTH
    return resting


def collate(
    clips: Sequence[tuple[Float32[np.ndarray, "frames points 2"], Float32[np.ndarray, "frames points"]]],
) -> BatchFeature:
    """Pads clips to the longest of them with zeros."""
    frames = max(len(keypoints) for keypoints, _ in clips)
    batch = {
        "keypoints": np.zeros((len(clips), frames, len(_POINTS), 2), np.float32),
        "confidence": np.zeros((len(clips), frames, len(_POINTS)), np.float32),
        "attention_mask": np.zeros((len(clips), frames), np.int64),
    }
    for row, (keypoints, confidence) in enumerate(clips):
        batch["keypoints"][row, : len(keypoints)] = keypoints
        batch["confidence"][row, : len(keypoints)] = confidence
        batch["attention_mask"][row, : len(keypoints)] = 1
    return BatchFeature(batch, tensor_type="pt")
