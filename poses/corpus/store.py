"""A corpus as columns: converted once, then any clip is there at once.

A store is a folder. `parts/NAME/clips.arrow` holds the clips of one shard as an Arrow IPC stream, a clip a row and a
row a record batch; `index.parquet` says where each clip begins, and what one wants to know before opening it. Arrow
lies in memory as it lies on disk, so a clip is mapped and never parsed, which Parquet's pages do not allow. Hugging
Face `datasets` maps the same files (`Dataset.from_file`) or loads the whole folder (`load_dataset`).

Points and confidences are float16: on a frame 1,920 pixels wide, a point in it is off by at most half a pixel.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float16, Float32

from poses.captions import Caption, CaptionTrack, Provenance
from poses.keypoints import NUM_KEYPOINTS
from poses.people import People, Repair
from poses.sequence import GlossSpan, PoseFileError, PoseSequence
from poses.tracking import MainSigner, Track

INDEX_FILE = "index.parquet"
CLIPS_FILE = "clips.arrow"

_POINTS = pa.list_(pa.list_(pa.list_(pa.float16(), 2), NUM_KEYPOINTS))
_CONFIDENCE = pa.list_(pa.list_(pa.float16(), NUM_KEYPOINTS))
_NUMBERS = pa.list_(pa.int32())
_FLAGS = pa.list_(pa.bool_())
CAPTION = {
    "language": pa.string(),
    "provenance": pa.string(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "text": pa.string(),
}
_GLOSS = {"gloss": pa.string(), "start": pa.int32(), "stop": pa.int32()}
_REPAIR = {"name": pa.string(), "version": pa.int32(), "frames": pa.int64(), "people": pa.int64(), "points": pa.int64()}

SCHEMA = pa.schema(
    {
        "video_id": pa.string(),
        "language": pa.string(),  # code of the sign language, empty where unknown
        "shard": pa.string(),
        "fps": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        # The main signer, frame by frame, as `poses.tracking.MainSigner` says.
        "keypoints": _POINTS,
        "confidence": _CONFIDENCE,
        "slots": _NUMBERS,
        "tracks": _NUMBERS,
        "empty": _FLAGS,
        "handless": _FLAGS,
        "accompanied": _FLAGS,
        # Everybody else, by frame and slot.
        "other_frames": _NUMBERS,
        "other_slots": _NUMBERS,
        "other_tracks": _NUMBERS,
        "other_keypoints": _POINTS,
        "other_confidence": _CONFIDENCE,
        "captions": pa.list_(pa.struct(CAPTION)),  # as they are; `poses.captions.tidied` takes repeats out
        "glosses": pa.list_(pa.struct(_GLOSS)),
        "repairs": pa.list_(pa.struct(_REPAIR)),
        "complete": pa.bool_(),
        "problems": pa.list_(pa.string()),
    }
)
"""A clip's row. Empty, handless and accompanied frames are those to leave out in training."""

INDEX_SCHEMA = pa.schema(
    {
        "video_id": pa.string(),
        "language": pa.string(),
        "part": pa.string(),
        "offset": pa.int64(),  # of the record batch in the part's file
        "num_frames": pa.int32(),
        "num_usable": pa.int32(),  # frames in which one signer, with hands, signs alone
        "fps": pa.float64(),
        "most_people": pa.int32(),  # in one frame
        "repairs": pa.list_(pa.string()),
        "captions": pa.list_(pa.string()),  # each track's language and provenance, such as `en human`
        "bone_ratios": pa.list_(pa.float64()),  # as `poses.corpus.splits` measures them
        "complete": pa.bool_(),
    }
)
"""A clip's row in the index, with what is wanted of all clips at once."""


class StoredClip:
    """A clip of a store. Its points lie on disk until they are asked for, and are read-only views then."""

    def __init__(self, row: pa.RecordBatch, path: Path):
        self._row = row
        self._path = path

    @property
    def video_id(self) -> str:
        return self._value("video_id")

    @property
    def language(self) -> str:
        return self._value("language")

    @property
    def fps(self) -> float:
        return self._value("fps")

    @property
    def complete(self) -> bool:
        """Whether its folder held the mark that its makers left when they were done."""
        return self._value("complete")

    @property
    def problems(self) -> tuple[str, ...]:
        """What is amiss though the poses are whole."""
        with self._true():
            return tuple(self._value("problems"))

    @property
    def keypoints(self) -> Float16[np.ndarray, "frames 128 2"]:
        """The main signer: x / frame width and y / frame height, (0, 0) where not seen."""
        return self._halves("keypoints").reshape(-1, NUM_KEYPOINTS, 2)

    @property
    def confidence(self) -> Float16[np.ndarray, "frames 128"]:
        """The main signer's, 0 (not seen) to 1."""
        return self._halves("confidence").reshape(-1, NUM_KEYPOINTS)

    @property
    def captions(self) -> tuple[CaptionTrack, ...]:
        """As they are; `poses.captions.tidied` takes repeats out.

        Raises:
            PoseFileError: They cannot be true, so the file is damaged.
        """
        tracks: dict[tuple[str, Provenance], list[Caption]] = {}
        with self._true():
            for row in self._value("captions"):
                caption = Caption(row["start_s"], row["end_s"], row["text"])
                tracks.setdefault((row["language"], row["provenance"]), []).append(caption)
            return tuple(CaptionTrack(*key, tuple(captions)) for key, captions in tracks.items())

    @property
    def repaired(self) -> tuple[Repair, ...]:
        return tuple(Repair(**row) for row in self._value("repairs"))

    def poses(self, start: int = 0, stop: int | None = None) -> PoseSequence:
        """The main signer's poses, or those of some frames; glosses that lie wholly inside come along.

        Raises:
            ValueError: There is no such frame.
            PoseFileError: The clip cannot be true, so the file is damaged.
        """
        keypoints, confidence = self.keypoints, self.confidence
        first, last = start, stop
        start, stop, _ = slice(start, stop).indices(len(keypoints))
        if start >= stop:
            raise ValueError(f"`start` and `stop` must leave a frame of {len(keypoints)}, got {first} and {last}.")
        glosses = tuple(
            GlossSpan(row["gloss"], row["start"] - start, row["stop"] - start)
            for row in self._value("glosses")
            if start <= row["start"] and row["stop"] <= stop
        )
        with self._true():
            return PoseSequence(
                singles(keypoints[start:stop]),
                singles(confidence[start:stop]),
                self.fps,
                self._value("width"),
                self._value("height"),
                f"{self._value('shard')}: {self.video_id}",
                self.language,
                glosses,
            )

    def signer(self) -> MainSigner:
        """Which person is read in each frame, and which frames are better left out."""
        slots, tracks, *flags = (self._array(name) for name in ("slots", "tracks", "empty", "handless", "accompanied"))
        return MainSigner(slots, tracks, *flags)

    def people(self) -> People:
        """Everybody, in the detector's order.

        Raises:
            PoseFileError: The clip cannot be true, so the file is damaged.
        """
        with self._true():
            return self._people()

    def _people(self) -> People:
        signer = self.signer()
        frames, slots = self._array("other_frames"), self._array("other_slots")
        seen = np.flatnonzero(signer.slots >= 0)
        num_frames = len(signer.slots)
        num_people = np.bincount(frames, minlength=num_frames) + (signer.slots >= 0)
        shape = (num_frames, max(int(num_people.max()), 1), NUM_KEYPOINTS)
        keypoints, confidence = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
        keypoints[seen, signer.slots[seen]] = self.keypoints[seen]
        confidence[seen, signer.slots[seen]] = self.confidence[seen]
        keypoints[frames, slots] = self._halves("other_keypoints").reshape(-1, NUM_KEYPOINTS, 2)
        confidence[frames, slots] = self._halves("other_confidence").reshape(-1, NUM_KEYPOINTS)
        glosses = tuple(GlossSpan(**row) for row in self._value("glosses"))
        size = self._value("width"), self._value("height")
        return People(
            keypoints, confidence, num_people.astype(np.int32), self.fps, *size, self.language, glosses, self.repaired
        )

    def tracks(self) -> tuple[Track, ...]:
        """Everybody who was followed, as `poses.tracking.track_people` found them."""
        signer = self.signer()
        frames = np.concatenate([np.arange(len(signer.slots)), self._array("other_frames")])
        slots = np.concatenate([signer.slots, self._array("other_slots")])
        owners = np.concatenate([signer.tracks, self._array("other_tracks")])
        found = []
        for owner in range(int(owners.max()) + 1):
            at = np.flatnonzero(owners == owner)
            at = at[np.argsort(frames[at])]
            found.append(Track(frames[at], slots[at]))
        return tuple(found)

    @contextmanager
    def _true(self) -> Generator[None]:
        try:
            yield
        except PoseFileError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            raise PoseFileError(f"{self._path}: {self.video_id}: {error}") from None

    def _value(self, name: str):
        return self._row.column(name)[0].as_py()

    def _halves(self, name: str) -> np.ndarray:
        values = self._row.column(name)
        while not pa.types.is_float16(values.type):
            values = values.values
        return values.to_numpy(zero_copy_only=True)

    def _array(self, name: str) -> np.ndarray:
        return self._row.column(name).values.to_numpy(zero_copy_only=False)


def singles(halves: Float16[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Finite float16 numbers as float32, exactly, in half of the time that `astype` takes.

    The bits of exponent and mantissa move to their places, then the difference of the exponents' biases is made up for.
    """
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)  # the sign was extended over three bits below it
    numbers = bits.view(np.float32)
    numbers *= np.float32(2.0**112)
    return numbers


class ClipStore(Sequence[StoredClip]):
    """The clips of a store, by number or by the video's id. It can be handed to other processes.

    Attributes:
        folder: Where it lies.
        table: What `INDEX_SCHEMA` says of each clip, in order.
        ids: Videos, in order.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        """Opens a store.

        Raises:
            PoseFileError: It is none, or its conversion has not finished.
        """
        self.folder = Path(folder)
        path = self.folder / INDEX_FILE
        try:
            self.table = pq.read_table(path)
        except FileNotFoundError:
            raise PoseFileError(
                f"{folder}: must be a store that `signloop corpus convert` finished, found no {INDEX_FILE}."
            ) from None
        except (pa.ArrowInvalid, OSError):
            raise PoseFileError(f"{path}: must be a Parquet file, but it is damaged.") from None
        if self.table.schema != INDEX_SCHEMA:
            raise PoseFileError(f"{path}: must hold the columns of this version's index; convert the shards again.")
        self.ids: list[str] = self.table.column("video_id").to_pylist()
        self._parts = self.table.column("part").to_pylist()
        self._offsets = self.table.column("offset").to_pylist()
        if None in self.ids or None in self._offsets:
            raise PoseFileError(f"{path}: must say of every clip which it is and where, but leaves it out.")
        if wrong := [part for part in set(self._parts) if part in (None, "", ".", "..") or {*"/\\\0"} & {*part}]:
            raise PoseFileError(f"{path}: must name parts of this store, found {wrong[0]!r}.")
        self._mapped: dict[str, pa.Buffer] = {}

    def __reduce__(self):
        return ClipStore, (self.folder,)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, clip: int | str) -> StoredClip:  # pyrefly: ignore[bad-override] - slices are not needed
        """Opens one clip.

        Raises:
            ValueError: No video has that id.
            IndexError: There are fewer clips.
            PoseFileError: Its file is missing or damaged.
        """
        if isinstance(clip, str):
            if clip not in self._numbers:
                raise ValueError(f"{self.folder}: must hold the video, but has no {clip!r}.")
            clip = self._numbers[clip]
        part = self._parts[clip]
        path = self.folder / "parts" / part / CLIPS_FILE
        try:
            if part not in self._mapped:
                self._mapped[part] = pa.memory_map(str(path)).read_buffer()
            message = pa.ipc.read_message(self._mapped[part].slice(self._offsets[clip]))
            row = pa.ipc.read_record_batch(message, SCHEMA)
            row.validate(full=True)
            return StoredClip(row, path)
        except (pa.ArrowException, OSError, EOFError, IndexError):
            raise PoseFileError(f"{path}: must hold {self.ids[clip]}, but is damaged or missing.") from None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {video_id: number for number, video_id in enumerate(self.ids)}
