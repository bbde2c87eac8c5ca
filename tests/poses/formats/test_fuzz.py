"""Damaged and hostile files: a clip or one line of reason, within two seconds and a gigabyte, and nothing is run."""

import codecs
import ctypes
import importlib
import io
import json
import operator
import os
import pickle
import re
import resource
import runpy
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poses.captions import Caption
from poses.corpus.shards import CorpusClip, Reject, read_shard
from poses.formats.pose_file import write_pose
from poses.formats.signverse import write_signverse
from poses.formats.signverse_published import Defects, publish_video, write_shard
from poses.io import load_poses
from poses.people import People
from poses.sequence import GlossSpan, PoseFileError, PoseSequence

SEEDS = st.integers(0, 2**32 - 1)
MANY = 10_000
VIDEOS = ("one________", "frames_____", "spilled____", "crowd______")


def _people(counts: list[int], seed: int) -> People:
    random = np.random.default_rng(seed)
    shape = (len(counts), max(counts), 128)
    keypoints = random.uniform(0, 0.2, (*shape, 2)).astype(np.float32)
    keypoints[..., 0] += np.arange(shape[1])[:, None] / shape[1]
    confidence = random.uniform(0, 1, shape).astype(np.float32)
    confidence[..., :18] = 1
    exists = np.arange(shape[1]) < np.array(counts)[:, None]
    return People(keypoints, confidence * exists[..., None], np.array(counts, np.int32), 24.0, 640, 360, "", (), ())


class _Files(dict):
    """Shown by name, since Hypothesis shows what a test was given."""

    def __repr__(self) -> str:
        return ", ".join(self)


@pytest.fixture(scope="module")
def videos() -> dict[str, dict[str, bytes]]:
    """Videos of both schemes with the corpus's defects."""
    kinds = [([1, 1, 1], Defects()), ([1, 2, 0], Defects("frames", "stream")),
             ([1, 0, 2, 2], Defects(decoding="jpg-spill", off_frame=True)), ([3, 2], Defects(stride=2))]  # fmt: skip
    captions = {"en": [Caption(0, 0.1, "hello")]}
    return _Files(
        (video_id, publish_video(_people(counts, at), video_id, defects, captions=captions))
        for at, (video_id, (counts, defects)) in enumerate(zip(VIDEOS, kinds, strict=True))
    )


@pytest.fixture(scope="module")
def seeds(videos, tmp_path_factory) -> dict[str, bytes]:
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("seeds")
    people = replace(_people([1, 1, 1], 9), fps=29.97)
    poses = PoseSequence(
        people.keypoints[:, 0], people.confidence[:, 0], 29.97, 640, 360, "", "ase", (GlossSpan("A", 0, 2),)
    )
    write_signverse(poses, folder / "ours.npz")
    write_pose(poses, folder / "clip.pose")
    published = publish_video(_people([1, 1, 1, 2, 2, 0, 1, 3], 8), "published")["npz/poses.npz"]
    frames = io.BytesIO()
    with zipfile.ZipFile(frames, "w") as archive:
        for name, data in videos["frames_____"].items():
            if name.startswith("npz/"):
                archive.writestr(name, data)
    return _Files(
        {
            "ours.npz": (folder / "ours.npz").read_bytes(),
            "published.npz": published,
            "deflated.npz": _repacked(published, lambda name, data: data, zipfile.ZIP_DEFLATED),
            "spilled.npz": videos["spilled____"]["npz/poses.npz"],
            "frames.zip": frames.getvalue(),
            "clip.pose": (folder / "clip.pose").read_bytes(),
        }
    )


# What must not happen

_FORBIDDEN = {
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir", "os.rmdir",
    "os.link", "os.symlink", "os.truncate", "os.chmod", "os.putenv", "subprocess.Popen", "pickle.find_class", "exec",
    "compile", "ctypes.dlopen", "socket.connect", "socket.bind", "shutil.rmtree", "tempfile.mkdtemp",
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_seen: list[str] | None = None


def _audit(event: str, arguments: tuple) -> None:
    if _seen is not None and (event in _FORBIDDEN or (event == "open" and (arguments[2] or 0) & _WRITING)):
        _seen.append(event)


@pytest.fixture(scope="module", autouse=True)
def _audited(seeds, videos, tmp_path_factory):
    """Everything Python does is told to this hook, which cannot be taken away again; it rests between files.

    Whole files are read before, since importing a module runs code, too.
    """
    folder = tmp_path_factory.mktemp("whole")
    for name, data in seeds.items():
        (folder / name).write_bytes(data)
        load_poses(folder / name)
    with (folder / "shard.tar").open("wb") as stream:
        write_shard(stream, videos.items())
    assert len(list(read_shard(folder / "shard.tar"))) == len(VIDEOS)
    codecs.lookup("cp437")  # of names in old zip files
    sys.addaudithook(_audit)


@contextmanager
def nothing_happens():
    """Within two seconds of processor time, since other work may keep the clock running."""
    global _seen
    _seen = found = []
    begin = time.process_time()
    try:
        yield
    finally:
        taken, _seen = time.process_time() - begin, None
    assert taken < 2
    assert found == []


def _check(path: Path, data: bytes) -> bool:
    """Whether the file was read; anything but a clip or one line of reason fails."""
    path.write_bytes(data)
    with nothing_happens():
        try:
            poses = load_poses(path)
        except PoseFileError as error:
            _check_reason(str(error), path)
            return False
    assert isinstance(poses, PoseSequence)
    return True


def _check_reason(reason: str, path: Path) -> None:
    assert reason.startswith(f"{path}: ")
    assert "\n" not in reason
    assert len(reason) < 600


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Files


def _repacked(data: bytes, change, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The same zip file with changed members and checksums that are right again."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(packed, "w", compression) as archive:
        for name in source.namelist():
            archive.writestr(name, change(name, source.read(name)))
    return packed.getvalue()


def _mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Flips, cuts, doubles or moves bytes, mostly few of them."""
    changed = bytearray(data)
    for _ in range(int(random.geometric(0.4))):
        at = int(random.integers(len(changed) + 1))
        length = int(random.geometric(0.1))
        kind = random.integers(6)
        if kind < 2 and changed:
            changed[at % len(changed)] ^= 1 << int(random.integers(8))
        elif kind == 2 and changed:
            changed[at % len(changed)] = int(random.choice([0, 1, 0x2E, 0x5D, 0x7D, 0x7F, 0x80, 0x94, 0xFF]))
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        else:
            there = int(random.integers(len(changed) + 1))
            changed[there:there] = changed[at : at + length]
    if random.random() < 0.1:
        del changed[int(random.integers(len(changed) + 1)) :]
    return bytes(changed)


def _damaged(seeds: dict[str, bytes], random: np.random.Generator) -> tuple[str, bytes]:
    """Damages a whole file, or one member of it whose checksum is right again, or puts another in its place."""
    name = str(random.choice(list(seeds)))
    data = seeds[name]
    if name == "clip.pose" or random.random() < 0.25:
        # Headers decide most, and are a small part of the file.
        head = int(random.choice([200, 3000, len(data)]))
        return name, _mutated(data[:head], random) + data[head:]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        victim = str(random.choice(archive.namelist()))
        if "frame_payloads.npy" in archive.namelist() and random.random() < 0.6:
            victim = "frame_payloads.npy"
        other = archive.read(str(random.choice(archive.namelist())))
    if victim == "frame_payloads.npy" and random.random() < 0.2:
        return name, _with_pickle(
            data, _mutated(pickle.dumps(_hostile_payloads(random), random.integers(2, 6)), random)
        )
    swap = random.random() < 0.05
    return name, _repacked(
        data, lambda member, held: held if member != victim else other if swap else _mutated(held, random)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEEDS)
def test_a_mutated_file_gives_a_clip_or_a_reason(seeds, tmp_path, seed):
    name, data = _damaged(seeds, np.random.default_rng(seed))
    _check(tmp_path / name, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_mutated_files_give_clips_or_reasons(seeds, tmp_path):
    random = np.random.default_rng(0)
    read, before = 0, _peak_memory()
    for _ in range(MANY):
        name, data = _damaged(seeds, random)
        read += _check(tmp_path / name, data)
    print(json.dumps({"files": MANY, "clips": read, "reasons": MANY - read}))
    assert 0.02 * MANY < read < 0.9 * MANY  # otherwise the mutations are too weak or too strong to tell
    assert _peak_memory() - before < 2**30


# Pickles that run something


class _Reduced:
    """Pickles into a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "a command": (os.system, "touch ran"),
    "a process": (subprocess.Popen, ["touch", "ran"]),
    "an expression": (eval, "open('ran', 'w')"),
    "statements": (exec, "open('ran', 'w')"),
    "a compiler": (compile, "open('ran', 'w')", "a", "exec"),
    "a file": (open, "ran", "w"),
    "a module": (importlib.import_module, "antigravity"),
    "a script": (runpy.run_path, "ran.py"),
    "another pickle": (pickle.loads, pickle.dumps(_Reduced(os.system, "touch ran"))),
    "a folder removed": (shutil.rmtree, "."),
    "a file removed": (os.remove, "poses.npz"),
    "a folder": (os.mkdir, "ran"),
    "a folder somewhere": (tempfile.mkdtemp,),
    "a connection": (socket.create_connection, ("127.0.0.1", 9)),
    "a library": (ctypes.CDLL, "libc.so.6"),
    "a class": (type, "Made", (), {}),
    "numpy's loader": (np.load, "poses.npz"),
    "numpy's memory": (np.zeros, (2**20, 2**20)),
    "much memory": (bytearray, 2**36),
    "much text": (operator.mul, "a", 2**40),
    "much time": (list, range(10**12)),
}
PLACES = {
    "the array": lambda call: call,
    "a frame": lambda call: _objects([{"num_persons": np.asarray(1)}, call]),
    "a value": lambda call: _objects([{"num_persons": call}] * 3),
    "a key": lambda call: _objects([{call: 1}]),
    "a list": lambda call: [call, _objects([{}])],
}


def _objects(frames: list) -> np.ndarray:
    array = np.empty(len(frames), object)
    array[:] = frames
    return array


def _hostile_payloads(random: np.random.Generator) -> object:
    kind, place = str(random.choice(list(HOSTILE))), str(random.choice(list(PLACES)))
    return PLACES[place](_Reduced(*HOSTILE[kind]))


def _with_pickle(npz: bytes, pickled: bytes) -> bytes:
    """A `poses.npz` whose frames are the given pickle; others have none."""

    def change(name: str, held: bytes) -> bytes:
        return held[: held.index(b"\n") + 1] + pickled if name == "frame_payloads.npy" else held

    return _repacked(npz, change)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_pickle_runs_anything(seeds, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "poses.npz"
    # Protocols differ in how they name a function, which is the same at every place.
    for place, protocol in [*((place, 5) for place in PLACES), ("the array", 2), ("a frame", 4)]:
        pickled = pickle.dumps(PLACES[place](_Reduced(*HOSTILE[kind])), protocol)
        assert not _check(path, _with_pickle(seeds["published.npz"], pickled))
        assert os.listdir(tmp_path) == ["poses.npz"]


def test_the_hook_sees_what_a_pickle_runs(tmp_path, monkeypatch):
    """Otherwise the tests above would show nothing."""
    monkeypatch.chdir(tmp_path)
    for kind in ("a command", "a folder"):
        with pytest.raises(AssertionError), nothing_happens():
            pickle.loads(pickle.dumps(_Reduced(*HOSTILE[kind])))
        assert os.listdir(tmp_path) == ["ran"]
        os.rename("ran", tmp_path.parent / kind)


# Bombs


def _zip(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _understated(npz: bytes, member: str) -> bytes:
    """A zip that says a member were small."""
    data = bytearray(npz)
    at = data.rindex(member.encode()) - 46
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    return bytes(data)


def _npy(shape: str, descr: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


ZEROS = bytes(2**24)
BOMBS = {
    "zeros": lambda: _zip({"frame_payloads.npy": _npy("(1,)", "|O", b"\x80\x04" + ZEROS)}),
    "understated zeros": lambda: _understated(_zip({"frame_payloads.npy": ZEROS}), "frame_payloads.npy"),
    "zeros in a frame": lambda: _zip({"00000001.npz": _zip({"num_persons.npy": ZEROS})}),
    "a large shape": lambda: _zip({"00000001.npz": _zip({"num_persons.npy": _npy("(999999999999, 999999999999)")})}),
    "a large text": lambda: _zip({"00000001.npz": _zip({"num_persons.npy": _npy("()", "<U999999999")})}),
    "many dimensions": lambda: _zip({"00000001.npz": _zip({"num_persons.npy": _npy("(" + "1, " * 500 + ")")})}),
    "many frames": lambda: _zip({f"{at:08d}.npz": b"" for at in range(5000)}),
    "one frame far away": lambda: _zip({"00000001.npz": b"", "99999999.npz": b""}),
    "a zip in a zip": lambda: _zip({"00000001.npz": _zip({"00000001.npz": _zip({"num_persons.npy": b""})})}),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_take_neither_time_nor_memory(tmp_path, bomb):
    data, before = BOMBS[bomb](), _peak_memory()
    assert not _check(tmp_path / "poses.npz", data)
    assert _peak_memory() - before < 2**28


# Shards


def _member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), "../../../etc/passwd"
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


STRANGE = {
    "a symbolic link": lambda: _member("one________/npz/a.npz", tarfile.SYMTYPE),
    "a hard link": lambda: _member("frames_____/npz/poses.npz", tarfile.LNKTYPE),
    "a character device": lambda: _member("crowd______/npz/poses.npz", tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a block device": lambda: _member("sda", tarfile.BLKTYPE, devmajor=8),
    "a pipe": lambda: _member("spilled____/npz/poses.npz", tarfile.FIFOTYPE),
    "an absolute path": lambda: _member("/etc/cron.d/ran", data=b"* * * * * touch ran"),
    "a path outside": lambda: _member("one________/../../ran", data=b"ran"),
    "a path outside, folder": lambda: _member("../ran", tarfile.DIRTYPE),
    "a path with backslashes": lambda: _member("one________\\..\\ran", data=b"ran"),
    "a name that is no text": lambda: _member("one________/npz/\udcff\udcfe", data=b"ran"),
    "a long name": lambda: _member("one________/" + "a/" * 3000 + "a", data=b"ran"),
    "a sparse file": lambda: _member("one________/npz/poses.npz", b"S"),
    "a huge file": lambda: _member("one________/npz/poses.npz", data=b"", size=2**50),
    "a negative size": lambda: _member("one________/npz/poses.npz", data=b"", size=-1),
    "a huge extension": lambda: _member("one________", b"x", size=2**33),
    "a folder again": lambda: _member("one________", tarfile.DIRTYPE),
    "a bomb": lambda: _member("bomb_______/npz/poses.npz", data=BOMBS["zeros"]()),
    "a member of nobody": lambda: _member("poses.npz", data=b"\x80\x04."),
}


_STRANGE_BYTES: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def _strange_bytes() -> None:
    _STRANGE_BYTES.update({kind: make() for kind, make in STRANGE.items()})


def _hostile_shard(videos: dict[str, dict[str, bytes]], random: np.random.Generator) -> tuple[bytes, Counter]:
    """A shard with one to three kinds of damage, and which."""
    files = {video_id: dict(held) for video_id, held in videos.items()}
    kinds: Counter[str] = Counter()
    if random.random() < 0.3:
        kinds["hostile pickle"] += 1
        hostile = pickle.dumps(_hostile_payloads(random), random.integers(2, 6))
        files["one________"]["npz/poses.npz"] = _with_pickle(files["one________"]["npz/poses.npz"], hostile)
    if random.random() < 0.3:
        kinds["damaged member"] += 1
        victim = files[str(random.choice(VIDEOS))]
        name = str(random.choice(list(victim)))
        victim[name] = _mutated(victim[name], random)
    if random.random() < 0.2:
        kinds["swapped members"] += 1
        a, b = (str(name) for name in random.choice(VIDEOS, 2))
        first, second = str(random.choice(list(files[a]))), str(random.choice(list(files[b])))
        files[a][first], files[b][second] = files[b][second], files[a][first]
    stream = io.BytesIO()
    write_shard(stream, files.items(), tar_format=int(random.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])))
    data = stream.getvalue()
    if random.random() < 0.4:
        kind = str(random.choice(list(STRANGE)))
        kinds[kind] += 1
        at = int(random.integers(len(data) // 512)) * 512
        data = data[:at] + _STRANGE_BYTES[kind] + data[at:]
    if not kinds or random.random() < 0.3:
        kinds["mutated bytes"] += 1
        data = _mutated(data, random)
    return data, kinds


def _owners(data: bytes, video_id: str, entries: list[CorpusClip | Reject]) -> Iterator[CorpusClip | Reject | None]:
    """In which entry each member of a video lies, as far as its header is whole; an entry reaches to the next one."""
    ordered = sorted(entries, key=lambda entry: entry.offset)
    for found in re.finditer(re.escape(video_id).encode() + b"[/\\0]", data):
        try:
            tarfile.TarInfo.frombuf(data[found.start() : found.start() + 512], "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            continue
        before = [entry for entry in ordered if entry.offset <= found.start()]
        yield before[-1] if before else None


def _check_shard(path: Path, data: bytes) -> tuple[int, int]:
    """How many videos were read and rejected; one that is missing lies in a stretch that is rejected."""
    path.write_bytes(data)
    with nothing_happens():
        entries = list(read_shard(path))
    clips = [entry for entry in entries if isinstance(entry, CorpusClip)]
    rejects = [entry for entry in entries if isinstance(entry, Reject)]
    assert len(clips) + len(rejects) == len(entries)
    for reject in rejects:
        _check_reason(reject.reason, path)
    read = {clip.video_id for clip in clips}
    assert len(read) == len(clips)
    missing = set(VIDEOS) - {entry.video_id for entry in entries}
    assert not missing or rejects
    for video_id in missing:
        for owner in _owners(data, video_id, entries):
            assert isinstance(owner, Reject)
    assert os.listdir(path.parent) == [path.name]
    return len(clips), len(rejects)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEEDS)
def test_a_mutated_shard_gives_clips_and_reasons(videos, tmp_path, seed):
    data, _ = _hostile_shard(videos, np.random.default_rng(seed))
    _check_shard(tmp_path / "shard.tar", data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_mutated_shards_give_clips_and_reasons(videos, tmp_path):
    random = np.random.default_rng(0)
    kinds: Counter[str] = Counter()
    total, before = np.zeros(2, int), _peak_memory()
    for _ in range(MANY):
        data, done = _hostile_shard(videos, random)
        kinds += done
        total += _check_shard(tmp_path / "shard.tar", data)
    clips, rejects = total.tolist()
    print(json.dumps({"shards": MANY, "clips": clips, "rejects": rejects, "kinds": dict(kinds)}))
    assert 0.5 * MANY < clips < 3.9 * MANY
    assert rejects > 0.5 * MANY
    assert _peak_memory() - before < 2**30


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_members_do_no_harm(videos, tmp_path, kind):
    """At the front, so that all the videos come after."""
    stream = io.BytesIO()
    write_shard(stream, videos.items())
    before = _peak_memory()
    clips, rejects = _check_shard(tmp_path / "shard.tar", STRANGE[kind]() + stream.getvalue())
    assert clips >= 3 or "huge" in kind
    assert rejects or "again" in kind
    assert _peak_memory() - before < 2**28
