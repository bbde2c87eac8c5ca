"""Writes videos as SignVerse-2M publishes them, to the byte layout and with its defects.

The corpus cannot be shipped, so what reads it is tested against this. Folders and payloads follow
https://github.com/SignerX/SignVerse-2M, SignDW_Transformer/scripts/@1c6dfc7: `build_npz_payload` and `process_video` of
pipeline02, captions as pipeline01 leaves them, archives by `create_tar_archive` of pipeline03.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Literal

import numpy as np
from jaxtyping import Float32

from poses.captions import Caption, format_vtt
from poses.formats.signverse_repairs import CODES, VISIBLE, stored_as
from poses.keypoints import NUM_KEYPOINTS, PARTS
from poses.people import People

_ORDER = ("body", "face", "left_hand", "right_hand")
_GARBAGE = -0.5
_TIME = 1775000000.25
"""A fraction of a second, as files have; `tarfile` gives each member a PAX header for it."""


@dataclass(frozen=True)
class Defects:
    """How a video was made and what is wrong with it, beside what is wrong with every one."""

    scheme: Literal["poses", "frames"] = "poses"
    """One `poses.npz`, or one file a frame."""
    decoding: Literal["optimized", "stream", "jpg-spill"] = "optimized"
    """In `poses.npz` they store each frame's index once, never and twice. The latter two find a phantom in each frame
    without anybody."""
    stride: int = 1
    """Only each so many-th frame of the video was looked at."""
    permuted_hands: bool = True
    """Hands of several people lie with the wrong ones, as in all of the corpus so far."""
    without_hands: bool = False
    """The hands' keys are absent."""
    high_scores: bool = False
    """Hand and face points of confidence 1 have a score of 1.1."""
    off_frame: bool = False
    """Unseen hand and face points lie far off the frame and have a score nevertheless."""
    damaged_crc: bool = False
    """A byte of the points is wrong, so that the checksum does not match."""


def publish_video(
    people: People,
    video_id: str,
    defects: Defects | None = None,
    *,
    captions: Mapping[str, Sequence[Caption]] | None = None,
) -> dict[str, bytes]:
    """Makes the files of a video's folder.

    Args:
        people: Whom the estimator saw. Body joints keep only whether they are seen.
        video_id: The video's name.
        defects: How it was made and what is wrong with it.
        captions: What is said, by language.

    Returns:
        Content by path inside the folder.
    """
    defects = defects or Defects()
    payloads = [_defective_payload(people, frame, defects) for frame in range(len(people.keypoints))]
    files = _caption_files(captions, video_id) if captions else {}
    numbers = 1 + defects.stride * np.arange(len(payloads), dtype=np.int32)
    if defects.scheme == "poses":
        times = {"optimized": 1, "stream": 0, "jpg-spill": 2}[defects.decoding]
        arrays = poses_arrays(payloads, video_id, fps=round(people.fps * defects.stride))
        arrays["frame_indices"] = np.repeat(numbers, times)
        arrays["total_frames"] = np.asarray(len(payloads) * defects.stride, np.int32)
        files["npz/poses.npz"] = _npz(arrays)
    else:
        files |= {f"npz/{number:08d}.npz": _npz(held) for number, held in zip(numbers, payloads, strict=True)}
    if defects.damaged_crc:
        files[max(files)] = _with_wrong_byte(files[max(files)])
    mode = "single_poses_npy" if defects.scheme == "poses" else "per_frame_npz"
    files["npz/.complete"] = (
        f"video_id={video_id}\nfps={round(people.fps * defects.stride)}\nframes={len(payloads) * defects.stride}\n"
        f"output_mode={mode}\ndecode_mode={'jpg-spill' if defects.decoding == 'jpg-spill' else 'stream'}\n"
        f"optimized_mode={defects.decoding == 'optimized'}\noptimized_detect_resolution=512\n"
        f"optimized_frame_stride={defects.stride}\ncompleted_at=2026-04-01 00:00:00\n"
    ).encode()
    return files


def write_shard(
    stream: BinaryIO, videos: Iterable[tuple[str, Mapping[str, bytes]]], *, tar_format: int = tarfile.PAX_FORMAT
) -> None:
    """Writes videos' folders as an archive, one after another.

    Args:
        stream: Where to.
        videos: Names of the folders, and their files as `publish_video` makes them.
        tar_format: One of `tarfile`'s formats; the corpus has its default.
    """
    with tarfile.open(fileobj=stream, mode="w", format=tar_format) as archive:
        for video_id, files in videos:
            folders = {str(PurePosixPath(video_id, path).parent) for path in files} | {video_id}
            for name in sorted([*folders, *(f"{video_id}/{path}" for path in files)]):
                member = tarfile.TarInfo(name)
                member.mtime = _TIME
                if name in folders:
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(member)
                else:
                    data = files[name.removeprefix(f"{video_id}/")]
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


# One frame, one file


def frame_payload(
    keypoints: Float32[np.ndarray, "people 128 2"],
    scores: Float32[np.ndarray, "people 128"],
    width: int,
    height: int,
    *,
    codes: bool = True,
    permuted_hands: bool = True,
    hands: bool = True,
) -> dict[str, np.ndarray]:
    """What is stored of one frame.

    Args:
        keypoints: x / frame width and y / frame height.
        scores: 0 to 1, as the estimator has them.
        width: Pixels.
        height: Pixels.
        codes: Whether joint numbers stand for the body's scores.
        permuted_hands: Whether hands of several people lie with the wrong ones.
        hands: Whether there are any.
    """
    payload = {
        "num_persons": np.asarray(len(keypoints), np.int32),
        "frame_width": np.asarray(width, np.int32),
        "frame_height": np.asarray(height, np.int32),
    }
    # Where a part is to be found says whose is stored under a name, read the other way round.
    owners = {
        stored_as(person, part, len(keypoints) if permuted_hands else 1): (person, part)
        for person in range(len(keypoints))
        for part in PARTS
    }
    for person in range(len(keypoints)):
        for part in _ORDER if hands else _ORDER[:2]:
            owner, owned = owners[person, part]
            stored = scores[owner, PARTS[owned]]
            if part == "body" and codes:
                stored = np.where(stored > VISIBLE, CODES + len(CODES) * person, np.float32(-1))
            payload[f"person_{person:03d}_{part}_keypoints"] = keypoints[owner, PARTS[owned]]
            payload[f"person_{person:03d}_{part}_scores"] = stored
    return payload


def poses_arrays(payloads: list[dict[str, np.ndarray]], video_id: str, *, fps: int) -> dict[str, np.ndarray]:
    """The arrays of a `poses.npz` in their order, without defects of its own."""
    count = len(payloads)
    frames = np.empty(count, object)
    frames[:] = payloads
    return {
        "video_id": np.asarray(video_id),
        "fps": np.asarray(fps, np.int32),
        "total_frames": np.asarray(count, np.int32),
        "frame_widths": np.array([payload["frame_width"] for payload in payloads], np.int32),
        "frame_heights": np.array([payload["frame_height"] for payload in payloads], np.int32),
        "frame_indices": np.arange(1, count + 1, dtype=np.int32),
        "frame_payloads": frames,
    }


def _defective_payload(people: People, frame: int, defects: Defects) -> dict[str, np.ndarray]:
    count = int(people.num_people[frame])
    keypoints, scores = people.keypoints[frame, :count].copy(), people.confidence[frame, :count].copy()
    if not count and defects.decoding != "optimized":
        keypoints, scores = _phantom(frame)
    parts = np.arange(NUM_KEYPOINTS) >= PARTS["body"].stop
    if defects.off_frame:
        unseen = (scores == 0) & parts
        keypoints[unseen], scores[unseen] = _GARBAGE, 0.2
    if defects.high_scores:
        scores[(scores == 1) & parts] = 1.1
    return frame_payload(
        keypoints,
        scores,
        people.width,
        people.height,
        permuted_hands=defects.permuted_hands,
        hands=not defects.without_hands,
    )


def _phantom(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """One person where there is none: points anywhere, none of them sure but a few of the body."""
    random = np.random.default_rng(frame)
    scores = random.uniform(0.02, 0.25, (1, NUM_KEYPOINTS)).astype(np.float32)
    scores[0, random.choice(len(CODES), 5, replace=False)] = 0.4
    return random.random((1, NUM_KEYPOINTS, 2), dtype=np.float32), scores


def save_npz(stream: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as the corpus has them, not compressed, frames pickled."""
    np.savez(stream, allow_pickle=True, **arrays)  # pyrefly: ignore[bad-argument-type] - no array is named so


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    save_npz(stream, arrays)
    return stream.getvalue()


def _with_wrong_byte(npz: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(npz)) as archive:
        last = archive.infolist()[-1]
    at = last.header_offset + last.file_size // 2
    return npz[:at] + bytes([npz[at] ^ 1]) + npz[at + 1 :]


def _caption_files(captions: Mapping[str, Sequence[Caption]], video_id: str) -> dict[str, bytes]:
    languages = {
        language: {
            "text": " ".join(cue.text for cue in cues),
            "segments": [{"start_sec": cue.start_s, "end_sec": cue.end_s, "text": cue.text} for cue in cues],
            "vtt_path": f"captions/{video_id}.{language}.vtt",
        }
        for language, cues in captions.items()
    }
    content = {
        "video_id": video_id,
        "subtitle_languages": sorted(languages),
        "subtitle_en": languages.get("en", {}).get("text", ""),
        "subtitle_en_source": "manual_or_auto_en" if "en" in languages else "",
        "subtitle_texts": {language: held["text"] for language, held in languages.items()},
        "languages": languages,
    }
    files = {f"captions/{video_id}.{language}.vtt": format_vtt(cues) for language, cues in captions.items()}
    files[f"captions/{video_id}.captions.json"] = json.dumps(content, ensure_ascii=False, indent=2).encode()
    return files
