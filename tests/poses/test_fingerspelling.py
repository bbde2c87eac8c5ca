import numpy as np
import pytest

from poses.fingerspelling import (
    HELD_OUT_LANGUAGES,
    LANGUAGES,
    TWO_HANDED,
    hand_depths,
    join_letters,
    letter_clips,
    letter_span,
    spell,
)
from poses.keypoints import PARTS, index
from poses.sequence import GlossSpan, PoseSequence


def moving_hand(heights, *, fps=25.0, x=0.4, seen=True) -> PoseSequence:
    """A still body, shoulders 0.4 apart at height 0.5, and a rigid right hand whose wrist is at `heights`."""
    keypoints = np.zeros((len(heights), 128, 2), np.float32)
    confidence = np.zeros((len(heights), 128), np.float32)
    for name, place in {"right_shoulder": (0.3, 0.5), "left_shoulder": (0.7, 0.5)}.items():
        keypoints[:, index(name)] = place
        confidence[:, index(name)] = 1
    if seen:
        hand = np.linspace((0, 0), (0.1, -0.1), 21)
        keypoints[:, PARTS["right_hand"]] = hand + np.stack([np.full(len(heights), x), heights], 1)[:, None]
        confidence[:, PARTS["right_hand"]] = 1
    return PoseSequence(keypoints, confidence, fps, 500, 500, glosses=(GlossSpan("A", 0, len(heights)),))


def test_nineteen_languages_have_clips_and_fifteen_are_for_training():
    assert len(LANGUAGES) == 19
    assert len(set(LANGUAGES) - set(HELD_OUT_LANGUAGES)) == 15
    assert set(TWO_HANDED) < set(LANGUAGES)


def test_letters_are_upper_case_and_right_handed():
    clips = letter_clips("ase")
    assert "".join(clips) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert clips["A"].language == "ase"
    assert clips["A"].fps == 25
    assert (clips["A"].part("left_hand")[1] == 0).all()
    assert (clips["A"].part("right_hand")[1] > 0).all()


def test_every_clip_has_nearly_the_same_shoulder_width():
    widths = [
        clip.shoulder_width_px() for language in ("bzs", "ise", "tsm") for clip in letter_clips(language).values()
    ]
    np.testing.assert_allclose(widths, 200, rtol=0.1)


def test_spelled_word_has_its_letters_in_order_without_overlap():
    word = spell("sign", "svk")
    assert [span.gloss for span in word.glosses] == list("SIGN")
    frames = [frame for span in word.glosses for frame in (span.start, span.stop)]
    assert frames == sorted(frames)
    assert frames[0] > 0
    assert frames[-1] <= len(word)
    assert word.fps == 24
    assert word.language == "svk"
    assert 12 <= len(word) / 4 <= 22


def test_digraphs_are_spelled_from_a_sequence():
    assert [span.gloss for span in spell(["CH", "a"], "svk").glosses] == ["CH", "A"]


def test_turkish_i_keeps_its_dot():
    assert [span.gloss for span in spell("iI", "tsm").glosses] == ["İ", "I"]


def test_sharp_s_has_one_capital():
    assert [span.gloss for span in spell("ß", "gsg").glosses] == ["ẞ"]


@pytest.mark.parametrize(("word", "found"), [("A1", "letter '1'"), ("", "no letter")])
def test_unknown_letters_are_refused(word, found):
    with pytest.raises(ValueError, match=rf"`word` must be spelled from the ase letters A B .* Z, got {found}"):
        spell(word, "ase")


@pytest.mark.parametrize("function", [letter_clips, lambda language: spell("A", language)])
def test_unknown_language_is_refused(function):
    with pytest.raises(ValueError, match=r"`language` must be one of ase, asq, .*, got 'fsl'"):
        function("fsl")


@pytest.mark.parametrize("fps", [4, 121, float("nan")])
def test_frame_rate_out_of_range_is_refused(fps):
    with pytest.raises(ValueError, match="`fps` must be between 5 and 120"):
        spell("A", "ase", fps=fps)


def test_span_leaves_out_raising_and_lowering():
    heights = [0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8]
    assert letter_span(moving_hand(heights)) == (4, 12)


def test_clip_without_hands_is_all_letter():
    assert letter_span(moving_hand([0.5] * 7, seen=False)) == (0, 7)


def test_joining_moves_the_hand_steadily_and_keeps_its_size():
    first, second = moving_hand([0.5] * 10), moving_hand([0.5] * 10, x=0.6)
    # The second hand is the first turned by 90 degrees.
    hand = second.keypoints[:, PARTS["right_hand"]]
    wrist = hand[:, :1].copy()
    second.keypoints[:, PARTS["right_hand"]] = wrist + (hand - wrist) @ np.array([[0, 1], [-1, 0]], np.float32)
    word = join_letters([first, second], ["A", "B"])
    hand = word.part("right_hand")[0]
    np.testing.assert_allclose(np.linalg.norm(hand[:, -1] - hand[:, 0], axis=1), np.hypot(0.1, 0.1), rtol=1e-4)
    assert (np.diff(hand[:, 0, 0]) >= 0).all()
    assert word.glosses[0] == GlossSpan("A", 0, 7)
    between = slice(word.glosses[0].stop, word.glosses[1].start)
    assert 4 <= between.stop - between.start <= 7


def test_hand_seen_in_one_letter_only_is_never_invented():
    word = join_letters([moving_hand([0.5] * 5), moving_hand([0.5] * 5, seen=False)], ["A", "B"])
    confidence = word.part("right_hand")[1][:, 0]
    seen = np.flatnonzero(confidence > 0)
    assert (confidence[: len(seen)] > 0).all()
    assert 5 <= len(seen) < word.glosses[1].start


def test_joining_clips_of_two_frame_rates_is_refused():
    with pytest.raises(ValueError, match="`clips` must have one frame rate and size, got 2"):
        join_letters([moving_hand([0.5] * 5), moving_hand([0.5] * 5, fps=30.0)], ["A", "B"])


def test_joining_without_a_letter_for_each_clip_is_refused():
    with pytest.raises(ValueError, match="`clips` must hold one clip a letter, got 1 for 2 letters"):
        join_letters([moving_hand([0.5] * 5)], ["A", "B"])


def test_depths_keep_bones_at_one_length():
    depths, clips = hand_depths("lls"), letter_clips("lls")
    assert {letter: depth.shape for letter, depth in depths.items()} == {
        letter: (len(clip), 42) for letter, clip in clips.items()
    }
    assert not any(depth[:, :21].any() for depth in depths.values())  # the left hand is never seen

    def spread(factor):
        bones = []
        for letter, clip in clips.items():
            seen = (clip.part("right_hand")[1] > 0).all(axis=1)
            points = np.dstack([clip.pixels()[:, PARTS["right_hand"]], factor * depths[letter][:, 21:]])[seen]
            bones.append(np.linalg.norm(points[:, [6, 10, 14, 18]] - points[:, [5, 9, 13, 17]], axis=2))
        lengths = np.concatenate(bones)
        return (lengths.std(axis=0) / lengths.mean(axis=0)).mean()

    assert spread(1) < 0.6 * spread(0)


def test_depths_of_an_unknown_language_are_refused():
    with pytest.raises(ValueError, match=r"`language` must be one of .*, got 'xyz'"):
        hand_depths("xyz")
