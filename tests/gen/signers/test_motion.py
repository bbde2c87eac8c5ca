from itertools import chain

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gen.signers import rotations
from gen.signers.arms import arm_of, discomfort, push_out, reach
from gen.signers.body import FACIAL_ACTIONS, keypoints_of, load_body
from gen.signers.hands import hand_model
from gen.signers.handshapes import (
    TRAINING_LANGUAGES,
    Handshapes,
    fit_handshapes,
    load_handshapes,
    make_shapes,
    save_handshapes,
)
from gen.signers.make import SPLITS
from gen.signers.motion import KINDS, sample_camera, sample_expression, sample_motion, sample_rest
from gen.signers.posing import HandTrack, Trunk, pose, rig_of
from poses.fingerspelling import HELD_OUT_LANGUAGES, letter_clips
from poses.keypoints import PARTS, index

NUM_FRAMES = 5


@pytest.fixture(scope="module")
def rig():
    return rig_of(load_body())


@pytest.fixture(scope="module")
def shapes() -> Handshapes:
    made = make_shapes()
    return Handshapes(tuple(made), np.arange(len(made) + 1), np.stack(list(made.values())), 25.0)


def still(rig) -> Trunk:
    none = np.tile(np.eye(3), (NUM_FRAMES, 1, 1))
    return Trunk(np.eye(3), none, none, none, {"L": none, "R": none})


def track(rig, point, *, touch: int = 0, anchor: str = "chest", shape=0.0) -> HandTrack:
    """A right hand with fingers up and the palm to the camera."""
    turn = rotations.frame(np.array([0.0, 0, 1]), np.array([0.0, -1, 0])) @ rig.arms["R"].hand_frame.T
    return HandTrack(
        anchors=[anchor],
        points=np.array([point], float),
        touches=[touch],
        weights=np.ones((NUM_FRAMES, 1)),
        offset=np.zeros((NUM_FRAMES, 3)),
        rotation=np.tile(turn, (NUM_FRAMES, 1, 1)),
        fingers=np.full((NUM_FRAMES, 21), shape),
    )


def points_of(rig, trunk, tracks) -> np.ndarray:
    linear, positions = pose(rig, trunk, tracks)
    return keypoints_of(rig.body, linear, positions, np.zeros((NUM_FRAMES, len(FACIAL_ACTIONS)), np.float32))


def test_no_held_out_language_is_trained_on():
    assert len(TRAINING_LANGUAGES) == 15
    assert not set(TRAINING_LANGUAGES) & set(HELD_OUT_LANGUAGES)


@pytest.mark.parametrize("language", HELD_OUT_LANGUAGES)
def test_fit_handshapes_refuses_held_out_languages(language):
    clip = next(iter(letter_clips(language).values()))
    with pytest.raises(ValueError, match=f"must be of the training languages ase, .* got '{language}'"):
        fit_handshapes([clip], load_body())


def test_fitted_v_has_two_straight_fingers(tmp_path):
    shapes = fit_handshapes([letter_clips("ase")["V"]], load_body())
    assert shapes.names[0] == "ase V right"
    middle = shapes.angles[shapes.starts[1] // 2]
    bend = dict(zip(("index", "middle", "ring", "little"), np.degrees(middle[[7, 11, 15, 19]]), strict=True))
    assert max(bend["index"], bend["middle"]) < 30
    assert min(bend["ring"], bend["little"]) > 45
    save_handshapes(shapes, tmp_path / "shapes.npz")
    again = load_handshapes(tmp_path / "shapes.npz")
    assert again.names == shapes.names
    assert_allclose(again.angles, shapes.angles)


def test_splits_share_no_letter():
    names = tuple(
        f"{language} {letter} {side}"
        for language in ("ase", "cse")
        for letter in "ABCDEFGHIJ"
        for side in ("left", "right")
    )
    shapes = Handshapes(names, np.arange(len(names) + 1), np.zeros((len(names), 21), np.float32), 25.0)
    clips = [shapes.split(split) for split in SPLITS]
    assert sorted(chain.from_iterable(clips)) == list(range(len(names)))
    letters = [{names[i].rsplit(" ", 1)[0] for i in split} for split in clips]
    assert not letters[0] & letters[1]
    assert not letters[0] & letters[2]
    assert not letters[1] & letters[2]


def test_made_shapes_bend_as_hands_do(rig, shapes):
    model = hand_model(rig.body)
    slack = np.radians(8)
    assert (shapes.angles > model.low - slack).all()
    assert (shapes.angles < model.high + slack).all()
    assert len(shapes.loose()) == 12


@pytest.mark.parametrize("side", ["L", "R"])
def test_reach_puts_the_wrist_there_with_bones_as_long_as_before(rig, side):
    arm = rig.arms[side]
    shoulder = np.tile(rig.shoulder(side), (NUM_FRAMES, 1))
    wrist = shoulder + np.array([0.05 * arm.side, -0.3, -0.1])
    fore = arm.fore_frame @ arm.fore_frame.T
    reached = reach(arm, shoulder, wrist, np.tile(fore, (NUM_FRAMES, 1, 1)), rig.torso)
    assert_allclose(reached.wrist, wrist, atol=1e-9)
    assert_allclose(np.linalg.norm(reached.elbow - shoulder, axis=1), arm.upper_m, atol=1e-9)
    assert_allclose(np.linalg.norm(reached.wrist - reached.elbow, axis=1), arm.fore_m, atol=1e-9)
    upper = reached.upper @ arm.upper_frame[:, 0]
    assert_allclose(shoulder + arm.upper_m * upper, reached.elbow, atol=1e-9)


def test_reach_stops_where_the_arm_ends_and_the_wrist_cannot_turn(rig):
    arm = rig.arms["R"]
    shoulder = np.tile(rig.shoulder("R"), (NUM_FRAMES, 1))
    far = shoulder + np.array([0.0, -2.0, 0.0])
    # Fingers back to the signer while the arm reaches forwards.
    back = rotations.frame(np.array([0.0, 1, 0]), np.array([0.0, 0, -1])) @ arm.hand_frame.T
    reached = reach(arm, shoulder, far, np.tile(back, (NUM_FRAMES, 1, 1)), rig.torso)
    length = np.linalg.norm(reached.wrist - shoulder, axis=1)
    assert (length < arm.upper_m + arm.fore_m).all()
    assert (length > 0.9 * (arm.upper_m + arm.fore_m)).all()
    fingers, forearm = reached.hand @ arm.hand_frame[:, 0], reached.fore @ arm.fore_frame[:, 0]
    bent = np.degrees(np.arccos((fingers * forearm).sum(axis=1)))
    assert (bent < 90).all()


def test_discomfort_tells_possible_from_impossible(rig):
    arm, shoulder = rig.arms["R"], rig.shoulder("R")
    along = (np.array([0.0, -0.3, 1]), np.array([0.0, 0.3, -1]))
    turns = np.stack([rotations.frame(way, np.array([0.0, -1, 0])) @ arm.hand_frame.T for way in along])
    up, down = discomfort(arm, shoulder, shoulder + np.array([-0.05, -0.3, 0.1]), turns)
    assert up < 3 < down


def test_push_out_clears_the_skin(rig):
    chest = np.array([0.0, rig.torso.points[:, 1].min() + 0.05, rig.shoulder("R")[2] - 0.15])
    points = np.tile(chest, (NUM_FRAMES, 1, 1))
    margins = np.array([0.01])
    for _ in range(3):
        points = points + push_out(points, rig.torso, margins)[:, None]
    assert (rig.torso.clearance(points)[0] > 0.005).all()
    far = points - np.array([0, 0.2, 0])
    assert_allclose(push_out(far, rig.torso, margins), 0)


@pytest.mark.parametrize(("touch", "name"), [(0, "wrist"), (9, "middle_mcp")])
def test_the_touching_point_lies_on_the_stop(rig, touch, name):
    stop = rig.shoulder("R") + np.array([-0.05, -0.3, 0.05])
    tracks = {"R": track(rig, stop, touch=touch), "L": track(rig, stop).mirrored()}
    points = points_of(rig, still(rig), tracks)
    assert_allclose(points[:, index(f"right_hand_{name}")], np.tile(stop, (NUM_FRAMES, 1)), atol=0.006)


def test_a_mirrored_track_gives_a_mirrored_signer(rig):
    right = track(rig, rig.shoulder("R") + np.array([-0.05, -0.3, 0.05]), shape=0.3)
    points = points_of(rig, still(rig), {"R": right, "L": right.mirrored()})
    assert_allclose(points[:, PARTS["left_hand"]] * [-1, 1, 1], points[:, PARTS["right_hand"]], atol=0.004)


def test_one_hand_stays_outside_the_other(rig):
    stop = [0.0, rig.torso.points[:, 1].min() - 0.2, rig.shoulder("R")[2] - 0.1]
    base = track(rig, stop).mirrored()
    over = track(rig, [0.0, 0.0, 0.0], anchor="hand")
    points = points_of(rig, still(rig), {"R": over, "L": base})
    left, right = points[:, PARTS["left_hand"]], points[:, PARTS["right_hand"]]
    assert np.linalg.norm(left[:, :, None] - right[:, None], axis=-1).min() > 0.008


def test_sample_motion_is_decided_by_the_seed(rig, shapes):
    first, again, other = (
        sample_motion(np.random.default_rng(seed), rig, shapes, range(len(shapes)), duration_s=0.4)
        for seed in (3, 3, 4)
    )
    assert len(first) == 10
    assert (first.linear == again.linear).all()
    assert (first.expression == again.expression).all()
    assert first.linear.shape != other.linear.shape or (first.linear != other.linear).any()


@pytest.mark.parametrize("seed", range(3))
def test_sampled_motions_are_possible(rig, shapes, seed):
    motion = sample_motion(np.random.default_rng(seed), rig, shapes, range(len(shapes)), duration_s=0.8)
    assert motion.kind in KINDS
    assert set(motion.sources) <= set(shapes.names)
    turns = motion.linear.astype(float)
    assert_allclose(turns @ np.swapaxes(turns, -1, -2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-5)
    points = keypoints_of(rig.body, motion.linear, motion.positions, motion.expression)
    hands = np.concatenate([points[:, PARTS["left_hand"]], points[:, PARTS["right_hand"]]], axis=1)
    speed = np.linalg.norm(np.diff(hands, axis=0), axis=-1) * 25
    assert speed.max() < 7
    chest = rig.bones["spine01"]
    turn = motion.linear[:, chest].astype(float)
    inside = np.einsum("tji,tpj->tpi", turn, hands - motion.positions[:, [chest]]) + rig.body.heads[chest]
    assert (rig.torso.clearance(inside)[0].min(axis=1) > -0.02).mean() > 0.95


def test_resting_hands_hang_or_lie_low(rig, shapes):
    for seed in range(2):
        rest = sample_rest(np.random.default_rng(seed), rig, shapes)
        assert len(rest) == 1
        assert rest.kind == "rest"
        wrists = rest.positions[0, [rig.bones["wrist.L"], rig.bones["wrist.R"]], 2]
        assert (wrists < rig.shoulder("R")[2] - 0.2).all()


def test_cameras_keep_signing_hands_in_the_frame(rig, shapes):
    shares = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        motion = sample_motion(rng, rig, shapes, range(len(shapes)), duration_s=0.3)
        camera = sample_camera(rng, rig.body, motion)
        points = keypoints_of(rig.body, motion.linear, motion.positions, motion.expression)
        seen = camera.project(points)[:, PARTS["right_hand"], :2]
        up = points[:, PARTS["right_hand"].start, 2] > points[:, index("right_hip"), 2]
        shares += list(((seen[up] > 0) & (seen[up] < 1)).all(axis=(1, 2)))
        face = camera.project(points)[:, PARTS["face"], :2]
        assert ((face > 0) & (face < 1)).mean() > 0.9
    assert np.mean(shares) > 0.85


def test_expressions_are_strengths():
    expression = sample_expression(np.random.default_rng(0), np.arange(50) / 25)
    assert expression.shape == (50, len(FACIAL_ACTIONS))
    assert expression.min() >= 0
    assert expression.max() <= 1
    assert expression.max() > 0.1


def test_arms_are_mirror_images(rig):
    left, right = (arm_of(rig.body, side) for side in "LR")
    assert left.side == -right.side == 1
    assert_allclose(left.hand_frame[:, 0] * [-1, 1, 1], right.hand_frame[:, 0], atol=1e-3)
    assert_allclose([left.upper_m, left.fore_m], [right.upper_m, right.fore_m], rtol=1e-3)
