"""Clips of poses with what is signed in them: folders of pose files with a table of glosses, single files, stores."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pipelines.pairs import POSE_SUFFIXES
from poses.captions import tidied
from poses.corpus.store import INDEX_FILE, ClipStore, StoredClip
from poses.files import check_utf8, plain_name
from poses.io import load_poses
from poses.sequence import GlossSpan, PoseSequence
from poses.tables import read_table

COLUMNS = ("poses", "glosses", "caption", "language", "signer")
"""Of a table; only the first is needed."""


@dataclass(frozen=True)
class SourceClip:
    """A clip that is not opened yet.

    Attributes:
        name: Unique in its corpus; letters, digits, _ and -.
        path: A pose file, or a store.
        video_id: Of the clip in a store; empty for a pose file.
        glosses: What the table says is signed; empty where it says nothing.
        caption: What the table says it means.
        language: ISO 639-3, as the table says.
        signer: Who signs, as the table says.
    """

    name: str
    path: Path
    video_id: str = ""
    glosses: tuple[str, ...] = ()
    caption: str = ""
    language: str = ""
    signer: str = ""

    def load(self) -> PoseSequence:
        """Reads the poses. A single gloss of the table lasts the whole clip where the file itself has none.

        Raises:
            PoseFileError: The file is missing or damaged.
        """
        poses = self._stored().poses() if self.video_id else load_poses(self.path)
        if len(self.glosses) == 1 and not poses.glosses:
            poses = replace(poses, glosses=(GlossSpan(self.glosses[0], 0, len(poses)),))
        return replace(poses, language=self.language or poses.language, source=self.video_id or self.path.name)

    def fps(self) -> float:
        """Frames per second.

        Raises:
            PoseFileError: The file is missing or damaged.
        """
        return self._stored().fps if self.video_id else load_poses(self.path).fps

    def captions(self, duration_s: float) -> list[dict[str, str | float]]:
        """Language, provenance, start_s, end_s and text of each caption; the table's lasts the whole clip."""
        held: list[dict[str, str | float]] = []
        if self.caption:
            held.append(_caption_row("", "table", 0.0, duration_s, self.caption))
        if self.video_id:
            held += [
                _caption_row(track.language, track.provenance, caption.start_s, caption.end_s, caption.text)
                for track in map(tidied, self._stored().captions)
                for caption in track.captions
            ]
        return held

    def digest(self) -> str:
        """Of all that decides what is made of the clip."""
        content = _index_digest(self.path) if self.video_id else self.path.read_bytes()
        words = repr((self.name, self.video_id, self.glosses, self.caption, self.language))
        return hashlib.sha256(words.encode() + content).hexdigest()

    def _stored(self) -> StoredClip:
        return _open_store(self.path)[self.video_id]


def read_corpus(sources: Sequence[Path]) -> tuple[SourceClip, ...]:
    """Finds the clips of pose files, folders of them, and stores.

    A folder may hold one .csv with the column `poses`, the files' names, and any of `glosses` (parted by spaces),
    `caption`, `language` and `signer`; files that it leaves out are clips without words.

    Raises:
        ValueError: A source is missing, holds no clips, its table is wrong, or two clips have one name.
    """
    clips: dict[str, SourceClip] = {}
    for source in sources:
        found = list(_read_source(source))
        if not found:
            raise ValueError(f"{source}: must hold pose files ({', '.join(POSE_SUFFIXES)}), found none.")
        for clip in found:
            if clip.name in clips:
                raise ValueError(f"{source}: every clip must have a name of its own, found {clip.name!r} twice.")
            clips[clip.name] = clip
    return tuple(clips[name] for name in sorted(clips))


def _read_source(source: Path) -> Iterable[SourceClip]:
    if not source.exists():
        raise ValueError(f"{source}: must be a pose file, a folder of them or a store, found nothing.")
    if not source.is_dir():
        return [SourceClip(plain_name(source.stem), source)]
    if (source / INDEX_FILE).is_file():
        return [SourceClip(plain_name(video_id), source, video_id) for video_id in _open_store(source).ids]
    tables = sorted(source.glob("*.csv"))
    if len(tables) > 1:
        raise ValueError(f"{source}: must hold one table of glosses at most, found {len(tables)} .csv files.")
    words = _read_table(tables[0]) if tables else {}
    files = sorted(path for path in source.iterdir() if path.suffix in POSE_SUFFIXES)
    check_utf8(*files)
    if unknown := words.keys() - {path.name for path in files}:
        raise ValueError(f"{tables[0]}: must name pose files beside it, found {min(unknown)!r}, which is not there.")
    return [
        SourceClip(
            plain_name(path.stem),
            path,
            glosses=tuple(row.get("glosses", "").split()),
            caption=row.get("caption", ""),
            language=row.get("language", ""),
            signer=row.get("signer", ""),
        )
        for path in files
        for row in [words.get(path.name, {})]
    ]


def _read_table(path: Path) -> dict[str, Mapping[str, str]]:
    header, rows = read_table(path)
    if "poses" not in header or not set(header) <= set(COLUMNS):
        raise ValueError(
            f"{path}: expected the column poses and any of {', '.join(COLUMNS[1:])}, found {list(header)}."
        )
    words: dict[str, Mapping[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        held = {column: value.strip() for column, value in row.items() if isinstance(value, str)}
        name = held.get("poses", "")
        if not name or name in words or None in row:
            raise ValueError(f"{path}: line {number} must name a pose file that no other line names.")
        words[name] = held
    return words


@lru_cache(maxsize=8)
def _open_store(folder: Path) -> ClipStore:
    return ClipStore(folder)


@lru_cache(maxsize=8)
def _index_digest(folder: Path) -> bytes:
    """Of what a store's index says of all its clips."""
    return hashlib.sha256((folder / INDEX_FILE).read_bytes()).digest()


def _caption_row(language: str, provenance: str, start_s: float, end_s: float, text: str) -> dict[str, str | float]:
    return {"language": language, "provenance": provenance, "start_s": start_s, "end_s": end_s, "text": text}
