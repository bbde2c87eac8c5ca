"""Training Video2Pose: `signloop train video2pose --config NAME`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from jaxtyping import Bool, Float, Int
from torch import nn
from transformers.models.vit.modeling_vit import ViTModel

from poses.bounds import check_at_least
from poses.files import new_file
from poses.keypoints import PARTS, index
from recognizer.configuration_video2pose import Video2PoseConfig
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.modeling_video2pose import SignXForVideo2Pose, Video2PoseOutput
from recognizer.optimization import Batch, LoopConfig, optimize, save_trained
from recognizer.optional_weights import OPTIONAL_WEIGHTS, announce_fetch
from recognizer.processing_video2pose import Video2PoseProcessor
from recognizer.training_signx import load_pose2gloss
from recognizer.video_clips import SignerClip, gloss_batches, read_signer_clips, video_batches

NEAR = 0.2
"""A point that is found within this many shoulder widths is right."""


@dataclass(frozen=True)
class Video2PoseTrainConfig(LoopConfig):
    """One training run of Video2Pose on films of synthetic signers, whose poses are known exactly."""

    output_dir: Path = Path("runs/video2pose")
    """Where checkpoints, curves and, at the end, the model and its validation go."""
    data: Path = Path("runs/signers-256")
    """Folder that `signloop signers make` made."""
    pose2gloss: Path | None = None
    """Folder of a trained Pose2Gloss, whose latents are learned; keypoints alone if left out."""
    videos: Path | None = None
    """Folder of videos with a table of glosses, from which `pose2gloss` is to read those; in every second batch."""
    backbone: str | None = None
    """Folder or hub repository of a pretrained vision transformer of the network's sizes; see docs/signx-choices.md."""
    frozen_steps: int = 0
    """Steps before the vision transformer is trained, too."""
    network: dict[str, Any] = field(default_factory=dict)
    """Fields of `Video2PoseConfig` that differ from the published ones, such as hidden_size."""
    num_frames: int = 8
    """Frames of a window."""

    def __post_init__(self):
        super().__post_init__()
        check_at_least(1, num_frames=self.num_frames)
        check_at_least(0, frozen_steps=self.frozen_steps)
        if self.videos is not None and self.pose2gloss is None:
            raise ValueError("`pose2gloss` must be given where `videos` is: it reads their glosses.")
        if unknown := [name for name in self.network if name not in Video2PoseConfig.__annotations__]:
            raise ValueError(f"`network` must hold fields of Video2PoseConfig, got {unknown[0]!r}.")


@dataclass(frozen=True)
class SeenAccuracy:
    """How well synthetic signers are seen whom the network was not trained on.

    Attributes:
        clips: How many.
        body: Share of the points in the frame that were found within `NEAR` shoulder widths.
        hands: The same of both hands.
        mean_pose_body: The same of the mean of the training clips' poses.
        mean_pose_hands: The same of both hands.
        latent_cosine: Mean cosine between its latents and Pose2Gloss's; None where there is no Pose2Gloss.
    """

    clips: int
    body: float
    hands: float
    mean_pose_body: float
    mean_pose_hands: float
    latent_cosine: float | None


def train(config: Video2PoseTrainConfig) -> tuple[SignXForVideo2Pose, SeenAccuracy | None]:
    """Trains on films of synthetic signers, and validates.

    Writes `model`, with its processor, `curve.jsonl` and `curve.png`, and `validation.json` to `config.output_dir`. The
    same configuration gives the same weights on the same machine, resumed or not.

    Returns:
        The averaged weights, in evaluation mode, and how well they see the validation clips; None where there are none.

    Raises:
        ValueError: `config.output_dir` holds a checkpoint and `config.resume` is false, or holds none and it is true;
            there is no clip to train on; `config.pose2gloss` holds no Pose2Gloss; or other weights are neither on this
            machine nor to be fetched.
        PoseFileError: A clip is damaged.
    """
    config.check_output_dir()
    reader = None if config.pose2gloss is None else load_pose2gloss(config.pose2gloss, "pose2gloss")
    training = read_signer_clips(config.data / "train", reader)
    if short := [clip for clip in training if len(clip.keypoints) <= config.num_frames]:
        longest = len(short[0].keypoints) - 1
        raise ValueError(f"`num_frames` must be at most {longest}, as in {short[0].path}, got {config.num_frames}.")
    model = create_model(config, reader)
    processor = Video2PoseProcessor(model.config.image_size)

    def prepare(batch: Batch, step: int) -> Batch:
        model.vit.requires_grad_(step >= config.frozen_steps)
        return batch

    device = PartialState().device
    assert device is not None  # accelerate finds one
    windows = partial(
        video_batches,
        training,
        [clip.film(device) for clip in training],
        processor,
        num_frames=config.num_frames,
        batch_size=config.batch_size,
    )

    if reader is None or config.videos is None:
        trained = optimize(model, lambda seed: windows(seed=seed), config, name="video2pose", prepare=prepare)
    else:
        videos = partial(gloss_batches, config.videos, processor, reader, batch_size=config.batch_size)
        both = optimize(
            ReadVideo2Pose(model, reader),
            lambda seed: (batch for pair in zip(windows(seed=seed), videos(seed=seed), strict=True) for batch in pair),
            config,
            name="video2pose",
            prepare=prepare,
        )
        trained = both.model
    save_trained(trained, processor, path=config.output_dir / "model")
    if not any((config.data / "validation").glob("*/frames.npy")):
        return trained, None
    accuracy = measure(trained, processor, read_signer_clips(config.data / "validation", reader), mean_pose(training))
    if PartialState().is_main_process:
        with new_file(config.output_dir / "validation.json", overwrite=True) as path:
            path.write_text(json.dumps(asdict(accuracy)), encoding="utf-8")
    return trained, accuracy


class ReadVideo2Pose(nn.Module):
    """A Video2Pose whose latents are read by a Pose2Gloss that does not change: the paper's text loss."""

    def __init__(self, model: SignXForVideo2Pose, reader: SignXForPose2Gloss):
        super().__init__()
        self.model = model
        self.reader = reader.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.reader.eval()
        return self

    def forward(
        self, labels: Int[torch.Tensor, "batch glosses"] | None = None, **clip: torch.Tensor
    ) -> Video2PoseOutput:
        """What the network sees, and, where there are `labels`, the loss of reading them."""
        output = self.model(**clip)
        if labels is not None:
            text = self.reader.losses(output.latents, clip["attention_mask"].bool(), labels)["text"]
            output.loss, output.losses = self.model.config.text_loss_weight * text, {"text": text}
        return output


def create_model(config: Video2PoseTrainConfig, reader: SignXForPose2Gloss | None) -> SignXForVideo2Pose:
    """The network before its first step."""
    set_seed(config.seed)
    sizes = config.network if reader is None else config.network | {"latent_size": reader.config.latent_size}
    model = SignXForVideo2Pose(Video2PoseConfig(**sizes))
    if config.backbone is not None:
        if config.backbone == OPTIONAL_WEIGHTS["vit"].repository:
            announce_fetch(OPTIONAL_WEIGHTS["vit"])
        pretrained = _load_backbone(config.backbone).state_dict()
        own = {name: tensor.shape for name, tensor in model.vit.state_dict().items()}
        if other := [name for name in own if name not in pretrained or pretrained[name].shape != own[name]]:
            raise ValueError(f"`backbone` must have the network's sizes, got others in {config.backbone}: {other[0]}.")
        model.vit.load_state_dict(pretrained)
    return model


def _load_backbone(path: str) -> ViTModel:
    try:
        return ViTModel.from_pretrained(path, add_pooling_layer=False)
    except OSError as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(f"`backbone` must be on this machine or to be fetched, got {path!r} ({reason}).") from None


def mean_pose(clips: Sequence[SignerClip]) -> Float[np.ndarray, "128 2"]:
    """The mean of all clips' keypoints."""
    return np.mean([clip.keypoints[1:].mean(axis=0) for clip in clips], axis=0)


@torch.no_grad()
def measure(
    model: SignXForVideo2Pose,
    processor: Video2PoseProcessor,
    clips: Sequence[SignerClip],
    mean: Float[np.ndarray, "128 2"],
) -> SeenAccuracy:
    """Compares what a network sees in clips with what is known of them, their first frames left out."""
    right, right_mean, cosines = [], [], []
    for clip in clips:
        found = model(**processor(list(clip.frames()[1:])))
        true = clip.keypoints[1:]
        shown = np.asarray(((true >= 0) & (true < 1)).all(axis=-1))
        right.append(shares_right(found.keypoints[0].float().numpy(), true, shown))
        right_mean.append(shares_right(np.broadcast_to(mean, true.shape), true, shown))
        if clip.latents is not None:
            cosines.append(torch.cosine_similarity(found.latents[0].float(), clip.latents[1:], dim=-1).mean().item())
    (body, hands), (mean_body, mean_hands) = (np.nanmean(of, axis=0).tolist() for of in (right, right_mean))
    cosine = float(np.mean(cosines)) if cosines else None
    return SeenAccuracy(len(clips), body, hands, mean_body, mean_hands, cosine)


def shares_right(
    found: Float[np.ndarray, "frames 128 2"],
    true: Float[np.ndarray, "frames 128 2"],
    shown: Bool[np.ndarray, "frames 128"],
) -> tuple[float, float]:
    """PCK@0.2 of body and of hands: the shares of shown points found within `NEAR` shoulder widths; NaN where none is.

    Args:
        found: In units of the frame, which is a square.
        true: The same.
        shown: Which points count.
    """
    shoulders = true[:, index("left_shoulder", "right_shoulder")]
    unit = np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1))
    near = np.linalg.norm(found - true, axis=-1) <= NEAR * unit
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    body, of_hands = (
        float(near[:, part][shown[:, part]].mean()) if shown[:, part].any() else float("nan")
        for part in (PARTS["body"], hands)
    )
    return body, of_hands
