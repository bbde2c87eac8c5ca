"""The body: what every shape shares, shapes, skinning, keypoints."""

import numpy as np
import pytest

from gen.signers.body import (
    FACIAL_ACTIONS,
    PARTS,
    BodyShape,
    keypoints_of,
    load_body,
    skin,
)
from gen.signers.rotations import from_vector
from poses.keypoints import NAMES, index
from tests.gen.conftest import rest_motion


@pytest.fixture(scope="module")
def body():
    return load_body()


def test_body_is_consistent(body):
    num_vertices, num_bones = body.weights.shape
    assert body.vertices.shape == (num_vertices, 3)
    assert body.faces.min() == 0
    assert body.faces.max() == num_vertices - 1
    assert body.uv_faces.shape == body.faces.shape
    assert body.uv_faces.max() < len(body.uv)
    assert len(body.bone_names) == len(body.parents) == len(body.heads) == num_bones
    assert body.parents[0] == -1
    assert all(parent < bone for bone, parent in enumerate(body.parents))
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-5)
    assert set(np.unique(body.part)) == set(range(len(PARTS)))


def test_left_mirrors_right(body):
    for name in NAMES:
        if name.startswith("right_"):
            right, left = body.keypoints[index(name, name.replace("right_", "left_", 1))]
            np.testing.assert_allclose(right * (-1, 1, 1), left, atol=2e-3, err_msg=name)


def test_rest_motion_leaves_the_body_as_it_is(body):
    np.testing.assert_allclose(skin(body, *rest_motion(body, 2))[1], body.vertices, atol=1e-6)
    np.testing.assert_allclose(keypoints_of(body, *rest_motion(body, 2))[1], body.keypoints, atol=1e-6)


def test_turning_all_bones_turns_vertices_and_keypoints(body):
    linear, positions, expression = rest_motion(body, 1)
    turn = from_vector(np.array([0.3, -0.5, 1.1])).astype(np.float32)
    moved = (linear @ turn, positions @ turn.T, expression)
    np.testing.assert_allclose(skin(body, *moved)[0], body.vertices @ turn.T, atol=1e-5)
    np.testing.assert_allclose(keypoints_of(body, *moved)[0], body.keypoints @ turn.T, atol=1e-5)


def test_bending_one_bone_moves_only_what_hangs_on_it(body):
    linear, positions, expression = rest_motion(body, 1)
    bone = body.bone("finger2-3.R")
    linear[:, bone] = from_vector(np.array([0.0, 0.0, 0.7])).astype(np.float32)
    moved = np.linalg.norm(keypoints_of(body, linear, positions, expression)[0] - body.keypoints, axis=1)
    assert [name for name, distance in zip(NAMES, moved, strict=True) if distance > 1e-6] == ["right_hand_index_tip"]


def test_opening_the_jaw_parts_the_lips(body):
    linear, positions, expression = rest_motion(body, 1)
    expression[0, FACIAL_ACTIONS.index("jawOpen")] = 1
    drop = (body.keypoints - keypoints_of(body, linear, positions, expression)[0])[:, 2]
    assert drop[index("face_inner_lip_6")] > 0.025
    assert drop[index("face_jaw_8")] > 0.015
    assert abs(drop[index("face_inner_lip_2")]) < 0.003
    assert abs(drop[index("face_nose_bridge_3")]) < 0.002


def test_shapes_differ_as_they_say():
    def height_m(**shape: float) -> float:
        return float(np.ptp(load_body(BodyShape(**shape)).vertices[:, 2]))

    assert height_m(height=0.9) > height_m(height=0.5) + 0.1
    assert height_m(gender=0.0) > height_m(gender=1.0)


@pytest.mark.parametrize(("field", "value"), [("weight", 1.2), ("gender", -0.1), ("age", 0.3)])
def test_shape_refuses_what_is_out_of_range(field, value):
    with pytest.raises(ValueError, match=rf"`{field}` must be in \[0(\.5)?, 1\], got {value}"):
        BodyShape(**{field: value})


@pytest.mark.slow
def test_shapes_are_those_of_anny(tmp_path):
    """Anny builds a cache of 1 GB in a minute."""
    import anny
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    usual = get_anny_cache_path()
    set_anny_cache_path(tmp_path)
    try:
        model = anny.Anny(phenotypes="all", skinning_method="lbs")
    finally:
        set_anny_cache_path(usual)
    for values in ({"gender": 0.2, "weight": 0.8, "age": 0.9}, {"gender": 1.0, "asian": 1.0, "height": 0.3}):
        shape = BodyShape(**values)
        rest = model.get_rest_model(model.get_phenotype_blendshape_coefficients(**vars(shape)))
        distance = np.linalg.norm(load_body(shape).vertices - rest["rest_vertices"][0].numpy(), axis=1)
        assert distance.mean() < 2e-4
        assert distance.max() < 4e-3
