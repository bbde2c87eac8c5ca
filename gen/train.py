"""Trains the renderer of `signer-small`: `signloop train renderer --config NAME`."""

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from gen.conditioning import HEAD, IS_HAND, POSE_CHANNELS, to_pose_maps, to_reference
from gen.data import WindowDataset
from gen.losses import STRUCTURE_WINDOW, add_noise, critic_loss, frame_loss, persuasion_loss, structure_loss
from gen.models.patch_critic import PatchCritic
from gen.models.signer_unet import SignerUNet
from gen.pipeline_signer import SignerVideoPipeline, denoise, to_pixels


@dataclass(frozen=True)
class RendererTrainConfig:
    """A training run. It resumes where its last checkpoint left it, with the same result as if never stopped."""

    data: Path
    """Folder made by `signloop signers make`."""
    output: Path
    """Folder for checkpoints, curves, sample grids and the finished pipeline."""
    weights: Path | None = None
    """A saved pipeline to go on from, such as the bundled one, with its network, instead of from nothing."""
    steps: int = 8000
    """Optimiser steps."""
    batch_size: int = 4
    """Windows in a step."""
    num_frames: int = 4
    """Frames in a window."""
    crop_size: int = 128
    """Pixels to a side of the crops trained on; most are centred on a hand."""
    learning_rate: float = 4e-4
    warmup_steps: int = 200
    ema_decay: float = 0.998
    full_noise: float = 0.5
    """Share of windows that start from nothing but noise, as the first step of sampling does."""
    known_frame: float = 0.3
    """Share of windows whose first frame is given, as in all windows of a long clip but the first."""
    hand_weight: float = 4.0
    """What a pixel of a hand counts for beside one elsewhere."""
    face_weight: float = 2.0
    """What a pixel of the head counts for beside one elsewhere."""
    structure_weight: float = 0.0
    """What `structure_loss`, which asks for contrast, counts for beside `frame_loss`."""
    adversarial_weight: float = 0.0
    """How long the gradient of `persuasion_loss`, which asks for sharpness, is beside the other losses' where it meets
    the network's last layer; 0 trains without a critic."""
    block_channels: tuple[int, ...] = (48, 96, 192, 256)
    num_blocks: tuple[int, ...] = (1, 2, 2, 2)
    bf16: bool = True
    """Compute in bf16, with weights in float32."""
    seed: int = 0
    workers: int = 0
    """Processes that read data beside the one that trains."""
    checkpoint_every: int = 250
    """Steps between checkpoints and sample grids."""

    def __post_init__(self):
        for name in ("steps", "batch_size", "num_frames", "crop_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.crop_size < STRUCTURE_WINDOW:
            raise ValueError(f"`crop_size` must be at least {STRUCTURE_WINDOW}, got {self.crop_size}.")
        for name in ("structure_weight", "adversarial_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be at least 0, got {getattr(self, name)}.")
        for name in ("full_noise", "known_frame", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {getattr(self, name)}.")


def pixel_weights(
    maps: UInt8[Tensor, "b f h w 12"],
    reference: UInt8[Tensor, "b h w 7"],
    *,
    hand_weight: float,
    face_weight: float,
) -> Float[Tensor, "b f h w"]:
    """What each pixel counts for: hands most, then faces and where the picture's hands were."""

    def near(mask: Tensor, reach: int) -> Tensor:
        flat = mask.float().flatten(0, -3)[:, None]
        return F.max_pool2d(flat, 2 * reach + 1, stride=1, padding=reach)[:, 0].reshape(mask.shape)

    table = torch.from_numpy(IS_HAND).to(maps.device)
    part = maps[..., 8].long()
    hand = near(table[part], 5)
    old_hand = near(table[reference[..., 6].long()], 5)[:, None]
    head = near(part == HEAD, 5)
    weight = 1 + (face_weight - 1) * torch.maximum(head, old_hand)
    return torch.maximum(weight, 1 + (hand_weight - 1) * hand)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Frames predicted for a batch, and what they are judged by.

    Attributes:
        clean: The clean frames that the predicted velocity points to, in [-1, 1].
        target: The true frames.
        maps: The driving pose's maps.
        weight: What each pixel counts for: hands most, frames that were given nothing.
    """

    clean: Float[Tensor, "b 3 f h w"]
    target: Float[Tensor, "b 3 f h w"]
    maps: Float[Tensor, "b p f h w"]
    weight: Float[Tensor, "b f h w"]


def predict(
    unet: SignerUNet, batch: dict[str, Tensor], config: RendererTrainConfig, generator: torch.Generator
) -> Prediction:
    """Adds noise to a batch and takes it away again, in one step.

    Everything is drawn on the CPU, where `generator` is, so that a seed means the same on every device.
    """
    frames = batch["frames"].permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    clips, _, num_frames, height, width = frames.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    # Logit-normal noise levels (https://arxiv.org/abs/2403.03206, section 3.1), or nothing but noise.
    sigma = torch.sigmoid(torch.randn(clips, 1, generator=generator))
    sigma = torch.where(uniform(clips, 1) < config.full_noise, torch.ones(()), sigma).expand(-1, num_frames).clone()
    known = uniform(clips) < config.known_frame
    sigma[known, 0] = 0
    sigma, known = sigma.to(frames.device), known.to(frames.device)
    noise = torch.randn(clips, 3, 1, height, width, generator=generator).to(frames.device).expand_as(frames)
    weight = pixel_weights(
        batch["maps"], batch["reference"], hand_weight=config.hand_weight, face_weight=config.face_weight
    )
    weight[known, 0] = 0
    maps = to_pose_maps(batch["maps"])
    clean = unet(add_noise(frames, noise, sigma), 1000 * sigma, maps, to_reference(batch["reference"])).clean
    return Prediction(clean, frames, maps, weight)


def regression_loss(prediction: Prediction, config: RendererTrainConfig) -> Float[Tensor, ""]:
    """How far the predicted frames are from the true ones."""
    given = prediction.clean, prediction.target, prediction.weight
    loss = frame_loss(*given)
    return loss + config.structure_weight * structure_loss(*given) if config.structure_weight else loss


def persuade(
    loss: Float[Tensor, ""], prediction: Prediction, critic: PatchCritic, last_layer: Tensor, share: float
) -> Float[Tensor, ""]:
    """Adds `persuasion_loss` in the proportion that `adversarial_weight` states.

    Weighed by gradients at the last layer, as in https://arxiv.org/abs/2012.09841, equation 7: whatever the critic's
    scale becomes, neither side drowns the other.
    """
    against = persuasion_loss(critic, prediction.clean, prediction.target, prediction.maps, prediction.weight)
    lengths = [torch.autograd.grad(of, last_layer, retain_graph=True)[0].norm() for of in (loss, against)]
    return loss + share * (lengths[0] / lengths[1].clamp(min=1e-8)) * against


def train(config: RendererTrainConfig) -> Path:
    """Trains, and writes the averaged weights, in half precision, as a pipeline that `from_pretrained` loads.

    Returns:
        The pipeline's folder, `output/pipeline`.

    Raises:
        ValueError: `data` holds no clips.
    """
    accelerator = Accelerator()
    set_seed(config.seed)
    dataset = WindowDataset(
        config.data / "train",
        num_windows=config.steps * config.batch_size,
        num_frames=config.num_frames,
        crop_size=config.crop_size,
        seed=config.seed,
    )
    unet = _start(config)
    last_layer = unet.conv_out.weight
    torch.nn.Module.to(unet, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, config.warmup_steps, config.steps)
    ema = EMAModel(unet.parameters(), decay=config.ema_decay, model_cls=SignerUNet, model_config=unet.config)
    unet, optimizer, schedule = accelerator.prepare(unet, optimizer, schedule)
    ema.to(accelerator.device)
    accelerator.register_for_checkpointing(ema)
    critic = critic_optimizer = None
    if config.adversarial_weight:
        critic = PatchCritic(3 + POSE_CHANNELS)
        torch.nn.Module.to(critic, memory_format=torch.channels_last)
        critic_optimizer = torch.optim.AdamW(critic.parameters(), lr=config.learning_rate, betas=(0.5, 0.99))
        critic, critic_optimizer = accelerator.prepare(critic, critic_optimizer)
    step = _resume(accelerator, config)

    loader = DataLoader(
        Subset(dataset, range(step * config.batch_size, len(dataset))),
        batch_size=config.batch_size,
        num_workers=config.workers,
        drop_last=True,
    )
    recent = []
    progress = tqdm(accelerator.prepare(loader), initial=step, total=config.steps, desc="train", unit="step")
    for batch in progress:
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=config.bf16):
            prediction = predict(unet, batch, config, generator)
            loss = regression_loss(prediction, config)
            recent.append(loss.item())
            if critic is not None and step >= config.warmup_steps:  # a critic that knows nothing has nothing to say
                loss = persuade(loss, prediction, critic, last_layer, config.adversarial_weight)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ema.step(unet.parameters())
        if critic is not None and critic_optimizer is not None:
            critic_optimizer.zero_grad()  # of what it was asked by the network
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=config.bf16):
                loss = critic_loss(critic, prediction.clean, prediction.target, prediction.maps, prediction.weight)
            accelerator.backward(loss)
            critic_optimizer.step()
        step += 1
        if not math.isfinite(recent[-1]):
            raise FloatingPointError(f"the loss is {recent[-1]} at step {step}; lower `learning_rate`.")
        if step % 20 == 0:
            mean = float(np.mean(recent))
            recent.clear()
            progress.set_postfix(loss=f"{mean:.4f}")
            with (config.output / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps({"step": step, "loss": mean, "lr": schedule.get_last_lr()[0]}) + "\n")
        if step % config.checkpoint_every == 0 or step == config.steps:
            _checkpoint(accelerator, config, unet, ema, step)
    return config.output / "pipeline"


def _start(config: RendererTrainConfig) -> SignerUNet:
    """The network before its first step."""
    if config.weights is None:
        return SignerUNet(block_channels=config.block_channels, num_blocks=config.num_blocks)
    if not (config.weights / "unet" / "config.json").is_file():
        raise ValueError(f"`weights` must be a saved pipeline's folder, found no unet/config.json in {config.weights}.")
    return SignerUNet.from_pretrained(
        config.weights, subfolder="unet", torch_dtype=torch.float32, local_files_only=True
    )


def _resume(accelerator: Accelerator, config: RendererTrainConfig) -> int:
    """Loads the newest checkpoint, if there is one, and returns its step."""
    config.output.mkdir(parents=True, exist_ok=True)
    found = sorted(config.output.glob("checkpoint-*/done"))
    if not found:
        return 0
    accelerator.load_state(str(found[-1].parent))
    return int(found[-1].read_text())


def _checkpoint(accelerator: Accelerator, config: RendererTrainConfig, unet: torch.nn.Module, ema: EMAModel, step: int):
    """Saves what resuming needs (the last two are kept), the pipeline with averaged weights, and a grid to look at."""
    folder = config.output / f"checkpoint-{step:07d}"
    accelerator.save_state(str(folder))
    (folder / "done").write_text(str(step))
    for old in sorted(config.output.glob("checkpoint-*"))[:-2]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    model = accelerator.unwrap_model(unet)
    assert isinstance(model, SignerUNet)
    ema.store(model.parameters())
    ema.copy_to(model.parameters())
    try:
        half = copy.deepcopy(model).half()
        SignerVideoPipeline(half, FlowMatchEulerDiscreteScheduler()).save_pretrained(config.output / "pipeline")
        iio.imwrite(config.output / f"samples-{step:07d}.png", sample_grid(model, config))
    finally:
        ema.restore(model.parameters())


@torch.no_grad()
def sample_grid(unet: SignerUNet, config: RendererTrainConfig, num_windows: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    """Validation crops, one to a column: true frame, coarse composite, and the frame made in one step and in four."""
    folder = config.data / "validation"
    dataset = WindowDataset(folder, num_windows=num_windows, num_frames=2, crop_size=config.crop_size, seed=1)
    columns = []
    for index in range(num_windows):
        item = {name: value[None].to(unet.device) for name, value in dataset[index].items()}
        pose_maps, reference = to_pose_maps(item["maps"]), to_reference(item["reference"])
        rows = [item["frames"][0, 0].cpu().numpy(), item["maps"][0, 0, ..., :3].cpu().numpy()]
        noise = torch.randn(1, 3, 1, *pose_maps.shape[-2:], generator=torch.Generator().manual_seed(index))
        noise = noise.to(unet.device)
        for num_inference_steps in (1, 4):
            scheduler = FlowMatchEulerDiscreteScheduler()
            with torch.autocast(unet.device.type, torch.bfloat16):
                sample = denoise(
                    unet, scheduler, noise, noise[:, :, :0], pose_maps, reference,
                    num_inference_steps=num_inference_steps,
                )  # fmt: skip
            rows.append(to_pixels(sample)[0])
        columns.append(np.concatenate(rows))
    return np.concatenate(columns, axis=1)
