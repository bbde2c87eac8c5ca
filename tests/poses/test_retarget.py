from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poses.keypoints import NAMES, PARTS, index
from poses.retarget import BONES, bone_ratios, displace, find_displacement, proportions, retarget
from poses.sequence import PoseSequence

BODY = {
    "nose": (500, 200), "neck": (500, 350),
    "right_shoulder": (400, 350), "right_elbow": (400, 500), "right_wrist": (250, 500),
    "left_shoulder": (600, 350), "left_elbow": (600, 500), "left_wrist": (750, 500),
    "right_hip": (430, 700), "left_hip": (570, 700), "right_knee": (430, 880), "left_knee": (570, 880),
    "right_ankle": (430, 990), "left_ankle": (570, 990),
    "right_eye": (480, 180), "left_eye": (520, 180), "right_ear": (460, 190), "left_ear": (540, 190),
}  # fmt: skip


def signer(num_frames=1, **places) -> PoseSequence:
    """Arms hang to the elbows and point outwards from there; 1000 x 1000 pixels, shoulders 200 apart."""
    keypoints = np.zeros((num_frames, 128, 2), np.float32)
    for name, place in (BODY | places).items():
        keypoints[:, index(name)] = np.array(place) / 1000
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    keypoints[:, PARTS["face"]] = keypoints[:, [index("nose")]] + 0.06 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    fan = 0.01 * np.stack([np.arange(21), np.arange(21)], axis=1) / 2
    for side, outwards in (("left", (1, 1)), ("right", (-1, 1))):
        keypoints[:, PARTS[f"{side}_hand"]] = keypoints[:, [index(f"{side}_wrist")]] + fan * outwards
    return PoseSequence(keypoints, np.ones((num_frames, 128), np.float32), 25, 1000, 1000)


def scaled(poses: PoseSequence, ratios: dict[str, float]) -> PoseSequence:
    """Another signer whose bones are these times as long."""
    return displace(poses, find_displacement(poses, ratios))


def length(poses: PoseSequence, *names: str) -> float:
    first, second = poses.pixels()[0, index(*names)]
    return float(np.linalg.norm(first - second))


def test_every_bone_takes_the_references_length():
    ratios = {"neck": 1.2, "trunk": 0.9, "upper_arm": 1.3, "forearm": 0.8, "thigh": 1.1, "shin": 0.7, "face": 1.5}
    poses = signer()
    reference = scaled(replace(poses, source="a long one"), ratios)
    for bone, sides in BONES.items():
        for ends in sides:
            assert length(reference, *ends) == pytest.approx(ratios[bone] * length(poses, *ends), rel=1e-4)
    assert bone_ratios(poses, reference) == pytest.approx(ratios, rel=1e-4)
    np.testing.assert_allclose(retarget(poses, reference).keypoints, reference.keypoints, atol=1e-5)
    assert proportions(poses)["upper_arm"] == pytest.approx(150 / 200)


def test_the_references_size_and_place_do_not_matter():
    reference = scaled(signer(), {"upper_arm": 1.3})
    elsewhere = replace(reference, keypoints=reference.keypoints * np.float32(0.3) + np.float32(0.1))
    np.testing.assert_allclose(
        retarget(signer(), elsewhere).keypoints, retarget(signer(), reference).keypoints, atol=1e-5
    )


def test_a_foreshortened_arm_in_some_frames_is_still_as_long():
    poses = signer(10)
    poses.keypoints[:6, index("right_elbow"), 1] -= 0.1
    poses.keypoints[:6, index("left_elbow"), 1] -= 0.1
    assert proportions(poses)["upper_arm"] == pytest.approx(0.75)


def test_hands_keep_their_size_and_their_wrists():
    moved = scaled(signer(), {"forearm": 1.4, "face": 1.3})
    for side in ("left", "right"):
        before, after = signer().part(f"{side}_hand")[0], moved.part(f"{side}_hand")[0]
        np.testing.assert_allclose(after - after[:, :1], before - before[:, :1], atol=1e-6)
        assert length(moved, f"{side}_wrist", f"{side}_hand_wrist") == pytest.approx(0, abs=1e-3)


def touching(name: str, *, offset=(0.0, 0.0)) -> PoseSequence:
    """The tip of the right index finger on a point, or beside it in pixels."""
    poses = signer()
    keypoints = poses.keypoints
    hand = [index("right_wrist"), *range(*PARTS["right_hand"].indices(128))]
    aim = keypoints[0, index(name)] + np.array(offset) / 1000
    keypoints[0, hand] += aim - keypoints[0, index("right_hand_index_tip")]
    others = [point for point in range(*PARTS["right_hand"].indices(128)) if point != index("right_hand_index_tip")]
    keypoints[0, others, 1] += 0.15  # only the tip is near
    keypoints[0, index("right_wrist")] = keypoints[0, index("right_hand_wrist")]
    return poses


@pytest.mark.parametrize("name", ["face_jaw_8", "nose", "left_shoulder", "left_ear", "face_outer_lip_3"])
def test_what_touches_still_touches(name):
    poses = touching(name)
    moved = scaled(poses, {"upper_arm": 0.7, "forearm": 1.5, "face": 1.4, "neck": 1.2, "trunk": 0.8})
    assert length(moved, name, "right_hand_index_tip") < 0.5  # of a thousand pixels
    without = scaled(touching(name, offset=(0, 400)), {"forearm": 1.5})
    assert length(without, name, "right_hand_index_tip") > 100


def test_a_hand_on_the_belly_stays_there():
    poses = touching("left_shoulder", offset=(-100, 263))  # three quarters down the trunk
    ratios = {"trunk": 0.8, "forearm": 1.4}
    moved, belly = scaled(poses, ratios), poses.keypoints[0, index("right_hand_index_tip")] * 1000
    kept = moved.pixels()[0, index("right_hand_index_tip")]
    assert abs(kept[0] - 500) < 12
    assert kept[1] == pytest.approx(350 + 0.8 * (belly[1] - 350), abs=4)


def test_a_hand_on_the_chest_stays_there_without_hips():
    poses = touching("left_shoulder", offset=(-100, 120))
    poses.confidence[0, index("right_hip", "left_hip")] = 0
    moved = scaled(poses, {"upper_arm": 0.8, "forearm": 1.4})
    tip = [clip.pixels()[0, index("right_hand_index_tip")] for clip in (poses, moved)]
    np.testing.assert_allclose(tip[1], tip[0], atol=6)


def test_hands_that_touch_each_other_move_together():
    poses = signer()
    hand = [index("left_wrist"), *range(*PARTS["left_hand"].indices(128))]
    poses.keypoints[0, hand] += (
        poses.keypoints[0, index("right_hand_index_tip")] - poses.keypoints[0, index("left_hand_index_tip")]
    )
    moved = scaled(poses, {"forearm": 1.5, "upper_arm": 1.2})
    assert length(moved, "left_hand_index_tip", "right_hand_index_tip") == pytest.approx(0, abs=1e-2)


def test_a_hand_that_comes_near_does_not_jump():
    paths = np.linspace(0, 400, 200)
    frames = [touching("face_jaw_8", offset=(0, offset)) for offset in paths]
    keypoints = np.concatenate([frame.keypoints for frame in frames])
    poses = replace(frames[0], keypoints=keypoints, confidence=np.ones((200, 128), np.float32))
    moved = scaled(poses, {"forearm": 1.5, "face": 1.4}).pixels()[:, index("right_hand_index_tip")]
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    assert steps.max() < 4 * 400 / 199


@given(st.integers(0, 10_000))
def test_it_can_be_undone(seed):
    random = np.random.default_rng(seed)
    poses = signer(3)
    confidence = np.where(random.random((3, 128)) < 0.2, 0, 1).astype(np.float32)
    confidence[0, index("right_shoulder", "left_shoulder")] = 1
    keypoints = poses.keypoints + random.normal(0, 0.05, poses.keypoints.shape).astype(np.float32)
    poses = replace(
        poses, confidence=confidence, keypoints=np.where(confidence[..., None] > 0, keypoints, np.float32(0))
    )
    displacement = find_displacement(poses, {"upper_arm": 1.3, "forearm": 0.8, "face": 1.2, "neck": 0.9})
    there = displace(poses, displacement)
    np.testing.assert_array_equal(there.confidence, poses.confidence)
    np.testing.assert_allclose(displace(there, -displacement).keypoints, poses.keypoints, atol=1e-6)


def test_points_found_only_later_move_with_the_rest():
    poses = signer()
    poses.confidence[0, PARTS["right_hand"]] = 0
    displacement = find_displacement(poses, {"forearm": 1.4})
    np.testing.assert_allclose(displacement[0, PARTS["right_hand"]], np.tile((-0.06, 0), (21, 1)), atol=1e-6)


def test_an_elbow_that_is_not_seen_is_skipped():
    poses = signer()
    poses.confidence[0, index("right_elbow")] = 0
    displacement = find_displacement(poses, {"forearm": 1.4})[0]
    np.testing.assert_allclose(displacement[index("right_wrist")], (0.4 * -0.15, 0.4 * 0.15), atol=1e-6)


def test_the_same_proportions_move_nothing():
    np.testing.assert_allclose(retarget(signer(), signer()).keypoints, signer().keypoints, atol=1e-6)
    assert set(proportions(signer())) == {*BONES, "face"}
    assert len(NAMES) == 128


def test_references_that_cannot_be_measured():
    nobody = replace(signer(), confidence=np.zeros((1, 128), np.float32), source="none.npz")
    with pytest.raises(ValueError, match=r"none\.npz: must show both shoulders"):
        retarget(signer(), nobody)
    with pytest.raises(ValueError, match=r"none\.npz: must show both shoulders"):
        find_displacement(nobody, {})
    giant = replace(signer(right_wrist=(0, 500), left_wrist=(1000, 500)), source="far.npz")
    with pytest.raises(
        ValueError, match=r"far\.npz: its forearm must be at most 2 times .* found 2\.00 and 0\.75 shou"
    ):
        retarget(signer(), giant)


def test_bones_that_the_reference_does_not_show_stay():
    reference = scaled(signer(), {"upper_arm": 1.2})
    reference.confidence[0, index("right_knee", "left_knee")] = 0
    ratios = bone_ratios(signer(), reference)
    assert "thigh" not in ratios
    assert "shin" not in ratios
    assert ratios["upper_arm"] == pytest.approx(1.2, rel=1e-4)
