"""Long jobs over many items, on several processes; killed at any moment, they go on where they were.

What becomes of an item is a folder of its own, which appears whole or not at all, so that what a job leaves does not
depend on the number of workers, on the order in which they finish, or on how often it was stopped:

    OUTPUT/job.json          what decides the result; where parts are, a job that would decide otherwise is refused
    OUTPUT/parts/ITEM/       what one item became, with its counts in part.json
    OUTPUT/manifest.jsonl    the counts of every item, and
    OUTPUT/rejects.jsonl     what could not be used, each with its reason: both by item, written when all are done

Local processes are started in `as_finished` and nowhere else: whatever runs a function over arguments and hands back
results as they come, such as Ray, could take its place, if its machines share the output's file system.
"""

import hashlib
import json
import multiprocessing as mp
import os
import re
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from filelock import FileLock, Timeout
from tqdm import tqdm

from poses.bounds import check_at_least
from poses.files import new_file, read_json
from poses.sequence import PoseFileError

Item = TypeVar("Item", contravariant=True)
Tell = Callable[[float], object]
"""Called with how much more of an item is done, in the unit of its size."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
_OWN = re.compile(r"\.(?:lock|work-[0-9a-f]{8}|[0-9a-f]{16}(?:\.\w+)?)")
"""What a job that was killed leaves beside its parts; the last are from `poses.files`."""

_POLL_S = 0.2


@dataclass(frozen=True)
class Rejected:
    """Something in an item that could not be used.

    Attributes:
        name: What it is, empty where it has no name.
        reason: One line.
        group: What it is counted under, such as its language.
    """

    name: str
    reason: str
    group: str = ""


@dataclass(frozen=True)
class Part:
    """What became of an item: all that was found in it came out, or was rejected."""

    num_in: int
    num_out: int
    rejects: tuple[Rejected, ...] = ()

    def __post_init__(self):
        assert self.num_in == self.num_out + len(self.rejects), "what went in must come out or be rejected"


@dataclass(frozen=True)
class BulkResult:
    """What became of a job.

    Attributes:
        parts: By item, those of earlier calls too.
        failed: Why items as a whole could not be worked on, by item. The next call tries them again.
    """

    parts: Mapping[str, Part]
    failed: Mapping[str, str]

    @property
    def num_in(self) -> int:
        """Everything found, an item that failed counted once."""
        return sum(part.num_in for part in self.parts.values()) + len(self.failed)

    @property
    def num_out(self) -> int:
        return sum(part.num_out for part in self.parts.values())

    @property
    def rejects(self) -> list[dict[str, str]]:
        """By item; those that failed as a whole have no name."""
        found = {item: part.rejects for item, part in self.parts.items()}
        found |= {item: (Rejected("", reason),) for item, reason in self.failed.items()}
        return [{"item": item, **asdict(reject)} for item in sorted(found) for reject in found[item]]


@runtime_checkable
class Work(Protocol[Item]):
    """Works on one item; a function at the top of a module, or a `functools.partial` of one, so that it travels.

    What it writes goes into `folder`, which is new and empty, and nowhere else. Whatever is random comes from `seed`.
    What it raises when the item as a whole cannot be worked on is `run_bulk`'s `refusal`; all else ends the job.
    """

    def __call__(self, item: Item, folder: Path, *, seed: int, tell: Tell) -> Part: ...


def run_bulk(
    work: Work[Item],
    items: Mapping[str, Item],
    output: Path,
    *,
    settings: Mapping[str, Any],
    workers: int = 1,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    unit: str = "",
    show: bool = False,
    finish: Callable[[BulkResult], BulkResult] = lambda result: result,
    refusal: type[ValueError] = PoseFileError,
) -> BulkResult:
    """Works on all items that are not done yet, and lists what became of all.

    A later call may bring further items. It must have the same settings, and the same seed.

    Args:
        work: What is done with each.
        items: By name, which becomes a folder's.
        output: The job's folder, which may hold an earlier call's parts.
        settings: All that decides what becomes of an item, but the item itself and the code: plain JSON.
        workers: Processes; 1 works in this one.
        seed: Each item gets one of its own, made of this and its name.
        sizes: How long an item takes in relation to others, for the time left; in the unit of `tell`.
        unit: Of sizes, for the progress bar.
        show: Whether to show a progress bar on standard error.
        finish: Called when all is done and before it is listed, to make what is made of all parts together; gives the
            result, in which counts may have moved from out to rejects.
        refusal: What `work` raises for an item that cannot be worked on. `ValueError`, with which videos are refused,
            lets more faults of the code pass for faults of an item.

    Raises:
        ValueError: An argument is wrong, or `output` belongs to something else or is in use.
        ChildProcessError: A worker was killed. What is done is kept.
    """
    check_at_least(1, workers=workers)
    if wrong := next((name for name in items if not _NAME.fullmatch(name)), None):
        raise ValueError(f"{wrong!r}: the name of an item must be letters, digits and ._-, at most 200.")
    sizes = sizes or dict.fromkeys(items, 1)
    failed: dict[str, str] = {}
    with _claimed(output, {"settings": dict(settings), "seed": seed}) as (parts, aside):
        todo = [name for name in sorted(items) if not (parts / name).exists()]
        todo.sort(key=lambda name: -sizes[name])  # the longest first, lest one process works alone at the end
        calls = {name: (work, items[name], aside / name, item_seed(seed, name)) for name in todo}
        total, left = (sum(sizes[name] for name in names) for names in (items, todo))
        with (
            tqdm(total=total, initial=total - left, unit=unit, unit_scale=unit == "B", disable=not show) as bar,
            closing(as_finished(_work, calls.items(), workers, bar.update, refusal)) as finished,
        ):
            for name, outcome in finished:
                if isinstance(outcome, refusal):
                    # Names of files that are no UTF-8 could not be written.
                    reason = str(outcome).encode(errors="backslashreplace").decode()
                    failed[name] = " ".join(reason.split())
                    shutil.rmtree(aside / name, ignore_errors=True)
                else:
                    os.replace(aside / name, parts / name)
        result = finish(BulkResult({path.name: _read_part(path) for path in sorted(parts.iterdir())}, failed))
        counts = [
            {"item": item, "num_in": part.num_in, "num_out": part.num_out, "num_rejects": len(part.rejects)}
            for item, part in result.parts.items()
        ]
        _write_lines(output / "manifest.jsonl", counts)
        _write_lines(output / "rejects.jsonl", result.rejects)
    return result


def item_seed(seed: int, name: str) -> int:
    """A seed for one item that does not depend on which others there are: 63 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1


@contextmanager
def part_anew(output: Path, name: str, part: Part) -> Generator[Path]:
    """Makes what one item became anew, for `finish`: gives a new folder, which takes the place of the old one.

    Killed in between, the item has no part, and the next call works on it again.

    Args:
        output: The job's folder.
        name: The item.
        part: Its new counts.
    """
    aside, old = output / f".work-{secrets.token_hex(4)}", output / "parts" / name
    (aside / "new").mkdir(parents=True)
    try:
        yield aside / "new"
        _write_part(aside / "new", part)
        os.replace(old, aside / "old")
        os.replace(aside / "new", old)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _work(work: Work, item: Any, folder: Path, seed: int, *, tell: Tell) -> Part:
    folder.mkdir()
    part = work(item, folder, seed=seed, tell=tell)
    _write_part(folder, part)
    return part


def _write_part(folder: Path, part: Part) -> None:
    (folder / "part.json").write_text(json.dumps(asdict(part), ensure_ascii=False), encoding="utf-8")


def _read_part(folder: Path) -> Part:
    held = read_json(folder / "part.json")
    return Part(held["num_in"], held["num_out"], tuple(Rejected(**reject) for reject in held["rejects"]))


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with new_file(path, overwrite=True) as aside, aside.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def _claimed(output: Path, job: dict[str, Any]) -> Generator[tuple[Path, Path]]:
    """Makes sure that a folder is this job's and nobody else works in it. Gives where parts go, and where they grow."""
    described = json.dumps(job, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    stated, parts = output / "job.json", output / "parts"
    if output.is_dir() and not stated.exists() and not all(_OWN.fullmatch(path.name) for path in output.iterdir()):
        raise ValueError(f"{output}: must be a new folder, or one that this job began, but it holds something else.")
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: must be a folder, but a file of that name is there.")
    if not output.absolute().parent.is_dir():
        raise ValueError(f"{output}: its folder does not exist.")
    output.mkdir(exist_ok=True)
    try:
        # Let go by the system when the process ends, however it ends.
        lock = FileLock(output / ".lock", timeout=0).acquire()
    except Timeout:
        raise ValueError(f"{output}: another process works in it.") from None
    with lock:
        if not (stated.exists() and parts.is_dir() and any(parts.iterdir())):
            with new_file(stated, overwrite=True) as beside:
                beside.write_text(described, encoding="utf-8")
        elif difference := _difference(stated.read_text(encoding="utf-8", errors="replace"), described):
            raise ValueError(f"{output}: {difference}; go on as it was begun, or choose another folder.")
        for left in [path for path in output.iterdir() if _OWN.fullmatch(path.name)]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif left.name != ".lock":
                left.unlink()
        aside = output / f".work-{secrets.token_hex(4)}"
        parts.mkdir(exist_ok=True)
        aside.mkdir()
        try:
            yield parts, aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _difference(begun: str, described: str) -> str:
    """How a job differs from the one that began a folder; empty where it does not."""
    try:
        held, job = json.loads(begun), json.loads(described)
        then, now = ({"seed": each["seed"], **each["settings"]} for each in (held, job))
    except (ValueError, TypeError, KeyError):
        return "job.json is damaged"
    key = next((key for key in sorted({*then, *now}) if then.get(key) != now.get(key)), None)
    return "" if key is None else f"was begun with {key} {then.get(key)!r}, not {now.get(key)!r}"


# Local processes


def as_finished(
    function: Callable[..., Part],
    calls: Iterable[tuple[str, tuple]],
    workers: int,
    tell: Tell,
    refusal: type[ValueError] = PoseFileError,
) -> Generator[tuple[str, Part | ValueError]]:
    """Calls a function with each of many arguments, and gives what it returns, or its refusal.

    Args:
        function: Takes `tell` besides.
        calls: A name for each, and its arguments.
        workers: Processes; 1 works in this one.
        tell: Called in this process with what each says is done.
        refusal: The error that is handed back; any other is raised.

    Yields:
        Names and outcomes, in the order in which they come.

    Raises:
        ChildProcessError: A worker was killed.
    """
    if workers == 1:
        for name, arguments in calls:
            yield name, _outcome(partial(function, *arguments, tell=tell), refusal)
        return
    calls = iter(calls)
    told: SimpleQueue[float] = mp.get_context("spawn").SimpleQueue()
    under_way: dict[Future[Part], str] = {}
    with _processes(workers, told) as pool:
        while True:
            # Few at a time, so that a job of a million items has few of them in memory.
            for name, arguments in islice(calls, 2 * workers - len(under_way)):
                under_way[pool.submit(_in_worker, function, arguments)] = name
            if not under_way:
                return
            done, _ = wait(under_way, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            while not told.empty():
                tell(told.get())
            try:
                for future in done:
                    yield under_way[future], _outcome(future.result, refusal)
                    del under_way[future]
            except BrokenProcessPool:
                raise ChildProcessError(
                    f"a worker was killed, perhaps for want of memory, while they worked on "
                    f"{', '.join(sorted(under_way.values()))}; what is done is kept: start again, with fewer workers."
                ) from None


def _outcome(call: Callable[[], Part], refusal: type[ValueError]) -> Part | ValueError:
    try:
        return call()
    except refusal as error:
        return error


@contextmanager
def _processes(workers: int, told: "SimpleQueue[float]") -> Generator[ProcessPoolExecutor]:
    """A pool whose processes end at once when the block fails, Ctrl-C included."""
    others = set(mp.active_children())
    # Not forked: threads of this process, such as torch's, would be missing there.
    pool = ProcessPoolExecutor(workers, mp.get_context("spawn"), _start_worker, (told, workers))
    try:
        yield pool
    except BaseException:
        for process in set(mp.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_told: "SimpleQueue[float] | None" = None
"""In a worker: where what is done is told."""


def _start_worker(told: "SimpleQueue[float]", workers: int) -> None:
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    # Libraries read this when they are imported, which comes later.
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nobody waits for a worker whose parent was killed."""
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_worker(function: Callable[..., Part], arguments: tuple) -> Part:
    assert _told is not None
    return function(*arguments, tell=_told.put)
