from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.inputs import find_signer, load_signer
from poses.keypoints import PARTS, index

NAME = Path("me.png")


class BarEstimator:
    """Takes the leftmost white bar for shoulders, with a face at its middle; no bar, nobody."""

    name = version = "bars"

    def reset(self):
        pass

    def estimate(self, frame):
        keypoints, confidence = np.zeros((128, 2), np.float32), np.zeros(128, np.float32)
        rows, columns = np.nonzero(frame[..., 0] == 255)
        if len(rows):
            row, right = rows[0], columns.min()
            left = right + np.flatnonzero(np.diff(np.append(frame[row, right:, 0], 0).astype(int)))[0]
            size = frame.shape[1], frame.shape[0]
            keypoints[index("right_shoulder", "left_shoulder")] = np.array([[right, row], [left, row]]) / size
            keypoints[PARTS["face"]] = np.array([(right + left) / 2, row]) / size
            confidence[index("right_shoulder", "left_shoulder")] = confidence[PARTS["face"]] = 1
        return keypoints, confidence

    def close(self):
        pass


def bars(*columns: tuple[int, int], row: int = 60) -> np.ndarray:
    picture = np.zeros((120, 400, 3), np.uint8)
    for start, stop in columns:
        picture[row, start:stop] = 255
    return picture


def test_one_person_is_found():
    poses = find_signer(bars((50, 151)), BarEstimator(), NAME)
    assert poses.pixels()[0, index("right_shoulder", "left_shoulder"), 0] == pytest.approx([50, 150])


def test_somebody_small_behind_is_no_second_signer():
    assert len(find_signer(bars((50, 151), (300, 320)), BarEstimator(), NAME)) == 1


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (bars((20, 101), (250, 331)), "expected one person, found another beside; cut the picture to the one who"),
        (bars((50, 151), row=110), r"at least 0\.4 shoulder widths below the shoulders, found 0\.10\."),
        (bars((50, 61)), "both shoulders, at least 32 pixels apart, found shoulders 10 pixels apart"),
        (bars(), "expected a person, found none"),
    ],
    ids=["two", "cut at the neck", "far away", "nobody"],
)
def test_a_picture_of_no_signer_is_refused(picture, said):
    with pytest.raises(ValueError, match=rf"^me\.png: .*{said}"):
        find_signer(picture, BarEstimator(), NAME)


def test_a_head_without_shoulders_is_refused(monkeypatch):
    class HeadEstimator(BarEstimator):
        def estimate(self, frame):
            keypoints, confidence = super().estimate(frame)
            confidence[index("left_shoulder")] = 0
            return keypoints, confidence

    with pytest.raises(ValueError, match="or not all of them"):
        find_signer(bars((50, 151)), HeadEstimator(), NAME)


def test_a_folder_does_not_hide_a_built_in_signer(tmp_path, monkeypatch):
    """As what `signloop loop --output lucia` writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lucia").mkdir()
    signer = load_signer("lucia", height=48, width=64)
    assert signer is not None
    assert signer.consent == "built-in"


def test_a_mask_goes_with_its_picture(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[:10, 20:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    signer = load_signer("lucia", keep=tmp_path / "mask.png", height=48, width=64)
    assert signer is not None
    np.testing.assert_array_equal(signer.keep, mask > 0)
    with pytest.raises(ValueError, match=r"mask\.png: must be as large as the picture, 64 x 64, got 64 x 48"):
        load_signer("lucia", keep=tmp_path / "mask.png", height=64, width=64)
    with pytest.raises(ValueError, match="`image` must be given where `keep` is"):
        load_signer(None, keep=tmp_path / "mask.png", height=48, width=64)
