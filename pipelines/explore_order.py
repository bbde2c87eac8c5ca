"""The web page's order to look through a file, a shard or a store of poses."""

import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from pipelines.inspect import CaptionContents, ClipContents, Contents, inspect_poses
from pipelines.orders import Done, Tools, command
from pipelines.progress import Stages
from pipelines.report.contents import write_contents_page
from pipelines.unpacking import is_archive, names_in, unpack, unpack_commands
from poses.corpus.shards import Reject
from poses.corpus.store import CLIPS_FILE, INDEX_FILE
from poses.files import new_directory
from poses.people import Repair

MAX_STORE_BYTES, MAX_STORE_S = 4 * 2**30, 600
"""Memory and seconds that looking through a store may take."""

_SUFFIXES = (Path(INDEX_FILE).suffix, Path(CLIPS_FILE).suffix)
_INSPECT = (
    "import sys\n"
    "if sys.platform != 'win32':\n"  # where a process's memory cannot be limited
    "    import resource\n"
    "    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)\n"
    "from pipelines.cli import main\n"
    "sys.exit(main(sys.argv[2:]))"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExploreOrder:
    """A file to be looked through.

    Attributes:
        file: A pose file, a shard of SignVerse-2M, or a zip or tar of a store.
    """

    file: str | None

    stages: ClassVar[tuple[str, ...]] = ("inspect",)

    @property
    def uploads(self) -> tuple[str | None, ...]:
        return (self.file,)

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        if not self.file:
            raise ValueError("Choose a pose file, a shard or a store to look through.")
        path = Path(self.file)
        with new_directory(folder) as directory:
            sheet = directory / "sheet.png"
            if root := _store_in(path):
                contents = _look_through_archive(path, root, sheet, stages)
                name = (PurePosixPath("store") / root).as_posix()
                unpacked = unpack_commands(path, "store")
            else:
                contents, name, unpacked = inspect_poses(path, sheet=sheet, stages=stages), path.name, ()
            contents = replace(contents, path=path.name)
            write_contents_page(contents, directory / "index.html")
        facts = contents.facts()
        num_repairs = len(facts["repairs"])
        repaired = f"{num_repairs} kind{'' if num_repairs == 1 else 's'} of defects" if num_repairs else "nothing"
        return Done(
            f"Done in {stages.total_seconds:.0f} s. Clips: {facts['num_clips']}, rejected: {len(contents.rejects)}. "
            f"Repaired: {repaired}.",
            (*unpacked, command("inspect", name, **{"--sheet": "sheet.png"})),
        )


def _store_in(path: Path) -> str:
    """Where in an archive a store lies, `.` for its top; empty where there is no archive, or no store in it."""
    names = map(PurePosixPath, names_in(path) if is_archive(path) else ())
    indices = [name for name in names if name.name == INDEX_FILE]
    return str(min(indices, key=lambda index: len(index.parts)).parent) if indices else ""  # each part has one, too


def _look_through_archive(path: Path, root: str, sheet: Path, stages: Stages) -> Contents:
    """Looks through the store in an archive, which is unpacked beside the result meanwhile.

    Raises:
        ValueError: The archive or the store is damaged or too large, or looking through it takes too long.
    """
    with TemporaryDirectory(dir=sheet.parent.parent) as aside:
        folder = Path(aside, "store")
        unpack(path, folder, suffixes=_SUFFIXES)
        try:
            return _look_through_store(folder / root, sheet, stages)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{aside}/", "")) from None


def _look_through_store(store: Path, sheet: Path, stages: Stages) -> Contents:
    """Inspects a store in a process of its own.

    A few bytes of Parquet or Arrow can ask for any amount of memory, and both are read by libraries in C++: a store
    that does harm ends that process, not the page.
    """
    program = [sys.executable, "-c", _INSPECT, str(MAX_STORE_BYTES), "inspect", str(store), "--json"]
    with (
        stages.stage("inspect") as track,
        subprocess.Popen([*program, "--sheet", str(sheet)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child,
    ):
        try:
            said, wrong = _wait_for(child, track(itertools.repeat(None)), store)
        finally:
            child.kill()
    if child.returncode == 0:
        return _contents(json.loads(said))
    *_, last = wrong.decode(errors="replace").splitlines() or [""]
    if child.returncode == 2 and last.startswith("signloop: "):
        raise ValueError(last.removeprefix("signloop: "))
    logger.error("A store could not be looked through (status %d): %s", child.returncode, last)
    raise ValueError(f"{store}: is damaged, or wants more than {MAX_STORE_BYTES >> 30} GB of memory.")


def _wait_for(child: subprocess.Popen[bytes], ticks: Iterator[None], store: Path) -> tuple[bytes, bytes]:
    """What a process wrote, once it is over. A tick ends the wait when nobody wants the result any more."""
    started = time.monotonic()
    for _ in ticks:
        if time.monotonic() - started > MAX_STORE_S:
            break
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=0.2)
    limit = f"looking through it takes more than {MAX_STORE_S // 60} minutes"
    raise ValueError(f"{store}: {limit}; use the command line, which has no limit.")


def _contents(facts: Mapping[str, Any]) -> Contents:
    """What `Contents.facts` says, as it was."""
    rejects = tuple(Reject(**reject) for reject in facts["rejects"])
    return Contents(facts["path"], facts["kind"], tuple(_clip_contents(**clip) for clip in facts["clips"]), rejects)


def _clip_contents(*, repairs: list[Any], captions: list[Any], problems: list[str], **facts: Any) -> ClipContents:
    return ClipContents(
        repairs=tuple(Repair(**repair) for repair in repairs),
        captions=tuple(CaptionContents(**track) for track in captions),
        problems=tuple(problems),
        **facts,
    )
