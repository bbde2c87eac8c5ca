from dataclasses import replace

import numpy as np
import pytest

from poses.fingerspelling import spell
from poses.keypoints import PARTS, index
from recognizer.framing import BODY_POINTS, NUM_POINTS
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, leads_with_left, mirror


@pytest.fixture(scope="module")
def word():
    return spell("AB", "ase")


def test_shoulders_are_one_apart_around_the_origin(word):
    batch = SignRecognizerProcessor()(word)
    assert batch["keypoints"].shape == (1, len(word), NUM_POINTS, 2)
    shoulders = [BODY_POINTS.index("right_shoulder"), BODY_POINTS.index("left_shoulder")]
    right, left = batch["keypoints"][0, :, shoulders].median(dim=0).values.numpy()
    np.testing.assert_allclose(left - right, (1, 0), atol=0.03)
    np.testing.assert_allclose(left + right, 0, atol=0.03)


def test_place_size_and_shape_of_the_frame_do_not_matter(word):
    seen = word.confidence[..., None] > 0
    moved = np.where(seen, word.keypoints * [0.25, 0.5] + [0.3, 0.1], 0).astype(np.float32)
    other = replace(word, keypoints=moved, width=2000, height=1000)
    processor = SignRecognizerProcessor()
    np.testing.assert_allclose(processor.normalize(other)[0], processor.normalize(word)[0], atol=1e-4)


def test_left_handed_signer_is_mirrored(word):
    left_handed = mirror(word)
    assert leads_with_left(left_handed)
    assert not leads_with_left(word)
    processor = SignRecognizerProcessor()
    np.testing.assert_allclose(processor.normalize(left_handed)[0], processor.normalize(word)[0], atol=1e-5)
    assert leads_with_left(spell("A", "ise"))


def test_mirroring_twice_changes_nothing(word):
    twice = mirror(mirror(word))
    np.testing.assert_allclose(twice.keypoints, word.keypoints, atol=1e-6)
    np.testing.assert_array_equal(twice.confidence, word.confidence)


def test_raised_hand_leads_over_a_resting_one(word):
    keypoints, confidence = word.keypoints.copy(), word.confidence.copy()
    keypoints[:, PARTS["left_hand"]] = keypoints[:, index("left_shoulder"), None] + [0, 0.7]
    confidence[:, PARTS["left_hand"]] = 1
    assert not leads_with_left(replace(word, keypoints=keypoints, confidence=confidence))


@pytest.mark.parametrize("fps", [5, 120])
def test_frame_rates_become_one(word, fps):
    keypoints, _ = SignRecognizerProcessor().normalize(spell("AB", "ase", fps=fps))
    assert len(keypoints) == pytest.approx(len(word), abs=24 / fps + 4)


@pytest.mark.parametrize("fps", [4.9, 121])
def test_frame_rate_out_of_range_is_refused(word, fps):
    with pytest.raises(ValueError, match=r"have 5 to 120 frames per second, got .* \(fingerspelling ase A-B\)"):
        SignRecognizerProcessor()(replace(word, fps=fps))


def test_clip_without_shoulders_is_refused(word):
    confidence = word.confidence.copy()
    confidence[:, index("left_shoulder")] = 0
    with pytest.raises(ValueError, match="`poses` must show both shoulders in at least one frame, got none"):
        SignRecognizerProcessor()(replace(word, confidence=confidence))


def test_batch_is_padded_with_zeros(word):
    batch = SignRecognizerProcessor()([word, word[:5]])
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(word), 5]
    assert not batch["keypoints"][1, 5:].any()


def test_saved_processor_loads_equal(tmp_path):
    SignRecognizerProcessor(frame_rate=12.0).save_pretrained(tmp_path)
    assert SignRecognizerProcessor.from_pretrained(tmp_path).frame_rate == 12.0


def test_a_hand_that_hangs_at_the_side_is_not_read(word):
    hip, shoulder = (np.median(word.keypoints[:, index(f"left_{name}")], axis=0) for name in ("hip", "shoulder"))
    keypoints, confidence = word.keypoints.copy(), word.confidence.copy()
    keypoints[:, PARTS["left_hand"]] = shoulder + 1.3 * (hip - shoulder)
    confidence[:, PARTS["left_hand"]] = 1
    processor = SignRecognizerProcessor()
    seen = processor.normalize(replace(word, keypoints=keypoints, confidence=confidence))[1]
    np.testing.assert_array_equal(seen, processor.normalize(word)[1])
