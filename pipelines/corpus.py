"""The commands `signloop corpus ...`: which shards to fetch, the store made of them, what is in it, and its splits."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Result = tuple[dict[str, Any], str]


def plan(
    progress: Path, *, index: Path | None = None, languages: list[str] | None = None, ids: list[str] | None = None
) -> Result:
    """Says which shards hold given videos or languages, and how large those shards are.

    Args:
        progress: The corpus's archive_upload_progress.json.
        index: The corpus's SignVerse-2M-metadata_split.csv; languages are looked up in it.
        languages: Codes of sign languages, the index's or the card's, such as bfi lse.
        ids: Videos.
    """
    from poses.corpus.plan import plan_shards, read_upload_progress

    held = read_upload_progress(progress)
    wanted = _wanted(index, languages, ids)
    planned = plan_shards(held, held.shard_of if wanted is None else wanted)
    lines = [
        f"{shard.name}  {_size(shard.num_bytes)}  {len(shard.wanted)} of its {shard.num_videos} videos"
        for shard in planned.shards
    ]
    unknown = sum(shard.num_bytes is None for shard in planned.shards)
    lines += [
        f"{len(planned.shards)} shards, {_size(planned.num_bytes)}"
        + (f" and {unknown} unknown" if unknown else "")
        + "; "
        f"{len(planned.missing)} videos are in no shard."
    ]
    facts = {**asdict(planned), "num_bytes": planned.num_bytes, "num_shards_of_unknown_size": unknown}
    return facts, "\n".join(lines)


def convert(
    shards: list[str],
    output: Path,
    *,
    index: Path | None = None,
    languages: list[str] | None = None,
    ids: list[str] | None = None,
    subtitles: str | None = None,
    without_repairs: list[str] | None = None,
    workers: int = 1,
) -> Result:
    """Converts shards into a store: columns in which any clip is there at once. Stopped, it goes on where it was.

    Args:
        shards: Tar files, folders of them, or addresses that fsspec opens.
        output: The store's folder, a new one, or one to which shards are added.
        index: The corpus's SignVerse-2M-metadata_split.csv, which knows each video's sign language.
        languages: Only videos of these sign languages.
        ids: Only these videos.
        subtitles: The corpus's signverse_subtitles_with_english.tar, which knows what people wrote and what machines.
        without_repairs: Defects to leave as they are: body-codes, hands, frame-indices, phantoms, scores, off-frame.
        workers: Processes.
    """
    from pipelines.conversion import convert_shards

    wanted = _wanted(index, languages, ids)
    repairs = _repairs(without_repairs or [])
    result = convert_shards(
        shards,
        output,
        index=index,
        wanted=wanted,
        repairs=repairs,
        subtitles=subtitles,
        workers=workers,
        show=True,
    )
    facts = {"output": str(output), "num_in": result.num_in, "num_out": result.num_out}
    facts |= {"num_rejects": len(result.rejects), "failed": dict(result.failed)}
    lines = [f"{output}: {result.num_out} clips of {result.num_in}, {len(result.rejects)} rejected."]
    lines += [f"{reason} The same command tries it again." for reason in result.failed.values()]
    return facts, "\n".join(lines)


def stats(store: Path) -> Result:
    """Says what is in a store, by language, and means in which each language counts once.

    Args:
        store: A folder that `signloop corpus convert` wrote.
    """
    from poses.corpus.store import ClipStore
    from poses.languages import NOT_STATED, macro_average, sign_language

    tallies: dict[str, Tally] = defaultdict(Tally)
    for row in ClipStore(store).table.drop_columns(["bone_ratios"]).to_pylist():
        tallies[row["language"] or NOT_STATED].add(row)
    rejects = store / "rejects.jsonl"
    try:
        with rejects.open(encoding="utf-8") as lines:  # not `splitlines`, which splits at what names may hold
            groups = [json.loads(line)["group"] for line in lines]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{rejects}: must be a line of JSON a reject, but it is damaged.") from None
    for group in groups:
        tallies[group or NOT_STATED].num_rejects += 1
    by_language = {code: tallies[code].facts() for code in sorted(tallies, key=lambda code: -tallies[code].num_clips)}
    stated = {code: facts for code, facts in by_language.items() if code != NOT_STATED and facts["clips"]}
    macro = {
        name: macro_average({code: facts[name] for code, facts in stated.items()})
        for name in ("hours", "usable", "seconds_a_clip", "people_a_clip")
        if stated
    }
    lines = [f"{'language':<32}{'clips':>8}{'hours':>9}{'usable':>8}{'people':>8}{'rejects':>9}  repairs"]
    for code, facts in by_language.items():
        repairs = ", ".join(f"{name} {count}" for name, count in facts["repairs"].items())
        lines.append(
            f"{f'{code} {sign_language(code).name}':<32.31}{facts['clips']:>8}{facts['hours']:>9.2f}"
            f"{facts['usable']:>8.0%}{facts['people']:>8}{facts['rejects']:>9}  {repairs}"
        )
    if stated:
        lines.append(
            f"Each of {len(stated)} languages counted once: {macro['hours']:.2f} hours, {macro['usable']:.0%} usable, "
            f"{macro['seconds_a_clip']:.1f} s and {macro['people_a_clip']:.2f} people a clip."
        )
    return {"store": str(store), "languages": by_language, "macro": macro}, "\n".join(lines)


def split(
    index: Path,
    output: Path,
    *,
    channels: Path | None = None,
    store: Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Result:
    """Writes a split: the official one, or one that keeps channels together; warns of signers who may be in two.

    Args:
        index: The corpus's SignVerse-2M-metadata_split.csv.
        output: A file of the same columns.
        channels: A CSV file of video_id,channel. Videos of a channel come into one split.
        store: A converted store, whose bodies are compared between splits. Only its videos are compared.
        seed: Decides between channels of one size.
        overwrite: Replace the file if it is there.
    """
    from poses.corpus.splits import channel_split, read_channels, read_index, write_split

    videos = read_index(index)
    languages = {video_id: video.language for video_id, video in videos.items()}
    if channels:
        splits = channel_split(languages, read_channels(channels), seed=seed)
    else:
        splits = {video_id: video.split for video_id, video in videos.items() if video.split}
        if len(splits) < len(videos):
            raise ValueError(f"{index}: must hold splits where `channels` are not given, found none.")
    leaks = _leaks(store, splits) if store else []
    write_split(output, languages, splits, overwrite=overwrite)
    counts = Counter(splits.values())
    facts: dict[str, Any] = {"output": str(output), "by": "channel" if channels else "official", "videos": dict(counts)}
    lines = [f"{output}: " + ", ".join(f"{counts[name]} {name}" for name in ("train", "val", "test")) + "."]
    if store:
        facts["leaks"] = [asdict(leak) for leak in leaks]
        lines += [
            f"{leak.video_id} ({splits[leak.video_id]}) has the proportions of {leak.train_id} (train), "
            f"{leak.difference:.3f} apart."
            for leak in leaks
        ]
        lines.append(f"{len(leaks)} held-out videos may show a signer of train. Many people have like proportions.")
    return facts, "\n".join(lines)


COMMANDS = {"plan": plan, "convert": convert, "stats": stats, "split": split}


# Videos and figures


def _wanted(index: Path | None, languages: list[str] | None, ids: list[str] | None) -> set[str] | None:
    """Videos that are asked for, None where all are."""
    from poses.corpus.splits import read_index
    from poses.languages import sign_language

    if languages is None and ids is None:
        return None
    if languages and index is None:
        raise ValueError("`index` must be given with `languages`: no other file says who signs what.")
    codes = {sign_language(code).code for code in languages or ()}
    videos = read_index(index) if index and codes else {}
    return {*(ids or ()), *(video_id for video_id, video in videos.items() if video.language in codes)}


def _repairs(left_out: list[str]) -> Any:
    from poses.formats.signverse_repairs import VERSIONS, Repairs

    if unknown := set(left_out) - set(VERSIONS):
        raise ValueError(f"`without_repairs` must be among {', '.join(VERSIONS)}, got {min(unknown)!r}.")
    return Repairs(**{name.replace("-", "_"): False for name in left_out})


@dataclass
class Tally:
    """What a store holds of one language."""

    num_clips: int = 0
    num_frames: int = 0
    num_usable: int = 0
    num_rejects: int = 0
    num_people: int = 0
    seconds: float = 0.0
    repairs: Counter[str] | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a clip by its row in the index."""
        self.num_clips += 1
        self.num_frames += row["num_frames"]
        self.num_usable += row["num_usable"]
        self.num_people += row["most_people"]
        self.seconds += row["num_frames"] / row["fps"]
        self.repairs = (self.repairs or Counter()) + Counter(row["repairs"])

    def facts(self) -> dict[str, Any]:
        """Clips; hours; people, of each clip as many as it shows at once; clips by repair; means over clips."""
        return {
            "clips": self.num_clips,
            "hours": self.seconds / 3600,
            "usable": self.num_usable / max(self.num_frames, 1),
            "people": self.num_people,
            "rejects": self.num_rejects,
            "repairs": dict(sorted((self.repairs or {}).items())),
            "seconds_a_clip": self.seconds / max(self.num_clips, 1),
            "people_a_clip": self.num_people / max(self.num_clips, 1),
        }


def _leaks(store: Path, splits: Mapping[str, Any]) -> list[Any]:
    import numpy as np

    from poses.corpus.splits import leakage_warnings
    from poses.corpus.store import ClipStore

    index = ClipStore(store).table.select(["video_id", "bone_ratios"]).to_pylist()
    bodies = {row["video_id"]: np.array(row["bone_ratios"]) for row in index if row["video_id"] in splits}
    return list(leakage_warnings(bodies, splits))


def _size(num_bytes: int | None) -> str:
    return "size unknown" if num_bytes is None else f"{num_bytes / 1e9:.2f} GB"
