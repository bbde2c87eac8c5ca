"""Clips of all five pose tracks: spelled words, acted by synthetic signers, whose bodies are known exactly.

Each track is a stand-in for what its estimator would say of a film of the signer:

| track | stand-in |
|---|---|
| `dwpose` | the body's own 128 points, those that the recognizer reads, in its frame |
| `mediapipe_pose` | the body's own points, with their true depth |
| `primedepth_depth` | the body's true depth in the picture |
| `sapiens_segmentation` | the body's parts in the picture |
| `smplerx` | the rotations of the body's joints that correspond to SMPL-X's, counted from this body's rest |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int

from gen.signers import rotations
from gen.signers.appearance import sample_signer
from gen.signers.body import PARTS, Body, keypoints_of, load_body
from gen.signers.fit import BodyMotion, Camera, fit_body, pose_vertices
from gen.signers.raster import rasterize
from pipelines.bulk import BulkResult, Part, Tell, run_bulk
from poses.bounds import check_at_least
from poses.clean import resample
from poses.fingerspelling import letter_clips, spell
from poses.formats.mediapipe import POSE_NAMES
from poses.keypoints import PARTS as POINTS
from poses.keypoints import index
from poses.sequence import PoseSequence
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, leads_with_left, mirror
from recognizer.processing_signx import signer_track
from recognizer.track_clips import SPLITS, TABLE, save_tracks, write_table
from recognizer.tracks import (
    MAP_SHAPE,
    SMPLX_POSES,
    depth_track,
    join_tracks,
    mediapipe_track,
    pool_labels,
    pool_map,
    segmentation_track,
    smplerx_track,
)
from recognizer.training_signx import Pose2GlossTrainConfig

FPS = 12.0

_CELL_PX = 4
"""Pixels to a side of each cell of a map, before they are pooled."""

_FRAME_M = (1.1, 1.4)
"""How much of the world the picture shows, least and most."""

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_BONE_OF_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}

_MEDIAPIPE = {
    "EYE_INNER": ("face_left_eyelid_0", "face_right_eyelid_3"),
    "EYE": ("left_eye", "right_eye"),
    "EYE_OUTER": ("face_left_eyelid_3", "face_right_eyelid_0"),
    "EAR": ("left_ear", "right_ear"),
    "SHOULDER": ("left_shoulder", "right_shoulder"),
    "ELBOW": ("left_elbow", "right_elbow"),
    "WRIST": ("left_wrist", "right_wrist"),
    "PINKY": ("left_hand_little_mcp", "right_hand_little_mcp"),
    "INDEX": ("left_hand_index_mcp", "right_hand_index_mcp"),
    "THUMB": ("left_hand_thumb_ip", "right_hand_thumb_ip"),
    "HIP": ("left_hip", "right_hip"),
    "KNEE": ("left_knee", "right_knee"),
    "ANKLE": ("left_ankle", "right_ankle"),
    "HEEL": ("left_ankle", "right_ankle"),
    "FOOT_INDEX": ("left_ankle", "right_ankle"),
}
"""The points that lie where MediaPipe's left and right ones do, except heels and toes, which no picture here shows."""

_TO_SMPLX = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
"""From the body's axes (left, back, up) to SMPL-X's (left, up, front)."""


@dataclass(frozen=True)
class SyntheticTracksConfig:
    """What to make. Killed, the same command goes on."""

    output: Path
    """Folder of the clips; made when missing, continued when not."""
    train: int = 400
    """Clips to train on."""
    validation: int = 100
    """Clips of other signers, and of letters of other languages."""
    max_letters: int = 3
    """Letters of the longest word."""
    seed: int = 0
    """Decides everything."""
    workers: int = 1
    """Processes."""

    def __post_init__(self):
        check_at_least(0, validation=self.validation, seed=self.seed)
        check_at_least(1, train=self.train, max_letters=self.max_letters, workers=self.workers)


def make_tracks(config: SyntheticTracksConfig) -> BulkResult:
    """Makes a folder that `signloop train pose2gloss --data` takes.

    Raises:
        ValueError: The folder holds something else, or clips of other settings.
    """
    items = {f"{split}-{number:05d}": split for split in SPLITS for number in range(getattr(config, split))}
    return run_bulk(
        partial(_make_clip, max_letters=config.max_letters),
        items,
        config.output,
        settings={"max_letters": config.max_letters},
        workers=config.workers,
        seed=config.seed,
        unit="clip",
        show=True,
        finish=partial(_list_clips, config.output),
    )


def _make_clip(split: str, folder: Path, *, seed: int, tell: Tell, max_letters: int) -> Part:
    rng = np.random.default_rng(seed)
    languages = Pose2GlossTrainConfig()
    codes = languages.training_languages if split == "train" else languages.validation_languages
    language, letters = _language(rng, codes)
    word = [str(rng.choice(letters)) for _ in range(rng.integers(1, max_letters + 1))]
    poses = spell(word, language)
    poses = mirror(poses) if leads_with_left(poses) else poses
    poses = resample(poses, FPS, speed=float(np.exp(rng.uniform(np.log(0.75), np.log(1.5)))))
    body = load_body(sample_signer(int(rng.integers(2**31))).shape)
    motion = fit_body(poses, body)
    motion = replace(motion, camera=_camera(body, rng))
    save_tracks(join_tracks(five_tracks(body, motion)), folder / "tracks.npz")
    (folder / "glosses.txt").write_text(" ".join(word), encoding="utf-8")
    tell(1)
    return Part(1, 1)


def _language(rng: np.random.Generator, codes: Sequence[str]) -> tuple[str, list[str]]:
    """One of the languages that have letters A to Z, and these."""
    for language in map(str, rng.permutation(codes)):
        if letters := sorted(set(letter_clips(language)) & set(ALPHABET)):
            return language, letters
    raise ValueError(f"`codes` must hold a language with letters A to Z, got {', '.join(codes)}.")


def _list_clips(output: Path, result: BulkResult) -> BulkResult:
    names = {name: output / "parts" / name / "glosses.txt" for name in result.parts}
    rows = [
        (f"parts/{name}/tracks", path.read_text(encoding="utf-8").split(), name.split("-")[0])
        for name, path in names.items()
    ]
    write_table(rows, output / TABLE)
    return result


def _camera(body: Body, rng: np.random.Generator) -> Camera:
    """A square picture from the belt up, not quite in the middle."""
    scale = 1 / rng.uniform(*_FRAME_M)
    neck = body.keypoints[index("neck")]
    across, down = 0.5 + rng.normal(0, 0.02), 0.35 + rng.normal(0, 0.02)
    return Camera(scale, (float(across - scale * neck[0]), float(down + scale * neck[2])), 1.0)


def five_tracks(body: Body, motion: BodyMotion) -> dict[str, Float32[np.ndarray, "frames features"]]:
    """What the tracks say of a moving body; see this module for what each stands in for."""
    points = motion.camera.project(keypoints_of(body, motion.linear, motion.positions, motion.expression))
    depths, parts = _maps(body, motion)
    return {
        "dwpose": signer_track(_poses(points), SignRecognizerProcessor(frame_rate=FPS)),
        "mediapipe_pose": _mediapipe(points, motion.camera),
        "primedepth_depth": depth_track(depths),
        "sapiens_segmentation": segmentation_track(parts, len(PARTS) + 1),
        "smplerx": smplerx_track(_joint_rotations(body, motion)),
    }


def _poses(points: Float32[np.ndarray, "frames 128 3"]) -> PoseSequence:
    seen = np.asarray(((points[..., :2] >= 0) & (points[..., :2] < 1)).all(axis=-1), np.float32)
    keypoints = np.where(seen[..., None] > 0, points[..., :2], np.float32(0))
    return PoseSequence(keypoints, seen, FPS, 256, 256, "a synthetic signer")


def _mediapipe(points: Float32[np.ndarray, "frames 128 3"], camera: Camera) -> Float32[np.ndarray, "frames 258"]:
    """Depths are counted from the middle of the hips, and in hands from the wrist, in frame widths."""
    scaled = points * np.array([1, 1, camera.scale], np.float32)
    hips = scaled[:, index("left_hip", "right_hip"), 2].mean(axis=1)
    names = [_keypoint_of(name) for name in POSE_NAMES]
    pose = np.concatenate([scaled[:, index(*names)], np.ones((len(points), len(names), 1), np.float32)], axis=-1)
    pose[..., 2] -= hips[:, None]
    pose[:, [number for number, name in enumerate(POSE_NAMES) if "HEEL" in name or "FOOT" in name], 3] = 0
    hands = [scaled[:, POINTS[hand]].copy() for hand in ("left_hand", "right_hand")]
    for hand in hands:
        hand[..., 2] -= hand[:, :1, 2]
    return mediapipe_track(pose.astype(np.float32), *hands)


def _keypoint_of(name: str) -> str:
    """Our name of one of MediaPipe's body points."""
    if name == "NOSE":
        return "nose"
    if name.startswith("MOUTH"):
        return "face_outer_lip_6" if name == "MOUTH_LEFT" else "face_outer_lip_0"
    side, _, rest = name.partition("_")
    return _MEDIAPIPE[rest][side == "RIGHT"]


def _maps(
    body: Body, motion: BodyMotion
) -> tuple[Float[np.ndarray, "frames rows columns"], Int[np.ndarray, "frames rows columns"]]:
    """How near the body is, and which of its parts is seen, 0 where none is; background counts as far as can be."""
    height, width = (cells * _CELL_PX for cells in MAP_SHAPE)
    depths, parts = [], []
    for vertices in pose_vertices(body, motion):
        screen = motion.camera.project(vertices) * np.array([width, height, 1], np.float32)
        raster = rasterize(screen, body.faces, height=height, width=width)
        seen = raster.face >= 0
        depths.append(np.where(seen, -raster.depth, np.nan))
        labels = np.where(seen, body.part[raster.face] + 1, 0)
        parts.append(pool_labels(labels, len(PARTS) + 1, MAP_SHAPE))
    near = np.stack(depths)
    near = np.where(np.isnan(near), np.nanmin(near), near)
    return pool_map(near, MAP_SHAPE), np.stack(parts)


@cache
def _joints() -> dict[str, tuple[tuple[str, str], ...]]:
    """For each group of SMPL-X's joints, the bones that each joint and its parent turn with."""
    body = (
        *_both("upperleg02", "root"), ("spine04", "root"), *_both("lowerleg02", "upperleg02"), ("spine02", "spine04"),
        *_both("foot", "lowerleg02"), ("spine01", "spine02"), *_both("foot", "foot"), ("neck02", "spine01"),
        *_both("clavicle", "spine01"), ("head", "neck02"), *_both("upperarm02", "clavicle"),
        *_both("lowerarm02", "upperarm02"), *_both("wrist", "lowerarm02"),
    )  # fmt: skip
    groups: dict[str, tuple[tuple[str, str], ...]] = {
        "global_orient": (("root", ""),),
        "body_pose": body,
        "jaw_pose": (("head", "head"),),  # this body's jaw has no joint
        "leye_pose": (("eye.L", "head"),),
        "reye_pose": (("eye.R", "head"),),
    }
    for name, side in (("left_hand_pose", "L"), ("right_hand_pose", "R")):
        bones = []
        for finger in _FINGERS:
            before = f"wrist.{side}"
            for joint in (1, 2, 3):
                bone = f"finger{_BONE_OF_FINGER[finger]}-{joint}.{side}"
                bones.append((bone, before))
                before = bone
        groups[name] = tuple(bones)
    return groups


def _both(bone: str, parent: str) -> tuple[tuple[str, str], tuple[str, str]]:
    def on(side: str) -> tuple[str, str]:
        single = parent == "root" or parent.startswith("spine")
        return f"{bone}.{side}", parent if single else f"{parent}.{side}"

    return on("L"), on("R")


def _joint_rotations(body: Body, motion: BodyMotion) -> dict[str, Float[np.ndarray, "frames joints 3"]]:
    turns = _TO_SMPLX @ rotations.nearest(motion.linear.astype(float)) @ _TO_SMPLX.T
    found = {}
    for group, pairs in _joints().items():
        assert len(pairs) == SMPLX_POSES[group], "every joint of SMPL-X has a bone"
        own = turns[:, [body.bone(bone) for bone, _ in pairs]]
        if group != "global_orient":
            parents = turns[:, [body.bone(parent) for _, parent in pairs]]
            own = np.swapaxes(parents, -1, -2) @ own
        found[group] = rotations.to_vector(own)
    return found
