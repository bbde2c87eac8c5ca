"""SignX's stage 3 (https://arxiv.org/abs/2504.16315, figure 3): continuous recognition in the latent space.

What the figure fixes matches VAC (https://arxiv.org/abs/2104.02330) and SLTUNET (https://arxiv.org/abs/2305.01778);
what it leaves open is listed with our choices in docs/signx-choices.md.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from recognizer.beam_search import GlossSequences
from recognizer.configuration_cslr import SignXCSLRConfig
from recognizer.latents import (
    cross_covariance,
    distillation_loss,
    forced_alignment,
    pruning_mask,
    whiten_latents,
)
from recognizer.modeling_signx_decoders import (
    AutoregressiveDecoder,
    DecoderLayer,
    EncoderLayer,
    check_labels,
    ctc_loss,
    frame_mask,
    run_encoder,
)

FRAMES_PER_STEP = 4

COVARIANCE_SHARE = 0.01
"""What a training batch's covariance counts in the mean."""


@dataclass
class SignXCSLROutput(ModelOutput):
    """What `SignXForCSLR` gives back.

    Attributes:
        loss: The weighted sum of `losses`; only with `labels`.
        losses: Each loss by name, unweighted.
        latents: One for four frames, what the transformer reads.
        logits: The recurrent layers' scores of every gloss and, last, the blank.
    """

    loss: Float[torch.Tensor, ""] | None = None
    losses: dict[str, Float[torch.Tensor, ""]] | None = None
    latents: Float[torch.Tensor, "batch steps temporal"] | None = None
    logits: Float[torch.Tensor, "batch steps labels"] | None = None


@dataclass(frozen=True)
class CompiledLatents:
    """What algorithm 1 gives.

    Attributes:
        latents: Normalised, decorrelated from the frame before.
        alignment: The gloss of each frame, or as many as there are glosses for a blank; -100 for padding.
        mask: False for padding.
    """

    latents: Float[torch.Tensor, "batch frames latent"]
    alignment: Int[torch.Tensor, "batch frames"]
    mask: Bool[torch.Tensor, "batch frames"]


def out_length(num_frames: int) -> int:
    """Latent steps of a clip: one for every four frames, the last ones perhaps fewer."""
    return -(-num_frames // FRAMES_PER_STEP)


class TemporalConv(nn.Module):
    """Convolution over five frames, halving, and both again; padded so that `out_length` steps come out."""

    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.conv1 = nn.Conv1d(input_size, output_size, 5)
        self.conv2 = nn.Conv1d(output_size, output_size, 5)
        self.norm1 = nn.LayerNorm(output_size)
        self.norm2 = nn.LayerNorm(output_size)

    def forward(
        self, hidden_states: Float[torch.Tensor, "batch frames features"]
    ) -> Float[torch.Tensor, "batch steps temporal"]:
        frames = hidden_states.shape[1]
        behind = FRAMES_PER_STEP * out_length(frames) - frames + 6
        hidden_states = F.pad(hidden_states, (0, 0, 6, behind)).transpose(1, 2)
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            hidden_states = F.relu(norm(conv(hidden_states).transpose(1, 2))).transpose(1, 2)
            hidden_states = F.max_pool1d(hidden_states, 2)
        return hidden_states.transpose(1, 2)


class NormLinear(nn.Module):
    """A linear classifier whose rows all have length 1, shared by convolution and recurrent layers."""

    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(output_size, input_size))
        nn.init.xavier_uniform_(self.weight)

    def forward(
        self, hidden_states: Float[torch.Tensor, "batch steps temporal"]
    ) -> Float[torch.Tensor, "batch steps labels"]:
        return F.linear(hidden_states, F.normalize(self.weight, dim=-1))


class SignXForCSLR(PreTrainedModel):
    """Reads glosses from frame features and pose latents: mixer, temporal convolution, BiLSTM, transformer."""

    config_class = SignXCSLRConfig
    base_model_prefix = "signx_cslr"
    main_input_name = "features"

    def __init__(self, config: SignXCSLRConfig):
        super().__init__(config)
        num_glosses, size = len(config.glosses), config.temporal_size
        layer = (config.hidden_size, config.num_attention_heads, config.intermediate_size, config.dropout)
        self.register_buffer("latent_mask", torch.ones(config.latent_size))
        square = torch.zeros(config.latent_size, config.latent_size) if config.covariance else None
        self.register_buffer("covariance", square)
        self.latent_projection = nn.Linear(config.latent_size, config.feature_size)
        self.mix = nn.Parameter(torch.zeros(1))
        self.conv = TemporalConv(config.feature_size, size)
        self.recurrent = nn.LSTM(size, size // 2, config.num_recurrent_layers, bidirectional=True, batch_first=True)
        self.classifier = NormLinear(size, num_glosses + 1)
        self.encoder_input = nn.Linear(size, config.hidden_size)
        self.encoder_layers = nn.ModuleList(EncoderLayer(*layer) for _ in range(config.num_encoder_layers))
        self.encoder_norm = nn.LayerNorm(config.hidden_size)
        self.decoder = AutoregressiveDecoder(
            num_glosses,
            config.max_glosses,
            config.hidden_size,
            [DecoderLayer(*layer) for _ in range(config.num_decoder_layers)],
            label_smoothing=config.label_smoothing,
            ctc=True,
        )
        self.post_init()

    def prune(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        attention_mask: Int[torch.Tensor, "batch frames"],
        *,
        threshold: float = 1e-4,
    ) -> None:
        """Algorithm 2: stops reading latent dimensions that hardly vary; no shape changes, and it is saved."""
        kept = pruning_mask(latents, attention_mask.bool(), threshold=threshold)
        self.latent_mask = self.latent_mask * kept.to(self.latent_mask.device)  # which a batch may not be on yet

    def _latent_steps(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        mask: Bool[torch.Tensor, "batch frames"],
        features: Float[torch.Tensor, "batch frames features"] | None,
    ) -> tuple[
        Float[torch.Tensor, "batch steps temporal"],
        Float[torch.Tensor, "batch steps temporal"],
        Bool[torch.Tensor, "batch steps"],
    ]:
        """The temporal convolution's and the recurrent layers' outputs, and which of their steps are of the clip."""
        if self.training and self.covariance is not None:
            found = cross_covariance(latents.detach(), mask)
            self.covariance.lerp_(found.to(self.covariance.dtype), COVARIANCE_SHARE)
        whitened = whiten_latents(latents, mask, whitening=self.config.whitening, covariance=self.covariance)
        whitened = whitened * self.latent_mask
        mixed = self.latent_projection(whitened)
        if features is not None:
            share = self.mix.sigmoid()
            mixed = share * features + (1 - share) * mixed
        kept = mask
        if self.training:
            kept = mask & (torch.rand(mask.shape, device=mask.device) >= self.config.frame_drop)
        convolved = self.conv(torch.where(kept[..., None], mixed, 0))
        steps = -(-mask.sum(dim=1) // FRAMES_PER_STEP)
        step_mask = torch.arange(convolved.shape[1], device=mask.device) < steps[:, None]
        packed = pack_padded_sequence(convolved, steps.cpu(), batch_first=True, enforce_sorted=False)
        recurrent, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=len(step_mask[0]))
        return convolved, recurrent, step_mask

    def _encode(
        self, latents: Float[torch.Tensor, "batch steps temporal"], mask: Bool[torch.Tensor, "batch steps"]
    ) -> Float[torch.Tensor, "batch steps hidden"]:
        return run_encoder(self.encoder_input(latents), mask, self.encoder_layers, self.encoder_norm)

    def forward(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        labels: Int[torch.Tensor, "batch glosses"] | None = None,
        features: Float[torch.Tensor, "batch frames features"] | None = None,
        teacher_forcing: float | int | Float[torch.Tensor, ""] = 1.0,
    ) -> SignXCSLROutput:
        """Encodes clips, and with `labels` gives the losses.

        Args:
            latents: Of Pose2Gloss or Video2Pose.
            attention_mask: 1 for frames of the clip, 0 for padding.
            labels: Gloss numbers in order, padded with -100.
            features: Of a network on the pixels, such as ResNet34's before its classifier, to be mixed with latents;
                without them, latents alone are read.
            teacher_forcing: See `AutoregressiveDecoder.forward`.

        Raises:
            ValueError: `labels` are no glosses of the vocabulary, or a clip has none, too many, or too few frames.
        """
        if labels is not None:
            check_labels(labels, len(self.config.glosses), self.config.max_glosses)
        mask = frame_mask(latents, attention_mask)
        convolved, recurrent, step_mask = self._latent_steps(latents, mask, features)
        conv_logits, logits = self.classifier(convolved), self.classifier(recurrent)
        if labels is None:
            return SignXCSLROutput(latents=recurrent, logits=logits)
        # In the paper the transformer is trained on stored latents: its losses don't reach what comes before.
        hidden_states = self._encode(recurrent.detach(), step_mask)
        losses = {
            "conv_ctc": ctc_loss(conv_logits, step_mask, labels),
            "sequence_ctc": ctc_loss(logits, step_mask, labels),
            "distillation": distillation_loss(
                conv_logits, logits, step_mask, temperature=self.config.distillation_temperature
            ),
        }
        losses |= self.decoder(hidden_states, step_mask, labels, teacher_forcing)
        del losses["word_match"]  # a loss of stage 1
        weighted = [getattr(self.config, f"{name}_loss_weight") * loss for name, loss in losses.items()]
        return SignXCSLROutput(torch.stack(weighted).sum(), losses, recurrent, logits)

    @torch.no_grad()
    def align(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        labels: Int[torch.Tensor, "batch glosses"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
    ) -> CompiledLatents:
        """Algorithm 1 on clips whose glosses are known: which gloss is signed when, as the recurrent layers find it.

        All but its third line, the dropping of frames, which is for training.

        Args:
            latents: Of Pose2Gloss or Video2Pose.
            labels: Gloss numbers in order, padded with -100.
            attention_mask: 1 for frames of the clip, 0 for padding.

        Raises:
            ValueError: A clip has fewer frames than glosses and the blanks between repeated ones.
        """
        mask = frame_mask(latents, attention_mask)
        log_probs = self(latents, attention_mask).logits.log_softmax(dim=-1)
        per_frame = log_probs.repeat_interleave(FRAMES_PER_STEP, dim=1)[:, : mask.shape[1]]
        alignment = torch.full(mask.shape, -100, device=mask.device)
        for row, (scores, frames, glosses) in enumerate(zip(per_frame, mask, labels, strict=True)):
            alignment[row, frames] = forced_alignment(scores[frames], glosses[glosses >= 0])
        whitened = whiten_latents(latents, mask, whitening=self.config.whitening, covariance=self.covariance)
        return CompiledLatents(whitened, alignment, mask)

    def glosses(self, sequences: GlossSequences) -> list[tuple[str, ...]]:
        """The names of what `generate` found."""
        names = self.config.glosses
        return [tuple(names[label] for label in row if label >= 0) for row in sequences.labels.tolist()]

    @torch.no_grad()
    def generate(
        self,
        latents: Float[torch.Tensor, "batch frames latent"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        features: Float[torch.Tensor, "batch frames features"] | None = None,
        *,
        ctc_weight: float | int = 0.3,
        **options: Any,
    ) -> GlossSequences:
        """Reads clips by algorithm 3; `options` are the others of `AutoregressiveDecoder.generate`."""
        mask = frame_mask(latents, attention_mask)
        _, recurrent, step_mask = self._latent_steps(latents, mask, features)
        encoded = self._encode(recurrent, step_mask)
        return self.decoder.generate(encoded, step_mask, ctc_weight=ctc_weight, **options)
