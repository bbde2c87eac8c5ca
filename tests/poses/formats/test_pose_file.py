"""`.pose` files: read by point names in three layouts, written in OpenPose's."""

import io
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import cocowholebody_components
from pose_format.utils.generic import detect_known_pose_format

from poses.formats.coco_wholebody import coco_wholebody_to_dwpose, dwpose_to_coco_wholebody
from poses.formats.mediapipe import HAND_NAMES, NUM_FACE, POSE_NAMES, dwpose_to_holistic, holistic_to_dwpose
from poses.formats.pose_file import read_pose, write_pose
from poses.keypoints import PARTS, index
from poses.sequence import PoseFileError

LETTERS = Path(find_spec("spoken_to_signed").origin).parent / "assets" / "fingerspelling_lexicon"
CONTINUOUS = Path(__file__).parents[3] / ".." / "shared" / "data" / "continuous"


def _save(path: Path, components: dict[str, tuple[str, ...]], points: np.ndarray, point_format: str = "XYZC") -> Path:
    """Writes points, [frames, people, points, (x, y, confidence)] in a frame of 640 x 360, through pose-format."""
    components = [PoseHeaderComponent(name, list(names), [], [], point_format) for name, names in components.items()]
    data = np.zeros((*points.shape[:3], len(point_format) - 1), np.float32)
    data[..., :2] = points[..., :2]
    body = NumPyPoseBody(25, data, points[..., 2].astype(np.float32))
    with path.open("wb") as stream:
        Pose(PoseHeader(0.2, PoseHeaderDimensions(640, 360), components), body).write(stream)
    return path


HOLISTIC = {
    "POSE_LANDMARKS": POSE_NAMES,
    "FACE_LANDMARKS": tuple(str(i) for i in range(NUM_FACE)),
    "LEFT_HAND_LANDMARKS": HAND_NAMES,
    "RIGHT_HAND_LANDMARKS": HAND_NAMES,
}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    num_frames=st.integers(1, 20),
    fps=st.sampled_from([24.0, 29.97, 30000 / 1001]),
    size=st.sampled_from([(640, 360), (1, 1), (65_535, 3)]),
)
def test_round_trip_loses_only_float_precision(make_poses, tmp_path, seed, num_frames, fps, size):
    width, height = size
    poses = make_poses(seed, num_frames, fps=fps, width=width, height=height)
    write_pose(poses, tmp_path / "clip.pose", overwrite=True)
    back = read_pose(tmp_path / "clip.pose")
    assert np.allclose(back.keypoints, poses.keypoints, rtol=1e-6, atol=0)
    assert np.array_equal(back.confidence, poses.confidence)
    assert (back.fps, back.width, back.height) == (np.float32(fps), width, height)


def test_pose_formats_own_tools_know_what_is_written(make_poses, tmp_path):
    poses = make_poses()
    write_pose(poses, tmp_path / "clip.pose")
    pose = Pose.read((tmp_path / "clip.pose").read_bytes())
    assert detect_known_pose_format(pose) == "openpose"
    elbow = pose.header.get_point_index("pose_keypoints_2d", "LElbow")
    assert np.allclose(pose.body.data.data[:, 0, elbow], poses.pixels()[:, index("left_elbow")])
    tip = pose.header.get_point_index("hand_right_keypoints_2d", "I_DIP")
    assert np.allclose(pose.body.confidence[:, 0, tip], poses.confidence[:, index("right_hand_index_tip")])
    lip = pose.header.get_point_index("face_keypoints_2d", "FLO_51")
    assert np.allclose(pose.body.data.data[:, 0, lip], poses.pixels()[:, index("face_outer_lip_3")])
    assert not pose.body.confidence[:, 0, pose.header.get_point_index("pose_keypoints_2d", "MidHip")].any()


def _holistic_points(poses) -> np.ndarray:
    return np.concatenate(dwpose_to_holistic(poses.pixels(), poses.confidence), axis=1)[:, None]


def test_reads_mediapipe_holistic(make_poses, tmp_path):
    poses = make_poses()
    back = read_pose(_save(tmp_path / "clip.pose", HOLISTIC, _holistic_points(poses)))
    keypoints, confidence = holistic_to_dwpose(*dwpose_to_holistic(poses.keypoints, poses.confidence))
    assert np.array_equal(back.confidence, confidence)
    assert np.allclose(back.keypoints, keypoints, atol=1e-6)
    assert (back.fps, back.width, back.height) == (25, 640, 360)


def test_finds_points_by_name_whatever_their_order(make_poses, tmp_path):
    poses = make_poses()
    points = _holistic_points(poses)
    names = [(component, name) for component, names in HOLISTIC.items() for name in names]
    kept = {"RIGHT_HAND_LANDMARKS": HAND_NAMES[::-1], "POSE_LANDMARKS": ("RIGHT_WRIST", "LEFT_SHOULDER", "LEFT_WRIST")}
    columns = [names.index((component, name)) for component, names_kept in kept.items() for name in names_kept]
    back = read_pose(_save(tmp_path / "clip.pose", kept, points[:, :, columns]))
    assert np.array_equal(back.part("right_hand")[1], poses.part("right_hand")[1])
    assert np.allclose(back.part("right_hand")[0], poses.part("right_hand")[0], atol=1e-6)
    for name in ("right_wrist", "left_shoulder", "left_wrist"):
        assert np.array_equal(back.confidence[:, index(name)], poses.confidence[:, index(name)])
    assert back.confidence[:, index("neck", "right_shoulder", "nose")].max() == 0
    assert not back.part("face")[1].any()


def test_reads_coco_wholebody(make_poses, tmp_path):
    poses = make_poses()
    keypoints, confidence = dwpose_to_coco_wholebody(poses.pixels(), poses.confidence)
    points = np.concatenate([keypoints, confidence[..., None]], axis=-1)[:, None]
    components = {component.name: component.points for component in cocowholebody_components()}
    back = read_pose(_save(tmp_path / "clip.pose", components, points, "XYC"))
    expected, seen = coco_wholebody_to_dwpose(keypoints, confidence)
    assert np.array_equal(back.confidence, seen)
    assert np.allclose(back.keypoints * np.float32([640, 360]), expected, atol=1e-3)


def test_takes_the_first_person(make_poses, tmp_path):
    poses = make_poses()
    points = _holistic_points(poses)
    back = read_pose(_save(tmp_path / "clip.pose", HOLISTIC, np.concatenate([points, points + 1], axis=1)))
    assert np.array_equal(back.part("face")[1], poses.part("face")[1])


def test_confidence_outside_its_range_is_brought_back(make_poses, tmp_path):
    points = _holistic_points(make_poses())
    points[..., 2] = np.where(points[..., 2] > 0.5, 8.8, -16)
    back = read_pose(_save(tmp_path / "clip.pose", HOLISTIC, points))
    assert set(np.unique(back.confidence)) == {0, 1}
    assert not back.keypoints[back.confidence == 0].any()


def test_unseen_points_may_be_nan(make_poses, tmp_path):
    points = _holistic_points(make_poses())
    points[points[..., 2] == 0] = [np.nan, np.nan, 0]
    assert np.isfinite(read_pose(_save(tmp_path / "clip.pose", HOLISTIC, points)).keypoints).all()


@pytest.fixture
def whole(make_poses, tmp_path) -> bytes:
    write_pose(make_poses(num_frames=2), tmp_path / "whole.pose")
    return (tmp_path / "whole.pose").read_bytes()


def _body_offset(data: bytes) -> int:
    return len(data) - 2 * 137 * 3 * 4 - 10


def test_reads_version_0_1(whole, tmp_path):
    """It holds whole frame rates and, since its count of frames may overflow, is counted by its length."""
    at = _body_offset(whole)
    fps, frames, people = struct.unpack_from("<fIH", whole, at)
    old = struct.pack("<f", 0.1) + whole[4:at] + struct.pack("<HHH", int(fps), frames, people) + whole[at + 10 :]
    (tmp_path / "old.pose").write_bytes(old)
    (tmp_path / "new.pose").write_bytes(whole)
    expected = read_pose(tmp_path / "new.pose")
    assert np.array_equal(read_pose(tmp_path / "old.pose").keypoints, expected.keypoints)
    (tmp_path / "old.pose").write_bytes(old[:-4])
    with pytest.raises(PoseFileError, match=r"old\.pose: must hold 2 frames of 1 people with 137 points"):
        read_pose(tmp_path / "old.pose")


def _patched(offset: int, value: bytes):
    def patch(data: bytes) -> bytes:
        at = offset if offset >= 0 else _body_offset(data) - offset - 100
        return data[:at] + value + data[at + len(value) :]

    return patch


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-4], "must hold 2 frames of 1 people with 137 points, found 3284 bytes"),
        (lambda data: data + b"\0" * 4, "found 3292 bytes"),
        (lambda data: data[:300], "its header is damaged"),
        (lambda data: data[:4], "its header is damaged"),
        (lambda data: data[: _body_offset(data)], "its header is damaged"),
        (_patched(0, struct.pack("<f", 0.3)), r"version 0\.1 or 0\.2, found 0\.3"),
        (_patched(0, struct.pack("<f", np.nan)), r"version 0\.1 or 0\.2, found nan"),
        (_patched(4, struct.pack("<H", 0)), "found 0 x 360"),
        (_patched(10, struct.pack("<H", 0)), "must hold points as XYC or XYZC, found \\[\\]"),
        (_patched(12, struct.pack("<H", 65_535)), "its header is damaged"),
        (_patched(-100, struct.pack("<f", 0)), "0.1 to 1000 frames per second, found 0"),
        (_patched(-100, struct.pack("<f", np.inf)), "found inf"),
        (_patched(-100, struct.pack("<f", np.nan)), "found nan"),
        (_patched(-104, struct.pack("<I", 0)), "must hold 0 frames"),
        (_patched(-104, struct.pack("<I", 2**32 - 1)), "must hold 4294967295 frames of 1 people"),
        (_patched(-108, struct.pack("<H", 0)), "must hold 2 frames of 0 people"),
        (_patched(-108, struct.pack("<H", 65_535)), "2 frames of 65535 people"),
    ],
)
def test_damaged_files_are_refused(whole, tmp_path, damage, message):
    path = tmp_path / "clip.pose"
    path.write_bytes(damage(whole))
    with pytest.raises(PoseFileError, match=message) as error:
        read_pose(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_other_points_are_refused(tmp_path):
    path = _save(tmp_path / "clip.pose", {"POINTS": ["a", "b"]}, np.ones((1, 1, 2, 3)))
    with pytest.raises(PoseFileError, match=r"must hold the points of MediaPipe .*, found 'POINTS'\."):
        read_pose(path)


def test_nobody_and_nan_are_refused(make_poses, tmp_path):
    points = _holistic_points(make_poses())
    path = _save(tmp_path / "nobody.pose", HOLISTIC, points * np.float32(0))
    with pytest.raises(PoseFileError, match="nobody is in any of its 4 frames"):
        read_pose(path)
    points[2, 0, 0] = [np.nan, 0, 1]
    with pytest.raises(PoseFileError, match="found NaN or infinity in frame 2"):
        read_pose(_save(tmp_path / "nan.pose", HOLISTIC, points))
    points[2, 0, 0] = [0, 0, np.nan]
    with pytest.raises(PoseFileError, match="found NaN or infinity in frame 2"):
        read_pose(_save(tmp_path / "nan.pose", HOLISTIC, points))


def test_frames_too_large_for_the_format_are_refused(make_poses, tmp_path):
    with pytest.raises(ValueError, match="at most 65535 pixels, got 70000 x 360"):
        write_pose(make_poses(width=70_000), tmp_path / "clip.pose")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("language", ["ase", "ise", pytest.param("*", marks=pytest.mark.slow)])
def test_reads_the_real_letters(language):
    """Signers face the camera, so their right is left in the picture; one hand spells, in `ise` the left one."""
    files = sorted(LETTERS.glob(f"{language}/*.pose"))
    assert len(files) >= (600 if language == "*" else 20)
    for file in files:
        poses = read_pose(file)
        assert (poses.width, poses.height) == (500, 500)
        assert 24 <= poses.fps <= 30
        body = poses.keypoints[:, PARTS["body"]]
        assert (body[:, index("right_shoulder"), 0] < body[:, index("left_shoulder"), 0]).mean() > 0.8, file
        assert poses.part("face")[1].all()
        hands = [poses.part(side)[1].any(axis=1).mean() for side in ("left_hand", "right_hand")]
        if language != "*":
            assert hands[0] > hands[1] if language == "ise" else hands[1] > hands[0], file


@pytest.mark.skipif(not CONTINUOUS.is_dir(), reason="needs ../shared/data/continuous")
@pytest.mark.parametrize(
    ("name", "num_frames", "size"),
    [
        ("pose_tests_mediapipe_long", 278, (1250, 1250)),
        ("pose_viewer_example", 97, (320, 240)),
        ("segmentation_example", 130, (320, 240)),
    ],
)
def test_reads_continuous_signing(name, num_frames, size):
    poses = read_pose(CONTINUOUS / f"{name}.pose")
    assert len(poses) == num_frames
    assert (poses.width, poses.height) == size
    if name == "pose_tests_mediapipe_long":  # a reduced file: nose, eyes and ears are not in it
        assert not poses.confidence[:, index("nose", "left_eye", "right_ear", "face_nose_base_0")].any()
        assert poses.confidence[:, index("face_jaw_8", "right_wrist")].all()
    # A hand hangs on its own arm.
    for side in ("left", "right"):
        root, wrist = index(f"{side}_hand_wrist", f"{side}_wrist")
        seen = (poses.confidence[:, [root, wrist]] > 0.5).all(axis=1)
        gaps = np.linalg.norm(poses.pixels()[seen, root] - poses.pixels()[seen, wrist], axis=1)
        if name == "pose_tests_mediapipe_long" and side == "left":
            assert not seen.any()
        else:
            assert np.median(gaps) < 0.1 * poses.shoulder_width_px()


def test_the_header_is_read_alike_twice(whole, tmp_path):
    """pose-format remembers the last header: files with others must not be read by it."""
    (tmp_path / "a.pose").write_bytes(whole)
    first = read_pose(tmp_path / "a.pose")
    (tmp_path / "b.pose").write_bytes(_patched(4, struct.pack("<H", 1280))(whole))
    assert read_pose(tmp_path / "b.pose").width == 1280
    assert read_pose(tmp_path / "a.pose").width == first.width
    assert Pose.read(io.BytesIO(whole)).header.dimensions.width == first.width
