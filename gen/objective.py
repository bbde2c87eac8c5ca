"""What the renderer is trained to do: clean frames out of noise, hands first."""

from dataclasses import astuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from gen.conditions import CONDITIONS, to_conditions
from gen.losses import Prediction, add_noise, frame_loss, persuasion_loss, structure_loss
from gen.reference import HEAD, IS_HAND
from gen.signers.body import PARTS
from gen.train_config import RendererTrainConfig
from poses.keypoints import PARTS as POINTS

_HAND_OF_PART = torch.tensor(
    [0, *(is_hand * (2 if name.startswith("right_") else 1) for name, is_hand in zip(PARTS, IS_HAND[1:], strict=True))]
)
"""For each value of the maps' part channel: 1 for the left hand, 2 for the right one, 0 for what is none."""


def pixel_weights(
    maps: UInt8[Tensor, "b f h w 12"],
    keypoints: Float[Tensor, "b f 128 3"],
    reference: UInt8[Tensor, "b h w 7"],
    *,
    hand_weight: float,
    face_weight: float,
) -> Float[Tensor, "b f h w"]:
    """What each pixel counts for: hands most, as far as one is sure of them, then faces and where hands were."""

    def near(mask: Tensor, reach: int) -> Tensor:
        flat = mask.float().flatten(0, -3)[:, None]
        return F.max_pool2d(flat, 2 * reach + 1, stride=1, padding=reach)[:, 0].reshape(mask.shape)

    part, side = maps[..., 8].long(), _HAND_OF_PART.to(maps.device)
    sure = torch.stack([keypoints[:, :, POINTS[name], 2].mean(dim=-1) for name in ("left_hand", "right_hand")], dim=-1)
    sure = F.pad(sure, (1, 0))  # what is no hand
    hand = near(sure.gather(2, side[part].flatten(2)).reshape(part.shape), 5)
    old_hand = near(side[reference[..., 6].long()] > 0, 5)[:, None]
    head = near(part == HEAD, 5)
    weight = 1 + (face_weight - 1) * torch.maximum(head, old_hand)
    return torch.maximum(weight, 1 + (hand_weight - 1) * hand)


def predict(
    unet: torch.nn.Module, batch: dict[str, Tensor], config: RendererTrainConfig, generator: torch.Generator
) -> Prediction:
    """Adds noise to a batch and takes it away again, in one step, with what isn't dropped of the conditions.

    The true frames show the picture where it is to be kept, as if that were before the signer.
    Everything is drawn on the CPU, where `generator` is, so that a seed means the same on every device.
    """
    frames = batch["frames"].permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    clips, _, num_frames, height, width = frames.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    given = uniform(clips, len(CONDITIONS)) >= torch.tensor(astuple(config.drop))
    known = given[:, CONDITIONS.index("previous")]
    # Logit-normal noise levels (https://arxiv.org/abs/2403.03206, section 3.1), or nothing but noise.
    sigma = torch.sigmoid(torch.randn(clips, 1, generator=generator))
    sigma = torch.where(uniform(clips, 1) < config.full_noise, torch.ones(()), sigma).expand(-1, num_frames).clone()
    sigma[known, 0] = 0
    sigma, known, given = (of.to(frames.device) for of in (sigma, known, given))
    noise = torch.randn(clips, 3, 1, height, width, generator=generator).to(frames.device).expand_as(frames)
    weight = pixel_weights(
        batch["maps"],
        batch["keypoints"],
        batch["reference"],
        hand_weight=config.hand_weight,
        face_weight=config.face_weight,
    )
    weight[known, 0] = 0
    told = to_conditions(batch["maps"], batch["keypoints"], batch["reference"], batch["keep"])
    chosen = told.only(given)
    frames = torch.where(chosen.keep[:, None, None] > 0, told.reference[:, :3, None], frames)
    clean = unet(add_noise(frames, noise, sigma), 1000 * sigma, **vars(chosen)).clean
    return Prediction(clean, frames, told.pose_maps, weight)


def regression_loss(prediction: Prediction, config: RendererTrainConfig) -> Float[Tensor, ""]:
    """How far the predicted frames are from the true ones."""
    given = prediction.clean, prediction.target, prediction.weight
    loss = frame_loss(*given)
    return loss + config.structure_weight * structure_loss(*given) if config.structure_weight else loss


def persuade(
    loss: Float[Tensor, ""], prediction: Prediction, critic: torch.nn.Module, last_layer: Tensor, share: float
) -> Float[Tensor, ""]:
    """Adds `persuasion_loss` in the proportion that `adversarial_weight` states.

    Weighed by gradients at the last layer, as in https://arxiv.org/abs/2012.09841, equation 7: whatever the critic's
    scale becomes, neither side drowns the other.
    """
    against = persuasion_loss(critic, prediction)
    lengths = [torch.autograd.grad(of, last_layer, retain_graph=True)[0].norm() for of in (loss, against)]
    return loss + share * (lengths[0] / lengths[1].clamp(min=1e-8)) * against
