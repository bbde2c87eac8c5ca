"""What the formats share that are plain arrays in an `.npz`: reading, writing, and what a file may leave unsaid."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from poses.files import new_file
from poses.formats.frame_runs import MAX_FRAMES
from poses.formats.npz import open_npz, read_array
from poses.sequence import PoseFileError, PoseSequence

_MAX_BYTES = 2**29
"""Of all arrays of a file together: an hour of MediaPipe's landmarks, three of any other format."""

_LARGEST_NUMBER = 2**31


@dataclass(frozen=True)
class Given:
    """What a reader is told of a clip, for files that do not say it.

    Attributes:
        fps: Frames per second.
        width: Frame width in pixels.
        height: Frame height in pixels.
    """

    fps: float | None = None
    width: int | None = None
    height: int | None = None

    def or_stated(self, path: object, stated: Mapping[str, float]) -> tuple[float, int, int]:
        """Frame rate, width and height: as a file states them, or else as given.

        Args:
            path: The file, for messages.
            stated: `fps`, `width` and `height`, as far as the file has them.

        Raises:
            PoseFileError: One is neither stated nor given, or is no number.
        """
        facts = []
        for name, given in (("fps", self.fps), ("width", self.width), ("height", self.height)):
            value = stated.get(name, given)
            if value is None:
                raise PoseFileError(f"{path}: does not state its {name}; say what it is.")
            if not abs(value) < _LARGEST_NUMBER or (name != "fps" and value != int(value)):
                raise PoseFileError(
                    f"{path}: must state a whole number of pixels and frames per second, found {value}."
                )
            facts.append(value)
        fps, width, height = facts
        return float(fps), int(width), int(height)


def read_arrays(path: str | os.PathLike[str], wanted: Mapping[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """Reads the float arrays named, and all single numbers under their own names.

    Args:
        path: An `.npz` file.
        wanted: Shape of a frame by array; None fits any size.

    Raises:
        PoseFileError: One is missing, has another shape, is no float, or their frames differ in number.
    """
    with open_npz(path, path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        num_bytes = sum(member.file_size for member in archive.infolist())
        if num_bytes > _MAX_BYTES:
            raise PoseFileError(f"{path}: must hold at most {_MAX_BYTES} bytes of arrays, found {num_bytes}.")
        arrays = {name: read_array(archive, f"{name}.npy", path) for name in wanted}
        for name in names & {"fps", "width", "height"}:
            number = read_array(archive, f"{name}.npy", path)
            if number.size != 1 or number.dtype.kind not in "iuf":
                raise PoseFileError(
                    f"{path}: {name}.npy must be one number, found {number.dtype} {list(number.shape)}."
                )
            arrays[name] = number.reshape(())
    frames = len(arrays[next(iter(wanted))]) if arrays[next(iter(wanted))].ndim else 0
    for name, shape in wanted.items():
        array = arrays[name]
        fits = len(array.shape) == len(shape) + 1 and all(
            size in (None, found) for size, found in zip(shape, array.shape[1:], strict=True)
        )
        if not fits or array.dtype.kind != "f" or array.shape[0] != frames:
            expected = ["frames", *("any" if size is None else size for size in shape)]
            raise PoseFileError(
                f"{path}: {name}.npy must be floats [{', '.join(map(str, expected))}], each with as many frames, "
                f"found {array.dtype} {list(array.shape)}."
            )
    if not 0 < frames <= MAX_FRAMES:
        raise PoseFileError(f"{path}: must hold 1 to {MAX_FRAMES} frames, found {frames}.")
    return arrays


def single_numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What a file states of its frames, for `Given.or_stated`."""
    return {name: arrays[name].item() for name in ("fps", "width", "height") if name in arrays}


def frame_size(width: int, height: int) -> np.ndarray:
    """What pixels are divided by; sizes that cannot be are refused later."""
    return np.array([max(width, 1), max(height, 1)], np.float32)


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], poses: PoseSequence, *, overwrite: bool
) -> None:
    """Writes an `.npz` with these arrays, and the clip's frame rate and size.

    Raises:
        ValueError: `path` is taken.
    """
    facts = {
        "fps": np.asarray(poses.fps, np.float64),
        "width": np.asarray(poses.width, np.int32),
        "height": np.asarray(poses.height, np.int32),
    }
    with new_file(path, overwrite=overwrite) as aside, aside.open("wb") as stream:
        np.savez(stream, **{**facts, **arrays})  # pyrefly: ignore
