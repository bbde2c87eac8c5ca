"""Latents between SignX's stages (https://arxiv.org/abs/2504.16315, algorithms 1 and 2): whitened, aligned, pruned.

Pure functions. The paper leaves most of their numbers open; docs/signx-choices.md says what we chose and why.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch.nn import functional as F


def whiten_latents(
    latents: Float[torch.Tensor, "batch frames latent"],
    mask: Bool[torch.Tensor, "batch frames"],
    *,
    whitening: float,
    covariance: Float[torch.Tensor, "latent latent"] | None = None,
) -> Float[torch.Tensor, "batch frames latent"]:
    """Algorithm 1's first two lines: each frame normalised, and less of what it shares with the one before.

    Args:
        latents: Of Pose2Gloss or Video2Pose.
        mask: False where a clip was padded, which becomes zero.
        whitening: The paper's gamma, how much of what a frame shares with the one before is taken away.
        covariance: What `cross_covariance` found; without it, the product of both frames stands for it.
    """
    normed = F.layer_norm(latents, latents.shape[-1:]) * mask[..., None]
    before = F.pad(normed, (0, 0, 1, 0))[:, :-1]
    shared = normed * before if covariance is None else before @ covariance.T
    return (normed - whitening * shared) * mask[..., None]


def cross_covariance(
    latents: Float[torch.Tensor, "batch frames latent"], mask: Bool[torch.Tensor, "batch frames"]
) -> Float[torch.Tensor, "latent latent"]:
    """Mean product of each frame with the one before, both layer-normed: the matrix form of algorithm 1's CrossCov."""
    normed = F.layer_norm(latents, latents.shape[-1:]) * mask[..., None]
    pairs = (mask[:, 1:] & mask[:, :-1]).sum().clamp(min=1)
    return torch.einsum("btd,bte->de", normed[:, 1:], normed[:, :-1]) / pairs


def forced_alignment(
    log_probs: Float[torch.Tensor, "frames labels"], labels: Int[torch.Tensor, " glosses"]
) -> Int[torch.Tensor, " frames"]:
    """The likeliest CTC path that spells `labels` (Viterbi); the blank is the last label.

    Raises:
        ValueError: There are fewer frames than glosses and the blanks between repeated ones.
    """
    blank = log_probs.shape[-1] - 1
    needed = len(labels) + int((labels[1:] == labels[:-1]).sum())
    if needed > len(log_probs):
        raise ValueError(
            f"`labels` must fit into the frames, got {needed} glosses and blanks for {len(log_probs)} frames."
        )
    states = torch.full((2 * len(labels) + 1,), blank, device=labels.device)
    states[1::2] = labels
    # A gloss may follow another gloss without a blank in between; two states back, the same one would be a repeat.
    skips = torch.zeros_like(states, dtype=torch.bool)
    skips[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    total = torch.full(states.shape, -torch.inf, device=log_probs.device, dtype=log_probs.dtype)
    total[:2] = log_probs[0, states[:2]]
    steps = []
    for scores in log_probs[1:]:
        choices = torch.stack(
            [total, F.pad(total, (1, 0), value=-torch.inf)[:-1], F.pad(total, (2, 0), value=-torch.inf)[: len(total)]]
        )
        choices[2].masked_fill_(~skips, -torch.inf)
        best, step = choices.max(dim=0)
        total = best + scores[states]
        steps.append(step)
    state = len(states) - 1 if len(states) == 1 or total[-1] >= total[-2] else len(states) - 2
    path = [state]
    for step in reversed(steps):
        path.append(path[-1] - int(step[path[-1]]))
    return states[path[::-1]]


def distillation_loss(
    student_logits: Float[torch.Tensor, "batch steps labels"],
    teacher_logits: Float[torch.Tensor, "batch steps labels"],
    mask: Bool[torch.Tensor, "batch steps"],
    *,
    temperature: float = 4.0,
) -> Float[torch.Tensor, ""]:
    """Algorithm 2's KL(teacher || student) a step, softened and scaled as in https://arxiv.org/abs/1503.02531.

    The teacher gets no gradient.
    """
    teacher = (teacher_logits.detach()[mask] / temperature).log_softmax(dim=-1)
    student = (student_logits[mask] / temperature).log_softmax(dim=-1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def pruning_mask(
    latents: Float[torch.Tensor, "batch frames latent"],
    mask: Bool[torch.Tensor, "batch frames"],
    *,
    threshold: float = 1e-4,
) -> Bool[torch.Tensor, " latent"]:
    """Algorithm 2's choice of latent dimensions: True where the variance is at least `threshold` of the median one."""
    variances = latents[mask].var(dim=0, correction=0)
    return variances >= threshold * variances.median()
