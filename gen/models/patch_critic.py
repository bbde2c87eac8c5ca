"""A network that tells made frames from true ones, patch by patch. It is used in training only."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """A patch discriminator (https://arxiv.org/abs/1611.07004, section 3.2.2) that is also shown the pose's maps.

    Knowing which finger a pixel belongs to, it can ask for a crease where there is one, not for texture anywhere.
    Spectral normalisation (https://arxiv.org/abs/1802.05957) keeps it from running ahead of what it judges.

    Args:
        in_channels: Three of the frame and those of its maps.
        channels: Features after the first convolution; twice as many after each further one.
        num_layers: Convolutions of stride 2.
    """

    def __init__(self, in_channels: int = 19, channels: int = 48, num_layers: int = 3):
        super().__init__()
        widths = [in_channels, *(channels * 2**layer for layer in range(num_layers))]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(fine, coarse, 4, stride=2, padding=1)) for fine, coarse in pairwise(widths)
        )
        self.out = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(
        self, frames: Float[Tensor, "b 3 f h w"], maps: Float[Tensor, "b p f h w"]
    ) -> tuple[Float[Tensor, "bf _ _"], list[Float[Tensor, "bf _ _ _"]]]:
        """Judges every patch of every frame: high is true.

        Returns:
            The judgements, and the features of each layer.
        """
        hidden = torch.cat([frames, maps], dim=1).transpose(1, 2).flatten(0, 1)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return self.out(hidden)[:, 0], features
