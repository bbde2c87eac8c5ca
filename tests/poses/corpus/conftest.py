"""A writer that makes shards as SignVerse-2M publishes them, defects included.

The layout is that of https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/@1c6dfc7: folders and payloads
by `build_npz_payload` and the code around it in pipeline02, captions by pipeline01, archives by `create_tar_archive` in
pipeline03, which adds each folder with `tarfile`'s defaults: sorted members, and a PAX header with each one's time.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from poses.keypoints import PARTS

HANDS = ("left_hand", "right_hand")


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


def payload(keypoints: np.ndarray, confidence: np.ndarray, *, hands: bool = True) -> dict[str, np.ndarray]:
    """One frame as it is stored: joint numbers for body scores, hands permuted where there are several people."""
    count = len(keypoints)
    stored = {
        "num_persons": np.asarray(count, np.int32),
        "frame_width": np.asarray(640, np.int32),
        "frame_height": np.asarray(360, np.int32),
    }
    lefts_then_rights = [(person, side) for side in HANDS for person in range(count)]
    for person in range(count):
        codes = np.arange(18, dtype=np.float32) + 18 * person
        parts = {"body": person, "face": person}
        if hands:
            parts |= {side: lefts_then_rights[2 * person + at] for at, side in enumerate(HANDS)}
        for part, taken in parts.items():
            owner, held = taken if isinstance(taken, tuple) else (taken, part)
            scores = confidence[owner, PARTS[held]]
            if part == "body":
                scores = np.where(scores > 0.3, codes, np.float32(-1))
            stored[f"person_{person:03d}_{part}_keypoints"] = keypoints[owner, PARTS[held]]
            stored[f"person_{person:03d}_{part}_scores"] = scores
    return stored


def npz(arrays: dict) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def video_files(
    counts: list[int],
    *,
    seed: int = 0,
    scheme: str = "poses",
    indices: str = "once",
    stride: int = 1,
    hands: bool = True,
    off_frame: bool = False,
    captions: dict[str, str] | None = None,
    video_id: str = "",
) -> dict[str, bytes]:
    """The files of one video's folder.

    Args:
        counts: People in each stored frame; one on an empty scene is the phantom that the slow path finds.
        scheme: "poses" for one `poses.npz`, "frames" for one file a frame.
        indices: "once", "twice" as the path over JPEG files writes them, or "none" as the slow stream does.
        stride: Only each so many-th frame was looked at.
        hands: Whether people have any.
        off_frame: Whether points lie beside the picture.
        captions: WebVTT by language.
    """
    keypoints, confidence = people_in(counts, seed)
    if off_frame:
        keypoints[..., 1] -= 0.3
    payloads = [payload(keypoints[at, :count], confidence[at, :count], hands=hands) for at, count in enumerate(counts)]
    numbers = 1 + stride * np.arange(len(counts), dtype=np.int32)
    frames = np.empty(len(counts), object)
    frames[:] = payloads
    files = {
        f"captions/{video_id}.{language}.vtt": f"WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n".encode()
        for language, text in (captions or {}).items()
    }
    if captions:
        segment = {"start_sec": 0.0, "end_sec": 1.0}
        languages = {language: {"segments": [segment | {"text": text}]} for language, text in captions.items()}
        content = {"video_id": video_id, "subtitle_languages": sorted(languages), "languages": languages}
        files[f"captions/{video_id}.captions.json"] = json.dumps(content, ensure_ascii=False, indent=2).encode()
    if scheme == "poses":
        files["npz/poses.npz"] = npz(
            {
                "video_id": np.asarray(video_id),
                "fps": np.asarray(24, np.int32),
                "total_frames": np.asarray(len(counts) * stride, np.int32),
                "frame_widths": np.full(len(counts), 640, np.int32),
                "frame_heights": np.full(len(counts), 360, np.int32),
                "frame_indices": np.repeat(numbers, {"once": 1, "twice": 2, "none": 0}[indices]),
                "frame_payloads": frames,
            }
        )
    else:
        files |= {f"npz/{number:08d}.npz": npz(held) for number, held in zip(numbers, payloads, strict=True)}
    files["npz/.complete"] = (
        f"video_id={video_id}\nfps=24\nframes={len(counts) * stride}\noutput_mode=single_poses_npy\n"
        f"decode_mode=stream\noptimized_mode=True\noptimized_detect_resolution=512\n"
        f"optimized_frame_stride={stride}\ncompleted_at=2026-04-01 00:00:00\n"
    ).encode()
    return files


def shard_bytes(videos: dict[str, dict[str, bytes]], **options) -> bytes:
    """An archive of whole folders, in the order that `tarfile` adds them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:
        for video_id, files in videos.items():
            folders = {str(Path(video_id, path).parent) for path in files} | {video_id}
            for name in sorted([*folders, *(f"{video_id}/{path}" for path in files)]):
                member = tarfile.TarInfo(name)
                member.mtime = 1775000000.25
                if name in folders:
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(member)
                else:
                    data = files[name.removeprefix(f"{video_id}/")]
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
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
