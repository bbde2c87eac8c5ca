"""Reads SignVerse-2M's tar shards one video at a time, from disk or over the network, without unpacking them.

Every folder of a shard and every stretch that is none comes out once: as what was asked for, or as a `Reject` with its
reason. A damaged video never stops the rest.
"""

import os
import re
from collections.abc import Container, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from poses.captions import MAX_CAPTION_BYTES, CaptionTrack, parse_tracks
from poses.corpus.tar_stream import TarMember, iterate_tar
from poses.formats.signverse import repaired_people
from poses.formats.signverse_files import read_clip_files
from poses.formats.signverse_repairs import Repairs
from poses.people import People
from poses.sequence import PoseFileError

MAX_VIDEO_BYTES = 2**29
"""What is kept of one video in memory; two and a half hours of one signer."""

MAX_FILES = 2**18 + 1000
"""Files kept of one video; in one of the two schemes each frame is a file."""

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POSE_FILE = re.compile(r"npz/(?:poses\.npz|\d{8}\.npz|\.complete)")
_CAPTION_FILE = re.compile(r"(?:captions/)?[^/]+\.(?:vtt|captions\.json)")
_STATED_FRAMES = re.compile(rb"^frames=(\d{1,9})\s*$", re.MULTILINE)
_STATED_STRIDE = re.compile(rb"^optimized_frame_stride=(\d{1,4})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Reject:
    """What a shard holds and could not be read.

    Attributes:
        shard: The shard's path or address.
        video_id: Whose it is, empty where it is nobody's.
        offset: The byte of the shard at which it begins.
        reason: One line that names the member.
    """

    shard: str
    video_id: str
    offset: int
    reason: str


@dataclass(frozen=True, eq=False)
class VideoFiles:
    """One video's folder: the files that were asked for, by path inside it."""

    shard: str
    video_id: str
    offset: int
    files: dict[str, bytes]


@dataclass(frozen=True, eq=False)
class CorpusClip:
    """One video of the corpus.

    Attributes:
        shard: The shard's path or address.
        video_id: Its id on YouTube.
        offset: The byte of the shard at which its folder begins.
        people: Everybody in it, repaired; `people.repaired` says how.
        captions: Its captions, as they are.
        complete: Whether the folder holds the mark that its makers left when they were done.
        problems: What is amiss though the poses are whole: captions that cannot be read, frames that are missing.
    """

    shard: str
    video_id: str
    offset: int
    people: People
    captions: tuple[CaptionTrack, ...]
    complete: bool
    problems: tuple[str, ...]


def read_shard(
    source: str | os.PathLike[str],
    *,
    only: Container[str] | None = None,
    skip: Container[str] = (),
    repairs: Repairs | None = None,
) -> Iterator[CorpusClip | Reject]:
    """Reads the videos of a shard in order.

    To go on after a stop, give the ids that are done as `skip`: their bytes are not read again where the source can
    be sought in, as files and HTTP servers can.

    Args:
        source: A path, or an address that fsspec opens, such as `https://...` or `hf://...`.
        only: The ids to read; all when None.
        skip: Ids to leave out.
        repairs: Which defects to repair; all when None.

    Raises:
        PoseFileError: The source cannot be opened, or reading it stopped; what came before is whole.
    """
    for video in read_folders(source, _POSE_FILE, _CAPTION_FILE, only=only, skip=skip):
        if isinstance(video, Reject):
            yield video
            continue
        try:
            yield _clip(video, repairs)
        except PoseFileError as error:
            yield Reject(video.shard, video.video_id, video.offset, str(error))


@dataclass(frozen=True)
class SubtitleArchive:
    """`signverse_subtitles_with_english.tar`, where people and machines are told apart.

    Attributes:
        source: Its path or address.
        offsets: Where each video's folder begins.
    """

    source: str
    offsets: Mapping[str, int]


def find_subtitles(source: str | os.PathLike[str]) -> SubtitleArchive:
    """Goes through the archive of subtitles once.

    Raises:
        PoseFileError: It cannot be opened, or reading it stopped.
    """
    offsets: dict[str, int] = {}
    for video in read_folders(source):
        if video.video_id:
            offsets.setdefault(video.video_id, video.offset)
    return SubtitleArchive(str(source), offsets)


def with_subtitles(clip: CorpusClip, archive: SubtitleArchive) -> CorpusClip:
    """Adds a video's subtitles to its clip. In languages that a person wrote them in, they replace the shard's own.

    What is amiss with them is told as a problem of the clip, with the archive's name alone.

    Raises:
        PoseFileError: The archive cannot be opened, or reading it stopped.
    """
    if clip.video_id not in archive.offsets:
        return clip
    found = read_folders(archive.source, _CAPTION_FILE, only={clip.video_id}, start=archive.offsets[clip.video_id])
    video = next((video for video in found if video.video_id == clip.video_id), None)
    tracks: tuple[CaptionTrack, ...] = ()
    problems = (video.reason if isinstance(video, Reject) else f"{archive.source}: {clip.video_id} is gone",)
    if isinstance(video, VideoFiles):
        tracks, problems = _captions(video)
    written = {track.language for track in tracks if track.provenance == "human"}
    known = {(track.language, track.provenance) for track in tracks}
    own = [track for track in clip.captions if track.language not in written]
    own = [track for track in own if (track.language, track.provenance) not in known]
    named = [problem.replace(archive.source, os.path.basename(archive.source)) for problem in problems]
    return replace(clip, captions=(*tracks, *own), problems=(*clip.problems, *named))


def _clip(video: VideoFiles, repairs: Repairs | None) -> CorpusClip:
    folder = f"{video.shard}: {video.video_id}/npz"
    files = {path.removeprefix("npz/"): data for path, data in video.files.items() if path.startswith("npz/")}
    clip = read_clip_files(files, folder)
    people = repaired_people(clip, folder, repairs=repairs)
    tracks, problems = _captions(video)
    mark = files.get(".complete")
    missing = _missing_frames(mark, sum(run.count for run in clip.runs)) if mark is not None else ""
    return CorpusClip(
        video.shard,
        video.video_id,
        video.offset,
        people,
        tracks,
        complete=mark is not None,
        problems=problems + ((f"{folder}: {missing}",) if missing else ()),
    )


def _captions(video: VideoFiles) -> tuple[tuple[CaptionTrack, ...], tuple[str, ...]]:
    captions = {path.rpartition("/")[2]: data for path, data in video.files.items() if _CAPTION_FILE.fullmatch(path)}
    return parse_tracks(captions, f"{video.shard}: {video.video_id}")


def _missing_frames(mark: bytes, found: int) -> str:
    """Says so where a folder holds fewer frames than its makers marked as done."""
    stated, stride = _STATED_FRAMES.search(mark[:10_000]), _STATED_STRIDE.search(mark[:10_000])
    if stated is None:
        return ""
    expected = -(-int(stated[1]) // max(int(stride[1]), 1)) if stride else int(stated[1])
    return f"holds {found} of the {expected} frames that .complete states" if found < expected else ""


# Folders


def read_folders(
    source: str | os.PathLike[str],
    *wanted: re.Pattern[str],
    only: Container[str] | None = None,
    skip: Container[str] = (),
    start: int = 0,
) -> Iterator[VideoFiles | Reject]:
    """Gathers the members of each video's folder in memory.

    A folder is rejected as a whole when any of its members must not be unpacked, is too large, or is damaged, and
    when the folder comes a second time.

    Args:
        source: A path or an address.
        wanted: Which paths inside a folder to keep.
        only: The ids to read; all when None.
        skip: Ids to leave out.
        start: The byte at which to begin, where a folder does.

    Raises:
        PoseFileError: The source cannot be opened, or reading it stopped.
    """
    shard = str(source)
    seen: set[str] = set()
    folder: _Folder | None = None
    with open_shard(source) as stream:
        if start:
            stream.seek(start, 0)
        for member in iterate_tar(stream):
            owner, _, inside = member.name.partition("/")
            if member.kind == "damage" and folder is not None and folder.is_read:
                folder.fail(member.reason)
            elif member.kind == "damage":
                reason = f"{shard}: {member.reason}; bytes {member.offset} to {member.stop} are lost."
                yield Reject(shard, "", member.offset, reason)
            elif not _VIDEO_ID.fullmatch(owner) or (not inside and member.kind != "folder"):
                yield Reject(shard, "", member.offset, f"{shard}: {_stray(member)}.")
            else:
                if folder is None or folder.video_id != owner:
                    if folder is not None:
                        yield from folder.closed(shard)
                    chosen = (only is None or owner in only) and owner not in skip
                    folder = _Folder(owner, member.offset, chosen)
                    if chosen and owner in seen:
                        folder.fail("the folder comes twice, and only the first one is read")
                    seen.add(owner)
                folder.add(member, inside, wanted)
        if folder is not None:
            yield from folder.closed(shard)


def _stray(member: TarMember) -> str:
    name = member.name[:100].encode("unicode_escape").decode("ascii")
    reason = member.reason or "in no video's folder"
    return f"member '{name}' is {reason}"


@dataclass(eq=False)
class _Folder:
    """A video's folder while its members come in."""

    video_id: str
    offset: int
    is_chosen: bool
    files: dict[str, bytes] = field(default_factory=dict)
    num_bytes: int = 0
    reason: str = ""

    @property
    def is_read(self) -> bool:
        return self.is_chosen and not self.reason

    def fail(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.files.clear()

    def add(self, member: TarMember, inside: str, wanted: tuple[re.Pattern[str], ...]) -> None:
        if not self.is_read or member.kind == "folder":
            return
        if member.kind == "refused":
            self.fail(_stray(member))
            return
        if not any(pattern.fullmatch(inside) for pattern in wanted):
            return
        if inside in self.files:
            self.fail(f"member {member.name!r} comes twice")
            return
        limit = MAX_CAPTION_BYTES if _CAPTION_FILE.fullmatch(inside) else MAX_VIDEO_BYTES
        if member.size > limit or self.num_bytes + member.size > MAX_VIDEO_BYTES or len(self.files) >= MAX_FILES:
            self.fail(
                f"member {member.name!r} of {member.size} bytes is too large: a video may hold {MAX_VIDEO_BYTES} bytes "
                f"in {MAX_FILES} files, captions {MAX_CAPTION_BYTES}"
            )
            return
        data = member.read()
        if data is not None:  # else the archive says next what is damaged
            self.files[inside] = data
            self.num_bytes += member.size

    def closed(self, shard: str) -> Iterator[VideoFiles | Reject]:
        if self.is_chosen and self.reason:
            yield Reject(shard, self.video_id, self.offset, f"{shard}: {self.video_id}: {self.reason}.")
        elif self.is_chosen:
            yield VideoFiles(shard, self.video_id, self.offset, self.files)


@contextmanager
def open_shard(source: str | os.PathLike[str]) -> Generator[BinaryIO]:
    """Opens a shard for reading forward: a path, or an address that fsspec knows.

    Raises:
        PoseFileError: It cannot be opened, or reading it stopped.
    """
    try:
        if "://" in str(source):
            import fsspec

            with fsspec.open(str(source), "rb") as stream:
                yield cast(BinaryIO, _Remote(cast(BinaryIO, stream)))
        else:
            with open(source, "rb") as stream:
                yield stream
    except PoseFileError:
        raise
    except (OSError, ImportError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise PoseFileError(f"{source}: cannot be read ({reason or type(error).__name__}).") from None


class _Remote:
    """A stream from elsewhere. Libraries raise what they like when a connection ends; here it is an `OSError`."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._stream.seek(offset, whence)
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def seekable(self) -> bool:
        return self._stream.seekable()
