"""Losses of the renderer: pure functions of arrays."""

from jaxtyping import Float
from torch import Tensor


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
