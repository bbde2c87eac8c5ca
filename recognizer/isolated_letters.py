"""Teaching a recognizer of continuous signing to read clips of one letter: a linear head on what its encoder says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn import functional as F

from poses.bounds import check_at_least, check_shares
from poses.clean import resample
from poses.fingerspelling import LANGUAGES, TWO_HANDED
from recognizer.augmentation import augment, turn_hands
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.data import VIEW_RAD, Letter, load_letters
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC, pool
from recognizer.optimization import save_recognizer
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, collate, normalize_letter
from recognizer.reading import WEIGHTS, load_recognizer
from recognizer.training import TRAINING_LANGUAGES

TWO_HANDED_SHARE = 0.3
"""What letters of two-handed languages count: those that take one hand look like other letters elsewhere."""

PACES = (0.7, 1.6)
"""Slowest and fastest view of a letter."""


@dataclass(frozen=True)
class IsolatedTrainConfig:
    """One fit of the head for single letters; the recognizer's other weights stay as they are."""

    start_from: Path = WEIGHTS
    """Folder of a recognizer of continuous signing."""
    output_dir: Path = Path("runs/recognizer-isolated")
    """Where the recognizer goes, with its head, in `model`."""
    languages: tuple[str, ...] = TRAINING_LANGUAGES
    """Sign languages whose letters are learned; never a held-out one in a shipped weight."""
    num_views: int = 10
    """Of every letter: other cameras, signers, paces, and errors of estimators."""
    penalty: float = 0.03
    """Of the squares of the head's weights, for hidden states of variance 1."""
    temperature: float = 1.0
    """What the head's logits are divided by; `benchmarks/letters.py` says what fits languages left out."""
    unknown_threshold: float = 0.0
    """Less probable letters are read as unknown; likewise."""
    seed: int = 0
    """Of the views."""

    def __post_init__(self):
        check_at_least(1, num_views=self.num_views)
        check_at_least(0, seed=self.seed)
        check_shares(unknown_threshold=self.unknown_threshold)
        if unknown := [language for language in self.languages if language not in LANGUAGES]:
            raise ValueError(f"`languages` must be among {', '.join(LANGUAGES)}, got {unknown[0]!r}.")
        for name in ("penalty", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")


def train_isolated(config: IsolatedTrainConfig) -> SignRecognizerForCTC:
    """Fits the head for single letters and saves the recognizer in `config.output_dir / "model"`.

    Returns:
        The recognizer, in evaluation mode.

    Raises:
        ValueError: `config.output_dir` holds a model, `config.start_from` is no recognizer of continuous signing, or
            `config.languages` have no letter that it reads.
    """
    folder = config.output_dir / "model"
    if folder.exists() or config.output_dir.is_file():
        raise ValueError(f"`output_dir` must be a folder and hold no model, got {str(config.output_dir)!r}.")
    recognizer = load_recognizer(config.start_from)
    if not isinstance(recognizer.model, SignRecognizerForCTC):
        raise ValueError(
            f"`start_from` must be a recognizer of continuous signing, got {str(config.start_from)!r}, which reads "
            "clips of one sign."
        )
    model = with_isolated_head(recognizer.model, load_letters(config.languages), recognizer.processor, config)
    save_recognizer(model, recognizer.processor, folder)
    return model


def with_isolated_head(
    model: SignRecognizerForCTC,
    letters: Sequence[Letter],
    processor: SignRecognizerProcessor,
    config: IsolatedTrainConfig,
) -> SignRecognizerForCTC:
    """The same recognizer with a head that was fitted to letters.

    Raises:
        ValueError: None of the letters is a gloss of the model.
    """
    labels = {gloss: label for label, gloss in enumerate(model.config.glosses)}
    letters = [item for item in letters if item.letter in labels]
    if not letters:
        raise ValueError("`languages` must have letters that the recognizer reads, got none.")
    shares = [TWO_HANDED_SHARE if item.language in TWO_HANDED else 1.0 for item in letters]
    hidden_states = encode_views(model, letters, processor, num_views=config.num_views, seed=config.seed)
    weight, bias = fit_classifier(
        hidden_states.flatten(0, 1),
        torch.tensor([labels[item.letter] for item in letters]).repeat_interleave(config.num_views),
        torch.tensor(shares).repeat_interleave(config.num_views),
        num_labels=len(labels),
        penalty=config.penalty,
    )
    settings = {"temperature": config.temperature, "unknown_threshold": config.unknown_threshold, "isolated": True}
    taught = SignRecognizerForCTC(SignRecognizerConfig.from_dict(model.config.to_dict() | settings))
    head = {"isolated_classifier.weight": weight, "isolated_classifier.bias": bias}
    taught.load_state_dict(model.state_dict() | head)
    return taught.eval()


@torch.no_grad()
def encode_views(
    model: SignRecognizerForCTC,
    letters: Sequence[Letter],
    processor: SignRecognizerProcessor,
    *,
    num_views: int,
    seed: int,
) -> Float[torch.Tensor, "letters views hidden"]:
    """What the encoder says of letters from elsewhere, at other paces, every other one without raising the hand."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    pooled = []
    for item in letters:
        views = []
        for number in range(num_views):
            # Hands that touch would come apart: each turns about its own wrist.
            turn = rng.normal(0, VIEW_RAD) * (0.3 if item.language in TWO_HANDED else 1)
            pace = float(np.exp(rng.uniform(*np.log(PACES))))
            view = resample(turn_hands(item.poses, item.depth, turn, rng), processor.frame_rate, speed=pace)
            views.append(normalize_letter(view, processor) if number % 2 else processor.normalize(view))
        batch = dict(collate(views))
        batch["keypoints"], batch["confidence"] = augment(batch["keypoints"], batch["confidence"], generator)
        pooled.append(pool(*model.encode(**batch)))
    return torch.stack(pooled)


def fit_classifier(
    features: Float[torch.Tensor, "items features"],
    labels: Int[torch.Tensor, " items"],
    weights: Float[torch.Tensor, " items"],
    *,
    num_labels: int,
    penalty: float,
) -> tuple[Float[torch.Tensor, "labels features"], Float[torch.Tensor, " labels"]]:
    """Weight and bias of multinomial logistic regression, the weight penalised for features of variance 1."""
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-3
    standard = (features - mean) / deviation
    weight = torch.zeros(num_labels, features.shape[1], requires_grad=True)
    bias = torch.zeros(num_labels, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(standard @ weight.T + bias, labels, reduction="none")
        total = (weights * losses).sum() / weights.sum() + penalty * (weight**2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    weight = weight.detach() / deviation
    return weight, bias.detach() - weight @ mean
