"""Says what a file, a folder, a shard or a store of poses holds, and draws a contact sheet of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.contact_sheet import COLUMNS, draw_cell, join_cells
from pipelines.progress import Stages
from poses.captions import CaptionTrack, cut_clips, read_captions, tidied
from poses.corpus.shards import Reject, open_shard, read_shard
from poses.corpus.tar_stream import iterate_tar
from poses.files import new_file
from poses.formats.signverse import read_people
from poses.formats.signverse_repairs import MIN_BODY_JOINTS, MIN_FACE_POINTS, MIN_HAND_POINTS, VISIBLE
from poses.io import load_poses, sniff
from poses.keypoints import PARTS
from poses.people import People, Repair
from poses.sequence import PoseFileError, PoseSequence
from poses.tracking import MAX_PEOPLE, MainSigner, main_signer, main_signer_poses, track_people

MAX_SHEET_CLIPS = 4 * COLUMNS
MAX_LISTED = 20
"""Clips that are described in words; `--json` gives all."""

_UNKNOWN = "sign language not stated"
_SHEET_FRAMES = 2 * COLUMNS
_MIN_POINTS = {
    "body": MIN_BODY_JOINTS,
    "left_hand": MIN_HAND_POINTS,
    "right_hand": MIN_HAND_POINTS,
    "face": MIN_FACE_POINTS,
}


@dataclass(frozen=True, eq=False)
class Clip:
    """What files, shards and stores hold alike."""

    video_id: str
    people: People
    captions: tuple[CaptionTrack, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class CaptionContents:
    """A caption track, and the clips that its segments cut the poses into.

    Attributes:
        language: As the file names it.
        provenance: Who wrote it, as far as can be told.
        captions: How many it has, as they are.
        clips: How many clips they make, repeats and overlaps taken out.
        median_clip_s: The median length of these clips.
    """

    language: str
    provenance: str
    captions: int
    clips: int
    median_clip_s: float | None


@dataclass(frozen=True)
class ClipContents:
    """What a clip holds.

    Attributes:
        name: The video's, or the file's.
        language: Code of the sign language, empty where unknown.
        num_frames: How many.
        fps: Frames per second.
        seconds: Its length.
        width: Frame width in pixels.
        height: Frame height in pixels.
        most_people: In one frame.
        num_tracks: How many people it shows, as far as they could be followed.
        usable: Share of frames in which one signer, with hands, signs alone.
        seen: By part, the share of frames in which the main signer's is seen.
        glosses: How many it states.
        repairs: What had to be repaired.
        captions: Its caption tracks.
        problems: What else is amiss.
    """

    name: str
    language: str
    num_frames: int
    fps: float
    seconds: float
    width: int
    height: int
    most_people: int
    num_tracks: int
    usable: float
    seen: dict[str, float]
    glosses: int
    repairs: tuple[Repair, ...]
    captions: tuple[CaptionContents, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What a file, folder, shard or store holds.

    Attributes:
        path: Which one.
        kind: What it is, in words.
        clips: What could be read, in order.
        rejects: What could not.
    """

    path: str
    kind: str
    clips: tuple[ClipContents, ...]
    rejects: tuple[Reject, ...]

    def facts(self) -> dict[str, Any]:
        """All of it, and sums over the clips."""
        return {
            **asdict(self),
            "num_clips": len(self.clips),
            "num_frames": sum(clip.num_frames for clip in self.clips),
            "seconds": sum(clip.seconds for clip in self.clips),
            "languages": dict(Counter(clip.language for clip in self.clips)),
            "repairs": dict(Counter(repair.label for clip in self.clips for repair in clip.repairs)),
        }


def inspect_poses(
    path: Path, *, sheet: Path | None = None, overwrite: bool = False, stages: Stages | None = None
) -> Contents:
    """Reads everything once.

    Args:
        path: Anything that `load_poses` reads, a shard, or a store.
        sheet: A PNG file for drawn skeletons: of one clip a dozen frames, of several the first `MAX_SHEET_CLIPS` clips.
        overwrite: Whether the sheet may replace a file.
        stages: Times the work as `inspect`; where it is not given, a progress bar is shown for several clips.

    Raises:
        ValueError: `path` is none of these or is damaged, or the sheet cannot be written.
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise ValueError(f"{sheet}: the contact sheet must end in .png.")
    with ExitStack() as stack:
        aside = stack.enter_context(new_file(sheet, overwrite=overwrite)) if sheet is not None else None
        kind, total, clips = _open(path)
        contents: list[ClipContents] = []
        rejects: list[Reject] = []
        cells: list[np.ndarray] = []
        stages = stages or Stages(show=total > 1)
        track = stack.enter_context(stages.stage("inspect", total, unit="clips"))
        for clip in track(clips):
            if isinstance(clip, Reject):
                rejects.append(clip)
                continue
            tracks = track_people(clip.people)
            signer = main_signer(clip.people, tracks)
            contents.append(_contents(clip, len(tracks), float(signer.usable.mean())))
            if aside is not None and len(cells) < MAX_SHEET_CLIPS:
                cells += _cells(clip, signer, _SHEET_FRAMES if total == 1 else 1)
        if aside is not None:
            if not cells:
                why = f": {rejects[0].reason}" if rejects else ""
                raise PoseFileError(f"{path}: holds nobody who could be drawn on a contact sheet{why}.")
            Image.fromarray(join_cells(cells)).save(aside)
    return Contents(str(path), kind, tuple(contents), tuple(rejects))


def summary(contents: Contents) -> str:
    """What a person reads instead of `Contents.facts`: sums, and the first `MAX_LISTED` clips and rejects."""
    facts, clips, rejects = contents.facts(), contents.clips, contents.rejects
    lines = [
        f"{contents.path}: {contents.kind}, {_count(len(clips), 'clip')}, {facts['seconds']:.1f} s"
        + (f", {len(rejects)} rejected." if rejects else ".")
    ]
    if len(clips) > 1:
        lines.append(f"  languages  {_tally({code or _UNKNOWN: count for code, count in facts['languages'].items()})}")
        lines.append(f"  repairs    {_tally(facts['repairs']) or 'none'}")
    lines += [line for clip in clips[:MAX_LISTED] for line in _lines(clip)]
    lines += [f"rejected     {reject.reason}" for reject in rejects[:MAX_LISTED]]
    if unlisted := len(clips[MAX_LISTED:]) + len(rejects[MAX_LISTED:]):
        lines.append(f"{unlisted} more; --json lists all.")
    return "\n".join(lines)


# Opening


def _open(path: Path) -> tuple[str, int, Iterator[Clip | Reject]]:
    """What a path is, how many clips to expect, and the clips."""
    if (path / "index.parquet").is_file():
        from poses.corpus.store import ClipStore

        store = ClipStore(path)
        return "a store", len(store), (Clip(c.video_id, c.people(), c.captions, c.problems) for c in store)
    if _is_tar(path):
        return "a SignVerse-2M shard", _num_folders(path), _shard_clips(path)
    return (kind := sniff(path)), 1, iter([_read_clip(path, kind)])


def _shard_clips(path: Path) -> Iterator[Clip | Reject]:
    for clip in read_shard(path):
        yield clip if isinstance(clip, Reject) else Clip(clip.video_id, clip.people, clip.captions, clip.problems)


def _is_tar(path: Path) -> bool:
    if path.is_dir() or not path.exists():
        return False
    with path.open("rb") as stream:
        return stream.read(262)[257:] == b"ustar" or path.suffix == ".tar"


def _num_folders(path: Path) -> int:
    """How many videos a shard holds, by its headers alone."""
    with open_shard(path) as stream:
        return len({member.name.partition("/")[0] for member in iterate_tar(stream) if member.name})


def _read_clip(path: Path, kind: str) -> Clip:
    name, captions, problems = path.stem, (), ()
    if kind != "SignVerse-2M":
        return Clip(name, _alone(load_poses(path)), captions, problems)
    people = read_people(path, max_people=MAX_PEOPLE)
    if (path / "captions").is_dir():
        try:
            captions = read_captions(path / "captions")
        except PoseFileError as error:
            problems = (str(error),)
    return Clip(name, people, captions, problems)


def _alone(poses: PoseSequence) -> People:
    return People(
        poses.keypoints[:, None],
        poses.confidence[:, None],
        np.any(poses.confidence > 0, axis=1).astype(np.int32),
        poses.fps,
        poses.width,
        poses.height,
        poses.language,
        poses.glosses,
        (),
    )


# Describing


def _contents(clip: Clip, num_tracks: int, usable: float) -> ClipContents:
    people, problems = clip.people, clip.problems
    num_frames = len(people.keypoints)
    try:
        poses = main_signer_poses(people, clip.video_id)
    except PoseFileError as error:
        poses, problems = None, (*problems, str(error))
    return ClipContents(
        name=clip.video_id,
        language=people.language,
        num_frames=num_frames,
        fps=people.fps,
        seconds=num_frames / people.fps,
        width=people.width,
        height=people.height,
        most_people=int(people.num_people.max()),
        num_tracks=num_tracks,
        usable=0.0 if poses is None else usable,
        seen={part: 0.0 if poses is None else _share_seen(poses, part) for part in PARTS},
        glosses=len(people.glosses),
        repairs=people.repaired,
        captions=tuple(_caption_contents(track, poses) for track in clip.captions),
        problems=problems,
    )


def _share_seen(poses: PoseSequence, part: str) -> float:
    confident = poses.part(part)[1] > VISIBLE
    return float((confident.sum(axis=1) >= _MIN_POINTS[part]).mean())


def _caption_contents(track: CaptionTrack, poses: PoseSequence | None) -> CaptionContents:
    cut = [] if poses is None else [clip.duration_s for _, clip in cut_clips(poses, tidied(track).captions)]
    median = float(np.median(cut)) if cut else None
    return CaptionContents(track.language, track.provenance, len(track.captions), len(cut), median)


def _cells(clip: Clip, signer: MainSigner, most: int) -> list[np.ndarray]:
    """Frames spread evenly over those that show somebody."""
    people = clip.people
    shown = np.flatnonzero(people.num_people)
    if len(shown) == 0:
        return []
    chosen = shown[np.unique(np.linspace(0, len(shown) - 1, most + 2)[1:-1].round().astype(int))].tolist()
    slots = signer.slots if people.keypoints.shape[1] > 1 else np.zeros(len(people.keypoints), int)
    name = clip.video_id if most == 1 else ""
    return [
        draw_cell(people, frame, int(slots[frame]), f"{frame / people.fps:.2f} s {name}".strip()) for frame in chosen
    ]


# Wording


def _lines(clip: ClipContents) -> list[str]:
    facts = [
        f"{_count(clip.num_frames, 'frame')} at {clip.fps:g} per second",
        f"{clip.seconds:.1f} s",
        f"{clip.width} x {clip.height}",
        clip.language or _UNKNOWN,
        f"{_count(clip.most_people, 'person', 'people')} at most",
        _count(clip.num_tracks, "track"),
    ]
    seen = ", ".join(f"{part.replace('_', ' ')} {share:.0%}" for part, share in clip.seen.items())
    repairs = ", ".join(
        f"{repair.label} ({_count(repair.frames, 'frame')}"
        + (f", {_count(repair.points, 'point')})" if repair.points else ")")
        for repair in clip.repairs
    )
    return [
        f"{clip.name}: {', '.join(facts)}",
        f"  seen       {seen}; {clip.usable:.0%} usable",
        f"  repairs    {repairs or 'none'}",
        *(f"  captions   {_caption_line(track)}" for track in clip.captions),
        *(f"  problem    {problem}" for problem in clip.problems),
    ]


def _caption_line(track: CaptionContents) -> str:
    clips = _count(track.clips, "clip") + ("" if track.median_clip_s is None else f" of {track.median_clip_s:.1f} s")
    return f"{track.language or 'no language'} ({track.provenance}): {_count(track.captions, 'caption')}, {clips}"


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} in {_count(count, 'clip')}" for name, count in counts.items())


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
