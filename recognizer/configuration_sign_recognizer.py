"""Configuration of the sign recognizer, and what the configurations of all recognizers share."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from poses.bounds import check_at_least, check_shares

ALPHABET = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

STREAM_NAMES = ("pose", "word", "place")


@strict
class GlossConfig(PreTrainedConfig):
    """A configuration whose labels are glosses: the letters A to Z where no others are given."""

    special_labels: ClassVar[tuple[str, ...]] = ()
    """Labels ahead of the default glosses that are no glosses."""

    def __post_init__(self, **kwargs):
        if self.id2label is None:
            self.id2label = dict(enumerate((*self.special_labels, *ALPHABET)))
            self.label2id = {label: number for number, label in self.id2label.items()}
        super().__post_init__(**kwargs)

    @property
    def glosses(self) -> tuple[str, ...]:
        """The gloss of every label, special labels at their places; JSON may have made strings of the numbers."""
        assert self.id2label is not None, "`__post_init__` has filled it in"
        return tuple(gloss for _, gloss in sorted((int(label), gloss) for label, gloss in self.id2label.items()))


@strict
class SignRecognizerConfig(GlossConfig):
    """The network that reads glosses from normalised keypoints: continuous ones by CTC, or one of a whole clip.

    hidden_size (`int`, *optional*, defaults to 144):
        Width of the encoder.
    conv_stride (`int`, *optional*, defaults to 2):
        Frames that become one step of the encoder.
    num_hidden_layers (`int`, *optional*, defaults to 2):
        Number of encoder layers, each attention, convolution over time, feed-forward.
    num_attention_heads (`int`, *optional*, defaults to 4):
        Attention heads; `hidden_size` is a multiple.
    intermediate_size (`int`, *optional*, defaults to 288):
        Width of the feed-forward part.
    conv_kernel_size (`int`, *optional*, defaults to 9):
        Frames that a convolution sees, odd so that it is centred.
    hidden_dropout (`float`, *optional*, defaults to 0.1):
        Dropout on the output of every part.
    feature_dropout (`float`, *optional*, defaults to 0.1):
        Dropout on the hand and body features.
    frame_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the frame-wise cross-entropy beside the CTC loss, where `frame_labels` are given.
    pad_token_id (`int`, *optional*, defaults to 0):
        The blank of CTC, which also pads labels.
    streams (`tuple[str, ...]`, *optional*, defaults to `("pose",)`):
        For whole clips, what each of the networks sees whose opinions count alike: `pose` (`pose_features`), `word`
        (`word_features`, which say nothing of how a signer sits; this network is of convolutions alone) or `place`
        (`place_features`, coordinates).
    block_channels (`list[int]`, *optional*, defaults to `(192, 192, 192, 256)`):
        Width of each block of convolutions in the `word` network.
    block_strides (`list[int]`, *optional*, defaults to `(1, 2, 1, 2)`):
        Steps that become one in each of them.
    block_classifier_dropout (`float`, *optional*, defaults to 0.5):
        Dropout ahead of the `word` network's classifier.
    edges (`tuple[float, ...]`, *optional*, defaults to `()`):
        Lower edges, in shoulder widths below the shoulders, of the pictures by which a whole clip is read besides as it
        is: signers sit nearer to some cameras than to others.
    isolated (`bool`, *optional*, defaults to `False`):
        Whether a network of continuous signing also has a head for clips of one sign.
    classifier_dropout (`float`, *optional*, defaults to 0.2):
        Dropout ahead of the classifier of whole clips in the other networks.
    label_smoothing (`float`, *optional*, defaults to 0.1):
        Of the classifier's loss.
    temperature (`float`, *optional*, defaults to 1.0):
        What logits of whole clips are divided by, so that confidence is calibrated.
    unknown_threshold (`float`, *optional*, defaults to 0.0):
        A whole clip whose best gloss is less probable than this is read as no known gloss.
    """

    model_type = "sign_recognizer"
    special_labels: ClassVar[tuple[str, ...]] = ("<blank>",)

    hidden_size: int = 144
    conv_stride: int = 2
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 288
    conv_kernel_size: int = 9
    hidden_dropout: float | int = 0.1
    feature_dropout: float | int = 0.1
    frame_loss_weight: float | int = 1.0
    pad_token_id: int = 0
    streams: list[str] | tuple[str, ...] = ("pose",)
    block_channels: list[int] | tuple[int, ...] = (192, 192, 192, 256)
    block_strides: list[int] | tuple[int, ...] = (1, 2, 1, 2)
    block_classifier_dropout: float | int = 0.5
    edges: list[float] | tuple[float, ...] = ()
    isolated: bool = False
    classifier_dropout: float | int = 0.2
    label_smoothing: float | int = 0.1
    temperature: float | int = 1.0
    unknown_threshold: float | int = 0.0

    def validate_architecture(self):
        """Part of `@strict`-powered validation. Validates the architecture of the config."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "`hidden_size` must be a multiple of `num_attention_heads`, "
                f"got {self.hidden_size} and {self.num_attention_heads}."
            )
        check_at_least(1, conv_stride=self.conv_stride)
        if not self.streams or not set(self.streams) <= set(STREAM_NAMES):
            found = ", ".join(self.streams) or "none"
            raise ValueError(f"`streams` must be some of {', '.join(STREAM_NAMES)}, got {found}.")
        if not self.block_channels or len(self.block_channels) != len(self.block_strides):
            raise ValueError(
                "`block_channels` and `block_strides` must be of as many blocks, at least one, "
                f"got {len(self.block_channels)} and {len(self.block_strides)}."
            )
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(f"`conv_kernel_size` must be odd, got {self.conv_kernel_size}.")
        if not 0 <= self.pad_token_id < len(self.glosses):
            raise ValueError(f"`pad_token_id` must be one of {len(self.glosses)} labels, got {self.pad_token_id}.")
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be positive, got {self.temperature}.")
        check_shares(unknown_threshold=self.unknown_threshold)
