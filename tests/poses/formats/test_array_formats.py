"""The `.npz` formats: as their makers write them, and damaged."""

import zipfile

import numpy as np
import pytest

from poses.formats.array_files import read_arrays
from poses.formats.signx import dwpose_track
from poses.io import load_poses, save_poses
from poses.keypoints import PARTS, index
from poses.sequence import PoseFileError, PoseSequence

GIVEN = {"fps": 25, "width": 200, "height": 100}


def multi_vsl(folder, order: tuple[str, ...], **others):
    """One frame of 200 x 100 pixels as the card describes it, the parts in this order; hands at their wrists."""
    pixels = np.zeros((128, 2), np.float16)
    pixels[PARTS["body"]] = pixels[PARTS["left_hand"]] = (150, 20)
    pixels[PARTS["face"]] = (110, 10)
    pixels[[index("right_wrist"), *range(*PARTS["right_hand"].indices(128))]] = (60, 80)
    where = np.concatenate([np.arange(128)[PARTS[part]] for part in order])
    arrays = {
        "all_xy": pixels[where][None],
        "all_score": np.ones((1, 128), np.float16),
        "detected": np.ones(1, np.int8),
        "frame_size": np.array([200, 100], np.int32),
        "fps": np.float32(30),
    } | others
    np.savez(folder / "clip.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder / "clip.npz"


@pytest.mark.parametrize("order", [("body", "face", "left_hand", "right_hand"), tuple(PARTS)])
@pytest.mark.parametrize("sides", [(200, 100), (100, 200)])
def test_multi_vsl_is_read_whatever_its_order(tmp_path, order, sides):
    poses = load_poses(multi_vsl(tmp_path, order, frame_size=np.array(sides, np.int32)))
    assert (poses.width, poses.height, poses.fps) == (200, 100, 30)
    np.testing.assert_allclose(poses.pixels()[0, PARTS["face"]], np.tile((110, 10), (68, 1)), rtol=1e-6)
    np.testing.assert_allclose(poses.pixels()[0, PARTS["right_hand"]], np.tile((60, 80), (21, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"all_score": np.full((1, 128), 0.1, np.float16)}, "must show a wrist and its hand"),
        ({"detected": np.zeros(1, np.int8)}, "must show a wrist and its hand"),
        ({"detected": np.zeros(2, np.int8)}, "detected.npy must be one whole number a frame"),
        ({"frame_size": np.zeros(2, np.int32)}, "frame_size.npy must be two sides in pixels"),
        ({"fps": None}, "must hold fps.npy"),
        ({"detected": None}, "must hold detected.npy"),
        ({"keypoint_names": np.array(["nose"] * 128)}, "must name each of 128 points once"),
        ({"all_xy": np.full((1, 128, 2), np.inf, np.float16)}, "finite numbers"),
    ],
)
def test_multi_vsl_that_cannot_be_read(tmp_path, others, said):
    with pytest.raises(PoseFileError, match=rf"^{tmp_path}/clip\.npz: .*{said}"):
        load_poses(multi_vsl(tmp_path, tuple(PARTS), **others))


def test_multi_vsl_holds_no_points_beyond_float16(make_poses, tmp_path):
    poses = make_poses(width=65_000)
    with pytest.raises(ValueError, match="points may be 65504 pixels away, got"):
        save_poses(poses, tmp_path / "clip.npz", format="multi-vsl")


def test_rtmlibs_arrays_with_people(tmp_path):
    keypoints = np.full((2, 3, 133, 2), 50.0)
    keypoints[:, 1:] = 7
    np.savez(tmp_path / "clip.npz", keypoints=keypoints, scores=np.full((2, 3, 133), 6.5))
    poses = load_poses(tmp_path / "clip.npz", **GIVEN)
    assert (poses.keypoints == (0.25, 0.5)).all()
    assert (poses.confidence == 1).all()  # its largest models' scores are not within 1
    with pytest.raises(PoseFileError, match="does not state its fps"):
        load_poses(tmp_path / "clip.npz")


def test_holistic_parts_that_were_not_found(tmp_path):
    arrays = {"pose_landmarks": np.full((1, 33, 4), 0.5, np.float32), "face_landmarks": np.full((1, 468, 3), np.nan)}
    arrays |= {f"{side}_hand_landmarks": np.full((1, 21, 3), 0.25) for side in ("left", "right")}
    np.savez(tmp_path / "clip.npz", **arrays)
    poses = load_poses(tmp_path / "clip.npz", **GIVEN)
    seen = [poses.part(part)[1].max() for part in PARTS]
    assert seen == [0.5, 1, 1, 0]
    assert (poses.part("left_hand")[0] == 0.25).all()


def test_dwpose_order_and_square_crop():
    # A frame twice as wide as high: the square is its middle half.
    keypoints, confidence = np.zeros((1, 128, 2), np.float32), np.zeros((1, 128), np.float32)
    places = {
        "nose": (0.5, 0.25),
        "left_hand_wrist": (0.25, 0.0),
        "right_hand_wrist": (0.75, 1.0),
        "face_jaw_0": (0.2, 0.5),
    }
    for number, (name, place) in enumerate(places.items()):
        keypoints[0, index(name)], confidence[0, index(name)] = place, (number + 1) / 8
    values = dwpose_track(PoseSequence(keypoints, confidence, fps=24, width=200, height=100))[0]
    expected = np.zeros(384, np.float32)
    expected[0:2], expected[36] = (0.5, 0.25), 1 / 8  # body xy 0:36, score 36:54
    expected[54:56], expected[138] = (0, 0), 2 / 8  # left hand xy 54:96, score 138:159
    expected[96:98], expected[159] = (1, 1), 3 / 8  # right hand xy 96:138, score 159:180
    np.testing.assert_array_equal(values, expected)  # the jaw lies left of the square: face 180:316 and 316:384 stay 0


def test_every_dwpose_number_has_one_place(make_poses):
    poses = make_poses(num_frames=1, width=64, height=64)
    poses.keypoints[:] = np.random.default_rng(0).random(poses.keypoints.shape)
    poses.confidence[:] = 1 + np.arange(128, dtype=np.float32) / 128 - 0.999
    expected = np.sort([*poses.keypoints.ravel(), *poses.confidence.ravel()])
    np.testing.assert_allclose(np.sort(dwpose_track(poses)[0]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"dwpose": np.zeros((2, 385), np.float32)}, r"dwpose.npy must be floats \[frames, 384\], .* \[2, 385\]"),
        ({"dwpose": np.zeros((2, 384), np.int32)}, r"dwpose.npy must be floats \[frames, 384\], .* found int32"),
        ({"dwpose": np.zeros((), np.float32)}, "dwpose.npy must be floats"),
        ({"dwpose": np.zeros((0, 384), np.float32)}, "must hold 1 to 262144 frames, found 0"),
        ({"dwpose": np.array([{}])}, "found pickled objects"),
        ({"dwpose": np.full((1, 384), 17, np.float32)}, "confidence` must be in"),
        ({"dwpose": np.full((1, 384), np.nan, np.float32)}, "finite numbers"),
        ({"dwpose": np.ones((1, 384)), "fps": np.array([1, 2])}, "fps.npy must be one number"),
        ({"dwpose": np.ones((1, 384)), "fps": np.array("fast")}, "fps.npy must be one number"),
        ({"dwpose": np.ones((1, 384)), "width": np.array(np.nan)}, "whole number of pixels"),
        ({"dwpose": np.ones((1, 384)), "width": np.array(1e300)}, "whole number of pixels"),
        ({"dwpose": np.ones((1, 384)), "width": np.array(7)}, "its frame must be a square, found 7 x 100"),
        ({"keypoints": np.ones((1, 133, 2)), "scores": np.ones((2, 133))}, "each with as many frames"),
        ({"keypoints": np.ones((1, 2, 133, 2)), "scores": np.ones((1, 133))}, r"\[frames, 133, 2\]"),
        ({"keypoints": np.ones((1, 2, 133, 2)), "scores": np.ones((1, 3, 133))}, "must hold the same people"),
        ({"keypoints": np.ones((1, 0, 133, 2)), "scores": np.ones((1, 0, 133))}, "must hold the same people"),
        ({"keypoints": np.full((1, 133, 2), 1e300), "scores": np.ones((1, 133))}, "finite numbers"),
        ({"keypoints": np.full((1, 133, 2), 1e9), "scores": np.ones((1, 133))}, "points in or near the frame"),
        ({"pose_landmarks": np.ones((1, 33, 4)), "face_landmarks": np.ones((1, 468, 3))}, "must hold left_hand_landm"),
        (
            {"pose_landmarks": np.ones((1, 33, 4)), "face_landmarks": np.ones((1, 5, 3))}
            | {f"{side}_hand_landmarks": np.ones((1, 21, 3)) for side in ("left", "right")},
            "must hold 468 or 478 vertices, got 5",
        ),
    ],
)
def test_wrong_arrays_are_one_line(tmp_path, arrays, said):
    np.savez(tmp_path / "clip.npz", **arrays)
    with pytest.raises(PoseFileError, match=rf"^{tmp_path}/clip\.npz: .*{said}"):
        load_poses(tmp_path / "clip.npz", fps=25, width=100, height=100)


@pytest.mark.parametrize("format", ["coco-wholebody", "holistic", "multi-vsl", "signx"])
def test_damaged_files_give_a_clip_or_one_line(make_poses, tmp_path, format):
    save_poses(make_poses(num_frames=2), tmp_path / "clip.npz", format=format)
    whole, random, reasons = (tmp_path / "clip.npz").read_bytes(), np.random.default_rng(0), []
    for _ in range(50):
        data = bytearray(whole)
        for at in random.integers(len(data), size=3):
            data[at] ^= 1 << int(random.integers(8))
        (tmp_path / "bad.npz").write_bytes(data[: random.integers(len(data))] if random.random() < 0.3 else data)
        try:
            load_poses(tmp_path / "bad.npz")
        except PoseFileError as error:
            reasons.append(str(error))
    assert len(reasons) > 10
    assert all(reason.startswith(f"{tmp_path}/bad.npz") and "\n" not in reason for reason in reasons)


def test_files_that_unpack_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "clip.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("keypoints", "scores", "more"):
            archive.writestr(f"{name}.npy", b"")
        for info in archive.infolist():
            info.file_size = 2**28  # what the directory says, checked before anything is unpacked
    with pytest.raises(PoseFileError, match="must hold at most 536870912 bytes of arrays, found 805306368"):
        read_arrays(tmp_path / "clip.npz", {"keypoints": (133, 2)})
