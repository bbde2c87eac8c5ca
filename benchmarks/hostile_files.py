"""Files made to do harm: what somebody might hand over to run code, to fill memory, to read or write other files.

Each of `FILES` makes one from a random generator and the path of a canary, which exists afterwards if its code ran.
"""

import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipelines.examples import example_store
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.video import write_video

NAMES = (
    "clip.npz",
    "../../../../canary.npz",
    "..\\..\\canary.npz",
    "/etc/cron.d/canary",
    "a\0b.mp4",
    "A" * 300 + ".mp4",
    "$(touch canary).mp4",
    "; touch canary;.pose",
    "--output=canary.tar",
    "<img src=x onerror=alert(1)>.png",
    "‮gpj.exe",
    "..",
    "signer.jpg\n.html",
    "%2e%2e%2fcanary.tar",
)
"""What they are called, whatever is in them."""


class Command:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch '{self.canary}'",)


def file_of(write: Callable[[Path], object], name: str) -> bytes:
    """What a function writes into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()


def clip(suffix: str) -> bytes:
    """An honest pose file."""
    return file_of(lambda path: save_poses(spell("AB", "ase"), path), f"clip{suffix}")


def film(random: Random, frames: int = 5) -> bytes:
    """An honest mp4 that shows nobody."""
    shade = np.full((64, 64, 3), random.randrange(256), np.uint8)
    return file_of(lambda path: write_video(path, [shade] * frames, fps=25), "film.mp4")


def picture(random: Random, kind: str, size: int = 64) -> bytes:
    """An honest picture of nothing."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), (random.randrange(256), 0, 0)).save(stream, kind)
    return stream.getvalue()


def cut(data: bytes, random: Random) -> bytes:
    """Its beginning."""
    return data[: random.randrange(9, len(data) - 1)]


def zipped(members: dict[str, bytes], level: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", level) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    """A `.npy` file whose header says this, true or not."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def pickled_npz(canary: Path, protocol: int) -> bytes:
    """A SignVerse-2M file whose payloads run code when they are unpickled."""
    objects = npy("'|O'", "(1,)", pickle.dumps([Command(canary)], protocol))
    with zipfile.ZipFile(io.BytesIO(clip(".npz"))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**members, "frame_payloads.npy": objects})


def bomb(random: Random) -> bytes:
    """Thirty or more megabytes of zeros in thirty kilobytes."""
    zeros = bytes(random.randrange(30, 60) * 2**20)
    shape = f"({len(zeros) // 1024}, 128, 2)"
    return zipped({name: npy("'<f4'", shape, zeros) for name in random.choice((["keypoints.npy"], ["dwpose.npy"]))})


def overlapping(random: Random) -> bytes:
    """A zip file whose directory names the same bytes many times."""
    data = zipped({"00000.npy": npy("'<f4'", "(1048576,)", bytes(2**22))})
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    number = random.randrange(100, 1000)
    entries = b"".join(data[start:end].replace(b"00000", b"%05d" % index) for index in range(number))
    return data[:start] + entries + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, number, number, len(entries), start, 0)


def shard(random: Random, canary: Path) -> bytes:
    """A tar archive with links, devices, ways out of the folder, and lies about sizes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, data in (
            ("../../canary", tarfile.REGTYPE, b"x"),
            (f"{canary}", tarfile.REGTYPE, b"x"),
            ("video/npz/000001.npz", tarfile.SYMTYPE, b""),
            ("video/npz/000002.npz", tarfile.REGTYPE, pickled_npz(canary, 4)),
            ("dev/zero", tarfile.CHRTYPE, b""),
            ("video/captions/en.vtt", tarfile.REGTYPE, b"WEBVTT\n\n" + b"00:00:00.000 --> " * 999),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    data = bytearray(stream.getvalue())
    if random.random() < 0.5:
        data[124:136] = b"77777777777\0"  # the first member's size, eight gigabytes
    return bytes(data)


def linked(canary: Path) -> bytes:
    """A zip file of a pair of which one is a symbolic link."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("A.npz", clip(".npz"))
        link = zipfile.ZipInfo("A.mp4")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, f"{canary}")
    return stream.getvalue()


def store(random: Random, canary: Path) -> bytes:
    """A store whose index or clips are not what they say."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(example_store(Path(folder))) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    clips = next(name for name in members if name.endswith("clips.arrow"))
    kind = random.randrange(4)
    if kind == 0:  # lies about where clips are
        table = pq.read_table(io.BytesIO(members["index.parquet"]))
        column, value = random.choice(
            [("part", "../../.."), ("part", f"{canary}"), ("offset", -1), ("offset", 2**60), ("video_id", None)]
        )
        rows = [{**row, column: value} for row in table.to_pylist()]
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), stream)
        members["index.parquet"] = stream.getvalue()
    elif kind == 1:
        members[clips] = cut(members[clips], random)
    elif kind == 2:
        data = bytearray(members[clips])
        at = random.randrange(len(data) - 64)
        data[at : at + 64] = b"\xff" * 64
        members[clips] = bytes(data)
    else:  # far more clips than there is memory for, in a few bytes
        many = pa.table({"video_id": pa.DictionaryArray.from_arrays(np.zeros(10**7, np.int8), ["x" * 1000])})
        stream = io.BytesIO()
        pq.write_table(many, stream, store_schema=False)  # so that every row is a string of its own
        members["index.parquet"] = stream.getvalue()
    return zipped(members, zipfile.ZIP_STORED)  # so that what is packed twice is not refused for that


def png(random: Random) -> bytes:
    """A picture of a size that nobody has, or that unpacks to much more than it is, or with a damaged sum."""
    width, height = random.choice(((2**31 - 1, 2**31 - 1), (0, 64), (60_000, 60_000), (8192, 8192)))
    pixels = zlib.compress(bytes(2**23)) if random.random() < 0.5 else b"\x78\x9c"
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b"")]
    if random.random() < 0.5:
        chunks.insert(1, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**26))))
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def lying_film(random: Random) -> bytes:
    """An mp4 whose boxes say what cannot be: sizes, numbers of frames, lengths, times."""
    data = bytearray(film(random))
    box = random.choice((b"tkhd", b"mvhd", b"stsz", b"stsd", b"stco", b"stts", b"mdhd", b"moov", b"trak"))
    start = data.index(box)
    if random.random() < 0.5:
        data[start - 4 : start] = random.choice((b"\xff\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\2", b"\x7f\xff\xff\xff"))
    else:
        length = random.randrange(4, 40)
        data[start + 8 : start + 8 + length] = b"\xff" * length
    return bytes(data)


def tiff() -> bytes:
    """A picture whose directories lead back to the first one for ever."""
    return b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 4, 1, 64) + struct.pack("<I", 8)


def bmp(random: Random) -> bytes:
    """A picture with a size below nothing."""
    data = bytearray(picture(random, "BMP"))
    data[18:26] = struct.pack("<ii", random.choice((-1, 0, 2**31 - 1)), random.choice((-(2**31), 0, 2**31 - 1)))
    return bytes(data)


def page(canary: Path, kind: str) -> bytes:
    """A page or a drawing with a script in it."""
    script = f"<script>fetch('file://{canary}')</script>"
    if kind == "html":
        return f"<!doctype html><title>{script}</title>{script}".encode()
    entity = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg" {kind}='
    return f'<?xml version="1.0"?>{entity}"1">{script}<text>&x;</text></svg>'.encode()


_MAGIC = (
    *(b"\x80\x04", b"PK\3\4", b"\xcd\xcc\x4c\x3e", b"\x93NUMPY\1\0", b"\x1f\x8b", b"%PDF-1.7", b""),
    *(b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0"),
    *(b"RIFF\0\0\0\0AVI ", b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypisom"),
)
"""First bytes of archives, pose files, pictures and films."""

FILES: dict[str, Callable[[Random, Path], bytes]] = {
    "empty": lambda random, canary: b"",
    "noise after a true beginning": lambda random, canary: random.choice(_MAGIC) + random.randbytes(5000),
    "pickle": lambda random, canary: pickle.dumps(Command(canary), random.randrange(6)),
    "pickled payloads": lambda random, canary: pickled_npz(canary, random.randrange(6)),
    "pickle in a .npy": lambda random, canary: npy("'|O'", "(1,)", pickle.dumps([Command(canary)])),
    "header that is code": lambda random, canary: zipped(
        {"keypoints.npy": npy(f"__import__('os').system('touch {canary}')", "(1,)"), "scores.npy": npy("'<f4'", "()")}
    ),
    "absurd shape": lambda random, canary: zipped(
        {
            name: npy("'<f4'", random.choice((f"({10**11}, 128, 2)", "(0,)", f"({2**40}, {2**40})", "(-1, 2)")))
            for name in ("keypoints.npy", "scores.npy")
        }
    ),
    "zip bomb": lambda random, canary: bomb(random),
    "overlapping zip": lambda random, canary: overlapping(random),
    "zip with a way out": lambda random, canary: zipped({f"../../../..{canary}": b"x", f"{canary}.npy": b"x"}),
    "set with a way out": lambda random, canary: zipped(
        {f"{random.choice(('..', 'a/../..', '/', '//', 'C:'))}/A.{suffix}": b"x" for suffix in ("npz", "mp4")}
    ),
    "set with a link": lambda random, canary: linked(canary),
    "set bomb": lambda random, canary: zipped(
        {"A.npz": clip(".npz"), "A.mp4": bytes(random.randrange(30, 60) * 2**20)}
    ),
    "set of many": lambda random, canary: zipped({f"{n}.mp4": b"" for n in range(random.randrange(1001, 5000))}),
    "set of pickles": lambda random, canary: zipped({"A.npz": pickled_npz(canary, 4), "A.mp4": film(random)}),
    "store that lies": store,
    "zip cut short": lambda random, canary: cut(clip(".npz"), random),
    ".pose cut short": lambda random, canary: cut(clip(".pose"), random),
    ".pose that promises much": lambda random, canary: clip(".pose")[:10] + b"\xff" * random.randrange(8, 400),
    "deep JSON": lambda random, canary: random.choice((b"[", b'{"people":')) * random.randrange(10**4, 10**6),
    "JSON of large numbers": lambda random, canary: json.dumps(
        {"people": [{"pose_keypoints_2d": [random.choice((1e308, 10**4000, float("nan")))] * 75}]}
    ).encode(),
    "shard": shard,
    "shard cut short": lambda random, canary: cut(shard(random, canary), random),
    "film of nobody": lambda random, canary: film(random),
    "film cut short": lambda random, canary: cut(film(random), random),
    "film that lies": lambda random, canary: lying_film(random),
    "playlist as film": lambda random, canary: (
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" * random.randrange(2) + b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
    ),
    "concat script": lambda random, canary: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "picture of absurd size": lambda random, canary: png(random),
    "picture cut short": lambda random, canary: cut(
        picture(random, random.choice(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"))), random
    ),
    "picture of negative size": lambda random, canary: bmp(random),
    "picture in a circle": lambda random, canary: tiff(),
    "PostScript": lambda random, canary: f"%!PS-Adobe-3.0 EPSF-3.0\n(touch {canary}) (%pipe%sh) run\n".encode(),
    "page": lambda random, canary: page(canary, "html"),
    "drawing with a script": lambda random, canary: page(canary, f"data-{random.randrange(10**6)}"),
    "shell script": lambda random, canary: f"#!/bin/sh\ntouch {canary}\n".encode(),
    "GIF and zip": lambda random, canary: picture(random, "GIF") + pickled_npz(canary, 4),
    "PDF and zip": lambda random, canary: b"%PDF-1.7\n" + pickled_npz(canary, 4),
    "PNG and page": lambda random, canary: cut(picture(random, "PNG"), random) + page(canary, "html"),
    "film and zip": lambda random, canary: cut(film(random), random) + pickled_npz(canary, 4),
}
