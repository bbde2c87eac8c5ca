"""Clips that `benchmarks.renderer` shows, and the poses that drive them."""

import json
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from benchmarks.kept import clip_key
from gen.signers.appearance import sample_signer
from gen.signers.fit import BodyMotion, Camera
from gen.signers.make import Actor, prepare
from poses.estimators import create_estimator, extract_poses
from poses.files import new_file
from poses.formats.signverse import read_people, read_signverse
from poses.formats.signverse_published import Defects, publish_video
from poses.formats.signverse_repairs import VERSIONS, Repairs
from poses.keypoints import PARTS
from poses.people import People
from poses.sequence import PoseSequence

JITTER_PX, FACE_JITTER_PX = 1.0, 0.5
"""Spread of points from frame to frame, in pixels of a frame 256 wide: DWPose looks at each frame by itself."""
LOST_SHARE, LOW_SHARE = 0.08, 0.1
"""Share of hands that are lost, and of those that are found with a low score and four times the jitter."""
BYSTANDER_SCALE, BYSTANDER_FIRST = 0.6, 0.25
"""How large somebody behind the signer is beside them, and how often the detector puts them first."""

Video = UInt8[np.ndarray, "frames height width 3"]


@dataclass(frozen=True, eq=False)
class Film:
    """A clip and all that is known about it; the first frame is the signer's picture.

    Attributes:
        name: Of its folder.
        key: See `benchmarks.kept.clip_key`.
        signer: The seed they were made from.
        points: The exact keypoints in pixels, those outside the frame too.
        poses: The exact keypoints as an estimator would give them.
    """

    name: str
    key: str
    signer: int
    frames: Video
    points: np.ndarray
    poses: PoseSequence
    actor: Actor
    motion: BodyMotion


def load_film(folder: Path) -> Film:
    """Reads a clip that `signloop signers make` wrote, and dresses its signer again."""
    about = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
    frames, keypoints, confidence = (np.load(folder / f"{name}.npy") for name in ("frames", "keypoints", "confidence"))
    size = frames.shape[1]
    seen = np.where(confidence[..., None] > 0, keypoints, np.float32(0))
    camera = Camera(about["camera"]["scale"], tuple(about["camera"]["center"]), about["camera"]["aspect"])
    unknown = np.zeros((len(frames), 2), bool)
    with np.load(folder / "motion.npz") as arrays:
        motion = BodyMotion(camera=camera, arm_seen=unknown, hand_seen=unknown, **arrays)
    return Film(
        name=folder.name,
        key=clip_key(folder),
        signer=about["signer"],
        frames=frames,
        points=keypoints * size,
        poses=PoseSequence(seen, confidence, about["fps"], size, size, folder.name),
        actor=prepare(sample_signer(about["signer"])),
        motion=motion,
    )


create_estimator_once = cache(create_estimator)


def read_poses(film: Film, path: Path) -> PoseSequence:
    """What MediaPipe finds in the picture, and in the frames after it as another video."""
    if not path.exists():
        parts = [
            extract_poses(
                film.frames[part], fps=film.poses.fps, estimator=create_estimator_once("mediapipe"), source=film.name
            )
            for part in (slice(0, 1), slice(1, None))
        ]
        poses = join(*parts)
        with new_file(path) as aside, aside.open("wb") as file:
            np.savez(file, keypoints=poses.keypoints, confidence=poses.confidence)
    with np.load(path) as arrays:
        return replace(film.poses, **arrays, estimator="mediapipe")


def join(first: PoseSequence, second: PoseSequence) -> PoseSequence:
    """One clip after another."""
    keypoints = np.concatenate([first.keypoints, second.keypoints])
    return replace(first, keypoints=keypoints, confidence=np.concatenate([first.confidence, second.confidence]))


def publish(driving: PoseSequence, rng: np.random.Generator) -> dict[str, bytes]:
    """Files of a video as SignVerse-2M publishes them, with what its estimator does wrong and its makers' defects.

    Every point jitters, hands are lost or found with low scores, and behind stands somebody, doing the same backwards,
    whom the detector puts first at times. Body scores are codes, hands lie with the wrong people, points have scores
    above 1 or lie far off the frame: `poses.formats.signverse_published.Defects`.

    Args:
        driving: What the signer does.
        rng: Decides everything.
    """
    frames = len(driving)
    spread = np.full(driving.keypoints.shape[1], JITTER_PX)
    spread[PARTS["face"]] = FACE_JITTER_PX
    spread = np.tile(spread, (frames, 1))
    confidence = driving.confidence.copy()
    for side in ("left_hand", "right_hand"):
        part, luck = PARTS[side], rng.random(frames)
        confidence[luck < LOST_SHARE, part] = 0
        low = (luck >= LOST_SHARE) & (luck < LOST_SHARE + LOW_SHARE)
        confidence[low, part] *= 0.35
        spread[low, part] *= 4
    keypoints = driving.keypoints + (spread[..., None] / 256 * rng.normal(size=driving.keypoints.shape)).astype(
        np.float32
    )
    away = np.array([0.15 if rng.random() < 0.5 else 0.85, 0.35], np.float32)
    small = away + np.float32(BYSTANDER_SCALE) * (driving.keypoints[::-1] - np.array([0.5, 0.4], np.float32))
    people = np.stack([keypoints, small], axis=1)
    scores = np.stack([confidence, driving.confidence[::-1]], axis=1)
    swapped = rng.random(frames) < BYSTANDER_FIRST
    people[swapped], scores[swapped] = people[swapped][:, ::-1], scores[swapped][:, ::-1]
    people[scores == 0] = 0
    everybody = People(
        people, scores, np.full(frames, 2, np.int32), driving.fps, driving.width, driving.height, "", (), ()
    )
    return publish_video(everybody, "video", Defects(high_scores=True, off_frame=True))


def through_signverse(driving: PoseSequence, *, repair: bool, seed: int) -> PoseSequence:
    """A clip that was written by `publish` and read again.

    Without `repair`, the first person of each frame is the signer, and points are taken as they are stored.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in publish(driving, np.random.default_rng([seed, 256])).items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        path = Path(folder) / "npz" / "poses.npz"
        if repair:
            read = read_signverse(path)
            keypoints, confidence = read.keypoints, read.confidence
        else:
            people = read_people(path, repairs=Repairs().without(VERSIONS))
            keypoints, confidence = people.keypoints[:, 0], people.confidence[:, 0].clip(0, 1)
    keypoints = np.where(confidence[..., None] > 0, keypoints, np.float32(0))
    return replace(driving, keypoints=keypoints, confidence=confidence, estimator="")
