import numpy as np
import pytest

from gen.drawn_hands import HandDrawer
from gen.reference import GROUP_OF_PART, GROUPS, to_screen
from gen.signers.body import load_body
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.raster import rasterize
from tests.gen.conftest import SIZE


@pytest.fixture(scope="module")
def drawer(picture, read):
    return HandDrawer(read, load_body(), fit_body(picture.poses, load_body()))


def test_hands_are_drawn_where_the_body_has_them_in_the_colour_of_skin(drawer, driving, read):
    body = load_body()
    motion = fit_body(driving, body)
    drawn = drawer.draw(motion, slice(4, 6), height=SIZE, width=SIZE)
    assert drawn.frames.shape == (2, SIZE, SIZE, 3)
    posed = pose_vertices(body, motion, slice(4, 5))[0]
    raster = rasterize(to_screen(motion.camera.project(posed), SIZE, SIZE), body.faces, height=SIZE, width=SIZE)
    is_hand = (raster.face >= 0) & (GROUP_OF_PART[body.part[raster.face]] == GROUPS.index("hand"))
    assert is_hand.sum() > 20
    assert (drawn.cover[0][is_hand] > 0).all()
    assert abs((drawn.cover[0] / 255).sum() / is_hand.sum() - 1) < 0.1
    skin = read.colours[GROUPS.index("hand")]
    shown = drawn.frames[0][drawn.cover[0] == 255].mean(axis=0)
    np.testing.assert_allclose(shown / shown.sum(), skin / skin.sum(), atol=0.06)


def test_hands_outside_the_frame_are_not_drawn(drawer, driving):
    motion = fit_body(driving, load_body())
    away = type(motion)(**{**vars(motion), "camera": type(motion.camera)(motion.camera.scale, (9.0, 9.0), 1.0)})
    assert not drawer.draw(away, slice(0, 1), height=SIZE, width=SIZE).cover.any()
