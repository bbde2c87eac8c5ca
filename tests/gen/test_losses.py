import pytest
import torch
from skimage.metrics import structural_similarity

from gen.losses import Prediction, add_noise, charbonnier, critic_loss, frame_loss, persuasion_loss, structure_loss
from gen.models.patch_critic import PatchCritic


def test_noise_level_zero_is_data_and_one_is_noise():
    clean, noise = torch.zeros(1, 3, 3, 2, 2), torch.ones(1, 3, 3, 2, 2)
    noisy = add_noise(clean, noise, torch.tensor([[0.0, 0.25, 1.0]]))
    torch.testing.assert_close(noisy[0, 0, :, 0, 0], torch.tensor([0.0, 0.25, 1.0]))


def test_charbonnier_is_the_absolute_value_far_from_zero():
    assert charbonnier(torch.tensor(3.0)).item() == pytest.approx(3, abs=1e-6)
    assert charbonnier(torch.tensor(0.0)).item() == pytest.approx(1e-3)


def test_a_constant_error_has_no_gradient_error():
    target = torch.zeros(1, 3, 1, 4, 4)
    loss = frame_loss(target + 0.5, target, torch.ones(1, 1, 4, 4), gradient_weight=0.0)
    assert loss.item() == pytest.approx(0.5, abs=1e-4)
    with_edges = frame_loss(target + 0.5, target, torch.ones(1, 1, 4, 4), gradient_weight=1.0)
    assert with_edges.item() == pytest.approx(0.5 + 2 * 12 / 16 * 1e-3, abs=1e-4)


def test_pixels_without_weight_do_not_count():
    target = torch.zeros(1, 3, 2, 4, 4)
    wrong = target.clone()
    wrong[:, :, 0] = 9
    weight = torch.ones(1, 2, 4, 4)
    weight[:, 0] = 0
    assert frame_loss(wrong, target, weight).item() < 0.01
    assert frame_loss(wrong, target, torch.zeros_like(weight)).item() == 0


def test_structure_is_ssim_as_others_compute_it():
    torch.manual_seed(0)
    target = torch.rand(1, 3, 1, 20, 24) * 2 - 1
    clean = 0.6 * target + 0.1
    luma = [(torch.tensor([0.299, 0.587, 0.114]) @ video[0, :, 0].flatten(1)).view(20, 24) for video in (clean, target)]
    expected = structural_similarity(*(of.numpy() for of in luma), data_range=2, use_sample_covariance=False)
    loss = structure_loss(clean, target, torch.ones(1, 1, 20, 24))
    assert loss.item() == pytest.approx(1 - expected, abs=1e-5)
    assert structure_loss(target, target, torch.ones(1, 1, 20, 24)).item() == pytest.approx(0, abs=1e-5)


def test_structure_wants_contrast_where_it_cannot_be_sure():
    """Of a pattern that is known with error, the best amplitude is the true one; by squares it would be 0.71."""
    torch.manual_seed(0)
    known, unknown = torch.randn(2, 1, 1, 1, 64, 64).mul(0.3).expand(-1, -1, 3, -1, -1, -1)
    amplitudes = torch.linspace(0.3, 1.5, 25)
    losses = [structure_loss(a * (known + unknown) / 2**0.5, known, torch.ones(1, 1, 64, 64)) for a in amplitudes]
    assert 0.85 < amplitudes[torch.stack(losses).argmin()] < 1.15


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return PatchCritic(in_channels=4, channels=4, num_layers=2)


def videos() -> list[torch.Tensor]:
    """Made frames, true ones and maps."""
    torch.manual_seed(1)
    return [torch.rand(2, channels, 3, 16, 24) for channels in (3, 3, 1)]


def test_a_critic_judges_patches_of_every_frame(critic):
    clean, _, maps = videos()
    critic.eval()
    judgement, features = critic(clean, maps)
    assert judgement.shape == (2 * 3, 4, 6)
    assert [tuple(layer.shape) for layer in features] == [(6, 4, 8, 12), (6, 8, 4, 6)]
    moved, _ = critic(clean.roll(1, dims=2), maps.roll(1, dims=2))  # each frame by itself
    torch.testing.assert_close(moved.view(2, 3, 4, 6).roll(-1, dims=1).flatten(0, 1), judgement)


def test_features_count_as_much_as_is_asked(critic):
    clean, target, maps = videos()
    critic.eval()
    weight = torch.ones(2, 3, 16, 24)
    made, perfect = (Prediction(of, target, maps, weight) for of in (clean, target))
    losses = [persuasion_loss(critic, made, feature_weight=of).item() for of in (0.0, 1.0, 10.0)]
    assert losses[0] < losses[1]
    assert losses[2] - losses[0] == pytest.approx(10 * (losses[1] - losses[0]), rel=1e-3)
    alike = [persuasion_loss(critic, perfect, feature_weight=of).item() for of in (0.0, 10.0)]
    assert alike[0] == alike[1]


def test_a_critic_learns_to_tell_frames_apart_and_teaches_it(critic):
    """It learns from what is weighed only, and leaves the made frames as they are."""
    clean, target, maps = videos()
    clean.requires_grad_(True)
    weight = torch.ones(2, 3, 16, 24)
    weight[0] = 0
    prediction, perfect = (Prediction(of, target, maps, weight) for of in (clean, target))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.04)
    losses = []
    for _ in range(20):
        loss = critic_loss(critic, prediction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2, abs=0.3)
    assert losses[-1] < 0.9 * losses[0]
    assert clean.grad is None
    assert persuasion_loss(critic, perfect) < persuasion_loss(critic, prediction)
    persuasion_loss(critic, prediction).backward()
    assert clean.grad[0].abs().max() == 0
    assert clean.grad[1].abs().max() > 0
