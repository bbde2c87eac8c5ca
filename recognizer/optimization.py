"""The training loop of every recognizer: AdamW, a cosine schedule, averaged weights, checkpoints to go on from."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers.modeling_utils import PreTrainedModel
from transformers.optimization import get_cosine_schedule_with_warmup

from poses.files import new_file
from recognizer.processing_sign_recognizer import SignRecognizerProcessor

Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class LoopConfig:
    """How a network is trained, whatever on."""

    output_dir: Path = Path("runs/recognizer")
    """Where checkpoints and, at the end, the model go."""
    num_steps: int = 1500
    """Optimizer steps."""
    batch_size: int = 48
    """Clips a step."""
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
    mixed_precision: str = "no"
    """no or bf16."""
    resume: bool = False
    """Go on from the last checkpoint of `output_dir`."""
    seed: int = 0
    """Of weights, data and augmentation."""

    def __post_init__(self):
        for name in ("num_steps", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1), got {self.ema_decay}.")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive, got {self.learning_rate}.")
        if self.mixed_precision not in ("no", "bf16"):
            raise ValueError(f"`mixed_precision` must be no or bf16, got {self.mixed_precision!r}.")

    @property
    def checkpoint(self) -> Path:
        """What `resume` goes on from."""
        return self.output_dir / "checkpoint.pt"

    def check_output_dir(self) -> None:
        """Refuses to overwrite a run, or to go on with none.

        Raises:
            ValueError: `output_dir` holds a checkpoint and `resume` is false, or holds none and it is true.
        """
        if self.checkpoint.exists() != self.resume:
            state = "holds a checkpoint" if self.checkpoint.exists() else "holds none"
            raise ValueError(f"`resume` must be {self.checkpoint.exists()} where {str(self.output_dir)!r} {state}.")


def optimize(
    model: Network, batches: Callable[[int], Iterator[dict[str, torch.Tensor]]], config: LoopConfig, *, name: str
) -> Network:
    """Trains a network, whose output has a `loss`, and gives the averaged weights, in evaluation mode.

    The same configuration gives the same weights on the same machine, resumed or not.

    Args:
        model: The network, with the weights it starts from.
        batches: Endless batches of the network's arguments, for a seed.
        config: How; its `check_output_dir` has been called.
        name: Of the progress bar.
    """
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    scheduler = get_cosine_schedule_with_warmup(optimizer, config.warmup_steps, config.num_steps)
    model, average, optimizer, scheduler = accelerator.prepare(model, average, optimizer, scheduler)
    parts = {"model": model, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    first = 0
    if config.resume:
        state = torch.load(config.checkpoint, weights_only=True)
        first = state.pop("step")
        for part in parts:
            parts[part].load_state_dict(state[part])
    config.output_dir.mkdir(parents=True, exist_ok=True)
    progress = tqdm(total=config.num_steps, initial=first, desc=name, unit="step")
    model.train()
    while first < config.num_steps:
        stop = min(first + config.checkpoint_every, config.num_steps)
        # Every stretch between checkpoints has its own seed, so that a resumed run goes on with the same numbers.
        set_seed(config.seed + first)
        for batch in islice(batches(config.seed + first), stop - first):
            batch = {key: tensor.to(accelerator.device) for key, tensor in batch.items()}
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
        with new_file(config.checkpoint, overwrite=True) as path:
            torch.save({"step": first} | {part: parts[part].state_dict() for part in parts}, path)
    progress.close()
    return average.module.eval()


def save_recognizer(model: PreTrainedModel, processor: SignRecognizerProcessor, path: Path) -> None:
    """Writes what `load_recognizer` reads; the weights lose half their precision, `model` keeps its own."""
    half = copy.deepcopy(model).half()
    half.save_pretrained(path)
    processor.save_pretrained(path)
