"""The stand-in for labelled real video: pose clips of real signers, filmed on synthetic signers drawn by code.

It is no real video, and nothing that comes of it may be called real. Who signs a clip of the test signs none to train
on, and the pose clips are split by session, so that neither looks nor recordings are shared.
"""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gen.renderers.base import SignerPicture
from gen.renderers.pictures import picture_of
from gen.renderers.placing import place_over
from gen.signers.appearance import sample_signer
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.make import Actor, prepare
from gen.signers.render import render_frames
from pipelines.bulk import Part, Tell, run_bulk
from pipelines.prove.clips import COLUMNS
from pipelines.prove.plan import Filming
from poses.clean import resample
from poses.files import new_file
from poses.formats.mediapipe import holistic_to_dwpose
from poses.io import save_poses
from poses.keypoints import PARTS
from poses.sequence import PoseSequence
from poses.video import write_video

KEYPOINTS_FILE = "keypoints.npz"
"""What makes a folder one of pose clips: MediaPipe Holistic points of labelled clips in sessions."""

COMMENT = "A stand-in filmed by SignLoop: a synthetic signer drawn by code, not a recording of a person."

FRAME_SIZE = (480, 640)

SIGNER_SEEDS = {"train": 900_000_000, "test": 900_100_000, "synthetic": 900_200_000, "synthetic-test": 900_300_000}
"""First seed of each group of synthetic signers; the bundled renderer was trained on seeds below ten million."""

_ARRAYS = {"pose": (33, 3), "lh": (21, 2), "rh": (21, 2), "face68": (68, 2)}


@dataclass(frozen=True, eq=False)
class Take:
    """A clip to be filmed: who signs what how."""

    poses: PoseSequence
    gloss: str
    signer: str
    split: str


@dataclass(frozen=True)
class SignerName:
    """How a synthetic signer is called: the group of `SIGNER_SEEDS` and a number."""

    group: str
    number: int

    def __str__(self) -> str:
        return f"{self.group}-{self.number:02d}"

    @property
    def seed(self) -> int:
        return SIGNER_SEEDS[self.group] + self.number


@lru_cache(maxsize=4)
def actor_of(name: SignerName) -> Actor:
    """A synthetic signer ready to be filmed."""
    return prepare(sample_signer(name.seed))


@lru_cache(maxsize=4)
def synthetic_picture(name: SignerName, size: int) -> SignerPicture:
    """A synthetic signer facing the camera."""
    actor = actor_of(name)
    return picture_of(actor.body, actor.figure, height=size, width=size, name=str(name), consent="synthetic")


def film(poses: PoseSequence, actor: Actor) -> UInt8[np.ndarray, "frames height width 3"]:
    """Draws placed poses on a signer by code."""
    motion = fit_body(poses, actor.body)
    vertices = pose_vertices(actor.body, motion)
    return render_frames(actor.figure, vertices, motion.camera, height=poses.height, width=poses.width)


def read_takes(path: Path, filming: Filming, *, seed: int) -> dict[str, Take]:
    """Casts clips of a pose corpus: equally many of each gloss, each signed by a synthetic signer of its split.

    The file holds MediaPipe Holistic points as fractions of a 640 x 480 frame, 0 where not seen: `pose` [clips, frames,
    33, (x, y, visibility)], `lh` and `rh` [clips, frames, 21, 2], `face68` [clips, frames, 68, 2]; and for each clip
    its gloss, `label`, and the recording session that it is from, `group`.

    Raises:
        ValueError: The file is wrong, has no such session, or too few clips of a gloss.
    """
    arrays = _read_keypoints(path)
    labels, sessions = arrays["label"].astype(str), arrays["group"].astype(str)
    known = sorted(set(sessions.tolist()))
    if filming.train_session not in known or len(known) < 2:
        raise ValueError(f"{path}: must hold {filming.train_session} and another session, found {known}.")
    rng = np.random.default_rng([seed, 0x7A])
    takes = {}
    for split, count, signers in (
        ("train", filming.train_clips, filming.train_signers),
        ("test", filming.test_clips, filming.test_signers),
    ):
        of_split = (sessions == filming.train_session) == (split == "train")
        for number, gloss in enumerate(sorted(set(labels.tolist()))):
            found = np.flatnonzero(of_split & (labels == gloss))
            order = rng.permutation(found)[
                :count
            ].tolist()  # drawn for all, so that fewer glosses or clips are part of more
            if filming.glosses is not None and number >= filming.glosses:
                continue
            if len(found) < count:
                raise ValueError(f"{path}: must hold {count} clips of {gloss!r} to {split}, found {len(found)}.")
            for place, clip in enumerate(order):
                # Each signer signs every gloss, as far as there are clips.
                signer = str(SignerName(split, (place + number) % signers))
                poses = resample(_poses(arrays, clip, filming.source_fps), filming.fps)
                content = hashlib.sha256(poses.keypoints.tobytes() + poses.confidence.tobytes()).hexdigest()[:8]
                takes[f"{signer}-{content}"] = Take(poses, gloss, signer, split)
    return takes


def film_takes(
    takes: dict[str, Take], output: Path, *, filming: Filming, size: int, seed: int, workers: int, show: bool
) -> tuple[Path, Mapping[str, str]]:
    """Films all takes as a bulk job, and lists them in a table for `read_labelled`.

    Returns:
        The table's path, and why takes could not be filmed.

    Raises:
        ValueError: `output` belongs to something else.
    """
    settings = {"command": "prove film", "size": size, "fps": filming.fps, "source_fps": filming.source_fps}
    work = partial(film_take, size=size)
    result = run_bulk(
        work,
        takes,
        output,
        settings=settings,
        workers=workers,
        seed=seed,
        unit=" films",
        show=show,
        refusal=ValueError,
    )
    table = output / "clips.csv"
    with new_file(table, overwrite=True) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for name in sorted(result.parts.keys() & takes.keys()):
            take, folder = takes[name], f"parts/{name}"
            writer.writerow((f"{folder}/video.mp4", take.gloss, take.signer, take.split, f"{folder}/poses.pose"))
    return table, result.failed


def film_take(take: Take, folder: Path, *, seed: int, tell: Tell, size: int) -> Part:
    """Films one take: `video.mp4`, and `poses.pose` in the video's frame.

    Raises:
        ValueError: The shoulders are never seen, so nobody can be placed.
    """
    group, _, number = take.signer.rpartition("-")
    name = SignerName(group, int(number))
    placement = place_over(take.poses, synthetic_picture(name, size).poses, height=size, width=size)
    placed = placement(take.poses)
    save_poses(placed, folder / "poses.pose")
    write_video(folder / "video.mp4", film(placed, actor_of(name)), fps=placed.fps, comment=COMMENT)
    tell(1)
    return Part(1, 1)


def _read_keypoints(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in (*_ARRAYS, "label", "group") if name in held.files}
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: must be an .npz of keypoints, and cannot be read ({error}).") from None
    for name, shape in _ARRAYS.items():
        found = arrays[name].shape if name in arrays else None
        if found is None or len(found) != 4 or found[2:] != shape or found[:2] != arrays["pose"].shape[:2]:
            raise ValueError(f"{path}: {name}.npy must be [clips, frames, {shape[0]}, {shape[1]}], found {found}.")
    for name in ("label", "group"):
        if name not in arrays or arrays[name].shape != arrays["pose"].shape[:1]:
            raise ValueError(f"{path}: {name}.npy must name something for each of {len(arrays['pose'])} clips.")
    return arrays


def _poses(arrays: dict[str, np.ndarray], clip: int, fps: float) -> PoseSequence:
    pose, left, right, face = (arrays[name][clip].astype(np.float32) for name in ("pose", "lh", "rh", "face68"))
    pose[..., 2] = np.clip(pose[..., 2], 0, 1)
    keypoints, confidence = holistic_to_dwpose(pose, None, *map(_with_confidence, (left, right)))
    points = _with_confidence(face)
    keypoints[:, PARTS["face"]], confidence[:, PARTS["face"]] = points[..., :2], points[..., 2]
    height, width = FRAME_SIZE
    return PoseSequence(keypoints, confidence, fps, width, height, f"clip {clip}")


def _with_confidence(points: np.ndarray) -> np.ndarray:
    """A point that was not found lies at 0."""
    return np.concatenate([points, (points != 0).any(axis=-1, keepdims=True).astype(np.float32)], axis=-1)
