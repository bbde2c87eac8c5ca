"""Finds and opens what SignVerse-2M stores of one video: `poses.npz`, or one `.npz` a frame. Repairs nothing."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from poses.formats.frame_runs import MAX_FRAMES, FrameRun
from poses.formats.npz import open_member, open_npz, read_array, read_header
from poses.formats.payloads import decode_frame_payloads, read_unframed
from poses.formats.signverse_repairs import VERSIONS
from poses.sequence import GlossSpan, PoseFileError

CORPUS_FPS = 24
"""The rate of the whole corpus; the scheme with one file a frame does not state it."""

LARGEST_FPS_ERROR = 0.05
"""How far `exact_fps` may be from the whole number that `fps` is, as a fraction: any rate from 10 on can be written."""

_MAX_MARKER_BYTES = 10_000
_MAX_TEXT_BYTES = 2**24
"""Of the glosses of a clip, and of all else that is text or one number."""

_MAX_FRAME_FILE_BYTES = 2**24
_MAX_FRAMES_BYTES = 2**29
_FRAME_NAME = re.compile(r"(?:.*/)?(\d{8})\.npz")


@dataclass(frozen=True, eq=False)
class Clip:
    """What a file or folder holds.

    Attributes:
        runs: The frames in order.
        indices: Which frame of the video each is.
        num_stored_indices: How many indices the file holds: none, one a frame, or two.
        fps: Frames of the video per second.
        unneeded: Names of repairs that would harm it: those that it says, and `phantoms` where its makers did not look
            for somebody in frames without anybody. Their `optimized` way of decoding did not, and that alone stores
            one index a frame.
    """

    runs: list[FrameRun]
    indices: np.ndarray
    num_stored_indices: int
    fps: float
    unneeded: frozenset[str]
    language: str = ""
    glosses: tuple[GlossSpan, ...] = ()
    estimator: str = ""


def read_clip(path: Path) -> Clip:
    """Opens a `poses.npz`, a folder or zip file of one `.npz` a frame, or a video's folder with either inside.

    Raises:
        PoseFileError: It is something else, or is damaged.
    """
    if not path.exists():
        raise PoseFileError(f"{path}: no such file or folder.")
    if path.is_dir():
        for file in (path / "poses.npz", path / "npz" / "poses.npz"):
            if file.is_file():
                return read_clip(file)
        folder = path / "npz" if (path / "npz").is_dir() else path
        return _read_frame_folder(folder, path)
    with open_npz(path, path) as archive:
        names = archive.namelist()
        if "frame_payloads.npy" in names:
            return _read_poses(archive, path)
        if any(_FRAME_NAME.fullmatch(name) for name in names):
            return _read_frame_archive(archive, path)
    raise PoseFileError(
        f"{path}: must be a SignVerse-2M file with frame_payloads, or a zip of 00000001.npz and so on; "
        f"found {', '.join(repr(name[:40]) for name in names[:5]) or 'an empty zip'}."
    )


def read_clip_files(files: Mapping[str, bytes], path: object) -> Clip:
    """Opens the files of a video's `npz` folder, read into memory.

    Args:
        files: Content by file name; others than `poses.npz`, `00000001.npz` and so on, and `.complete` do not matter.
        path: The folder, for messages.

    Raises:
        PoseFileError: It holds no frames, or is damaged.
    """
    if "poses.npz" in files:
        where = f"{path}/poses.npz"
        with open_npz(BytesIO(files["poses.npz"]), where) as archive:
            return _read_poses(archive, where)
    frames = sorted(name for name in files if _FRAME_NAME.fullmatch(name))
    if not frames:
        raise PoseFileError(f"{path}: must hold poses.npz, or 00000001.npz and so on; found neither.")
    return _frames_clip(((name, BytesIO(files[name])) for name in frames), files.get(".complete", b""), path)


def _read_poses(archive: zipfile.ZipFile, path: object) -> Clip:
    with open_member(archive, "frame_payloads.npy", path) as stream:
        where = f"{path}: frame_payloads.npy"
        dtype, _, _ = read_header(stream, where)
        if not dtype.hasobject:
            raise PoseFileError(f"{where} must be an array of dictionaries, found numbers.")
        data = read_unframed(stream, where)
    runs = decode_frame_payloads(data, where)
    names = set(archive.namelist())
    total = sum(run.count for run in runs)
    if total == 0:
        raise PoseFileError(f"{path}: must hold at least one frame, found none.")
    fps = float(_number(archive, "fps", path))
    if "exact_fps.npy" in names:
        exact = float(_number(archive, "exact_fps", path))
        if not abs(exact - fps) <= LARGEST_FPS_ERROR * fps:
            raise PoseFileError(
                f"{path}: exact_fps must be within {LARGEST_FPS_ERROR:.0%} of fps, found {exact:g} and {fps:g}."
            )
        fps = exact
    stored = read_array(archive, "frame_indices.npy", path)
    if stored.dtype.kind not in "iu" or stored.ndim != 1 or len(stored) not in (0, total, 2 * total):
        raise PoseFileError(
            f"{path}: frame_indices.npy must hold no, {total} or {2 * total} whole numbers, "
            f"found {stored.dtype} {list(stored.shape)}."
        )
    indices = stored[:: len(stored) // total].astype(np.int64) if len(stored) else np.arange(1, total + 1)
    language = "".join(_texts(archive, "sign_language", path)) if "sign_language.npy" in names else ""
    estimator = "".join(_texts(archive, "estimator", path)) if "estimator.npy" in names else ""
    glosses = _read_glosses(archive, path) if "glosses.npy" in names else ()
    unneeded = {"phantoms"} if len(stored) == total else set()
    if "unneeded_repairs.npy" in names:
        unneeded |= set(_texts(archive, "unneeded_repairs", path))
    if unknown := unneeded - set(VERSIONS):
        raise PoseFileError(
            f"{path}: unneeded_repairs.npy must name some of {', '.join(VERSIONS)}, found {min(unknown)[:40]!r}."
        )
    return Clip(runs, indices, len(stored), fps, frozenset(unneeded), language, glosses, estimator)


def _read_glosses(archive: zipfile.ZipFile, path: object) -> tuple[GlossSpan, ...]:
    glosses, spans = _texts(archive, "glosses", path), read_array(archive, "gloss_spans.npy", path)
    if spans.dtype.kind not in "iu" or spans.shape != (len(glosses), 2):
        raise PoseFileError(
            f"{path}: gloss_spans.npy must hold two whole numbers for each of {len(glosses)} glosses, "
            f"found {spans.dtype} {list(spans.shape)}."
        )
    return tuple(GlossSpan(gloss, *span) for gloss, span in zip(glosses, spans.tolist(), strict=True))


def _number(archive: zipfile.ZipFile, key: str, path: object) -> int | float:
    value = read_array(archive, f"{key}.npy", path, max_bytes=_MAX_TEXT_BYTES)
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise PoseFileError(f"{path}: {key}.npy must be one number, found {value.dtype} {list(value.shape)}.")
    return value.item()


def _texts(archive: zipfile.ZipFile, key: str, path: object) -> list[str]:
    value = read_array(archive, f"{key}.npy", path, max_bytes=_MAX_TEXT_BYTES)
    try:
        if value.dtype.kind == "U":
            # Numpy's own way to text ends in a SystemError where a number is no character.
            characters = value.tobytes().decode("utf-32-be" if value.dtype.byteorder == ">" else "utf-32-le")
            length = value.dtype.itemsize // 4
            return [characters[at * length : (at + 1) * length].rstrip("\0") for at in range(value.size)]
    except UnicodeDecodeError:
        pass
    raise PoseFileError(f"{path}: {key}.npy must be text, found {value.dtype} that isn't.")


def _read_frame_folder(folder: Path, path: Path) -> Clip:
    files = sorted(file for file in folder.iterdir() if _FRAME_NAME.fullmatch(file.name))
    if not files:
        raise PoseFileError(f"{path}: must hold poses.npz, or 00000001.npz and so on; found neither.")
    marker = folder / ".complete"
    marked = marker.read_bytes() if marker.is_file() else b""
    return _frames_clip(((file.name, file) for file in files), marked, path)


def _read_frame_archive(archive: zipfile.ZipFile, path: Path) -> Clip:
    names = sorted(name for name in archive.namelist() if _FRAME_NAME.fullmatch(name))
    folders = {name.rpartition("/")[0] for name in names}
    if len(folders) != 1:
        raise PoseFileError(f"{path}: must hold the frames of one video, found {len(folders)} folders of frames.")
    marker = f"{folders.pop()}/.complete".removeprefix("/")
    marked = b""
    if marker in archive.namelist():
        with open_member(archive, marker, path) as stream:
            marked = stream.read(_MAX_MARKER_BYTES)

    def files() -> Iterator[tuple[str, BytesIO]]:
        for name in names:
            with open_member(archive, name, path) as stream:
                data = stream.read(_MAX_FRAME_FILE_BYTES)
            yield name, BytesIO(data)

    return _frames_clip(files(), marked, path)


def _frames_clip(files: Iterable[tuple[str, Path | BytesIO]], marker: bytes, path: object) -> Clip:
    marker = marker[:_MAX_MARKER_BYTES]
    fps = re.search(rb"^fps=(\d{1,4})\s*$", marker, re.MULTILINE)
    is_optimized = re.search(rb"^optimized_mode=True\s*$", marker, re.MULTILINE)
    unneeded = frozenset({"phantoms"} if is_optimized else ())
    runs, indices, num_bytes = [], [], 0
    for name, file in files:
        where = f"{path}: {name}"
        with open_npz(file, where) as archive:
            values = {member.removesuffix(".npy"): read_array(archive, member, where) for member in archive.namelist()}
        runs.append(FrameRun(1, values))
        indices.append(int(Path(name).stem))
        num_bytes += sum(value.nbytes for value in values.values())
        if len(runs) > MAX_FRAMES or num_bytes > _MAX_FRAMES_BYTES:
            raise PoseFileError(
                f"{path}: must hold at most {MAX_FRAMES} frames and {_MAX_FRAMES_BYTES} bytes of points."
            )
    return Clip(runs, np.array(indices), len(indices), int(fps[1]) if fps else CORPUS_FPS, unneeded)
