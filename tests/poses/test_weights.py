"""`poses.weights`: what libraries raise names the folder that they were to load."""

import pytest
from safetensors.numpy import load_file

from poses.weights import loading


@pytest.mark.parametrize("held", [b"", b"\xff" * 16, b"\x08" + bytes(15)])
def test_damaged_weights_are_told_by_their_folder_in_one_line(tmp_path, held):
    (tmp_path / "model.safetensors").write_bytes(held)
    with (
        pytest.raises(ValueError, match=r"expected a whole network of fitting sizes, found an") as caught,
        loading(tmp_path),
    ):
        load_file(tmp_path / "model.safetensors")
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_what_is_told_in_words_already_stays():
    with pytest.raises(ValueError, match=r"^mine$"), loading("folder"):
        raise ValueError("mine")
