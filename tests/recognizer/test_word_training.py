import json
from dataclasses import replace

import pytest

from poses.fingerspelling import letter_clips
from recognizer import word_training
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.modeling_sign_recognizer import SignRecognizerForSequenceClassification
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import load_recognizer, read_glosses
from recognizer.word_clips import NO_GLOSS, WordClip, normalize_clips
from recognizer.word_training import STREAMS, WordTrainConfig, calibrate, train_words


def tiny() -> SignRecognizerConfig:
    return SignRecognizerConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        conv_kernel_size=3,
        streams=STREAMS,
        block_channels=(8,),
        block_strides=(2,),
    )


@pytest.fixture(autouse=True)
def _few_batches_settle(monkeypatch):
    monkeypatch.setattr(word_training, "SETTLING_BATCHES", 2)


@pytest.fixture(scope="module")
def clips():
    """Letters as words, languages as signers."""
    return [
        WordClip(NO_GLOSS if letter == "C" else f"ase:{letter}", language, letter_clips(language)[letter])
        for language in ("ase", "asq", "ssp")
        for letter in "ABC"
    ]


@pytest.fixture
def config(tmp_path):
    return WordTrainConfig(
        output_dir=tmp_path / "run",
        batch_size=4,
        num_steps=4,
        warmup_steps=1,
        num_folds=0,
        mixed_precision="no",
    )


@pytest.mark.long
def test_trained_recognizer_is_saved_and_reads(config, clips):
    model = train_words(replace(config, num_folds=2), clips, tiny())
    assert model.config.glosses == (NO_GLOSS, "ase:A", "ase:B")
    assert 0.05 <= model.config.temperature <= 20
    assert 0 < model.config.unknown_threshold < 1
    loaded = load_recognizer(config.output_dir / "model")
    assert isinstance(loaded.model, SignRecognizerForSequenceClassification)
    assert loaded.model.config.temperature == model.config.temperature
    assert loaded.processor.num_frames == 32
    reading = read_glosses(clips[0].poses, loaded)
    assert reading.vocabulary == str(config.output_dir / "model")
    assert {candidate.gloss for candidate in reading.candidates} == {"ase:A", "ase:B"}


@pytest.mark.long
def test_resumed_training_gives_the_same_weights(config, clips, train_twice):
    train_twice(lambda config: train_words(config, clips, tiny()), replace(config, checkpoint_every=2))


def test_folds_are_gone_on_with_only_where_clips_and_configuration_are_the_same(config, clips, monkeypatch):
    resumed = []

    def begin(known, run, network, *, name):
        resumed[-1].append(run.resume)
        run.output_dir.mkdir(parents=True, exist_ok=True)
        run.checkpoint.touch()
        return SignRecognizerForSequenceClassification(network).eval()

    monkeypatch.setattr(word_training, "fit_words", begin)
    monkeypatch.setattr(word_training, "calibration", lambda logits, labels: (1.0, 0.5))
    network = tiny()
    network.id2label = {0: NO_GLOSS, 1: "ase:A", 2: "ase:B"}
    for num_folds, kept in ((2, clips), (2, clips), (3, clips), (2, clips[:-1]), (2, clips)):
        resumed.append([])
        normalized = normalize_clips(kept, network.glosses, SignRecognizerProcessor(num_frames=8))
        calibrate(normalized, replace(config, num_folds=num_folds), network)
    assert resumed[:3] == [[False, False], [True, True], [False, False, False]]
    assert False in resumed[3]
    assert resumed[4] == [True, True]


@pytest.mark.parametrize(
    ("change", "keep", "message"),
    [
        ({"num_folds": 4}, slice(None), "`num_folds` must be at most the number of signers, 3, got 4"),
        ({"num_folds": 2}, slice(0, 8, 4), "`num_folds` must be 0 where no two signers sign one gloss"),
        ({}, slice(0, 1), "`clips` must show at least two glosses, got ase:A"),
        ({}, slice(0, 0), "`clips` must show at least two glosses, got none"),
    ],
)
def test_clips_that_do_not_suffice_are_refused(config, clips, change, keep, message):
    with pytest.raises(ValueError, match=message):
        train_words(replace(config, **change), clips[keep], tiny())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_folds": 1}, "`num_folds` must be 0 or at least 2, got 1"),
        ({"mixed_precision": "fp8"}, "`mixed_precision` must be no or bf16, got 'fp8'"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        WordTrainConfig(**change)


def test_a_vocabulary_that_does_not_match_the_weights_is_refused(config, clips):
    train_words(config, clips, tiny())
    path = config.output_dir / "model" / "config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"id2label": {"0": "-", "1": "ase:A"}, "label2id": {"-": 0, "ase:A": 1}}))
    with pytest.raises(ValueError, match=r"expected weights of .* for the 2 labels that config.json names"):
        load_recognizer(path.parent)
    path.write_text(json.dumps(held | {"architectures": ["BertModel"]}))
    with pytest.raises(ValueError, match=r"config.json: `architectures` must name one of SignRecognizerForCTC, .*Bert"):
        load_recognizer(path.parent)
