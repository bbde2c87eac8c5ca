"""Shards: videos in both schemes and with every published defect come out, damage is counted, nothing is unpacked."""

import io
import os
import re
import tarfile
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from poses.captions import Caption
from poses.corpus import shards
from poses.corpus.shards import CorpusClip, Reject, find_subtitles, read_shard, with_subtitles
from poses.keypoints import PARTS
from poses.sequence import PoseFileError

DEFECTS = {
    "one________": {"counts": [1, 1, 1]},
    "doubled____": {"counts": [1, 1, 1, 1], "decoding": "jpg-spill"},
    "noindices__": {"counts": [1, 1], "decoding": "stream"},
    "stride_____": {"counts": [1, 1, 1], "stride": 3},
    "handless___": {"counts": [1, 1], "without_hands": True},
    "twopeople__": {"counts": [2, 2, 1, 0, 3]},
    "fivepeople_": {"counts": [5, 4]},
    "offframe___": {"counts": [1, 1], "off_frame": True},
    "frames_____": {"counts": [1, 2, 0, 1], "scheme": "frames"},
    "captions___": {"counts": [1, 1], "captions": {"en": "hello", "en-de": "5", "de": "5"}},
}
VIDEO = "abcdefghijk"


@pytest.fixture
def shard(tmp_path, make_shard):
    """Writes videos as a shard."""

    def write(videos: dict[str, dict[str, bytes]], change=lambda data: data, name: str = "shard.tar", **options):
        path = tmp_path / name
        path.write_bytes(change(make_shard(videos, **options)))
        return path

    return write


@pytest.fixture
def published(make_video):
    return {
        video_id: make_video(**defects, seed=seed, video_id=video_id)
        for seed, (video_id, defects) in enumerate(DEFECTS.items())
    }


def test_every_published_defect_is_read(shard, published, make_people):
    read = {clip.video_id: clip for clip in read_shard(shard(published))}
    assert list(read) == list(DEFECTS)
    for seed, (video_id, clip) in enumerate(read.items()):
        assert isinstance(clip, CorpusClip)
        defects = DEFECTS[video_id]
        keypoints, confidence = make_people(defects["counts"], seed)
        confidence[..., PARTS["body"]] = confidence[..., PARTS["body"]] > 0.3
        if "without_hands" in defects:
            keypoints[..., 18:60, :], confidence[..., 18:60] = 0, 0
        assert np.array_equal(clip.people.num_people, defects["counts"])
        assert np.array_equal(clip.people.keypoints, keypoints)
        assert np.array_equal(clip.people.confidence, confidence)
        assert clip.people.fps == (8 if "stride" in defects else 24)
        assert (clip.complete, clip.problems) == (True, ())
        assert ("hands-1" in clip.people.repairs) == (max(defects["counts"]) > 1)
    assert [(track.language, track.provenance, track.captions) for track in read["captions___"].captions] == [
        ("de", "unknown", (Caption(0, 1, "5"),)),
        ("en", "unknown", (Caption(0, 1, "hello"),)),
        ("en-de", "machine-translated", (Caption(0, 1, "5"),)),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_ids_are_chosen_and_left_out(shard, published, form):
    path = shard(published, tar_format=form)
    chosen = [clip.video_id for clip in read_shard(path, only={"one________", "captions___", "elsewhere__"})]
    assert chosen == ["one________", "captions___"]
    rest = [clip.video_id for clip in read_shard(path, skip=set(chosen))]
    assert sorted(rest + chosen) == sorted(DEFECTS)


def test_going_on_after_a_stop_gives_the_same(shard, published):
    path = shard(published)
    whole = [(clip.video_id, clip.offset) for clip in read_shard(path)]
    for stop in (1, 4, len(whole)):
        done = whole[:stop]
        rest = [(clip.video_id, clip.offset) for clip in read_shard(path, skip={video_id for video_id, _ in done})]
        assert done + rest == whole


def test_addresses_are_read_through_fsspec(shard, published):
    import fsspec

    path = shard(published)
    with fsspec.open("memory://shard.tar", "wb") as stream:
        stream.write(path.read_bytes())
    assert [clip.video_id for clip in read_shard("memory://shard.tar")] == list(DEFECTS)
    with pytest.raises(PoseFileError, match=r"memory://missing\.tar: cannot be read"):
        list(read_shard("memory://missing.tar"))


def test_a_missing_shard(tmp_path):
    with pytest.raises(PoseFileError, match=r"shard\.tar: cannot be read \(No such file or directory\)"):
        list(read_shard(tmp_path / "shard.tar"))


def test_reading_that_stops_is_no_damage(shard, published, monkeypatch):
    class Lost(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 50_000:
                raise ConnectionResetError(104, "Connection reset by peer")
            return super().read(size)

    path = shard(published)
    data = path.read_bytes()
    monkeypatch.setattr(shards, "open", lambda *_: Lost(data), raising=False)
    clips = read_shard(path)
    assert next(clips).video_id == "one________"
    with pytest.raises(PoseFileError, match=r"shard\.tar: cannot be read \(Connection reset by peer\)"):
        list(clips)


def test_a_connection_that_ends_is_no_damage_either(shard, published, monkeypatch):
    """Libraries raise what they like; it is one line, and the same at every moment."""
    import fsspec

    class PayloadError(Exception):
        pass

    class Lost(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 50_000:
                raise PayloadError("Response payload is not completed")
            return super().read(size)

    data = shard(published).read_bytes()
    monkeypatch.setattr(fsspec, "open", lambda *_: Lost(data))
    clips = read_shard("https://example.org/shard.tar")
    assert next(clips).video_id == "one________"
    with pytest.raises(PoseFileError, match=r"shard\.tar: cannot be read \(PayloadError: Response payload is not"):
        list(clips)


def _crc_damaged(files):
    with zipfile.ZipFile(io.BytesIO(files["npz/poses.npz"])) as archive:
        at = archive.getinfo("frame_payloads.npy").header_offset + 1500
    data = bytearray(files["npz/poses.npz"])
    data[at] ^= 1
    return files | {"npz/poses.npz": bytes(data)}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_crc_damaged, r"npz/poses\.npz: must be a whole zip file, but it is damaged \(Bad CRC-32"),
        (lambda files: {k: v for k, v in files.items() if "poses" not in k}, "must hold poses.npz, or 00000001.npz"),
        (lambda files: files | {"npz/poses.npz": b"\x80\x04."}, r"npz/poses\.npz: must be a whole zip file"),
        (lambda files: files | {"npz/poses.npz": b""}, r"npz/poses\.npz: must be a whole zip file"),
    ],
)
def test_a_damaged_video_is_rejected_and_the_rest_go_on(shard, make_video, damage, reason):
    good = make_video([1, 1])
    path = shard({"a": good, VIDEO: damage(good), "z": good})
    before, reject, after = read_shard(path)
    assert (before.video_id, after.video_id) == ("a", "z")
    assert isinstance(reject, Reject)
    assert reject.video_id == VIDEO
    assert reject.reason.startswith(f"{path}: {VIDEO}/npz")
    assert "\n" not in reject.reason
    with pytest.raises(PoseFileError, match=reason):
        raise PoseFileError(reject.reason)


def _with_member(info: tarfile.TarInfo, data: bytes = b""):
    """Puts a member before the last folder of a shard."""

    def change(shard: bytes) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(shard)) as source, tarfile.open(fileobj=stream, mode="w") as target:
            for member in source:
                if member.name == "z":
                    info.size = len(data)
                    target.addfile(info, io.BytesIO(data))
                target.addfile(member, source.extractfile(member))
        return stream.getvalue()

    return change


def _info(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("member", "ids", "reason"),
    [
        (_info("../../evil"), ["", "a", "z"], "member '../../evil' is a path that leads out of the archive."),
        (_info("/etc/passwd"), ["", "a", "z"], "member '/etc/passwd' is an absolute path."),
        (_info("README.md"), ["", "a", "z"], "member 'README.md' is in no video's folder."),
        (_info("link", tarfile.SYMTYPE), ["", "a", "z"], "member 'link' is a symbolic link."),
        (_info("a/npz/link", tarfile.SYMTYPE), ["a!", "z"], "a: member 'a/npz/link' is a symbolic link."),
        (_info("a/npz/sda", tarfile.BLKTYPE), ["a!", "z"], "a: member 'a/npz/sda' is a device."),
        (_info("a/npz/../../b"), ["a!", "z"], "a: member 'a/npz/../../b' is a path that leads out of the archive."),
        (_info("a/npz/poses.npz"), ["a!", "z"], "a: member 'a/npz/poses.npz' comes twice."),
        (_info("a/notes.txt"), ["a", "z"], ""),
    ],
)  # fmt: skip
def test_hostile_members_are_counted(shard, make_video, tmp_path, member, ids, reason):
    path = shard({"a": make_video([1]), "z": make_video([1])}, _with_member(member))
    entries = list(read_shard(path))
    rejects = [entry for entry in entries if isinstance(entry, Reject)]
    assert [entry.video_id + "!" * (entry in rejects and entry.video_id != "") for entry in entries] == ids
    assert [reject.reason for reject in rejects] == ([f"{path}: {reason}"] if reason else [])
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_folder_that_comes_twice_is_read_once(shard, make_video):
    data = shard({"a": make_video([1]), "b": make_video([1])}).read_bytes()
    path = shard(
        {"a": make_video([1]), "c": make_video([1])}, lambda again: data[: data.rindex(b"b/npz/poses")] + again
    )
    entries = [(entry.video_id, isinstance(entry, Reject)) for entry in read_shard(path)]
    assert entries[0] == ("a", False)
    assert ("a", True) in entries
    assert ("c", False) in entries


def test_a_shard_that_ends_early(shard, make_video):
    videos = {name: make_video([1, 1, 1]) for name in "abc"}
    path = shard(videos, lambda data: data[: data.rindex(b"c/npz/poses.npz") + 3000])
    first, second, third = read_shard(path)
    assert (first.video_id, second.video_id) == ("a", "b")
    assert isinstance(third, Reject)
    assert third.reason.startswith(f"{path}: c: the archive ends at byte ")
    assert third.reason.endswith(", inside a member.")


@pytest.mark.parametrize("place", ["header", "content", "padding"])
@pytest.mark.parametrize("change", ["insert", "delete"])
def test_a_byte_too_many_or_too_few_costs_one_video(shard, make_video, place, change):
    path = shard({name: make_video([1]) for name in "abcdef"})
    data = bytearray(path.read_bytes())
    header = data.rindex(b"c/npz/poses.npz")
    size = int(data[header + 124 : header + 135], 8)
    at = header + {"header": 10, "content": 2000, "padding": 512 + size + 5}[place]
    data[at : at + (change == "delete")] = b"\xaa" * (change == "insert")
    path.write_bytes(data)
    entries = list(read_shard(path))
    assert [entry.video_id for entry in entries] == list("abcdef")
    assert [entry.video_id for entry in entries if isinstance(entry, Reject)] == ["c"]


def test_a_damaged_stretch_of_nobody_is_told(shard, make_video):
    path = shard({name: make_video([1]) for name in "abc"})
    data = bytearray(path.read_bytes())
    del data[data.rindex(b"b/npz/poses.npz") + 700]
    path.write_bytes(data)
    damage, clip = read_shard(path, only={"c"})
    assert re.fullmatch(
        re.escape(str(path)) + r": .* must begin a header, but does not; bytes \d+ to \d+ are lost\.", damage.reason
    )
    assert clip.video_id == "c"


def test_too_large_videos_are_rejected_unread(shard, make_video, monkeypatch):
    path = shard({"a": make_video([1]), "b": make_video([1] * 40)})
    monkeypatch.setattr(shards, "MAX_VIDEO_BYTES", 60_000)
    _, reject = read_shard(path)
    assert isinstance(reject, Reject)
    assert "b: member 'b/npz/poses.npz' of " in reject.reason
    assert "is too large: a video may hold 60000 bytes in" in reject.reason


def test_what_is_amiss_is_told(shard, make_video):
    files = make_video([1, 1, 1], scheme="frames", captions={"en": "hello"}, video_id=VIDEO)
    del files["npz/00000003.npz"], files[f"captions/{VIDEO}.captions.json"]
    files[f"captions/{VIDEO}.en.vtt"] = b"<html>"
    unmarked = {name: data for name, data in files.items() if name != "npz/.complete"}
    path = shard({VIDEO: files, "unmarked": unmarked})
    marked, other = read_shard(path)
    assert marked.problems == (
        f"{path}: {VIDEO}/{VIDEO}.en.vtt: must begin with WEBVTT, found '<html>'.",
        f"{path}: {VIDEO}/npz: holds 2 of the 3 frames that .complete states",
    )
    assert (marked.complete, other.complete, len(other.problems)) == (True, False, 1)


def test_subtitles_by_people_and_machines_come_first(shard, make_video):
    cue = b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello"
    files = {"english.en.native.vtt": cue, "english.en.nllb.vtt": cue, "original.de.manual.vtt": cue}
    archive = find_subtitles(shard({"a": {}, VIDEO: files, "b": {"english.en.nllb.vtt": b"no"}}, name="subtitles.tar"))
    assert list(archive.offsets) == ["a", VIDEO, "b"]
    videos = {name: make_video([1], video_id=name, captions={"en": "hi", "fr": "salut"}) for name in (VIDEO, "b", "c")}
    first, second, third = (with_subtitles(clip, archive) for clip in read_shard(shard(videos)))
    assert [(track.language, track.provenance, track.captions[0].text) for track in first.captions] == [
        ("de", "human", "hello"), ("en", "human", "hello"), ("en", "machine-translated", "hello"),
        ("fr", "unknown", "salut"),
    ]  # fmt: skip
    assert [track.language for track in second.captions] == ["en", "fr"]
    assert second.problems == ("subtitles.tar: b/english.en.nllb.vtt: must begin with WEBVTT, found 'no'.",)
    assert ([track.language for track in third.captions], third.problems) == (["en", "fr"], ())


def test_subtitles_that_were_taken_away_are_told(shard, make_video):
    archive = find_subtitles(shard({VIDEO: {"english.en.native.vtt": b"WEBVTT"}}, name="subtitles.tar"))
    shard({"other": {}}, name="subtitles.tar")
    (clip,) = read_shard(shard({VIDEO: make_video([1])}))
    assert with_subtitles(clip, replace(archive, offsets={VIDEO: 0})).problems == (f"subtitles.tar: {VIDEO} is gone",)


@pytest.mark.parametrize("mutations", [20, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_mutated_shards_lose_nothing_unseen(shard, make_video, tmp_path, mutations):
    """Each video comes out, or is rejected, or lies in a stretch that is."""
    videos = {
        name: make_video([1, 2], seed=at, scheme="frames" if at % 2 else "poses") for at, name in enumerate("abcd")
    }
    path = shard(videos)
    whole = path.read_bytes()
    random = np.random.default_rng(mutations)
    num_read = 0
    for _ in range(mutations):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            at = int(random.integers(len(data)))
            kind = random.integers(4)
            if kind == 0:
                del data[at : at + int(random.choice([1, 512, 5000]))]
            elif kind == 1:
                data[at : at + 512] = bytes(512)
            elif kind == 2:
                other = int(random.integers(len(data))) // 512 * 512
                data[at // 512 * 512 : at // 512 * 512 + 512] = data[other : other + 512]
            else:
                data[at : at + 1] = bytes([random.integers(256)])
        path.write_bytes(data)
        begin = time.process_time()
        entries = list(read_shard(path))
        assert time.process_time() - begin < 2
        rejects = [entry for entry in entries if isinstance(entry, Reject)]
        assert all("\n" not in reject.reason and reject.reason.startswith(str(path)) for reject in rejects)
        clips = [entry.video_id for entry in entries if isinstance(entry, CorpusClip)]
        assert len(set(clips)) == len(clips)
        missing = set("abcd") - {entry.video_id for entry in entries}
        assert not missing or len(rejects) > 0
        num_read += len(clips)
    assert 0.2 * mutations < num_read < 3.9 * mutations
    assert os.listdir(tmp_path) == [path.name]
