from itertools import pairwise, product

import numpy as np
import pytest

from recognizer.decoding import beam_search, forced_alignment, greedy_decode, sequence_scores


def collapse(path):
    return tuple(label for before, label in pairwise((None, *path)) if label != before and label != 0)


def exact(log_probs):
    """Probability of every label sequence over five symbols, by going through all paths."""
    totals = {}
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        probability = np.exp(sum(log_probs[step, label] for step, label in enumerate(path)))
        totals[collapse(path)] = totals.get(collapse(path), 0) + probability
    return totals


@pytest.fixture(params=range(5))
def log_probs(request):
    logits = 2 * np.random.default_rng(request.param).normal(size=(5, 5))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_wide_beam_is_exact_over_five_symbols(log_probs):
    totals = exact(log_probs)
    assert tuple(beam_search(log_probs, beam_width=4000)) == max(totals, key=totals.get)


def test_sum_over_alignments_beats_the_best_path():
    # The best path is all blank (0.36); the label alone has 0.64 in three paths.
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert greedy_decode(log_probs) == []
    assert beam_search(log_probs) == [1]


def test_greedy_merges_repeats_unless_a_blank_parts_them():
    log_probs = np.log(np.eye(3)[[0, 1, 1, 0, 1, 2, 2, 0]] + 1e-9)
    assert greedy_decode(log_probs) == [1, 1, 2]
    assert beam_search(log_probs) == [1, 1, 2]


def test_alignment_is_the_best_path_of_its_labels(log_probs):
    for labels in ([], [1], [2, 2], [1, 2, 3], [3, 1, 3]):
        paths = [path for path in product(range(5), repeat=5) if collapse(path) == tuple(labels)]
        best = max(paths, key=lambda path: sum(log_probs[step, label] for step, label in enumerate(path)))
        inside = [(start, step) for start, step in forced_alignment(log_probs, labels)]
        assert [best[start] for start, _ in inside] == labels
        expected = [step for step in range(5) if best[step] != 0]
        assert [step for start, stop in inside for step in range(start, stop)] == expected


def test_alignment_needs_a_step_for_each_label_and_repeat():
    with pytest.raises(ValueError, match="`log_probs` must have at least 3 steps for 2 labels, got 2"):
        forced_alignment(np.zeros((2, 3)), [1, 1])


def test_score_of_a_single_gloss_sums_its_paths(log_probs):
    totals = exact(log_probs)
    expected = [totals[(label,)] for label in range(1, 5)]
    np.testing.assert_allclose(np.exp(sequence_scores(log_probs)), [0, *expected], rtol=1e-5)
