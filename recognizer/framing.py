"""The points that recognizers read, and what of them a camera shows: from which frame to which, and down to where."""

import torch
from jaxtyping import Float, Int

from poses.keypoints import HAND

BODY_POINTS = ("nose", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist")
"""The body points that the recognizer reads, ahead of the 21 of the right and the 21 of the left hand."""

NUM_POINTS = len(BODY_POINTS) + 2 * len(HAND)

HANDS = tuple(slice(start, start + len(HAND)) for start in (len(BODY_POINTS), len(BODY_POINTS) + len(HAND)))
"""The right and the left hand among the points."""

SURE, RAISED = 0.5, 1.0
"""A wrist of the body stands for a hand that is not seen if it is surer, and fewer shoulder widths down, than this."""

LEAST_FRAMES = 5
"""A clip with a hand in no more frames than these does not tell its word."""

_WRISTS = [BODY_POINTS.index(f"{side}_wrist") for side in ("right", "left")]


def signing_span(
    keypoints: Float[torch.Tensor, "batch frames points 2"], confidence: Float[torch.Tensor, "batch frames points"]
) -> tuple[Int[torch.Tensor, " batch"], Int[torch.Tensor, " batch"]]:
    """The first and the last frame in which a hand signs; those of the clip where none does."""
    raised = (confidence[:, :, _WRISTS] > SURE) & (keypoints[:, :, _WRISTS, 1] < RAISED)
    signing = (confidence[:, :, len(BODY_POINTS) :] > 0).any(dim=2) | raised.any(dim=2)
    last = signing.shape[1] - 1
    start, rest = (of.int().argmax(dim=1) for of in (signing, signing.flip(1)))  # 0 where there is none
    return start, last - rest


def stretch(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    num_frames: int,
) -> tuple[Float[torch.Tensor, "batch samples points 2"], Float[torch.Tensor, "batch samples points"]]:
    """Clips from the first to the last frame in which a hand signs, in `num_frames`."""
    start, last = (of[:, None] for of in signing_span(keypoints, confidence))
    times = torch.linspace(0, 1, num_frames, device=keypoints.device)
    return sample_frames(keypoints, confidence, start + (last - start) * times)


def sample_frames(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    times: Float[torch.Tensor, "batch samples"],
) -> tuple[Float[torch.Tensor, "batch samples points 2"], Float[torch.Tensor, "batch samples points"]]:
    """What is seen at `times`, counted in frames: a mixture of two frames where both see a point, else the nearer."""
    last = keypoints.shape[1] - 1
    before = times.floor().long().clamp(0, last)
    after = (before + 1).clamp(max=last)
    weight = (times - before).to(keypoints.dtype)[..., None]

    def seen(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.arange(len(frames), device=frames.device)[:, None]
        return keypoints[rows, frames], confidence[rows, frames]

    (old_points, old), (new_points, new) = seen(before), seen(after)
    weight = torch.where((old > 0) & (new > 0), weight, weight.round())
    mixed = old_points + weight[..., None] * (new_points - old_points)
    return mixed, old + weight * (new - old)


def framed(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    edge: Float[torch.Tensor, " batch"],
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Clips as a camera shows them whose picture ends `edge` shoulder widths below the shoulders, as long as they were.

    They begin and end where a hand is still seen. Those that would have a hand in `LEAST_FRAMES` or fewer, and those
    of which nothing is lost, stay as they are.
    """
    points, sure = cut_below(keypoints, confidence, edge)
    shown = (sure[:, :, len(BODY_POINTS) :] > 0).any(dim=2).sum(dim=1)
    cut = (shown > LEAST_FRAMES) & (sure != confidence).flatten(1).any(dim=1)
    points, sure = stretch(points, sure, keypoints.shape[1])
    return torch.where(cut[:, None, None, None], points, keypoints), torch.where(cut[:, None, None], sure, confidence)


def cut_below(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    edge: Float[torch.Tensor, " batch"],
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Loses body points, and hands with their middle, more than `edge` shoulder widths below the shoulders."""
    confidence = confidence.clone()
    body = slice(0, len(BODY_POINTS))
    confidence[:, :, body] *= keypoints[:, :, body, 1] <= edge[:, None, None]
    for hand in HANDS:
        confidence[:, :, hand] *= (keypoints[:, :, hand, 1].mean(dim=-1) <= edge[:, None])[..., None]
    return torch.where(confidence[..., None] > 0, keypoints, 0), confidence
