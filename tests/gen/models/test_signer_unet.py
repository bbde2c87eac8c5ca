import copy

import pytest
import torch
from accelerate import cpu_offload

from gen.models.signer_unet import KeypointAttention, SignerUNet, TemporalAttention

SIZE = 32


def inputs(clips: int = 1, num_frames: int = 3, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(shape, generator=generator) * 2 - 1

    return {
        "sample": random(clips, 3, num_frames, SIZE, SIZE),
        "timestep": torch.full((clips, num_frames), 600.0),
        "pose_maps": random(clips, 16, num_frames, SIZE, SIZE),
        "keypoints": SIZE * random(clips, num_frames, 128, 3).abs(),
        "reference": random(clips, 10, SIZE, SIZE),
        "keep": random(clips, SIZE, SIZE).round().abs(),
        "given": random(clips, 7).round().abs(),
    }


def test_output_has_the_shape_of_the_sample(unet):
    given = inputs(clips=2)
    output = unet(**given)
    assert output.sample.shape == output.clean.shape == given["sample"].shape


def test_velocity_points_from_clean_to_noise(unet):
    given = inputs()
    output = unet(**given)
    torch.testing.assert_close(given["sample"] - 0.6 * output.sample, output.clean)


def test_a_batch_of_two_equals_two_of_one(unet):
    both = inputs(clips=2)
    together = unet(**both).sample
    apart = [unet(**{name: value[i : i + 1] for name, value in both.items()}).sample for i in range(2)]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=1e-4)


def test_frames_learn_of_each_other(unet):
    given = inputs()
    changed = {**given, "sample": given["sample"].clone()}
    changed["sample"][:, :, 2] += 0.5
    assert (unet(**given).clean[:, :, 0] != unet(**changed).clean[:, :, 0]).any()


def test_frames_know_their_order_in_windows_of_any_length():
    torch.manual_seed(0)
    attention = TemporalAttention(64)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    hidden = torch.randn(40, 64, 1, 1)
    found = attention(hidden, 40)
    assert not torch.allclose(attention(hidden.flip(0), 40).flip(0), found, atol=0.1)
    apart = attention(torch.cat([hidden, hidden]), 40)  # two clips
    torch.testing.assert_close(apart, torch.cat([found, found]))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("clips", [1, 2])
def test_a_few_frames_at_a_time_come_out_as_all_together(unet, clips, cores, threads):
    given = inputs(clips=clips)
    together = unet(**given).clean
    threads(cores)
    with torch.no_grad():
        torch.testing.assert_close(unet(**given).clean, together, atol=1e-5, rtol=1e-4)
    assert torch.get_num_threads() == cores


def test_autocast_holds_for_every_core(unet, threads):
    given = inputs()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        threads(1)
        together = unet(**given).clean
        threads(2)
        assert torch.equal(unet(**given).clean, together)


@pytest.mark.usefixtures("unchecked")
def test_weights_may_be_elsewhere_until_they_are_needed(unet, threads):
    """As by `enable_sequential_cpu_offload`."""
    threads(2)
    with torch.no_grad():
        expected = unet(**inputs())
        hooked = cpu_offload(copy.deepcopy(unet), execution_device=torch.device("cpu"))
        assert {parameter.device.type for parameter in hooked.parameters()} == {"meta"}
        found = hooked(**inputs())
    torch.testing.assert_close(found.clean, expected.clean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.sample, expected.sample, atol=1e-5, rtol=1e-4)


def test_weights_may_be_smaller_until_they_are_needed(unet, threads):
    threads(2)
    hooked = copy.deepcopy(unet)
    hooked.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    with torch.no_grad():
        off = hooked(**inputs()).clean - unet(**inputs()).clean
    assert 0 < off.square().mean().sqrt() < 1 / 64


def test_what_came_clean_is_given_back(unet):
    given = inputs()
    given["timestep"][:, 0] = 0
    together = unet(**given).clean
    with torch.no_grad():
        found = unet(**given)
    assert torch.equal(found.clean[:, :, 0], given["sample"][:, :, 0])
    assert not found.sample[:, :, 0].any()
    torch.testing.assert_close(found.clean[:, :, 1:], together[:, :, 1:], atol=1e-5, rtol=1e-4)


def test_a_fresh_network_mixes_what_it_is_given():
    given = inputs()
    clean = SignerUNet(block_channels=(8, 16, 64, 64), num_blocks=(1, 1, 1, 1))(**given).clean
    composite, picture = given["pose_maps"][:, :3], given["reference"][:, :3, None]
    torch.testing.assert_close(clean, (2 * composite + picture) / 3)


@pytest.mark.parametrize("name", ["keypoints", "keep", "given"])
def test_every_condition_is_heard(name, unet):
    given = inputs()
    assert (unet(**given).clean != unet(**given | {name: 0.5 * given[name]}).clean).any()


@pytest.fixture
def attention():
    torch.manual_seed(0)
    attention = KeypointAttention(64, 5)
    torch.nn.init.normal_(attention.out.weight)
    return attention.eval()


def test_keypoints_say_nothing_at_first():
    hidden, keypoints = torch.randn(2, 64, 3, 3), torch.rand(2, 5, 3)
    torch.testing.assert_close(KeypointAttention(64, 5)(hidden, keypoints, 16), hidden)


def test_points_that_are_not_seen_are_masked(attention):
    hidden, keypoints = torch.randn(1, 64, 3, 3), 48 * torch.rand(1, 5, 3)
    elsewhere = copy.deepcopy(keypoints)
    elsewhere[:, 2, :2] += 7
    assert (attention(hidden, keypoints, 16) != attention(hidden, elsewhere, 16)).any()
    keypoints[:, 2, 2] = elsewhere[:, 2, 2] = 0
    torch.testing.assert_close(attention(hidden, keypoints, 16), attention(hidden, elsewhere, 16))
    keypoints[..., 2] = 0
    torch.testing.assert_close(attention(hidden, keypoints, 16), hidden)  # nothing is there, which is no error


def test_only_the_way_to_a_point_counts(attention):
    """A crop that begins a position further says the same of what is in it."""
    hidden, keypoints = torch.randn(1, 64, 4, 4), 64 * torch.rand(1, 5, 3)
    crop = keypoints - torch.tensor([16.0, 32.0, 0.0])
    alone, within = attention(hidden[..., 2:, 1:], crop, 16), attention(hidden, keypoints, 16)[..., 2:, 1:]
    torch.testing.assert_close(alone, within, atol=1e-3, rtol=1e-3)


def test_gradient_reaches_every_parameter(unet):
    unet.zero_grad()
    unet(**inputs()).clean.square().sum().backward()
    assert [name for name, parameter in unet.named_parameters() if parameter.grad is None] == []
    assert [name for name, parameter in unet.named_parameters() if not parameter.grad.any()] == []


def test_saving_and_loading_keeps_the_output(unet, tmp_path):
    unet.save_pretrained(tmp_path)
    torch.testing.assert_close(SignerUNet.from_pretrained(tmp_path)(**inputs()).sample, unet(**inputs()).sample)


def test_a_size_that_is_no_multiple_is_refused(unet):
    given = inputs()
    given |= {name: given[name][..., :24, :24] for name in ("sample", "pose_maps", "reference", "keep")}
    with pytest.raises(ValueError, match="`sample` must have height and width in multiples of 16, got 24 x 24"):
        unet(**given)


@pytest.mark.parametrize("channels", [48, 96])
def test_channels_that_make_no_whole_heads_are_refused(channels):
    with pytest.raises(ValueError, match=f"`block_channels` must be multiples of 64 where .*, got {channels}"):
        SignerUNet(block_channels=(8, 8, channels, 64), num_blocks=(1, 1, 1, 1))


def test_blocks_without_a_count_are_refused():
    with pytest.raises(ValueError, match="`num_blocks` must have one entry for each of `block_channels`, got 1 for 2"):
        SignerUNet(block_channels=(8, 16), num_blocks=(1,))
