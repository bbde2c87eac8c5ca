import numpy as np

from gen.conditioning import MAP_CHANNELS
from gen.detail import DRAWN, find_detail, lay_over
from gen.drawn_hands import DrawnHands
from gen.reference import IS_ARM, IS_HAND, IS_TRUNK

SIDE = 64
TRUNK, ARM, HAND = (int(np.flatnonzero(of)[0]) for of in (IS_TRUNK, IS_ARM, IS_HAND))
STRIPES = np.where(np.arange(SIDE) % 4 < 2, 200, 100)[:, None, None]


def make_maps(part, carried=255):
    """One frame whose composite is striped, all of it one part."""
    maps = np.zeros((1, SIDE, SIDE, MAP_CHANNELS), np.uint8)
    maps[..., :3], maps[..., 3], maps[..., 8] = STRIPES, carried, part
    return maps


def no_hands(maps):
    return DrawnHands(np.zeros_like(maps[..., :3]), np.zeros_like(maps[..., 0]))


def lay(maps, value=90, **options):
    frames = np.full((1, SIDE, SIDE, 3), value, np.uint8)
    hands = options.pop("hands", no_hands(maps))
    return lay_over(frames, find_detail(maps, hands, options.pop("keep", None)), **options)[0].astype(int)


def test_arms_are_as_in_the_picture():
    np.testing.assert_array_equal(lay(make_maps(ARM)), np.broadcast_to(STRIPES, (SIDE, SIDE, 3)))


def test_the_trunk_keeps_its_broad_colours_and_gets_the_stripes():
    laid = lay(make_maps(TRUNK))
    assert abs(laid.mean() - 90) < 1
    assert np.ptp(laid[8:-8], axis=0).min() > 90


def test_nothing_changes_where_nothing_is_carried_and_on_hands():
    for maps in (make_maps(TRUNK, carried=200), make_maps(HAND), make_maps(0)):
        assert (lay(maps) == 90).all()


def test_nothing_changes_on_hands_and_where_pixels_are_kept():
    maps, keep = make_maps(ARM), np.zeros((SIDE, SIDE), bool)
    maps[:, 20:30, 20:30, 8] = HAND
    keep[40:50] = True
    laid = lay(maps, keep=keep)
    assert (laid[20:30, 20:30] == 90).all()
    assert (laid[40:50] == 90).all()
    assert (laid[:10] == STRIPES[:10]).all()


def test_edges_of_hands_become_crisper_and_nothing_far_from_them_changes():
    side = 256
    maps, frames = np.zeros((1, side, side, MAP_CHANNELS), np.uint8), np.full((1, side, side, 3), 100, np.uint8)
    maps[:, 100:120, 90:130, 8], frames[:, :, 110:] = HAND, 160
    hands = DrawnHands(frames, np.where(maps[..., 8] == HAND, 255, 0).astype(np.uint8))
    laid = lay_over(frames, find_detail(maps, hands))[0].astype(int)
    assert laid[110, 109, 0] < 100
    assert laid[110, 110, 0] > 160
    changed = (laid != frames[0]).any(axis=2)
    assert changed[95:125].any(axis=1).all()
    assert not changed[:85].any()
    assert not changed[135:].any()


def test_drawn_hands_keep_the_networks_broad_colours_and_are_not_laid_over_kept_pixels():
    maps, keep = make_maps(0), np.zeros((SIDE, SIDE), bool)
    keep[40:] = True
    hands = DrawnHands(
        np.broadcast_to(STRIPES, (1, SIDE, SIDE, 3)).astype(np.uint8), np.full((1, SIDE, SIDE), 255, np.uint8)
    )
    laid = lay(maps, hands=hands, keep=keep)
    assert abs(laid[:40].mean() - 90) < 3
    assert np.ptp(laid[8:32], axis=0).min() > 0.9 * DRAWN * 90 * np.ptp(STRIPES) / STRIPES.mean()
    assert (laid[40:] == 90).all()
    hands.cover[:, :, 30:] = 0
    assert (lay(maps, hands=hands)[:, 30:] == 90).all()


def test_half_the_scale_goes_half_the_way():
    maps = make_maps(ARM)
    assert np.abs(lay(maps, scale=0.5) - (90 + lay(maps)) / 2).max() <= 1
    assert (lay(maps, scale=0.0) == 90).all()
