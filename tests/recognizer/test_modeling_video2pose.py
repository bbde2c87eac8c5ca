import pytest
import torch
from torch import nn

from recognizer.configuration_cslr import SignXCSLRConfig
from recognizer.configuration_video2pose import Video2PoseConfig
from recognizer.modeling_cslr import SignXForCSLR
from recognizer.modeling_video2pose import (
    KeypointHead,
    SignXForVideo2Pose,
    cell_centres,
    heatmap_cross_entropy,
    heatmap_sides,
    heatmap_spread,
)

TINY = {
    "image_size": 16,
    "patch_size": 8,
    "stem_sizes": (4,),
    "stem_blocks": (1,),
    "head_sizes": (6, 4),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_temporal_layers": 2,
    "temporal_window": 2,
    "latent_size": 6,
    "chunk_frames": 4,
    "dropout": 0.0,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SignXForVideo2Pose(Video2PoseConfig(**TINY)).eval()


def clip(frames, *, batch=1, seed=0):
    return torch.randn(batch, frames, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def learned(batch, frames):
    generator = torch.Generator().manual_seed(1)
    return {
        "latents": torch.randn(batch, frames, 6, generator=generator),
        "keypoints": torch.rand(batch, frames, 128, 2, generator=generator),
        "confidence": (torch.rand(batch, frames, 128, generator=generator) > 0.2).float(),
    }


@pytest.mark.slow
def test_published_sizes_build_without_memory():
    with torch.device("meta"):
        model = SignXForVideo2Pose(Video2PoseConfig())
    assert model.vit.embeddings.position_embeddings.shape == (1, 197, 768)
    assert len(model.vit.layers) == 12
    assert model.latent_head.weight.shape == (2048, 768)


@pytest.mark.parametrize("size", [1, 3, 23])
def test_streamed_clips_are_seen_as_whole_ones(model, size):
    pixels = clip(23)
    assert model.config.temporal_reach == 5
    with torch.no_grad():
        whole = model(pixels)
    parts = list(model.stream(pixels[0].split(size)))
    for name, tensor in whole.items():
        torch.testing.assert_close(torch.cat([part[name] for part in parts], dim=1), tensor)
    assert list(model.stream([])) == []


def test_frames_farther_than_the_reach_do_not_matter(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    pixels = clip(12)
    other = pixels.clone()
    other[:, 11] += 1
    apart = (model(pixels).latents - model(other).latents).abs().amax(dim=-1)[0] > 0
    assert apart.tolist() == [False] * 6 + [True] * 6


def test_batch_of_two_equals_two_of_one(model):
    pixels = torch.cat([clip(8), clip(8, seed=1)])
    mask = torch.ones(2, 8, dtype=torch.long)
    mask[1, 3:] = 0
    together = model(pixels, mask)
    torch.testing.assert_close(together.latents[:1], model(pixels[:1]).latents)
    torch.testing.assert_close(together.latents[1:, :3], model(pixels[1:, :3]).latents)


def test_saved_model_loads_equal(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = SignXForVideo2Pose.from_pretrained(tmp_path)
    for name, tensor in model(clip(3)).items():
        torch.testing.assert_close(loaded(clip(3))[name], tensor, rtol=0, atol=0)


def test_loss_is_the_weighted_sum_and_reaches_every_parameter(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    output = model.train()(clip(8, batch=2), **learned(2, 8))  # more frames than a chunk: they are recomputed
    weights = {"latent": 1, "direction": 0.5, "keypoint": 1, "heatmap": 1, "confidence": 0.1}
    assert set(output.losses) == set(weights)
    torch.testing.assert_close(output.loss, sum(weights[name] * loss for name, loss in output.losses.items()))
    output.loss.backward()
    assert [name for name, of in model.named_parameters() if of.grad is None or not of.grad.any()] == []


def test_recomputed_chunks_give_the_same_gradients(model):
    gradients = []
    for chunk in (4, 16):
        model.config.chunk_frames = chunk
        model.zero_grad()
        model.train()(clip(8), **learned(1, 8)).loss.backward()
        gradients.append(model.latent_head.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_glosses_are_read_from_pixels_alone(model):
    names = {0: "A", 1: "B"}
    sizes = {"feature_size": 4, "temporal_size": 4, "hidden_size": 4, "intermediate_size": 4, "num_attention_heads": 2}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1, "max_glosses": 2, "id2label": names}
    cslr = SignXForCSLR(SignXCSLRConfig(latent_size=6, **sizes, **layers)).eval()
    latents = torch.cat([part.latents for part in model.stream(clip(9)[0].split(2))], dim=1)
    (glosses,) = cslr.glosses(cslr.generate(latents))
    assert len(glosses) <= 2
    assert set(glosses) <= {"A", "B"}


def test_points_are_found_where_heatmaps_say():
    head = KeypointHead(4, (), ())
    nn.init.zeros_(head.heatmaps.bias)
    with torch.no_grad():
        head.heatmaps.weight.copy_(torch.tensor([100.0, 0, 0, 0]).view(1, 4, 1, 1))
    patches = torch.zeros(1, 4, 2, 2)
    patches[0, 0, 1, 0] = 1  # the lower left one
    torch.testing.assert_close(head(patches, ())[0], torch.tensor([0.25, 0.75]).expand(1, 128, 2))


def test_places_are_found_in_full_precision_whatever_the_network_runs_in(model):
    torch.manual_seed(0)
    heatmaps, points = 5 * torch.randn(1, 128, 64, 64), torch.rand(1, 128, 2)
    expected = heatmap_cross_entropy(heatmaps, points)
    with torch.autocast("cpu", torch.bfloat16):
        keypoints, grid = model.keypoint_head(torch.randn(1, 16, 2, 2), [None, torch.randn(1, 4, 8, 8)])
        found = heatmap_cross_entropy(heatmaps, points)
    assert keypoints.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        keypoints, torch.stack([side @ cell_centres(8, side.device) for side in heatmap_sides(grid)], -1)
    )


def test_the_head_sees_what_the_stem_saw_at_its_resolution(model):
    assert model.stage_of_head == [None, 1]
    assert model.see(clip(2)).heatmaps.shape == (1, 2, 128, 8, 8)


def test_heatmap_loss_is_least_where_the_gaussian_is():
    side, point = 8, torch.tensor([0.3, 0.7]).expand(1, 128, 2)
    squared = (side * (cell_centres(side, point.device) - point[..., None])).square()
    right = -0.5 * (squared[..., 0, None, :] + squared[..., 1, :, None])
    least = heatmap_cross_entropy(right, point)
    assert (heatmap_cross_entropy(right.roll(1, -1), point) > least).all()
    assert (heatmap_cross_entropy(2 * right, point) > least).all()


def test_spread_of_heatmaps_is_their_standard_deviation():
    apart = torch.full((2, 4, 4), -1e9)
    apart[0, 1, 2] = 0
    apart[1, 0, 0] = apart[1, 3, 3] = 5
    torch.testing.assert_close(heatmap_spread(apart), torch.tensor([0, 0.375 * 2**0.5]), atol=1e-3, rtol=0)


@pytest.mark.long
def test_a_clip_is_learned():
    torch.manual_seed(0)
    model = SignXForVideo2Pose(Video2PoseConfig(**TINY))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        output = model(clip(4), **learned(1, 4))
        output.loss.backward()
        optimizer.step()
        losses.append({name: loss.item() for name, loss in output.losses.items()})
    assert losses[-1]["latent"] < 0.7 * losses[0]["latent"]
    assert losses[-1]["keypoint"] < 0.7 * losses[0]["keypoint"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 15}, "`hidden_size` must be a multiple of `num_attention_heads`, got 15 and 2"),
        ({"image_size": 20}, "`image_size` must be a multiple of `patch_size`, got 20 and 8"),
        ({"stem_sizes": (4, 4, 4, 4)}, "`stem_sizes` must halve a patch of 8 pixels to whole ones, got 4"),
        ({"stem_blocks": (1, 2)}, "`stem_blocks` must hold a number for each of `stem_sizes` or none, got 2"),
        ({"chunk_frames": 0}, "`chunk_frames` must be at least 1, got 0"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(Exception, match=message):
        Video2PoseConfig(**TINY | change)
