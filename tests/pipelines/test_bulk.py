"""Bulk jobs: nothing is lost, nothing comes twice, and the same comes out however often they are stopped."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import pipelines.bulk
from pipelines.bulk import Part, Rejected, as_finished, item_seed, part_anew, run_bulk
from poses.sequence import PoseFileError

ROOT = Path(__file__).resolve().parent.parent.parent
ITEMS = {f"item-{number}": number for number in range(8)}


def work(number: int, folder: Path, *, seed: int, tell, pause_s: float = 0.0) -> Part:
    """Rejects what divides by 4, cannot read item 3, and writes the others' seeds."""
    time.sleep(pause_s)
    tell(0.5)
    if number == 3:
        raise PoseFileError("item 3:\nis damaged.")
    if number % 4 == 0:
        return Part(2, 1, (Rejected(f"half of {number}", "it divides by 4", "even"),))
    (folder / "seed.txt").write_text(str(seed))
    tell(0.5)
    return Part(2, 2)


def killed(number: int, folder: Path, *, seed: int, tell) -> Part:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(number, folder, seed=seed, tell=tell)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by path, but hidden ones, which say nothing of the result."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def done(tmp_path):
    """What one worker makes of all items in one go."""
    result = run_bulk(work, ITEMS, tmp_path / "done", settings={"quality": 1}, seed=7)
    return result, contents(tmp_path / "done")


def test_counts_in_are_counts_out_and_rejects(done):
    result, files = done
    assert (result.num_in, result.num_out, len(result.rejects)) == (7 * 2 + 1, 7 * 2 - 2, 3)
    assert result.failed == {"item-3": "item 3: is damaged."}
    assert [json.loads(line) for line in files["rejects.jsonl"].splitlines()] == [
        {"item": "item-0", "name": "half of 0", "reason": "it divides by 4", "group": "even"},
        {"item": "item-3", "name": "", "reason": "item 3: is damaged.", "group": ""},
        {"item": "item-4", "name": "half of 4", "reason": "it divides by 4", "group": "even"},
    ]
    counts = [json.loads(line) for line in files["manifest.jsonl"].splitlines()]
    assert counts[0] == {"item": "item-0", "num_in": 2, "num_out": 1, "num_rejects": 1}
    assert [count["item"] for count in counts] == [name for name in ITEMS if name != "item-3"]
    assert files["parts/item-1/seed.txt"] == str(item_seed(7, "item-1")).encode()


def test_seeds_depend_on_name_and_seed_alone():
    seeds = {item_seed(seed, name) for seed in (0, 1) for name in ITEMS}
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert item_seed(0, "item-0") == item_seed(0, "item-0")


@pytest.mark.long
def test_two_workers_make_the_same(done, tmp_path):
    result = run_bulk(work, ITEMS, tmp_path / "again", settings={"quality": 1}, seed=7, workers=2)
    assert (result, contents(tmp_path / "again")) == done


def test_items_that_all_end_at_once_are_followed_by_others(done, tmp_path, monkeypatch):
    """As on a machine so busy that this process looks seldom."""
    monkeypatch.setattr(pipelines.bulk, "wait", lambda futures, **_: concurrent.futures.wait(futures))
    result = run_bulk(work, ITEMS, tmp_path / "again", settings={"quality": 1}, seed=7, workers=2)
    assert (result, contents(tmp_path / "again")) == done


def test_a_later_call_adds_items_and_tries_failed_ones_again(done, tmp_path):
    some = {name: ITEMS[name] for name in list(ITEMS)[:4]}
    settings = {"quality": 1}
    run_bulk(work, some, tmp_path / "again", settings=settings, seed=7)
    begun = (tmp_path / "again" / "parts" / "item-1").stat().st_mtime_ns
    assert run_bulk(work, ITEMS, tmp_path / "again", settings=settings, seed=7).parts == done[0].parts
    assert contents(tmp_path / "again") == done[1]
    assert (tmp_path / "again" / "parts" / "item-1").stat().st_mtime_ns == begun
    mended = run_bulk(work, {"item-3": 9}, tmp_path / "again", settings=settings, seed=7)
    assert mended.parts["item-3"] == Part(2, 2)
    assert not mended.failed


def test_what_is_no_refusal_ends_the_job(tmp_path):
    def careless(number, folder, *, seed, tell):
        if number == 3:
            raise ValueError("shapes do not match")
        return work(number, folder, seed=seed, tell=tell)

    items = {"a": 1, "b": 3}
    with pytest.raises(ValueError, match="shapes do not match"):
        run_bulk(careless, items, tmp_path / "out", settings={})
    assert [path.name for path in (tmp_path / "out" / "parts").iterdir()] == ["a"]
    told = run_bulk(careless, items, tmp_path / "out", settings={}, refusal=ValueError)
    assert told.failed == {"b": "shapes do not match"}


def test_a_part_is_made_anew_whole_or_not_at_all(done, tmp_path):
    output = tmp_path / "done"
    before = contents(output)
    with pytest.raises(KeyboardInterrupt), part_anew(output, "item-1", Part(2, 1, (Rejected("a", "b"),))):
        raise KeyboardInterrupt
    assert contents(output) == before
    with part_anew(output, "item-1", Part(2, 1, (Rejected("a", "b"),))) as folder:
        (folder / "new.txt").write_text("new")
    assert sorted(path.name for path in (output / "parts" / "item-1").iterdir()) == ["new.txt", "part.json"]
    assert run_bulk(work, ITEMS, output, settings={"quality": 1}, seed=7).parts["item-1"].num_out == 1
    assert not list(output.glob(".work-*"))


def test_finish_may_reject_what_parts_alone_cannot_know(tmp_path):
    def finish(result):
        part = replace(result.parts["a"], num_out=1, rejects=(Rejected("second", "it comes again"),))
        return replace(result, parts={"a": part})

    result = run_bulk(work, {"a": 1}, tmp_path / "out", settings={}, finish=finish)
    assert (result.num_in, result.num_out) == (2, 1)
    assert "it comes again" in (tmp_path / "out" / "rejects.jsonl").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"items": {"../a": 1}}, r"'\.\./a': the name of an item must be letters"),
        ({"items": {".a": 1}}, r"'\.a': the name of an item"),
        ({"settings": {"quality": 2}}, "was begun with quality 1, not 2; go on as it was begun"),
        ({"settings": {}}, "was begun with quality 1, not None"),
        ({"seed": 8}, "was begun with seed 7, not 8"),
    ],
)
def test_what_would_not_be_the_same_job_is_refused(done, tmp_path, change, message):
    given = {"items": ITEMS, "settings": {"quality": 1}, "seed": 7, "output": tmp_path / "done"} | change
    with pytest.raises(ValueError, match=message):
        run_bulk(work, **given)
    assert contents(tmp_path / "done") == done[1]


def test_a_folder_without_parts_is_begun_anew_with_other_settings(done, tmp_path):
    """A wrong setting with which nothing could be made does not cost the folder."""

    def refused(number, folder, *, seed, tell):
        raise PoseFileError("too wide.")

    output = tmp_path / "out"
    assert not run_bulk(refused, ITEMS, output, settings={"quality": 0}, seed=3).parts
    run_bulk(work, ITEMS, output, settings={"quality": 1}, seed=7)
    assert contents(output) == done[1]


def test_a_job_laid_out_anew_is_the_same_job(done, tmp_path):
    stated = tmp_path / "done" / "job.json"
    stated.write_text(json.dumps(json.loads(stated.read_text())))
    assert run_bulk(work, ITEMS, tmp_path / "done", settings={"quality": 1}, seed=7) == done[0]


@pytest.mark.parametrize("held", [b"", b"[]", b"\xff"])
def test_damage_of_a_job_is_told(done, tmp_path, held):
    (tmp_path / "done" / "job.json").write_bytes(held)
    with pytest.raises(ValueError, match=r"done: job.json is damaged; go on as it was begun, or choose another"):
        run_bulk(work, ITEMS, tmp_path / "done", settings={"quality": 1}, seed=7)


def test_damage_of_a_part_is_told_by_its_file(done, tmp_path):
    (tmp_path / "done" / "parts" / "item-1" / "part.json").write_text("")
    with pytest.raises(ValueError, match=r"item-1/part.json: must be JSON, but it is damaged"):
        run_bulk(work, ITEMS, tmp_path / "done", settings={"quality": 1}, seed=7)


def test_a_reason_may_name_a_file_that_is_no_utf8(tmp_path):
    def refused(number, folder, *, seed, tell):
        raise PoseFileError("v\udcff.mp4: is damaged.")

    result = run_bulk(refused, {"a": 1}, tmp_path / "out", settings={})
    assert result.failed == {"a": r"v\udcff.mp4: is damaged."}
    assert json.loads((tmp_path / "out" / "rejects.jsonl").read_text())["reason"] == r"v\udcff.mp4: is damaged."


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "hidden" / ".git").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, message in [
        ("full", "full: must be a new folder, or one that this job began"),
        ("hidden", "hidden: must be a new folder"),
        ("file", "file: must be a folder, but a file of that name is there"),
        ("no/where", "no/where: its folder does not exist"),
    ]:
        with pytest.raises(ValueError, match=message):
            run_bulk(work, ITEMS, tmp_path / name, settings={})
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["thesis.tex"]
    assert (tmp_path / "hidden" / ".git").is_dir()


def test_two_jobs_do_not_share_a_folder(tmp_path):
    def second(number, folder, *, seed, tell):
        with pytest.raises(ValueError, match="out: another process works in it"):
            run_bulk(work, ITEMS, tmp_path / "out", settings={})
        return Part(1, 1)

    assert run_bulk(second, {"a": 1}, tmp_path / "out", settings={}).num_out == 1


def test_what_a_killed_process_left_is_cleared_away(done, tmp_path):
    output = tmp_path / "out"
    (output / ".work-01234567" / "item-1").mkdir(parents=True)
    (output / ".work-01234567" / "item-1" / "half").write_text("half")
    (output / ".0123456789abcdef.json").write_text("half")
    run_bulk(work, ITEMS, output, settings={"quality": 1}, seed=7)
    assert [path.name for path in output.glob(".*")] == [".lock"]
    assert contents(output) == done[1]


def test_an_interrupted_job_leaves_whole_parts_only(done, tmp_path):
    def interrupted(number, folder, *, seed, tell):
        (folder / "half").write_text("half")
        if number == 5:
            raise KeyboardInterrupt
        (folder / "half").unlink()
        return work(number, folder, seed=seed, tell=tell)

    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_bulk(interrupted, ITEMS, output, settings={"quality": 1}, seed=7)
    assert sorted(path.name for path in output.iterdir()) == [".lock", "job.json", "parts"]
    assert sorted(path.name for path in (output / "parts").iterdir()) == ["item-0", "item-1", "item-2", "item-4"]
    run_bulk(work, ITEMS, output, settings={"quality": 1}, seed=7)
    assert contents(output) == done[1]


def test_mistakes_of_ours_are_not_rejects(tmp_path):
    def wrong(number, folder, *, seed, tell):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_bulk(wrong, ITEMS, tmp_path / "out", settings={})


def test_a_killed_worker_is_told(tmp_path):
    with pytest.raises(ChildProcessError, match=r"a worker was killed, .*item-5.*; what is done is kept"):
        run_bulk(killed, {"item-5": 5}, tmp_path / "out", settings={}, workers=2)


def test_workers_tell_how_far_they_are(tmp_path):
    told = []
    folder = tmp_path / "1"
    folder.mkdir()
    outcomes = dict(as_finished(partial(work, seed=3), [("one", (1, folder)), ("three", (3, folder))], 1, told.append))
    assert (outcomes["one"], str(outcomes["three"])) == (Part(2, 2), "item 3:\nis damaged.")
    assert told == [0.5, 0.5, 0.5]


SCRIPT = """
import sys
from pathlib import Path
from functools import partial
from pipelines.bulk import run_bulk
from tests.pipelines.test_bulk import ITEMS, work
if __name__ == "__main__":
    settings = {"quality": 1}
    run_bulk(partial(work, pause_s=0.05), ITEMS, Path(sys.argv[1]), settings=settings, seed=7, workers=int(sys.argv[2]))
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_it_goes_on(done, tmp_path, workers):
    (tmp_path / "job.py").write_text(SCRIPT)
    output = tmp_path / "out"
    job = subprocess.Popen(
        [sys.executable, tmp_path / "job.py", output, str(workers)], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    while not (output / "parts" / "item-1").exists():
        assert job.poll() is None
        time.sleep(0.005)
    job.kill()
    job.wait()
    num_parts = len(list((output / "parts").iterdir()))
    assert 2 <= num_parts < 7
    run_bulk(partial(work, pause_s=0), ITEMS, output, settings={"quality": 1}, seed=7)
    assert contents(output) == done[1]
