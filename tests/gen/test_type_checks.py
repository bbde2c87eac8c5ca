import numpy as np
import pytest
from jaxtyping import TypeCheckError

from gen.detail import lay_over
from gen.signers.mesh import vertex_normals


def test_annotations_are_checked_in_tests():
    with pytest.raises(TypeCheckError):
        vertex_normals(np.zeros((3, 2), np.float32), np.zeros((1, 3), np.int32))  # not of three numbers each
    with pytest.raises(TypeCheckError):
        lay_over(np.zeros((1, 4, 4, 3), np.uint8), None)
