"""Training the recognizer of continuous signing on words composed from letter clips."""

from dataclasses import dataclass
from pathlib import Path

from accelerate.utils import set_seed

from poses.bounds import check_at_least
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.data import compose_words, load_letters, word_batches
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.optimization import LoopConfig, optimize, save_recognizer
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import load_recognizer

TRAINING_LANGUAGES = tuple(language for language in LANGUAGES if language not in HELD_OUT_LANGUAGES)


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """One training run."""

    start_from: Path | None = None
    """Folder of a recognizer whose weights are trained further; random ones if left out."""
    languages: tuple[str, ...] = TRAINING_LANGUAGES
    """Sign languages whose letters are learned; never a held-out one in a shipped weight."""
    num_words: int = 6000
    """Words composed once; every use of one is augmented anew."""
    max_letters: int = 6
    """Letters of the longest word."""

    def __post_init__(self):
        super().__post_init__()
        check_at_least(1, num_words=self.num_words, max_letters=self.max_letters)
        if unknown := [language for language in self.languages if language not in LANGUAGES]:
            raise ValueError(f"`languages` must be among {', '.join(LANGUAGES)}, got {unknown[0]!r}.")
        if not self.languages:
            raise ValueError("`languages` must name at least one language, got none.")


def train(config: TrainConfig, model_config: SignRecognizerConfig | None = None) -> SignRecognizerForCTC:
    """Trains a recognizer and saves it, with its processor, in `config.output_dir / "model"`, in half precision.

    The same configuration gives the same weights on the same machine, resumed or not.

    Args:
        config: What to train on, and how.
        model_config: The network, where neither the default one nor that of `config.start_from`.

    Returns:
        The averaged weights, in evaluation mode.

    Raises:
        ValueError: `config.output_dir` holds a checkpoint and `config.resume` is false, or holds none and it is true;
            `config.start_from` is no recognizer of continuous signing, or `model_config` is given beside it.
    """
    if config.start_from and model_config:
        raise ValueError(f"`model_config` must be None where `start_from` is given, got {str(config.start_from)!r}.")
    config.check_output_dir()
    set_seed(config.seed)
    if config.start_from:
        model = load_recognizer(config.start_from).model.train()
        if not isinstance(model, SignRecognizerForCTC):
            raise ValueError(
                f"`start_from` must be a recognizer of continuous signing, got {str(config.start_from)!r}, which reads "
                "clips of one sign."
            )
        if model.config.isolated:  # a head that was fitted to another encoder
            model.config.isolated = False
            del model.isolated_classifier
    else:
        model = SignRecognizerForCTC(model_config or SignRecognizerConfig())
    processor = SignRecognizerProcessor()
    words = compose_words(
        load_letters(config.languages),
        processor,
        num_words=config.num_words,
        max_letters=config.max_letters,
        seed=config.seed,
    )
    stride = model.config.conv_stride
    trained = optimize(
        model,
        lambda seed: word_batches(words, batch_size=config.batch_size, conv_stride=stride, seed=seed),
        config,
        name="recognizer",
    )
    save_recognizer(trained, processor, config.output_dir / "model")
    return trained
