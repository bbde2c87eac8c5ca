"""From poses to the DWPose track that Pose2Gloss reads: what the sign recognizer sees, in the published layout."""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch.nn import functional as F

from poses.keypoints import HAND, NAMES, PARTS, index
from poses.sequence import PoseSequence
from recognizer.framing import BODY_POINTS
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.tracks import NUM_FEATURES, TRACKS

SQUARE = 4.0
"""Side of the square in which points are counted, in shoulder widths: hands hardly ever leave it."""

SHOULDERS_AT = (0.5, 0.35)
"""Where in it the middle between the shoulders is, from left and top."""

_POINTS = torch.tensor(
    [*index(*BODY_POINTS), *index(*(f"{side}_hand_{joint}" for side in ("right", "left") for joint in HAND))]
)


def dwpose_features(
    keypoints: Float[torch.Tensor, "batch frames points 2"], confidence: Float[torch.Tensor, "batch frames points"]
) -> Float[torch.Tensor, "batch frames 1959"]:
    """Puts what `SignRecognizerProcessor` made of clips in the places of the DWPose track; other tracks are missing.

    Every signer is thus framed alike. Points that the recognizer does not read, those of the face among them, count as
    not seen, as do those outside the square.

    Args:
        keypoints: In shoulder widths from between the shoulders, y down.
        confidence: 0 where not seen.
    """
    placed = keypoints / SQUARE + keypoints.new_tensor(SHOULDERS_AT)
    seen = (confidence > 0) & (placed >= 0).all(dim=-1) & (placed <= 1).all(dim=-1)
    points = keypoints.new_zeros(*keypoints.shape[:2], len(NAMES), 2)
    points[:, :, _POINTS] = torch.where(seen[..., None], placed, 0)
    scores = keypoints.new_zeros(points.shape[:3])
    scores[:, :, _POINTS] = torch.where(seen, confidence, 0)
    places = {part: points[:, :, where].flatten(2) for part, where in PARTS.items()}
    sure = {part: scores[:, :, where] for part, where in PARTS.items()}
    hands = places["left_hand"], places["right_hand"], sure["left_hand"], sure["right_hand"]
    track = torch.cat([places["body"], sure["body"], *hands, places["face"], sure["face"]], dim=-1)
    return F.pad(track, (TRACKS["dwpose"].start, NUM_FEATURES - TRACKS["dwpose"].stop), value=torch.nan)


def signer_track(poses: PoseSequence, processor: SignRecognizerProcessor) -> Float32[np.ndarray, "frames 384"]:
    """The DWPose track of a clip as `dwpose_features` gives it, at the processor's frame rate.

    Raises:
        ValueError: The clip is slower than 5 or faster than 120 frames a second, or shows no two shoulders.
    """
    keypoints, confidence = (torch.from_numpy(array)[None] for array in processor.normalize(poses))
    return dwpose_features(keypoints, confidence)[0, :, TRACKS["dwpose"]].numpy()
