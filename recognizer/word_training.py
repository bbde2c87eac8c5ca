"""Training the recognizer of isolated words, calibrated on signers whom it was not trained on."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from jaxtyping import Float, Int
from scipy.special import softmax
from torch.nn.attention import SDPBackend, sdpa_kernel

from recognizer.calibration import fit_temperature, unknown_threshold
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.modeling_sign_recognizer import SignRecognizerForSequenceClassification
from recognizer.optimization import LoopConfig, optimize, save_recognizer
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.reading import CLIPS_AT_ONCE
from recognizer.word_clips import NO_GLOSS, NormalizedClips, WordClip, mixed_batches, normalize_clips

NUM_FRAMES = 32
"""What every clip is stretched to."""

STREAMS = ("word", "word", "place")
"""Two networks by shapes and places of hands from the face, one by plain coordinates; they err differently."""

EDGES = (1.0, 0.7)
"""Every clip is also read as cameras nearer by would show it."""

SETTLING_BATCHES = 30
"""Batches that batch norms take their statistics from."""


@dataclass(frozen=True)
class WordTrainConfig(LoopConfig):
    """One training run on clips of one sign each."""

    data: tuple[Path, ...] = ()
    """Folders of pose files, each with a .csv of poses, glosses, language and signer."""
    output_dir: Path = Path("runs/words")
    """Where checkpoints and, at the end, the model go."""
    num_steps: int = 800
    """Optimizer steps."""
    warmup_steps: int = 20
    """Steps until the peak."""
    ema_decay: float = 0.99
    """Of the averaged weights, which are what is saved."""
    mixed_precision: str = "bf16"
    """no or bf16."""
    num_folds: int = 2
    """Networks trained besides, each without some signers, on whom confidence is calibrated; 0 for no calibration."""

    def __post_init__(self):
        super().__post_init__()
        if self.num_folds < 0 or self.num_folds == 1:
            raise ValueError(f"`num_folds` must be 0 or at least 2, got {self.num_folds}.")


def train_words(
    config: WordTrainConfig, clips: Sequence[WordClip], model_config: SignRecognizerConfig | None = None
) -> SignRecognizerForSequenceClassification:
    """Trains a recognizer of isolated words and saves it, with its processor, in `config.output_dir / "model"`.

    Args:
        config: How; `config.data` is for whoever reads the clips.
        clips: What to train on: at least two glosses.
        model_config: The network, where not the default one; its glosses are those of the clips.

    Returns:
        The averaged weights, in evaluation mode.

    Raises:
        ValueError: There are fewer than two glosses, a clip cannot be used, there are fewer signers than folds, or
            `config.output_dir` holds a checkpoint and `config.resume` is false, or holds none and it is true.
    """
    config.check_output_dir()
    glosses = sorted({clip.gloss for clip in clips} - {NO_GLOSS})
    if len(glosses) < 2:
        raise ValueError(f"`clips` must show at least two glosses, got {', '.join(glosses) or 'none'}.")
    network = model_config or SignRecognizerConfig(streams=STREAMS, edges=EDGES)
    network.id2label = dict(enumerate((NO_GLOSS, *glosses)))
    network.label2id = {gloss: label for label, gloss in network.id2label.items()}
    processor = SignRecognizerProcessor(num_frames=NUM_FRAMES)
    normalized = normalize_clips(clips, network.glosses, processor)
    if config.num_folds:
        network.temperature, network.unknown_threshold = calibrate(normalized, config, network)
    trained = fit_words(normalized, config, network)
    save_recognizer(trained, processor, config.output_dir / "model")
    return trained


def fit_words(
    clips: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig, *, name: str = "words"
) -> SignRecognizerForSequenceClassification:
    """Trains the network on clips, from random weights."""
    set_seed(config.seed)
    model = SignRecognizerForSequenceClassification(network)

    def batches(seed: int) -> Iterator[dict[str, torch.Tensor]]:
        return mixed_batches(clips, num_labels=len(network.glosses), batch_size=config.batch_size, seed=seed)

    with sdpa_kernel(SDPBackend.MATH):  # over so few steps the quickest to train on a CPU
        trained = optimize(model, batches, config, name=name)
    settle_norms(trained, batches(config.seed))
    return trained


@torch.no_grad()
def settle_norms(model: torch.nn.Module, batches: Iterator[dict[str, torch.Tensor]]) -> None:
    """Gives batch norms the statistics of training batches, where the loop leaves those of unaveraged weights."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean of all batches
        elif isinstance(module, torch.nn.Dropout):
            module.eval()
    for batch in islice(batches, SETTLING_BATCHES):
        model(**batch)
    model.eval()


def calibrate(clips: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig) -> tuple[float, float]:
    """The temperature and the threshold for unknown that fit signers whom a network was not trained on.

    The signers are parted into folds. Each fold is read by a network trained on the others; of its clips those count
    whose gloss others sign too. A fold whose training was cut short is gone on with where clips and configuration are
    the same.

    Raises:
        ValueError: There are fewer signers than folds, or no two signers sign one gloss.
    """
    fold_of = _folds(clips.signers, config.num_folds)
    folds = np.array([fold_of[signer] for signer in clips.signers])
    logits, labels = [], []
    for fold in range(config.num_folds):
        known = clips[folds != fold]
        held_out = clips[(folds == fold) & np.isin(clips.labels.numpy(), known.labels.numpy())]
        if not held_out.signers:
            continue
        # A fold of that number may have been begun on signers who are now held out: another one has another name.
        run = replace(config, output_dir=config.output_dir / f"fold-{fold}-{_digest(known, config, network)}")
        run = replace(run, resume=run.checkpoint.exists())
        model = fit_words(known, run, network, name=f"fold {fold + 1} of {config.num_folds}")
        logits.append(classify(held_out, model))
        labels.append(held_out.labels.numpy())
    if not labels:
        raise ValueError("`num_folds` must be 0 where no two signers sign one gloss.")
    return calibration(np.concatenate(logits), np.concatenate(labels))


def _digest(clips: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig) -> str:
    """Differs where the clips, the network or how it is trained do."""
    digest = hashlib.sha256(network.to_json_string(use_diff=False).encode())
    digest.update(repr(replace(config, data=(), output_dir=Path(), resume=False, trackio="")).encode())
    for array in (clips.keypoints, clips.confidence, clips.labels):
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()[:8]


def calibration(logits: Float[np.ndarray, "clips labels"], labels: Int[np.ndarray, " clips"]) -> tuple[float, float]:
    """The temperature and the threshold for unknown that fit clips which a network was not trained on."""
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / temperature, axis=1)
    right = (probabilities.argmax(axis=1) == labels) & (labels > 0)
    return temperature, unknown_threshold(probabilities[:, 1:].max(axis=1), right)


@torch.no_grad()
def classify(clips: NormalizedClips, model: torch.nn.Module) -> Float[np.ndarray, "clips labels"]:
    """The network's logits of every clip, before temperature."""
    parts = zip(clips.keypoints.split(CLIPS_AT_ONCE), clips.confidence.split(CLIPS_AT_ONCE), strict=True)
    rows = [model(*part).logits for part in parts]
    return torch.cat(rows).float().numpy()


def _folds(signers: Sequence[str], num_folds: int) -> dict[str, int]:
    """Parts signers into folds of about as many clips each."""
    counts = {signer: list(signers).count(signer) for signer in sorted(set(signers))}
    if len(counts) < num_folds:
        raise ValueError(f"`num_folds` must be at most the number of signers, {len(counts)}, got {num_folds}.")
    sizes = [0] * num_folds
    fold_of = {}
    for signer in sorted(counts, key=lambda signer: -counts[signer]):
        fold_of[signer] = int(np.argmin(sizes))
        sizes[fold_of[signer]] += counts[signer]
    return fold_of
