from itertools import islice

import pytest
import torch

from recognizer.data import compose_words, load_letters, word_batches
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, leads_with_left


@pytest.fixture(scope="module")
def words():
    return compose_words(load_letters(["ase", "ise"]), SignRecognizerProcessor(), num_words=20, max_letters=3, seed=0)


def test_letters_are_a_to_z_with_the_right_hand_leading():
    letters = load_letters(["ise", "gss"])
    assert "".join(item.letter for item in letters) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert not any(leads_with_left(item.poses) for item in letters)


def test_words_hold_one_to_max_letters_in_order(words):
    assert {len(word.spans) for word in words} == {1, 2, 3}
    for word in words:
        frames = [frame for _, start, stop in word.spans for frame in (start, stop)]
        assert frames == sorted(frames)
        assert 0 <= frames[0] < frames[-1] <= len(word.keypoints)
        assert all(1 <= label <= 26 for label, _, _ in word.spans)


def test_frame_labels_say_what_the_labels_do(words):
    for batch in islice(word_batches(words, batch_size=4, conv_stride=2, seed=0), 5):
        steps = (batch["attention_mask"].shape[1] + 1) // 2
        assert batch["frame_labels"].shape == (4, steps)
        for labels, frame_labels in zip(batch["labels"].tolist(), batch["frame_labels"].tolist(), strict=True):
            found = [label for label in frame_labels if label > 0]
            assert set(found) <= set(labels)


def test_same_seed_gives_the_same_batches(words):
    first, second = (next(word_batches(words, batch_size=4, conv_stride=2, seed=1)) for _ in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
