"""The decoder of pickled payloads: the same values as pickle from honest streams, nothing at all from others."""

import io
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poses.formats.frame_runs import FrameRun
from poses.formats.payloads import decode_frame_payloads, read_unframed
from poses.sequence import PoseFileError


def _objects(frames: list) -> np.ndarray:
    array = np.empty(len(frames), object)
    array[:] = frames
    return array


def _runs(stream: bytes) -> list[FrameRun]:
    where = "clip.npz: frame_payloads.npy"
    return decode_frame_payloads(read_unframed(io.BytesIO(stream), where), where)


def _decode(stream: bytes) -> list[dict[str, np.ndarray]]:
    frames = []
    for run in _runs(stream):
        arrays = {key: run.array(key) for key in run.values}
        frames += [{key: array[i] for key, array in arrays.items()} for i in range(run.count)]
    return frames


def _assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert ours[key].dtype == value.dtype
            assert ours[key].shape == value.shape
            assert ours[key].tobytes() == value.tobytes()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    protocol=st.integers(2, 5),
    counts=st.lists(st.sampled_from([0, 1, 1, 1, 2, 3]), min_size=1, max_size=12).map(
        lambda counts: [count for count in counts for _ in range(7)]
    ),
    seed=st.integers(0, 1000),
)
def test_decodes_what_pickle_does(publish, protocol, counts, seed):
    payloads = publish(counts, seed=seed).payloads
    _assert_same(_decode(pickle.dumps(_objects(payloads), protocol)), payloads)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_decodes_every_kind_of_array(protocol):
    def payload(i):
        return {
            "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3) + i),
            "double": np.arange(3.0) + i,
            "half": np.full((2,), i, np.float16),
            "big endian": np.array([i, 2], ">i4"),
            "scalar": np.int32(i),
            "bytes": np.array([True, False, i % 2 == 0]),
            "strided": np.arange(10, dtype=np.int16)[::3] + np.int16(i),
            "empty": np.zeros((0, 2) if protocol > 2 else (1, 2), np.float32),  # 2 has no way to say b""
            "large": np.full(40_000, i, np.float32),  # beyond the 64 KB blocks of protocol 4
        }

    payloads = [payload(i) for i in range(8)]
    _assert_same(_decode(pickle.dumps(_objects(payloads), protocol)), payloads)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_like_frames_are_taken_in_one_go(publish, protocol):
    payloads = publish([1] * 1500).payloads
    runs = _runs(pickle.dumps(_objects(payloads), protocol))
    assert sum(run.count for run in runs) == 1500
    assert len(runs) < 12


def test_frames_that_share_arrays(publish):
    """The same object twice is stored once: such frames cannot be taken in one go, but come out right."""
    payloads = publish([1] * 40).payloads
    for i in range(10, 40):
        payloads[i] = payloads[i] | {"person_000_face_scores": payloads[9]["person_000_face_scores"]}
    payloads[30] = payloads[20]
    _assert_same(_decode(pickle.dumps(_objects(payloads), 4)), payloads)


def test_frames_of_many_layouts():
    payloads = [{f"key {i % 23}": np.full(i % 5, i, np.float32), "n": np.int32(i)} for i in range(400)]
    _assert_same(_decode(pickle.dumps(_objects(payloads), 4)), payloads)


def test_more_keys_than_a_batch():
    payloads = [{f"key {j}": np.float32(i + j) for j in range(1500)} for i in range(5)]
    _assert_same(_decode(pickle.dumps(_objects(payloads), 4)), payloads)


class _Reduced:
    """Pickles into a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _marked(frame: bytes) -> bytes:
    """A stream whose only frame is the given opcodes, inside a list as numpy writes it."""
    begin = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x01\x85"
    dtype = b"cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    return begin + dtype + b"\x89](" + frame + b"etb."


_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
_FLOAT = b"cnumpy\ndtype\n\x8c\x02f4\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
_TOUCH = b"touch ran"


def _text(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


HOSTILE = {
    "os.system": pickle.dumps(_objects([_Reduced(os.system, "touch ran")]), 4),
    "os.system, protocol 2": pickle.dumps(_objects([_Reduced(os.system, "touch ran")]), 2),
    "eval in a frame": pickle.dumps(_objects([{"a": _Reduced(eval, "__import__('os').system('touch ran')")}]), 4),
    "Popen": pickle.dumps(_objects([{"a": _Reduced(subprocess.Popen, ["touch", "ran"])}]), 5),
    "exec beside the array": pickle.dumps([_Reduced(exec, "import os; os.system('touch ran')")], 4),
    "numpy's own loader": _marked(b"cnumpy\nload\n" + _text(b"x.npy") + b"\x85R"),
    "a name inside a name": _marked(b"cnumpy\ncore.os.system\n" + _text(_TOUCH) + b"\x85R"),
    "a name put together": _marked(b"\x8c\x02os\x8c\x06system\x93" + _text(_TOUCH) + b"\x85R"),
    "a name that is no text": _marked(b"](K\x01e\x8c\x06system\x93"),
    "a matrix": _marked(_ARRAY.replace(b"ndarray", b"matrix")),
    "a dtype as a class": _marked(_ARRAY.replace(b"cnumpy\nndarray", b"cnumpy\ndtype")),
    "INST": _marked(b"(" + _text(_TOUCH) + b"ios\nsystem\n"),
    "OBJ": _marked(b"(cos\nsystem\n" + _text(_TOUCH) + b"o"),
    "OBJ without a name": _marked(b"(" + _text(_TOUCH) + b"o"),
    "NEWOBJ": _marked(b"cnumpy\nndarray\n)\x81"),
    "NEWOBJ_EX": _marked(b"cnumpy\nndarray\n)}\x92"),
    "extension registry": _marked(b"\x82\x01"),
    "persistent id": _marked(b"Pran\n"),
    "binary persistent id": _marked(_text(b"ran") + b"Q"),
    "out-of-band buffer": _marked(b"\x97"),
    "call of text": _marked(_text(b"os.system") + _text(_TOUCH) + b"\x85R"),
    "call of a class": _marked(b"cnumpy\nndarray\n" + _text(_TOUCH) + b"\x85R"),
    "call without arguments": _marked(b"cnumpy\ndtype\nNR"),
    "state of a function": _marked(b"cnumpy\ndtype\n}\x8c\x01a\x8c\x01bsb"),
    "state of a dictionary": _marked(b"}}b"),
    "state set twice": _marked(_FLOAT + b"(K\x03\x8c\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
    "another codec": _marked(b"c_codecs\nencode\n" + _text(b"a") + _text(b"rot13") + b"\x86R"),
    "a structured dtype": _marked(_FLOAT.replace(b"<NNN", b"<N\x8c\x01a\x85}")),
    "a dtype of large objects": _marked(b"cnumpy\ndtype\n\x8c\x04O999\x89\x88\x87R"),
    "a void dtype": _marked(_FLOAT.replace(b"f4", b"V4")),
    "an endless dtype": _marked(_FLOAT.replace(b"\x02f4", b"\x0cU99999999999")),
    "a huge array": _marked(_ARRAY + b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86" + _FLOAT + b"\x89C\x01atb"),
    "a negative shape": _marked(b"}\x8c\x01a" + _ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + _FLOAT + b"\x89C\x00tbs"),
    "numbers from text": _marked(b"}\x8c\x01a" + _ARRAY + b"(K\x01K\x01\x85" + _FLOAT + b"\x89\x8c\x04aaaatbs"),
    "text encoded again and again": _marked(
        _text(b"a" * 1000) + b"q\x00" + _text(b"latin1") + b"q\x01" + b"c_codecs\nencode\nh\x00h\x01\x86R" * 100
    ),
    "a frame again and again": _marked(
        b"}q\x00(" + b"".join(_text(b"%d" % i) + b"N" for i in range(4000)) + b"u" + b"h\x00" * 501
    ),
    "a long key": _marked(b"}" + _text(b"a" * 101) + b"Ns"),
    "a list in itself": _marked(b"]q\x00h\x00a"),
    "a deep tuple": _marked(b")" + b"\x85" * 100_000),
    "marks without end": b"\x80\x04" + b"(" * 100_000,
    "lists without end": _marked(b"]" * 100_000),
    "doubling lists": _marked(b"](" + b"".join(b"q" + bytes([i]) + b"(" + b"h" + bytes([i]) * 1 for i in range(20))),
    "a far memo": _marked(b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff"),
    "a far memo, read first": _marked(b"j\xff\xff\xff\xff"),
    "bytes beyond the end": _marked(b"\x8e" + struct.pack("<Q", 2**62)),
    "text beyond the end": _marked(b"X" + struct.pack("<I", 2**32 - 1)),
    "a block beyond the end": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "text that is none": _marked(b"X" + struct.pack("<I", 2) + b"\xff\xff"),
    "a key that is no text": _marked(b"}(K\x01K\x01u"),
    "a key without value": _marked(b"}(\x8c\x01au"),
    "items of nothing": _marked(b"(\x8c\x01aNu"),
    "append to text": _marked(b"\x8c\x01aNa"),
    "nothing left to pop": b"\x80\x04RRR.",
    "no mark": b"\x80\x04t.",
    "an integer in words": _marked(b"I1\n"),
    "a long integer": _marked(b"\x8b" + struct.pack("<I", 2**31 - 1)),
    "protocol 0": pickle.dumps(_objects([{"a": 1}]), 0),
    "protocol 9": b"\x80\x09N.",
    "empty": b"",
    "text": b"hello",
    "a plain dictionary": pickle.dumps({"a": 1}, 4),
    "fewer frames than stated": _marked(b""),
    "more frames than stated": _marked(b"}}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_streams_are_refused_and_run_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PoseFileError, match=r"^clip\.npz: frame_payloads\.npy.+\.$"):
        _decode(HOSTILE[kind])
    assert not (tmp_path / "ran").exists()


def test_the_streams_are_hostile(tmp_path, monkeypatch):
    """Pickle itself runs them; without this, the test above might pass on streams that are merely broken."""
    for kind in ("os.system", "os.system, protocol 2", "eval in a frame", "INST", "OBJ", "a name put together"):
        folder = tmp_path / kind
        folder.mkdir()
        monkeypatch.chdir(folder)
        pickle.loads(HOSTILE[kind])
        assert (folder / "ran").exists(), kind


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("os.system", r"names '\w+\.system', which is not part of an array"),
        ("NEWOBJ", r"opcode 0x81 at byte \d+ is not part of an array"),
        ("call of text", "calls something that is not part of an array"),
        ("a matrix", r"names 'numpy\.matrix'"),
        ("a huge array", "must hold 18446744056529682436 bytes, found 1"),
        ("a block beyond the end", "the pickle ends early"),
        ("a structured dtype", "found a structured dtype"),
        ("a void dtype", "found dtype 'V4'"),
        ("protocol 0", "must be a pickle of protocol 2 to 5"),
        ("fewer frames than stated", r"found 0 for shape \[1\]"),
        ("text encoded again and again", "found more bytes than the pickle has"),
        ("a frame again and again", "must hold at most 2000000 keys"),
        ("a long key", "must hold keys of at most 100 characters"),
    ],
)
def test_says_what_is_refused(kind, message):
    with pytest.raises(PoseFileError, match=message):
        _decode(HOSTILE[kind])


def test_many_steps_are_refused():
    with pytest.raises(PoseFileError, match="must decode in at most 2000000 steps"):
        _decode(_marked(b"N" * 2_000_001))


def test_frames_that_only_seem_alike_are_not_compared_again_and_again():
    """Each frame's memo index is another one than its neighbours lead to expect."""

    class Counted(bytes):
        compared = 0

        def startswith(self, *arguments):
            Counted.compared += 1
            return super().startswith(*arguments)

    count = 1000
    frames = [b"}r" + struct.pack("<I", 2 * (i * 7919 % 10_007)) + b"(" + _text(b"a") + b"K\x01u" for i in range(count)]
    begin = (
        _marked(b"").removesuffix(b"etb.").replace(b"K\x01K\x01\x85", b"K\x01M" + struct.pack("<H", count) + b"\x85")
    )
    runs = decode_frame_payloads(Counted(begin + b"".join(frames) + b"etb."), "clip.npz")
    assert sum(run.count for run in runs) == count
    assert Counted.compared < 20 * count


def test_what_is_read_is_in_memory_once():
    """Blocks and what follows them come in pieces, however long a block says that it is."""

    class Asked(io.BytesIO):
        most = 0

        def read(self, size=-1):
            Asked.most = max(Asked.most, size if size >= 0 else 2**62)
            return super().read(size)

    block = bytes(3 * 2**20)
    read = read_unframed(Asked(b"\x80\x04\x95" + struct.pack("<Q", len(block)) + block + b"rest"), "clip.npz")
    assert bytes(read) == b"\x80\x04" + block + b"rest"
    assert Asked.most <= 2**20


def test_many_frames_are_refused():
    with pytest.raises(PoseFileError, match=r"must hold 1 to 262144 frames, found 300000"):
        _decode(pickle.dumps(_objects([{"a": 1, "b": 2} for _ in range(300_000)]), 4))
