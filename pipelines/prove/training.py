"""Training one recognizer of one arm, and what it reads in the test: the same loop for pixels and for poses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from transformers.optimization import get_cosine_schedule_with_warmup

from gen.renderers.signer_small import is_bf16_faster
from pipelines.prove.plan import Training
from poses.io import load_poses
from recognizer.augmentation import augment
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.configuration_video_recognizer import VideoRecognizerConfig
from recognizer.modeling_sign_recognizer import SignRecognizerForSequenceClassification
from recognizer.modeling_video_recognizer import VideoRecognizerForVideoClassification, to_pixel_values
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, collate
from recognizer.video_frames import vary_views

Batch = dict[str, torch.Tensor]

WARMUP_SHARE = 0.1
MAX_GRAD_NORM = 1.0
TEST_BATCH = 32


@dataclass(frozen=True)
class TrainingSet:
    """What one stage trains on.

    Attributes:
        read: Gives the network's arguments for clips by number, augmented by the generator where there is one.
        labels: Of every clip.
    """

    read: Callable[[Int[torch.Tensor, " batch"], torch.Generator | None], Batch]
    labels: Int[torch.Tensor, " clips"]


def train(
    model: nn.Module, stages: Sequence[tuple[TrainingSet, int]], training: Training, *, classical: bool, seed: int
) -> float:
    """Trains a network in place, stage after stage under one schedule; gives the mean loss of the last tenth.

    Args:
        model: Has a `loss` in its output.
        stages: What is trained on, and for how many optimizer steps.
        training: How.
        classical: Whether batches are augmented.
        seed: Of batches, augmentation and dropout.
    """
    num_steps = sum(steps for _, steps in stages)
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    scheduler = get_cosine_schedule_with_warmup(optimizer, round(WARMUP_SHARE * num_steps), num_steps)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    model.train()
    for training_set, steps in stages:
        for batch in batches(len(training_set.labels), training.batch_size, steps, generator):
            inputs = training_set.read(batch, generator if classical else None)
            with autocast():
                loss = model(**inputs, labels=training_set.labels[batch]).loss
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def batches(
    num_clips: int, batch_size: int, num_batches: int, generator: torch.Generator
) -> Iterator[Int[torch.Tensor, " batch"]]:
    """Batches of equal size of clips in random order, all of them once before any of them again."""
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(num_batches):
        while len(waiting) < batch_size:
            waiting = torch.cat([waiting, torch.randperm(num_clips, generator=generator)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


@torch.no_grad()
def scores(model: nn.Module, test: TrainingSet) -> Float[np.ndarray, "clips labels"]:
    """What the network makes of every clip."""
    model.eval()
    rows = []
    for batch in torch.arange(len(test.labels)).split(TEST_BATCH):
        with autocast():
            rows.append(model(**test.read(batch, None)).logits.float())
    return torch.cat(rows).numpy()


def autocast() -> torch.autocast:
    """Matrix products in bf16 where the CPU is faster in it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=is_bf16_faster())


# Pixels


def video_model(glosses: Sequence[str], training: Training, *, seed: int) -> nn.Module:
    """The network that reads pixels, with random weights."""
    torch.manual_seed(seed)
    config = VideoRecognizerConfig(image_size=training.image_size, id2label=dict(enumerate(glosses)))
    return nn.Module.to(VideoRecognizerForVideoClassification(config), memory_format=torch.channels_last)


def video_set(files: Sequence[Path], labels: Sequence[int]) -> TrainingSet:
    """What the network that reads pixels is given of clips."""
    views = torch.from_numpy(np.stack([np.load(file, allow_pickle=False) for file in files]))

    def read(chosen: torch.Tensor, generator: torch.Generator | None) -> Batch:
        pixels = to_pixel_values(views[chosen])
        return {"pixel_values": pixels if generator is None else vary_views(pixels, generator)}

    return TrainingSet(read, torch.tensor(labels))


# Poses


def pose_model(glosses: Sequence[str], training: Training, *, seed: int) -> nn.Module:
    """The network that reads poses, with random weights."""
    torch.manual_seed(seed)
    return SignRecognizerForSequenceClassification(SignRecognizerConfig(id2label=dict(enumerate(glosses))))


def pose_set(files: Sequence[Path], labels: Sequence[int]) -> TrainingSet:
    """What the network that reads poses is given of clips."""
    inputs: Mapping[str, torch.Tensor] = collate([_normalized(file) for file in files])

    def read(chosen: torch.Tensor, generator: torch.Generator | None) -> Batch:
        batch = {name: tensor[chosen] for name, tensor in inputs.items()}
        if generator is not None:
            batch["keypoints"], batch["confidence"] = augment(batch["keypoints"], batch["confidence"], generator)
        return batch

    return TrainingSet(read, torch.tensor(labels))


@cache
def _normalized(file: Path) -> tuple[np.ndarray, np.ndarray]:
    return SignRecognizerProcessor().normalize(load_poses(file))
