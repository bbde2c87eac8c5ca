from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pipelines.clip_figures import reading_figures
from pipelines.measures.reading import (
    Readout,
    cohens_kappa,
    confusions,
    divergence,
    embed,
    error_rate,
    faithfulness,
    gloss_names,
    read_out,
    read_right,
)
from pipelines.output import ErrorRate
from poses.sequence import GlossSpan
from recognizer.reading import GlossReading, read_glosses


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


def test_divergence_is_that_of_scipy():
    first, second = np.array([0.5, 0.5, 0.0]), np.array([0.1, 0.2, 0.7])
    assert divergence(first, second) == pytest.approx(jensenshannon(first, second, base=2) ** 2, abs=1e-6)
    assert divergence(first, first) == 0
    assert divergence(np.array([1.0, 0]), np.array([0, 1.0])) == 1
    assert divergence(np.zeros(0), first) is None


def test_a_video_that_cannot_be_read_agrees_with_none():
    read = Readout(("A",), "", np.array([0.75, 0.25]), np.zeros((4, 2)))
    unread = Readout((), "no hand is seen", np.zeros(0), np.zeros((0, 0)))
    found = reading_figures({"driving": read, "video": unread}, ("A", "B"))
    assert (found["top1_agreement"], found["js_divergence"]) == (0, 1)
    # Where the driving pose cannot be read, there is nothing to agree with.
    for video in (read, unread):
        found = reading_figures({"driving": unread, "video": video}, ("A", "B"))
        assert (found["top1_agreement"], found["js_divergence"]) == (None, None)
    assert reading_figures({"driving": read, "video": read}, ("A", "B"))["js_divergence"] == 0


def test_kappa_by_hand():
    # Cohen 1960 in small: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 agreed, 0.5 by chance.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohens_kappa(first, second) == pytest.approx(0.4)
    assert cohens_kappa(first, second, np.full(50, 3.0)) == pytest.approx(0.4)
    assert cohens_kappa(["yes"] * 3, ["yes"] * 3) is None
    assert cohens_kappa(["yes"] * 3, ["yes", "no", "yes"]) is None
    assert cohens_kappa(["yes"], ["no"]) is None
    assert cohens_kappa(["yes", "no"], ["no"] * 2) == 0
    # What does not count says no other label either.
    assert cohens_kappa(["yes", "yes", "no"], ["yes", "no", "no"], np.array([1.0, 1, 0])) is None


def test_confusions_by_hand():
    assert confusions([("A", "B", "C"), ("A", "B"), ()], [("A", "X", "C"), ("X", "B", "D"), ("Z",)]) == [
        ("", "D", 1),
        ("A", "X", 1),
        ("B", "X", 1),
    ]


def test_faithfulness_is_small_for_the_own_pose_and_about_one_for_any():
    asked = [np.array([0.0, 0]), np.array([10.0, 0]), np.array([0, 10.0])]
    near = faithfulness([pose + 0.1 for pose in asked], asked)
    assert max(near) < 0.02
    turned = faithfulness([asked[1], asked[2], asked[0]], asked)
    assert min(turned) >= 1
    assert faithfulness([asked[0], None, asked[2]], asked)[1] is None
    assert faithfulness(asked[:1], asked[:1]) == [None]


def test_an_embedding_keeps_the_order_of_the_clip():
    states = np.arange(8, dtype=np.float32)[:, None]
    assert embed(states).tolist() == [0.5, 2.5, 4.5, 6.5]
    assert embed(states[:3]) is None


def test_reading_out_a_clip_gives_what_the_recognizer_read(signer, recognizer):
    readout = read_out(signer, recognizer)
    assert readout.glosses == tuple(one.gloss for one in read_glosses(signer, recognizer).glosses)
    assert readout.distribution.sum() == pytest.approx(1)
    assert readout.states.shape == (6, 8)
    assert readout.top(gloss_names(recognizer)) in gloss_names(recognizer)
    blind = replace(signer, confidence=np.zeros_like(signer.confidence), keypoints=np.zeros_like(signer.keypoints))
    unread = read_out(blind, recognizer)
    assert (unread.glosses, unread.reason, unread.top(gloss_names(recognizer))) == ((), "no hand is seen", "")
