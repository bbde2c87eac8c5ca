"""A blind rating by people who sign: sheets with clips in random order and without names, and what raters made of them.

Raters see neither which system made a clip nor its file's name; the key stays with whoever asked. Among the clips are
catch trials: some are shown twice, and some are blurred until nobody could understand them. Who rates the same clip
differently, or understands the blurred ones, is left out, and said to be.
"""

import csv
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from pipelines.report.page import environment
from poses.files import check_utf8, new_directory
from poses.tables import read_table
from poses.video import read_frames, read_info, write_video
from recognizer.metrics import bootstrap_interval

QUESTIONS = {
    "understood": "I understand what is signed",
    "hands": "The handshapes are right",
    "natural": "It moves like a person",
}
"""Each is answered from 1 (not at all) to 5 (fully)."""

COMMENT = "A clip to be rated. It may be AI-generated."
KEY_COLUMNS = ("clip", "system", "item", "kind", "repeats", "glosses")
ANSWER_COLUMNS = ("rater", "clip", *QUESTIONS, "signed", "comment")
BLUR = 24
"""A blurred catch trial has this many pixels on its longer side."""

MOST_RATERS = 1000

MOST_UNDERSTOOD = 2
"""How well a blurred clip may be understood at most."""

MOST_APART = 1
"""How far two ratings of the same clip may be apart."""


@dataclass(frozen=True)
class RatingClip:
    """A clip of the sheet: what the key says of it."""

    clip: str
    system: str
    item: str
    kind: str = "clip"
    repeats: str = ""
    glosses: str = ""


@dataclass(frozen=True)
class SystemScore:
    """What the raters made of one system.

    Attributes:
        system: Its name.
        ratings: How many answers.
        means: By question, 1 to 5; None where nobody answered.
        intervals: 95 % bootstrap interval of each, over raters and items; None for fewer than two of both.
        identified: Share of answers that write a clip's glosses down right, of those to clips whose glosses are known:
            who leaves it open could not tell, as the sheet says. Spaces and capitals do not count.
    """

    system: str
    ratings: int
    means: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    identified: float | None


@dataclass(frozen=True)
class RatingScores:
    """What a rating came to.

    Attributes:
        systems: By name.
        raters: Whose answers count.
        left_out: Whose do not, with the reason.
        agreement: By question, Krippendorff's alpha (interval); None where it cannot be told.
        unanswered: Answers that were left open.
    """

    systems: tuple[SystemScore, ...]
    raters: tuple[str, ...]
    left_out: dict[str, str]
    agreement: dict[str, float | None]
    unanswered: int


def make_sheets(
    source: Path, output: Path, *, raters: int = 3, catch: int = 2, seed: int = 0, show: bool = False
) -> list[RatingClip]:
    """Writes sheets for raters: `sheet-N.html` and `answers-N.csv` for each, and the clips; beside them the key.

    All clips are shown at the height of the lowest, so that size tells no system.

    Args:
        source: A folder with one subfolder of .mp4 files a system; clips of one name show the same item. NAME.txt
            beside a clip may hold its glosses.
        output: A new folder: `for_raters/`, and `key.csv`, which raters must not see.
        raters: Sheets, each in an order of its own, at most `MOST_RATERS`.
        catch: How many clips are repeated, and how many are blurred.
        seed: Of what is random.
        show: Whether to show a progress bar on standard error.

    Raises:
        ValueError: There are too few clips, a number is wrong, or `output` holds something.
    """
    videos = sorted(source.glob("*/*.mp4")) if source.is_dir() else []
    if not videos:
        raise ValueError(f"{source}: expected a folder with one subfolder of .mp4 files a system, found none.")
    check_utf8(*videos)
    if not 1 <= raters <= MOST_RATERS or not 0 <= catch <= len(videos):
        raise ValueError(
            f"`raters` must be 1 to {MOST_RATERS} and `catch` 0 to {len(videos)}, the number of clips, "
            f"got {raters} and {catch}."
        )
    dice = random.Random(seed)
    height = min(read_info(path).height for path in videos) // 2 * 2
    shown = [(path, "clip") for path in videos]
    shown += [(path, kind) for kind in ("repeat", "blurred") for path in dice.sample(videos, catch)]
    dice.shuffle(shown)
    names = {path: f"clip-{number:03d}" for number, (path, kind) in enumerate(shown, 1) if kind == "clip"}
    key = []
    with new_directory(output) as directory:
        folder = directory / "for_raters"
        folder.mkdir()
        for number, (path, kind) in enumerate(tqdm(shown, unit=" clips", disable=not show), 1):
            clip = RatingClip(
                f"clip-{number:03d}",
                path.parent.name,
                path.stem,
                kind,
                names[path] if kind == "repeat" else "",
                _glosses_beside(path),
            )
            frames = _prepared(path, height, blurred=kind == "blurred")
            write_video(folder / f"{clip.clip}.mp4", frames, fps=read_info(path).fps, comment=COMMENT)
            key.append(clip)
        for number in range(1, raters + 1):
            _write_sheet(folder, number, in_order(key, dice))
        _write_table(directory / "key.csv", KEY_COLUMNS, [asdict(clip) for clip in key])
    return key


def in_order(key: Sequence[RatingClip], dice: random.Random) -> list[RatingClip]:
    """A random order in which, as far as chance finds one, no item follows itself."""

    def neighbours(order: Sequence[RatingClip]) -> int:
        return sum(one.item == other.item for one, other in pairwise(order))

    orders = [dice.sample(list(key), len(key)) for _ in range(50)]
    return min(orders, key=neighbours)


def score_sheets(key: Path, answers: Sequence[Path]) -> RatingScores:
    """Sums up what raters filled in.

    Args:
        key: `key.csv` of the rating.
        answers: The tables that the raters sent back, one or several of them.

    Raises:
        ValueError: A table is wrong, names a clip that the key lacks, or no rater is left.
    """
    clips = {row["clip"]: RatingClip(**row) for row in _read_table(key, KEY_COLUMNS)}
    rows = [row for path in answers for row in _read_answers(path, clips)]
    by_rater: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in rows:
        if row["clip"] in by_rater.setdefault(row["rater"], {}):
            raise ValueError(f"answers of {row['rater']!r}: {row['clip']} is answered twice.")
        by_rater[row["rater"]][row["clip"]] = row
    failures = {rater: why_left_out(given, clips) for rater, given in by_rater.items()}
    left_out = {rater: reason for rater, reason in failures.items() if reason}
    kept = [row for row in rows if row["rater"] not in left_out and clips[row["clip"]].kind == "clip"]
    if not kept:
        raise ValueError(
            f"no rater is left: {'; '.join(f'{who} {why}' for who, why in left_out.items()) or 'no answer'}."
        )
    systems = sorted({clips[row["clip"]].system for row in kept})
    return RatingScores(
        systems=tuple(
            _score_system(name, [row for row in kept if clips[row["clip"]].system == name], clips) for name in systems
        ),
        raters=tuple(sorted({row["rater"] for row in kept})),
        left_out=left_out,
        agreement={question: krippendorff_alpha(_units(kept, question)) for question in QUESTIONS},
        unanswered=sum(not row[question] for row in kept for question in QUESTIONS),
    )


def why_left_out(given: Mapping[str, Mapping[str, str]], clips: Mapping[str, RatingClip]) -> str:
    """Why a rater's answers do not count, or nothing: more than a third of the catch trials went wrong."""
    tried, failed = 0, []
    for name, row in given.items():
        clip = clips[name]
        if clip.kind == "blurred" and row["understood"]:
            tried += 1
            if int(row["understood"]) > MOST_UNDERSTOOD:
                failed.append("understood a clip blurred beyond recognition")
        elif clip.kind == "repeat" and clip.repeats in given:
            pairs = [(row[question], given[clip.repeats][question]) for question in QUESTIONS]
            if all(one and other for one, other in pairs):
                tried += 1
                if any(abs(int(one) - int(other)) > MOST_APART for one, other in pairs):
                    failed.append("rated one clip differently when it came again")
    if not failed or 3 * len(failed) <= tried:
        return ""
    return f"failed {len(failed)} of {tried} catch trials: {', '.join(sorted(set(failed)))}"


def krippendorff_alpha(units: Iterable[Sequence[float | int]]) -> float | None:
    """Agreement of any number of raters (Krippendorff 2011, https://repository.upenn.edu/asc_papers/43), interval.

    Args:
        units: The ratings of each clip; a clip with fewer than two says nothing.

    Returns:
        1 for full agreement, 0 for chance; None where nothing was rated twice or all ratings are the same.
    """
    paired = [np.array(unit, float) for unit in units if len(unit) > 1]
    if not paired:
        return None

    def squares(values: np.ndarray) -> float:
        return float(((values[:, None] - values[None]) ** 2).sum())

    everything = np.concatenate(paired)
    count = len(everything)
    expected = squares(everything) / (count * (count - 1))
    observed = sum(squares(unit) / (len(unit) - 1) for unit in paired) / count
    return 1 - observed / expected if expected > 0 else None


def _score_system(name: str, rows: Sequence[Mapping[str, str]], clips: Mapping[str, RatingClip]) -> SystemScore:
    means: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    for question in QUESTIONS:
        answered = [row for row in rows if row[question]]
        values = np.array([int(row[question]) for row in answered], float)
        means[question] = float(values.mean()) if len(values) else None
        causes = [[row["rater"] for row in answered], [clips[row["clip"]].item for row in answered]]
        several = all(len(set(cause)) > 1 for cause in causes)
        intervals[question] = (
            bootstrap_interval(lambda w, of=values: float(w @ of / w.sum()), causes) if several else None
        )
    known = [row for row in rows if clips[row["clip"]].glosses]
    right = [_plain(row["signed"]) == _plain(clips[row["clip"]].glosses) for row in known]
    return SystemScore(name, len(rows), means, intervals, float(np.mean(right)) if right else None)


def _units(rows: Sequence[Mapping[str, str]], question: str) -> list[list[float]]:
    units: dict[str, list[float]] = {}
    for row in rows:
        if row[question]:
            units.setdefault(row["clip"], []).append(float(row[question]))
    return list(units.values())


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def _glosses_beside(path: Path) -> str:
    beside = path.with_suffix(".txt")
    try:
        return " ".join(beside.read_text(encoding="utf-8").split()) if beside.is_file() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"{beside}: expected glosses in UTF-8, which cannot be read ({error}).") from None


def _prepared(path: Path, height: int, *, blurred: bool) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    for frame in read_frames(path):
        picture = Image.fromarray(frame)
        width = round(picture.width * height / picture.height / 2) * 2
        if blurred:
            scale = BLUR / max(picture.size)
            small = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            picture = picture.resize(small, Image.Resampling.BOX)
        yield np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def _write_sheet(folder: Path, number: int, order: Sequence[RatingClip]) -> None:
    names = [clip.clip for clip in order]
    page = (
        environment()
        .get_template("rating.html.jinja")
        .render(rater=number, clips=names, questions=QUESTIONS, columns=ANSWER_COLUMNS)
    )
    (folder / f"sheet-{number}.html").write_text(page, encoding="utf-8")
    blank = [{"rater": f"rater-{number}", "clip": name} for name in names]
    _write_table(folder / f"answers-{number}.csv", ANSWER_COLUMNS, blank)


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    found, rows = read_table(path)
    if list(found) != list(columns):
        raise ValueError(f"{path}: expected the columns {', '.join(columns)}, found {', '.join(found)}.")
    if any(None in row for row in rows):
        raise ValueError(f"{path}: a line has more than {len(columns)} columns.")
    return rows


def _read_answers(path: Path, clips: Mapping[str, RatingClip]) -> list[dict[str, str]]:
    rows = _read_table(path, ANSWER_COLUMNS)
    for line, row in enumerate(rows, start=2):
        if row["clip"] not in clips:
            raise ValueError(f"{path}: line {line} rates {row['clip']!r}, which the key does not have.")
        for question in QUESTIONS:
            row[question] = row[question].strip()
            if row[question] not in ("", "1", "2", "3", "4", "5"):
                raise ValueError(f"{path}: line {line}, {question}, must be 1 to 5 or open, got {row[question]!r}.")
    return [row for row in rows if any(row[column].strip() for column in (*QUESTIONS, "signed"))]
