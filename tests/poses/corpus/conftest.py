"""Videos as SignVerse-2M publishes them, of random people."""

import io

import numpy as np
import pytest

from poses.captions import Caption
from poses.formats.signverse_published import Defects, publish_video, write_shard
from poses.keypoints import PARTS
from poses.people import People


def people_in(counts: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random people side by side, each hand at its owner's wrist: [frames, people, 128, 2] and [..., 128]."""
    random = np.random.default_rng(seed)
    shape = (len(counts), max([*counts, 1]), 128)
    keypoints = random.uniform(0, 0.05, (*shape, 2)).astype(np.float32)
    keypoints[..., 0] += np.arange(shape[1])[:, None] / shape[1]
    confidence = random.uniform(0.31, 1, shape).astype(np.float32)
    for side, wrist in (("left_hand", 7), ("right_hand", 4)):
        keypoints[:, :, PARTS[side].start] = keypoints[:, :, wrist]
    for frame, count in enumerate(counts):
        keypoints[frame, count:] = confidence[frame, count:] = 0
    return keypoints, confidence


def video_files(
    counts: list[int], *, seed: int = 0, captions: dict[str, str] | None = None, video_id: str = "", **defects
) -> dict[str, bytes]:
    """The files of one video's folder.

    Args:
        counts: People in each stored frame.
        captions: One text for the first second, by language.
        defects: Fields of `Defects`.
    """
    keypoints, confidence = people_in(counts, seed)
    fps = 24 / defects.get("stride", 1)
    people = People(keypoints, confidence, np.array(counts, np.int32), fps, 640, 360, "", (), ())
    cues = {language: [Caption(0.0, 1.0, text)] for language, text in (captions or {}).items()}
    return publish_video(people, video_id, Defects(**defects), captions=cues)


def shard_bytes(videos: dict[str, dict[str, bytes]], **options) -> bytes:
    """An archive of whole folders."""
    stream = io.BytesIO()
    write_shard(stream, videos.items(), **options)
    return stream.getvalue()


@pytest.fixture
def make_people():
    return people_in


@pytest.fixture
def make_video():
    return video_files


@pytest.fixture
def make_shard():
    return shard_bytes
