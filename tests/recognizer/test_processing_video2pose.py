import numpy as np
import pytest

from recognizer.processing_video2pose import GREY, Video2PoseProcessor


def test_the_whole_frame_lies_in_the_middle_of_the_square():
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:, 20:] = 255
    square = Video2PoseProcessor(image_size=16).fit(frame)
    assert (square[:4] == GREY).all()
    assert (square[12:] == GREY).all()
    assert (square[4:12, :7] == 0).all()
    assert (square[4:12, 9:] == 255).all()


def test_pixels_are_normalised_and_channels_first():
    frames = [np.full((8, 8, 3), (0, 255, 51), np.uint8)] * 2
    pixels = Video2PoseProcessor(image_size=4)(frames)["pixel_values"]
    assert pixels.shape == (1, 2, 3, 4, 4)
    assert pixels[0, 0, :, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20), (30, 30)])
def test_keypoints_come_back_to_the_frame(height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[height // 4, width // 2] = 255
    processor = Video2PoseProcessor(image_size=240)
    row, column = np.argwhere(processor.fit(frame)[..., 0] > 200).mean(axis=0)
    found = processor.to_frame(np.array([(column + 0.5) / 240, (row + 0.5) / 240]), height, width)
    assert found.tolist() == pytest.approx([(width // 2 + 0.5) / width, (height // 4 + 0.5) / height], abs=0.01)


def test_saved_processor_loads_equal(tmp_path):
    Video2PoseProcessor(image_size=32, image_mean=0.4).save_pretrained(tmp_path)
    loaded = Video2PoseProcessor.from_pretrained(tmp_path)
    assert (loaded.image_size, loaded.image_mean, loaded.image_std) == (32, 0.4, 0.5)
