"""Losses of the renderer: pure functions of arrays."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STRUCTURE_WINDOW = 7
"""Side of the windows that `structure_loss` compares, pixels."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Frames predicted for a batch, and what they are judged by.

    Attributes:
        clean: The clean frames that the predicted velocity points to, in [-1, 1].
        target: The true frames.
        maps: The driving pose's maps.
        weight: What each pixel counts for: hands most, frames that were given nothing.
    """

    clean: Float[Tensor, "b 3 f h w"]
    target: Float[Tensor, "b 3 f h w"]
    maps: Float[Tensor, "b p f h w"]
    weight: Float[Tensor, "b f h w"]


def add_noise(
    clean: Float[Tensor, "b c f h w"], noise: Float[Tensor, "b c f h w"], sigma: Float[Tensor, "b f"]
) -> Float[Tensor, "b c f h w"]:
    """Moves clean frames along the straight path to noise: sigma 0 is data, sigma 1 is noise.

    Rectified flow (https://arxiv.org/abs/2209.03003, equation 1) in diffusers' direction.
    """
    sigma = sigma[:, None, :, None, None]
    return (1 - sigma) * clean + sigma * noise


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """A smooth absolute value: sqrt(d^2 + epsilon^2) (https://arxiv.org/abs/1710.01992, section 3.2)."""
    return (difference**2 + epsilon**2).sqrt()


def frame_loss(
    clean: Float[Tensor, "b c f h w"],
    target: Float[Tensor, "b c f h w"],
    weight: Float[Tensor, "b f h w"],
    *,
    gradient_weight: float = 0.7,
) -> Float[Tensor, ""]:
    """How far predicted frames are from the true ones, in colour and in edges.

    Args:
        clean: Predicted frames.
        target: True frames.
        weight: What each pixel counts for: hands and face more, frames that were given nothing.
        gradient_weight: What an error of the horizontal and vertical differences counts for beside one of the colour.

    Returns:
        The weighted mean; NaN-free also where all weights are zero.
    """
    error = clean - target
    weight = weight[:, None]
    total = weight.sum().clamp(min=1) * clean.shape[1]
    colour = (charbonnier(error) * weight).sum()
    across = (charbonnier(error[..., 1:] - error[..., :-1]) * weight[..., 1:]).sum()
    down = (charbonnier(error[..., 1:, :] - error[..., :-1, :]) * weight[..., 1:, :]).sum()
    return (colour + gradient_weight * (across + down)) / total


def structure_loss(
    clean: Float[Tensor, "b 3 f h w"], target: Float[Tensor, "b 3 f h w"], weight: Float[Tensor, "b f h w"]
) -> Float[Tensor, ""]:
    """One less SSIM of the luma (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861), in flat windows.

    `frame_loss` is least at the middle of all that could be there, which is soft. This one is least where the contrast
    is right: of what can be known at all about a window, SSIM wants as much as there is in the true one.

    Args:
        clean: Predicted frames, in [-1, 1].
        target: True frames.
        weight: What each pixel counts for, as for `frame_loss`; here it is the middle of a window.

    Returns:
        The weighted mean over the windows that lie within the frames.
    """
    x, y = (0.299 * video[:, 0] + 0.587 * video[:, 1] + 0.114 * video[:, 2] for video in (clean, target))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        F.avg_pool2d(of, STRUCTURE_WINDOW, stride=1) for of in (x, y, x * x, y * y, x * y)
    )
    variances = (mean_xx - mean_x**2) + (mean_yy - mean_y**2)
    covariance = mean_xy - mean_x * mean_y
    small, smaller = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    like = (2 * mean_x * mean_y + small) * (2 * covariance + smaller)
    like = like / ((mean_x**2 + mean_y**2 + small) * (variances + smaller))
    edge = STRUCTURE_WINDOW // 2
    weight = weight[..., edge:-edge, edge:-edge]
    return ((1 - like) * weight).sum() / weight.sum().clamp(min=1)


def critic_loss(critic: nn.Module, prediction: Prediction) -> Float[Tensor, ""]:
    """What the critic learns from: true patches above 1, made ones below -1 (https://arxiv.org/abs/1705.02894)."""
    maps = prediction.maps
    true, made = (critic(frames, maps)[0].float() for frames in (prediction.target, prediction.clean.detach()))
    return _patch_mean(F.relu(1 - true) + F.relu(1 + made), prediction.weight)


def persuasion_loss(critic: nn.Module, prediction: Prediction, *, feature_weight: float = 10.0) -> Float[Tensor, ""]:
    """What the critic has against predicted frames: its judgement, and how its features differ from the true frames'.

    Features are matched as in https://arxiv.org/abs/1711.11585, equation 4, which has their weight, too.
    """
    judgement, features = critic(prediction.clean, prediction.maps)
    with torch.no_grad():
        true_features = critic(prediction.target, prediction.maps)[1]
    distances = [
        _patch_mean((one - other).abs().mean(dim=1).float(), prediction.weight)
        for one, other in zip(features, true_features, strict=True)
    ]
    return feature_weight * torch.stack(distances).mean() - _patch_mean(judgement.float(), prediction.weight)


def _patch_mean(value: Float[Tensor, "bf y x"], weight: Float[Tensor, "b f h w"]) -> Float[Tensor, ""]:
    """Mean over patches, each of which counts for what its pixels do."""
    height, width = value.shape[1:]
    patch_weight = F.adaptive_avg_pool2d(weight.flatten(0, 1)[:, None], (height, width))[:, 0]
    return (value * patch_weight).sum() / patch_weight.sum().clamp(min=1e-6)
