from pipelines.measures.reading import error_rate, read_right
from pipelines.output import ErrorRate
from poses.sequence import GlossSpan
from recognizer.reading import GlossReading


def reading(*glosses):
    return [GlossReading(gloss, 0.5, number, number + 1) for number, gloss in enumerate(glosses)]


def spans(*glosses):
    return [GlossSpan(gloss, number, number + 1) for number, gloss in enumerate(glosses)]


def test_error_rate_by_hand():
    # A B C D read as A X C D E: one substitution, one insertion.
    assert error_rate(spans(*"ABCD"), reading(*"AXCDE")) == ErrorRate(0.5, 1, 0, 1, 4)
    assert error_rate(spans(*"ABCD"), []) == ErrorRate(1.0, 0, 4, 0, 4)
    assert error_rate([], reading("A")) is None


def test_a_gloss_of_two_words_is_one_gloss():
    assert error_rate(spans("THANK YOU"), reading("THANK YOU")) == ErrorRate(0.0, 0, 0, 0, 1)


def test_read_right_by_hand():
    assert read_right(spans(*"ABCD"), reading(*"AXCDE")) == [True, False, True, True, False]
    assert read_right(spans(*"AB"), []) == []
    assert read_right([], reading("A")) == [False]
