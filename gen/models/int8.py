"""The 3x3 convolutions of `SignerUNet` in 8-bit integers, for rendering on an x86 CPU: nearly twice as fast as in bf16.

Weights have a scale for each output channel, activations one scale for all (https://arxiv.org/abs/1712.05877, sections
2.1 and 2.2). What a convolution reads comes out of a SiLU, which is never below -0.28; upwards `LARGEST` holds for
every layer, so nothing is calibrated. Between the two convolutions of a block nothing leaves 8 bits.
"""

from functools import cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gen.models.signer_unet import ResidualBlock, SignerUNet

LARGEST = 24.0
"""Activations above this count as this. The bundled network's reach 16, before its last layer 28, where at most one of
20,000 is above this (115 synthetic signers not trained on, in one step; in four 16, too)."""

_LEAST_OF_SILU = -0.2785
_STEP = (LARGEST - _LEAST_OF_SILU) / 255
_ZERO = round(-_LEAST_OF_SILU / _STEP)


@cache
def _silu_table() -> UInt8[np.ndarray, "1 65536"]:
    """The byte of each number in bfloat16, in the order of their bits."""
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    steps = F.silu(numbers.float()) / _STEP + _ZERO
    return steps.clamp(0, 255).round().nan_to_num().to(torch.uint8).numpy()[None]


class SiluToBytes(nn.Module):
    """SiLU, in 8 bits: a byte is worth `_STEP` from `_ZERO` on.

    There are so few numbers in bfloat16 that each is looked up: computed step by step it takes three times as long.
    """

    def __init__(self):
        super().__init__()
        self._table = _silu_table()

    def forward(self, hidden_states: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        pixels = hidden_states.to(torch.bfloat16).permute(0, 2, 3, 1).contiguous()
        found = cv2.LUT(pixels.flatten().view(torch.uint16).numpy()[None], self._table)
        return torch.from_numpy(found).view(pixels.shape).permute(0, 3, 1, 2)


class QuantizedConv2d(nn.Module):
    """A convolution of SiLU, in 8 bits.

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

    def forward(self, pixels: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n out h w"]:
        output = 1.0, 0, torch.float32, "none", [], ""
        return torch.ops.onednn.qconv2d_pointwise(*self._factors(pixels), self.bias, *self._around, *output)

    def silu(self, pixels: UInt8[Tensor, "n c h w"], bias: Float[Tensor, " out"]) -> UInt8[Tensor, "n out h w"]:
        """SiLU of the convolution with another bias, in 8 bits again."""
        output = _STEP, _ZERO, torch.uint8, "swish", [], ""
        return torch.ops.onednn.qconv2d_pointwise(*self._factors(pixels), bias, *self._around, *output)

    def add_to(self, hidden_states: Float[Tensor, "n out h w"], pixels: UInt8[Tensor, "n c h w"]) -> None:
        """Adds the convolution to hidden states, in place."""
        output = 1.0, 0, hidden_states.dtype, 1.0, 0, "sum", 1.0, "none", [], ""
        torch.ops.onednn.qconv2d_pointwise.binary(
            *self._factors(pixels), hidden_states, self.bias, *self._around, *output
        )

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        raise ValueError("The network must be saved as it was before `quantize`: 8-bit convolutions cannot be loaded.")

    def _factors(self, pixels: UInt8[Tensor, "n c h w"]) -> tuple:
        return pixels, _STEP, _ZERO, self._packed, self._scale, self._zeros


class QuantizedResidualBlock(nn.Module):
    """`ResidualBlock` in 8 bits but for what it adds to, which it does in place."""

    def __init__(self, block: ResidualBlock):
        super().__init__()
        self.time = block.time
        self.act = SiluToBytes()
        self.conv1, self.conv2 = QuantizedConv2d(block.conv1), QuantizedConv2d(block.conv2)

    def forward(
        self, hidden_states: Float[Tensor, "bf c h w"], time: Float[Tensor, "bf t"]
    ) -> Float[Tensor, "bf c h w"]:
        shift = self.conv1.bias + self.time(time).float()
        pixels = self.act(hidden_states)
        # The shift is a bias, so frames of one noise level go together.
        changes = [row for row in range(1, len(time)) if not torch.equal(time[row], time[row - 1])]
        parts = [
            self.conv1.silu(pixels[start:stop], shift[start]) for start, stop in pairwise([0, *changes, len(time)])
        ]
        self.conv2.add_to(hidden_states, torch.cat(parts) if len(parts) > 1 else parts[0])
        return hidden_states


def quantize(unet: SignerUNet) -> None:
    """Puts 8-bit convolutions in place of the network's 3x3 ones. It can then render, but not be trained or saved."""
    for name, module in list(unet.named_modules()):
        if isinstance(module, ResidualBlock):
            unet.set_submodule(name, QuantizedResidualBlock(module))
    unet.set_submodule("act_out", SiluToBytes())
    unet.set_submodule("conv_out", QuantizedConv2d(unet.conv_out))


def is_int8_faster() -> bool:
    """Whether these convolutions run here: on an x86 CPU with AVX2 (with VNNI or AMX faster still) and OpenCV 4.13."""
    opencv = tuple(int(number) for number in cv2.__version__.split(".")[:2])  # before, `LUT` takes 8 bits only
    return torch.backends.mkldnn.is_available() and torch.cpu._is_avx2_supported() and opencv >= (4, 13)
