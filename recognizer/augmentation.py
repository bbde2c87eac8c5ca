"""What makes many signers, cameras and pose estimators of one recorded letter.

Nothing here was fitted to any renderer's output: the errors are those that estimators are known for.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch.nn import functional as F

from poses.keypoints import HAND, HAND_BONES, PARTS
from poses.sequence import PoseSequence
from recognizer.framing import BODY_POINTS, HANDS, SURE, framed, sample_frames
from recognizer.processing_sign_recognizer import swap_sides

_RIGHT_HAND, _LEFT_HAND = HANDS
_RIGHT_ARM = (BODY_POINTS.index("right_wrist"), BODY_POINTS.index("right_elbow"))
_LEFT_ARM = (BODY_POINTS.index("left_wrist"), BODY_POINTS.index("left_elbow"))
_KNUCKLE = {finger: HAND.index(f"{finger}_mcp") for finger in ("index", "middle", "little")}
_THUMB, _FINGERS = 0, 5  # of the five fingers the thumb is the first
EDGE_RANGE = (0.5, 1.4)
"""Where a webcam's picture ends, in shoulder widths below the shoulders."""

_HIDDEN = torch.tensor([0.3 if name.endswith(("wrist", "elbow")) else 0.1 for name in BODY_POINTS])

_MIRRORED = [
    *(BODY_POINTS.index(swap_sides(name)) for name in BODY_POINTS),
    *range(_LEFT_HAND.start, _LEFT_HAND.stop),
    *range(_RIGHT_HAND.start, _RIGHT_HAND.stop),
]


def turn_hands(
    poses: PoseSequence,
    depth: Float32[np.ndarray, "frames 42"],
    view: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
) -> PoseSequence:
    """Shows a clip's hands from elsewhere, on a signer who bends the fingers a little otherwise.

    Args:
        poses: A clip.
        depth: How far behind its hand's wrist each point of the left, then the right hand lies, in pixels.
        view: Rotation vector in radians, x right, y down, z away from the camera.
        rng: Of the fingers.
    """
    keypoints = poses.keypoints.copy()
    scale = np.array([poses.width, poses.height], np.float32)
    rotation = _rotation(np.asarray(view, np.float64))
    for number, hand in enumerate(("left_hand", "right_hand")):
        points = keypoints[:, PARTS[hand]] * scale
        wrist = points[:, :1].copy()
        shape = np.concatenate([points - wrist, depth[:, 21 * number : 21 * number + 21, None]], axis=-1)
        shape = _flex(shape.astype(np.float64), rng) @ rotation.T
        seen = poses.confidence[:, PARTS[hand], None] > 0
        keypoints[:, PARTS[hand]] = np.where(seen, (wrist + shape[..., :2]) / scale, 0)
    return replace(poses, keypoints=keypoints.astype(np.float32))


def _rotation(vector: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation matrices of rotation vectors in radians (Rodrigues)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector / np.maximum(angle[..., 0], 1e-9), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _flex(shape: Float[np.ndarray, "frames 21 3"], rng: np.random.Generator) -> Float[np.ndarray, "frames 21 3"]:
    """Bends and spreads the fingers at knuckles and middle joints, by one angle each for the whole clip."""
    across = shape[:, _KNUCKLE["index"]] - shape[:, _KNUCKLE["little"]]
    across = across / (np.linalg.norm(across, axis=-1, keepdims=True) + 1e-6)
    normal = np.cross(across, shape[:, _KNUCKLE["middle"]])
    normal = normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6)
    for finger in range(5):
        first = 1 + 4 * finger
        for joint in (first, first + 1):
            vector = rng.normal(0, 0.16) * across
            if joint == first:
                vector = vector + rng.normal(0, 0.1) * normal
            moved = slice(joint + 1, first + 4)
            root = shape[:, joint, None]
            shape[:, moved] = root + (shape[:, moved] - root) @ _rotation(vector).transpose(0, 2, 1)
    return shape


@dataclass(frozen=True)
class Disturbance:
    """How much `augment` changes; the default is for letters."""

    drift: float = 0.12
    """How far hands move for a clip, standard deviation in shoulder widths: letters are signed anywhere."""
    hands: float = 1.0
    """Of the bends, tilts and sizes of hands."""
    misread: float = 0.2
    """Most of the fingers that an estimator takes for others, as a share."""
    head: float = 0.0
    """How far head and face move against the shoulders, and hands by the face with them, in shoulder widths."""
    lag: float = 0.6
    """Most of what a tracker keeps from the frame before."""
    jitter: float = 0.022
    """Most of the estimator's noise, in shoulder widths."""
    lost: float = 0.25
    """Most of the frames that have lost a hand, as a share; twice as many are lost edge-on."""


LETTERS = Disturbance()


def augment(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
    disturbance: Disturbance = LETTERS,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Makes other signers, cameras and pose estimators of a batch, in the recognizer's body frame.

    In order: heads move, bones turn and change length, fingers are read wrongly, hands turn, tilt and grow, arms move,
    bodies grow, the picture is sheared, tracking lags, points jitter, and hands get lost for some frames, edge-on ones
    most.

    Args:
        keypoints: See `pose_features`.
        confidence: 0 where a point is not seen.
        generator: Of what is random.
        disturbance: How much of it.
    """
    keypoints = keypoints.clone()
    batch, frames, _, _ = keypoints.shape
    if disturbance.head:
        keypoints = _move_head(keypoints, disturbance.head, generator)
    poor = (torch.rand(batch, 1, 1, generator=generator) < 0.6).float()  # clips on which the estimator did badly
    rates = []
    for hand, arm in ((_RIGHT_HAND, _RIGHT_ARM), (_LEFT_HAND, _LEFT_ARM)):
        points = keypoints[:, :, hand]
        wrist = points[:, :, :1]
        shape = _bend_fingers(points - wrist, disturbance.hands, generator)
        shape = _misread_fingers(shape, poor, disturbance.misread, generator)
        shape = shape @ _tilts(batch, frames, disturbance.hands, generator)
        rates.append(_edge_on(shape))
        moved = _drift(batch, frames, generator, clip=disturbance.drift, letter=disturbance.drift / 2)
        slipped = _drift(batch, frames, generator, clip=0.02, letter=0.02)
        keypoints[:, :, hand] = wrist + shape + (moved + slipped)[:, :, None]
        keypoints[:, :, arm] += moved[:, :, None]
    camera = torch.eye(2) + 0.1 * torch.randn(batch, 1, 2, 2, generator=generator)
    body = torch.exp(0.08 * torch.randn(batch, 1, 1, 1, generator=generator))
    keypoints = body * keypoints @ camera
    keypoints = _lag(keypoints, confidence, disturbance.lag, generator)
    keypoints = keypoints + _jitter(keypoints, disturbance.jitter, generator)
    confidence = _lose(confidence, rates, disturbance.lost, generator)
    return torch.where(confidence[..., None] > 0, keypoints, 0), confidence


def stretch_time(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Begins clips later, ends them earlier, by up to a quarter each, and makes their first part slower or quicker."""
    batch, frames = confidence.shape[:2]
    start = 0.25 * torch.rand(batch, 1, generator=generator)
    stop = 1 - 0.25 * torch.rand(batch, 1, generator=generator)
    bend = torch.exp(0.35 * torch.randn(batch, 1, generator=generator))
    times = start + (stop - start) * torch.linspace(0, 1, frames).expand(batch, frames) ** bend
    return sample_frames(keypoints, confidence, times * (frames - 1))


def frame_closer(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """In half of the clips, lets the picture end nearer to the shoulders; see `framed`."""
    batch = len(keypoints)
    nearest, farthest = EDGE_RANGE
    edge = nearest + (farthest - nearest) * torch.rand(batch, generator=generator)
    closer = torch.rand(batch, generator=generator) < 0.5
    return framed(keypoints, confidence, torch.where(closer, edge, torch.inf))


def either_may_lead(
    keypoints: Float[torch.Tensor, "batch frames points 2"], confidence: Float[torch.Tensor, "batch frames points"]
) -> Bool[torch.Tensor, " batch"]:
    """Whether both hands sign so alike that chance says which of them `leads_with_left` takes to lead.

    Of the clips of one gloss, by one signer, nearly all or nearly none are.
    """
    amounts = []
    for hand in (_RIGHT_HAND, _LEFT_HAND):
        seen = (confidence[:, :, hand] > 0).float().mean(dim=-1) >= 0.5
        amounts.append((seen * (1.5 - keypoints[:, :, hand.start, 1]).clamp(0, 1)).sum(dim=1))
    more = torch.maximum(*amounts)
    return (torch.minimum(*amounts) >= 0.75 * more) & (more > 0)


def flip(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
    *,
    share: Float[torch.Tensor, " batch"] | float,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Exchanges left and right in a share of the clips, or in each with a probability of its own."""
    flipped = torch.rand(len(keypoints), generator=generator) < share
    mirrored = keypoints[:, :, _MIRRORED] * torch.tensor([-1.0, 1.0])
    keypoints = torch.where(flipped[:, None, None, None], mirrored, keypoints)
    return keypoints, torch.where(flipped[:, None, None], confidence[:, :, _MIRRORED], confidence)


def scale_movement(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
) -> Float[torch.Tensor, "batch frames points 2"]:
    """Makes the paths of hands larger or smaller about their mean places, both hands' of a clip nearly alike."""
    keypoints = keypoints.clone()
    batch = len(keypoints)
    common = 0.22 * torch.randn(batch, 1, 1, generator=generator) + 0.12 * torch.randn(batch, 1, 2, generator=generator)
    for hand, (wrist, elbow) in ((_RIGHT_HAND, _RIGHT_ARM), (_LEFT_HAND, _LEFT_ARM)):
        seen = (confidence[:, :, hand] > 0).float().mean(dim=-1) >= 0.5
        sure = confidence[:, :, wrist] > SURE
        place = torch.where(seen[..., None], keypoints[:, :, hand.start], keypoints[:, :, wrist])
        counted = torch.where(seen.any(dim=1, keepdim=True), seen, sure)[..., None]
        mean = (place * counted).sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp(min=1)
        growth = torch.expm1(common + 0.1 * torch.randn(batch, 1, 2, generator=generator))
        moved = (growth * (place - mean)).clamp(-0.6, 0.6) * (seen | sure)[..., None]
        keypoints[:, :, hand] += moved[:, :, None]
        keypoints[:, :, wrist] += moved
        keypoints[:, :, elbow] += moved / 2
    return torch.where(confidence[..., None] > 0, keypoints, 0)


def hide_body(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Hides wrists and elbows of the body in three of ten clips, shoulders and nose in one, and moves elbows.

    Where arms are beside the hands tells who signs rather than what.
    """
    keypoints, confidence = keypoints.clone(), confidence.clone()
    batch = len(keypoints)
    confidence[:, :, : len(BODY_POINTS)] *= torch.rand(batch, 1, len(BODY_POINTS), generator=generator) >= _HIDDEN
    for _, elbow in (_RIGHT_ARM, _LEFT_ARM):
        keypoints[:, :, elbow] += 0.15 * torch.randn(batch, 1, 2, generator=generator)
    return torch.where(confidence[..., None] > 0, keypoints, 0), confidence


def mix(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    shares: Float[torch.Tensor, "batch labels"],
    generator: torch.Generator,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch labels"]]:
    """Moves half of the clips less than half of the way to others, and what they show with them.

    As mixup (https://arxiv.org/abs/1710.09412); but points that only one of both clips shows stay as they are.

    Args:
        keypoints: See `augment`.
        confidence: 0 where a point is not seen.
        shares: Of each label in what a clip shows.
        generator: Of what is random.
    """
    batch = len(keypoints)
    other = torch.randperm(batch, generator=generator)
    odds = torch.rand(batch, generator=generator) ** 2.5
    amount = odds / (1 + odds) * (torch.rand(batch, generator=generator) < 0.5)
    both = (confidence > 0) & (confidence[other] > 0)
    moved = (amount[:, None, None] * both)[..., None] * (keypoints[other] - keypoints)
    return keypoints + moved, shares + amount[:, None] * (shares[other] - shares)


def _smooth_noise(batch: int, frames: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise that changes over some ten frames, about a letter. Shape [batch, frames, channels]."""
    knots = torch.randn(batch, channels, frames // 10 + 2, generator=generator)
    return F.interpolate(knots, size=frames, mode="linear", align_corners=True).transpose(1, 2)


def _drift(batch: int, frames: int, generator: torch.Generator, *, clip: float, letter: float) -> torch.Tensor:
    """Offsets [batch, frames, 2]: one for the clip, one that changes from letter to letter."""
    constant = clip * torch.randn(batch, 1, 2, generator=generator)
    return constant + letter * _smooth_noise(batch, frames, 2, generator)


def _rotations(angles: torch.Tensor) -> torch.Tensor:
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)


def _tilts(batch: int, frames: int, amount: float, generator: torch.Generator) -> torch.Tensor:
    """A 2x2 map a frame: turn about the view axis, size, and foreshortening along a random direction."""
    angle = 0.26 * torch.randn(batch, 1, generator=generator) + 0.2 * _smooth_noise(batch, frames, 1, generator)[..., 0]
    angle = amount * angle
    size = torch.exp(0.15 * amount * torch.randn(batch, 1, generator=generator))
    squeeze = torch.exp(-0.2 * amount * torch.randn(batch, 1, generator=generator).abs())
    squeeze = squeeze * torch.exp(0.08 * amount * _smooth_noise(batch, frames, 1, generator)[..., 0])
    axis = _rotations(torch.pi * torch.rand(batch, 1, generator=generator).expand(batch, frames))
    diagonal = torch.stack([size.expand(batch, frames), size * squeeze], dim=-1)
    return axis @ torch.diag_embed(diagonal) @ axis.transpose(-1, -2) @ _rotations(angle)


def _bend_fingers(shape: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Turns every bone a little, fingers most, and changes its length; shape [batch, frames, 21, 2] from the wrist."""
    batch, frames = shape.shape[:2]
    finger = 0.2 * _smooth_noise(batch, frames, 5, generator) + 0.16 * torch.randn(batch, 1, 5, generator=generator)
    joint = 0.15 * _smooth_noise(batch, frames, 20, generator)
    length = torch.exp(0.12 * amount * torch.randn(batch, 1, 20, generator=generator))
    bones = _bones(shape).clone()
    turn = amount * (joint + finger.repeat_interleave(4, dim=-1) * torch.tensor([0.3, 1, 1, 1]).repeat(5))
    bones = length[..., None] * (bones.flatten(2, 3)[..., None, :] @ _rotations(turn))[..., 0, :]
    return _hand(bones.unflatten(2, (5, 4)))


def _bones(shape: torch.Tensor) -> torch.Tensor:
    """The bones of a hand, [batch, frames, 5, 4, 2], wrist to tip."""
    roots, tips = zip(*((HAND.index(root), HAND.index(tip)) for root, tip in HAND_BONES), strict=True)
    return (shape[:, :, tips] - shape[:, :, roots]).unflatten(2, (5, 4))


def _hand(bones: torch.Tensor) -> torch.Tensor:
    """The points of a hand, from its wrist; `_bones` the other way."""
    points = bones.cumsum(dim=3).flatten(2, 3)
    return torch.cat([torch.zeros_like(points[:, :, :1]), points], dim=2)


def _misread_fingers(shape: torch.Tensor, poor: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Pulls fingers for about a letter towards what estimators take them for; `poor` [batch, 1, 1] says in which clips.

    A finger is read as curled, straight, lying on its neighbour, or pointing at the camera; a curled thumb lies across
    the palm.
    """
    batch, frames = shape.shape[:2]
    bones = _bones(shape)
    palm, outer = bones[..., :1, :], bones[..., 1:, :]
    curled = outer[..., :1, :] * torch.tensor([0.7, -0.35, -0.3])[:, None]
    straight = palm * torch.tensor([0.45, 0.27, 0.23])[:, None]
    across = shape[:, :, _KNUCKLE["middle"]] - shape[:, :, 1]
    curled = torch.cat([across[:, :, None, None] * torch.tensor([0.35, 0.3, 0.25])[:, None], curled[:, :, 1:]], dim=2)
    neighbour = torch.cat([outer[:, :, 1:2], outer[:, :, 2:3], outer[:, :, 1:4]], dim=2)
    kinds = torch.stack([curled, straight, neighbour, 0.3 * outer])
    kind = F.one_hot(torch.randint(4, (batch, 1, 5), generator=generator), 4).movedim(-1, 0)[..., None, None]
    target = (kind * kinds).sum(dim=0)
    share = most * torch.rand(batch, 1, 1, generator=generator)
    wrong = torch.special.ndtr(_smooth_noise(batch, frames, 5, generator) * 1.2) < share
    amount = torch.rand(batch, 1, 5, generator=generator) * wrong * poor
    outer = outer + amount[..., None, None] * (target - outer)
    return _hand(torch.cat([palm, outer], dim=3))


def _edge_on(shape: torch.Tensor) -> torch.Tensor:
    """How nearly a hand is seen from its edge, [batch, frames], 0 to 1: how small its palm is for its size."""
    index, little = shape[:, :, _KNUCKLE["index"]], shape[:, :, _KNUCKLE["little"]]
    area = (index[..., 0] * little[..., 1] - index[..., 1] * little[..., 0]).abs()
    size = shape.norm(dim=-1).amax(dim=-1).mean(dim=1, keepdim=True)
    return (1 - 5 * area / (size**2 + 1e-6)).clamp(min=0)


def _move_head(keypoints: torch.Tensor, distance: float, generator: torch.Generator) -> torch.Tensor:
    """Moves what is as high as the nose by one offset a clip, what is at the shoulders not at all."""
    offset = distance * torch.randn(len(keypoints), 1, 1, 2, generator=generator)
    nose = keypoints[:, :, BODY_POINTS.index("nose"), 1].median(dim=1).values.clamp(max=-0.2)
    height = (keypoints[..., 1] / nose[:, None, None]).clamp(0, 1.2)
    return keypoints + height[..., None] * offset


def _lag(keypoints: torch.Tensor, confidence: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Trackers smooth over time: in two of five clips every point trails behind by up to two frames."""
    batch, frames = confidence.shape[:2]
    keep = most * torch.rand(batch, 1, 1, generator=generator) * (torch.rand(batch, 1, 1, generator=generator) < 0.4)
    seen = (confidence > 0).to(keypoints.dtype)
    total, weight = torch.zeros_like(keypoints), torch.zeros_like(seen)
    for delay in range(min(6, frames)):
        share = keep**delay * seen[:, : frames - delay]
        total[:, delay:] += share[..., None] * keypoints[:, : frames - delay]
        weight[:, delay:] += share
    return total / weight.clamp(min=1e-6)[..., None]


def _jitter(keypoints: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Estimator noise: a level a clip, part of it new every frame, part of it slow; 0.022 is 3 px of a 256 px frame."""
    batch, frames, points, _ = keypoints.shape
    level = most * torch.rand(batch, 1, 1, 1, generator=generator)
    white = torch.randn(batch, frames, points, 2, generator=generator)
    slow = _smooth_noise(batch, frames, 2 * points, generator).view(batch, frames, points, 2)
    return level * (0.6 * white + 0.8 * slow)


def _lose(
    confidence: torch.Tensor, edge_on: list[torch.Tensor], most: float, generator: torch.Generator
) -> torch.Tensor:
    """Loses hands for runs of frames, elbows, wrists or the nose for whole clips, and changes how sure the rest is.

    Some estimators give hands a confidence of 1 whenever they see one, so in half of the clips it says nothing.
    """
    batch, frames, _ = confidence.shape
    unsure = torch.rand(batch, 1, 1, generator=generator) < 0.5
    confidence = confidence * torch.where(unsure, 0.6 + 0.4 * torch.rand(batch, 1, 1, generator=generator), 1)
    rate = most * torch.rand(batch, 1, generator=generator) * (torch.rand(batch, 1, generator=generator) < 0.7)
    for hand, edge in zip((_RIGHT_HAND, _LEFT_HAND), edge_on, strict=True):
        lost = _runs(frames, (rate * (0.5 + 2 * edge)).clamp(max=0.9), generator)
        confidence[:, :, hand] = confidence[:, :, hand] * ~lost[..., None]
    body = torch.rand(batch, 1, len(BODY_POINTS), generator=generator) < 0.05
    confidence[:, :, : len(BODY_POINTS)] *= ~body
    return confidence


def _runs(frames: int, rate: Float[torch.Tensor, "batch frames"], generator: torch.Generator) -> torch.Tensor:
    """Frames lost in runs of three on average, at `rate`."""
    noise = _smooth_noise(len(rate), 3 * frames, 1, generator)[:, :frames, 0]
    quick = torch.rand(len(rate), frames, generator=generator) < 0.3
    return (torch.special.ndtr(noise * 1.2) < rate) & ~quick
