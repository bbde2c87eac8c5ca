import pytest
import torch

from gen.losses import add_noise, charbonnier, frame_loss


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
