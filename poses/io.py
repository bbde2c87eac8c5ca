"""Reads and writes pose files, whatever their format."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from poses.files import check_file
from poses.formats.array_files import Given
from poses.formats.coco_wholebody import read_coco_wholebody, write_coco_wholebody
from poses.formats.frame_runs import MAX_FRAMES
from poses.formats.mediapipe import read_holistic, write_holistic
from poses.formats.multi_vsl import read_multi_vsl, write_multi_vsl
from poses.formats.npz import open_npz
from poses.formats.openpose_json import is_openpose_folder, read_openpose, write_openpose
from poses.formats.pose_file import read_pose, write_pose
from poses.formats.signverse import read_signverse, write_signverse
from poses.formats.signx import read_signx, write_signx
from poses.sequence import PoseFileError, PoseSequence

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        title: What it is called in messages.
        suffix: Of its files; empty where a clip is a folder.
        read: Reads a clip; what it is given counts only where the file does not say it.
        write: Writes a clip.
        members: Arrays by which an `.npz` is known.
    """

    title: str
    suffix: str
    read: Callable[[StrPath, Given], PoseSequence]
    write: Callable[..., None]
    members: frozenset[str] = frozenset()


FORMATS = MappingProxyType(
    {
        "signverse": Format("SignVerse-2M", ".npz", lambda path, _: read_signverse(path), write_signverse),
        "pose": Format(".pose", ".pose", lambda path, _: read_pose(path), write_pose),
        "openpose": Format("OpenPose JSON", "", read_openpose, write_openpose),
        "coco-wholebody": Format(
            "COCO-WholeBody", ".npz", read_coco_wholebody, write_coco_wholebody, frozenset({"keypoints", "scores"})
        ),
        "holistic": Format(
            "MediaPipe Holistic", ".npz", read_holistic, write_holistic, frozenset({"pose_landmarks", "face_landmarks"})
        ),
        "multi-vsl": Format(
            "Multi-VSL",
            ".npz",
            lambda path, _: read_multi_vsl(path),
            write_multi_vsl,
            frozenset({"all_xy", "all_score"}),
        ),
        "signx": Format("SignX", ".npz", read_signx, write_signx, frozenset({"dwpose"})),
    }
)
"""The formats by the name that they are asked for with."""

_TITLES = {format.title: format for format in FORMATS.values()}

_MAGIC = {
    b"\xcd\xcc\xcc\x3d": ".pose",  # its version as float32, 0.1
    b"\xcd\xcc\x4c\x3e": ".pose",  # or 0.2
    b"\x1aE\xdf\xa3": "a Matroska or WebM video",
    b"GIF8": "a GIF",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x93NUMPY": "a bare numpy array",
    b"\x80\x04": "a Python pickle",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
}

_UNKNOWN = "something else"


def load_poses(
    path: StrPath, *, fps: float | None = None, width: int | None = None, height: int | None = None
) -> PoseSequence:
    """Reads a clip in any of `FORMATS`, told apart by what is in it.

    Args:
        path: A file, or a folder of one file a frame.
        fps: Frames per second, which some formats do not state.
        width: Frame width in pixels, which some formats do not state.
        height: Frame height in pixels, which some formats do not state.

    Raises:
        PoseFileError: It is in none of the formats, is damaged, shows nobody, does not state what is not given, or
            states something else than is given.
    """
    kind = sniff(path)
    if kind not in _TITLES:
        hint = "; extract its poses first" if "video" in kind or kind == "a GIF" else ""
        hint = "; nor is it a video" if kind == _UNKNOWN else hint
        raise PoseFileError(f"{path}: must be a pose file ({', '.join(_TITLES)}), found {kind}{hint}.")
    try:
        poses = _TITLES[kind].read(path, Given(fps, width, height))
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    for name, given in (("fps", fps), ("width", width), ("height", height)):
        if given not in (None, getattr(poses, name)):
            raise PoseFileError(f"{path}: states that its {name} is {getattr(poses, name):g}, but {given:g} was given.")
    return poses


def save_poses(poses: PoseSequence, path: StrPath, *, format: str | None = None, overwrite: bool = False) -> None:
    """Writes a clip. What each format loses is said by its writer, and in docs/formats.md.

    Args:
        poses: The clip.
        path: A file, or a folder for formats of one file a frame.
        format: A name of `FORMATS`; by default `signverse` for `.npz` and `pose` for `.pose`.
        overwrite: Whether a file that is already there may be replaced. Folders never are.

    Raises:
        ValueError: The format is unknown, the suffix is another, `path` is taken, or the format cannot hold the clip.
    """
    name = _format_name(path, format)
    if len(poses) > MAX_FRAMES and name != "pose":
        raise ValueError(f"{path}: must hold at most {MAX_FRAMES} frames but for .pose files, got {len(poses)}.")
    FORMATS[name].write(poses, path, overwrite=overwrite)


def check_output(path: StrPath, *, overwrite: bool = False) -> None:
    """Refuses a file that `save_poses` would refuse to write, before the poses for it are found.

    Args:
        path: A file of a format that its suffix names.
        overwrite: Whether a file that is already there may be replaced.

    Raises:
        ValueError: The suffix is another, or `path` is taken.
    """
    _format_name(path, None)
    check_file(path, overwrite=overwrite)


def _format_name(path: StrPath, format: str | None) -> str:
    suffix = Path(path).suffix.lower()
    if format is None:
        format = {".npz": "signverse", ".pose": "pose"}.get(suffix)
        if format is None:
            raise ValueError(
                f"{path}: must end in .npz (SignVerse-2M) or .pose where no format is named, "
                f"got {suffix or 'no suffix'!r}."
            )
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}.")
    if suffix != FORMATS[format].suffix:
        expected = f"end in {FORMATS[format].suffix}" if FORMATS[format].suffix else "be a folder, without a suffix,"
        raise ValueError(f"{path}: must {expected} for {FORMATS[format].title}, got {suffix or 'no suffix'!r}.")
    return format


def sniff(path: StrPath) -> str:
    """Says what a file or folder is by what is in it: the title of one of `FORMATS`, or in words what else.

    Raises:
        PoseFileError: It does not exist, cannot be read, is empty, is a damaged zip file, or a folder of several clips.
    """
    try:
        if os.path.isdir(path):
            return "OpenPose JSON" if is_openpose_folder(Path(path)) else _sniff_folder(Path(path))
        with open(path, "rb") as stream:
            head = stream.read(64)
    except FileNotFoundError:
        raise PoseFileError(f"{path}: no such file or folder.") from None
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    if not head:
        raise PoseFileError(f"{path}: expected a pose file or a video, found an empty file.")
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _sniff_zip(path)
    if head.lstrip()[:1] in (b"{", b"["):
        return "OpenPose JSON"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "an MP4 video"
    if head.startswith(b"RIFF"):
        return "a WebP picture" if head[8:12] == b"WEBP" else "an AVI video"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), _UNKNOWN)


def is_video(path: StrPath) -> bool:
    """Tells by its first bytes whether a file is a video; all else is left to `load_poses`.

    Raises:
        ValueError: The file is missing or empty.
    """
    kind = sniff(path)
    return "video" in kind or kind == "a GIF"


def _sniff_folder(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    clips = [name for name in names if name.endswith((".npz", ".pose"))]
    if clips and not any(re.fullmatch(r"npz|poses\.npz|[0-9]{8}\.npz", name) for name in names):
        count = "1 pose file" if len(clips) == 1 else f"{len(clips)} pose files"
        raise PoseFileError(f"{folder}: expected one clip, found a folder of {count}; name one, such as {clips[0]}.")
    return "SignVerse-2M"


def _sniff_zip(path: StrPath) -> str:
    with open_npz(path, path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
    found = (format.title for format in FORMATS.values() if format.members and format.members <= names)
    return next(found, "SignVerse-2M")  # which says best what is wrong with other zip files
