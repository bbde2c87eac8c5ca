import numpy as np
import pytest
from scipy.spatial import Delaunay

from gen.signers.raster import MAX_DEPTH, interpolate, rasterize


def corners(*points):
    return np.array(points, np.float32)


def triangles(*faces):
    return np.array(faces, np.int32)


def test_a_triangle_covers_the_pixels_whose_centres_it_holds():
    raster = rasterize(corners((0, 0, 2), (4, 0, 2), (0, 4, 2)), triangles((0, 1, 2)), height=4, width=4)
    expected = [[0, 0, 0, -1], [0, 0, -1, -1], [0, -1, -1, -1], [-1, -1, -1, -1]]
    np.testing.assert_array_equal(raster.face, expected)
    np.testing.assert_array_equal(raster.depth == 2, raster.face == 0)
    np.testing.assert_array_equal(np.isinf(raster.depth), raster.face < 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_barycentric_weights_give_back_the_pixel_centre_from_either_side(order):
    points = corners((1, 1, 1), (9, 2, 3), (3, 9, 5))
    faces = triangles(order)
    raster = rasterize(points, faces, height=10, width=10)
    seen = interpolate(raster, faces, points)
    y, x = np.nonzero(raster.face == 0)
    assert len(y) > 20
    np.testing.assert_allclose(seen[y, x, 0], x + 0.5, atol=1e-4)
    np.testing.assert_allclose(seen[y, x, 1], y + 0.5, atol=1e-4)
    np.testing.assert_allclose(seen[y, x, 2], raster.depth[y, x], atol=1e-5)
    assert not seen[raster.face < 0].any()


@pytest.mark.parametrize("faces", [triangles((0, 1, 2), (3, 4, 5)), triangles((3, 4, 5), (0, 1, 2))])
def test_the_nearer_of_two_triangles_is_seen_whatever_their_order(faces):
    # The first lies flat at depth 1; the second runs from depth 0 at the left to 2 at the right.
    points = corners((0, 0, 1), (8, 0, 1), (0, 8, 1), (0, 0, 0), (8, 0, 2), (0, 8, 0))
    raster = rasterize(points, faces, height=8, width=8)
    flat = int(np.flatnonzero((faces == 0).any(1))[0])
    assert (raster.face[:4, :3] == 1 - flat).all()
    assert (raster.face[:3, 4] == flat).all()


def test_neighbours_leave_no_hole_and_share_no_pixel():
    rng = np.random.default_rng(0)
    # Halves and quarters put corners and edges exactly on pixel centres.
    inside = np.round(rng.uniform(0, 32, (120, 2)) * 4) / 4
    points = np.unique(np.concatenate([inside, [[0, 0], [32, 0], [0, 32], [32, 32]]]), axis=0)
    faces = Delaunay(points).simplices.astype(np.int32)
    screen = np.column_stack([points, np.zeros(len(points))]).astype(np.float32)
    covered = [rasterize(screen, face[None], height=32, width=32).face >= 0 for face in faces]
    np.testing.assert_array_equal(np.sum(covered, 0), 1)


def test_the_cut_ends_a_surface_between_its_vertices():
    points = corners((0, 0, 0), (8, 0, 0), (8, 8, 0), (0, 8, 0))
    cut = points[:, 0] - 3
    raster = rasterize(points, triangles((0, 1, 2), (0, 2, 3)), height=8, width=8, cut=cut)
    np.testing.assert_array_equal(raster.face >= 0, np.tile(np.arange(8) >= 3, (8, 1)))


def test_what_lies_behind_a_cut_is_seen():
    points = corners((0, 0, 0), (8, 0, 0), (0, 8, 0), (0, 0, 1), (8, 0, 1), (0, 8, 1))
    cut = np.array([-1, -1, -1, 1, 1, 1], np.float32)
    raster = rasterize(points, triangles((0, 1, 2), (3, 4, 5)), height=8, width=8, cut=cut)
    assert set(np.unique(raster.face)) == {-1, 1}


def test_triangles_reach_past_the_frame():
    points = corners((-1000, -1000, 0), (3000, -1000, 0), (-1000, 3000, 0))
    raster = rasterize(points, triangles((0, 1, 2)), height=5, width=7)
    assert (raster.face == 0).all()
    behind = rasterize(points - np.float32([5000, 0, 0]), triangles((0, 1, 2)), height=5, width=7)
    assert (behind.face < 0).all()


def test_no_triangles_leave_the_raster_empty():
    raster = rasterize(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), height=2, width=3)
    assert (raster.face == -1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2 * MAX_DEPTH])
def test_depths_that_cannot_be_compared_are_refused(bad):
    points = corners((0, 0, bad), (4, 0, 0), (0, 4, 0))
    with pytest.raises(ValueError, match="`screen` must be finite"):
        rasterize(points, triangles((0, 1, 2)), height=4, width=4)
