from dataclasses import replace

import numpy as np
import pytest
import torch

from poses.fingerspelling import hand_depths, letter_clips
from poses.keypoints import HAND, PARTS
from recognizer.augmentation import _lag, _move_head, augment, frame_closer, hide_body, mix, scale_movement, turn_hands
from recognizer.framing import BODY_POINTS, NUM_POINTS, cut_below

PALM = [HAND.index(f"{finger}_mcp") for finger in ("index", "middle", "ring", "little")]


@pytest.fixture(scope="module")
def clip():
    return letter_clips("ase")["B"][8:12]


def right_palm(poses):
    points = poses.pixels()[:, PARTS["right_hand"]]
    return points[:, PALM] - points[:, :1]


@pytest.mark.parametrize(
    ("view", "x", "y"),
    [
        ((0, 0, 0), "x", "y"),
        ((0, 0, np.pi / 2), "-y", "x"),
        ((0, np.pi / 2, 0), "depth", "y"),
        ((np.pi / 2, 0, 0), "x", "-depth"),
    ],
)
def test_hands_turn_in_space_about_their_wrists(clip, view, x, y):
    rng = np.random.default_rng(0)
    depth = rng.normal(0, 30, (len(clip), 42)).astype(np.float32)
    depth[:, [0, 21]] = 0  # wrists are where depth is counted from
    palm = right_palm(clip)
    was = {"x": palm[..., 0], "y": palm[..., 1], "depth": depth[:, 21:][:, PALM]}
    was |= {f"-{name}": -values for name, values in was.items()}
    turned = right_palm(turn_hands(clip, depth, np.array(view), rng))
    np.testing.assert_allclose(turned, np.stack([was[x], was[y]], axis=-1), atol=0.01)


def test_fingers_bend_without_growing_and_other_points_stay(clip):
    depth = hand_depths("ase")["B"][8:12]
    turned = turn_hands(clip, depth, np.zeros(3), np.random.default_rng(0))
    for part in ("body", "face", "left_hand"):
        np.testing.assert_array_equal(turned.part(part)[0], clip.part(part)[0])
    tips = PARTS["right_hand"].start + HAND.index("index_tip"), PARTS["right_hand"].start + HAND.index("index_mcp")
    assert np.abs(turned.pixels()[:, tips[0]] - clip.pixels()[:, tips[0]]).max() > 1
    np.testing.assert_allclose(turned.pixels()[:, tips[1]], clip.pixels()[:, tips[1]], atol=0.01)


def test_turning_invents_no_hand(clip):
    confidence = clip.confidence.copy()
    confidence[:2, PARTS["right_hand"]] = 0
    keypoints = np.where(confidence[..., None] > 0, clip.keypoints, 0)
    lost = replace(clip, keypoints=keypoints, confidence=confidence)
    turned = turn_hands(lost, np.ones((4, 42), np.float32), np.array([0.3, 0.2, 0.1]), np.random.default_rng(0))
    assert not turned.keypoints[confidence == 0].any()


def test_augmentation_keeps_unseen_points_unseen_and_bones_near_their_length():
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(8, 30, NUM_POINTS, 2, generator=generator)
    confidence = torch.ones(8, 30, NUM_POINTS)
    confidence[:, :, -21:] = 0
    changed, sure = augment(torch.where(confidence[..., None] > 0, keypoints, 0), confidence, generator)
    assert not sure[:, :, -21:].any()
    assert not changed[sure == 0].any()
    assert changed.isfinite().all()
    assert ((sure >= 0) & (sure <= 1)).all()
    bone = len(BODY_POINTS) + HAND.index("index_mcp"), len(BODY_POINTS)
    seen = sure[:, :, bone[0]] > 0
    ratio = (changed[:, :, bone[0]] - changed[:, :, bone[1]]).norm(dim=-1) / (
        keypoints[:, :, bone[0]] - keypoints[:, :, bone[1]]
    ).norm(dim=-1)
    assert 0.6 < float(np.median(ratio[seen])) < 1.4


def test_a_point_that_rests_is_not_moved_by_lag():
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.full((4, 12, NUM_POINTS, 2), 0.5)
    confidence = (torch.rand(4, 12, NUM_POINTS, generator=generator) < 0.8).float()
    lagging = _lag(keypoints * confidence[..., None], confidence, 0.6, generator)
    torch.testing.assert_close(lagging[confidence > 0], keypoints[confidence > 0])


def test_heads_move_against_the_shoulders():
    keypoints = torch.zeros(2, 3, NUM_POINTS, 2)
    keypoints[:, :, BODY_POINTS.index("nose"), 1] = -0.6
    keypoints[:, :, -1, 1] = -0.3  # a hand half as high
    offset = _move_head(keypoints, 0.1, torch.Generator().manual_seed(0)) - keypoints
    nose = offset[:, :, BODY_POINTS.index("nose")]
    assert nose.norm(dim=-1).min() > 0.01
    torch.testing.assert_close(offset[:, :, -1], nose / 2)
    assert not offset[:, :, BODY_POINTS.index("right_shoulder")].any()


def test_paths_of_hands_change_their_size_not_their_place_or_shape():
    keypoints, confidence, right, left = falling_hand(batch=4)
    scaled = scale_movement(keypoints, confidence, torch.Generator().manual_seed(0))
    path = scaled[:, :, right.start, 1]
    torch.testing.assert_close(path.mean(dim=1), torch.full((4,), 0.75))
    torch.testing.assert_close(path.diff(dim=1) / path.diff(dim=1)[:, :1], torch.ones(4, 8))
    assert (path.diff(dim=1)[:, 0] - 1.5 / 8).abs().max() > 0.02
    torch.testing.assert_close(scaled[:, :, right], scaled[:, :, right.start, None].expand(-1, -1, 21, -1))
    assert not scaled[:, :, left].any()  # it is not seen


def test_arms_are_hidden_more_often_than_the_head():
    keypoints, confidence = torch.ones(400, 2, NUM_POINTS, 2), torch.ones(400, 2, NUM_POINTS)
    keypoints, sure = hide_body(keypoints, confidence, torch.Generator().manual_seed(0))
    hidden = (sure == 0).all(dim=1).float().mean(dim=0)
    assert 0.2 < hidden[BODY_POINTS.index("left_elbow")] < 0.4
    assert 0.03 < hidden[BODY_POINTS.index("nose")] < 0.2
    assert not hidden[len(BODY_POINTS) :].any()
    assert not keypoints[sure == 0].any()


def test_mixed_clips_show_most_of_their_own():
    keypoints = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 2, NUM_POINTS, 2)
    confidence = torch.ones(64, 2, NUM_POINTS)
    confidence[:, :, -1] = 0
    mixed, shares = mix(keypoints, confidence, torch.eye(64), torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed[:, 0, 0, 0], shares @ torch.arange(64.0))
    assert (shares.diagonal() >= 0.5).all()
    assert 0.3 < (shares.diagonal() < 1).float().mean() < 0.7
    torch.testing.assert_close(mixed[:, :, -1], keypoints[:, :, -1])


def falling_hand(batch=64, frames=9):
    """A right hand that falls from the shoulders to one and a half shoulder widths below; the left stays at 0.4."""
    keypoints, confidence = torch.zeros(batch, frames, NUM_POINTS, 2), torch.zeros(batch, frames, NUM_POINTS)
    right, left = slice(len(BODY_POINTS), len(BODY_POINTS) + 21), slice(len(BODY_POINTS) + 21, None)
    keypoints[:, :, right, 1] = torch.linspace(0, 1.5, frames)[None, :, None]
    keypoints[:, :, left, 1] = 0.4
    confidence[:, :, right] = 1
    return keypoints, confidence, right, left


def test_what_is_below_the_picture_is_lost():
    keypoints, confidence, right, left = falling_hand(batch=1)
    confidence[:] = 1
    _, sure = cut_below(keypoints, confidence, torch.tensor([0.8]))
    assert (sure[0, :, right] > 0).all(dim=1).tolist() == [True] * 5 + [False] * 4
    assert (sure[0, :, left] > 0).all()
    assert (confidence > 0).all()


def test_clips_framed_closer_begin_and_end_where_a_hand_is_seen():
    keypoints, confidence, right, _ = falling_hand()
    framed, sure = frame_closer(keypoints, confidence, torch.Generator().manual_seed(0))
    lowest = framed[:, -1, right.start, 1]
    assert (sure[:, :, right] > 0).all()
    kept, closer = lowest == 1.5, lowest < 1.4
    assert (kept | closer).all()
    assert 0.2 < closer.float().mean() < 0.6
    assert lowest.min() > 0.8  # with less, only five frames would be left
