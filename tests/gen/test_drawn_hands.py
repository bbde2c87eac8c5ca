from dataclasses import replace

import numpy as np
import pytest

import gen.drawn_hands
from gen.drawn_hands import HandDrawer
from gen.reference import GROUPS, find_groups, read_reference, to_screen
from gen.signers.appearance import Light
from gen.signers.body import load_body
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.raster import rasterize
from tests.gen.conftest import SIZE


@pytest.fixture(scope="module")
def drawer(picture, read):
    return HandDrawer(read, load_body(), fit_body(picture.poses, load_body()))


@pytest.fixture(scope="module")
def motion(driving):
    return fit_body(driving, load_body())


def test_hands_are_drawn_where_the_body_has_them_in_the_colour_of_skin(drawer, motion, read):
    body = load_body()
    drawn = drawer.draw(motion, slice(4, 6))
    assert drawn.frames.shape == (2, SIZE, SIZE, 3)
    screen = to_screen(motion.camera.project(pose_vertices(body, motion, slice(4, 5))[0]), SIZE, SIZE)
    raster = rasterize(screen, body.faces, height=SIZE, width=SIZE)
    part = np.where(raster.face >= 0, body.part[raster.face] + 1, 0).astype(np.uint8)
    is_hand = find_groups(part) == GROUPS.index("hand")
    assert is_hand.sum() > 20
    assert (drawn.cover[0][is_hand] > 0).all()
    assert abs((drawn.cover[0] / 255).sum() / is_hand.sum() - 1) < 0.1
    skin = read.colours[GROUPS.index("hand")]
    shown = drawn.frames[0][drawn.cover[0] == 255].mean(axis=0)
    np.testing.assert_allclose(shown / shown.sum(), skin / skin.sum(), atol=0.06)


def test_edges_have_the_colour_of_the_hand_alone(drawer, motion):
    drawn = drawer.draw(motion, slice(4, 5))
    edge, inner = (drawn.cover > 0) & (drawn.cover < 128), drawn.cover == 255
    assert edge.sum() > 5
    assert drawn.frames[edge].mean() == pytest.approx(drawn.frames[inner].mean(), rel=0.2)
    assert not drawn.frames[drawn.cover == 0].any()


def test_hands_partly_outside_are_drawn_as_far_as_they_are_seen(drawer, motion):
    frame, camera = slice(4, 5), motion.camera
    whole = drawer.draw(motion, frame)
    down = SIZE - round(np.nonzero(whole.cover[0])[0].mean())
    center = camera.center[0], camera.center[1] + down / SIZE
    lower = drawer.draw(replace(motion, camera=replace(camera, center=center)), frame)
    assert lower.cover[0, -1].any()
    np.testing.assert_array_equal(lower.cover[0, down:], whole.cover[0, :-down])
    assert np.abs(lower.frames[0, down:].astype(int) - whole.frames[0, :-down]).mean() < 1


def test_hands_are_lit_from_where_light_is_found(picture, motion, read, monkeypatch):
    body, held = load_body(), fit_body(picture.poses, load_body())
    drawn = []
    for azimuth in (-60.0, 60.0):
        monkeypatch.setattr(gen.drawn_hands, "find_light", lambda *_, azimuth=azimuth: Light(azimuth_deg=azimuth))
        drawn.append(HandDrawer(read, body, held).draw(motion, slice(4, 5)))
    np.testing.assert_array_equal(drawn[0].cover, drawn[1].cover)
    assert (drawn[0].frames != drawn[1].frames).any()


def test_hands_outside_the_frame_are_not_drawn(drawer, motion):
    away = replace(motion, camera=replace(motion.camera, center=(9.0, 9.0)))
    assert not drawer.draw(away, slice(0, 1)).cover.any()


def test_a_black_picture_gives_hands_all_the_same(picture, motion):
    body, held = load_body(), fit_body(picture.poses, load_body())
    black = read_reference(np.zeros_like(picture.image), body, held)
    drawn = HandDrawer(black, body, held).draw(motion, slice(4, 5))
    assert drawn.frames[drawn.cover == 255].any()
