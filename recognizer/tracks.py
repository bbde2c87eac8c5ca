"""The five pose tracks that SignX reads, as one vector of 1959 numbers a frame.

The layout is read off figures 2 and 8 of https://arxiv.org/abs/2504.16315 and explained in docs/signx-choices.md. A
track that is missing is NaN, in single frames or in the whole clip, so that nothing can take it for a measurement.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Float32, Int

from poses.formats.npz import open_npz, read_array
from poses.sequence import PoseFileError

TRACKS_VERSION = 1
"""Raised when a number in the vector changes its place or its meaning."""

TRACKS = MappingProxyType(
    {
        "dwpose": slice(0, 384),
        "mediapipe_pose": slice(384, 642),
        "primedepth_depth": slice(642, 1218),
        "sapiens_segmentation": slice(1218, 1794),
        "smplerx": slice(1794, 1959),
    }
)
"""Where each track lies, in the published, alphabetical order."""

NUM_FEATURES = 1959

HANDS = ((54, 2), (96, 2), (516, 3), (579, 3))
"""Where the 21 points of each hand begin, and how many coordinates a point has: DWPose's left and right hand, then
MediaPipe's."""

MAP_SHAPE = (24, 24)
"""Rows and columns of the depth and the segmentation map; the paper says only that they are 576 numbers."""

SMPLX_POSES = MappingProxyType(
    {
        "global_orient": 1,
        "body_pose": 21,
        "jaw_pose": 1,
        "leye_pose": 1,
        "reye_pose": 1,
        "left_hand_pose": 15,
        "right_hand_pose": 15,
    }
)
"""The joints of SMPL-X in its own order, three axis-angle numbers each."""


def track_size(track: str) -> int:
    """How many numbers a frame has of `track`."""
    return TRACKS[track].stop - TRACKS[track].start


def join_tracks(tracks: Mapping[str, Float32[np.ndarray, "frames features"]]) -> Float32[np.ndarray, "frames 1959"]:
    """Puts any subset of the five tracks in their places; the others become NaN.

    Args:
        tracks: Each with as many frames; a frame that a track lacks is NaN throughout.

    Raises:
        ValueError: A track is unknown, has the wrong shape, differs in length, or is NaN in part of a frame.
    """
    if not tracks:
        raise ValueError("`tracks` must hold at least one track, got none.")
    frames = len(next(iter(tracks.values())))
    if frames == 0:
        raise ValueError("`tracks` must hold at least one frame, got 0.")
    features = np.full((frames, NUM_FEATURES), np.nan, np.float32)
    for name, values in tracks.items():
        if name not in TRACKS:
            raise ValueError(f"`tracks` must be among {', '.join(TRACKS)}, got {name!r}.")
        if values.shape != (frames, track_size(name)):
            raise ValueError(f"`{name}` must be [{frames}, {track_size(name)}], got {list(values.shape)}.")
        finite = np.isfinite(values)
        broken = ~finite.all(axis=1) & ~np.isnan(values).all(axis=1)
        if broken.any():
            raise ValueError(f"`{name}` must be finite or all NaN in every frame, got both in frame {broken.argmax()}.")
        features[:, TRACKS[name]] = values
    return features


def split_tracks(features: Float32[np.ndarray, "frames 1959"]) -> dict[str, Float32[np.ndarray, "frames features"]]:
    """Takes the vector apart again, into the tracks that are there in at least one frame."""
    return {name: features[:, where] for name, where in TRACKS.items() if not np.isnan(features[:, where]).all()}


def collate_tracks(
    clips: Sequence[Float32[np.ndarray, "frames 1959"]],
) -> tuple[Float32[np.ndarray, "batch frames 1959"], Int[np.ndarray, "batch frames"]]:
    """Pads clips to the longest of them, with NaN; the mask is 1 for frames of the clip."""
    frames = max(len(clip) for clip in clips)
    features = np.full((len(clips), frames, NUM_FEATURES), np.nan, np.float32)
    attention_mask = np.zeros((len(clips), frames), np.int64)
    for row, clip in enumerate(clips):
        features[row, : len(clip)] = clip
        attention_mask[row, : len(clip)] = 1
    return features, attention_mask


def track_statistics(
    clips: Iterable[Float32[np.ndarray, "frames 1959"]],
) -> tuple[Float32[np.ndarray, " 1959"], Float32[np.ndarray, " 1959"]]:
    """Mean and standard deviation of each number over the frames that have it, for the network to standardise with.

    Numbers that are never there, or never change, get a deviation of 1, the former a mean of 0.
    """
    count, total, squares = np.zeros((3, NUM_FEATURES))
    for clip in clips:
        there = ~np.isnan(clip)
        values = np.where(there, clip, 0).astype(np.float64)
        count, total, squares = count + there.sum(axis=0), total + values.sum(axis=0), squares + (values**2).sum(axis=0)
    mean = total / np.maximum(count, 1)
    variance = squares / np.maximum(count, 1) - mean**2
    return mean.astype(np.float32), np.where(variance > 1e-8, np.sqrt(np.maximum(variance, 0)), 1).astype(np.float32)


def mediapipe_track(
    pose: Float32[np.ndarray, "frames 33 4"],
    left_hand: Float32[np.ndarray, "frames 21 3"],
    right_hand: Float32[np.ndarray, "frames 21 3"],
) -> Float32[np.ndarray, "frames 258"]:
    """The MediaPipe Holistic track: 33 body points, then the signer's left and right hand.

    MediaPipe does not say how sure it is of a hand. One that it did not find is zeros, which no found one can be; a
    frame without a body is missing.

    Args:
        pose: x, y, z and visibility; NaN where nobody was found.
        left_hand: x, y and z; NaN where it was not found.
        right_hand: The same.

    Raises:
        ValueError: A part has the wrong shape.
    """
    for name, part, shape in (
        ("pose", pose, (33, 4)),
        ("left_hand", left_hand, (21, 3)),
        ("right_hand", right_hand, (21, 3)),
    ):
        if part.shape != (len(pose), *shape):
            raise ValueError(f"`{name}` must be {[len(pose), *shape]}, got {list(part.shape)}.")
    hands = [
        np.where(np.isnan(hand).any(axis=(1, 2), keepdims=True), np.float32(0), hand)
        for hand in (left_hand, right_hand)
    ]
    track = np.concatenate([part.reshape(len(pose), -1) for part in (pose, *hands)], axis=1, dtype=np.float32)
    return np.where(np.isnan(pose).any(axis=(1, 2), keepdims=True).reshape(-1, 1), np.float32(np.nan), track)


def pool_map(values: Float[np.ndarray, "*frames height width"], shape: tuple[int, int]) -> Float[np.ndarray, "..."]:
    """Means over a grid of `shape` cells that tile the map.

    Raises:
        ValueError: The map has fewer rows or columns than `shape`.
    """
    height, width = values.shape[-2:]
    if height < shape[0] or width < shape[1]:
        raise ValueError(f"`values` must have at least {shape[0]} x {shape[1]} pixels, got {height} x {width}.")
    rows, columns = np.arange(shape[0]) * height // shape[0], np.arange(shape[1]) * width // shape[1]
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=-2), columns, axis=-1)
    return sums / np.outer(np.diff(rows, append=height), np.diff(columns, append=width))


def depth_track(maps: Float[np.ndarray, "frames rows columns"]) -> Float32[np.ndarray, "frames 576"]:
    """The depth track from pooled inverse depth: 0 is the farthest place of the clip, 1 the nearest.

    Raises:
        ValueError: The maps do not hold 576 numbers a frame, are not finite, or are flat.
    """
    flat = _flat_maps(maps, "primedepth_depth")
    low, high = flat.min(), flat.max()
    if not (np.isfinite(flat).all() and high > low):
        raise ValueError(f"`maps` must be finite and vary within the clip, got {low:g} to {high:g}.")
    return ((flat - low) / (high - low)).astype(np.float32)


def pool_labels(labels: Int[np.ndarray, "height width"], num_classes: int, shape: tuple[int, int]) -> np.ndarray:
    """The commonest class of each cell of a grid, the lower one where two are as common."""
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"`labels` must be in [0, {num_classes}), got {labels.min()} to {labels.max()}.")
    return pool_map(np.eye(num_classes)[labels].transpose(2, 0, 1), shape).argmax(axis=0)


def segmentation_track(
    maps: Int[np.ndarray, "frames rows columns"], num_classes: int
) -> Float32[np.ndarray, "frames 576"]:
    """The segmentation track from pooled class numbers, which are divided by how many classes there are.

    Raises:
        ValueError: The maps do not hold 576 numbers a frame, or a number is no class.
    """
    flat = _flat_maps(maps, "sapiens_segmentation")
    if flat.min() < 0 or flat.max() >= num_classes:
        raise ValueError(f"`maps` must be in [0, {num_classes}), got {flat.min()} to {flat.max()}.")
    return (flat / num_classes).astype(np.float32)


def _flat_maps(maps: np.ndarray, track: str) -> np.ndarray:
    if maps.ndim != 3 or len(maps) == 0 or maps[0].size != track_size(track):
        raise ValueError(
            f"`maps` must be [frames, rows, columns] of {track_size(track)} cells, got {list(maps.shape)}."
        )
    return maps.reshape(len(maps), -1)


def smplerx_track(poses: Mapping[str, Float[np.ndarray, "frames joints 3"]]) -> Float32[np.ndarray, "frames 165"]:
    """The SMPLer-X track: 55 joints of SMPL-X, axis-angle; NaN frames stay NaN.

    Args:
        poses: One entry for each of `SMPLX_POSES`.

    Raises:
        ValueError: A joint group is missing or has another shape.
    """
    for name, joints in SMPLX_POSES.items():
        if name not in poses:
            raise ValueError(f"`poses` must hold {name}, got {', '.join(poses) or 'nothing'}.")
        if poses[name].ndim != 3 or poses[name].shape[1:] != (joints, 3):
            raise ValueError(f"`{name}` must be [frames, {joints}, 3], got {list(poses[name].shape)}.")
    return np.concatenate([poses[name].reshape(len(poses[name]), -1) for name in SMPLX_POSES], axis=1, dtype=np.float32)


def read_smplerx(
    folder: str | Path, *, num_frames: int, first_frame: int = 1, person: int = 0
) -> Float32[np.ndarray, "frames 165"]:
    """Reads what SMPLer-X wrote: one `smplx/FRAME_PERSON.npz` a frame, none where it found nobody.

    Keys and numbering are those of main/inference.py in https://github.com/caizhongang/SMPLer-X@07f7a37. Its weights
    (S-Lab License 1.0) and the SMPL-X model that they need allow no commercial use; nothing is fetched.

    Args:
        folder: SMPLer-X's output folder, or the `smplx` folder in it.
        num_frames: Frames of the clip.
        first_frame: The number of its first frame.
        person: Which of the people in a frame; the first is the largest.

    Raises:
        ValueError: There is no result for that person in the clip, or one outside it.
        PoseFileError: A file is damaged or holds something else.
    """
    folder = Path(folder) / "smplx" if (Path(folder) / "smplx").is_dir() else Path(folder)
    track = np.full((num_frames, track_size("smplerx")), np.nan, np.float32)
    files = sorted(folder.glob(f"*_{person}.npz"))
    if not files:
        raise ValueError(
            f"`folder` must hold SMPLer-X results such as 00001_{person}.npz, got none in {str(folder)!r}."
        )
    for file in files:
        number = file.stem.removesuffix(f"_{person}")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise PoseFileError(f"{file}: must be named by frame and person, such as 00001_{person}.npz.")
        frame = int(number) - first_frame
        if not 0 <= frame < num_frames:
            raise ValueError(
                f"{file}: must be of frames {first_frame} to {first_frame + num_frames - 1}, found {number}."
            )
        track[frame] = _read_smplx_poses(file)
    return track


def _read_smplx_poses(file: Path) -> Float32[np.ndarray, " 165"]:
    values = []
    with open_npz(file, file) as archive:
        for name, joints in SMPLX_POSES.items():
            array = read_array(archive, f"{name}.npy", file)
            if array.shape != (joints, 3) or array.dtype.kind != "f":
                raise PoseFileError(
                    f"{file}: {name} must be floats [{joints}, 3], found {array.dtype} {list(array.shape)}."
                )
            if not (np.abs(array) < 100).all():
                raise PoseFileError(f"{file}: {name} must hold angles in radians, found {np.abs(array).max():g}.")
            values.append(array.ravel())
    return np.concatenate(values).astype(np.float32)
