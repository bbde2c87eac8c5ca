"""Training the recognizer on words composed from letter clips."""

import copy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers.optimization import get_cosine_schedule_with_warmup

from poses.files import new_file
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.data import compose_words, load_letters, word_batches
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import load_recognizer

TRAINING_LANGUAGES = tuple(language for language in LANGUAGES if language not in HELD_OUT_LANGUAGES)


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    output_dir: Path = Path("runs/recognizer")
    """Where checkpoints and, at the end, the model go."""
    start_from: Path | None = None
    """Folder of a recognizer whose weights are trained further; random ones if left out."""
    languages: tuple[str, ...] = TRAINING_LANGUAGES
    """Sign languages whose letters are learned; never a held-out one in a shipped weight."""
    num_words: int = 6000
    """Words composed once; every use of one is augmented anew."""
    max_letters: int = 6
    """Letters of the longest word."""
    num_steps: int = 1500
    """Optimizer steps."""
    batch_size: int = 48
    """Words a step."""
    learning_rate: float = 2e-3
    """Peak of a cosine schedule."""
    warmup_steps: int = 100
    """Steps until the peak."""
    weight_decay: float = 0.05
    """AdamW's, on everything."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened."""
    ema_decay: float = 0.997
    """Of the averaged weights, which are what is saved."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from the last checkpoint of `output_dir`."""
    seed: int = 0
    """Of weights, words and augmentation."""

    def __post_init__(self):
        for name in ("num_words", "max_letters", "num_steps", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if unknown := [language for language in self.languages if language not in LANGUAGES]:
            raise ValueError(f"`languages` must be among {', '.join(LANGUAGES)}, got {unknown[0]!r}.")
        if not self.languages:
            raise ValueError("`languages` must name at least one language, got none.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1), got {self.ema_decay}.")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive, got {self.learning_rate}.")


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
            `config.start_from` is no recognizer, or `model_config` is given beside it.
    """
    if config.start_from and model_config:
        raise ValueError(f"`model_config` must be None where `start_from` is given, got {str(config.start_from)!r}.")
    checkpoint = config.output_dir / "checkpoint.pt"
    if checkpoint.exists() != config.resume:
        state = "holds a checkpoint" if checkpoint.exists() else "holds none"
        raise ValueError(f"`resume` must be {checkpoint.exists()} where {str(config.output_dir)!r} {state}.")
    accelerator = Accelerator()
    set_seed(config.seed)
    if config.start_from:
        model = load_recognizer(config.start_from).model.train()
    else:
        model = SignRecognizerForCTC(model_config or SignRecognizerConfig())
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    scheduler = get_cosine_schedule_with_warmup(optimizer, config.warmup_steps, config.num_steps)
    model, average, optimizer, scheduler = accelerator.prepare(model, average, optimizer, scheduler)
    parts = {"model": model, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    first = 0
    if config.resume:
        state = torch.load(checkpoint, weights_only=True)
        first = state.pop("step")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    processor = SignRecognizerProcessor()
    words = compose_words(
        load_letters(config.languages),
        processor,
        num_words=config.num_words,
        max_letters=config.max_letters,
        seed=config.seed,
    )
    config.output_dir.mkdir(parents=True, exist_ok=True)
    progress = tqdm(total=config.num_steps, initial=first, desc="recognizer", unit="step")
    model.train()
    while first < config.num_steps:
        stop = min(first + config.checkpoint_every, config.num_steps)
        # Every stretch between checkpoints has its own seed, so that a resumed run goes on with the same numbers.
        seed = config.seed + first
        set_seed(seed)
        batches = word_batches(words, batch_size=config.batch_size, conv_stride=model.config.conv_stride, seed=seed)
        for batch in islice(batches, stop - first):
            batch = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            with accelerator.autocast():
                loss = model(**batch).loss
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            average.update_parameters(model)
            progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
            progress.update()
        first = stop
        with new_file(checkpoint, overwrite=True) as path:
            torch.save({"step": first} | {name: part.state_dict() for name, part in parts.items()}, path)
    progress.close()
    trained = average.module.eval()
    save_recognizer(trained, processor, config.output_dir / "model")
    return trained


def save_recognizer(model: SignRecognizerForCTC, processor: SignRecognizerProcessor, path: Path) -> None:
    """Writes what `load_recognizer` reads; the weights lose half their precision, `model` keeps its own."""
    half = copy.deepcopy(model).half()
    half.save_pretrained(path)
    processor.save_pretrained(path)
