"""SignX's stage 2, Video2Pose (https://arxiv.org/abs/2504.16315): video frames to the latents that Pose2Gloss reads.

What its figure 2 fixes is kept; what it leaves open is listed with our choices in docs/signx-choices.md.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers.modeling_utils import PreTrainedModel
from transformers.models.vit.configuration_vit import ViTConfig
from transformers.models.vit.modeling_vit import ViTModel
from transformers.utils.generic import ModelOutput

from poses.keypoints import NUM_KEYPOINTS, PARTS
from recognizer.configuration_video2pose import Video2PoseConfig
from recognizer.modeling_signx_decoders import EncoderLayer, frame_mask


@dataclass
class Video2PoseOutput(ModelOutput):
    """What `SignXForVideo2Pose` gives back.

    Attributes:
        loss: The weighted sum of `losses`; only where something was given to be learned.
        losses: Each loss by name, unweighted.
        latents: The pose latent of every frame, as Pose2Gloss has it ahead of its codebook.
        keypoints: x / frame width and y / frame height of the 128 points.
        confidence: How surely each lies in the frame, 0 to 1.
    """

    loss: Float[torch.Tensor, ""] | None = None
    losses: dict[str, Float[torch.Tensor, ""]] | None = None
    latents: Float[torch.Tensor, "batch frames latent"] | None = None
    keypoints: Float[torch.Tensor, "batch frames 128 2"] | None = None
    confidence: Float[torch.Tensor, "batch frames 128"] | None = None


@dataclass(frozen=True)
class SeenFrames:
    """What the vision transformer finds in each frame by itself.

    Attributes:
        features: One vector a frame.
        keypoints: Of the 128 points, as in `Video2PoseOutput`.
        patch_logits: How likely each point lies in each patch, before softmax.
    """

    features: Float[torch.Tensor, "batch frames hidden"]
    keypoints: Float[torch.Tensor, "batch frames 128 2"]
    patch_logits: Float[torch.Tensor, "batch frames patches 128"]

    def last(self, num_frames: int) -> "SeenFrames":
        """The last frames of it."""
        start = max(self.features.shape[1] - num_frames, 0)
        return SeenFrames(*(tensor[:, start:] for tensor in vars(self).values()))

    def followed_by(self, later: "SeenFrames") -> "SeenFrames":
        """Both, one after the other."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return SeenFrames(*(torch.cat(pair, dim=1) for pair in pairs))


class KeypointHead(nn.Module):
    """Finds points as the mean place, over patches, of where each patch says that they are.

    The mean over a softmax is that of integral pose regression (https://arxiv.org/abs/1711.08229); that each patch also
    says how far off the point lies makes up for the patches being few.
    """

    def __init__(self, hidden_size: int, patches_per_side: int):
        super().__init__()
        self.logits = nn.Linear(hidden_size, NUM_KEYPOINTS)
        self.offsets = nn.Linear(hidden_size, 2 * NUM_KEYPOINTS)
        across = (torch.arange(patches_per_side) + 0.5) / patches_per_side
        centres = torch.stack([across.repeat(patches_per_side), across.repeat_interleave(patches_per_side)], dim=-1)
        self.register_buffer("centres", centres)
        self.scale = 1 / patches_per_side

    def forward(
        self, patches: Float[torch.Tensor, "frames patches hidden"]
    ) -> tuple[Float[torch.Tensor, "frames 128 2"], Float[torch.Tensor, "frames patches 128"]]:
        logits = self.logits(patches).float()
        places = self.centres[:, None] + self.scale * self.offsets(patches).float().unflatten(-1, (-1, 2))
        return (logits.softmax(dim=1)[..., None] * places).sum(dim=1), logits


class SignXForVideo2Pose(PreTrainedModel):
    """Sees pose latents and keypoints in video: a vision transformer on frames, then a transformer over time."""

    config_class = Video2PoseConfig
    base_model_prefix = "video2pose"
    main_input_name = "pixel_values"

    def __init__(self, config: Video2PoseConfig):
        super().__init__(config)
        size, heads, between = config.hidden_size, config.num_attention_heads, config.intermediate_size
        channels = (3, *config.stem_sizes)
        shrunk = 2 ** len(config.stem_sizes)
        self.stem = _stem(channels)
        vit = ViTConfig(
            hidden_size=size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=heads,
            intermediate_size=between,
            num_channels=channels[-1],
            image_size=config.image_size // shrunk,
            patch_size=config.patch_size // shrunk,
        )
        self.vit = ViTModel(vit, add_pooling_layer=False)
        self.keypoint_head = KeypointHead(size, config.image_size // config.patch_size)
        self.keypoint_embedding = nn.Linear(2 * NUM_KEYPOINTS, size)
        self.frame_norm = nn.LayerNorm(size)
        self.order = nn.Conv1d(size, size, 3, padding=1, groups=size)
        self.temporal_layers = nn.ModuleList(
            EncoderLayer(size, heads, between, config.dropout) for _ in range(config.num_temporal_layers)
        )
        self.temporal_norm = nn.LayerNorm(size)
        self.latent_head = nn.Linear(size, config.latent_size)
        self.correction = nn.Linear(size, 2 * NUM_KEYPOINTS)
        self.confidence_head = nn.Linear(size, NUM_KEYPOINTS)
        self.post_init()

    def see(self, pixel_values: Float[torch.Tensor, "batch frames 3 height width"]) -> SeenFrames:
        """What each frame shows by itself, `config.chunk_frames` frames at once."""
        batch, frames = pixel_values.shape[:2]
        chunks = pixel_values.flatten(0, 1).split(self.config.chunk_frames)
        recompute = self.training and len(chunks) > 1
        seen = [
            checkpoint(self._see, chunk, use_reentrant=False) if recompute else self._see(chunk) for chunk in chunks
        ]
        return SeenFrames(*(torch.cat(parts).unflatten(0, (batch, frames)) for parts in zip(*seen, strict=True)))

    def _see(self, pixel_values: Float[torch.Tensor, "frames 3 height width"]) -> tuple[torch.Tensor, ...]:
        tokens = self.vit(self.stem(pixel_values)).last_hidden_state
        keypoints, patch_logits = self.keypoint_head(tokens[:, 1:])
        embedded = self.keypoint_embedding(keypoints.flatten(1).to(tokens.dtype))
        return self.frame_norm(tokens[:, 0] + embedded), keypoints, patch_logits

    def follow(self, seen: SeenFrames, mask: Bool[torch.Tensor, "batch frames"] | None = None) -> Video2PoseOutput:
        """What frames mean to each other: of each, `config.temporal_reach` others on both sides matter.

        Args:
            seen: What frames show.
            mask: False where a clip was padded.
        """
        if mask is None:
            mask = torch.ones(seen.features.shape[:2], dtype=torch.bool, device=seen.features.device)
        frames = torch.arange(mask.shape[1], device=mask.device)
        apart = (frames[:, None] - frames).abs()
        # A padded frame, whose result nobody reads, sees itself, so that it sees something.
        near = (mask[:, None] & (apart <= self.config.temporal_window)) | (apart == 0)
        hidden_states = torch.where(mask[..., None], seen.features, 0)
        hidden_states = hidden_states + self.order(hidden_states.transpose(1, 2)).transpose(1, 2)
        for layer in self.temporal_layers:
            hidden_states = layer(hidden_states, near)
        hidden_states = self.temporal_norm(hidden_states)
        shift = self.keypoint_head.scale * self.correction(hidden_states).unflatten(-1, (-1, 2))
        return Video2PoseOutput(
            latents=self.latent_head(hidden_states),
            keypoints=seen.keypoints + shift,
            confidence=self.confidence_head(hidden_states).float().sigmoid(),
        )

    def forward(
        self,
        pixel_values: Float[torch.Tensor, "batch frames 3 height width"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        latents: Float[torch.Tensor, "batch frames latent"] | None = None,
        keypoints: Float[torch.Tensor, "batch frames 128 2"] | None = None,
        confidence: Float[torch.Tensor, "batch frames 128"] | None = None,
    ) -> Video2PoseOutput:
        """Sees clips, and gives the losses of what is given to be learned.

        Args:
            pixel_values: See `recognizer.processing_video2pose`.
            attention_mask: 1 for frames of the clip, 0 for padding.
            latents: Of a frozen Pose2Gloss.
            keypoints: See `Video2PoseOutput`.
            confidence: Above 0 where `keypoints` hold a point that the frame shows.
        """
        mask = frame_mask(pixel_values.flatten(2), attention_mask)
        seen = self.see(pixel_values)
        output = self.follow(seen, mask)
        assert output.latents is not None
        losses = {}
        if latents is not None:
            losses |= latent_losses(output.latents, latents, mask)
        if keypoints is not None and confidence is not None:
            losses |= keypoint_losses(seen, output, keypoints, (confidence > 0) & mask[..., None], mask)
        if losses:
            weighted = [getattr(self.config, f"{name}_loss_weight") * loss for name, loss in losses.items()]
            output.loss, output.losses = torch.stack(weighted).sum(), losses
        return output

    @torch.no_grad()
    def stream(self, chunks: Iterable[Float[torch.Tensor, "_ 3 height width"]]) -> Iterator[Video2PoseOutput]:
        """Sees one clip of any length in bounded memory: the same as `forward`, some frames behind.

        Args:
            chunks: Its frames, some at a time.

        Yields:
            Some frames at a time, as a batch of one clip.
        """
        reach, known, given = self.config.temporal_reach, None, 0
        for chunk in chunks:
            seen = self.see(chunk[None])
            known = seen if known is None else known.followed_by(seen)
            certain = known.features.shape[1] - reach
            if certain > given:
                yield _frames_of(self.follow(known), given, certain)
                known = known.last(2 * reach)
                given = known.features.shape[1] - reach
        if known is not None and known.features.shape[1] > given:
            yield _frames_of(self.follow(known), given, known.features.shape[1])


def _frames_of(output: Video2PoseOutput, start: int, stop: int) -> Video2PoseOutput:
    return Video2PoseOutput(**{name: tensor[:, start:stop] for name, tensor in output.items()})


def _stem(channels: tuple[int, ...]) -> nn.Sequential:
    """Convolutions that halve the picture ahead of patches, which learn from fewer pictures than patches alone do.

    As in https://arxiv.org/abs/2106.14881, with GroupNorm, which does not mix the clips of a batch.
    """
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(1, after), nn.ReLU()]
    return nn.Sequential(*layers)


def latent_losses(
    found: Float[torch.Tensor, "batch frames latent"],
    true: Float[torch.Tensor, "batch frames latent"],
    mask: Bool[torch.Tensor, "batch frames"],
) -> dict[str, Float[torch.Tensor, ""]]:
    """How far latents are from Pose2Gloss's (smooth L1), and how far they point elsewhere (one minus the cosine)."""
    found, true = found[mask].float(), true[mask].float()
    return {
        "latent": F.smooth_l1_loss(found, true),
        "direction": (1 - F.cosine_similarity(found, true, dim=-1)).mean(),
    }


def keypoint_losses(
    seen: SeenFrames,
    output: Video2PoseOutput,
    keypoints: Float[torch.Tensor, "batch frames 128 2"],
    shown: Bool[torch.Tensor, "batch frames 128"],
    mask: Bool[torch.Tensor, "batch frames"],
) -> dict[str, Float[torch.Tensor, ""]]:
    """Distances in patches, and cross-entropies of the patch of each point and of whether the frame shows it.

    Distances are of both the frame's own estimate and the one that time has corrected. Parts count alike, whatever the
    number of their points.
    """
    assert output.keypoints is not None
    assert output.confidence is not None
    per_side = round(seen.patch_logits.shape[2] ** 0.5)
    column, row = (keypoints.clamp(0, 1 - 1e-6) * per_side).long().unbind(dim=-1)
    patch = F.cross_entropy(
        seen.patch_logits.flatten(0, 1), (row * per_side + column).flatten(0, 1), reduction="none"
    ).view_as(shown)
    apart = ((seen.keypoints - keypoints).abs() + (output.keypoints - keypoints).abs()).sum(dim=-1)
    distances, patches = [], []
    for part in PARTS.values():
        count = shown[..., part].sum().clamp(min=1)
        distances.append((per_side / 2 * apart[..., part] * shown[..., part]).sum() / count)
        patches.append((patch[..., part] * shown[..., part]).sum() / count)
    return {
        "keypoint": torch.stack(distances).mean(),
        "patch": torch.stack(patches).mean(),
        "confidence": -torch.where(shown, output.confidence, 1 - output.confidence)[mask].clamp(min=1e-6).log().mean(),
    }
