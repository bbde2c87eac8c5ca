"""Damaged and hostile files: a clip or one line of reason, within two seconds and a gigabyte."""

import io
import resource
import time
import zipfile

import numpy as np
import pytest

from poses.formats.pose_file import write_pose
from poses.formats.signverse import write_signverse
from poses.io import load_poses
from poses.sequence import GlossSpan, PoseFileError, PoseSequence


@pytest.fixture
def seeds(make_poses, publish, save_poses_npz, tmp_path) -> dict[str, bytes]:
    """A whole file of each kind."""
    poses = make_poses(num_frames=3, fps=29.97, language="ase", glosses=(GlossSpan("A", 0, 2),))
    write_signverse(poses, tmp_path / "ours.npz")
    write_pose(poses, tmp_path / "clip.pose")
    payloads = publish([1, 1, 1, 2, 2, 0, 1, 3]).payloads
    published = save_poses_npz(payloads)
    frames = io.BytesIO()
    with zipfile.ZipFile(frames, "w") as archive:
        for number, payload in enumerate(payloads[:4], start=1):
            frame = io.BytesIO()
            np.savez(frame, **payload)
            archive.writestr(f"npz/{number:08d}.npz", frame.getvalue())
        archive.writestr("npz/.complete", b"fps=24\n")
    return {
        "ours.npz": (tmp_path / "ours.npz").read_bytes(),
        "published.npz": published.read_bytes(),
        "deflated.npz": _repacked(published.read_bytes(), lambda name, data: data, zipfile.ZIP_DEFLATED),
        "frames.zip": frames.getvalue(),
        "clip.pose": (tmp_path / "clip.pose").read_bytes(),
    }


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


def _hostile(seeds: dict[str, bytes], random: np.random.Generator) -> tuple[str, bytes]:
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
    swap = random.random() < 0.05
    return name, _repacked(
        data, lambda member, held: held if member != victim else other if swap else _mutated(held, random)
    )


def _check(path, data: bytes) -> bool:
    """Whether the file was read; anything but a clip or one line of reason fails."""
    path.write_bytes(data)
    begin = time.process_time()
    try:
        poses = load_poses(path)
    except PoseFileError as error:
        reason = str(error)
        if not reason.startswith(f"{path}: ") or "\n" in reason or len(reason) > 500:
            raise AssertionError(f"must be one line that names the file: {reason!r}") from error
        return False
    finally:
        assert time.process_time() - begin < 2  # of CPU: other work may keep the clock running
    assert isinstance(poses, PoseSequence)
    return True


@pytest.mark.parametrize("mutations", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_mutated_files_give_a_clip_or_a_reason(seeds, tmp_path, mutations):
    for name, data in seeds.items():
        assert _check(tmp_path / name, data)
    random = np.random.default_rng(mutations)
    read, before = 0, _peak_memory()
    for _ in range(mutations):
        name, data = _hostile(seeds, random)
        read += _check(tmp_path / name, data)
    assert 0.02 * mutations < read < 0.9 * mutations  # otherwise the mutations are too weak or too strong to tell
    assert _peak_memory() - before < 2**30


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
