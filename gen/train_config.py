"""How the renderer is trained."""

from dataclasses import asdict, dataclass
from pathlib import Path

from gen.losses import STRUCTURE_WINDOW
from poses.bounds import check_at_least, check_shares


@dataclass(frozen=True)
class DropRates:
    """In which share of training windows each of `gen.conditions.CONDITIONS` is left out, in their order.

    What hands need most is left out least; without a frame before, a clip begins.
    """

    geometry: float = 0.02
    control: float = 0.1
    keypoints: float = 0.1
    reference: float = 0.02
    background: float = 0.1
    previous: float = 0.7
    keep: float = 0.8

    def __post_init__(self):
        check_shares(**{f"drop.{name}": share for name, share in asdict(self).items()})


@dataclass(frozen=True)
class RendererTrainConfig:
    """A training run. It resumes where its last checkpoint left it, with the same result as if never stopped."""

    data: Path
    """Folder made by `signloop signers make`."""
    output: Path
    """Folder for checkpoints, curves, sample grids and the finished pipeline."""
    weights: Path | None = None
    """A saved pipeline to go on from with its network, instead of from nothing: its folder, or `signer-small`."""
    steps: int = 8000
    """Optimiser steps."""
    batch_size: int = 4
    """Windows in a batch."""
    gradient_accumulation: int = 1
    """Batches in a step."""
    gradient_checkpointing: bool = False
    """Compute blocks anew for their gradients instead of keeping what is between them: less memory, a third slower."""
    compile: bool = False
    """Compile the network first, which takes a minute and pays where steps are many."""
    num_frames: int = 4
    """Frames in a window."""
    crop_size: int = 128
    """Pixels to a side of the crops trained on; most are centred on a hand."""
    learning_rate: float = 4e-4
    warmup_steps: int = 200
    ema_decay: float = 0.998
    full_noise: float = 0.5
    """Share of windows that start from nothing but noise, as the first step of sampling does."""
    drop: DropRates = DropRates()
    """How often each condition is left out, so that frames can be made without it and guided by it."""
    hand_weight: float = 4.0
    """What a pixel of a hand counts for beside one elsewhere."""
    face_weight: float = 2.0
    """What a pixel of the head counts for beside one elsewhere."""
    structure_weight: float = 0.0
    """What `structure_loss`, which asks for contrast, counts for beside `frame_loss`."""
    adversarial_weight: float = 0.0
    """How long the gradient of `persuasion_loss`, which asks for sharpness, is beside the other losses' where it meets
    the network's last layer; 0 trains without a critic."""
    lora_rank: int = 0
    """Learn updates of this rank beside the weights, which stay as they are, as suits the few frames of one signer;
    0 trains all weights."""
    block_channels: tuple[int, ...] | None = None
    """Channels of the network at each resolution, finest first; left out, those of `weights`, or `SignerUNet`'s own."""
    num_blocks: tuple[int, ...] | None = None
    """Residual blocks at each resolution; left out, likewise."""
    bf16: bool = True
    """Compute in bf16, with weights in float32."""
    seed: int = 0
    workers: int = 0
    """Processes that read data beside the one that trains."""
    checkpoint_every: int = 250
    """Steps between checkpoints and sample grids."""

    def __post_init__(self):
        check_at_least(
            1,
            steps=self.steps,
            batch_size=self.batch_size,
            gradient_accumulation=self.gradient_accumulation,
            num_frames=self.num_frames,
            checkpoint_every=self.checkpoint_every,
        )
        check_at_least(STRUCTURE_WINDOW, crop_size=self.crop_size)
        check_at_least(
            0,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            seed=self.seed,
            workers=self.workers,
            hand_weight=self.hand_weight,
            face_weight=self.face_weight,
            structure_weight=self.structure_weight,
            adversarial_weight=self.adversarial_weight,
            lora_rank=self.lora_rank,
        )
        check_shares(full_noise=self.full_noise, ema_decay=self.ema_decay)
        if self.lora_rank and self.weights is None:
            raise ValueError(f"`weights` must be given where `lora_rank` is {self.lora_rank}: updates need something.")
        if self.lora_rank and self.adversarial_weight:
            raise ValueError("`adversarial_weight` must be 0 where `lora_rank` is set: the last layer does not learn.")
