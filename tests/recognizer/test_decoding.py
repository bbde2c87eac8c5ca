from itertools import pairwise, product

import numpy as np
import pytest

from recognizer.decoding import decode, sequence_scores


def collapse(path):
    return tuple(label for before, label in pairwise((None, *path)) if label != before and label != 0)


@pytest.fixture(params=range(5))
def log_probs(request):
    """Five steps over the blank and four glosses."""
    logits = 2 * np.random.default_rng(request.param).normal(size=(5, 5))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.mark.parametrize(("blank_cost", "gloss_cost"), [(0, 0), (2, 2), (0.5, 3), (3, 0.5)])
def test_decoding_is_the_best_of_all_paths(log_probs, blank_cost, gloss_cost):
    def score(path):
        label_scores = sum(log_probs[step, label] - blank_cost * (label == 0) for step, label in enumerate(path))
        return label_scores - gloss_cost * len(collapse(path))

    allowed = [
        path
        for path in product(range(5), repeat=5)
        if all(before == after or 0 in (before, after) for before, after in pairwise(path))
    ]
    best = max(allowed, key=score)
    found = decode(log_probs, blank_cost=blank_cost, gloss_cost=gloss_cost)
    assert tuple(label for label, _, _ in found) == collapse(best)
    signed = [(label, step) for label, start, stop in found for step in range(start, stop)]
    assert signed == [(label, step) for step, label in enumerate(best) if label != 0]


def certain(*labels):
    return np.log(np.eye(3)[list(labels)] + 1e-9)


def test_repeats_are_two_glosses_only_with_a_blank_between():
    assert decode(certain(0, 1, 1, 1, 1)) == [(1, 1, 5)]
    assert decode(certain(0, 1, 1, 0, 1)) == [(1, 1, 3), (1, 4, 5)]


def test_blanks_alone_are_no_gloss():
    assert decode(certain(0, 0, 0)) == []


def test_one_step_is_decoded():
    assert decode(certain(2)) == [(2, 0, 1)]


def test_any_label_can_be_the_blank():
    assert decode(certain(2, 0, 2, 1, 2), blank=2) == [(0, 1, 2), (1, 3, 4)]


def test_score_of_a_single_gloss_sums_its_paths(log_probs):
    totals = {}
    for path in product(range(5), repeat=5):
        probability = np.exp(sum(log_probs[step, label] for step, label in enumerate(path)))
        totals[collapse(path)] = totals.get(collapse(path), 0) + probability
    expected = [totals[(label,)] for label in range(1, 5)]
    np.testing.assert_allclose(np.exp(sequence_scores(log_probs)), [0, *expected], rtol=1e-5)
