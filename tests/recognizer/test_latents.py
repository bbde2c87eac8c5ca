from itertools import product

import pytest
import torch

from recognizer.latents import (
    cross_covariance,
    distillation_loss,
    forced_alignment,
    pruning_mask,
    whiten_latents,
)

MASK = torch.tensor([[True] * 4, [True] * 3 + [False]])


def latents(seed=0):
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(seed))


def test_whitening_takes_away_what_neighbours_share():
    values = latents()
    normed = torch.nn.functional.layer_norm(values, (6,))
    whitened = whiten_latents(values, MASK, whitening=0.25)
    torch.testing.assert_close(whitened[:, 0], normed[:, 0])  # nothing comes before the first
    torch.testing.assert_close(whitened[0, 2], normed[0, 2] * (1 - 0.25 * normed[0, 1]))
    assert not whitened[1, 3].any()


def test_matrix_whitening_makes_neighbours_uncorrelated():
    generator = torch.Generator().manual_seed(0)
    # Each frame is much like the one before, and every number varies as much as the others.
    walk = torch.randn(1, 4000, 16, generator=generator)
    for frame in range(1, 4000):
        walk[0, frame] = 0.9 * walk[0, frame - 1] + 0.19**0.5 * walk[0, frame]
    mask = torch.ones(walk.shape[:2], dtype=torch.bool)
    covariance = cross_covariance(walk, mask)
    assert covariance.diagonal().min() > 0.7
    whitened = whiten_latents(walk, mask, whitening=1.0, covariance=covariance)
    normed = torch.nn.functional.layer_norm(walk, (16,))
    shared = torch.einsum("td,te->de", whitened[0, 1:], normed[0, :-1]) / len(walk[0])
    assert shared.abs().max() < 0.25


def collapse(path, blank):
    return [label for number, label in enumerate(path) if label != blank and (number == 0 or path[number - 1] != label)]


@pytest.mark.parametrize("labels", [[0], [0, 1], [1, 1], []])
@pytest.mark.parametrize("seed", range(3))
def test_forced_alignment_is_the_best_path_that_spells_the_labels(labels, seed):
    log_probs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(dim=-1)
    paths = [path for path in product(range(3), repeat=5) if collapse(path, 2) == labels]
    best = max(paths, key=lambda path: log_probs[torch.arange(5), torch.tensor(path)].sum())
    assert forced_alignment(log_probs, torch.tensor(labels, dtype=torch.long)).tolist() == list(best)


def test_alignments_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="got 3 glosses and blanks for 2 frames"):
        forced_alignment(torch.zeros(2, 3), torch.tensor([1, 1]))


def test_distillation_is_a_softened_divergence():
    teacher, student = torch.tensor([[[2.0, 0.0], [9.0, 9.0]]]), torch.tensor([[[0.0, 0.0], [5.0, -5.0]]])
    mask = torch.tensor([[True, False]])
    share = torch.tensor([1.0, 0.0]).softmax(dim=0)  # at temperature 2
    expected = 4 * (share * (share / 0.5).log()).sum()
    torch.testing.assert_close(distillation_loss(student, teacher, mask, temperature=2), expected)
    assert distillation_loss(teacher, teacher, mask).item() == pytest.approx(0, abs=1e-6)
    teacher.requires_grad_()
    student.requires_grad_()
    distillation_loss(student, teacher, mask).backward()
    assert teacher.grad is None
    assert student.grad[0, 0].any()


def test_dimensions_that_hardly_vary_are_pruned():
    values = latents()
    values[..., 2] = 3
    values[..., 4] *= 1e-3
    values[1, 3] = 1e6  # padding does not count
    assert pruning_mask(values, MASK).tolist() == [True, True, False, True, False, True]
    assert pruning_mask(values, MASK, threshold=1e-9).tolist() == [True, True, False, True, True, True]
