"""Subtitles: WebVTT files and SignVerse-2M's `captions.json`, where a track comes from, and its cues as frames.

The corpus names a track by language only, and `en` may be typed by a person or heard by a machine: see `provenance`.
Its `captions.json` was made from the WebVTT files and lost lines that are only digits, so those files come first
(https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/pipeline01_download_video_fix_caption.py@1c6dfc7).
"""

import html
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeGuard

from poses.sequence import PoseFileError, PoseSequence

Provenance = Literal["human", "automatic", "machine-translated", "unknown"]
"""Typed by a person, heard by a machine, translated by a machine, or one of the first two and nobody can tell."""

MAX_CAPTION_BYTES = 2**24
"""The largest file that is read; ten hours of subtitles are one megabyte."""

ROLL_UP_GAP_S = 0.1
"""Seconds between two cues up to which the second may repeat the first."""

_MAX_HOURS = 1000
_MAX_ROLLED_CUES = 4
_TIME = r"(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t].*)?")
_TAG = re.compile(r"<[^<>]*>")
_WORD_TIME = re.compile(r"<(?:\d{2,4}:)?\d\d:\d\d\.\d{3}>")
_JOINERS = "\u200c\u200d"
"""Part of words in Persian and the languages of India, and of emoji."""

_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\u200b\u200e\u200f\u2060\ufeff]")
_LANGUAGE = r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*"
_TRANSLATED = re.compile(r"en[-_][a-z]{2,3}(?:[-_].*)?|[a-z]{2,3}[-_]en")
_RELEASE_NAMES: tuple[tuple[re.Pattern[str], Provenance], ...] = (
    (re.compile(rf"english\.({_LANGUAGE})\.native\.vtt"), "human"),
    (re.compile(rf"english\.({_LANGUAGE})\.nllb\.vtt"), "machine-translated"),
    (re.compile(rf"original\.({_LANGUAGE})\.manual\.vtt"), "human"),
)


@dataclass(frozen=True)
class Caption:
    """A text and when it is shown, in seconds from the start of the video."""

    start_s: float
    end_s: float
    text: str

    def __post_init__(self):
        if not 0 <= self.start_s <= self.end_s < _MAX_HOURS * 3600:
            raise ValueError(
                f"a caption must last from 0 s on and end after it starts, got {self.start_s:g} to {self.end_s:g} s."
            )
        if not self.text.strip():
            raise ValueError("a caption must have a text, got none.")


@dataclass(frozen=True)
class CaptionTrack:
    """One language's captions of a video.

    Attributes:
        language: As the file names it: `en`, `pt-BR`; `en-de` is English translated from German by a machine.
        provenance: Who wrote it.
        captions: By time of start; they may overlap.
    """

    language: str
    provenance: Provenance
    captions: tuple[Caption, ...]


# Reading


def read_captions(path: str | os.PathLike[str]) -> tuple[CaptionTrack, ...]:
    """Reads a `.vtt` file, a `.captions.json` file, or all of those in a folder.

    Raises:
        PoseFileError: It is something else, or is damaged.
    """
    path = Path(path)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = {file.name: _file_bytes(file) for file in files if file.suffix in (".vtt", ".json")}
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror}).") from None
    if not found:
        raise PoseFileError(f"{path}: must be .vtt or .captions.json, or a folder with them, found neither.")
    tracks, problems = parse_tracks(found, path.parent if path.is_file() else path)
    if problems:
        raise PoseFileError(problems[0])
    return tracks


def _file_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_CAPTION_BYTES + 1)


def parse_tracks(files: Mapping[str, bytes], where: object) -> tuple[tuple[CaptionTrack, ...], tuple[str, ...]]:
    """Reads all caption files of one video; `captions.json` gives only what no WebVTT file does.

    Args:
        files: Content by file name, without folders.
        where: The folder, for messages.

    Returns:
        The tracks by language, and one line for each file that could not be read.
    """
    tracks: dict[tuple[str, Provenance], CaptionTrack] = {}
    problems = []
    for name in sorted(files, key=lambda name: (name.endswith(".json"), name)):
        try:
            found = (
                parse_captions_json(files[name], f"{where}/{name}")
                if name.endswith(".json")
                else (CaptionTrack(*_name_says(name, files[name]), parse_vtt(files[name], f"{where}/{name}")),)
            )
        except PoseFileError as error:
            problems.append(str(error))
            continue
        languages = {language for language, _ in tracks}
        for track in found:
            if not name.endswith(".json") or track.language not in languages:
                tracks.setdefault((track.language, track.provenance), track)
    return tuple(tracks[key] for key in sorted(tracks)), tuple(problems)


def _name_says(name: str, data: bytes) -> tuple[str, Provenance]:
    for pattern, by in _RELEASE_NAMES:
        if found := pattern.fullmatch(name):
            return found[1], by
    found = re.fullmatch(rf"[^.]*\.({_LANGUAGE})\.vtt", name)
    language = found[1] if found else ""
    return language, provenance(language, word_timed=is_word_timed(data))


def provenance(language: str, *, word_timed: bool = False) -> Provenance:
    """Says who wrote a track of the shards, as far as its name and content show.

    YouTube's translations are named `en-de`, their originals `en-orig`, and only what a machine heard has a time for
    each word. `en-GB` is no translation, though `subtitle_en_source` of `captions.json` calls it one. All else was
    typed or heard, and the corpus does not say which.

    Args:
        language: The language as the file names it.
        word_timed: Whether the file gives a time for each word.
    """
    if _TRANSLATED.fullmatch(language):
        return "machine-translated"
    return "automatic" if word_timed or language.endswith("-orig") else "unknown"


def is_word_timed(data: bytes) -> bool:
    """Whether a WebVTT file gives times inside its cues, as YouTube's speech recognition does."""
    return _WORD_TIME.search(data[:MAX_CAPTION_BYTES].decode("utf-8", errors="replace")) is not None


def parse_vtt(data: bytes, name: object) -> tuple[Caption, ...]:
    """Reads WebVTT (https://www.w3.org/TR/webvtt1/): times and plain text, by time of start.

    Tags, settings, styles and notes are left out, and so are cues that show nothing.

    Args:
        data: The file's content.
        name: The file, for messages.

    Raises:
        PoseFileError: It is no WebVTT, or a cue's times are wrong; names the line.
    """
    lines = re.split("\r\n|\r|\n", _text(data, name))
    if not re.fullmatch(r"WEBVTT(?:[ \t].*)?", lines[0]):
        raise PoseFileError(f"{name}: must begin with WEBVTT, found {lines[0][:40]!r}.")
    cues: list[tuple[str, float, float, list[str]]] = []
    in_cue, skipped = False, True  # first comes the header, which is skipped like a note or a style
    for number, line in enumerate(lines[1:], start=2):
        where = f"{name}: line {number}"
        if "-->" in line:
            cues.append((where, *_times(line, where), []))
            in_cue, skipped = True, False
        elif not line:
            in_cue, skipped = False, False
        elif in_cue:
            cues[-1][-1].append(line)
        elif re.match(r"(?:NOTE|STYLE|REGION)(?:[ \t]|$)", line):
            skipped = True
        elif not skipped and not (number < len(lines) and "-->" in lines[number]):
            raise PoseFileError(f"{where} must be a cue's times or its name, found {line[:40]!r}.")
    captions = [
        _caption(start_s, end_s, text, where) for where, start_s, end_s, lines in cues if (text := _plain(lines, where))
    ]
    return tuple(sorted(captions, key=lambda caption: caption.start_s))


def parse_captions_json(data: bytes, name: object) -> tuple[CaptionTrack, ...]:
    """Reads the `captions.json` of one video.

    Args:
        data: The file's content.
        name: The file, for messages.

    Raises:
        PoseFileError: It is no such file.
    """
    text = _text(data, name)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise PoseFileError(f"{name}: must be JSON, but it is damaged.") from None
    languages = content.get("languages") if isinstance(content, dict) else None
    if not isinstance(languages, dict):
        raise PoseFileError(f"{name}: must hold `languages`, found none.")
    return tuple(
        CaptionTrack(_whole(language, where), provenance(language), _segments(held, where))
        for language, held in languages.items()
        for where in [f"{name}: {language[:20]!r}"]
    )


def _segments(held: object, where: str) -> tuple[Caption, ...]:
    segments = held.get("segments") if isinstance(held, dict) else None
    if not isinstance(segments, list):
        raise PoseFileError(f"{where} must hold a list of segments, found none.")
    captions = []
    for number, segment in enumerate(segments):
        here = f"{where}, segment {number}"
        start_s, end_s, text = (
            segment.get(key) if isinstance(segment, dict) else None for key in ("start_sec", "end_sec", "text")
        )
        if not (_is_number(start_s) and _is_number(end_s) and isinstance(text, str)):
            raise PoseFileError(f"{here} must hold start_sec, end_sec and text.")
        if text := _plain([_whole(text, here)], here):
            captions.append(_caption(start_s, end_s, text, here))
    return tuple(sorted(captions, key=lambda caption: caption.start_s))


def _whole(text: str, where: str) -> str:
    """Refuses half of a character, which JSON can hold and no file in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PoseFileError(f"{where} must hold whole characters, found half of one.") from None
    return text


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(data: bytes, name: object) -> str:
    if len(data) > MAX_CAPTION_BYTES:
        raise PoseFileError(f"{name}: must be at most {MAX_CAPTION_BYTES} bytes of captions, found more.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PoseFileError(f"{name}: must be UTF-8 text, but byte {error.start} is not.") from None


def _times(line: str, where: str) -> tuple[float, float]:
    found = _TIMES.fullmatch(line)
    if found is None:
        raise PoseFileError(f"{where} must hold times such as 00:01.000 --> 00:02.500, found {line[:60]!r}.")
    hours, minutes, seconds, thousandths = (found.groups(default="0")[part::4] for part in range(4))
    start_s, end_s = (
        (((int(hours[at]) * 60 + int(minutes[at])) * 60 + int(seconds[at])) * 1000 + int(thousandths[at])) / 1000
        for at in (0, 1)
    )
    return start_s, end_s


def _caption(start_s: float, end_s: float, text: str, where: str) -> Caption:
    try:
        return Caption(float(start_s), float(end_s), text)
    except (ValueError, OverflowError) as error:
        reason = "its times are too large." if isinstance(error, OverflowError) else str(error)
        raise PoseFileError(f"{where}: {reason}") from None


def _plain(lines: Sequence[str], where: str) -> str:
    try:
        cleaned = [_INVISIBLE.sub("", html.unescape(_TAG.sub("", line))) for line in lines]
    except ValueError:  # a number of thousands of digits
        raise PoseFileError(f"{where} must name characters by their numbers, found one without end.") from None
    return "\n".join(line for line in (" ".join(line.split()) for line in cleaned) if line.strip(_JOINERS))


# Writing


def format_vtt(captions: Sequence[Caption]) -> bytes:
    """Writes captions as WebVTT, which `parse_vtt` reads back, times to the thousandth of a second."""
    cues = [
        f"{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{html.escape(cue.text, quote=False)}\n" for cue in captions
    ]
    return "\n".join(["WEBVTT\n", *cues]).encode()


def _clock(time_s: float) -> str:
    minutes, thousandths = divmod(round(time_s * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{thousandths // 1000:02d}.{thousandths % 1000:03d}"


# Tidying


def tidied(track: CaptionTrack) -> CaptionTrack:
    """A track with its overlaps cut and, unless a person wrote it, without its roll-up repeats."""
    captions = track.captions if track.provenance == "human" else without_repeats(track.captions)
    return replace(track, captions=without_overlaps(captions))


def without_repeats(captions: Sequence[Caption]) -> tuple[Caption, ...]:
    """Takes out what roll-up captions show again: each text stays where it is new.

    Roll-up captions move a line up when the next one is spoken, so a cue begins with what the cues before it newly
    said. Where it says nothing else, the cue before lasts until its end.

    Args:
        captions: By time of start.
    """
    kept: list[Caption] = []
    recent: list[list[str]] = []  # the words that each of the last cues newly said
    shown_until_s = -math.inf
    for caption in captions:
        words = caption.text.split()
        if caption.start_s > shown_until_s + ROLL_UP_GAP_S:
            recent = []
        new = words[_num_repeated(words, recent) :]
        if len(new) == len(words):
            kept.append(caption)
        elif new:
            kept.append(replace(caption, text=" ".join(new)))
        else:
            kept[-1] = replace(kept[-1], end_s=max(kept[-1].end_s, caption.end_s))
        if new:
            recent = [*recent, new][-_MAX_ROLLED_CUES:]
        shown_until_s = max(shown_until_s, caption.end_s)
    return tuple(kept)


def _num_repeated(words: list[str], recent: list[list[str]]) -> int:
    for first in range(len(recent)):
        count = sum(map(len, recent[first:]))
        # Long ones are not even put together: one that is never repeated may stay among the recent.
        if count <= len(words) and words[:count] == [word for new in recent[first:] for word in new]:
            return count
    return 0


def without_overlaps(captions: Sequence[Caption]) -> tuple[Caption, ...]:
    """Ends each caption where the next one starts. Texts that start at once become one, line by line."""
    kept: list[Caption] = []
    in_order = sorted(captions, key=lambda caption: (caption.start_s, caption.end_s))
    for start_s, group in itertools.groupby(in_order, key=lambda caption: caption.start_s):
        at_once = list(group)
        if kept and start_s < kept[-1].end_s:
            kept[-1] = replace(kept[-1], end_s=start_s)
        kept.append(replace(at_once[-1], text="\n".join(caption.text for caption in at_once)))
    return tuple(kept)


# Frames


def frame_number(time_s: float, *, fps: float = 24.0) -> int:
    """The frame shown at a time, counted from 1 as SignVerse-2M does: the nearest to time x fps, plus 1."""
    return math.floor(time_s * fps + 0.5) + 1


def frame_span(caption: Caption, *, fps: float = 24.0) -> tuple[int, int]:
    """The frames of a caption, counted from 0: the first one, and one past the last.

    Captions that follow each other share no frame. One that is shorter than a frame has one.
    """
    start = frame_number(caption.start_s, fps=fps) - 1
    return start, max(frame_number(caption.end_s, fps=fps) - 1, start + 1)


def cut_clips(poses: PoseSequence, captions: Sequence[Caption]) -> Iterator[tuple[Caption, PoseSequence]]:
    """Cuts a video's poses into one clip a caption.

    A caption that ends after the poses do is cut there. One that starts after has no frames, and is left out.
    """
    for caption in captions:
        start, stop = frame_span(caption, fps=poses.fps)
        if start < len(poses):
            yield caption, poses[start:stop]
