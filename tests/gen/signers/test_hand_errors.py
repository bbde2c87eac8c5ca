"""What is known of MediaPipe's errors: small corrections of hands it found, and of nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from gen.signers import make_hand_errors
from gen.signers.hand_errors import ESTIMATOR, FARTHEST, HandSight, correct_hands, features_of, look_at_hands, predict
from gen.signers.make_hand_errors import Hands, read_hands, train
from poses.fingerspelling import letter_clips
from poses.keypoints import NAMES, PARTS, index
from poses.sequence import PoseSequence


@pytest.fixture(scope="module")
def found() -> PoseSequence:
    """Both hands, as MediaPipe found them."""
    return replace(letter_clips("csq")["B"][8:14], estimator=ESTIMATOR)


def test_moves_the_points_of_hands_a_little(found):
    corrected = correct_hands(found)
    ways = np.linalg.norm(corrected.pixels() - found.pixels(), axis=-1)
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    size = np.ptp(found.pixels()[:, PARTS["right_hand"]], axis=1).max()
    assert 0 < np.median(ways[:, hands]) < 0.1 * size
    assert np.delete(ways, np.arange(128)[hands], axis=1).max() == 0


def test_leaves_other_estimators_alone(found):
    other = replace(found, estimator="dwpose")
    assert correct_hands(other) is other


def test_leaves_a_hand_that_was_not_found(found):
    keypoints, confidence = found.keypoints.copy(), found.confidence.copy()
    keypoints[2:, PARTS["left_hand"]] = 0
    confidence[2:, PARTS["left_hand"]] = 0
    corrected = correct_hands(replace(found, keypoints=keypoints, confidence=confidence))
    assert (corrected.keypoints[2:, PARTS["left_hand"]] == 0).all()
    assert (corrected.keypoints[:2, PARTS["left_hand"]] != keypoints[:2, PARTS["left_hand"]]).any()


def test_does_not_depend_on_the_size_of_the_frame(found):
    larger = replace(found, width=2 * found.width, height=2 * found.height)
    np.testing.assert_allclose(correct_hands(larger).keypoints, correct_hands(found).keypoints, atol=1e-5)


def test_is_the_same_in_a_mirror(found):
    other = {"left": "right", "right": "left"}
    swapped = index(*("_".join(other.get(word, word) for word in name.split("_")) for name in NAMES))

    def mirrored(poses: PoseSequence) -> PoseSequence:
        keypoints = poses.keypoints[:, swapped] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
        return replace(poses, keypoints=keypoints, confidence=poses.confidence[:, swapped])

    np.testing.assert_allclose(
        mirrored(correct_hands(mirrored(found))).keypoints, correct_hands(found).keypoints, atol=1e-5
    )


def test_neighbours_are_as_far_away_in_time_whatever_the_rate_and_unknown_where_they_were_not_found(found):
    sight = look_at_hands(found, "right")
    twice = HandSight(*(np.repeat(of, 2, axis=0) for of in (sight.points, sight.seen, sight.arm, sight.arm_seen)), 50.0)
    twice.points[1::2] += np.arange(21)[:, None]
    features, _ = features_of(sight)
    np.testing.assert_allclose(features_of(twice)[0][::2], features, atol=1e-5)
    missing = replace(sight, seen=np.arange(len(sight.seen)) != 2, points=sight.points.copy())
    missing.points[2] = 0
    of_one_before = slice(42 + 43, 42 + 2 * 43)
    before = features_of(missing)[0][:, of_one_before]
    known = [False, True, False, True, True]  # of frames 0, 1, 3, 4 and 5
    assert before.any(axis=1).tolist() == (before[:, -1] == 1).tolist() == known


def test_what_is_farther_than_was_learned_counts_as_if_it_were_not(found):
    features, _ = features_of(look_at_hands(found, "right"))
    sizes = (features.shape[1], 8), (8, 8), (8, 42)
    rng = np.random.default_rng(0)
    weights = {f"{number}.weight": rng.normal(size=size[::-1]) for number, size in enumerate(sizes)}
    weights |= {f"{number}.bias": rng.normal(size=size[1]) for number, size in enumerate(sizes)}
    weights |= {"mean": np.zeros(sizes[0][0]), "spread": np.full(sizes[0][0], 2.0)}
    weights = {name: tensor.astype(np.float32) for name, tensor in weights.items()}
    far, farthest = (np.full_like(features, value) for value in (99, 2 * FARTHEST))
    np.testing.assert_array_equal(predict(far, weights), predict(farthest, weights))
    assert (predict(far, weights) != predict(farthest - 1, weights)).any()


@pytest.mark.long
def test_learns_what_it_is_shown(found, monkeypatch):
    monkeypatch.setattr(make_hand_errors, "STEPS", 150)
    monkeypatch.setattr(make_hand_errors, "DROPOUT", 0.0)
    features, own = features_of(look_at_hands(found, "right"))
    ways = np.full((len(features), 21, 2), 0.2, np.float32)
    weights = train(Hands(features, ways, own.size.astype(np.float32), np.ones(len(features), bool)))
    assert all(tensor.dtype == np.float16 for tensor in weights.values())
    guess = predict(features, {name: tensor.astype(np.float32) for name, tensor in weights.items()})
    assert np.abs(guess - ways).mean() < 0.1


def test_reads_how_far_each_point_was_off(found, tmp_path, monkeypatch):
    monkeypatch.setattr(make_hand_errors, "SIGNERS", {"train": 1})
    poses = replace(found, width=make_hand_errors.SIZE, height=make_hand_errors.SIZE)
    way = np.array([2.0, -1.0]) / make_hand_errors.SIZE
    exact = poses.keypoints + way.astype(np.float32)
    exact[0] += 0.5  # where the signer's picture has them
    (tmp_path / "train").mkdir()
    np.savez(
        tmp_path / "train" / "000000.npz",
        **{
            "0-fps": poses.fps,
            "0-exact-keypoints": exact,
            "0-exact-confidence": np.ones_like(poses.confidence),
            "0-found-keypoints": poses.keypoints[1:],
            "0-found-confidence": poses.confidence[1:],
        },
    )
    hands = read_hands(tmp_path, "train")
    assert len(hands.ways) == 2 * (len(poses) - 1)
    assert hands.counted.all()
    off = np.linalg.norm(hands.ways, axis=-1) * hands.size_px[:, None]
    np.testing.assert_allclose(off, np.hypot(2, 1), rtol=1e-3)
