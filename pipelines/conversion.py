"""Converts shards of SignVerse-2M into a store, as a bulk job: an item a shard."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.bulk import BulkResult, Part, Rejected, Tell, part_anew, run_bulk
from poses.corpus.convert import VERSION as STORE_VERSION
from poses.corpus.convert import find_repeats, rewrite_part, write_index, write_part
from poses.corpus.shards import CorpusClip, Reject, SubtitleArchive, find_subtitles, read_shard, with_subtitles
from poses.corpus.splits import read_index
from poses.files import new_file
from poses.formats.signverse_repairs import VERSIONS, Repairs
from poses.sequence import PoseFileError

CARD = """---
license: cc-by-nc-4.0
task_categories:
- other
tags:
- sign-language
- pose
configs:
- config_name: default
  data_files: parts/*/clips.arrow
---

# Poses of SignVerse-2M, as columns

{num_clips} videos, converted by `signloop corpus convert` from the shards of
[SignVerse-2M](https://huggingface.co/datasets/SignerX/SignVerse-2M) (CC BY-NC 4.0; the videos it was made from are
under their own terms). `datasets.load_dataset` loads this folder, `poses.corpus.store.ClipStore` maps it.

What was rejected, and why, is in `rejects.jsonl`. Poses show people: signers can be recognised by how they move.
"""


def convert_shards(
    sources: Sequence[str],
    output: Path,
    *,
    index: Path | None = None,
    wanted: Collection[str] | None = None,
    repairs: Repairs | None = None,
    subtitles: str | None = None,
    workers: int = 1,
    show: bool = False,
) -> BulkResult:
    """Converts shards into a store, or adds them to one.

    Args:
        sources: Tar files, folders of them, or addresses that fsspec opens.
        output: The store's folder.
        index: `SignVerse-2M-metadata_split.csv`, which knows each video's sign language.
        wanted: Only these videos; all when None.
        repairs: Which defects to repair; all when None.
        subtitles: `signverse_subtitles_with_english.tar`, a path or an address, whose captions come first.
        workers: Processes.
        show: Whether to show a progress bar on standard error.

    Raises:
        ValueError: Nothing is there to convert, or `output` belongs to something else.
    """
    items = _items(sources)
    known = {video_id: video.language for video_id, video in read_index(index).items()} if index else {}
    repairs = repairs or Repairs()
    archive = find_subtitles(subtitles) if subtitles else None
    if archive and not archive.offsets:
        raise ValueError(f"{subtitles}: expected a tar of subtitles, found none in it.")
    settings = {
        "store": STORE_VERSION,
        "repairs": asdict(repairs),
        "repair_versions": VERSIONS,
        "subtitles": _digest(json.dumps(archive.offsets, sort_keys=True).encode()) if archive else "none",
        "index": _digest(index.read_bytes()) if index else "none",
        "videos": "all" if wanted is None else f"{len(wanted)} ({_digest(chr(10).join(sorted(wanted)).encode())})",
    }
    return run_bulk(
        partial(convert_shard, languages=known, only=wanted, repairs=repairs, subtitles=archive),
        items,
        output,
        settings=settings,
        workers=workers,
        sizes={name: shard.num_bytes for name, shard in items.items()},
        unit="B",
        show=show,
        finish=partial(_finish, output, known),
        refusal=PoseFileError,
    )


@dataclass(frozen=True)
class Shard:
    """A tar archive: its path or address, and its bytes, 1 where nobody says."""

    source: str
    num_bytes: int


def convert_shard(
    shard: Shard,
    folder: Path,
    *,
    seed: int,
    tell: Tell,
    languages: Mapping[str, str],
    only: Collection[str] | None,
    repairs: Repairs,
    subtitles: SubtitleArchive | None = None,
) -> Part:
    """Converts one shard into a part of a store; nothing in it is random.

    Raises:
        PoseFileError: The shard cannot be opened, or reading it stopped.
    """
    num_in, at = 0, 0

    def counted() -> Iterator[CorpusClip | Reject]:
        nonlocal num_in, at
        for entry in read_shard(shard.source, only=only, repairs=repairs):
            tell(entry.offset - at)
            num_in, at = num_in + 1, entry.offset
            yield with_subtitles(entry, subtitles) if subtitles and isinstance(entry, CorpusClip) else entry

    num_out, rejects = write_part(counted(), folder, languages)
    tell(shard.num_bytes - at)
    listed = (Rejected(reject.video_id, reject.reason, languages.get(reject.video_id, "")) for reject in rejects)
    return Part(num_in, num_out, tuple(listed))


def _items(sources: Sequence[str]) -> dict[str, Shard]:
    items: dict[str, Shard] = {}
    for given in sources:
        found = sorted(str(path) for path in Path(given).glob("*.tar")) if os.path.isdir(given) else [given]
        if not found:
            raise ValueError(f"{given}: must hold tar files, found none.")
        for source in found:
            name = Path(source).stem
            if name in items:
                raise ValueError(f"`shards` must have different names, got {items[name].source} and {source}.")
            items[name] = Shard(source, _num_bytes(source))
    return items


def _num_bytes(source: str) -> int:
    if "://" not in source:
        return os.path.getsize(source)
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(source)
        return files.size(path) or 1
    except (OSError, ImportError, ValueError):
        return 1  # what is wrong will be told when it is opened


def _finish(output: Path, languages: Mapping[str, str], result: BulkResult) -> BulkResult:
    """Writes the index and the card. A video that comes again in another shard is taken out there, as a reject."""
    parts = dict(result.parts)
    for name, again in find_repeats(output / "parts" / name for name in parts).items():
        part = parts[name]
        reason = "the video comes again, and only the first one counts."
        rejects = [Rejected(each, f"{name}: {each}: {reason}", languages.get(each, "")) for each in again]
        parts[name] = replace(part, num_out=part.num_out - len(again), rejects=(*part.rejects, *rejects))
        with part_anew(output, name, parts[name]) as folder:
            rewrite_part(output / "parts" / name, folder, again)
    write_index(output, parts)
    with new_file(output / "README.md", overwrite=True) as aside:
        aside.write_text(CARD.format(num_clips=sum(part.num_out for part in parts.values())), encoding="utf-8")
    return replace(result, parts=parts)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
