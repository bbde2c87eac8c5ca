import numpy as np

from gen.signers.mesh import vertex_normals

ROOF = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 3], [1, 0, 3], [9, 9, 9]], np.float32)
FLOOR_AND_WALL = np.array([[0, 1, 2], [0, 2, 3], [0, 4, 5], [0, 5, 1]], np.int32)


def test_normals_are_the_mean_by_area_of_what_meets():
    normals = vertex_normals(ROOF, FLOOR_AND_WALL)
    up, forward = np.array([0, 0, 1]), np.array([0, 1, 0])
    np.testing.assert_allclose(normals[[2, 3]], [up, up])
    np.testing.assert_allclose(normals[[4, 5]], [forward, forward])
    # Two halves of the floor, of 1 each, and two of the wall, of 3 each; of the floor, vertex 1 has one half.
    np.testing.assert_allclose(normals[:2], [(2 * up + 6 * forward) / np.sqrt(40), (up + 3 * forward) / np.sqrt(10)])


def test_what_no_triangle_has_gets_none():
    assert not vertex_normals(ROOF, FLOOR_AND_WALL)[6].any()
