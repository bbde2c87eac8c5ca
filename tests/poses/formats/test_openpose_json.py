"""OpenPose's JSON, as it and ControlNet's tools write it, and files that only look like it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from poses.io import load_poses, save_poses
from poses.keypoints import PARTS, index
from poses.sequence import PoseFileError

BODY_25 = (
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
    "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar",
    "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel",
)  # fmt: skip
SIZE = {"width": 100, "height": 50}


def person(body: int = 25, face: int = 70) -> dict:
    """Point i lies at (i, i / 2) in pixels."""
    counts = {"pose": body, "face": face, "hand_left": 21, "hand_right": 21}
    return {
        f"{part}_keypoints_2d": [n for i in range(count) for n in (i, i / 2, 0.5)] for part, count in counts.items()
    }


def write(folder, frames: dict) -> None:
    for number, frame in frames.items():
        (folder / f"talk_{number:012d}_keypoints.json").write_text(json.dumps(frame))


def test_openposes_own_files_are_read_by_name(tmp_path):
    write(tmp_path, {7: {"version": 1.3, "people": [person(), person()]}})
    poses = load_poses(tmp_path, fps=30, **SIZE)
    for name, short in (("right_wrist", "RWrist"), ("left_ankle", "LAnkle"), ("left_ear", "LEar")):
        assert poses.pixels()[0, index(name)].tolist() == [BODY_25.index(short), BODY_25.index(short) / 2]
    assert poses.keypoints[0, PARTS["face"], 0].tolist() == pytest.approx([i / 100 for i in range(68)])
    assert (poses.confidence == 0.5).all()


def test_frames_that_are_missing_show_nobody(tmp_path):
    write(tmp_path, {number: {"people": [person()] if number != 4 else []} for number in (2, 4, 5)})
    poses = load_poses(tmp_path, fps=30, **SIZE)
    assert (poses.confidence > 0).any(axis=1).tolist() == [True, False, False, True]


def test_controlnets_list_in_one_file(tmp_path):
    whole = person(body=18, face=68) | {"hand_right_keypoints_2d": None}
    frame = {"people": [whole], "canvas_width": 100, "canvas_height": 50}
    (tmp_path / "clip.json").write_text(json.dumps([frame, frame]))
    poses = load_poses(tmp_path / "clip.json", fps=12)
    assert (len(poses), poses.width, poses.height) == (2, 100, 50)
    assert poses.pixels()[0, index("left_ear")].tolist() == [17, 8.5]
    assert not poses.confidence[:, PARTS["right_hand"]].any()


def test_a_folder_is_never_overwritten(make_poses, tmp_path):
    save_poses(make_poses(), tmp_path / "clip", format="openpose")
    names = sorted(path.name for path in (tmp_path / "clip").iterdir())
    assert names[0] == "clip_000000000000_keypoints.json"
    with pytest.raises(ValueError, match="must be an empty directory or a new one"):
        save_poses(make_poses(), tmp_path / "clip", format="openpose", overwrite=True)


def test_points_that_would_be_taken_for_fractions_are_not_written(make_poses, tmp_path):
    poses = make_poses()
    tiny = replace(poses, keypoints=poses.keypoints * np.float32(1e-3))
    with pytest.raises(ValueError, match="clip: OpenPose JSON must hold pixels, got a clip whose points"):
        save_poses(tiny, tmp_path / "clip", format="openpose")
    assert not list(tmp_path.iterdir())


def test_what_is_not_stated_must_be_given(tmp_path):
    write(tmp_path, {0: {"people": [person()]}})
    with pytest.raises(PoseFileError, match="does not state its fps; say what it is"):
        load_poses(tmp_path, **SIZE)
    with pytest.raises(PoseFileError, match="does not state its width; say what it is"):
        load_poses(tmp_path, fps=25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "must be JSON, but it is not"),
        ("[" * 100_000, "must be JSON, but it is not"),
        ('{"people": [{"pose_keypoints_2d": [NaN, 1, 1]}]}', "must be JSON, but it is not .NaN is no number"),
        ('{"people": 3}', "frame 0: must hold a list of `people`"),
        ('{"a": []}', "must hold a list of `people`"),
        ('{"people": [[]]}', "each of `people` must hold lists of points"),
        ('{"people": [{"pose_keypoints_2d": "ab"}]}', "pose_keypoints_2d must be a list of numbers"),
        ('{"people": [{"pose_keypoints_2d": ["1", true, 1]}]}', "must be a list of numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "three numbers for each of 25 or 18 points, found 2"),
        ('{"people": [{"face_keypoints_2d": [' + ", ".join(["9" * 400] * 204) + "]}]}", "a number without end"),
        ('{"people": [{"face_keypoints_2d": [' + ", ".join(["1e999"] * 204) + "]}]}", "finite numbers"),
        ('{"people": [{"face_keypoints_2d": [' + ", ".join(["0.5"] * 204) + "]}]}", "must hold pixels, found numbers"),
        ('{"people": [], "fps": "fast"}', "fps must be a number, found 'fast'"),
        ('{"people": [], "canvas_width": 1e300}', "canvas_width must be a number"),
        (
            '[{"people": [], "canvas_width": 3}, {"people": [], "canvas_width": 4}]',
            "must stay the same, found 4 after 3",
        ),
        ('{"people": []}', "nobody is in any"),
        ("[]", "must hold 1 to 262144 frames, found 0"),
    ],
)
def test_wrong_files_are_one_line(tmp_path, text, said):
    (tmp_path / "clip.json").write_text(text)
    with pytest.raises(PoseFileError, match=rf"^{tmp_path}/clip\.json.*{said}"):
        load_poses(tmp_path / "clip.json", fps=25, **SIZE)


def test_wrong_folders(tmp_path):
    write(tmp_path, {0: {"people": []}, 400_000: {"people": []}})
    with pytest.raises(PoseFileError, match="must hold 1 to 262144 frames, found 400001"):
        load_poses(tmp_path, fps=25, **SIZE)
    (tmp_path / "other_0_keypoints.json").write_text("{}")
    with pytest.raises(PoseFileError, match="must hold one file a frame, found"):
        load_poses(tmp_path, fps=25, **SIZE)
    (tmp_path / "other_0_keypoints.json").write_text(" " * 2**20 + "{}")
    (tmp_path / "talk_000000000000_keypoints.json").unlink()
    with pytest.raises(PoseFileError, match="must be at most 1048576 bytes, found more"):
        load_poses(tmp_path, fps=25, **SIZE)


def test_frame_sizes_that_cannot_be(tmp_path):
    (tmp_path / "clip.json").write_text(json.dumps({"people": [person()]}))
    with pytest.raises(PoseFileError, match=r"whole number of pixels and frames per second, found 10\.5"):
        load_poses(tmp_path / "clip.json", fps=25, width=10.5, height=10)
    with pytest.raises(PoseFileError, match="1 to 65535 pixels, found 0 x 10"):
        load_poses(tmp_path / "clip.json", fps=25, width=0, height=10)
    with pytest.raises(PoseFileError, match="frames per second, found nan"):
        load_poses(tmp_path / "clip.json", fps=np.nan, **SIZE)
