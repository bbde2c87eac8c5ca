"""Reads and writes pose files, whatever their format."""

import os
from pathlib import Path

from poses.formats.pose_file import read_pose, write_pose
from poses.formats.signverse import read_signverse, write_signverse
from poses.sequence import PoseFileError, PoseSequence

_MAGIC = {
    b"PK\x03\x04": "SignVerse-2M",
    b"PK\x05\x06": "SignVerse-2M",
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


def load_poses(path: str | os.PathLike[str]) -> PoseSequence:
    """Reads a clip: a SignVerse-2M file, folder or zip, or a `.pose` file, told apart by what is in it.

    Raises:
        PoseFileError: It is none of these, is damaged, or shows nobody.
    """
    kind = sniff(path)
    try:
        if kind == "SignVerse-2M":
            return read_signverse(path)
        if kind == ".pose":
            return read_pose(path)
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    hint = "; extract its poses first" if "video" in kind or kind == "a GIF" else ""
    raise PoseFileError(f"{path}: must be a SignVerse-2M or .pose file, found {kind}{hint}.")


def save_poses(poses: PoseSequence, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes a clip: `.npz` as SignVerse-2M, `.pose` for pose-format. What each loses is said by its writer.

    Raises:
        ValueError: The suffix is another, `path` is taken, or the format cannot hold the clip.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        write_signverse(poses, path, overwrite=overwrite)
    elif suffix == ".pose":
        write_pose(poses, path, overwrite=overwrite)
    else:
        raise ValueError(f"{path}: must end in .npz (SignVerse-2M) or .pose, got {suffix or 'no suffix'!r}.")


def sniff(path: str | os.PathLike[str]) -> str:
    """Says what a file is by its first bytes: "SignVerse-2M", ".pose", or in words what else it looks like.

    Raises:
        PoseFileError: It does not exist, cannot be read, or is empty.
    """
    if os.path.isdir(path):
        return "SignVerse-2M"
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise PoseFileError(f"{path}: no such file or folder.") from None
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    if not head:
        raise PoseFileError(f"{path}: must be a pose file, but it is empty.")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "an MP4 video"
    if head.startswith(b"RIFF"):
        return "a WebP picture" if head[8:12] == b"WEBP" else "an AVI video"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "something else")
