"""Clips of one sign each: reading sets of them, and batches to train on."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn import functional as F

from poses.formats.mediapipe import holistic_to_dwpose
from poses.sequence import PoseFileError, PoseSequence
from recognizer.augmentation import (
    Disturbance,
    augment,
    either_may_lead,
    flip,
    frame_closer,
    hide_body,
    mix,
    scale_movement,
    stretch_time,
)
from recognizer.processing_sign_recognizer import SignRecognizerProcessor

NO_GLOSS = "-"
"""The gloss of clips in which nothing is signed; label 0 of a recognizer of whole clips."""

FLIPPED = 0.5
"""Share of training clips whose left and right are exchanged, of those in which either hand may be taken to lead."""


@dataclass(frozen=True)
class WordClip:
    """A clip of one sign.

    Attributes:
        gloss: `language:GLOSS`, or `NO_GLOSS`.
        signer: Who signs, or the recording that the clip is from: a split has all clips of a signer on one side.
        poses: The clip.
    """

    gloss: str
    signer: str
    poses: PoseSequence


OTHER_SESSIONS = Disturbance(drift=0.12, hands=0.5, misread=0.0, head=0.07, lag=0.0, jitter=0.012, lost=0.4)
"""What changes from one recording of a word to the next; fingers are found better than in letters, hands are lost more
often."""


def gloss_name(language: str, words: str) -> str:
    """`language:GLOSS` for a label in whatever case, its words joined by hyphens."""
    gloss = "-".join(words.upper().split())
    return NO_GLOSS if gloss == NO_GLOSS else f"{language}:{gloss}"


def read_word_set(path: str | Path, language: str) -> list[WordClip]:
    """Reads many clips from one file of MediaPipe Holistic arrays, as recorded for isolated-sign classifiers.

    Args:
        path: An `.npz` of `pose` [clips, frames, 33, (x, y, visibility)], `lh` and `rh` [clips, frames, 21, (x, y)] as
            fractions of a 640 x 480 frame, all 0 where not found; `label` and `group` [clips].
        language: ISO 639-3 code of the sign language.

    Raises:
        PoseFileError: It is something else, or damaged.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            pose, left, right = (arrays[name].astype(np.float32) for name in ("pose", "lh", "rh"))
            labels, groups = arrays["label"], arrays["group"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise PoseFileError(f"{path}: expected an .npz of pose, lh, rh, label and group, found {error}.") from None
    shapes = [array.shape[2:] for array in (pose, left, right)]
    if shapes != [(33, 3), (21, 2), (21, 2)] or len({len(a) for a in (pose, left, right, labels, groups)}) > 1:
        raise PoseFileError(f"{path}: expected clips of 33, 21 and 21 points, found {shapes}.")
    if not all(np.isfinite(array).all() for array in (pose, left, right)):
        raise PoseFileError(f"{path}: expected finite numbers, found NaN or infinity.")
    pose[..., 2] = pose[..., 2].clip(0, 1)
    keypoints, confidence = holistic_to_dwpose(pose, None, _with_certainty(left), _with_certainty(right))
    return [
        WordClip(
            gloss_name(language, str(label)),
            str(group),
            PoseSequence(points, sure, 15.0, 640, 480, source=f"{path} clip {number}", language=language),
        )
        for number, (points, sure, label, group) in enumerate(zip(keypoints, confidence, labels, groups, strict=True))
    ]


def _with_certainty(hand: np.ndarray) -> np.ndarray:
    found = (hand != 0).any(axis=(-2, -1), keepdims=True)
    return np.concatenate([hand, np.broadcast_to(found, (*hand.shape[:-1], 1))], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class NormalizedClips:
    """Clips as the recognizer gets them, all of one length.

    Attributes:
        keypoints: In shoulder widths from between the shoulders.
        confidence: 0 where not seen.
        labels: Of the glosses.
        signers: Of the clips.
    """

    keypoints: Float[torch.Tensor, "clips frames points 2"]
    confidence: Float[torch.Tensor, "clips frames points"]
    labels: Int[torch.Tensor, " clips"]
    signers: tuple[str, ...]

    def __getitem__(self, clips: np.ndarray) -> "NormalizedClips":
        """The clips that a mask or numbers choose."""
        chosen = np.arange(len(self.signers))[clips]
        signers = tuple(self.signers[number] for number in chosen)
        return NormalizedClips(self.keypoints[chosen], self.confidence[chosen], self.labels[chosen], signers)


def normalize_clips(
    clips: Sequence[WordClip], glosses: Sequence[str], processor: SignRecognizerProcessor
) -> NormalizedClips:
    """Prepares clips for training or reading.

    Args:
        clips: Clips, all of whose glosses the recognizer knows.
        glosses: The recognizer's, label 0 being none.
        processor: One with `num_frames`.

    Raises:
        ValueError: A clip shows no shoulders, is too slow or too fast, or has an unknown gloss.
    """
    label_of = {NO_GLOSS: 0} | {gloss: label for label, gloss in enumerate(glosses) if label}
    if unknown := [clip for clip in clips if clip.gloss not in label_of]:
        found = f"{unknown[0].gloss!r} ({unknown[0].poses.source})"
        raise ValueError(f"`clips` must have glosses that the recognizer knows, got {found}.")
    arrays = [processor.normalize(clip.poses) for clip in clips]
    return NormalizedClips(
        torch.from_numpy(np.stack([keypoints for keypoints, _ in arrays])),
        torch.from_numpy(np.stack([confidence for _, confidence in arrays])),
        torch.tensor([label_of[clip.gloss] for clip in clips]),
        tuple(clip.signer for clip in clips),
    )


def clip_batches(clips: NormalizedClips, *, batch_size: int, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches, each clip newly augmented; inputs of `SignRecognizerForSequenceClassification`.

    A gloss comes up in proportion to the square root of its clips, so that rare ones are learned too.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = torch.bincount(clips.labels).clamp(min=1)[clips.labels] ** -0.5
    flipped = FLIPPED * either_may_lead(clips.keypoints, clips.confidence)
    while True:
        chosen = torch.multinomial(weights, batch_size, replacement=True, generator=generator)
        keypoints, confidence = clips.keypoints[chosen], clips.confidence[chosen]
        keypoints, confidence = frame_closer(keypoints, confidence, generator)
        keypoints, confidence = stretch_time(keypoints, confidence, generator)
        keypoints, confidence = flip(keypoints, confidence, generator, share=flipped[chosen])
        keypoints, confidence = augment(keypoints, confidence, generator, OTHER_SESSIONS)
        yield {"keypoints": keypoints, "confidence": confidence, "labels": clips.labels[chosen]}


def mixed_batches(
    clips: NormalizedClips, *, num_labels: int, batch_size: int, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of `clip_batches` with less of the people in them: labels are shares of `num_labels` glosses."""
    generator = torch.Generator().manual_seed(seed + 77)  # other numbers than those of the batches
    for batch in clip_batches(clips, batch_size=batch_size, seed=seed):
        keypoints = scale_movement(batch["keypoints"], batch["confidence"], generator)
        keypoints, confidence = hide_body(keypoints, batch["confidence"], generator)
        shares = F.one_hot(batch["labels"], num_labels).float()
        keypoints, shares = mix(keypoints, confidence, shares, generator)
        yield {"keypoints": keypoints, "confidence": confidence, "labels": shares}
