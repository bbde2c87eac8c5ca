"""What a user can get wrong: each a one-line error that names the file, exit status 2, and nothing left behind."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import estimators
from pipelines.cli import main
from poses.io import save_poses
from poses.video import write_video


def signverse(path: Path, *, fps: int = 24, frames: int = 2, persons: int = 1, x: float = 0.5) -> None:
    """A file as SignVerse-2M publishes them, pickled payloads and all."""
    payloads = np.empty(frames, object)
    for frame in range(frames):
        payloads[frame] = {"num_persons": np.int32(persons), "frame_width": np.int32(64), "frame_height": np.int32(48)}
        for part, count in (("body", 18), ("face", 68), ("left_hand", 21), ("right_hand", 21)):
            if persons:
                payloads[frame][f"person_000_{part}_keypoints"] = np.full((count, 2), x, np.float32)
                payloads[frame][f"person_000_{part}_scores"] = np.ones(count, np.float32)
    np.savez(
        path,
        video_id="clip",
        fps=np.int32(fps),
        total_frames=np.int32(frames),
        frame_widths=np.full(frames, 64, np.int32),
        frame_heights=np.full(frames, 48, np.int32),
        frame_indices=np.arange(1, frames + 1, dtype=np.int32),
        frame_payloads=payloads,
    )


class Hostile:
    """Runs a command when unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def hostile(path: Path) -> None:
    signverse(path)
    with np.load(path, allow_pickle=True) as file:
        arrays = dict(file)
    arrays["frame_payloads"][0] = Hostile(f"touch {path.parent / 'owned'}")
    np.savez(path, **arrays)


def truncated(make: Callable[[Path], None], share: float = 0.6) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return cut


def black_video(path: Path) -> None:
    write_video(path, [np.zeros((64, 64, 3), np.uint8)] * 3, fps=24)


def black_picture(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path)


def zero_size_picture(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path, "BMP")
    data = bytearray(path.read_bytes())
    data[18:22] = bytes(4)  # its width
    path.write_bytes(data)


POSE_FILES = {
    "missing": ("clip.npz", lambda path: None),
    "empty file": ("clip.npz", lambda path: path.write_bytes(b"")),
    "text": ("clip.npz", lambda path: path.write_text("not poses")),
    "picture": ("clip.png", black_picture),
    "no frames": ("clip.npz", lambda path: signverse(path, frames=0)),
    "nobody": ("clip.npz", lambda path: signverse(path, persons=0)),
    "NaN": ("clip.npz", lambda path: signverse(path, x=float("nan"))),
    "fps 0": ("clip.npz", lambda path: signverse(path, fps=0)),
    "truncated zip": ("clip.npz", truncated(signverse)),
    "hostile pickle": ("clip.npz", hostile),
    "truncated .pose": ("clip.pose", lambda path: path.write_bytes(b"\xcd\xcc\x4c\x3e" + bytes(10))),
}
VIDEOS = {
    "nobody": ("clip.mp4", black_video),
    "truncated": ("clip.mp4", truncated(black_video)),
    "text": ("clip.mp4", lambda path: path.write_text("not a video")),
    "only a head": ("clip.mp4", lambda path: path.write_bytes(b"\0\0\0\x20ftypisom")),
}
PICTURES = {
    "missing": ("signer.png", lambda path: None),
    "empty": ("signer.png", lambda path: path.write_bytes(b"")),
    "truncated": ("signer.png", truncated(black_picture)),
    "zero size": ("signer.bmp", zero_size_picture),
    "text": ("signer.png", lambda path: path.write_text("not a picture")),
    "nobody": ("signer.png", black_picture),
}


def refuse(args: list[str], named: str, folder: Path, capfd) -> str:
    """Runs a command that must refuse; gives its error line."""
    before = sorted(folder.iterdir())
    assert main(args) == 2
    out, err = capfd.readouterr()
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("signloop:")]
    assert out == ""
    assert len(lines) == 1
    assert "Traceback" not in err
    assert named in lines[0]
    assert sorted(folder.iterdir()) == before
    return lines[0]


@pytest.fixture(scope="module", autouse=True)
def one_estimator() -> Iterator[None]:
    """Loading one takes longer than all that is done with it here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimators, "create_pose_estimator", cache(estimators.create_pose_estimator))
        yield
        estimators.create_pose_estimator("mediapipe").close()


@pytest.mark.parametrize("kind", POSE_FILES)
@pytest.mark.parametrize("command", ["draw", "recognize", "render", "loop"])
def test_wrong_pose_files(command, kind, tmp_path, capfd):
    name, make = POSE_FILES[kind]
    make(tmp_path / name)
    output = {
        "draw": [str(tmp_path / "out.mp4")],
        "recognize": [],
        "render": [str(tmp_path / "out.mp4"), "--renderer", "avatar"],
        "loop": ["--output", str(tmp_path / "out"), "--renderer", "avatar"],
    }
    refuse([command, str(tmp_path / name), *output[command]], name, tmp_path, capfd)


@pytest.mark.parametrize("kind", VIDEOS)
@pytest.mark.parametrize("command", ["extract", "recognize", "loop"])
def test_wrong_videos(command, kind, tmp_path, capfd):
    name, make = VIDEOS[kind]
    make(tmp_path / name)
    output = {
        "extract": [str(tmp_path / "out.npz")],
        "recognize": [],
        "loop": ["--output", str(tmp_path / "out"), "--renderer", "avatar"],
    }
    refuse([command, str(tmp_path / name), *output[command]], name, tmp_path, capfd)


@pytest.mark.parametrize("output", [[], ["--output", "out"]])
def test_a_video_that_nobody_reads_is_refused_before_its_poses_are_found(output, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_video("slow.mp4", np.zeros((2, 64, 64, 3), np.uint8), fps=1)
    said = refuse(["recognize", "slow.mp4", *output], "", tmp_path, capfd)  # and not that nobody is in it
    assert said == "signloop: slow.mp4: expected 5 to 120 frames per second, found 1."


@pytest.mark.parametrize("kind", PICTURES)
def test_wrong_pictures(kind, signer, tmp_path, capfd):
    save_poses(signer, tmp_path / "clip.npz")
    name, make = PICTURES[kind]
    make(tmp_path / name)
    args = ["render", str(tmp_path / "clip.npz"), str(tmp_path / "out.mp4"), "--image", str(tmp_path / name)]
    args += ["--consent", "synthetic"]
    refuse(args, name, tmp_path, capfd)


@pytest.mark.parametrize("command", ["render", "loop"])
@pytest.mark.parametrize(
    ("image", "consent", "said"),
    [
        (
            "me.png",
            [],
            "me.png: `consent` must say who is in it, one of self, written, synthetic, public-domain, got none",
        ),
        ("me.png", ["--consent", "yes"], "public-domain, got 'yes'."),
        (
            "lucia",
            ["--consent", "self"],
            "`consent` must be left out where `image` is no picture of your own, got 'self'",
        ),
        (None, ["--consent", "self"], "`consent` must be left out where `image` is no picture of your own, got 'self'"),
    ],
)
def test_wrong_consent(command, image, consent, said, signer, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    save_poses(signer, Path("clip.npz"))
    black_picture(Path("me.png"))
    output = {"render": ["out.mp4"], "loop": ["--output", "out"]}[command]
    args = [command, "clip.npz", *output, *(["--image", image] if image else []), *consent]
    assert said in refuse(args, "", tmp_path, capfd)


def test_output_that_is_taken(signer, tmp_path, capfd):
    clip = tmp_path / "clip.npz"
    save_poses(signer, clip)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    refuse(["loop", str(clip), "--output", str(tmp_path / "out"), "--renderer", "avatar"], "out", tmp_path, capfd)
    refuse(["spell", "A", str(clip)], "clip.npz", tmp_path, capfd)
    refuse(["draw", str(clip), str(tmp_path / "nowhere" / "out.mp4")], "nowhere", tmp_path, capfd)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("there.npz", "there.npz: already there; choose another name, or allow overwriting (--overwrite)."),
        ("nowhere/out.npz", "nowhere/out.npz: its folder does not exist."),
        ("out.txt", "out.txt: must end in .npz"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "tracks"])
def test_output_is_refused_before_the_video_is_opened(command, output, said, tmp_path, capfd):
    (tmp_path / "there.npz").write_text("mine")
    refuse([command, str(tmp_path / "no.mp4"), str(tmp_path / output)], said, tmp_path, capfd)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["spell", "A", "out.npz", "--language", "xxx"], "`language` must be one of"),
        (["spell", "A9", "out.npz"], "`word` must be spelled from"),
        (["spell", "A", "out.txt"], "must end in .npz"),
        (["spell", "A", "out.npz", "--fps", "0"], "`fps` must be"),
        (["convert", "clip.npz", "out.npz", "--fill-gaps", "-5"], "`fill_gaps` must be at least 0, got -5.0."),
        (["draw", "clip.npz", "out.mp4", "--preset", "x"], "`preset` must be one of"),
        (["draw", "clip.npz", "out.mp4", "--height", "0"], "`height` and `width` must be 16 to 8192 pixels"),
        (["rate", "score", "answers.csv", "--key", "no.csv"], "no.csv: cannot be read (No such file or directory)."),
        (
            ["render", "clip.npz", "out.mp4", "--renderer", "x"],
            "`renderer` must be one of avatar, signer-small, got 'x'",
        ),
        (["render", "clip.npz", "out.mp4", "--renderer", "avatar", "--steps", "4"], "`num_inference_steps` must be"),
        (["render", "clip.npz", "out.txt", "--renderer", "avatar"], "out.txt"),
        (["render", "clip.npz", "out.mp4", "--image", "me"], "me: expected a picture or a built-in signer, alex, "),
        (["loop", "clip.npz", "--output", "out", "--estimator", "x"], "`estimator` must be one of"),
    ],
)
def test_wrong_values(args, said, signer, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    save_poses(signer, Path("clip.npz"))
    assert said in refuse(args, "", tmp_path, capfd)


def test_labelled_videos_that_prove_nothing_leave_no_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("clips.csv").write_text("video,gloss,signer\nno.mp4,HOUSE,anna\n")
    args = ["prove", "--data", "clips.csv", "--consent", "self", "--output", "proof"]
    refuse(args, "clips.csv: must name two signers at least", tmp_path, capfd)
