"""One signer's movement with another's proportions: bones take a reference's lengths, hands keep size and touch.

Bones are stretched from the neck outwards. A hand moves as a whole with its wrist, but the nearer it comes to face,
trunk or other hand, the more it moves with those instead, so that what touched still touches. All is a displacement of
each point in each frame, which subtracted again gives the first clip back.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

from poses.keypoints import FACE, PARTS, index
from poses.sequence import PoseSequence

Displacement = Float32[np.ndarray, "frames 128 2"]

BONES = MappingProxyType(
    {
        "neck": (("neck", "nose"),),
        "trunk": (("neck", "right_hip"), ("neck", "left_hip")),
        "upper_arm": (("right_shoulder", "right_elbow"), ("left_shoulder", "left_elbow")),
        "forearm": (("right_elbow", "right_wrist"), ("left_elbow", "left_wrist")),
        "thigh": (("right_hip", "right_knee"), ("left_hip", "left_knee")),
        "shin": (("right_knee", "right_ankle"), ("left_knee", "left_ankle")),
    }
)
"""The bones whose length is taken over, both sides as one."""

MAX_RATIO = 2.0
"""More than twice or less than half as long is no other body, but a bone that was not seen as it is."""

_LIMBS = ("upper_arm", "forearm", "thigh", "shin")
_LIMB_QUANTILE = 0.9
"""A limb that points at the camera looks short: its length is that in the frames where it looks longest."""

_SHORTEST = 0.01
"""Shoulder widths; what is shorter in every frame was not found."""

_TOUCHING, _APART = 0.05, 0.5
"""Shoulder widths: a hand this near moves wholly with what it touches, one this far wholly with its arm."""

_NEAREST = 1e-3
_CHUNK = 128
_FACE_POINTS = index(*(f"face_{name}" for name in FACE))
_HEAD = index("right_eye", "left_eye", "right_ear", "left_ear") + _FACE_POINTS
_ANCHORS = np.array(index("nose", "neck", "right_shoulder", "left_shoulder") + _HEAD)
_SHOULDERS, _HIPS = index("right_shoulder", "left_shoulder"), index("right_hip", "left_hip")
_TO_HIPS = np.array([0, 1.4])
"""Shoulder widths from the shoulders to hips that are not seen."""

_SIDES = ("left", "right")


def retarget(poses: PoseSequence, reference: PoseSequence) -> PoseSequence:
    """Gives `poses` the proportions of `reference`; see `find_displacement`."""
    return displace(poses, find_displacement(poses, bone_ratios(poses, reference)))


def displace(poses: PoseSequence, displacement: Displacement) -> PoseSequence:
    """Moves the points that are seen. With the displacement negated, it undoes itself."""
    seen = poses.confidence[..., None] > 0
    return replace(poses, keypoints=np.where(seen, poses.keypoints + displacement, np.float32(0)))


def proportions(poses: PoseSequence) -> dict[str, float]:
    """Lengths of `BONES` and the size of the `face` in shoulder widths, as far as they are seen at any length.

    Raises:
        ValueError: The shoulders are never both seen.
    """
    unit = _shoulder_width_px(poses)
    pixels, seen = poses.pixels(), poses.confidence > 0
    measured = {}
    for bone, sides in BONES.items():
        lengths = [_lengths(pixels, seen, index(*ends)) for ends in sides]
        measured[bone] = np.concatenate(lengths), _LIMB_QUANTILE if bone in _LIMBS else 0.5
    face = seen[:, [index("nose"), *_FACE_POINTS]].all(axis=1)
    from_nose = pixels[face][:, _FACE_POINTS] - pixels[face][:, [index("nose")]]
    measured["face"] = np.linalg.norm(from_nose, axis=-1).mean(axis=1), 0.5
    sizes = {name: float(np.quantile(found, level)) / unit for name, (found, level) in measured.items() if len(found)}
    return {name: size for name, size in sizes.items() if size > _SHORTEST}


def bone_ratios(poses: PoseSequence, reference: PoseSequence) -> dict[str, float]:
    """How many times as long each bone of `reference` is, in shoulder widths; not those that one of them never shows.

    Raises:
        ValueError: Shoulders are not seen, or a bone is more than `MAX_RATIO` times as long or as short.
    """
    ours, theirs = proportions(poses), proportions(reference)
    ratios = {}
    for bone in ours.keys() & theirs.keys():
        if not ours[bone] / MAX_RATIO <= theirs[bone] <= ours[bone] * MAX_RATIO:
            raise ValueError(
                f"{reference.source or '`reference`'}: its {bone.replace('_', ' ')} must be at most {MAX_RATIO:g} "
                f"times as long or as short as that of {poses.source or '`poses`'}, found {theirs[bone]:.2f} and "
                f"{ours[bone]:.2f} shoulder widths."
            )
        ratios[bone] = theirs[bone] / ours[bone]
    return {bone: ratios[bone] for bone in ours if bone in ratios}


def find_displacement(
    poses: PoseSequence, ratios: dict[str, float], turns_deg: Mapping[str, float] = MappingProxyType({})
) -> Displacement:
    """How far each point moves, in fractions of the frame, when bones become `ratios` times as long.

    Neck and shoulders stay. Hands keep their size, and wrists stay with them. Points that are not seen move with the
    next one that is, towards the neck.

    Args:
        poses: A clip.
        ratios: By name of `BONES`, and `face`.
        turns_deg: How far bones of one side, such as `left_forearm`, turn in the picture besides, clockwise. A forearm
            turns with its upper arm, and by its own angle on top.

    Raises:
        ValueError: The shoulders are never both seen.
    """
    pixels, seen = poses.pixels().astype(np.float64), poses.confidence > 0
    moved = _stretch(pixels, seen, ratios, turns_deg)
    wrists = index("left_wrist", "right_wrist")
    shifts = moved[:, wrists]
    unit = _shoulder_width_px(poses)
    for start in range(0, len(poses), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        shifts[chunk] = _keep_contacts(pixels[chunk] / unit, seen[chunk], moved[chunk], shifts[chunk])
    for side, (name, wrist) in enumerate(zip(_SIDES, wrists, strict=True)):
        moved[:, index(f"{name}_elbow")] += (shifts[:, side] - moved[:, wrist]) / 2  # both bones give way alike
        moved[:, wrist] = shifts[:, side]
        moved[:, PARTS[f"{name}_hand"]] = shifts[:, side, None]
    return (moved / [poses.width, poses.height]).astype(np.float32)


def _shoulder_width_px(poses: PoseSequence) -> float:
    width = poses.shoulder_width_px()
    if not width > 0:
        raise ValueError(f"{poses.source or '`poses`'}: must show both shoulders, by which bones are measured.")
    return width


def _lengths(pixels: np.ndarray, seen: np.ndarray, ends: list[int]) -> np.ndarray:
    both = seen[:, ends].all(axis=1)
    return np.linalg.norm(pixels[both][:, ends[0]] - pixels[both][:, ends[1]], axis=1)


def _chains() -> list[tuple[list[int], list[int], str, tuple[str, ...]]]:
    """Points with those they hang on, nearest first, the bone between, and those of their side that it turns with.

    Those that others hang on come first.
    """
    neck, nose = index("neck"), index("nose")
    chains: list[tuple[list[int], list[int], str, tuple[str, ...]]] = [
        ([nose], [neck], "neck", ()),
        (_HEAD, [nose, neck], "face", ()),
    ]
    for side in ("right", "left"):
        shoulder, elbow, wrist = index(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        hip, knee, ankle = index(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        upper_arm, forearm = f"{side}_upper_arm", f"{side}_forearm"
        chains += [([elbow], [shoulder, neck], "upper_arm", (upper_arm,))]
        chains += [([wrist], [elbow, shoulder, neck], "forearm", (upper_arm, forearm))]
        chains += [([hip], [neck], "trunk", ()), ([knee], [hip, neck], "thigh", ())]
        chains += [([ankle], [knee, hip, neck], "shin", ())]
    return chains


def _stretch(
    pixels: np.ndarray, seen: np.ndarray, ratios: Mapping[str, float], turns_deg: Mapping[str, float]
) -> np.ndarray:
    """Displacement in pixels of body and face as their bones grow and turn, [frames, 128, 2]."""
    moved = np.zeros_like(pixels)
    for points, ancestors, bone, turns_with in _chains():
        angle = np.radians(sum(turns_deg.get(name, 0.0) for name in turns_with))
        clockwise = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # as y goes down
        change = ratios.get(bone, 1.0) * clockwise - np.eye(2)
        for ancestor in reversed(ancestors):  # the nearest that is seen has the last word
            along = np.where(seen[:, points, None], pixels[:, points] - pixels[:, [ancestor]], 0)
            there = seen[:, [ancestor], None]
            moved[:, points] = np.where(there, moved[:, [ancestor]] + along @ change.T, moved[:, points])
    return moved


def _keep_contacts(points: np.ndarray, seen: np.ndarray, moved: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """How far each hand moves, [frames, 2, 2], left and right.

    Args:
        points: In shoulder widths, [frames, 128, 2].
        seen: [frames, 128].
        moved: How far body and face move, [frames, 128, 2].
        shifts: How far the wrists would move with their arms, [frames, 2, 2].
    """
    shoulders, hips = points[:, _SHOULDERS], points[:, _HIPS]
    hips = np.where(seen[:, _HIPS, None], hips, shoulders + _TO_HIPS)
    trunk_seen = seen[:, _SHOULDERS].all(axis=1, keepdims=True).repeat(len(_TRUNK_WEIGHTS), axis=1)
    anchors = np.concatenate([points[:, _ANCHORS], _TRUNK_WEIGHTS @ np.concatenate([shoulders, hips], axis=1)], axis=1)
    anchors_moved = np.concatenate([moved[:, _ANCHORS], _TRUNK_WEIGHTS @ moved[:, _SHOULDERS + _HIPS]], axis=1)
    anchors_seen = np.concatenate([seen[:, _ANCHORS], trunk_seen], axis=1)
    # The wrist is seen in frames in which fingers are lost: without it, the hand would jump there.
    hands = [np.r_[index(f"{side}_wrist"), PARTS[f"{side}_hand"]] for side in _SIDES]
    kept, holds = [], []
    for side, hand in enumerate(hands):
        gaps = _gaps(points[:, hand], seen[:, hand], anchors, anchors_seen)
        nearness = 1 / (gaps**2 + _NEAREST**2) ** 2  # interpolates by distance, and exactly where a point is touched
        total = nearness.sum(axis=(1, 2))[:, None]
        touched = np.einsum("fha,fad->fd", nearness, anchors_moved) / np.where(total > 0, total, 1)
        hold = _hold(gaps)
        kept.append(shifts[:, side] + hold * (touched - shifts[:, side]))
        holds.append(hold + _NEAREST)
    together = _hold(_gaps(points[:, hands[0]], seen[:, hands[0]], points[:, hands[1]], seen[:, hands[1]]))
    common = (kept[0] * holds[0] + kept[1] * holds[1]) / (holds[0] + holds[1])
    return np.stack([shift + together * (common - shift) for shift in kept], axis=1)


def _trunk_weights() -> np.ndarray:
    """Weights of shoulders and hips at places spread over the trunk, [places, 4]."""
    across, down = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 13)[1:]))
    return np.stack([(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down], axis=1)


_TRUNK_WEIGHTS = _trunk_weights()


def _gaps(some: np.ndarray, some_seen: np.ndarray, others: np.ndarray, others_seen: np.ndarray) -> np.ndarray:
    """Distances [frames, some, others], infinite where a point is not seen."""
    both = some_seen[:, :, None] & others_seen[:, None]
    return np.where(both, np.linalg.norm(some[:, :, None] - others[:, None], axis=-1), np.inf)


def _hold(gaps: np.ndarray) -> np.ndarray:
    """0 (apart) to 1 (touching) by the smallest gap, smoothly, [frames, 1]."""
    share = np.clip((_APART - gaps.min(axis=(1, 2))) / (_APART - _TOUCHING), 0, 1)
    return (share**2 * (3 - 2 * share))[:, None]
