import pytest

from recognizer.text_metrics import EMPTY, bleu, chrf, clean_phoenix_2014, clean_phoenix_2014_t, rouge_l


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("loc-NORD cl-KOMMEN qu-WAS poss-MEIN lh-HAND", "NORD KOMMEN WAS MEIN HAND"),
        ("S0NNE HABEN2 ZEIGEN", "SONNE HABEN ZEIGEN-BILDSCHIRM"),
        ("__EMOTION__ REGEN __PU__ __LEFTHAND__", "REGEN"),
        ("WIE AUSSEHEN", "WIE-AUSSEHEN"),
        ("WOHNRAUM RAUM", "WOHN RAUM"),
        ("MORGEN-PLUSPLUS MORGEN", "MORGEN"),
        ("JETZT A B C SCH D HEUTE", "JETZT A+B+C+SCH+D HEUTE"),
        ("A+B C", "A+B+C"),
        ("REGEN REGEN REGEN SONNE REGEN", "REGEN SONNE REGEN"),
        ("__EMOTION__", EMPTY),
    ],
)
def test_phoenix_2014_is_cleaned(glosses, cleaned):
    assert " ".join(clean_phoenix_2014(glosses.split())) == cleaned


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("loc-NORD cl-KOMMEN qu-WAS", "NORD KOMMEN qu-WAS"),
        ("__EPENTHESIS__ REGEN __X__", "REGEN"),
        ("ZEIGEN S0NNE", "ZEIGEN S0NNE"),
    ],
)
def test_phoenix_2014_t_has_other_rules(glosses, cleaned):
    assert " ".join(clean_phoenix_2014_t(glosses.split())) == cleaned


def test_rouge_l_by_hand():
    # Common: A C, recall 2/3, precision 2/4; the other clip is read as nothing.
    recall, precision, weight = 2 / 3, 2 / 4, 1.2**2
    expected = (1 + weight) * recall * precision / (recall + weight * precision)
    assert rouge_l([list("ABC"), ["D"]], [list("AXCY"), []]) == pytest.approx(expected / 2)
    assert rouge_l([["A", "B"]], [["A", "B"]]) == 1


def test_bleu_by_hand_with_signature():
    # One reference of four words, three read: unigrams 3/3, bigrams 2/2, brevity exp(1 - 4/3).
    score = bleu([list("ABCD")], [list("ABC")], max_order=2)
    assert score.value == pytest.approx(100 * 2.718281828 ** (1 - 4 / 3), abs=1e-4)
    assert "tok:none" in score.signature


def test_chrf_of_the_same_text_is_all():
    score = chrf([["REGEN", "MORGEN"]], [["REGEN", "MORGEN"]])
    assert score.value == pytest.approx(100)
    assert "nc:6" in score.signature


@pytest.mark.parametrize("score", [rouge_l, bleu, chrf])
def test_wrong_corpora_are_refused(score):
    with pytest.raises(ValueError, match="`hypotheses` must be one a reference, got 0 for 1"):
        score([["A"]], [])
    with pytest.raises(ValueError, match="`references` must hold at least one word each, got none"):
        score([[]], [["A"]])
