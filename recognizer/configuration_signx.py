"""Configuration of SignX's Pose2Gloss network."""

from huggingface_hub.dataclasses import strict

from poses.bounds import check_at_least
from recognizer.configuration_sign_recognizer import GlossConfig

DECODERS = ("diffusion", "autoregressive", "ctc")


@strict
class SignXConfig(GlossConfig):
    """Five pose tracks to glosses, in the published sizes; docs/signx-choices.md says which are ours.

    `id2label` names the glosses and nothing else: padding is -100, and the decoders have marks of their own.

    decoder_type (`str`, *optional*, defaults to `"diffusion"`):
        `"diffusion"`, `"autoregressive"` or `"ctc"`.
    frame_stride (`int`, *optional*, defaults to 1):
        Every how many frames one is read.
    latent_size (`int`, *optional*, defaults to 2048):
        Width of the pose latent, the published one.
    fusion_size (`int`, *optional*, defaults to 512):
        Width of a track's token where tracks attend to each other.
    num_fusion_heads (`int`, *optional*, defaults to 8):
        Attention heads there.
    codebook_size (`int`, *optional*, defaults to 1024):
        Entries of the codebook.
    codebook_dim (`int`, *optional*, defaults to 256):
        Width of an entry.
    codebook_hard (`bool`, *optional*, defaults to `False`):
        Whether every frame takes the nearest entry, rather than a mixture.
    hidden_size (`int`, *optional*, defaults to 512):
        Width of the temporal encoder and of the decoder.
    num_encoder_layers (`int`, *optional*, defaults to 2):
        Layers over time between latent and decoder, the same for every decoder.
    num_decoder_layers (`int`, *optional*, defaults to 6):
        Layers of the decoder; `"ctc"` puts them on top of the encoder's.
    num_attention_heads (`int`, *optional*, defaults to 8):
        Attention heads of both.
    intermediate_size (`int`, *optional*, defaults to 2048):
        Width of the feed-forward part of both.
    dropout (`float`, *optional*, defaults to 0.1):
        Dropout everywhere.
    max_glosses (`int`, *optional*, defaults to 64):
        The longest sequence that is read.
    label_smoothing (`float`, *optional*, defaults to 0.1):
        Of the autoregressive text loss.
    contrastive_temperature (`float`, *optional*, defaults to 0.07):
        Of the contrastive loss.
    text_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the decoder's own loss.
    word_match_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the bag of glosses, autoregressive only.
    contrastive_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of matching clips with their glosses.
    length_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the number of glosses, diffusion only.
    ctc_loss_weight (`float`, *optional*, defaults to 0.0):
        Weight of CTC on the encoder beside the autoregressive loss; above 0, decoding may use it too.
    commitment_loss_weight (`float`, *optional*, defaults to 0.25):
        Weight of staying near the codebook, where it is hard.
    """

    model_type = "signx"

    decoder_type: str = "diffusion"
    frame_stride: int = 1
    latent_size: int = 2048
    fusion_size: int = 512
    num_fusion_heads: int = 8
    codebook_size: int = 1024
    codebook_dim: int = 256
    codebook_hard: bool = False
    hidden_size: int = 512
    num_encoder_layers: int = 2
    num_decoder_layers: int = 6
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    dropout: float | int = 0.1
    max_glosses: int = 64
    label_smoothing: float | int = 0.1
    contrastive_temperature: float | int = 0.07
    text_loss_weight: float | int = 1.0
    word_match_loss_weight: float | int = 1.0
    contrastive_loss_weight: float | int = 1.0
    length_loss_weight: float | int = 1.0
    ctc_loss_weight: float | int = 0.0
    commitment_loss_weight: float | int = 0.25

    @property
    def trains_ctc(self) -> bool:
        """Whether glosses need a step each, as CTC has it."""
        return self.decoder_type == "ctc" or (self.decoder_type == "autoregressive" and self.ctc_loss_weight > 0)

    def validate_architecture(self):
        """Part of `@strict`-powered validation. Validates the architecture of the config."""
        if self.decoder_type not in DECODERS:
            raise ValueError(f"`decoder_type` must be one of {', '.join(DECODERS)}, got {self.decoder_type!r}.")
        for size, heads in (("hidden_size", "num_attention_heads"), ("fusion_size", "num_fusion_heads")):
            if getattr(self, size) % getattr(self, heads):
                raise ValueError(
                    f"`{size}` must be a multiple of `{heads}`, got {getattr(self, size)} and {getattr(self, heads)}."
                )
        if self.hidden_size % 2:
            raise ValueError(f"`hidden_size` must be even, got {self.hidden_size}.")
        check_at_least(
            1,
            frame_stride=self.frame_stride,
            num_decoder_layers=self.num_decoder_layers,
            max_glosses=self.max_glosses,
            codebook_size=self.codebook_size,
        )
        if not self.contrastive_temperature > 0:
            raise ValueError(f"`contrastive_temperature` must be positive, got {self.contrastive_temperature}.")
