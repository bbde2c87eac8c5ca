"""What a recognizer makes of a clip, and how far two of its readings agree."""

from collections.abc import Sequence

import jiwer

from pipelines.output import ErrorRate
from poses.sequence import GlossSpan
from recognizer.metrics import word_error_rate
from recognizer.reading import GlossReading


def error_rate(expected: Sequence[GlossSpan | GlossReading], read: Sequence[GlossReading]) -> ErrorRate | None:
    """Word error rate of one reading; None where there is nothing to compare it with."""
    if not expected:
        return None
    errors = word_error_rate([_words(expected)], [_words(read)])
    return ErrorRate(errors.rate, errors.substitutions, errors.deletions, errors.insertions, errors.reference_length)


def read_right(expected: Sequence[GlossSpan | GlossReading], read: Sequence[GlossReading]) -> list[bool]:
    """Tells which glosses of a reading are right, on the alignment with the fewest errors."""
    right = [False] * len(read)
    if expected and read:
        for chunk in jiwer.process_words(" ".join(_words(expected)), " ".join(_words(read))).alignments[0]:
            if chunk.type == "equal":
                right[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return right


def _words(items: Sequence[GlossSpan | GlossReading]) -> list[str]:
    # A gloss of several words, as some corpora have, is one word of the reading.
    return ["_".join(item.gloss.split()) for item in items]
