from itertools import islice

import numpy as np
import pytest
import torch

from poses.keypoints import HAND
from recognizer.data import augment, compose_words, load_letters, word_batches
from recognizer.modeling_sign_recognizer import BODY_POINTS, NUM_POINTS
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


def test_augmentation_keeps_unseen_points_unseen_and_bones_near_their_length():
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(8, 30, NUM_POINTS, 2, generator=generator)
    confidence = torch.ones(8, 30, NUM_POINTS)
    confidence[:, :, -21:] = 0
    changed, sure = augment(torch.where(confidence[..., None] > 0, keypoints, 0), confidence, generator)
    assert not sure[:, :, -21:].any()
    assert not changed[sure == 0].any()
    assert changed.isfinite().all()
    assert ((sure >= 0) & (sure <= 1)).all()
    hand = len(BODY_POINTS) + HAND.index("index_pip"), len(BODY_POINTS) + HAND.index("index_mcp")
    seen = sure[:, :, hand[0]] > 0
    ratio = (changed[:, :, hand[0]] - changed[:, :, hand[1]]).norm(dim=-1) / (
        keypoints[:, :, hand[0]] - keypoints[:, :, hand[1]]
    ).norm(dim=-1)
    assert 0.6 < float(np.median(ratio[seen])) < 1.4
