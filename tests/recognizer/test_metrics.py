import numpy as np
import pytest

from recognizer.metrics import WordErrors, bootstrap_interval, errors_by_gloss, top_k_accuracy, word_error_rate


def test_word_error_rate_by_hand():
    # Substitution of B; deletion of D; insertion of X and Y; one clip read as nothing.
    references = [["A", "B", "C"], ["D", "E"], ["F"], ["G"]]
    hypotheses = [["A", "Q", "C"], ["E"], ["F", "X", "Y"], []]
    errors = word_error_rate(references, hypotheses)
    assert errors == WordErrors(substitutions=1, deletions=2, insertions=2, reference_length=7)
    assert errors.rate == pytest.approx(5 / 7)


def test_corpus_rate_is_not_the_mean_of_clip_rates():
    assert word_error_rate([["A"], ["A", "B", "C"]], [[], ["A", "B", "C"]]).rate == 0.25


def test_errors_are_charged_to_reference_glosses():
    assert errors_by_gloss([["A", "B", "C"], ["D"]], [["X", "A", "C", "Y"], ["E"]]) == [[1, 1, 1], [1]]


@pytest.mark.parametrize(
    ("references", "hypotheses", "message"),
    [
        ([["A"]], [], "`hypotheses` must be one a reference, got 0 for 1"),
        ([[]], [["A"]], "`references` must hold at least one gloss, got none"),
        ([["A B"]], [["A"]], "must hold glosses without spaces, got 'A B'"),
        ([["A"]], [[""]], "must hold glosses without spaces, got ''"),
    ],
)
def test_wrong_corpora_are_refused(references, hypotheses, message):
    with pytest.raises(ValueError, match=message):
        word_error_rate(references, hypotheses)


def test_empty_reference_cannot_be_charged():
    with pytest.raises(ValueError, match="`references` must hold at least one gloss each, got an empty one"):
        errors_by_gloss([["A"], []], [["A"], ["B"]])


def test_interval_of_a_constant_is_a_point():
    assert bootstrap_interval(lambda weights: 0.5, [["a", "b"]], num_resamples=20) == (0.5, 0.5)


def test_interval_resamples_causes_not_items():
    # Two languages, one all wrong and one all right: a resample is 0, 1/2 or 1 whatever the number of items.
    languages = ["x"] * 50 + ["y"] * 50
    wrong = np.repeat([1.0, 0.0], 50)
    seen = []

    def rate(weights):
        seen.append(float((weights * wrong).sum() / weights.sum()))
        return seen[-1]

    assert bootstrap_interval(rate, [languages], num_resamples=200) == (0.0, 1.0)
    assert set(seen) == {0.0, 0.5, 1.0}


def test_same_seed_gives_the_same_interval():
    groups = [list("aabbcc"), list("xyxyxy")]
    values = np.arange(6)
    first, second = (bootstrap_interval(lambda w: float((w * values).sum() / w.sum()), groups, seed=3) for _ in "ab")
    assert first == second
    assert first[0] < first[1]


@pytest.mark.parametrize("groups", [[], [[]], [["a"], ["x", "y"]]])
def test_ragged_groups_are_refused(groups):
    with pytest.raises(ValueError, match="`groups` must name a cause for every item"):
        bootstrap_interval(lambda weights: 0.0, groups)


def test_wrong_level_is_refused():
    with pytest.raises(ValueError, match="`level` must be between 0 and 1, got 95"):
        bootstrap_interval(lambda weights: 0.0, [["a"]], level=95)


def test_sclite_aligns_otherwise_than_levenshtein():
    # Five substitutions cost 20; three deletions and three insertions, which leave D and E right, cost 18.
    references, hypotheses = [list("ABCDE")], [list("DEFGH")]
    assert word_error_rate(references, hypotheses) == WordErrors(5, 0, 0, 5)
    assert word_error_rate(references, hypotheses, sclite_costs=True) == WordErrors(0, 3, 3, 5)
    assert word_error_rate([["A"], []], [["X"], ["Y"]], sclite_costs=True) == WordErrors(1, 0, 1, 1)


def test_top_k_by_hand():
    # Three clips of label 0, of which one is right, and one of label 2, which is second.
    scores = np.array([[3.0, 1, 0], [1, 3, 0], [0, 2, 1], [0, 3, 2]])
    labels = np.array([0, 0, 0, 2])
    top1, top2 = (top_k_accuracy(scores, labels, k=k) for k in (1, 2))
    assert (top1.per_instance, top1.per_class) == (1 / 4, 1 / 6)
    assert (top2.per_instance, top2.per_class) == (3 / 4, (2 / 3 + 1) / 2)


def test_equal_scores_are_no_hit():
    assert top_k_accuracy(np.zeros((1, 2)), np.array([0]), k=1).per_instance == 0


@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [
        (np.zeros((0, 2)), 1, "`labels` must be one a clip, got 1 for 0"),
        (np.zeros((1, 2)), 3, "`k` must be 1 to 2, got 3"),
    ],
)
def test_wrong_scores_are_refused(scores, k, message):
    with pytest.raises(ValueError, match=message):
        top_k_accuracy(scores, np.array([0]), k=k)
