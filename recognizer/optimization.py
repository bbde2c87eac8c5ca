"""The training loop of every recognizer: AdamW, a cosine schedule, averaged weights, checkpoints to go on from."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, broadcast, set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers.modeling_utils import PreTrainedModel
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

from poses.bounds import check_at_least, check_shares
from poses.files import new_file
from poses.weights import loading
from recognizer.curves import LossCurve
from recognizer.processing_sign_recognizer import SignRecognizerProcessor

Network = TypeVar("Network", bound=torch.nn.Module)

Batch = dict[str, torch.Tensor]
Batches = Callable[[int], Iterator[Batch]]
"""Endless batches of a network's arguments, for a seed."""

_PROCESS_SEED = 1_000_003
"""What lies between the seeds of two processes that train together."""


@dataclass(frozen=True)
class LoopConfig:
    """How a network is trained, whatever on."""

    output_dir: Path = Path("runs/recognizer")
    """Where checkpoints and, at the end, the model go."""
    num_steps: int = 1500
    """Optimizer steps."""
    batch_size: int = 48
    """Clips a batch."""
    gradient_accumulation: int = 1
    """Batches a step."""
    learning_rate: float = 2e-3
    """Peak of a cosine schedule."""
    min_lr_rate: float = 0.0
    """Share of the peak that the schedule ends at."""
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
    trackio: str = ""
    """Project in trackio where losses are shown too; `pip install trackio` first."""
    resume: bool = False
    """Go on from the last checkpoint of `output_dir`."""
    seed: int = 0
    """Of weights, data and augmentation."""

    def __post_init__(self):
        check_at_least(
            1,
            num_steps=self.num_steps,
            batch_size=self.batch_size,
            gradient_accumulation=self.gradient_accumulation,
            checkpoint_every=self.checkpoint_every,
        )
        check_at_least(0, warmup_steps=self.warmup_steps, seed=self.seed)
        check_shares(min_lr_rate=self.min_lr_rate)
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
            ValueError: `output_dir` is a file, holds a checkpoint and `resume` is false, or holds none and it is true.
        """
        if self.output_dir.is_file():
            raise ValueError(f"`output_dir` must be a folder, got the file {str(self.output_dir)!r}.")
        if self.checkpoint.exists() != self.resume:
            state = "holds a checkpoint" if self.checkpoint.exists() else "holds none"
            raise ValueError(f"`resume` must be {self.checkpoint.exists()} where {str(self.output_dir)!r} {state}.")


def optimize(
    model: Network,
    batches: Batches,
    config: LoopConfig,
    *,
    name: str,
    prepare: Callable[[Batch, int], Batch] = lambda batch, step: batch,
) -> Network:
    """Trains a network, whose output has a `loss`, and gives the averaged weights, in evaluation mode.

    Wherever it was trained, both it and `model` are on the CPU in the end, as what is read with them is.

    Writes `curve.jsonl` and `curve.png` to `config.output_dir`: the loss, and the output's `losses` where it has such.
    The same configuration gives the same weights and curve on the same machine, resumed or not. Under
    `accelerate launch`, each process trains on batches of its own, and all end with the same network; networks may be
    trained one after the other.

    Args:
        model: The network, with the weights it starts from.
        batches: Endless batches of the network's arguments, for a seed.
        config: How; its `check_output_dir` has been called.
        name: Of the progress bar.
        prepare: Changes a batch by the number of the step it is for.

    Raises:
        ValueError: A loss is no finite number, or `config.trackio` is given and the package is not installed.
    """
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        log_with=_tracker(config),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],  # not every batch has every label
    )
    average: Any = AveragedModel(model, device=accelerator.device, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    scheduler = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, config.warmup_steps, config.num_steps, min_lr_rate=config.min_lr_rate
    )
    parts = {"model": model, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    trained, optimizer = accelerator.prepare(model, optimizer)
    first = _resume(config, parts) if config.resume else 0
    curve = LossCurve(config.output_dir / "curve.jsonl", steps=first)
    if config.trackio:
        accelerator.init_trackers(config.trackio)
    main = accelerator.is_main_process
    progress = tqdm(total=config.num_steps, initial=first, desc=name, unit="step", disable=not main)
    trained.train()
    while first < config.num_steps:
        stop = min(first + config.checkpoint_every, config.num_steps)
        # Every stretch between checkpoints has its own seed, so that a resumed run goes on with the same numbers.
        seed = config.seed + first + _PROCESS_SEED * accelerator.process_index
        set_seed(seed)
        source = batches(seed)
        for step in range(first, stop):
            chosen = (prepare(batch, step) for batch in islice(source, config.gradient_accumulation))
            losses = _accumulate(trained, chosen, accelerator, config.gradient_accumulation)
            if not all(map(math.isfinite, losses.values())):
                found = ", ".join(f"{loss} {value:g}" for loss, value in losses.items())
                raise ValueError(f"`learning_rate` must be lower than {config.learning_rate:g}: step {step}, {found}.")
            accelerator.clip_grad_norm_(trained.parameters(), config.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            average.update_parameters(model)
            curve.rows.append(losses)
            accelerator.log(losses, step=step)
            progress.set_postfix(loss=f"{losses['loss']:.2f}", refresh=False)
            progress.update()
        first = stop
        if main:
            # The curve ahead of the checkpoint, so that a resumed run finds it up to there.
            curve.save()
            with new_file(config.checkpoint, overwrite=True) as path:
                torch.save({"step": first} | {part: parts[part].state_dict() for part in parts}, path)
    progress.close()
    # Each process counted these in batches of its own since the last step began; the checkpoint holds the first one's.
    broadcast([*model.buffers(), *average.buffers()])
    # `end_training` would part the processes for good.
    for tracker in accelerator.trackers:
        tracker.finish()
    model.cpu()
    return average.module.cpu().eval()


def _accumulate(
    model: torch.nn.Module, batches: Iterator[Batch], accelerator: Accelerator, count: int
) -> dict[str, float]:
    """Adds up the gradients of `count` batches, and gives the means of their losses."""
    means: Counter[str] = Counter()
    for batch in batches:
        batch = {key: tensor.to(accelerator.device) for key, tensor in batch.items()}
        with accelerator.autocast():
            output = model(**batch)
        accelerator.backward(output.loss / count)
        losses = {"loss": output.loss} | (getattr(output, "losses", None) or {})
        means.update({name: loss.item() / count for name, loss in losses.items()})
    return dict(means)


def _resume(config: LoopConfig, parts: dict[str, Any]) -> int:
    """Loads the last checkpoint, and gives the number of its steps."""
    with loading(config.checkpoint):
        state = torch.load(config.checkpoint, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return state["step"]


def _tracker(config: LoopConfig) -> str | None:
    if config.trackio and find_spec("trackio") is None:
        raise ValueError(f"`trackio` must be empty where the package is not installed, got {config.trackio!r}.")
    return "trackio" if config.trackio else None


def save_recognizer(model: PreTrainedModel, processor: SignRecognizerProcessor, path: Path) -> None:
    """Writes what `load_recognizer` reads; the weights lose half their precision, `model` keeps its own."""
    save_trained(copy.deepcopy(model).half(), processor, path=path)


def save_trained(*parts: Any, path: Path) -> None:
    """Writes a network, and its processor where it has one; of processes that train together, the first one does."""
    if PartialState().is_main_process:
        for part in parts:
            part.save_pretrained(path)
