from dataclasses import replace

import numpy as np
import pytest

from gen.renderers.base import Placement
from pipelines.variation import Change, change_poses, draw_change, mirrored, move_camera
from pipelines.variation_limits import Variation
from poses.keypoints import FACE, NAMES, PARTS, index
from poses.sequence import GlossSpan, PoseSequence

STILL = Change(False, 1.0, {}, {}, 1.0, (0.0, 0.0))


@pytest.fixture(scope="module")
def apart() -> PoseSequence:
    """Twelve frames of arms held away from the body, and a face whose points differ."""
    keypoints = np.zeros((12, len(NAMES), 2), np.float32)
    confidence = np.zeros((12, len(NAMES)), np.float32)
    places = {"nose": (0.5, 0.2), "neck": (0.5, 0.4)}
    for side, sign in (("right", -1), ("left", 1)):
        for joint, out, y in (("shoulder", 0.15, 0.4), ("elbow", 0.3, 0.6), ("wrist", 0.45, 0.75)):
            places[f"{side}_{joint}"] = (0.5 + sign * out, y)
        for number, name in enumerate(NAMES[PARTS[f"{side}_hand"]]):
            places[name] = (0.5 + sign * (0.45 + 0.002 * number), 0.75 + 0.001 * number)
    for number, name in enumerate(FACE):
        places[f"face_{name}"] = (0.45 + 0.001 * number, 0.15 + 0.001 * (number % 7))
    for name, place in places.items():
        keypoints[:, index(name)] = place
        confidence[:, index(name)] = 1
    return PoseSequence(keypoints, confidence, 24.0, 200, 200, "apart", "ase", (GlossSpan("A", 2, 8),))


def length(poses: PoseSequence, start: str, stop: str) -> float:
    return float(np.linalg.norm(poses.keypoints[0, index(start)] - poses.keypoints[0, index(stop)]))


def test_turned_arms_keep_their_length_and_hands_their_shape(apart):
    turned = change_poses(apart, replace(STILL, turns_deg={"right_upper_arm": 5.0, "right_forearm": -3.0}))
    for bone in (("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_elbow", "left_wrist")):
        assert length(turned, *bone) == pytest.approx(length(apart, *bone), abs=1e-6)
    before, after = (poses.keypoints[0] for poses in (apart, turned))
    right = before[PARTS["right_hand"]]
    np.testing.assert_allclose(np.diff(after[PARTS["right_hand"]], axis=0), np.diff(right, axis=0), atol=1e-6)
    np.testing.assert_allclose(after[PARTS["left_hand"]], before[PARTS["left_hand"]], atol=1e-7)
    arm = before[index("right_elbow")] - before[index("right_shoulder")]
    angle = np.radians(5)
    clockwise = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = before[index("right_shoulder")] + clockwise @ arm
    np.testing.assert_allclose(after[index("right_elbow")], expected, atol=1e-6)


def test_glosses_move_along_with_the_tempo(apart):
    assert change_poses(apart, replace(STILL, speed=2.0)).glosses == (GlossSpan("A", 1, 4),)


def test_a_mirrored_clip_is_another_whose_face_still_runs_the_same_way(apart):
    flipped = mirrored(apart)
    assert flipped.keypoints[0, index("left_wrist"), 0] == pytest.approx(0.95)
    jaw = index(*(f"face_jaw_{i}" for i in range(17)))
    assert (np.diff(apart.keypoints[0, jaw, 0]) > 0).all()
    assert (np.diff(flipped.keypoints[0, jaw, 0]) > 0).all()
    # The outer corner of the right eye was the outer corner of the left one.
    corners = index("face_right_eyelid_0", "face_left_eyelid_3")
    assert flipped.keypoints[0, corners[0], 0] == pytest.approx(1 - apart.keypoints[0, corners[1], 0])
    np.testing.assert_allclose(mirrored(flipped).keypoints, apart.keypoints, atol=1e-6)


def test_a_change_stays_within_its_limits_and_follows_from_the_seed():
    changes = [draw_change(Variation(), np.random.default_rng(seed)) for seed in (1, 1, *range(100))]
    assert changes[0] == changes[1]
    assert max(abs(angle) for change in changes for angle in change.turns_deg.values()) <= 4
    assert all(0.9 <= change.speed <= 1.1 and 0.95 <= change.zoom <= 1.05 for change in changes)
    none = draw_change(Variation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), np.random.default_rng(1))
    assert none.speed == none.zoom == 1
    assert not none.mirrored


def test_the_camera_zooms_about_the_middle():
    moved = move_camera(Placement(2.0, 10.0, -20.0, 64, 32), replace(STILL, zoom=1.5, shift=(0.5, 0.25)))
    assert moved == Placement(3.0, (10 - 32) * 1.5 + 32 + 32, (-20 - 16) * 1.5 + 16 + 8, 64, 32)


@pytest.mark.parametrize(("name", "value"), [("turn_deg", 40.0), ("speed", -0.1), ("mirrored_share", 1.5)])
def test_a_variation_beyond_bodies_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"`variation.{name}` must be in \[0, .*\], got {value}"):
        Variation(**{name: value})
