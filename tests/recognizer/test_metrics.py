import numpy as np
import pytest

from recognizer.metrics import WordErrors, bootstrap_interval, errors_by_gloss, word_error_rate


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
