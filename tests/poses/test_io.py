"""`poses.io` tells files apart by what is in them, and says what is wrong with the others."""

import numpy as np
import pytest

from poses.io import FORMATS, load_poses, save_poses, sniff
from poses.keypoints import PARTS
from poses.sequence import PoseFileError, PoseSequence


@pytest.fixture
def poses() -> PoseSequence:
    random = np.random.default_rng(0)
    keypoints = random.uniform(0.1, 0.9, (3, 128, 2)).astype(np.float32)
    return PoseSequence(keypoints, np.ones((3, 128), np.float32), fps=25, width=320, height=240)


@pytest.mark.parametrize("suffix", [".npz", ".pose", ".NPZ"])
def test_what_was_saved_is_loaded(poses, tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    save_poses(poses, path)
    for name in ("clip.npz", "clip.pose", "clip"):  # the name says nothing
        path = path.rename(tmp_path / name)
        back = load_poses(path)
        assert np.allclose(back.keypoints, poses.keypoints, rtol=1e-6)
        assert np.array_equal(back.confidence, poses.confidence)
        assert (back.fps, back.width, back.height, back.source) == (25, 320, 240, str(path))


def test_one_frame_with_a_missing_hand(poses, tmp_path):
    poses = poses[:1]
    poses.confidence[:, PARTS["left_hand"]] = 0
    poses.keypoints[:, PARTS["left_hand"]] = 0
    for path in (tmp_path / "clip.npz", tmp_path / "clip.pose"):
        save_poses(poses, path)
        assert np.array_equal(load_poses(path).confidence, poses.confidence)


@pytest.mark.parametrize("suffix", ["", ".mp4", ".json"])
def test_other_suffixes_are_refused(poses, tmp_path, suffix):
    with pytest.raises(ValueError, match=r"must end in \.npz \(SignVerse-2M\) or \.pose where no format is named, got"):
        save_poses(poses, tmp_path / f"clip{suffix}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("format", "name", "said"),
    [
        ("holistic", "clip.pose", r"must end in \.npz for MediaPipe Holistic, got '\.pose'"),
        ("openpose", "clip.json", r"must be a folder, without a suffix, for OpenPose JSON, got '\.json'"),
        ("csv", "clip.csv", "`format` must be one of signverse, pose, openpose, .*, got 'csv'"),
    ],
)
def test_formats_have_one_suffix_each(poses, tmp_path, format, name, said):
    with pytest.raises(ValueError, match=said):
        save_poses(poses, tmp_path / name, format=format)
    assert not any(tmp_path.iterdir())


def test_longer_clips_than_are_read_are_not_written(poses, tmp_path, monkeypatch):
    monkeypatch.setattr("poses.io.MAX_FRAMES", 2)
    with pytest.raises(ValueError, match=r"clip\.npz: must hold at most 2 frames but for \.pose files, got 3"):
        save_poses(poses, tmp_path / "clip.npz")
    save_poses(poses, tmp_path / "clip.pose")
    assert len(load_poses(tmp_path / "clip.pose")) == 3


def test_what_a_file_states_is_not_overruled(poses, tmp_path):
    save_poses(poses, tmp_path / "clip.pose")
    assert load_poses(tmp_path / "clip.pose", fps=25, width=320, height=240).fps == 25
    with pytest.raises(PoseFileError, match=r"clip\.pose: states that its fps is 25, but 30 was given\.$"):
        load_poses(tmp_path / "clip.pose", fps=30)


def test_existing_files_are_kept_unless_told(poses, tmp_path):
    for path in (tmp_path / "clip.npz", tmp_path / "clip.pose"):
        path.write_text("mine")
        with pytest.raises(ValueError, match="already there"):
            save_poses(poses, path)
        assert path.read_text() == "mine"
        save_poses(poses, path, overwrite=True)
        assert len(load_poses(path)) == 3


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "an MP4 video; extract its poses first"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "a Matroska or WebM video; extract its poses first"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video; extract its poses first"),
        (b"GIF89a\x01\0\x01\0", "a GIF; extract its poses first"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"\x93NUMPY\x01\0", "a bare numpy array"),
        (b"\x80\x04\x95\0\0\0\0", "a Python pickle"),
        (b"\0" * 64, "something else; nor is it a video"),
        (b"P", "something else; nor is it a video"),
    ],
)
def test_other_files_are_named(tmp_path, head, found):
    path = tmp_path / "clip.npz"
    path.write_bytes(head)
    with pytest.raises(PoseFileError, match=rf"^{path}: must be a pose file \(SignVerse-2M, .*\), found {found}\.$"):
        load_poses(path)


def test_missing_empty_and_unreadable_files(tmp_path):
    with pytest.raises(PoseFileError, match=r"clip\.npz: no such file or folder\.$"):
        load_poses(tmp_path / "clip.npz")
    (tmp_path / "clip.npz").write_bytes(b"")
    with pytest.raises(PoseFileError, match=r"clip\.npz: expected a pose file or a video, found an empty file\.$"):
        load_poses(tmp_path / "clip.npz")
    with pytest.raises(PoseFileError, match="cannot be read"):
        load_poses(tmp_path / "clip.npz" / "inside")
    with pytest.raises(PoseFileError, match=r"cannot be read \(File name too long\)"):
        load_poses(tmp_path / ("x" * 300))
    (tmp_path / "clip.npz").unlink()
    with pytest.raises(PoseFileError, match=r"must hold poses\.npz"):
        load_poses(tmp_path)


def test_a_folder_of_clips_is_no_clip(poses, tmp_path):
    save_poses(poses, tmp_path / "a.pose")
    save_poses(poses, tmp_path / "b.npz")
    with pytest.raises(PoseFileError, match=r"found a folder of 2 pose files; name one, such as a\.pose\.$"):
        load_poses(tmp_path)
    save_poses(poses, tmp_path / "poses.npz")  # as SignVerse-2M calls its own
    assert len(load_poses(tmp_path)) == len(poses)


def test_a_zip_of_something_else_is_named(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(PoseFileError, match=r"must be a SignVerse-2M file with frame_payloads.*found 'weights\.npy'"):
        load_poses(tmp_path / "other.npz")


def test_sniff(poses, tmp_path):
    save_poses(poses, tmp_path / "a.npz")
    save_poses(poses, tmp_path / "a.pose")
    assert [sniff(tmp_path / name) for name in ("a.npz", "a.pose")] == ["SignVerse-2M", ".pose"]
    (tmp_path / "a.json").write_text(' {"people": []}')
    assert sniff(tmp_path / "a.json") == "OpenPose JSON"
    for format in ("coco-wholebody", "holistic", "multi-vsl", "signx"):
        save_poses(poses, tmp_path / "b.npz", format=format, overwrite=True)
        assert sniff(tmp_path / "b.npz") == FORMATS[format].title
    (tmp_path / "video" / "npz").mkdir(parents=True)
    assert sniff(tmp_path / "video") == "SignVerse-2M"
