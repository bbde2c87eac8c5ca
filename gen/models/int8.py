"""The 3x3 convolutions of `SignerUNet` in 8-bit integers, for rendering on an x86 CPU: nearly twice as fast as in bf16.

Weights have a scale for each output channel, activations one scale for all (https://arxiv.org/abs/1712.05877, sections
2.1 and 2.2). What a convolution reads comes out of a SiLU, which is never below -0.28; upwards `LARGEST` holds for
every layer, so nothing is calibrated. Between the two convolutions of a block nothing leaves 8 bits.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gen.models.signer_unet import ResidualBlock, SignerUNet

LARGEST = 24.0
"""Activations above this count as this. The bundled network's reach 16, in four steps; in one step 14."""

_LEAST_OF_SILU = -0.2785
_STEP = (LARGEST - _LEAST_OF_SILU) / 255
_ZERO = round(-_LEAST_OF_SILU / _STEP)


def to_bytes(activations: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """What SiLU gave in 8 bits: a byte is worth `_STEP` from `_ZERO` on."""
    zero = torch.tensor(_ZERO + 0.5, dtype=activations.dtype)
    rounded = torch.add(zero, activations, alpha=1 / _STEP).clamp_(max=255)
    return rounded.to(torch.int16).to(torch.uint8)  # straight to uint8 takes five times as long


class QuantizedConv2d(nn.Module):
    """A convolution of what SiLU gave, in 8 bits.

    Args:
        conv: A 3x3 convolution with padding of 1.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        assert conv.bias is not None
        weight, self.bias = conv.weight.detach().float(), conv.bias.detach().float()
        self._scale = weight.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / 127
        integers = (weight / self._scale[:, None, None, None]).round().to(torch.int8)
        self._around = conv.stride, conv.padding, conv.dilation, conv.groups
        self._packed = torch.ops.onednn.qconv_prepack(integers, self._scale, _STEP, _ZERO, *self._around)
        self._zeros = torch.zeros(len(weight), dtype=torch.int8)

    def forward(self, activations: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out h w"]:
        return self.convolve(to_bytes(activations), self.bias, activations.dtype)

    def convolve(
        self, pixels: UInt8[Tensor, "n c h w"], bias: Float[Tensor, " out"], dtype: torch.dtype, *, silu: bool = False
    ) -> Tensor:
        """Adds a bias and gives numbers, or with `silu` what comes out of one, in 8 bits again."""
        output = (_STEP, _ZERO, torch.uint8, "swish") if silu else (1.0, 0, dtype, "none")
        return torch.ops.onednn.qconv2d_pointwise(
            pixels, _STEP, _ZERO, self._packed, self._scale, self._zeros, bias, *self._around, *output, [], ""
        )


class QuantizedResidualBlock(nn.Module):
    """`ResidualBlock` in 8 bits but for what it adds to."""

    def __init__(self, block: ResidualBlock):
        super().__init__()
        self.time = block.time
        self.conv1, self.conv2 = QuantizedConv2d(block.conv1), QuantizedConv2d(block.conv2)

    def forward(
        self, hidden_states: Float[Tensor, "bf c h w"], time: Float[Tensor, "bf t"]
    ) -> Float[Tensor, "bf c h w"]:
        shift = self.conv1.bias + self.time(time).float()
        pixels = to_bytes(F.silu(hidden_states))
        # The shift is a bias, so frames of one noise level go together.
        changes = [row for row in range(1, len(time)) if not torch.equal(time[row], time[row - 1])]
        parts = [
            self.conv1.convolve(pixels[start:stop], shift[start], hidden_states.dtype, silu=True)
            for start, stop in pairwise([0, *changes, len(time)])
        ]
        middle = torch.cat(parts) if len(parts) > 1 else parts[0]
        return self.conv2.convolve(middle, self.conv2.bias, hidden_states.dtype).add_(hidden_states)


def quantize(unet: SignerUNet) -> None:
    """Puts 8-bit convolutions in place of the network's 3x3 ones. It can then render, but not be trained or saved."""
    for name, module in list(unet.named_modules()):
        if isinstance(module, ResidualBlock):
            unet.set_submodule(name, QuantizedResidualBlock(module))
    unet.set_submodule("conv_out", QuantizedConv2d(unet.conv_out))


def is_int8_faster() -> bool:
    """Whether this is a CPU that these convolutions run on: x86 with AVX2, with VNNI or AMX faster still."""
    return torch.backends.mkldnn.is_available() and torch.cpu._is_avx2_supported()
