"""The commands of `signloop corpus`, on shards as they are published."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from pipelines.cli import main
from pipelines.corpus import convert, plan, split, stats
from poses.corpus.splits import read_index
from poses.corpus.store import ClipStore
from poses.formats.signverse_published import Defects, publish_video, write_shard
from poses.people import People

ROOT = Path(__file__).resolve().parent.parent.parent
INDEX = """video_id,sign_language,split
ase--------,ase,train
bfi--------,bfi,train
bfi--damage,bfi,test
lse--------,ssp,val
nobody-----,bfi,train
elsewhere--,ase,train
"""


def people(num_people: int, num_frames: int, seed: int, fps: float = 24) -> People:
    generator = np.random.default_rng(seed)
    body = generator.uniform(0, 0.1, (num_people, 128, 2)) + np.linspace(0, 0.8, num_people)[:, None, None]
    keypoints = (body + generator.normal(0, 1e-3, (num_frames, num_people, 128, 2))).astype(np.float32)
    confidence = np.full((num_frames, num_people, 128), 0.9, np.float32)
    return People(keypoints, confidence, np.full(num_frames, num_people, np.int32), fps, 640, 360, "", (), ())


def save_shard(path: Path, videos: dict[str, tuple[int, Defects | None]], num_frames: int = 48) -> None:
    with path.open("wb") as stream:
        made = (
            (name, publish_video(people(count, num_frames, seed, 24 / (defects or Defects()).stride), name, defects))
            for seed, (name, (count, defects)) in enumerate(videos.items())
        )
        write_shard(stream, made)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Two shards, the index and the upload's progress."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "shards").mkdir()
    save_shard(
        folder / "shards" / "S_000001.tar", {"ase--------": (1, None), "bfi--damage": (1, Defects(damaged_crc=True))}
    )
    save_shard(folder / "shards" / "S_000002.tar", {"bfi--------": (2, None), "lse--------": (1, Defects(stride=2)),
                                                    "nobody-----": (0, None)})  # fmt: skip
    (folder / "index.csv").write_text(INDEX)
    held = {"ase--------": 1, "bfi--damage": 1, "bfi--------": 2, "lse--------": 2, "nobody-----": 2}
    progress = {
        "uploaded_folders": {name: f"S_00000{number}.tar" for name, number in held.items()},
        "archives": {"S_000001.tar": {"size_bytes": 2_000_000_000}},
    }
    (folder / "progress.json").write_text(json.dumps(progress))
    return folder


@pytest.fixture(scope="module")
def store(corpus, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "store"
    assert main(["corpus", "convert", str(corpus / "shards"), str(output), "--index", str(corpus / "index.csv")]) == 0
    return output


def test_plan(corpus, capfd):
    said, _ = plan(corpus / "progress.json", index=corpus / "index.csv", languages=["lse", "ase"])
    assert [(shard["name"], shard["wanted"]) for shard in said["shards"]] == [
        ("S_000001.tar", ("ase--------",)), ("S_000002.tar", ("lse--------",))
    ]  # fmt: skip
    assert (said["num_bytes"], said["num_shards_of_unknown_size"], said["missing"]) == (2e9, 1, ("elsewhere--",))
    assert main(["corpus", "plan", str(corpus / "progress.json"), "--ids", "ase--------", "bfi--------"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "S_000001.tar  2.00 GB  1 of its 2 videos",
        "S_000002.tar  size unknown  1 of its 3 videos",
        "2 shards, 2.00 GB and 1 unknown; 0 videos are in no shard.",
    ]
    assert len(plan(corpus / "progress.json")[0]["shards"]) == 2
    with pytest.raises(ValueError, match="`index` must be given with `languages`"):
        plan(corpus / "progress.json", languages=["bfi"])


def test_convert_counts_what_goes_in(store, corpus):
    clips = ClipStore(store)
    assert [(clip.video_id, clip.language, clip.fps) for clip in clips] == [
        ("ase--------", "ase", 24), ("bfi--------", "bfi", 24), ("lse--------", "ssp", 12)
    ]  # fmt: skip
    rejects = [json.loads(line) for line in (store / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["item"], reject["name"], reject["group"]) for reject in rejects] == [
        ("S_000001", "bfi--damage", "bfi"), ("S_000002", "nobody-----", "bfi")
    ]  # fmt: skip
    assert "Bad CRC-32" in rejects[0]["reason"]
    assert "nobody is in any of its 48 frames" in rejects[1]["reason"]


def test_convert_chosen_videos_over_an_address(corpus, tmp_path):
    import fsspec

    with fsspec.open("memory://S_000002.tar", "wb") as stream:
        stream.write((corpus / "shards" / "S_000002.tar").read_bytes())
    said, _ = convert(["memory://S_000002.tar"], tmp_path / "out", ids=["bfi--------"])
    assert said == {"output": str(tmp_path / "out"), "num_in": 1, "num_out": 1, "num_rejects": 0, "failed": {}}
    with pytest.raises(ValueError, match=r"was begun with videos '1 \("):
        convert(["memory://S_000002.tar"], tmp_path / "out")


def test_repairs_can_be_left_out(corpus, tmp_path):
    args = [str(corpus / "shards" / "S_000002.tar")], tmp_path / "out"
    convert(*args, without_repairs=["hands", "frame-indices"])
    assert ClipStore(tmp_path / "out").table.column("repairs").to_pylist() == [["body-codes-1"], ["body-codes-1"]]
    with pytest.raises(ValueError, match="was begun with repairs"):
        convert(*args, without_repairs=["hands"])
    with pytest.raises(ValueError, match=r"`without_repairs` must be among body-codes, hands, .*, got 'feet'"):
        convert(*args, without_repairs=["feet"])


def test_a_shard_that_cannot_be_read_is_tried_again(corpus, tmp_path):
    import fsspec

    args = [str(corpus / "shards"), "memory://late.tar"], tmp_path / "out"
    said, text = convert(*args)
    assert (said["num_in"], said["num_out"], said["num_rejects"]) == (6, 3, 3)
    assert list(said["failed"]) == ["late"]
    assert text.splitlines()[1].startswith("memory://late.tar: cannot be read")
    with fsspec.open("memory://late.tar", "wb") as stream:
        write_shard(stream, [("late-------", publish_video(people(1, 5, 0), "late-------"))])
    said, _ = convert(*args)
    assert (said["num_in"], said["num_out"], said["num_rejects"], said["failed"]) == (6, 4, 2, {})


def test_a_video_in_two_shards_counts_once(corpus, tmp_path):
    save_shard(tmp_path / "again.tar", {"ase--------": (1, None)})
    shards = [str(corpus / "shards" / "S_000001.tar"), str(tmp_path / "again.tar")]
    said, _ = convert(shards, tmp_path / "out")
    assert (said["num_in"], said["num_out"], said["num_rejects"]) == (3, 2 - 1, 2)
    assert ClipStore(tmp_path / "out").table.column("part").to_pylist() == ["S_000001"]
    with pa.memory_map(str(tmp_path / "out" / "parts" / "again" / "clips.arrow")) as file:
        assert pa.ipc.open_stream(file).read_all().num_rows == 0  # so that `datasets` counts alike
    before = contents(tmp_path / "out")
    convert(shards, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert reasons[1] == "again: ase--------: the video comes again, and only the first one counts."


def test_captions_come_from_the_archive_of_subtitles(corpus, tmp_path):
    cue = b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello"
    with (tmp_path / "subtitles.tar").open("wb") as stream:
        write_shard(stream, [("ase--------", {"english.en.native.vtt": cue, "english.en.nllb.vtt": cue})])
    args = [str(corpus / "shards" / "S_000001.tar")], tmp_path / "out"
    convert(*args, subtitles=str(tmp_path / "subtitles.tar"))
    tracks = [(track.language, track.provenance) for track in ClipStore(tmp_path / "out")["ase--------"].captions]
    assert tracks == [("en", "human"), ("en", "machine-translated")]
    with pytest.raises(ValueError, match=r"was begun with subtitles '[0-9a-f]+', not 'none'"):
        convert(*args)


def test_an_archive_without_subtitles_is_refused(corpus, tmp_path):
    (tmp_path / "page.tar").write_text("<html>Not found</html>" * 100)
    with pytest.raises(ValueError, match=r"page\.tar: expected a tar of subtitles, found none in it\."):
        convert([str(corpus / "shards" / "S_000001.tar")], tmp_path / "out", subtitles=str(tmp_path / "page.tar"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        (["missing.tar"], r"missing\.tar"),
        (["."], r"must hold tar files, found none"),
        (["memory://a/S.tar", "memory://b/S.tar"], "`shards` must have different names"),
    ],
)
def test_shards_that_are_none(shards, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert(shards, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("held", [b"{", b"[]", b"\xff"])
def test_damaged_rejects_are_told_by_their_file(store, tmp_path, held):
    shutil.copytree(store, tmp_path / "store")
    (tmp_path / "store" / "rejects.jsonl").write_bytes(held)
    with pytest.raises(ValueError, match=r"rejects\.jsonl: must be a line of JSON a reject, but it is damaged\."):
        stats(tmp_path / "store")


def test_names_of_rejects_hold_what_ends_a_line_elsewhere(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    rejects = tmp_path / "store" / "rejects.jsonl"
    before, first = stats(store)[0], json.loads(rejects.read_text(encoding="utf-8").split("\n")[0])
    first["name"] = "a\u2028b\x85c"
    with rejects.open("a", encoding="utf-8") as file:
        file.write(json.dumps(first, ensure_ascii=False) + "\n")
    after = stats(tmp_path / "store")[0]
    languages = [code for code in after["languages"] if after["languages"][code] != before["languages"].get(code)]
    assert languages == [first["group"]]


def test_stats(store):
    said, text = stats(store)
    assert list(said["languages"]) == ["ase", "bfi", "ssp"]
    assert said["languages"]["bfi"] == {
        "clips": 1,
        "hours": 48 / 24 / 3600,
        "usable": 1.0,
        "people": 2,
        "rejects": 2,
        "repairs": {"body-codes-1": 1, "hands-1": 1},
        "seconds_a_clip": 2.0,
        "people_a_clip": 2.0,
    }
    assert said["languages"]["ssp"]["repairs"] == {"body-codes-1": 1, "frame-indices-1": 1}
    assert said["macro"]["people_a_clip"] == pytest.approx(4 / 3)
    assert said["macro"]["seconds_a_clip"] == pytest.approx((2 + 2 + 4) / 3)
    lines = text.splitlines()
    assert lines[1].split()[:4] == ["ase", "American", "Sign", "Language"]
    assert lines[-1].startswith("Each of 3 languages counted once: 0.00 hours, 100% usable, 2.7 s and 1.33 people")


def test_split(corpus, tmp_path):
    said, text = split(corpus / "index.csv", tmp_path / "a.csv")
    assert said == {"output": str(tmp_path / "a.csv"), "by": "official", "videos": {"train": 4, "test": 1, "val": 1}}
    assert text == f"{tmp_path / 'a.csv'}: 4 train, 1 val, 1 test."
    assert (tmp_path / "a.csv").read_text() == INDEX
    with pytest.raises(ValueError, match=r"a\.csv: already there"):
        split(corpus / "index.csv", tmp_path / "a.csv")
    names = [line.split(",")[0] for line in INDEX.splitlines()[1:]]
    (tmp_path / "channels.csv").write_text(
        "".join(f"{name},{'Zoo' if name.startswith('bfi') else name}\n" for name in names)
    )
    said, _ = split(corpus / "index.csv", tmp_path / "b.csv", channels=tmp_path / "channels.csv")
    splits = {name: video.split for name, video in read_index(tmp_path / "b.csv").items()}
    assert (said["by"], sum(said["videos"].values()), list(splits)) == ("channel", 6, names)
    assert splits["bfi--------"] == splits["bfi--damage"]


def test_split_warns_of_bodies_in_two_splits(tmp_path):
    same = publish_video(people(1, 30, 7), "x")
    other = publish_video(people(1, 30, 8), "x")
    with (tmp_path / "s.tar").open("wb") as stream:
        write_shard(stream, [("train------", same), ("test-------", same), ("other------", other)])
    convert([str(tmp_path / "s.tar")], tmp_path / "store")
    index, output = tmp_path / "index.csv", tmp_path / "out.csv"
    index.write_text("train------,ase\ntest-------,ase\nother------,ase\n")
    with pytest.raises(ValueError, match="must hold splits where `channels` are not given"):
        split(index, output)
    index.write_text("train------,ase,train\ntest-------,ase,test\nother------,ase,val\n")
    said, text = split(index, output, store=tmp_path / "store")
    assert said["leaks"] == [{"video_id": "test-------", "train_id": "train------", "difference": 0.0}]
    assert "test------- (test) has the proportions of train------ (train), 0.000 apart." in text


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def start(corpus: Path, output: Path, workers: int, *, stderr: int = subprocess.DEVNULL) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipelines.cli", "corpus", "convert", corpus, output, "--workers", str(workers)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)


def members(group: int) -> list[int]:
    """Processes of a group that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def save_shards(folder: Path, count: int) -> Path:
    """Shards with 5 videos each, one of them damaged."""
    for shard in range(count):
        videos = {f"{shard:05d}-{at:05d}": (1 + at % 2, None) for at in range(4)}
        save_shard(folder / f"S_{shard:06d}.tar", videos | {f"{shard:05d}-crc--": (1, Defects(damaged_crc=True))}, 100)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    return save_shards(tmp_path_factory.mktemp("many"), 8)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_makes_the_same(many, tmp_path):
    assert start(many, tmp_path / "whole", 1).wait() == 0
    whole = contents(tmp_path / "whole")
    moments = random.Random(0)
    kills, folder = 0, 0
    while kills < 20:
        output = tmp_path / f"killed-{folder}"
        folder += 1
        while kills < 20:
            job = start(many, output, 2)
            try:
                job.wait(moments.uniform(0.5, 4))
                break  # it came to its end before
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
                job.wait()
                kills += 1
        job = start(many, output, 2)
        assert job.wait() == 0
        assert contents(output) == whole
    assert len(ClipStore(output)) == 32
    assert len(whole["rejects.jsonl"].splitlines()) == 8


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_leaves_whole_parts(tmp_path):
    (tmp_path / "shards").mkdir()
    shards = save_shards(tmp_path / "shards", 160)  # some seconds of work, after the first part
    job = start(shards, tmp_path / "out", 2, stderr=subprocess.PIPE)
    while not (tmp_path / "out" / "parts").is_dir() or not any((tmp_path / "out" / "parts").iterdir()):
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGINT)
    _, err = job.communicate(timeout=20)
    assert job.returncode == 130
    assert b"Traceback" not in err
    assert err.splitlines()[-1] == b"signloop: interrupted."
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".lock", "job.json", "parts"}
    deadline = time.monotonic() + 20
    while members(job.pid):  # the last one sees that the others are gone
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert start(shards, tmp_path / "out", 1).wait() == 0
    assert len(ClipStore(tmp_path / "out")) == 640
