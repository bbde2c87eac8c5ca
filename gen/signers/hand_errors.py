"""Where a hand's joints are, given where MediaPipe finds them.

MediaPipe errs by a twentieth of a hand, and errs alike in what looks alike: of a fist seen from the side it puts the
wrist elsewhere than of a flat hand. A hand drawn on such points and looked at again is off twice. A small network
(`make_hand_errors` trained it, on synthetic signers, whose joints are known) tells how far each point is off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32

from poses.keypoints import HAND, PARTS, index
from poses.sequence import PoseSequence

ESTIMATOR = "mediapipe"
"""Whose errors are known."""

NEIGHBOURS = (-2, -1, 1, 2)
"""Frames that are looked at beside each, in steps of `STEP_S` or, where frames are farther apart, of a frame."""

STEP_S = 1 / 25

LEAST_ARM_CONFIDENCE = 0.5
"""An arm less sure than this tells nothing."""

FARTHEST = 3.0
"""Features farther than this from their mean, in spreads, were not learned from, and count as if they were so far."""

_HAND_FEATURES = 2 * len(HAND)
_BEFORE_ARM = _HAND_FEATURES + len(NEIGHBOURS) * (_HAND_FEATURES + 1)  # a neighbour also says whether it is known
ARM_FEATURES = slice(_BEFORE_ARM, _BEFORE_ARM + 6)
"""Wrist and elbow, and whether they are seen."""

NUM_LAYERS = 3
"""Of the network; between them what is negative becomes 0."""

_KNUCKLE = HAND.index("middle_mcp")
"""The middle finger's, which is straight above the wrist in a hand's own frame."""
_FARTHEST_NEIGHBOUR, _FARTHEST_ARM = 3.0, 6.0
"""In sizes of the hand; what lies farther is no better known than that."""


@dataclass(frozen=True, eq=False)
class HandSight:
    """Hands of one side as they were found, the left one mirrored.

    Attributes:
        points: The 21 points, in pixels.
        seen: Whether the hand was found.
        arm: The arm's wrist and elbow, in pixels.
        arm_seen: Whether they are seen.
        fps: Frames per second.
    """

    points: Float[np.ndarray, "frames 21 2"]
    seen: Bool[np.ndarray, " frames"]
    arm: Float[np.ndarray, "frames 2 2"]
    arm_seen: Bool[np.ndarray, "frames 2"]
    fps: float


@dataclass(frozen=True, eq=False)
class HandFrames:
    """Each found hand's own frame: its middle, its size, and upright, the middle knuckle above the wrist.

    Attributes:
        middle: Of the points, in pixels.
        turn: From the picture to the hand's frame.
        size: Root mean square distance of the points from the middle, in pixels.
    """

    middle: Float[np.ndarray, "hands 2"]
    turn: Float[np.ndarray, "hands 2 2"]
    size: Float[np.ndarray, " hands"]

    def take(self, points: Float[np.ndarray, "hands points 2"]) -> Float[np.ndarray, "hands points 2"]:
        """Points of the picture in the hands' frames."""
        return self.take_ways(points - self.middle[:, None])

    def take_ways(self, ways: Float[np.ndarray, "hands points 2"]) -> Float[np.ndarray, "hands points 2"]:
        """Ways in the picture, in the hands' frames."""
        return ways @ np.swapaxes(self.turn, 1, 2) / self.size[:, None, None]

    def give_ways(self, ways: Float[np.ndarray, "hands points 2"]) -> Float[np.ndarray, "hands points 2"]:
        """Back to the picture."""
        return ways @ self.turn * self.size[:, None, None]


def look_at_hands(poses: PoseSequence, side: str) -> HandSight:
    """The `left` or `right` hands of a clip."""
    mirror = np.array([-1.0 if side == "left" else 1.0, 1.0])
    pixels, hand = poses.pixels().astype(float) * mirror, PARTS[f"{side}_hand"]
    arm = index(f"{side}_wrist", f"{side}_elbow")
    seen = (poses.confidence[:, hand] > 0).all(axis=1) & (np.ptp(pixels[:, hand], axis=1).max(axis=1) > 0)
    arm_seen = poses.confidence[:, arm] > LEAST_ARM_CONFIDENCE
    return HandSight(pixels[:, hand], seen, pixels[:, arm], arm_seen, float(poses.fps))


def hand_frames(points: Float[np.ndarray, "hands 21 2"]) -> HandFrames:
    """The frames of hands."""
    middle = points.mean(axis=1)
    size = np.sqrt(((points - middle[:, None]) ** 2).sum(axis=2).mean(axis=1))
    up = points[:, _KNUCKLE] - points[:, 0]
    angle = np.arctan2(up[:, 0], -up[:, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    return HandFrames(middle, np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1), size)


def features_of(sight: HandSight) -> tuple[Float32[np.ndarray, "hands features"], HandFrames]:
    """What the network is told of every hand that was found, and the frames that its answers are in."""
    at = np.flatnonzero(sight.seen)
    own = hand_frames(sight.points[at])
    here = own.take(sight.points[at])
    told = [here]
    step = max(1, round(sight.fps * STEP_S))
    for neighbour in NEIGHBOURS:
        other = at + neighbour * step
        known = (other >= 0) & (other < len(sight.seen))
        other = np.where(known, other, at)
        known &= sight.seen[other]
        way = (own.take(sight.points[other]) - here).clip(-_FARTHEST_NEIGHBOUR, _FARTHEST_NEIGHBOUR)
        told += [np.where(known[:, None, None], way, 0), known.astype(float)]
    arm = own.take(sight.arm[at]).clip(-_FARTHEST_ARM, _FARTHEST_ARM)
    rate = np.full(len(at), min(sight.fps * STEP_S, 1.0))
    told += [np.where(sight.arm_seen[at, :, None], arm, 0), sight.arm_seen[at].astype(float), own.turn[:, 0], rate]
    return np.concatenate([of.reshape(len(at), -1) for of in told], axis=1, dtype=np.float32), own


def correct_hands(poses: PoseSequence) -> PoseSequence:
    """Moves the points of hands that MediaPipe found to where the joints are likely to be; others stay as they are."""
    if poses.estimator != ESTIMATOR:
        return poses
    keypoints = poses.keypoints.copy()
    for side in ("left", "right"):
        sight = look_at_hands(poses, side)
        if not sight.seen.any():
            continue
        features, own = features_of(sight)
        ways = own.give_ways(predict(features, _weights()).astype(float))
        ways[..., 0] *= -1 if side == "left" else 1
        keypoints[sight.seen, PARTS[f"{side}_hand"]] += (ways / [poses.width, poses.height]).astype(np.float32)
    return replace(poses, keypoints=keypoints)


def predict(
    features: Float32[np.ndarray, "hands features"], weights: Mapping[str, np.ndarray]
) -> Float32[np.ndarray, "hands 21 2"]:
    """How far each point is off, in the hand's own frame."""
    values = ((features - weights["mean"]) / weights["spread"]).clip(-FARTHEST, FARTHEST)
    for layer in range(NUM_LAYERS):
        values = values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        values = np.maximum(values, 0) if layer < NUM_LAYERS - 1 else values
    return values.reshape(-1, 21, 2)


@cache
def _weights() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    weights = load_file(Path(__file__).with_name("hand_errors.safetensors"))
    return {name: tensor.astype(np.float32) for name, tensor in weights.items()}
