"""Files to try the web page with, made on the spot from spelled words."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.conversion import convert_shards
from poses.captions import Caption
from poses.files import new_file
from poses.fingerspelling import spell
from poses.formats.signverse_published import Defects, publish_video, write_shard
from poses.io import save_poses
from poses.people import People

WORD, SHORT_WORD = "HANDS", "OK"
SHARD = {
    "word-alone": ("CIAO", False, Defects()),
    "word-and-passer-by": ("HANDS", True, Defects(decoding="jpg-spill")),
    "word-stored-frame-by-frame": ("OK", False, Defects(scheme="frames", off_frame=True)),
}
"""Videos of the example shard: what is spelled, whether somebody else is there, and what is wrong with the files."""


def example_poses(folder: Path, word: str = WORD) -> Path:
    """Writes a spelled word as a pose file."""
    path = folder / f"{word}.npz"
    save_poses(spell(word, "ase"), path, overwrite=True)
    return path


def example_shard(folder: Path) -> Path:
    """Writes a shard as SignVerse-2M publishes them, with its defects."""
    path = folder / "example-shard.tar"
    with new_file(path, overwrite=True) as aside, aside.open("wb") as stream:
        write_shard(stream, _videos())
    return path


def example_store(folder: Path) -> Path:
    """Writes a zip of the store that the example shard becomes."""
    path = folder / "example-store.zip"
    with TemporaryDirectory() as aside, new_file(path, overwrite=True) as archive:
        convert_shards([str(example_shard(Path(aside)))], Path(aside, "store"))
        shutil.make_archive(str(archive.with_suffix("")), "zip", Path(aside, "store"))
    return path


def _videos() -> Iterator[tuple[str, Mapping[str, bytes]]]:
    for name, (word, accompanied, defects) in SHARD.items():
        poses = spell(word, "ase")
        captions = {"en": [Caption(0.0, poses.duration_s, word.capitalize())]}
        yield name, publish_video(_people(poses, accompanied), name, defects, captions=captions)


def _people(poses, accompanied: bool) -> People:
    """The signer, alone or with a smaller twin in the second half."""
    keypoints, confidence = (array[:, None].repeat(2, axis=1) for array in (poses.keypoints, poses.confidence))
    keypoints[:, 1] = (keypoints[:, 1] * 0.4 + np.float32(0.05)) * (confidence[:, 1, :, None] > 0)
    second_half = np.arange(len(poses)) >= len(poses) // 2
    num_people = np.where(second_half & accompanied, 2, 1).astype(np.int32)
    confidence[:, 1] *= (num_people == 2)[:, None]
    return People(keypoints, confidence, num_people, poses.fps, poses.width, poses.height, "", (), ())
