import numpy as np

from gen.cut_out import cut_out, grow

SIDE = 64
ROWS, COLUMNS = np.indices((SIDE, SIDE))
NOTHING = np.zeros((SIDE, SIDE), bool)


def disc(radius, row=SIDE // 2, column=SIDE // 2):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def paint(*layers, noise=4):
    """A picture of a green room and what is in it, coloured layers one over the other."""
    picture = np.full((SIDE, SIDE, 3), (60, 120, 70), float)
    for mask, colour in layers:
        picture[mask] = colour
    return (picture + np.random.default_rng(0).normal(0, noise, picture.shape)).clip(0, 255).astype(np.uint8)


def test_hair_and_clothes_beyond_the_body_are_the_signers():
    head, shown = disc(10), disc(14)
    found = cut_out(paint((shown, (40, 30, 30)), (disc(6), (200, 150, 120))), head, head, NOTHING)
    assert (found == shown).mean() > 0.99


def test_what_is_out_of_reach_is_not():
    head, other = disc(10), disc(4, row=6, column=6)
    found = cut_out(paint((disc(10) | other, (200, 150, 120))), head, head, NOTHING)
    assert not (found & other).any()


def test_the_body_is_the_signers_whatever_its_colour():
    body = disc(12)
    assert cut_out(paint(), body, NOTHING, NOTHING)[body].all()


def test_of_a_guess_the_colours_tell():
    body = disc(12)
    arm = (abs(COLUMNS - 48) < 4) & (ROWS > 40)
    shown = body | arm & (ROWS < 52)  # the lower half of the arm is elsewhere
    found = cut_out(paint((shown, (200, 150, 120))), body | arm, NOTHING, arm)
    assert (found == shown).mean() > 0.99
    assert cut_out(paint((shown, (200, 150, 120))), body | arm, NOTHING, NOTHING)[arm].all()


def test_a_picture_without_room_or_without_a_body_is_left_as_it_is():
    for body in (~NOTHING, NOTHING):
        np.testing.assert_array_equal(cut_out(paint(), body, NOTHING, NOTHING), body)


def test_a_large_picture_is_cut_as_its_small_copy():
    head, shown = disc(10), disc(14)
    large = [np.kron(mask, np.ones((8, 8), bool)) for mask in (head, shown)]
    picture = paint((shown, (40, 30, 30)), noise=0).repeat(8, axis=0).repeat(8, axis=1)
    found = cut_out(picture, large[0], large[0], np.zeros_like(large[0]))
    assert found.shape == picture.shape[:2]
    assert (found == large[1]).mean() > 0.98


def test_growing_reaches_as_far_as_is_asked():
    np.testing.assert_array_equal(np.flatnonzero(grow(disc(0), 3)[SIDE // 2]), np.arange(SIDE // 2 - 3, SIDE // 2 + 4))
