"""How a clip is varied before it is rendered: arms, proportions, tempo, handedness and camera, within what bodies do.

Arms turn in the picture's plane, as a body that turns them about the line of sight would: every bone keeps its length.
Hands keep their size and shape, and what touched still touches, since all of it goes through `poses.retarget`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gen.renderers.base import Placement
from pipelines.variation_limits import Variation
from poses.clean import resample
from poses.keypoints import FACE, PARTS
from poses.retarget import displace, find_displacement
from poses.sequence import PoseSequence

ARM_BONES = ("right_upper_arm", "right_forearm", "left_upper_arm", "left_forearm")
STRETCHED = ("neck", "face", "upper_arm", "forearm")


@dataclass(frozen=True)
class Change:
    """What is done to one clip.

    Attributes:
        mirrored: Whether right and left are exchanged.
        speed: How many times as fast.
        turns_deg: By bone of `ARM_BONES`, clockwise in the picture.
        ratios: By bone of `STRETCHED`, how many times as long.
        zoom: How many times as large in the picture.
        shift: To the right and down, shares of the picture's width and height.
    """

    mirrored: bool
    speed: float
    turns_deg: Mapping[str, float]
    ratios: Mapping[str, float]
    zoom: float
    shift: tuple[float, float]


def draw_change(variation: Variation, rng: np.random.Generator) -> Change:
    """Draws what is done to a clip, with equally many draws whatever is varied: no limit changes another's draw."""

    def either_way(most: float) -> float:
        return round(float(rng.uniform(-1, 1)) * most, 4)

    return Change(
        mirrored=bool(rng.random() < variation.mirrored_share),
        speed=1 + either_way(variation.speed),
        turns_deg={bone: either_way(variation.turn_deg) for bone in ARM_BONES},
        ratios={bone: 1 + either_way(variation.proportion) for bone in STRETCHED},
        zoom=1 + either_way(variation.zoom),
        shift=(either_way(variation.shift), either_way(variation.shift)),
    )


def change_poses(poses: PoseSequence, change: Change) -> PoseSequence:
    """A clip mirrored, in another tempo, with other arms; glosses move along.

    Raises:
        ValueError: The shoulders are never both seen.
    """
    if change.mirrored:
        poses = mirrored(poses)
    poses = resample(poses, poses.fps, speed=change.speed)
    return displace(poses, find_displacement(poses, dict(change.ratios), change.turns_deg))


def mirrored(poses: PoseSequence) -> PoseSequence:
    """A left-handed signer for a right-handed one, the face's points included, which run the other way then."""
    from recognizer.processing_sign_recognizer import mirror  # brings transformers, which `--help` must not wait for

    flipped = mirror(poses)
    face = PARTS["face"].start + np.array(_FACE_TURNED)
    order = np.concatenate([np.arange(PARTS["face"].start), face])
    return replace(flipped, keypoints=flipped.keypoints[:, order], confidence=flipped.confidence[:, order])


def move_camera(placement: Placement, change: Change) -> Placement:
    """The signer nearer or farther, about the picture's middle, and moved."""
    middle_x, middle_y = placement.width / 2, placement.height / 2
    return replace(
        placement,
        scale=placement.scale * change.zoom,
        offset_x=(placement.offset_x - middle_x) * change.zoom + middle_x + change.shift[0] * placement.width,
        offset_y=(placement.offset_y - middle_y) * change.zoom + middle_y + change.shift[1] * placement.height,
    )


def _turned(name: str) -> str:
    """The point of the same feature that lies where this one is in a mirror, right and left exchanged already.

    iBUG numbers jaw, brows and nose across the picture, and eyelids and lips around.
    """
    feature, _, number = name.rpartition("_")
    i = int(number)
    turned = {
        "jaw": 16 - i,
        "right_brow": 4 - i,
        "left_brow": 4 - i,
        "nose_bridge": i,
        "nose_base": 4 - i,
        "right_eyelid": (3 - i) % 6,
        "left_eyelid": (3 - i) % 6,
        "outer_lip": (6 - i) % 12,
        "inner_lip": (4 - i) % 8,
    }
    return f"{feature}_{turned[feature]}"


_FACE_TURNED = [FACE.index(_turned(name)) for name in FACE]
