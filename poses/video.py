"""Video files and pictures: the one place that reads and writes mp4 and GIF, frame by frame, through imageio."""

import gc
import itertools
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import imageio.v3 as iio
import numpy as np
from imageio.core.request import InitializationError
from imageio.plugins import pyav
from jaxtyping import UInt8
from PIL import Image

from poses.bounds import MAX_SIZE_PX, MIN_SIZE_PX
from poses.files import new_file

WRITABLE = (".mp4", ".gif")
MAX_BOXES = 1_000_000
"""Parts of an mp4 file; ten hours of half-second fragments have 150,000."""

_LARGEST_RATE_ERROR = 0.01
"""Of the rate that FFmpeg guesses, as a share; where it is larger, frames come unevenly and their average counts."""

MAX_GIF_FPS = 100
"""GIF counts hundredths of a second."""

# imageio's overloads know none of the arguments that its plugins take.
_imopen: Callable[..., Any] = iio.imopen
# The first bytes choose the demuxer, never FFmpeg's own guess: a playlist that calls itself .mp4 can make FFmpeg open
# other files and addresses.
_DEMUXERS = ((4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"mdat", "mov"), (4, b"free", "mov"), (4, b"wide", "mov"),
             (0, b"GIF8", "gif"), (0, b"\x1a\x45\xdf\xa3", "matroska"), (8, b"AVI ", "avi"))  # fmt: skip
_PICTURES = ((0, b"\x89PNG", "PNG"), (0, b"\xff\xd8\xff", "JPEG"), (8, b"WEBP", "WebP"), (0, b"BM", "BMP"),
             (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"GIF8", "GIF"))  # fmt: skip
# H.264 at the quality where compression no longer costs finger detail, and the colours it is written in said aloud:
# unlabelled, players guess by size.
_H264 = {
    "crf": "18",
    "colorspace": "smpte170m",
    "color_primaries": "smpte170m",
    "color_trc": "smpte170m",
    "color_range": "tv",
    # x264's macroblock tree is not repeatable: with it, one file in eight of the same frames had other bytes.
    "x264-params": "mbtree=0",
}
# A palette for each frame: one for the whole clip would need the whole clip first.
_PALETTE_PER_FRAME = (
    {
        "split": ("split", ""),
        "palettegen": ("palettegen", "stats_mode=single"),
        "paletteuse": ("paletteuse", "new=1:dither=none"),
    },
    [
        ("video_in", "split", 0, 0),
        ("split", "palettegen", 0, 0),
        ("split", "paletteuse", 1, 0),
        ("palettegen", "paletteuse", 0, 1),
        ("paletteuse", "video_out", 0, 0),
    ],
)


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width: Pixels, as shown (after the rotation that the file asks for).
        height: Pixels, as shown.
        fps: Frames per second; on average, where they come unevenly.
        num_frames: Frames that the container declares, None where it does not say. Only reading them all is certain.
        comment: The container's comment, such as who generated the video; empty where there is none.
    """

    width: int
    height: int
    fps: float
    num_frames: int | None
    comment: str = ""


def read_info(path: str | Path) -> VideoInfo:
    """Reads a video's size, frame rate and declared length; decodes one frame.

    Raises:
        ValueError: The file is missing, not a video, truncated, empty, or of a size or frame rate that cannot be.
    """
    return _inspect(Path(path))[0]


def read_frames(path: str | Path) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Yields a video's RGB frames one by one, turned the way the file asks to be shown.

    The file is checked when this is called; frames are decoded as they are asked for.

    Raises:
        ValueError: As `read_info`; while iterating, also for damaged frames or a size that changes.
    """
    path = Path(path)
    info, demuxer, (swap, step_y, step_x) = _inspect(path)

    def decode() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        with _open_video(path, demuxer) as file:
            frames = file.iter(thread_type="FRAME")
            for count in itertools.count():
                try:
                    frame = next(frames, None)
                except av.FFmpegError as error:
                    raise ValueError(f"{path}: frame {count} cannot be decoded ({error.strerror}).") from None
                if frame is None:
                    return
                frame = (frame.transpose(1, 0, 2) if swap else frame)[::step_y, ::step_x]
                if frame.shape[:2] != (info.height, info.width):
                    raise ValueError(
                        f"{path}: expected every frame to be {info.width} x {info.height}, "
                        f"frame {count} is {frame.shape[1]} x {frame.shape[0]}."
                    )
                yield np.array(frame)

    return decode()


class _PyAV(pyav.PyAVPlugin):
    """imageio's plugin, without the look for garbage by which it closes a video, and closes it again when it goes.

    That joins the threads of a filter, which only GIFs have here. Among all that torch and diffusers have imported it
    takes a third of a second.
    """

    def close(self) -> None:
        vars(pyav)["gc"] = gc if self._video_filter else SimpleNamespace(collect=lambda: None)
        try:
            super().close()
        finally:
            vars(pyav)["gc"] = gc


class VideoWriter:
    """Writes an mp4 (H.264, 4:2:0) or a GIF: `with VideoWriter(path, fps=25) as video: video.write(frame)`.

    The file appears under its name only when every frame is in it; an exception inside the block leaves nothing.
    GIF stores times in hundredths of a second and 256 colours a frame: a preview, not data.

    Args:
        path: Ends in `.mp4` or `.gif`.
        fps: Frames per second, kept as a ratio (24000/1001 stays exact).
        comment: Metadata that says what the video is, such as that it was generated. mp4 only.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ValueError: A wrong suffix, frame rate, frame shape or type; frames of several sizes; or no frame at all.
    """

    def __init__(self, path: str | Path, *, fps: float | Fraction, comment: str = "", overwrite: bool = False):
        self.path = Path(path)
        if self.path.suffix.lower() not in WRITABLE:
            raise ValueError(f"{self.path}: expected a name that ends in {' or '.join(WRITABLE)}.")
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise ValueError(f"`fps` must be above 0 and at most 1000, got {float(fps):g}.")
        if fps > MAX_GIF_FPS and self.path.suffix.lower() == ".gif":
            raise ValueError(f"`fps` must be at most {MAX_GIF_FPS} in a GIF, got {float(fps):g}.")
        self._fps = float(fps)
        self._comment = comment
        self._overwrite = overwrite
        self._stack = ExitStack()
        self._file: Any = None
        self._shape: tuple[int, ...] | None = None

    def __enter__(self) -> "VideoWriter":
        temporary = self._stack.enter_context(new_file(self.path, overwrite=self._overwrite))
        container = self.path.suffix.lower().removeprefix(".")
        # "+faststart" puts the index first, so that a browser plays while it loads.
        options = {"movflags": "+faststart"} if container == "mp4" else {}
        self._file = self._stack.enter_context(
            _imopen(temporary, "w", plugin=_PyAV, extension=f".{container}", container=container, options=options)
        )
        return self

    def __exit__(self, exc_type, exc, traceback) -> bool | None:
        if exc_type is None and self._shape is None:
            empty = ValueError(f"{self.path}: expected at least one frame to write, got none.")
            self._stack.__exit__(ValueError, empty, None)
            raise empty
        return self._stack.__exit__(exc_type, exc, traceback)

    def write(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Adds an RGB frame."""
        if self._shape is None:
            self._start(frame)
        elif frame.shape != self._shape:
            raise ValueError(f"{self.path}: expected frames of one shape {list(self._shape)}, got {list(frame.shape)}.")
        self._file.write_frame(frame)

    def _start(self, frame: np.ndarray) -> None:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"{self.path}: frames must be uint8 [height, width, 3], got {frame.dtype} {frame.shape}.")
        height, width = frame.shape[:2]
        _check_size(self.path, width, height)
        # imageio has no public way to pass options to the encoder, nor to filter into a palette: hence `_video_stream`.
        if self.path.suffix.lower() == ".gif":
            self._file.init_video_stream("gif", fps=self._fps, pixel_format="rgb24")
            stream = self._file._video_stream
            stream.width, stream.height = width, height
            self._file.set_video_filter(filter_graph=_PALETTE_PER_FRAME)
            stream.pix_fmt = "pal8"
        else:
            if width % 2 or height % 2:
                raise ValueError(f"{self.path}: mp4 frames must have an even width and height, got {width} x {height}.")
            if self._comment:
                self._file.container_metadata["comment"] = self._comment
            self._file.init_video_stream("libx264", fps=self._fps, pixel_format="yuv420p")
            self._file._video_stream.codec_context.options = _H264
        self._shape = frame.shape


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    *,
    fps: float | Fraction,
    comment: str = "",
    overwrite: bool = False,
) -> None:
    """Writes RGB frames as they come. See `VideoWriter`."""
    with VideoWriter(path, fps=fps, comment=comment, overwrite=overwrite) as video:
        for frame in frames:
            video.write(frame)


def read_picture(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    """Reads a picture as RGB, turned as its EXIF data asks, transparency laid on white.

    Raises:
        ValueError: The file is missing, not a picture, damaged, or not 16 to 8192 pixels on a side.
    """
    path = Path(path)
    head = _read_head(path)
    if _match(head, _PICTURES) is None:
        raise ValueError(f"{path}: expected a PNG, JPEG, WebP, BMP, TIFF or GIF picture, found {_describe(head)}.")
    try:
        with _imopen(path, "r", plugin="pillow") as file:
            height, width = file.properties(index=0).shape[:2]
            _check_size(path, width, height)
            metadata = file.metadata(index=0)
            transparent = "transparency" in metadata or metadata["mode"] in ("RGBA", "LA", "PA", "La", "RGBa")
            if metadata["mode"].startswith(("I", "F")):
                raise ValueError(f"{path}: expected 8 bits a channel, found picture mode {metadata['mode']}.")
            pixels = file.read(index=0, mode="RGBA" if transparent else "RGB", rotate=True)
    except InitializationError:  # whose own words are about imageio
        raise ValueError(f"{path}: this picture cannot be read (it is damaged).") from None
    except (OSError, SyntaxError, Image.DecompressionBombError, struct.error) as error:
        raise ValueError(f"{path}: this picture cannot be read ({error.__cause__ or error}).") from None
    if transparent:
        colour, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
        pixels = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.array(pixels)


def _inspect(path: Path) -> tuple[VideoInfo, str, tuple[bool, int, int]]:
    """Checks a video; finds its facts, its demuxer, and how to turn its frames: swap axes, row step, column step."""
    head = _read_head(path)
    demuxer = _match(head, _DEMUXERS)
    if demuxer is None:
        raise ValueError(f"{path}: expected a video (mp4, mov, GIF, webm, mkv or avi), found {_describe(head)}.")
    if demuxer == "mov":
        _check_complete(path)
    with _open_video(path, demuxer) as file:
        try:
            declared, height, width, _ = file.properties().shape
        except (AttributeError, av.FFmpegError, MemoryError):  # imageio asks the decoder without looking for one
            raise ValueError(f"{path}: expected a video, found one whose pictures no decoder here can read.") from None
        _check_size(path, width, height)
        try:
            metadata = file.metadata()
        except (TypeError, ZeroDivisionError):  # imageio turns the rate into a float without looking for one
            metadata = {"fps": 0.0}
        fps = metadata["fps"]
        duration = metadata.get("duration") or 0
        if demuxer == "gif" and fps > 0 and min(declared, duration) > 0 and abs(declared / fps - duration) > 0.02:
            fps = declared / duration  # FFmpeg guesses a GIF's rate, and wrongly below 1 and above 50
        average = _average_rate(path, demuxer, file._video_stream.average_rate) if fps > 0 else None
        if average and abs(average / fps - 1) > _LARGEST_RATE_ERROR:
            fps = average
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"{path}: expected a positive frame rate, found {fps:g}.")
        try:
            side_data = file.metadata(index=0)
        except (av.FFmpegError, StopIteration):
            raise ValueError(f"{path}: expected at least one frame, found none that can be decoded.") from None
    turn = _orientation(path, side_data.get("DISPLAYMATRIX"))
    if turn[0]:
        width, height = height, width
    return VideoInfo(width, height, fps, declared or None, str(metadata.get("comment", ""))), demuxer, turn


def _average_rate(path: Path, demuxer: str, stated: Fraction | None) -> float | None:
    """Frames per second over the whole of a video whose frames may come unevenly; None where FFmpeg's guess is as good.

    Phones and browsers leave frames out and wait unequally long. FFmpeg guesses the rate meant, and 1000 of a browser's
    recording, whose file states none: that one is gone through, without decoding it.
    """
    if demuxer == "mov" and stated:
        return float(stated)
    if demuxer != "matroska" or stated:
        return None
    with _open_video(path, demuxer) as file:
        stream = file._video_stream
        try:
            times = [packet.pts for packet in file._container.demux(stream) if packet.pts is not None]
        except av.FFmpegError:  # said when its frames are read
            return None
        lasts = float((max(times) - min(times)) * stream.time_base) if times else 0.0
    return (len(times) - 1) / lasts if lasts > 0 else None


def _open_video(path: Path, demuxer: str) -> Any:
    try:
        return _imopen(path, "r", plugin=_PyAV, format=demuxer, metadata_errors="replace")
    except (OSError, IndexError):
        raise ValueError(f"{path}: expected a video, found a damaged file or one without pictures in it.") from None


def _check_complete(path: Path) -> None:
    """Refuses an mp4 whose boxes reach beyond its end: FFmpeg would play the part that is there without a word."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb") as file:
        for _ in range(MAX_BOXES + 1):
            if offset + 8 > size:
                return
            file.seek(offset)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            elif length == 0:
                return
            if length < 8 or offset + length > size:
                raise ValueError(
                    f"{path}: truncated or damaged, box {kind.decode('ascii', 'replace')!r} declares {length} bytes, "
                    f"{size - offset} are left."
                )
            offset += length
    raise ValueError(f"{path}: expected at most {MAX_BOXES} boxes, found more.")


def _orientation(path: Path, matrix: bytes | None) -> tuple[bool, int, int]:
    """Turns a display matrix into (swap axes, row step, column step).

    The matrix is that of the track header, ISO/IEC 14496-12, 8.3.2: x' = a x + c y, y' = b x + d y, 16.16 fixed point.
    """
    if matrix is None:
        return False, 1, 1
    a, b, _, c, d = (round(value / 65536) for value in struct.unpack("=5i", matrix[:20]))
    if sorted((abs(a), abs(b))) != [0, 1] or (abs(c), abs(d)) != (abs(b), abs(a)):
        raise ValueError(f"{path}: expected to be shown upright or turned by quarters, found matrix {(a, b, c, d)}.")
    return (True, b, c) if b else (False, d, a)


def _check_size(path: Path, width: int, height: int) -> None:
    """Of the size that a file declares, before anything is decoded."""
    if not (MIN_SIZE_PX <= width <= MAX_SIZE_PX and MIN_SIZE_PX <= height <= MAX_SIZE_PX):
        raise ValueError(
            f"{path}: expected a width and height of {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, found {width} x {height}."
        )


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from None


def _match(head: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((name for offset, magic, name in signatures if head[offset:].startswith(magic)), None)


def _describe(head: bytes) -> str:
    if not head:
        return "an empty file"
    if picture := _match(head, _PICTURES):
        return f"a {picture} picture"
    if _match(head, _DEMUXERS):
        return "a video"
    if head.startswith(b"PK\x03\x04"):
        return "a zip file"
    return "text" if all(32 <= byte < 127 or byte in b"\t\n\r" for byte in head) else "an unknown kind of file"
