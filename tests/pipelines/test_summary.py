"""What a set of clips comes to, against answers by hand and by the packages whose definitions are the same."""

import jiwer
import numpy as np
import pytest

from pipelines import set_figures
from pipelines.clip_evaluation import ClipEvaluation, Read
from pipelines.clip_figures import checked
from pipelines.measures.catalogue import catalogue
from pipelines.set_figures import ClipSet
from pipelines.summary import summarise, with_faithfulness

JUDGES = {"estimator": "seeing 1", "recognizer": "Judge 0a1b", "network": "net"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(set_figures, "RESAMPLES", 50)


def clip(name, glosses="", *, driving="", video="", language="", signer="", figures=None, floor=None, problems=()):
    return ClipEvaluation(
        name=name,
        language=language,
        signer=signer,
        glosses=tuple(glosses.split()),
        num_frames=12,
        video_frames=12,
        fps=24.0,
        video_fps=24.0,
        width=64,
        height=64,
        figures={**dict.fromkeys(catalogue("net")), **(figures or {})},
        floor=floor or {},
        floor_source="",
        read={of: Read(tuple(read.split()), read[:1], "") for of, read in (("driving", driving), ("video", video))},
        segments={},
        error_over_time=[],
        problems=tuple(problems),
        seconds={},
    )


def summary_of(*clips, failed=0):
    return summarise(ClipSet(clips, [{} for _ in clips], JUDGES, failed))


def figure(summary, name):
    (found,) = [figure for figure in (*summary.figures, *summary.back_translation) if figure.name == name]
    return found


def test_word_error_rates_are_those_of_jiwer():
    wanted = ["A B C D", "A B", "C", "B B A"]
    read = {"driving": ["A B C D", "A", "C", "B A"], "video": ["A X C", "A B E F", "", "C B A"]}
    found = summary_of(
        *(
            clip(str(at), glosses, driving=read["driving"][at], video=read["video"][at])
            for at, glosses in enumerate(wanted)
        ),
        clip("unlabelled", video="A"),
    )
    for of, hypotheses in read.items():
        expected = jiwer.process_words(wanted, hypotheses)
        of_set = figure(found, f"wer/{of}")
        assert of_set.value == pytest.approx(expected.wer, abs=1e-6)
        assert (of_set.clips, of_set.missing) == (4, 1)
        assert of_set.interval[0] <= of_set.value <= of_set.interval[1]
        assert of_set.errors == (expected.substitutions, expected.deletions, expected.insertions)
    change = figure(found, "wer_change/driving")
    # A X C for A B C D, A B E F for A B, nothing for C, C B A for B B A; beside them A for A B and B A for B B A.
    assert (figure(found, "wer/video").errors, change.errors) == ((2, 2, 2), (2, 0, 2))
    assert change.value == pytest.approx(jiwer.wer(wanted, read["video"]) - jiwer.wer(wanted, read["driving"]))
    assert "judge:Judge 0a1b" in change.signature


def test_signatures_say_nothing_of_what_came_out():
    better, worse = (summary_of(clip("1", "A B", driving="A B", video=video)) for video in ("A B", "C"))
    assert figure(better, "wer/video").value != figure(worse, "wer/video").value
    for of in ("wer/video", "wer/driving", "wer_change/driving"):
        assert figure(better, of).signature == figure(worse, of).signature


def test_videos_of_several_letters_are_compared_with_all_that_is_read_from_their_poses():
    driving, video = ["A B C D", "A B", "C"], ["A X C", "A B E F", ""]
    clips = [clip(str(at), driving=driving[at], video=video[at]) for at in range(3)]
    against = figure(summary_of(*clips, clip("unread", video="A")), "wer/video_against_driving")
    assert against.value == pytest.approx(jiwer.wer(driving, video))
    assert (against.clips, against.missing) == (3, 1)


def test_what_was_not_measured_is_counted_and_in_no_average():
    problems = []
    wrong = checked({"recall/face": float("nan"), "dtwp": float("inf"), "ndtwp": 2.0}, problems)
    assert wrong == {"recall/face": None, "dtwp": None, "ndtwp": 2}
    assert problems == ["recall/face came out as no number", "dtwp came out as no number"]
    found = summary_of(clip("good", figures={"recall/face": 0.5}), clip("wrong", figures=wrong), failed=2)
    of_face = figure(found, "recall/face")
    assert (of_face.value, of_face.clips, of_face.missing, of_face.interval) == (0.5, 1, 3, None)
    nobody = figure(found, "dtwp")
    assert (nobody.value, nobody.clips, nobody.missing) == (None, 0, 4)


def test_a_gloss_of_one_clip_is_named_and_listed():
    clips = (clip("1", "A B", language="ase"), clip("2", "A", language="ise", figures={"recall/hands": 0.5}))
    found = summary_of(*clips)
    assert found.single == ("B",)
    assert [(group.name, group.clips) for group in found.by_gloss] == [("A", 2), ("B", 1)]
    assert [(group.name, group.values["recall/hands"]) for group in found.by_language] == [("ase", None), ("ise", 0.5)]
    assert found.by_language[0].values["wer/video"] == 1  # nothing was read


def test_the_floor_is_the_mean_of_the_clips_that_have_one():
    found = summary_of(clip("1", floor={"recall/face": 0.5}), clip("2", floor={"recall/face": 1.0}), clip("3"))
    assert (figure(found, "recall/face").floor, figure(found, "recall/face").floor_clips) == (0.75, 2)
    assert (figure(found, "recall/hands").floor, figure(found, "recall/hands").floor_clips) == (None, 0)


def test_signers_are_resampled_where_several_are_named():
    of = {"recall/face": 1.0}
    one = summary_of(clip("1", signer="anna", figures=of), clip("2", signer="anna", figures=of))
    two = summary_of(clip("1", signer="anna", figures=of), clip("2", signer="ben", figures=of))
    assert "|interval:bootstrap95-clips|" in figure(one, "recall/face").signature
    assert "|interval:bootstrap95-signers-clips|" in figure(two, "recall/face").signature


def test_agreement_beyond_chance_is_unknown_where_all_say_the_same():
    same = figure(summary_of(clip("1", driving="A", video="A"), clip("2", driving="A", video="A")), "cohens_kappa")
    assert (same.value, same.clips, same.missing) == (None, 0, 2)
    one = figure(summary_of(clip("1", driving="A", video="B")), "cohens_kappa")
    assert (one.value, one.clips, one.missing) == (None, 0, 1)
    differ = summary_of(*(clip(str(at), driving="AB"[at % 2], video="AB"[at % 2]) for at in range(4)))
    assert figure(differ, "cohens_kappa").value == pytest.approx(1)


def test_the_distribution_of_few_rows_is_unknown():
    rng = np.random.default_rng(0)
    features = [{"driving_states": rng.normal(size=(10, 3)), "video_states": rng.normal(size=(10, 3))} for _ in "ab"]
    clips = [clip("1"), clip("2")]
    named = figure(summarise(ClipSet(clips, features, JUDGES)), "frechet_Judge")
    assert named.value > 0
    assert named.clips == 2
    assert named.interval is None  # resamples repeat clips, which alone makes the distance larger
    assert "|interval:none|" in named.signature
    few = [{of: rows[:1] for of, rows in of_clip.items()} for of_clip in features]
    assert figure(summarise(ClipSet(clips, few, JUDGES)), "frechet_Judge").value is None


def test_faithfulness_is_told_of_all_clips_together():
    states = [np.full((4, 2), value, np.float32) for value in (0.0, 10.0)]
    features = [{"video_states": of + 1, "driving_states": of} for of in states]
    ratios = [of.figures["faithfulness"] for of in with_faithfulness([clip("1"), clip("2")], features)]
    assert ratios == pytest.approx([1 / 9, 1 / 11])
