"""The stream by the graph of points: what it sees, and what padding is to it."""

import pytest
import torch

from poses.keypoints import HAND
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import BODY_POINTS, HANDS, NUM_POINTS
from recognizer.modeling_graph_stream import CENTRE, GraphStream, _neighbours


@pytest.fixture
def network() -> GraphStream:
    torch.manual_seed(0)
    return GraphStream(SignRecognizerConfig(id2label={0: "-", 1: "ase:A", 2: "ase:B"}))


def clips(number: int = 6, frames: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    keypoints = torch.randn(number, frames, NUM_POINTS, 2, generator=generator)
    return keypoints, torch.ones(number, frames, NUM_POINTS)


def test_places_places_in_boxes_bones_and_movements_are_seen(network):
    right, tip = HANDS[0], HANDS[0].start + HAND.index("index_tip")
    bone, elbow = HANDS[0].start + HAND.index("index_dip"), BODY_POINTS.index("right_elbow")
    keypoints, confidence = clips(1)
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


def test_points_take_from_themselves_and_from_neighbours_on_either_side():
    neighbours = _neighbours()
    torch.testing.assert_close(neighbours.sum(dim=(1, 2)), torch.ones(NUM_POINTS))
    shoulder, elbow, wrist = (BODY_POINTS.index(f"left_{joint}") for joint in ("shoulder", "elbow", "wrist"))
    third = torch.tensor(1 / 3)
    assert [neighbours[elbow, part].nonzero()[:, 0].tolist() for part in range(3)] == [[elbow], [shoulder], [wrist]]
    assert torch.equal(neighbours[elbow].sum(dim=0)[[shoulder, elbow, wrist]], third.expand(3))
    assert not neighbours[CENTRE, 1].any()


def test_every_point_and_parameter_counts(network):
    keypoints, confidence = clips(4)
    keypoints.requires_grad_(True)
    torch.nn.functional.cross_entropy(network(keypoints, confidence), torch.tensor([0, 1, 2, 0])).backward()
    assert (keypoints.grad.abs().sum(dim=(0, 1, 3)) > 0).all()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("shorter", [1, 6, 7])
def test_padding_changes_nothing(network, shorter):
    network.eval()
    keypoints, confidence = clips(1, 10)
    mask = (torch.arange(10) < shorter).long()[None]
    short = network(keypoints[:, :shorter], confidence[:, :shorter])
    torch.testing.assert_close(network(keypoints, confidence, mask), short, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(keypoints, confidence), short, atol=1e-4)
