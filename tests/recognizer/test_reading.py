from dataclasses import replace

import numpy as np
import pytest
import torch

from poses.fingerspelling import spell
from poses.keypoints import PARTS, index
from recognizer.reading import WEIGHTS, Recognizer, load_recognizer, read_glosses


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_recognizer()


@pytest.fixture(scope="module")
def word():
    return spell("LAB", "sgg")


def test_reads_a_word_of_a_language_it_knows(recognizer, word):
    reading = read_glosses(word, recognizer)
    assert str(reading) == "L A B"
    assert reading.reason == ""


def test_spans_are_in_order_and_overlap_the_letters(recognizer, word):
    glosses = read_glosses(word, recognizer).glosses
    frames = [frame for gloss in glosses for frame in (gloss.start, gloss.stop)]
    assert frames == sorted(frames)
    for gloss, span in zip(glosses, word.glosses, strict=True):
        assert gloss.start < gloss.stop <= len(word)
        assert gloss.start < span.stop
        assert span.start < gloss.stop
        assert 0 < gloss.confidence <= 1


def test_frame_rate_and_size_change_frames_not_glosses(recognizer, word):
    fast = spell("LAB", "sgg", fps=48)
    reading = read_glosses(replace(fast, width=1280, height=1280), recognizer)
    assert str(reading) == "L A B"
    assert reading.glosses[-1].start > word.glosses[-1].start


def test_several_clips_are_read_as_one_each(recognizer, word):
    other = spell("OK", "asq")
    assert read_glosses([word, other], recognizer) == [read_glosses(word, recognizer), read_glosses(other, recognizer)]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [(("left_hand", "right_hand"), "no hand is seen"), (("body",), "the shoulders are not seen")],
)
def test_what_cannot_be_read_says_why(recognizer, word, parts, reason):
    confidence = word.confidence.copy()
    for part in parts:
        confidence[:, PARTS[part]] = 0
    reading = read_glosses(replace(word, confidence=confidence), recognizer)
    assert reading.glosses == ()
    assert reading.reason == reason


def test_hand_at_rest_is_no_gloss(recognizer, word):
    still = word[:1]
    keypoints = np.repeat(still.keypoints, 30, axis=0)
    hand = keypoints[:, PARTS["right_hand"]]
    keypoints[:, PARTS["right_hand"]] = hand - hand[:, :1] + keypoints[:, index("right_hip"), None]
    still = replace(still, keypoints=keypoints, confidence=np.repeat(still.confidence, 30, axis=0))
    reading = read_glosses(still, recognizer)
    assert bool(reading.glosses) != bool(reading.reason)


def test_one_frame_is_read(recognizer, word):
    reading = read_glosses(word[word.glosses[0].start + 4 : word.glosses[0].start + 5], recognizer)
    assert len(reading.glosses) <= 1


def test_wrong_frame_rate_is_refused(recognizer, word):
    with pytest.raises(ValueError, match=r"`poses.fps` must be between 5 and 120, got 3"):
        read_glosses(replace(word, fps=3.0), recognizer)


def test_folder_without_a_recognizer_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must be a folder with a recognizer, got .* without config.json"):
        load_recognizer(tmp_path)


def test_weights_are_small_and_half_precision():
    assert (WEIGHTS / "model.safetensors").stat().st_size < 10_000_000
    from safetensors import safe_open

    with safe_open(WEIGHTS / "model.safetensors", framework="pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
