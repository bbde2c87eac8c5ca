"""SignX's Pose2Gloss (https://arxiv.org/abs/2504.16315): five pose tracks, fused to one latent, read as glosses.

No code or weights of SignX are public. What its figures fix is kept; what they leave open is listed with our choices in
docs/signx-choices.md.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from poses.keypoints import HAND
from recognizer.beam_search import GlossSequences
from recognizer.configuration_signx import SignXConfig
from recognizer.modeling_signx_decoders import (
    Attention,
    AutoregressiveDecoder,
    CTCDecoder,
    DecoderLayer,
    DiffusionDecoder,
    EncoderLayer,
    check_labels,
    frame_mask,
    run_encoder,
)
from recognizer.tracks import HANDS, NUM_FEATURES, TRACKS, track_size


@dataclass
class SignXOutput(ModelOutput):
    """What `SignXForPose2Gloss` gives back.

    Attributes:
        loss: The weighted sum of `losses`; only with `labels`.
        losses: Each loss by name, unweighted.
        latents: The pose latent of every frame that is read, ahead of the codebook.
    """

    loss: Float[torch.Tensor, ""] | None = None
    losses: dict[str, Float[torch.Tensor, ""]] | None = None
    latents: Float[torch.Tensor, "batch steps latent"] | None = None


def from_wrists(features: Float[torch.Tensor, "*frames 1959"]) -> Float[torch.Tensor, "*frames 1959"]:
    """Counts the fingers of both pose tracks from their wrist; what was not seen stays 0.

    The shape of a hand is small beside where the hand is: only once counted apart does it weigh as much when each
    number is standardised.
    """
    features = features.clone()
    for first, size in HANDS:
        where = slice(first, first + len(HAND) * size)
        points = features[..., where].unflatten(-1, (len(HAND), size))
        wrist, fingers = points[..., :1, :], points[..., 1:, :]
        seen = (fingers != 0).any(dim=-1, keepdim=True) & (wrist != 0).any(dim=-1, keepdim=True)
        features[..., where] = torch.cat([wrist, torch.where(seen, fingers - wrist, 0)], dim=-2).flatten(-2)
    return features


def check_tracks(features: Float[torch.Tensor, "batch frames 1959"], mask: Bool[torch.Tensor, "batch frames"]) -> None:
    """Refuses clips that show nothing to be read, or something broken.

    Args:
        features: See `recognizer.tracks`; NaN where a track is missing.
        mask: False where a clip was padded.

    Raises:
        ValueError: A clip has no track in any frame, or a frame only a part of a track's numbers.
    """
    there = torch.zeros_like(mask)
    for name, where in TRACKS.items():
        missing, finite = features[..., where].isnan().all(dim=-1), features[..., where].isfinite().all(dim=-1)
        if (broken := (mask & ~missing & ~finite).any(dim=1)).any():
            row = int(broken.nonzero()[0])
            raise ValueError(f"`features` must be finite or all NaN in a track, got both in {name} of clip {row}.")
        there |= mask & finite
    if (empty := ~there.any(dim=1)).any():
        raise ValueError(f"`features` must show a track in every clip, got none in clip {int(empty.nonzero()[0])}.")


class SignXFusion(nn.Module):
    """Lets the five tracks of a frame attend to each other, and keeps their 1959 places.

    A track that is missing is asked but not listened to: a learned token stands for it, and what the other tracks say
    fills its place.
    """

    def __init__(self, config: SignXConfig):
        super().__init__()
        size = config.fusion_size
        self.register_buffer("mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("std", torch.ones(NUM_FEATURES))
        self.inputs = nn.ModuleDict({name: nn.Linear(track_size(name), size) for name in TRACKS})
        self.norms = nn.ModuleDict({name: nn.LayerNorm(size) for name in TRACKS})
        self.outputs = nn.ModuleDict({name: nn.Linear(size, track_size(name)) for name in TRACKS})
        self.track_embedding = nn.Embedding(len(TRACKS), size)
        self.missing = nn.Embedding(len(TRACKS), size)
        self.norm = nn.LayerNorm(size)
        self.attention = Attention(size, config.num_fusion_heads, config.dropout)

    def forward(self, features: Float[torch.Tensor, "batch frames 1959"]) -> Float[torch.Tensor, "batch frames 1959"]:
        features = from_wrists(features)
        there = ~features[..., [where.start for where in TRACKS.values()]].isnan()
        standard = torch.where(features.isnan(), 0, (features - self.mean) / self.std)
        tokens = [norm(self.inputs[name](standard[..., TRACKS[name]])) for name, norm in self.norms.items()]
        tokens = torch.where(there[..., None], torch.stack(tokens, dim=-2), self.missing.weight)
        tokens = (tokens + self.track_embedding.weight).flatten(0, 1)
        # A frame without any track has nothing to listen to but the tokens of what it lacks.
        mask = (there | ~there.any(dim=-1, keepdim=True)).flatten(0, 1)
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed, mask[:, None])[0]
        fused = [self.outputs[name](tokens[:, number]) for number, name in enumerate(TRACKS)]
        return standard + torch.cat(fused, dim=-1).unflatten(0, features.shape[:2])


class SignXCodebook(nn.Module):
    """Describes every frame by entries of a learned dictionary, as a mixture or, where it is hard, as the nearest one.

    Hard entries are trained as in VQ-VAE (https://arxiv.org/abs/1711.00937), straight through.
    """

    def __init__(self, config: SignXConfig):
        super().__init__()
        self.hard = config.codebook_hard
        self.query = nn.Linear(config.latent_size, config.codebook_dim)
        self.query_norm = nn.LayerNorm(config.codebook_dim, elementwise_affine=False)
        self.entries = nn.Parameter(torch.randn(config.codebook_size, config.codebook_dim))
        self.norm = nn.LayerNorm(config.codebook_dim)
        self.output = nn.Linear(config.codebook_dim, config.latent_size)

    def forward(
        self, latents: Float[torch.Tensor, "batch frames latent"], mask: Bool[torch.Tensor, "batch frames"]
    ) -> tuple[Float[torch.Tensor, "batch frames latent"], dict[str, Float[torch.Tensor, ""]]]:
        """Gives the described latents and, where the codebook is hard, the losses that bring both together."""
        query = self.query_norm(self.query(latents))
        if not self.hard:
            weights = (query @ self.entries.T / math.sqrt(query.shape[-1])).softmax(dim=-1)
            return self.output(self.norm(weights @ self.entries)), {}
        nearest = self.entries[torch.cdist(query, self.entries[None]).argmin(dim=-1)]
        apart = {
            "codebook": ((nearest - query.detach()) ** 2).mean(dim=-1)[mask].mean(),
            "commitment": ((nearest.detach() - query) ** 2).mean(dim=-1)[mask].mean(),
        }
        straight_through = query + (nearest - query).detach()
        return self.output(self.norm(straight_through)), apart


def contrastive_loss(
    clips: Float[torch.Tensor, "batch hidden"],
    texts: Float[torch.Tensor, "batch hidden"],
    same: Bool[torch.Tensor, "batch batch"],
    temperature: float | int,
) -> Float[torch.Tensor, ""]:
    """Symmetric InfoNCE: each clip is to find its text among the batch's, and each text its clip.

    Args:
        clips: A vector for each clip.
        texts: A vector for each clip's glosses.
        same: Which clips have the same glosses: finding any of them is right.
        temperature: The lower, the more the nearest wrong ones count.
    """
    scores = F.normalize(clips, dim=-1) @ F.normalize(texts, dim=-1).T / temperature
    found = [side.log_softmax(dim=-1).masked_fill(~same, -torch.inf).logsumexp(dim=-1) for side in (scores, scores.T)]
    return -torch.stack(found).mean()


class SignXForPose2Gloss(PreTrainedModel):
    """Reads glosses from the pose tracks of `recognizer.tracks`, by the decoder that the configuration names."""

    config_class = SignXConfig
    base_model_prefix = "signx"
    main_input_name = "features"

    def __init__(self, config: SignXConfig):
        super().__init__(config)
        self.fusion = SignXFusion(config)
        self.projection = nn.Sequential(
            nn.Linear(NUM_FEATURES, config.latent_size), nn.LayerNorm(config.latent_size), nn.GELU()
        )
        self.codebook = SignXCodebook(config)
        # Without the norm, positions drown what frames say: by its initial weights a latent is a twentieth as large.
        self.encoder_input = nn.Sequential(
            nn.Linear(config.latent_size, config.hidden_size), nn.LayerNorm(config.hidden_size)
        )
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(config.hidden_size, config.num_attention_heads, config.intermediate_size, config.dropout)
            for _ in range(config.num_encoder_layers)
        )
        self.encoder_norm = nn.LayerNorm(config.hidden_size)
        self.decoder = _decoder(config)
        self.clip_projection = nn.Linear(config.latent_size, config.hidden_size)
        self.gloss_embedding = nn.Embedding(len(config.glosses), config.hidden_size)
        self.post_init()

    def set_statistics(self, mean: Float32[np.ndarray, " 1959"], std: Float32[np.ndarray, " 1959"]) -> None:
        """Standardises with the `track_statistics` of training clips, `from_wrists` applied; saved as weights."""
        self.fusion.mean.copy_(torch.from_numpy(mean))
        self.fusion.std.copy_(torch.from_numpy(std))

    def encode(self, features: Float[torch.Tensor, "batch frames 1959"]) -> Float[torch.Tensor, "batch frames latent"]:
        """The pose latent of every frame on its own; `features` are NaN where a track is missing."""
        return self.projection(self.fusion(features))

    def _read_frames(
        self,
        features: Float[torch.Tensor, "batch frames 1959"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None,
    ) -> tuple[Float[torch.Tensor, "batch steps 1959"], Bool[torch.Tensor, "batch steps"]]:
        """The frames that are read, and which of them are of the clip."""
        mask = frame_mask(features, attention_mask)
        return features[:, :: self.config.frame_stride], mask[:, :: self.config.frame_stride]

    def _read(
        self, latents: Float[torch.Tensor, "batch frames latent"], mask: Bool[torch.Tensor, "batch frames"]
    ) -> Float[torch.Tensor, "batch frames hidden"]:
        return run_encoder(self.encoder_input(latents), mask, self.encoder_layers, self.encoder_norm)

    def forward(
        self,
        features: Float[torch.Tensor, "batch frames 1959"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        labels: Int[torch.Tensor, "batch glosses"] | None = None,
        teacher_forcing: float | int | Float[torch.Tensor, ""] = 1.0,
    ) -> SignXOutput:
        """Encodes clips, and with `labels` gives the losses.

        Args:
            features: See `recognizer.tracks`; NaN where a track is missing.
            attention_mask: 1 for frames of the clip, 0 for padding.
            labels: Gloss numbers in order, padded with -100.
            teacher_forcing: See `AutoregressiveDecoder.forward`; the other decoders feed nothing back.

        Raises:
            ValueError: `labels` are no glosses of the vocabulary, or a clip has none or too many.
        """
        features, mask = self._read_frames(features, attention_mask)
        latents = self.encode(features)
        if labels is None:
            return SignXOutput(latents=latents)
        losses = self.losses(latents, mask, labels, teacher_forcing)
        weighted = [getattr(self.config, f"{name}_loss_weight", 1) * loss for name, loss in losses.items()]
        return SignXOutput(loss=torch.stack(weighted).sum(), losses=losses, latents=latents)

    def losses(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        mask: Bool[torch.Tensor, "batch frames"],
        labels: Int[torch.Tensor, "batch glosses"],
        teacher_forcing: float | int | Float[torch.Tensor, ""] = 1.0,
    ) -> dict[str, Float[torch.Tensor, ""]]:
        """Each loss of reading glosses from latents, whoever made them; see `forward`.

        Args:
            latents: Of the frames that are read: every `config.frame_stride`th.
            mask: False where a clip was padded.
            labels: Gloss numbers in order, padded with -100.
            teacher_forcing: See `forward`.
        """
        check_labels(labels, len(self.config.glosses), self.config.max_glosses)
        described, losses = self.codebook(latents, mask)
        hidden_states = self._read(described, mask)
        if isinstance(self.decoder, AutoregressiveDecoder):
            losses |= self.decoder(hidden_states, mask, labels, teacher_forcing)
        else:
            losses |= self.decoder(hidden_states, mask, labels)
        losses["contrastive"] = self._contrastive_loss(described, mask, labels)
        return losses

    def _contrastive_loss(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        mask: Bool[torch.Tensor, "batch frames"],
        labels: Int[torch.Tensor, "batch glosses"],
    ) -> Float[torch.Tensor, ""]:
        given = (labels >= 0)[..., None]
        clips = (latents * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        texts = (self.gloss_embedding(labels.clamp(min=0)) * given).sum(dim=1) / given.sum(dim=1)
        same = (labels[:, None] == labels[None]).all(dim=-1)
        return contrastive_loss(self.clip_projection(clips), texts, same, self.config.contrastive_temperature)

    @torch.no_grad()
    def generate(
        self,
        features: Float[torch.Tensor, "batch frames 1959"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        **options,
    ) -> GlossSequences:
        """Reads clips.

        Args:
            features: See `recognizer.tracks`; NaN where a track is missing.
            attention_mask: 1 for frames of the clip, 0 for padding.
            **options: Those of the decoder's `generate`: `num_inference_steps`, `temperature` and `generator` for
                `"diffusion"`; `num_beams`, `length_penalty`, `entropy_weight` and `ctc_weight` for `"autoregressive"`;
                `num_beams` for `"ctc"`.

        Raises:
            ValueError: A clip shows no track, or a frame has only a part of a track's numbers.
        """
        features, mask = self._read_frames(features, attention_mask)
        check_tracks(features, mask)
        described, _ = self.codebook(self.encode(features), mask)
        return self.decoder.generate(self._read(described, mask), mask, **options)

    def glosses(self, sequences: GlossSequences) -> list[tuple[str, ...]]:
        """The names of what `generate` found."""
        names = self.config.glosses
        return [tuple(names[label] for label in row if label >= 0) for row in sequences.labels.tolist()]


def _decoder(config: SignXConfig) -> DiffusionDecoder | AutoregressiveDecoder | CTCDecoder:
    sizes = (len(config.glosses), config.max_glosses, config.hidden_size)
    layer = (config.hidden_size, config.num_attention_heads, config.intermediate_size, config.dropout)
    if config.decoder_type == "ctc":
        return CTCDecoder(*sizes, [EncoderLayer(*layer) for _ in range(config.num_decoder_layers)])
    layers = [DecoderLayer(*layer) for _ in range(config.num_decoder_layers)]
    if config.decoder_type == "diffusion":
        return DiffusionDecoder(*sizes, layers)
    return AutoregressiveDecoder(*sizes, layers, label_smoothing=config.label_smoothing, ctc=config.ctc_loss_weight > 0)
