"""A renderer in training: its network, what drives it, and the checkpoints from which a run goes on."""

import copy
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from gen.bundled import BUNDLED_WEIGHTS
from gen.conditioning import POSE_CHANNELS
from gen.losses import Prediction, critic_loss
from gen.models.patch_critic import PatchCritic
from gen.models.signer_unet import SignerUNet
from gen.objective import persuade, predict, regression_loss
from gen.train_config import RendererTrainConfig
from poses.weights import loading

LORA_TARGETS = ["conv1", "conv2", "qkv", "out"]
"""Layers that low-rank updates lie beside: of the blocks, of temporal attention, and the last one of keypoints'."""
KEPT_CHECKPOINTS = 2


class Learner:
    """Takes one step a batch. With a critic, both learn from the same frames.

    Args:
        config: How.
        accelerator: Where.

    Raises:
        ValueError: `config.weights` holds no network, or the network takes no crops of `config.crop_size`.
    """

    def __init__(self, config: RendererTrainConfig, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        unet = load_network(config)
        if config.crop_size % unet.size_multiple:
            raise ValueError(f"`crop_size` must be a multiple of {unet.size_multiple}, got {config.crop_size}.")
        self._last_layer = unet.conv_out.weight
        if config.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        nn.Module.to(unet, memory_format=torch.channels_last)
        network = with_updates(unet, config.lora_rank) if config.lora_rank else unet
        if config.compile:
            network.compile()
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        schedule = get_cosine_schedule_with_warmup(optimizer, config.warmup_steps, config.steps)
        self.network, self.optimizer, self.schedule = accelerator.prepare(network, optimizer, schedule)
        self._learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.ema = EMAModel(self._learned, decay=config.ema_decay)
        self.ema.to(accelerator.device)
        accelerator.register_for_checkpointing(self.ema)
        self.critic = None
        if config.adversarial_weight:
            critic = PatchCritic(3 + POSE_CHANNELS)
            nn.Module.to(critic, memory_format=torch.channels_last)
            optimizer = torch.optim.AdamW(critic.parameters(), lr=config.learning_rate, betas=(0.5, 0.99))
            self.critic, self.critic_optimizer = accelerator.prepare(critic, optimizer)

    def learn(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Tensor:
        """Learns from a batch, and at the end of an accumulation takes a step. Gives the regression's loss."""
        models = [self.network] if self.critic is None else [self.network, self.critic]
        with self.accelerator.accumulate(*models):
            with self._autocast():
                prediction = predict(self.network, batch, self.config, generator)
                loss = regression_loss(prediction, self.config)
                value = loss.detach()
                # A critic that knows nothing yet has nothing to say.
                if self.critic is not None and step >= self.config.warmup_steps:
                    self.critic.requires_grad_(False)
                    loss = persuade(loss, prediction, self.critic, self._last_layer, self.config.adversarial_weight)
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self._learned, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.accelerator.sync_gradients:
                self.schedule.step()
                self.ema.step(self._learned)
            if self.critic is not None:
                self._teach(self.critic, prediction)
        return value

    def _teach(self, critic: nn.Module, prediction: Prediction):
        critic.requires_grad_(True)
        with self._autocast():
            loss = critic_loss(critic, prediction)
        self.accelerator.backward(loss)
        self.critic_optimizer.step()
        self.critic_optimizer.zero_grad()

    def _autocast(self) -> Any:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.config.bf16)

    def averaged(self) -> SignerUNet:
        """A copy of the network with averaged weights, updates of low rank added to what they lie beside."""
        self.ema.store(self._learned)
        self.ema.copy_to(self._learned)
        try:
            network: Any = copy.deepcopy(self.accelerator.unwrap_model(self.network, keep_torch_compile=False))
        finally:
            self.ema.restore(self._learned)
        return network.merge_and_unload() if self.config.lora_rank else network

    def save(self, output: Path, step: int):
        """Keeps what resuming needs, and forgets all but the last two. Every process calls it, for its random state."""
        folder = output / f"checkpoint-{step:07d}"
        self.accelerator.save_state(str(folder))
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        (folder / "done").write_text(str(step))
        for old in sorted(output.glob("checkpoint-*"))[:-KEPT_CHECKPOINTS]:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()

    def resume(self, output: Path) -> int:
        """Loads the newest checkpoint that is whole, if there is one, and returns its step."""
        found = sorted(output.glob("checkpoint-*/done"))
        if not found:
            return 0
        with loading(found[-1].parent):
            self.accelerator.load_state(str(found[-1].parent))
        self.ema.to(self.accelerator.device)  # it is loaded to the CPU
        return int(found[-1].read_text())


def load_network(config: RendererTrainConfig) -> SignerUNet:
    """The network before its first step.

    Raises:
        ValueError: `weights` holds none, or one of another size than the configuration says.
    """
    sizes = {"block_channels": config.block_channels, "num_blocks": config.num_blocks}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    if config.weights is None:
        return SignerUNet(**sizes)
    folder = BUNDLED_WEIGHTS if str(config.weights) == BUNDLED_WEIGHTS.name else config.weights
    if not (folder / "unet" / "config.json").is_file():
        raise ValueError(
            f"`weights` must be {BUNDLED_WEIGHTS.name} or a saved pipeline's folder, "
            f"found no unet/config.json in {folder}."
        )
    with loading(folder):
        unet = SignerUNet.from_pretrained(folder, subfolder="unet", dtype=torch.float32, local_files_only=True)
    for name, size in sizes.items():
        if tuple(unet.config[name]) != tuple(size):
            raise ValueError(f"`{name}` must be {tuple(unet.config[name])}, as in {folder}, or left out, got {size}.")
    return unet


def with_updates(unet: SignerUNet, rank: int) -> Any:
    """The network with low-rank updates beside its layers, which alone learn (LoRA, https://arxiv.org/abs/2106.09685)."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(unet, LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS))
