"""`signloop inspect`: what it says of files whose content is known, and what its contact sheet shows."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.cli import main
from pipelines.contact_sheet import COLUMNS, draw_cell, join_cells
from pipelines.conversion import convert_shards
from pipelines.inspect import inspect_poses, summary
from poses.captions import Caption
from poses.formats.signverse_published import Defects, publish_video, write_shard
from poses.io import save_poses
from poses.people import People
from poses.sequence import PoseSequence


@pytest.fixture(scope="session")
def people(signer: PoseSequence) -> People:
    """The signer for 36 frames, alone in the first 12, joined by a smaller twin in the others, absent in the last."""
    keypoints, confidence = np.tile(signer.keypoints, (3, 1, 1)), np.tile(signer.confidence, (3, 1))
    confidence[:, :18] = confidence[:, :18] > 0.3
    twin = (keypoints * 0.4 + np.float32(0.05)) * (confidence > 0)[..., None]
    num_people = np.array([1] * 12 + [2] * 23 + [0], np.int32)
    exists = np.arange(2) < num_people[:, None]
    return People(
        np.stack([keypoints, twin], axis=1).astype(np.float32),
        (np.stack([confidence, confidence], axis=1) * exists[..., None]).astype(np.float32),
        num_people, 24.0, 200, 200, "", (), (),
    )  # fmt: skip


@pytest.fixture
def video(people, tmp_path) -> Path:
    """The video's folder, with captions of which the last begins after its end."""
    captions = {"en": [Caption(0.0, 0.5, "one"), Caption(0.5, 1.5, "two"), Caption(9, 10, "three")]}
    folder = tmp_path / "video"
    for name, data in publish_video(people, "video", Defects(decoding="jpg-spill"), captions=captions).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_with_several_people_and_captions(video):
    contents = inspect_poses(video)
    (clip,) = contents.clips
    assert (contents.kind, clip.name, clip.num_frames, clip.seconds) == ("SignVerse-2M", "video", 36, 1.5)
    assert (clip.most_people, clip.width, clip.height, clip.language, clip.problems) == (2, 200, 200, "", ())
    assert clip.seen == {"body": 35 / 36, "left_hand": 0, "right_hand": 35 / 36, "face": 35 / 36}
    assert [repair.label for repair in clip.repairs] == ["frame-indices-1", "body-codes-1", "hands-1", "phantoms-1"]
    assert [repair.frames for repair in clip.repairs] == [36, 36, 23, 1]
    (track,) = clip.captions
    assert (track.language, track.provenance, track.captions, track.clips, track.median_clip_s) == (
        "en", "unknown", 3, 2, 0.75
    )  # fmt: skip


def test_damaged_captions_are_a_problem_and_no_end(video):
    (video / "captions" / "video.en.vtt").write_bytes(b"<html>")
    (clip,) = inspect_poses(video).clips
    assert clip.captions == ()
    assert clip.problems == (f"{video}/captions/video.en.vtt: must begin with WEBVTT, found '<html>'.",)


def test_a_shard_with_a_damaged_video(people, tmp_path, capfd):
    videos = {name: publish_video(people, name, Defects(damaged_crc=name == "b")) for name in "abc"}
    path, sheet = tmp_path / "shard.tar", tmp_path / "sheet.png"
    with path.open("wb") as stream:
        write_shard(stream, videos.items())
    assert main(["inspect", str(path), "--sheet", str(sheet), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["kind"], said["num_clips"], said["num_frames"]) == ("a SignVerse-2M shard", 2, 72)
    assert [clip["name"] for clip in said["clips"]] == ["a", "c"]
    assert [reject["video_id"] for reject in said["rejects"]] == ["b"]
    assert said["repairs"] == {"body-codes-1": 2, "hands-1": 2}
    assert said["sheet"] == str(sheet)
    with Image.open(sheet) as picture:
        assert picture.size == (2 * 240, 240 + 18)
    assert main(["inspect", str(path)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[:3] == [
        f"{path}: a SignVerse-2M shard, 2 clips, 3.0 s, 1 rejected.",
        "  languages  sign language not stated in 2 clips",
        "  repairs    body-codes-1 in 2 clips, hands-1 in 2 clips",
    ]
    assert lines[-1].startswith(f"rejected     {path}: b/npz/poses.npz: must be a whole zip file")


def test_a_store_says_what_the_shard_does(people, tmp_path):
    path = tmp_path / "shard.tar"
    with path.open("wb") as stream:
        write_shard(stream, [(name, publish_video(people, name)) for name in "abc"])
    convert_shards([str(path)], tmp_path / "store")
    shard, store = inspect_poses(path), inspect_poses(tmp_path / "store")
    assert store.kind == "a store"
    assert store.clips == shard.clips


def test_many_clips_are_summed_up(people, tmp_path):
    path = tmp_path / "shard.tar"
    files = publish_video(replace(people, keypoints=people.keypoints[:1], confidence=people.confidence[:1]), "one")
    with path.open("wb") as stream:
        write_shard(stream, [(f"v{number}", files) for number in range(25)])
    lines = summary(inspect_poses(path)).splitlines()
    assert len(lines) == 3 + 20 * 3 + 1
    assert lines[-1] == "5 more; --json lists all."


@pytest.mark.parametrize("suffix", [".npz", ".pose"])
def test_files_of_one_signer(signer, tmp_path, suffix):
    path, sheet = tmp_path / f"clip{suffix}", tmp_path / "sheet.png"
    save_poses(signer, path)
    contents = inspect_poses(path, sheet=sheet)
    (clip,) = contents.clips
    assert (clip.num_frames, clip.fps, clip.most_people, clip.problems) == (12, 24, 1, ())
    assert contents.facts()["languages"] == {clip.language: 1}
    assert clip.seen["right_hand"] == 1
    with Image.open(sheet) as picture:
        assert picture.size == (COLUMNS * 240, 2 * (240 + 18))
        pixels = np.asarray(picture).astype(int)
    assert np.ptp(pixels[:240, :240], axis=2).max() > 100  # colours, which labels and background have not


def test_nobody_is_a_problem_and_cannot_be_drawn(people, tmp_path):
    empty = People(people.keypoints[-1:], people.confidence[-1:], people.num_people[-1:], 24.0, 200, 200, "", (), ())
    path = tmp_path / "poses.npz"
    path.write_bytes(publish_video(empty, "nobody")["npz/poses.npz"])
    (clip,) = inspect_poses(path).clips
    assert clip.problems == ("poses: must show a person, but nobody is in any of its 1 frames.",)
    assert (clip.most_people, clip.usable, clip.seen["face"]) == (0, 0, 0)
    with pytest.raises(ValueError, match="holds nobody who could be drawn"):
        inspect_poses(path, sheet=tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_wrong_input_is_one_line(video, tmp_path, capfd):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text.tar").write_text("hello" * 400)
    (tmp_path / "there.png").write_text("mine")
    for args, message in (
        ([str(tmp_path / "missing")], "no such file or folder"),
        ([str(tmp_path / "text")], "found something else"),
        ([str(video), "--sheet", str(tmp_path / "sheet.jpg")], "the contact sheet must end in .png"),
        ([str(video), "--sheet", str(tmp_path / "there.png")], "already there"),
        ([str(tmp_path / "text.tar"), "--sheet", str(tmp_path / "sheet.png")], "on a contact sheet: "),
    ):
        assert main(["inspect", *args]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert message in err
        assert len(err.splitlines()) == 1
    assert (tmp_path / "there.png").read_text() == "mine"


def test_the_signer_is_bright_and_others_are_dim(people):
    def brightest(signer: int) -> int:
        only = People(
            people.keypoints[20:21, 1:], people.confidence[20:21, 1:], np.ones(1, np.int32), 24.0, 200, 200, "", (), ()
        )
        return int(draw_cell(only, 0, signer, "").max(axis=2)[:200].max())

    assert brightest(0) > 2 * brightest(-1) > 64


def test_cells_of_several_heights_are_laid_in_rows():
    cells = [np.full((height, 240, 3), 255, np.uint8) for height in [100, 50] + [10] * COLUMNS]
    sheet = join_cells(cells)
    assert sheet.shape == (200, COLUMNS * 240, 3)
    assert (sheet[:50, 240:480] == 255).all()
    assert (sheet[50:100, 240:480] == 32).all()
    with pytest.raises(ValueError, match="must hold at least one picture"):
        join_cells([])
