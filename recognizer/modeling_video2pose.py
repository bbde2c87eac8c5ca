"""SignX's stage 2, Video2Pose (https://arxiv.org/abs/2504.16315): video frames to the latents that Pose2Gloss reads.

What its figure 2 fixes is kept; what it leaves open is listed with our choices in docs/signx-choices.md.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
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
        heatmaps: How likely each point lies in each cell of a grid over the frame, before softmax.
    """

    features: Float[torch.Tensor, "batch frames hidden"]
    keypoints: Float[torch.Tensor, "batch frames 128 2"]
    heatmaps: Float[torch.Tensor, "batch frames 128 rows columns"]

    def last(self, num_frames: int) -> "SeenFrames":
        """The last frames of it."""
        start = max(self.features.shape[1] - num_frames, 0)
        return SeenFrames(*(tensor[:, start:] for tensor in vars(self).values()))

    def followed_by(self, later: "SeenFrames") -> "SeenFrames":
        """Both, one after the other."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return SeenFrames(*(torch.cat(pair, dim=1) for pair in pairs))


class Residual(nn.Module):
    """Two convolutions, whose result is added to what they were given."""

    def __init__(self, size: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.GroupNorm(1, size),
            nn.ReLU(),
            nn.Conv2d(size, size, 3, padding=1),
            nn.GroupNorm(1, size),
            nn.ReLU(),
            nn.Conv2d(size, size, 3, padding=1),
        )

    def forward(
        self, hidden_states: Float[torch.Tensor, "frames channels rows columns"]
    ) -> Float[torch.Tensor, "frames channels rows columns"]:
        return hidden_states + self.convolutions(hidden_states)


class Stem(nn.ModuleList):
    """Convolutions that halve the picture ahead of patches, which learn from fewer pictures than patches alone do.

    As in https://arxiv.org/abs/2106.14881, with GroupNorm, which does not mix the clips of a batch.

    Args:
        sizes: Channels after each halving.
        blocks: Residual blocks after each; none if empty.
    """

    def __init__(self, sizes: Sequence[int], blocks: Sequence[int]):
        super().__init__(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.GroupNorm(1, after),
                nn.ReLU(),
                *(Residual(after) for _ in range(count)),
            )
            for (before, after), count in zip(itertools.pairwise((3, *sizes)), blocks or (0,) * len(sizes), strict=True)
        )

    def forward(self, pixel_values: Float[torch.Tensor, "frames 3 height width"]) -> list[torch.Tensor]:
        """The picture, and what becomes of it by every halving."""
        grids = [pixel_values]
        for stage in self:
            grids.append(stage(grids[-1]))
        return grids


class KeypointHead(nn.Module):
    """Finds points as the mean place of their heatmaps (https://arxiv.org/abs/1711.08229).

    The grid of patches is doubled by transposed convolutions, as in ViTPose (https://arxiv.org/abs/2204.12484); what
    the stem saw at the same resolution is added, as in a U-Net.

    Args:
        hidden_size: Of a patch.
        sizes: Channels after each doubling.
        skips: What the stem has at these resolutions; 0 where it has nothing.
    """

    def __init__(self, hidden_size: int, sizes: Sequence[int], skips: Sequence[int]):
        super().__init__()
        self.doubled = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            for before, after in itertools.pairwise((hidden_size, *sizes))
        )
        self.skipped = nn.ModuleList(
            nn.Conv2d(skip, size, 1) if skip else nn.Identity() for skip, size in zip(skips, sizes, strict=True)
        )
        self.mixed = nn.ModuleList(nn.Sequential(Residual(size), nn.GroupNorm(1, size), nn.ReLU()) for size in sizes)
        self.heatmaps = nn.Conv2d(sizes[-1] if sizes else hidden_size, NUM_KEYPOINTS, 1)

    def forward(
        self, patches: Float[torch.Tensor, "frames hidden rows columns"], skips: Sequence[torch.Tensor | None]
    ) -> tuple[Float[torch.Tensor, "frames 128 2"], Float[torch.Tensor, "frames 128 rows2 columns2"]]:
        grid = patches
        for doubled, skipped, mixed, skip in zip(self.doubled, self.skipped, self.mixed, skips, strict=True):
            grid = doubled(grid)
            grid = mixed(grid if skip is None else grid + skipped(skip))
        heatmaps = self.heatmaps(grid).float()
        centres = cell_centres(heatmaps.shape[-1], heatmaps.device)
        with torch.autocast(heatmaps.device.type, enabled=False):  # it would round places to bfloat16
            return torch.stack([side @ centres for side in heatmap_sides(heatmaps)], dim=-1), heatmaps


def cell_centres(count: int, device: torch.device) -> Float[torch.Tensor, " cells"]:
    """Where the middles of that many cells lie along a side of the frame."""
    return (torch.arange(count, device=device) + 0.5) / count


def heatmap_sides(heatmaps: Float[torch.Tensor, "*points side side"]) -> Float[torch.Tensor, "2 *points side"]:
    """How likely each point lies in each column, and in each row."""
    likely = heatmaps.flatten(-2).softmax(dim=-1).view_as(heatmaps)
    return torch.stack([likely.sum(dim=-2), likely.sum(dim=-1)])


def heatmap_spread(heatmaps: Float[torch.Tensor, "*points rows columns"]) -> Float[torch.Tensor, "*points"]:
    """How far, in shares of the frame, a point would lie from its heatmap's mean: the standard deviation."""
    centres, sides = cell_centres(heatmaps.shape[-1], heatmaps.device), heatmap_sides(heatmaps)
    return (sides @ centres.square() - (sides @ centres).square()).sum(dim=0).clamp(min=0).sqrt()


class SignXForVideo2Pose(PreTrainedModel):
    """Sees pose latents and keypoints in video: a vision transformer on frames, then a transformer over time."""

    config_class = Video2PoseConfig
    base_model_prefix = "video2pose"
    main_input_name = "pixel_values"

    def __init__(self, config: Video2PoseConfig):
        super().__init__(config)
        size, heads, between = config.hidden_size, config.num_attention_heads, config.intermediate_size
        shrunk = 2 ** len(config.stem_sizes)
        self.stem = Stem(config.stem_sizes, config.stem_blocks)
        vit = ViTConfig(
            hidden_size=size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=heads,
            intermediate_size=between,
            num_channels=(3, *config.stem_sizes)[-1],
            image_size=config.image_size // shrunk,
            patch_size=config.patch_size // shrunk,
        )
        self.vit = ViTModel(vit, add_pooling_layer=False)
        self.patches_per_side = config.image_size // config.patch_size
        self.stage_of_head = _stages_of_head(config)
        skips = [0 if stage is None else config.stem_sizes[stage - 1] for stage in self.stage_of_head]
        self.keypoint_head = KeypointHead(size, config.head_sizes, skips)
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
        stages = self.stem(pixel_values)
        tokens = self.vit(stages[-1]).last_hidden_state
        patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (self.patches_per_side, -1))
        skips = [None if stage is None else stages[stage] for stage in self.stage_of_head]
        keypoints, heatmaps = self.keypoint_head(patches, skips)
        embedded = self.keypoint_embedding(keypoints.flatten(1).to(tokens.dtype))
        return self.frame_norm(tokens[:, 0] + embedded), keypoints, heatmaps

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
        shift = self.correction(hidden_states).float().unflatten(-1, (-1, 2)) / self.patches_per_side
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
            shown = (confidence > 0) & mask[..., None]
            losses |= keypoint_losses(seen, output, keypoints, shown, mask, self.patches_per_side)
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


def _stages_of_head(config: Video2PoseConfig) -> list[int | None]:
    """For each doubling of the head, after how many halvings of the stem there was the same resolution."""
    patches = config.image_size // config.patch_size
    halved = {config.image_size // 2**stage: stage for stage in range(1, len(config.stem_sizes) + 1)}
    return [halved.get(patches * 2**doubling) for doubling in range(1, len(config.head_sizes) + 1)]


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
    patches_per_side: int,
) -> dict[str, Float[torch.Tensor, ""]]:
    """Distances in patches, and cross-entropies of the heatmap of each point and of whether the frame shows it.

    Distances are of both the frame's own estimate and the one that time has corrected. Parts count alike, whatever the
    number of their points.
    """
    assert output.keypoints is not None
    assert output.confidence is not None
    heatmap = heatmap_cross_entropy(seen.heatmaps, keypoints)
    apart = ((seen.keypoints - keypoints).abs() + (output.keypoints - keypoints).abs()).sum(dim=-1)
    distances, heatmaps = [], []
    for part in PARTS.values():
        count = shown[..., part].sum().clamp(min=1)
        distances.append((patches_per_side / 2 * apart[..., part] * shown[..., part]).sum() / count)
        heatmaps.append((heatmap[..., part] * shown[..., part]).sum() / count)
    return {
        "keypoint": torch.stack(distances).mean(),
        "heatmap": torch.stack(heatmaps).mean(),
        "confidence": -torch.where(shown, output.confidence, 1 - output.confidence)[mask].clamp(min=1e-6).log().mean(),
    }


def heatmap_cross_entropy(
    heatmaps: Float[torch.Tensor, "*frames 128 rows columns"], keypoints: Float[torch.Tensor, "*frames 128 2"]
) -> Float[torch.Tensor, "*frames 128"]:
    """Between heatmaps, before softmax, and a Gaussian around each point, whose deviation is one cell."""
    side = heatmaps.shape[-1]
    inside = keypoints.clamp(0, 1)[..., None]
    likely = (-0.5 * ((cell_centres(side, heatmaps.device) - inside) * side).square()).softmax(dim=-1)
    column, row = likely.unbind(dim=-2)
    with torch.autocast(heatmaps.device.type, enabled=False):
        expected = ((heatmaps @ column[..., None])[..., 0] * row).sum(dim=-1)
    return heatmaps.flatten(-2).logsumexp(dim=-1) - expected
