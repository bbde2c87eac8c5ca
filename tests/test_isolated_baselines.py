"""The baselines that the recognizer of words is compared with: what ST-GCN sees, and how it is read."""

import runpy
from itertools import repeat
from pathlib import Path

import pytest
import torch

from poses.keypoints import HAND
from recognizer.framing import BODY_POINTS, HANDS, NUM_POINTS
from recognizer.word_training import settle_norms

BASELINES = runpy.run_path(str(Path(__file__).resolve().parent.parent / "benchmarks" / "isolated_baselines.py"))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return BASELINES["StGcn"](num_labels=3)


def clips(number: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    keypoints = torch.randn(number, 8, NUM_POINTS, 2, generator=generator)
    return {"keypoints": keypoints, "confidence": torch.ones(number, 8, NUM_POINTS)}


def test_st_gcn_sees_places_places_in_boxes_bones_and_movements(network: torch.nn.Module):
    right, tip = HANDS[0], HANDS[0].start + HAND.index("index_tip")
    bone, elbow = HANDS[0].start + HAND.index("index_dip"), BODY_POINTS.index("right_elbow")
    keypoints, confidence = clips(1).values()
    confidence[:, 3:5, right] = 0
    place, boxed, parted, moved, sure = network.inputs(keypoints, confidence).split((2, 2, 2, 2, 1), dim=-1)
    points = keypoints[0]
    assert torch.equal(place[0, 0], points[0])
    torch.testing.assert_close(boxed[0, 0, right].amin(dim=0), -boxed[0, 0, right].amax(dim=0))
    assert boxed[0, 0, right].abs().max() == pytest.approx(0.5)
    assert torch.equal(boxed[0, 0, elbow], points[0, elbow] / 2)
    assert torch.equal(parted[0, 0, tip], points[0, tip] - points[0, bone])
    assert torch.equal(parted[0, 0, elbow], points[0, elbow] - points[0, BODY_POINTS.index("right_shoulder")])
    assert torch.equal(moved[0, 1], points[1] - points[0])
    assert not moved[0, 0].any()
    for part in (place, boxed, parted, sure):
        assert part[0, 3:5, right].count_nonzero() == 0
        assert part[0, 5, right].any()
    assert moved[0, 3:6, right].count_nonzero() == 0


def test_every_point_counts(network: torch.nn.Module):
    arrays = clips(4)
    arrays["keypoints"].requires_grad_(True)
    network(**arrays, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    assert (arrays["keypoints"].grad.abs().sum(dim=(0, 1, 3)) > 0).all()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_settled_norms_are_those_of_the_weights_as_they_are(network: torch.nn.Module):
    arrays = clips()
    network.eval()
    before = network(**arrays).logits
    settle_norms(network, repeat(arrays))
    assert not network.training
    values = network.inputs(**arrays).flatten(0, 1).flatten(1)
    torch.testing.assert_close(network.norm.running_mean, values.mean(dim=0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network.norm.running_var, values.var(dim=0), atol=1e-4, rtol=1e-4)
    settled = network(**arrays).logits
    assert not torch.allclose(before, settled, atol=1e-2)
    network.train()
    network.dropout.eval()
    torch.testing.assert_close(network(**arrays).logits, settled, atol=0.02, rtol=0.02)
