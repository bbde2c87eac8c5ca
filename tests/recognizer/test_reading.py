import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from poses.fingerspelling import spell
from poses.keypoints import PARTS, index
from recognizer import reading as reading_module
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC, SignRecognizerForSequenceClassification
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import (
    VOCABULARIES,
    WEIGHTS,
    Recognizer,
    load_recognizer,
    read_glosses,
    read_steps,
    windows,
)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_recognizer()


@pytest.fixture(scope="module")
def word():
    return spell("LAB", "sgg")


def test_reads_a_word_of_a_language_it_knows(recognizer, word):
    reading = read_glosses(word, recognizer)
    assert str(reading) == "L A B"
    assert reading.reason == ""


def test_spans_are_in_order_and_overlap_the_letters(recognizer, word):
    glosses = read_glosses(word, recognizer).glosses
    frames = [frame for gloss in glosses for frame in (gloss.start, gloss.stop)]
    assert frames == sorted(frames)
    for gloss, span in zip(glosses, word.glosses, strict=True):
        assert gloss.start < gloss.stop <= len(word)
        assert gloss.start < span.stop
        assert span.start < gloss.stop
        assert 0 < gloss.confidence <= 1


def test_frame_rate_and_size_change_frames_not_glosses(recognizer, word):
    fast = spell("LAB", "sgg", fps=48)
    reading = read_glosses(replace(fast, width=1280, height=1280), recognizer)
    assert str(reading) == "L A B"
    assert reading.glosses[-1].start > word.glosses[-1].start


@pytest.mark.parametrize("frames_at_once", [4096, 150, 1])
def test_several_clips_are_read_as_one_each(recognizer, word, monkeypatch, frames_at_once):
    monkeypatch.setattr(reading_module, "FRAMES_AT_ONCE", frames_at_once)
    blind = replace(word, confidence=np.zeros_like(word.confidence))
    clips = [spell("LABWIDE", "sgg"), word, blind, spell("OK", "asq", fps=30), word[:3]]
    for together, clip in zip(read_glosses(clips, recognizer), clips, strict=True):
        alone = read_glosses(clip, recognizer)
        assert [(item.gloss, item.start, item.stop) for item in together.glosses] == [
            (item.gloss, item.start, item.stop) for item in alone.glosses
        ]
        assert [item.confidence for item in together.glosses] == pytest.approx(
            [item.confidence for item in alone.glosses], abs=1e-5
        )
        assert together.reason == alone.reason


@pytest.mark.parametrize(
    ("parts", "reason"),
    [(("left_hand", "right_hand"), "no hand is seen"), (("body",), "the shoulders are not seen")],
)
def test_what_cannot_be_read_says_why(recognizer, word, parts, reason):
    confidence = word.confidence.copy()
    for part in parts:
        confidence[:, PARTS[part]] = 0
    reading = read_glosses(replace(word, confidence=confidence), recognizer)
    assert reading.glosses == ()
    assert reading.reason == reason


def test_hand_at_rest_is_no_gloss(recognizer, word):
    still = word[:1]
    keypoints = np.repeat(still.keypoints, 30, axis=0)
    hand = keypoints[:, PARTS["right_hand"]]
    keypoints[:, PARTS["right_hand"]] = hand - hand[:, :1] + keypoints[:, index("right_hip"), None]
    still = replace(still, keypoints=keypoints, confidence=np.repeat(still.confidence, 30, axis=0))
    reading = read_glosses(still, recognizer)
    assert (reading.glosses, reading.reason) == ((), "no gloss was recognised")


def test_one_frame_is_too_little(recognizer, word):
    frame = word.glosses[0].start + 4
    reading = read_glosses(word[frame : frame + 1], recognizer)
    assert (reading.glosses, reading.reason) == ((), "no gloss was recognised")


def test_frames_left_out_may_be_those_that_show_the_shoulders(recognizer):
    clip = spell("LAB", "sgg", fps=48)
    whole = read_glosses(clip, recognizer)
    shoulders = index("right_shoulder", "left_shoulder")
    clip.confidence[::2, shoulders] = 0  # 24 frames a second are read: those with an even number
    log_probs, _ = read_steps(clip, recognizer)
    assert np.isfinite(log_probs).all()
    assert str(read_glosses(clip, recognizer)) == str(whole) == "L A B"


def test_wrong_frame_rate_is_refused(recognizer, word):
    with pytest.raises(ValueError, match=r"`poses` must have 5 to 120 frames per second, got 3"):
        read_glosses(replace(word, fps=3.0), recognizer)


def test_folder_without_a_recognizer_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must be a folder with a recognizer, got .* without config.json"):
        load_recognizer(tmp_path)


def test_weights_are_small_and_half_precision():
    assert (WEIGHTS / "model.safetensors").stat().st_size < 10_000_000
    from safetensors import safe_open

    with safe_open(WEIGHTS / "model.safetensors", framework="pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_damaged_recognizer_is_told_by_its_folder(tmp_path, name):
    for path in WEIGHTS.glob("*.*"):
        shutil.copy(path, tmp_path)
    held = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(held[: len(held) // 2])
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: expected a whole network of fitting sizes")):
        load_recognizer(tmp_path)


def test_unknown_vocabulary_is_refused():
    with pytest.raises(ValueError, match="`vocabulary` must be one of letters, words, got 'sentences'"):
        load_recognizer(vocabulary="sentences")


def test_a_reading_says_which_vocabulary_it_used(recognizer, word):
    assert read_glosses(word, recognizer).vocabulary == "letters"


@pytest.mark.parametrize("num_frames", [1, 100, 2303, 2304, 2305, 5000])
def test_windows_keep_every_frame_once(num_frames):
    parts = list(windows(num_frames, 2))
    kept = [frame for _, start, stop, _ in parts for frame in range(start, stop)]
    assert kept == list(range(num_frames))
    assert max(last - first for first, _, _, last in parts) <= 2 * (1024 + 2 * 64)
    assert all(first % 2 == start % 2 == 0 for first, start, _, _ in parts)


def test_windows_read_what_the_whole_clip_reads(recognizer, monkeypatch):
    clip = spell("LABWIDEFLY", "sgg")
    whole, (log_probs, states) = read_glosses(clip, recognizer), read_steps(clip, recognizer)
    monkeypatch.setattr(reading_module, "WINDOW_STEPS", 24)
    monkeypatch.setattr(reading_module, "CONTEXT_STEPS", 16)
    assert len(list(windows(len(clip), 2))) > 2
    parted, parted_states = read_steps(clip, recognizer)
    assert parted.shape == log_probs.shape
    assert parted_states.shape == states.shape
    assert np.linalg.norm(parted_states - states, axis=1).max() < 0.5 * np.linalg.norm(states, axis=1).min()
    assert [gloss.gloss for gloss in read_glosses(clip, recognizer).glosses] == [gloss.gloss for gloss in whole.glosses]


def test_memory_of_a_long_clip_is_bounded(recognizer, word, monkeypatch):
    monkeypatch.setattr(reading_module, "WINDOW_STEPS", 16)
    monkeypatch.setattr(reading_module, "CONTEXT_STEPS", 8)
    seen = []
    hook = recognizer.model.feature_conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    many = replace(
        word, keypoints=np.tile(word.keypoints, (8, 1, 1)), confidence=np.tile(word.confidence, (8, 1)), glosses=()
    )
    read_glosses(many, recognizer)
    hook.remove()
    assert max(seen) <= 2 * (16 + 2 * 8)
    assert len(seen) > 8


@pytest.mark.parametrize("fps", [4.9, 121.0])
def test_frame_rates_beyond_what_was_learned_are_refused(recognizer, word, fps):
    with pytest.raises(ValueError, match=r"`poses` must have 5 to 120 frames per second, got"):
        read_glosses(replace(word, fps=fps), recognizer)


class Fixed(SignRecognizerForSequenceClassification):
    """Gives every clip the same logits."""

    def __init__(self, logits: list[float], **config):
        names = {0: "-", 1: "ase:NO", 2: "ins:I", 3: "ins:YOU"}
        super().__init__(
            SignRecognizerConfig(hidden_size=4, num_hidden_layers=0, num_attention_heads=1, id2label=names, **config)
        )
        torch.nn.init.zeros_(self.streams[0].classifier.weight)
        self.streams[0].classifier.bias.data = torch.tensor(logits)


def of_words(logits: list[float], **config) -> Recognizer:
    return Recognizer(Fixed(logits, **config).eval(), SignRecognizerProcessor(num_frames=8), "words")


def probabilities(*logits: float) -> list[float]:
    return torch.tensor(logits, dtype=torch.float).softmax(0).tolist()


def test_a_clip_of_one_sign_is_read_as_its_likeliest_gloss(word):
    reading = read_glosses(replace(word, language=""), of_words([0.0, 1.0, 3.0, 2.0]))
    assert (str(reading), reading.reason, reading.vocabulary) == ("ins:I", "", "words")
    assert [candidate.gloss for candidate in reading.candidates] == ["ins:I", "ins:YOU", "ase:NO"]
    shares = [candidate.confidence for candidate in reading.candidates]
    expected = probabilities(0, 1, 3, 2)
    assert shares == pytest.approx([expected[2], expected[3], expected[1]])
    gloss = reading.glosses[0]
    assert 0 <= gloss.start < gloss.stop <= len(word)


def test_a_clip_that_states_its_language_is_read_in_that_language(word):
    recognizer = of_words([0.0, 1.0, 3.0, 2.0])
    assert str(read_glosses(replace(word, language="ase"), recognizer)) == "ase:NO"
    assert str(read_glosses(replace(word, language="gsg"), recognizer)) == "ins:I"


def test_temperature_makes_confidence_and_changes_no_gloss(word):
    hot = read_glosses(replace(word, language=""), of_words([0.0, 1.0, 3.0, 2.0], temperature=2.0))
    assert str(hot) == "ins:I"
    assert hot.glosses[0].confidence == pytest.approx(probabilities(0, 0.5, 1.5, 1)[2])


@pytest.mark.parametrize(
    ("logits", "reason"),
    [
        ([0.0, 1.0, 1.1, 1.0], "not sure enough (0.32, asked 0.50)"),
        ([3.0, 1.0, 1.0, 1.0], "no sign was recognised"),
    ],
)
def test_an_unsure_recognizer_says_unknown(word, logits, reason):
    reading = read_glosses(replace(word, language=""), of_words(logits, unknown_threshold=0.5))
    assert (reading.glosses, reading.reason, len(reading.candidates)) == ((), reason, 3)


def test_what_cannot_be_one_sign_says_why(word):
    recognizer = of_words([0.0, 1.0, 3.0, 2.0])
    blind = replace(word, confidence=np.zeros_like(word.confidence), keypoints=np.zeros_like(word.keypoints))
    assert [reading.reason for reading in read_glosses([word, blind, word[:1]], recognizer)] == [
        "",
        "no hand is seen",
        "",
    ]
    long = replace(
        word, keypoints=np.tile(word.keypoints, (20, 1, 1)), confidence=np.tile(word.confidence, (20, 1)), glosses=()
    )
    assert read_glosses(long, recognizer).reason == f"one sign lasts at most 15 s and the clip {long.duration_s:.0f} s"


def test_clips_read_together_are_read_as_alone(word):
    torch.manual_seed(0)
    names = {0: "-", 1: "ase:NO", 2: "ase:I"}
    config = SignRecognizerConfig(hidden_size=8, num_attention_heads=2, intermediate_size=8, id2label=names)
    model = SignRecognizerForSequenceClassification(config).eval()
    recognizer = Recognizer(model, SignRecognizerProcessor(num_frames=8), "words")
    clips = [word, spell("OK", "asq"), word[5:20]]
    for together, clip in zip(read_glosses(clips, recognizer), clips, strict=True):
        alone = read_glosses(clip, recognizer)
        assert [item.gloss for item in together.candidates] == [item.gloss for item in alone.candidates]
        assert together.candidates[0].confidence == pytest.approx(alone.candidates[0].confidence, abs=1e-5)


def of_letters(*, isolated: bool) -> Recognizer:
    config = SignRecognizerConfig(
        hidden_size=8, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1, isolated=isolated
    )
    return Recognizer(SignRecognizerForCTC(config).eval(), SignRecognizerProcessor(), isolated=isolated)


@pytest.mark.parametrize(
    "make",
    [
        lambda: of_letters(isolated=False),
        lambda: of_letters(isolated=True),
        lambda: of_words([0.0, 1.0, 3.0, 2.0], streams=("pose", "word", "place"), edges=(1.0,)),
    ],
    ids=["continuous", "letters", "words"],
)
def test_clips_are_read_where_the_network_is(word, make):
    recognizer = make()
    recognizer.model.to("meta")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):  # all read but for the numbers
        read_glosses(word, recognizer)


def test_the_package_knows_words_of_two_languages():
    words = load_recognizer(vocabulary="words")
    glosses = words.model.config.glosses
    assert len(glosses) == 34
    assert {gloss.partition(":")[0] for gloss in glosses[1:]} == {"ins", "ase"}
    assert 0 < words.model.config.unknown_threshold < 1
    assert (VOCABULARIES["words"] / "model.safetensors").stat().st_size <= 10_000_000
