from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from poses.draw import MAX_DISTANCE, PRESETS, draw_poses
from poses.keypoints import index
from poses.sequence import PoseSequence

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = ((288, 384), (512, 448))


def sequence(keypoints, confidence, **facts) -> PoseSequence:
    facts = {"fps": 25.0, "width": 64, "height": 64} | facts
    return PoseSequence(np.float32(keypoints), np.float32(confidence), **facts)


def points(**places) -> PoseSequence:
    """One frame in which only these points are seen."""
    keypoints, confidence = np.zeros((1, 128, 2)), np.zeros((1, 128))
    for name, place in places.items():
        keypoints[0, index(name)] = place
        confidence[0, index(name)] = 1
    return sequence(keypoints, confidence)


def draw_one(poses: PoseSequence, preset: str, height: int, width: int) -> np.ndarray:
    (picture,) = draw_poses(poses, preset, height=height, width=width)
    return picture


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("frame", [0, 1])
def test_frames_equal_those_of_the_reference(preset, frame):
    stored = np.load(GOLDEN / "poses.npz")
    confidence = stored["confidence"][[frame]]
    if preset.startswith("signverse"):
        confidence[:, :18] = confidence[:, :18] > 0
    picture = draw_one(sequence(stored["keypoints"][[frame]], confidence), preset, *SIZES[frame])
    np.testing.assert_array_equal(picture, iio.imread(GOLDEN / f"{preset}_{frame}.png"))


@pytest.mark.parametrize("size", [(64, 48), (96, 100), (128, 128), (270, 360), (100, 333)])
def test_a_frame_is_the_same_drawn_alone_or_after_others(size):
    random = np.random.default_rng(3)
    poses = sequence(random.uniform(-0.3, 1.3, (4, 128, 2)), random.uniform(0, 1, (4, 128)))
    together = list(draw_poses(poses, "mimicmotion", height=size[0], width=size[1]))
    alone = [draw_one(poses[i : i + 1], "mimicmotion", *size) for i in range(4)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("size", [(64, 48), (96, 96), (120, 256), (100, 100), (72, 72)])
def test_resizing_blocks_equals_resizing_the_whole_canvas(size):
    from poses.draw import _Sheet

    sheet = _Sheet(PRESETS["mimicmotion"], *size)
    noise = np.random.default_rng(0).integers(1, 256, (300, 400, 3), np.uint8)
    sheet.canvas[700:1000, 500:900] = noise
    whole = cv2.resize(sheet.canvas, size[::-1])
    np.testing.assert_array_equal(sheet.take(700, 999, 500, 899), whole)
    assert not sheet.canvas.any()


@pytest.mark.parametrize(("preset", "interpolation"), [("musepose", cv2.INTER_AREA), ("vace-pose", cv2.INTER_LANCZOS4)])
def test_pictures_larger_than_the_canvas_are_resized_as_the_reference_does(preset, interpolation):
    stored = np.load(GOLDEN / "poses.npz")
    poses = sequence(stored["keypoints"][:1], stored["confidence"][:1])
    canvas = draw_one(poses, preset, 1024, 1024)
    expected = cv2.resize(canvas, (1200, 1200), interpolation=interpolation)
    np.testing.assert_array_equal(draw_one(poses, preset, 1200, 1200), expected)


def test_colours_say_left_from_right_and_mimicmotion_swaps_them():
    shoulders = points(neck=(0.5, 0.5), right_shoulder=(0.2, 0.5))
    assert draw_one(shoulders, "wan-animate", 400, 400)[200, 120].tolist() == [153, 0, 0]
    assert draw_one(shoulders, "mimicmotion", 720, 720)[360, 216].tolist() == [0, 0, 153]
    shoulders = points(neck=(0.5, 0.5), left_shoulder=(0.8, 0.5))
    assert draw_one(shoulders, "wan-animate", 400, 400)[200, 280].tolist() == [153, 51, 0]


def test_confidence_darkens_a_hand():
    keypoints, confidence = np.zeros((1, 128, 2)), np.zeros((1, 128))
    keypoints[0, index("left_hand_wrist")] = 0.5
    confidence[0, index("left_hand_wrist")] = 0.5
    faded = draw_one(sequence(keypoints, confidence), "stableanimator", 2160, 2160)
    assert faded[1080, 1080].tolist() == [0, 0, 127]
    whole = draw_one(sequence(keypoints, confidence), "controlnet-aux", 512, 512)
    assert whole[256, 256].tolist() == [0, 0, 255]


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_seen_or_all_outside_is_black(preset):
    nothing = sequence(np.zeros((1, 128, 2)), np.zeros((1, 128)))
    outside = sequence(np.full((1, 128, 2), 3.0), np.ones((1, 128)))
    if PRESETS[preset].unseen_joints:  # its unseen joints lie at the origin
        assert draw_one(nothing, preset, 64, 64)[8:, 8:].max() == 0
    else:
        assert draw_one(nothing, preset, 64, 64).max() == 0
    assert draw_one(outside, preset, 64, 64).max() == 0


def test_off_frame_points_are_cut_on_one_side_and_vanish_on_the_other():
    right = points(face_jaw_0=(0.999, 0.5))
    left = points(face_jaw_0=(-0.001, 0.5))
    assert draw_one(right, "signverse-openpose", 64, 64).max() == 255
    assert draw_one(left, "signverse-openpose", 64, 64).max() == 0


def test_wrong_arguments():
    poses = points(nose=(0.5, 0.5))
    with pytest.raises(ValueError, match=r"`preset` must be one of mimicmotion, .*, got 'dwpose'"):
        draw_poses(poses, "dwpose", height=64, width=64)
    with pytest.raises(ValueError, match="`height` and `width` must be 16 to 8192 pixels, got 0 and 64"):
        draw_poses(poses, "mimicmotion", height=0, width=64)
    with pytest.raises(ValueError, match="`height` and `width` must differ by at most 8 times, got 16 and 8192"):
        draw_poses(poses, "mimicmotion", height=16, width=8192)
    keypoints = poses.keypoints * np.float32(4 * MAX_DISTANCE)
    far = sequence(keypoints, poses.confidence, source="clip.npz")
    with pytest.raises(
        ValueError, match=r"^clip.npz: expected keypoints as fractions of the frame, found one 200 frame"
    ):
        draw_poses(far, "mimicmotion", height=64, width=64)
