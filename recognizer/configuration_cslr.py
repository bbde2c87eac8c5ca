"""Configuration of SignX's continuous recognition in the latent space."""

from huggingface_hub.dataclasses import strict

from recognizer.configuration_sign_recognizer import GlossConfig


@strict
class SignXCSLRConfig(GlossConfig):
    """Frame features and pose latents to glosses, in the published sizes; docs/signx-choices.md says which are ours.

    `id2label` names the glosses and nothing else.

    feature_size (`int`, *optional*, defaults to 512):
        Width of both branches where they are mixed.
    latent_size (`int`, *optional*, defaults to 2048):
        Width of the latents that Pose2Gloss or Video2Pose gives.
    whitening (`float`, *optional*, defaults to 0.1):
        How much of what a latent shares with the one before is taken away: algorithm 1's gamma.
    covariance (`bool`, *optional*, defaults to `False`):
        Whether that is told by a matrix, the mean over training of the products of neighbours' numbers, rather than by
        the product of both, number by number.
    frame_drop (`float`, *optional*, defaults to 0.1):
        How often a latent is dropped in training: algorithm 1's rho.
    temporal_size (`int`, *optional*, defaults to 1024):
        Width after temporal convolution, and of the recurrent layers.
    num_recurrent_layers (`int`, *optional*, defaults to 2):
        Layers of the bidirectional LSTM.
    hidden_size (`int`, *optional*, defaults to 256):
        Width of the transformer.
    num_encoder_layers (`int`, *optional*, defaults to 6):
        Layers of its encoder.
    num_decoder_layers (`int`, *optional*, defaults to 6):
        Layers of its decoder.
    num_attention_heads (`int`, *optional*, defaults to 4):
        Its attention heads.
    intermediate_size (`int`, *optional*, defaults to 4096):
        Width of its feed-forward part.
    dropout (`float`, *optional*, defaults to 0.3):
        Its dropout.
    max_glosses (`int`, *optional*, defaults to 64):
        The longest sequence that is read.
    label_smoothing (`float`, *optional*, defaults to 0.1):
        Of the text loss.
    conv_ctc_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of CTC on the temporal convolution.
    sequence_ctc_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of CTC on the recurrent layers.
    distillation_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the convolution's learning from the recurrent layers.
    distillation_temperature (`float`, *optional*, defaults to 4.0):
        How much both are softened for it.
    text_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the transformer's cross-entropy.
    ctc_loss_weight (`float`, *optional*, defaults to 0.3):
        Weight of CTC on the transformer's encoder.
    """

    model_type = "signx_cslr"

    feature_size: int = 512
    latent_size: int = 2048
    whitening: float | int = 0.1
    covariance: bool = False
    frame_drop: float | int = 0.1
    temporal_size: int = 1024
    num_recurrent_layers: int = 2
    hidden_size: int = 256
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    num_attention_heads: int = 4
    intermediate_size: int = 4096
    dropout: float | int = 0.3
    max_glosses: int = 64
    label_smoothing: float | int = 0.1
    conv_ctc_loss_weight: float | int = 1.0
    sequence_ctc_loss_weight: float | int = 1.0
    distillation_loss_weight: float | int = 1.0
    distillation_temperature: float | int = 4.0
    text_loss_weight: float | int = 1.0
    ctc_loss_weight: float | int = 0.3

    def validate_architecture(self):
        """Part of `@strict`-powered validation. Validates the architecture of the config."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "`hidden_size` must be a multiple of `num_attention_heads`, "
                f"got {self.hidden_size} and {self.num_attention_heads}."
            )
        for name in ("hidden_size", "temporal_size"):
            if getattr(self, name) % 2:
                raise ValueError(f"`{name}` must be even, got {getattr(self, name)}.")
        if not 0 <= self.frame_drop < 1:
            raise ValueError(f"`frame_drop` must be in [0, 1), got {self.frame_drop}.")
        if not self.distillation_temperature > 0:
            raise ValueError(f"`distillation_temperature` must be positive, got {self.distillation_temperature}.")
