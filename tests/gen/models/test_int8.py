import copy

import cv2
import pytest
import torch
import torch.nn.functional as F

from gen.models.int8 import LARGEST, QuantizedResidualBlock, SiluToBytes, is_int8_faster, quantize
from gen.models.signer_unet import ResidualBlock
from tests.gen.models.test_signer_unet import inputs

pytestmark = pytest.mark.skipif(not is_int8_faster(), reason="needs an x86 CPU with AVX2")


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = ResidualBlock(16, 8)
    torch.nn.init.normal_(block.conv2.weight, std=0.1)
    return block.to(memory_format=torch.channels_last)


@pytest.fixture
def hidden():
    return 3 * torch.randn(3, 16, 8, 12).to(memory_format=torch.channels_last)


def to_byte(number: float) -> int:
    return SiluToBytes()(torch.full((1, 1, 1, 1), float(number))).item()


def test_bytes_hold_what_silu_can_give():
    numbers = torch.linspace(-9, LARGEST, 2_000).to(torch.bfloat16)[None, :, None, None]
    found, silu = SiluToBytes()(numbers), F.silu(numbers.float())
    assert (found.min(), found.max()) == (0, 255)
    step = (silu.max() - silu.min()) / 255
    assert ((found.float() - to_byte(0)) * step - silu).abs().max() < 0.51 * step
    assert (to_byte(2 * LARGEST), to_byte(float("inf"))) == (255, 255)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_a_block_adds_nearly_the_same(block, hidden, dtype):
    time = torch.randn(3, 8)
    time[2] = time[1]  # two frames of one noise level
    added = block(hidden, time) - hidden
    quantized = QuantizedResidualBlock(block.to(dtype))(hidden.to(dtype, copy=True), time.to(dtype))
    assert quantized.dtype == dtype
    off = quantized.float() - hidden - added
    assert 0 < off.square().mean().sqrt() < 0.05 * added.std()


@torch.no_grad()
def test_a_network_makes_nearly_the_same_frames(unet):
    given = inputs()
    quantized = copy.deepcopy(unet)
    quantize(quantized)
    off = quantized(**given).clean - unet(**given).clean
    assert 0 < off.square().mean().sqrt() < 1 / 255


def test_what_could_not_be_loaded_is_not_saved(unet, tmp_path):
    quantized = copy.deepcopy(unet)
    quantize(quantized)
    with pytest.raises(ValueError, match="network must be saved as it was before `quantize`: 8-bit convolutions can"):
        quantized.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_other_cpus_are_told(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: False)
    assert not is_int8_faster()


def test_an_opencv_that_looks_up_8_bits_only_is_told(monkeypatch):
    monkeypatch.setattr(cv2, "__version__", "4.12.0.88")
    assert not is_int8_faster()
