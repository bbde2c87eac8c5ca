from dataclasses import replace

import pytest
import torch

from poses.fingerspelling import HELD_OUT_LANGUAGES
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.reading import VOCABULARIES, WEIGHTS, load_recognizer
from recognizer.training import TRAINING_LANGUAGES, TrainConfig, train

TINY = SignRecognizerConfig(hidden_size=8, num_attention_heads=2, intermediate_size=8, conv_kernel_size=3)


@pytest.fixture
def config(tmp_path):
    return TrainConfig(
        output_dir=tmp_path / "run", languages=("ase",), num_words=6, max_letters=2, batch_size=2, num_steps=4
    )


def test_training_languages_leave_the_held_out_ones():
    assert len(TRAINING_LANGUAGES) == 15
    assert not set(TRAINING_LANGUAGES) & set(HELD_OUT_LANGUAGES)


@pytest.mark.long
def test_resumed_training_gives_the_same_weights(config, train_twice):
    train_twice(lambda config: train(config, TINY), replace(config, checkpoint_every=2))


def test_trained_recognizer_is_saved_and_loads(config):
    model = train(config, TINY)
    loaded = load_recognizer(config.output_dir / "model")
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], weight, rtol=2e-3, atol=1e-4)
    assert loaded.processor.frame_rate == 24


@pytest.mark.long
def test_training_goes_on_from_given_weights(config, tmp_path):
    train(config, TINY)
    given = load_recognizer(config.output_dir / "model").model
    further = replace(config, output_dir=tmp_path / "further", start_from=config.output_dir / "model")
    trained = train(replace(further, learning_rate=1e-12))
    for name, weight in given.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], weight)


def test_training_further_drops_the_head_that_was_fitted_before(config):
    assert load_recognizer(WEIGHTS).model.config.isolated
    assert not train(replace(config, start_from=WEIGHTS, num_steps=1)).config.isolated
    with pytest.raises(ValueError, match="`isolated` must be False"):
        load_recognizer(config.output_dir / "model", isolated=True)


def test_given_weights_bring_their_own_network(config):
    with pytest.raises(ValueError, match=r"`model_config` must be None where `start_from` is given, got '.*weights'"):
        train(replace(config, start_from=WEIGHTS), TINY)


def test_a_recognizer_of_single_signs_does_not_go_on_with_words(config):
    with pytest.raises(ValueError, match=r"`start_from` must be a recognizer of continuous signing, got '.*words'"):
        train(replace(config, start_from=VOCABULARIES["words"]))


def test_resuming_needs_a_checkpoint(config):
    with pytest.raises(ValueError, match=r"`resume` must be False where '.*run' holds none"):
        train(replace(config, resume=True), TINY)


def test_a_damaged_checkpoint_is_told_by_its_file(config):
    config.output_dir.mkdir(parents=True)
    for held in (b"", b"PK\x03\x04", b"\x80\x02no"):
        config.checkpoint.write_bytes(held)
        with pytest.raises(ValueError, match=r"checkpoint\.pt: expected a whole network of fitting sizes"):
            train(replace(config, resume=True), TINY)


def test_a_file_is_no_output_folder(config):
    config.output_dir.write_text("mine")
    with pytest.raises(ValueError, match=r"`output_dir` must be a folder, got the file '.*run'"):
        train(config, TINY)


def test_a_checkpoint_is_never_overwritten_by_a_new_run(config):
    train(config, TINY)
    with pytest.raises(ValueError, match=r"`resume` must be True where '.*run' holds a checkpoint"):
        train(config, TINY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, "`num_steps` must be at least 1, got 0"),
        ({"languages": ("fsl",)}, "`languages` must be among ase, .*, got 'fsl'"),
        ({"languages": ()}, "`languages` must name at least one language, got none"),
        ({"ema_decay": 1.0}, r"`ema_decay` must be in \[0, 1\), got 1.0"),
        ({"warmup_steps": -1}, "`warmup_steps` must be at least 0, got -1"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive, got 0.0"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)
