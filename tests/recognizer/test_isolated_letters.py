from dataclasses import replace

import numpy as np
import pytest
import torch

from poses.fingerspelling import HELD_OUT_LANGUAGES, letter_clips, spell
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.data import load_letters
from recognizer.isolated_letters import (
    IsolatedTrainConfig,
    encode_views,
    fit_classifier,
    train_isolated,
)
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.optimization import save_recognizer
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import VOCABULARIES, load_recognizer, read_glosses, sign_logits


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A run that has ended."""
    folder = tmp_path_factory.mktemp("isolated")
    torch.manual_seed(0)
    network = SignRecognizerConfig(hidden_size=8, num_attention_heads=2, intermediate_size=8, conv_kernel_size=3)
    save_recognizer(SignRecognizerForCTC(network), SignRecognizerProcessor(), folder / "continuous")
    config = IsolatedTrainConfig(
        start_from=folder / "continuous",
        output_dir=folder / "run",
        languages=("ase",),
        num_views=2,
        temperature=2.0,
    )
    train_isolated(config)
    return config


def test_a_recognizer_with_a_head_reads_one_letter_and_continuous_signing_as_before(config):
    before, after = load_recognizer(config.start_from), load_recognizer(config.output_dir / "model", isolated=True)
    assert after.model.config.temperature == 2
    clip = letter_clips("ase")["L"]
    reading = read_glosses(clip, after)
    assert len(reading.candidates) == 5
    assert str(reading) == reading.candidates[0].gloss
    assert 0 <= reading.glosses[0].start < reading.glosses[0].stop <= len(clip)
    word = spell("SIGN", "ase")
    assert read_glosses(word, replace(after, isolated=False)).glosses == read_glosses(word, before).glosses


def test_letters_read_together_are_read_as_alone(config):
    recognizer = load_recognizer(config.output_dir / "model", isolated=True)
    clips = sorted(letter_clips("ase").values(), key=len)
    together = sign_logits([clips[0], clips[-1]], recognizer)
    np.testing.assert_allclose(together[:1], sign_logits(clips[:1], recognizer), atol=1e-4)


def test_the_same_seed_gives_the_same_head(config, tmp_path):
    train_isolated(replace(config, output_dir=tmp_path))
    first, second = (load_recognizer(folder / "model", isolated=True).model for folder in (config.output_dir, tmp_path))
    for name, weight in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], weight, rtol=0, atol=0)


def test_every_letter_is_seen_from_several_sides(config):
    recognizer = load_recognizer(config.start_from)
    letters = load_letters(["ase"])[:2]
    views = encode_views(recognizer.model, letters, recognizer.processor, num_views=3, seed=0)
    assert views.shape == (2, 3, 8)
    assert (torch.cdist(views, views) + torch.eye(3) > 1e-4).all()


def test_classifier_tells_what_is_apart_in_any_scale():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    features = 5 + 100 * (torch.nn.functional.one_hot(labels) + 0.1 * torch.randn(60, 3, generator=generator))
    weight, bias = fit_classifier(features, labels, torch.ones(60), num_labels=4, penalty=1e-3)
    assert ((features @ weight.T + bias).argmax(dim=1) == labels).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": ("fsl",)}, "`languages` must be among ase, .*, got 'fsl'"),
        ({"num_views": 0}, "`num_views` must be at least 1, got 0"),
        ({"penalty": 0.0}, r"`penalty` must be positive, got 0.0"),
        ({"temperature": 0.0}, r"`temperature` must be positive, got 0.0"),
        ({"unknown_threshold": 2.0}, r"`unknown_threshold` must be in \[0, 1\], got 2.0"),
        ({"seed": -1}, r"`seed` must be at least 0, got -1"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        IsolatedTrainConfig(**change)


def test_what_cannot_be_taught_is_refused(config, tmp_path):
    new = replace(config, output_dir=tmp_path)
    with pytest.raises(ValueError, match="`languages` must have letters that the recognizer reads, got none"):
        train_isolated(replace(new, languages=("jos",)))
    with pytest.raises(ValueError, match=r"`start_from` must be a recognizer of continuous signing, got '.*words'"):
        train_isolated(replace(new, start_from=VOCABULARIES["words"]))
    with pytest.raises(ValueError, match="`isolated` must be False for a recognizer of continuous signing only, got"):
        load_recognizer(config.start_from, isolated=True)
    with pytest.raises(ValueError, match=r"`output_dir` must be a folder and hold no model, got '.*run'"):
        train_isolated(config)


def test_the_package_reads_single_letters_of_a_language_it_knows():
    recognizer = load_recognizer(isolated=True)
    assert 0 < recognizer.model.config.unknown_threshold < 1
    assert not set(HELD_OUT_LANGUAGES) & set(IsolatedTrainConfig().languages)
    letters = load_letters(["ise"])
    readings = read_glosses([item.poses for item in letters], recognizer)
    right = [item.letter == reading.candidates[0].gloss for item, reading in zip(letters, readings, strict=True)]
    assert np.mean(right) > 0.9
