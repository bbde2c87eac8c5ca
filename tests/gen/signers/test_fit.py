"""The fit: what the body was, seen from its keypoints; and real clips, whole and with parts missing."""

from dataclasses import replace

import numpy as np
import pytest

from gen.signers import rotations
from gen.signers.body import FACIAL_ACTIONS, load_body
from gen.signers.fit import BodyMotion, Camera, fit_bodies, fit_body, pose_keypoints, pose_vertices
from gen.signers.hands import ANGLES, HandPose, fit_hands, hand_model, pose_hands
from gen.signers.timeline import bridge, ease, interpolate, smooth
from poses.fingerspelling import letter_clips
from poses.keypoints import FACE, NAMES, PARTS, index
from poses.sequence import PoseSequence
from tests.gen.conftest import rest_motion

SIZE = 256


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def clip() -> PoseSequence:
    """Both hands, before the body."""
    return letter_clips("csq")["B"][8:14]


@pytest.fixture(scope="module")
def fitted(body, clip) -> BodyMotion:
    return fit_body(clip, body)


def without(poses: PoseSequence, names: list[str] | slice, frames: slice = slice(None)) -> PoseSequence:
    """The poses as they are where some points are not seen."""
    points = names if isinstance(names, slice) else [NAMES.index(name) for name in names]
    keypoints, confidence = poses.keypoints.copy(), poses.confidence.copy()
    keypoints[frames, points] = 0
    confidence[frames, points] = 0
    return replace(poses, keypoints=keypoints, confidence=confidence)


def seen_body(body, linear, positions, expression) -> PoseSequence:
    """The exact keypoints of a moved body."""
    camera = Camera(scale=1.0, center=(0.5, 0.9), aspect=1.0)
    frames = len(linear)
    unknown = np.zeros((frames, 2), bool)
    motion = BodyMotion(linear, positions, expression, camera, np.zeros((frames, 3), np.float32), unknown, unknown)
    confidence = np.ones((frames, 128), np.float32)
    return PoseSequence(pose_keypoints(body, motion), confidence, fps=25.0, width=SIZE, height=SIZE)


def turned_head(body, yaw_deg: float, pitch_deg: float) -> PoseSequence:
    linear, positions, expression = rest_motion(body, 1)
    turn = rotations.from_vector(np.radians([-pitch_deg, 0.0, 0.0])) @ rotations.from_vector(
        np.radians([0.0, 0.0, yaw_deg])
    )
    linear[:, body.bone("head")] = turn
    return seen_body(body, linear, positions, expression)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 2, shape).astype(np.float32)


def error_px(body, poses: PoseSequence, motion: BodyMotion) -> np.ndarray:
    return np.linalg.norm((pose_keypoints(body, motion) - poses.keypoints) * SIZE, axis=-1)


def test_camera_projects_and_unprojects():
    camera = Camera(scale=0.8, center=(0.4, 0.6), aspect=1.5)
    points = np.array([[0.1, 0.7, -0.2]])
    projected = camera.project(points)
    np.testing.assert_allclose(projected, [[0.48, 0.84, 0.7]], atol=1e-6)
    np.testing.assert_allclose(camera.unproject(projected[:, :2]), points[:, [0, 2]], atol=1e-6)


def test_body_comes_to_lie_on_the_poses(body, clip, fitted):
    error = error_px(body, clip, fitted)
    seen = clip.confidence > 0.1
    joints = index("right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "neck")
    assert error[:, joints][seen[:, joints]].max() < 0.5
    for hand in ("left_hand", "right_hand"):
        assert error[:, PARTS[hand]].mean() < 1.5
    assert error[:, PARTS["face"]].mean() < 1.0
    assert fitted.hand_seen.all()
    assert fitted.arm_seen.all()


def test_vertices_follow_the_bones(body, fitted):
    vertices = pose_vertices(body, fitted, slice(2, 4))
    assert vertices.shape == (2, *body.vertices.shape)
    tips = pose_keypoints(body, fitted)[2:4, index("right_hand_index_tip", "left_hand_index_tip")]
    on_screen = fitted.camera.project(vertices)[..., :2]
    nearest = np.linalg.norm(on_screen[:, None] - tips[:, :, None], axis=-1).min(axis=-1)
    assert nearest.max() * SIZE < 3


def test_batch_equals_single_clips(body, clip, fitted):
    other = clip[1:4]
    for alone, together in zip((fitted, fit_body(other, body)), fit_bodies([clip, other], body), strict=True):
        np.testing.assert_allclose(alone.linear, together.linear, atol=1e-5)
        np.testing.assert_allclose(alone.positions, together.positions, atol=1e-5)


def test_mirrored_poses_give_the_mirrored_body(body, clip):
    def mirrored(poses: PoseSequence) -> PoseSequence:
        parts = {**PARTS, "left_hand": PARTS["right_hand"], "right_hand": PARTS["left_hand"]}
        order = np.concatenate([np.arange(128)[parts[name]] for name in ("body", "left_hand", "right_hand", "face")])
        for i, name in enumerate(NAMES[:18]):
            swapped = name.replace("right", "LEFT").replace("left", "right").replace("LEFT", "left")
            order[i] = NAMES.index(swapped)
        keypoints, confidence = poses.keypoints[:, order].copy(), poses.confidence[:, order]
        keypoints[..., 0] = 1 - keypoints[..., 0]
        return replace(poses, keypoints=keypoints, confidence=confidence)

    bare = without(clip, PARTS["face"])
    left, right = fit_body(mirrored(bare), body), fit_body(bare, body)
    for name in ("upperarm02", "lowerarm02", "wrist", "finger2-3", "finger1-1"):
        a, b = left.positions[:, body.bone(f"{name}.L")], right.positions[:, body.bone(f"{name}.R")]
        np.testing.assert_allclose(a[:, 1:], b[:, 1:], atol=2e-3, err_msg=name)


@pytest.mark.parametrize("only_body_points", [False, True])
@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0, 0), (-40, 10), (0, -20), (60, 0)])
def test_head_turns_as_its_points_say(body, yaw_deg, pitch_deg, only_body_points):
    poses = turned_head(body, yaw_deg, pitch_deg)
    motion = fit_body(without(poses, PARTS["face"]) if only_body_points else poses, body)
    tolerance = 5.0 if only_body_points else 2.0
    assert motion.head_turn_deg[0, 0] == pytest.approx(yaw_deg, abs=tolerance + abs(yaw_deg) * 0.05)
    assert motion.head_turn_deg[0, 1] == pytest.approx(pitch_deg, abs=tolerance + 3)


@pytest.mark.parametrize("roll_deg", [-20, 20])
def test_head_rolls_towards_a_shoulder(body, roll_deg):
    """Positive is the signer's right one, which is where the top of the head goes."""
    linear, positions, expression = rest_motion(body, 1)
    linear[:, body.bone("head")] = rotations.from_vector(np.radians([0.0, -roll_deg, 0.0]))
    poses = seen_body(body, linear, positions, expression)
    eyes, chin = (poses.keypoints[0, index(name), 0] for name in ("face_nose_bridge_0", "face_jaw_8"))
    assert np.sign(chin - eyes) == np.sign(roll_deg)  # in the picture, the signer's right is on the left
    assert fit_body(poses, body).head_turn_deg[0, 2] == pytest.approx(roll_deg, abs=3)


def test_a_monster_of_a_hand_is_taken_for_none(body, clip):
    keypoints = clip.keypoints.copy()
    hand = PARTS["right_hand"]
    keypoints[2, hand] += 5 * (keypoints[2, hand] - keypoints[2, hand][:1])
    assert (
        fit_body(replace(clip, keypoints=keypoints), body).hand_seen[:, 0].tolist() == [True] * 2 + [False] + [True] * 3
    )


def test_mouth_and_brows_follow(body):
    linear, positions, expression = rest_motion(body, 9)
    expression[:, FACIAL_ACTIONS.index("jawOpen")] = np.linspace(0, 0.6, 9)
    expression[:, FACIAL_ACTIONS.index("browInnerUp")] = [0, 1, 0, 1, 0, 1, 0, 0, 0]
    poses = seen_body(body, linear, positions, expression)
    motion = fit_body(poses, body)

    def rise(keypoints: np.ndarray, low: str, high: str) -> np.ndarray:
        return (keypoints[:, index(low), 1] - keypoints[:, index(high), 1]) * SIZE

    for low, high, least in (
        ("face_inner_lip_6", "face_inner_lip_2", 0.999),
        ("face_right_eyelid_3", "face_right_brow_4", 0.99),
    ):
        want, got = (rise(keypoints, low, high) for keypoints in (poses.keypoints, pose_keypoints(body, motion)))
        assert np.corrcoef(want, got)[0, 1] > least
    assert motion.expression.min() >= 0
    assert motion.expression.max() <= 1


def test_hand_is_found_again(body):
    model = hand_model(body)
    rng = np.random.default_rng(0)
    many = 40
    angles = np.clip(model.usual + rng.normal(size=(many, len(ANGLES))) * model.spread * 0.7, model.low, model.high)
    palm = rotations.from_vector(rng.normal(size=(many, 3)))
    true = HandPose(np.zeros((many, 2)), np.ones(many), palm, angles, np.ones((many, 17)))
    points = pose_hands(model, true).points
    found = fit_hands(model, points[..., [0, 2]], np.ones((many, 21)), np.arange(many))
    error_m = np.linalg.norm(
        pose_hands(model, found).points[..., [0, 2]] + found.place[:, None] - points[..., [0, 2]], axis=-1
    )
    assert np.median(error_m) < 1.5e-3
    assert np.quantile(error_m, 0.95) < 8e-3
    # A shape seen once may be tilted either way; the palm's side is never in doubt where it can be seen.
    facing, found_facing = ((pose.palm @ model.palm[:, 2])[:, 1] for pose in (true, found))
    clear = np.abs(facing) > 0.5
    assert (np.sign(facing) == np.sign(found_facing))[clear].mean() > 0.95


def test_one_frame_is_enough(body, clip):
    motion = fit_body(clip[:1], body)
    assert len(motion) == 1
    assert error_px(body, clip[:1], motion)[:, PARTS["right_hand"]].mean() < 1.5


def test_absent_arm_hangs(body, clip):
    names = [name for name in NAMES if name.startswith(("left_elbow", "left_wrist", "left_hand"))]
    motion = fit_body(without(clip, names), body)
    assert not motion.arm_seen[:, 1].any()
    assert not motion.hand_seen[:, 1].any()
    joints = [motion.positions[:, body.bone(name)] for name in ("upperarm01.L", "lowerarm01.L", "wrist.L")]
    assert (joints[0][:, 2] - joints[1][:, 2] > 0.2).all()
    assert (joints[1][:, 2] - joints[2][:, 2] > 0.2).all()


def test_legs_reach_knees_and_ankles(body, clip):
    joints = index("right_knee", "right_ankle", "left_knee", "left_ankle")
    keypoints, confidence = clip.keypoints.copy(), clip.confidence.copy()
    keypoints[:, joints] = [(0.4, 1.4), (0.42, 1.8), (0.6, 1.5), (0.56, 1.9)]
    confidence[:, joints] = 0.9
    poses = replace(clip, keypoints=keypoints, confidence=confidence)
    assert error_px(body, poses, fit_body(poses, body))[:, joints].max() < 0.5


def test_hand_moves_on_through_a_short_gap(body, clip, fitted):
    gap = fit_body(without(clip, PARTS["right_hand"], slice(2, 4)), body)
    assert gap.hand_seen[:, 0].tolist() == [True, True, False, False, True, True]
    bone = body.bone("finger2-3.R")
    np.testing.assert_allclose(gap.positions[2:4, bone, 2], fitted.positions[2:4, bone, 2], atol=0.06)


def test_hand_stays_before_the_chest(body, fitted):
    chest_front = body.vertices[np.abs(body.vertices[:, 2] - body.keypoints[index("neck"), 2] + 0.1) < 0.05, 1].min()
    for bone in ("wrist.R", "finger3-2.R", "wrist.L", "finger3-2.L"):
        assert (fitted.positions[:, body.bone(bone), 1] < chest_front + 0.01).all(), bone


@pytest.mark.parametrize(
    "change",
    [
        lambda poses: without(poses, slice(0, 128)),
        lambda poses: without(poses, slice(0, 18)),
        lambda poses: without(poses, slice(1, 128)),
        lambda poses: without(poses, ["right_elbow", "left_elbow"]),
        lambda poses: without(poses, ["right_shoulder", "left_shoulder", "neck"]),
        lambda poses: without(poses, ["left_shoulder", "neck"]),
        lambda poses: without(poses, [f"face_{name}" for name in FACE]),
        lambda poses: replace(poses, keypoints=np.full_like(poses.keypoints, 0.5)),
        lambda poses: replace(poses, keypoints=poses.keypoints + 3),
        lambda poses: replace(poses, keypoints=poses.keypoints * 0.01),
        lambda poses: replace(poses, keypoints=noise(poses.keypoints.shape)),
        lambda poses: replace(poses, confidence=poses.confidence * 0.01),
        lambda poses: replace(poses, fps=1.0),
        lambda poses: replace(poses, fps=240.0),
    ],
    ids=[
        "nothing", "no body", "only a nose", "no elbows", "no shoulders", "one shoulder", "no face",
        "one place", "outside", "tiny", "noise", "unsure", "slow", "fast",
    ],
)  # fmt: skip
def test_any_poses_give_a_body(body, clip, change):
    motion = fit_body(change(clip[:3]), body)
    for values in (motion.linear, motion.positions, motion.expression, pose_vertices(body, motion, slice(0, 1))):
        assert np.isfinite(values).all()
    assert np.linalg.det(motion.linear).min() > 0
    assert np.ptp(pose_vertices(body, motion, slice(0, 1)), axis=1).max() < 6


def test_fit_is_deterministic(body, clip, fitted):
    np.testing.assert_array_equal(fit_body(clip, body).linear, fitted.linear)


@pytest.mark.slow
def test_real_clips_are_met(body):
    """Figures of `benchmarks/fit.py`, with some room, on a language no weight has seen."""
    clips = list(letter_clips("svk").values())[::4]
    errors = []
    for poses, motion in zip(clips, fit_bodies(clips, body), strict=True):
        errors.append(error_px(body, poses, motion)[:, PARTS["right_hand"]][motion.hand_seen[:, 0]])
    errors = np.concatenate(errors)
    assert errors.mean() < 1.3
    assert np.median(errors) < 1.0


def test_gaps_and_smoothing():
    seen = np.array([False, True, False, False, True, False, False, False, False])
    values = np.arange(9.0)[:, None]
    np.testing.assert_allclose(interpolate(values * seen[:, None], seen)[:, 0], [1, 1, 2, 3, 4, 4, 4, 4, 4])
    assert bridge(seen, 3).tolist() == [False, True, True, True, True, False, False, False, False]
    assert bridge(seen, 2).tolist() == seen.tolist()
    share = ease(seen, 2)
    assert share[[1, 4]].tolist() == [1, 1]
    assert 0 < share[5] < 1
    assert share[[7, 8]].tolist() == [0, 0]
    assert ease(np.zeros(3, bool), 2).tolist() == [0, 0, 0]
    assert smooth(values, 0.04, 1.0) is values
    np.testing.assert_allclose(smooth(np.ones((5, 2)), 0.1, 25.0), 1)
