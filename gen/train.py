"""Trains the renderer of `signer-small`: `signloop train renderer --config NAME`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from gen.conditions import to_conditions
from gen.data import WindowDataset
from gen.learner import Learner
from gen.models.signer_unet import SignerUNet
from gen.pipeline_signer import SignerVideoPipeline, denoise, to_pixels
from gen.train_config import RendererTrainConfig
from poses.files import new_file

CURVE = "curve.jsonl"
CURVE_EVERY = 20
"""Steps to a point of the curve."""


def train(config: RendererTrainConfig) -> Path:
    """Trains, and writes the averaged weights, in half precision, as a pipeline that `from_pretrained` loads.

    Returns:
        The pipeline's folder, `output/pipeline`.

    Raises:
        ValueError: `data` lacks clips to train on or to look at, `weights` holds no network, or the loss is not finite.
    """
    # The schedule counts steps of the run, however many processes share them.
    accelerator = Accelerator(
        gradient_accumulation_steps=config.gradient_accumulation, step_scheduler_with_optimizer=False
    )
    set_seed(config.seed)
    windows_a_step = config.batch_size * config.gradient_accumulation * accelerator.num_processes
    dataset = WindowDataset(
        config.data / "train",
        num_windows=config.steps * windows_a_step,
        num_frames=config.num_frames,
        crop_size=config.crop_size,
        seed=config.seed,
    )
    validation = validation_windows(config)  # what is wrong with them is told before the training, not after it
    learner = Learner(config, accelerator)
    config.output.mkdir(parents=True, exist_ok=True)
    step = learner.resume(config.output)
    is_main = accelerator.is_main_process
    if is_main:
        cut_curve(config.output / CURVE, step)
    remaining = Subset(dataset, range(step * windows_a_step, len(dataset)))
    loader = DataLoader(remaining, batch_size=config.batch_size, num_workers=config.workers, drop_last=True)
    losses = []
    with tqdm(initial=step, total=config.steps, desc="train", unit="step", disable=not is_main) as progress:
        for turn, batch in enumerate(accelerator.prepare(loader), start=step * config.gradient_accumulation):
            number = turn * accelerator.num_processes + accelerator.process_index  # of the batch among all of the run
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
            losses.append(learner.learn(batch, step, generator))
            if not accelerator.sync_gradients:
                continue
            step += 1
            progress.update()
            is_checkpoint = step % config.checkpoint_every == 0 or step == config.steps
            if step % CURVE_EVERY == 0 or is_checkpoint:  # looked at now and then: a GPU is waited for
                mean = accelerator.reduce(torch.stack(losses).mean(), "mean").item()
                losses.clear()
                if not math.isfinite(mean):
                    raise ValueError(f"`learning_rate` must be lower: the loss is {mean} before step {step + 1}.")
                progress.set_postfix(loss=f"{mean:.4f}")
                point = {"step": step, "loss": mean, "lr": learner.schedule.get_last_lr()[0]}
                if is_main:
                    with (config.output / CURVE).open("a") as curve:
                        curve.write(json.dumps(point) + "\n")
            if is_checkpoint:
                _checkpoint(learner, step, validation)
    return config.output / "pipeline"


def cut_curve(path: Path, step: int) -> None:
    """Forgets the points of steps that are taken anew."""
    if path.exists():
        kept = [line for line in path.read_text().splitlines(keepends=True) if json.loads(line)["step"] <= step]
        with new_file(path, overwrite=True) as aside:
            aside.write_text("".join(kept))


def _checkpoint(learner: Learner, step: int, validation: Sequence[dict[str, Tensor]]):
    """Saves the pipeline with averaged weights, a grid to look at, and what resuming needs.

    The last of these last: a run that is killed meanwhile goes on before this step, and writes all of them anew.
    """
    config = learner.config
    if learner.accelerator.is_main_process:
        model = learner.averaged()
        half = SignerVideoPipeline(model.half(), FlowMatchEulerDiscreteScheduler())
        half.save_pretrained(config.output / "pipeline")
        iio.imwrite(config.output / f"samples-{step:07d}.png", sample_grid(model.float(), validation))
    learner.save(config.output, step)


def validation_windows(config: RendererTrainConfig) -> list[dict[str, Tensor]]:
    """The crops that every checkpoint is looked at with."""
    folder, num_frames = config.data / "validation", min(2, config.num_frames)
    windows = WindowDataset(folder, num_windows=8, num_frames=num_frames, crop_size=config.crop_size, seed=1)
    return [windows[index] for index in range(len(windows))]


@torch.no_grad()
def sample_grid(unet: SignerUNet, windows: Sequence[dict[str, Tensor]]) -> UInt8[np.ndarray, "h w 3"]:
    """Validation crops, one to a column: true frame, coarse composite, and the frame made in one step and in four."""
    columns = []
    for index, window in enumerate(windows):
        item = {name: value[None].to(unet.device) for name, value in window.items()}
        conditions = to_conditions(item["maps"], item["keypoints"], item["reference"])
        rows = [item["frames"][0, 0].cpu().numpy(), item["maps"][0, 0, ..., :3].cpu().numpy()]
        noise = torch.randn(1, 3, 1, *item["keep"].shape[-2:], generator=torch.Generator().manual_seed(index))
        noise = noise.to(unet.device)
        for num_inference_steps in (1, 4):
            scheduler = FlowMatchEulerDiscreteScheduler()
            with torch.autocast(unet.device.type, torch.bfloat16):
                sample = denoise(
                    unet, scheduler, noise, noise[:, :, :0], conditions, num_inference_steps=num_inference_steps
                )
            rows.append(to_pixels(sample)[0])
        columns.append(np.concatenate(rows))
    return np.concatenate(columns, axis=1)
