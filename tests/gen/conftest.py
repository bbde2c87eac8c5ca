import numpy as np
import pytest
import torch

from gen.models.signer_unet import SignerUNet
from gen.renderers.pictures import built_in_picture
from gen.renderers.placing import place_over
from poses.fingerspelling import letter_clips

SIZE = 64


@pytest.fixture(scope="session")
def picture():
    return built_in_picture("lucia", SIZE, SIZE)


@pytest.fixture(scope="session")
def driving(picture):
    """Ten frames of a real letter, laid over the signer in the picture."""
    clip = letter_clips("ase")["L"]
    middle = len(clip) // 2
    clip = clip[middle - 5 : middle + 5]
    return place_over(clip, picture.poses, height=SIZE, width=SIZE)(clip)


@pytest.fixture(scope="session")
def unet():
    torch.manual_seed(0)
    unet = SignerUNet(block_channels=(8, 16, 64, 64), num_blocks=(1, 1, 1, 1), time_channels=16)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return unet.eval()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
