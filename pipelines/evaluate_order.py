"""The web page's order to compare videos with what they should show."""

import csv
import itertools
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from pipelines.clip_evaluation import Judges
from pipelines.evaluate import Evaluation, run_evaluation
from pipelines.measures.features import OrientedFilters
from pipelines.orders import MAX_SET_FRAMES, Done, Tools, check_clip, check_length, command
from pipelines.pairs import POSE_SUFFIXES, Pair, name_some, read_pairs
from pipelines.progress import Stages
from pipelines.report.page import percent
from pipelines.unpacking import MAX_UNPACKED_BYTES, is_archive, unpack, unpack_commands
from poses.estimators import Estimator
from poses.io import load_poses
from poses.video import read_info, read_picture

PAIR, SEVERAL = "A pair", "Several pairs"

MAX_PAIRS = 24
"""Most pairs of a set; the command line has no limit."""

_SUFFIXES = (*POSE_SUFFIXES, ".mp4", ".png")


@dataclass(frozen=True)
class EvaluateOrder:
    """Videos to be compared with what they should show.

    Attributes:
        source: `PAIR` or `SEVERAL`.
        driving: A pose file, for `PAIR`.
        video: A video, whoever made it, for `PAIR`.
        files: Pose files and videos that belong together by their names, or one archive of them, for `SEVERAL`.
    """

    source: str
    driving: str | None
    video: str | None
    files: Sequence[str] | None

    stages: ClassVar[tuple[str, ...]] = ("evaluate",)

    @property
    def uploads(self) -> tuple[str | None, ...]:
        return self.driving, self.video, *(self.files or ())

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        with TemporaryDirectory(dir=folder.parent) as aside:
            try:
                asked = self._several(Path(aside)) if self.source == SEVERAL else self._pair(Path(aside))
                return self._compare(asked, folder, tools, stages)
            except ValueError as error:
                raise ValueError(str(error).replace(f"{aside}/", "")) from None

    def _pair(self, aside: Path) -> "_Asked":
        if not self.driving or not self.video:
            wanted = [
                what for what, path in (("a driving pose", self.driving), ("a video of it", self.video)) if not path
            ]
            raise ValueError(f"Choose {' and '.join(wanted)}.")
        names = Path(self.driving).name, Path(self.video).name
        with (aside / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("driving", "video"), (self.driving, self.video)])
        table = shlex.join(["driving,video", ",".join(names)])
        return _Asked(aside / "pairs.csv", "pairs.csv", (rf"printf '%s\n' {table} > pairs.csv",))

    def _several(self, aside: Path) -> "_Asked":
        """Puts the files into a folder as `signloop evaluate` takes it."""
        paths = [Path(path) for path in self.files or ()]
        if not paths:
            raise ValueError("Choose videos and their driving poses, or a zip of them.")
        if gone := next((path for path in paths if not path.is_file()), None):
            raise ValueError(f"{gone.name}: is no longer here; choose it again.")
        folder = aside / "set"
        if len(paths) == 1 and is_archive(paths[0]):
            left_out = unpack(paths[0], folder, suffixes=_SUFFIXES)
            within = _only_folder(folder)
            return _Asked(within, within.relative_to(aside).as_posix(), unpack_commands(paths[0], "set"), left_out)
        taken = [path for path in paths if path.suffix.lower() in _SUFFIXES]
        if sum(path.stat().st_size for path in taken) > MAX_UNPACKED_BYTES:
            raise ValueError(f"Expected files of at most {MAX_UNPACKED_BYTES >> 20} MB together, found more.")
        folder.mkdir()
        for path in taken:
            if (folder / path.name).exists():
                raise ValueError(f"{path.name}: expected every file once, found two of that name.")
            shutil.copyfile(path, folder / path.name)
        copied = shlex.join(["cp", *(path.name for path in taken), "set"])
        left_out = tuple(path.name for path in paths if path not in taken)
        return _Asked(folder, "set", ("mkdir set", copied), left_out)

    def _compare(self, asked: "_Asked", folder: Path, tools: Tools, stages: Stages) -> Done:
        pairs = read_pairs(asked.source).pairs
        _check(pairs)
        num_frames = sum(read_info(video).num_frames or 0 for pair in pairs for video in _videos(pair))
        with stages.stage("evaluate", num_frames or None) as track:
            followed = FollowedEstimator(tools.estimator, track(itertools.repeat(None)))
            found = run_evaluation(asked.source, folder, judges=Judges(followed, tools.recognizer, OrientedFilters()))
        (hands,) = (figure.value for figure in found.summary.figures if figure.name == "pck_0.2/hands")
        placed = "could not be measured" if hands is None else f"{percent(hands)} of their points"
        return Done(
            f"Done in {stages.total_seconds:.0f} s. {self._count(found)}Hands in place: {placed}.{self._read(found)}"
            f"{_alone((*asked.left_out, *found.alone))}",
            (*asked.commands, command("evaluate", asked.name, **{"--output": "report"})),
        )

    def _count(self, found: Evaluation) -> str:
        failed = f", {len(found.failed)} could not be measured" if found.failed else ""
        return f"Clips: {len(found.clips)}{failed}. " if self.source == SEVERAL else ""

    def _read(self, found: Evaluation) -> str:
        if self.source == SEVERAL:
            return ""
        return f" Read from the video: {' '.join(found.clips[0].read['video'].glosses) or 'nothing'}."


@dataclass(frozen=True)
class _Asked:
    """What is evaluated.

    Attributes:
        source: A table or a folder, see `read_pairs`.
        name: What the shown command line calls it.
        commands: Command lines that make it.
        left_out: Files that were brought and cannot be in a pair.
    """

    source: Path
    name: str
    commands: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class FollowedEstimator:
    """Another estimator whose frames are counted, so that work which it is part of can be followed and stopped."""

    def __init__(self, estimator: Estimator, count: Iterator[None]):
        self.name, self.version = estimator.name, estimator.version
        self.reset, self.close = estimator.reset, estimator.close
        self._estimator, self._count = estimator, count

    def estimate(self, frame):
        next(self._count)
        return self._estimator.estimate(frame)


def _videos(pair: Pair) -> list[Path]:
    return [path for path in (pair.video, pair.reference) if path is not None]


def _check(pairs: Sequence[Pair]) -> None:
    """Refuses clips that are too long, alone or together, and files that cannot be read."""
    if len(pairs) > MAX_PAIRS:
        raise ValueError(f"Expected at most {MAX_PAIRS} pairs, found {len(pairs)}: use the command line for more.")
    num_frames = 0
    for pair in pairs:
        num_frames += (length := len(load_poses(pair.driving)))
        check_length(pair.driving.name, length)
        for video in _videos(pair):
            check_clip(video)
        if pair.image:
            read_picture(pair.image)
    if num_frames > MAX_SET_FRAMES:
        raise ValueError(
            f"Expected at most {MAX_SET_FRAMES} frames in all, found {num_frames}: bring fewer clips, or use the "
            "command line, which has no limit."
        )


def _only_folder(folder: Path) -> Path:
    """The folder that an archive holds all its files in, or where it was unpacked."""
    held = list(folder.iterdir())
    packed_whole = len(held) == 1 and held[0].is_dir() and not (held[0] / "driving.npz").exists()
    return held[0] if packed_whole else folder


def _alone(names: Sequence[str]) -> str:
    """Names files that are in no pair."""
    return f" In no pair: {name_some(names)}." if names else ""
