from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from gen.conditioning import MAP_CHANNELS, REFERENCE_MAP_CHANNELS
from gen.models.signer_unet import SignerUNet
from gen.reference import IS_HAND, read_reference
from gen.renderers.pictures import built_in_picture
from gen.renderers.placing import place_over
from gen.signers.body import FACIAL_ACTIONS, Body, load_body
from gen.signers.fit import fit_body
from poses.fingerspelling import letter_clips

SIZE = 64


def rest_motion(body: Body, num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`linear`, `positions` and `expression` that leave the body as it is."""
    linear = np.tile(np.eye(3, dtype=np.float32), (num_frames, len(body.heads), 1, 1))
    positions = np.tile(body.heads, (num_frames, 1, 1))
    return linear, positions, np.zeros((num_frames, len(FACIAL_ACTIONS)), np.float32)


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
def read(picture):
    """The picture, read."""
    return read_reference(picture.image, load_body(), fit_body(picture.poses, load_body()))


@pytest.fixture(scope="session")
def unet():
    torch.manual_seed(0)
    unet = SignerUNet(block_channels=(8, 16, 64, 64), num_blocks=(1, 1, 1, 1), time_channels=16)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return unet.eval()


@pytest.fixture
def unchecked(monkeypatch):
    """As outside of tests: annotations are not checked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """Tiny clips as `signloop signers make` leaves them: four frames after the picture, 48 pixels to a side.

    In each array, the first three channels are row, column and number of the frame; a hand is near a corner.
    """
    folder = tmp_path_factory.mktemp("clips")
    for split, count in (("train", 2), ("validation", 1), ("handless", 1)):
        for clip in range(count):
            (folder / split / f"{clip:06d}").mkdir(parents=True)
            place = np.zeros((5, 48, 48, 3), np.uint8)
            place[..., 0], place[..., 1] = np.indices((48, 48))
            place[..., 2] = np.arange(5)[:, None, None]
            maps = np.full((4, 48, 48, MAP_CHANNELS), clip, np.uint8)
            maps[..., :3] = place[1:]
            maps[..., 8] = 0
            if split != "handless":
                maps[:, 4:12, 34:42, 8] = np.flatnonzero(IS_HAND)[0]
            reference = np.zeros((48, 48, REFERENCE_MAP_CHANNELS), np.uint8)
            reference[..., :3] = place[0]
            driving = np.ones((4, 128, 3), np.float32)
            driving[..., :2] = 38, 8  # the hand, as far as it goes
            arrays = {"frames": place, "maps": maps, "driving": driving, "reference": reference}
            for name, array in arrays.items():
                np.save(folder / split / f"{clip:06d}" / f"{name}.npy", array)
    return folder
