"""The video recognizer: convolution over every frame, then over time; it reads pixels, so that looks matter to it."""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from recognizer.configuration_video_recognizer import VideoRecognizerConfig

_GROUP = 16
"""Channels that are normalised together: not over the batch, which may mix real and synthetic clips."""


@dataclass
class VideoRecognizerOutput(ModelOutput):
    """What the video recognizer gives back.

    Attributes:
        loss: Only with `labels`.
        logits: Scores of every label, before softmax.
    """

    loss: Float[torch.Tensor, ""] | None = None
    logits: Float[torch.Tensor, "batch labels"] | None = None


def to_pixel_values(
    frames: UInt8[torch.Tensor, "batch frames height width 3"],
) -> Float[torch.Tensor, "batch frames 3 height width"]:
    """RGB, 0 to 255, as the network reads it: -1 to 1, and channels first."""
    return frames.float().div_(127.5).sub_(1).permute(0, 1, 4, 2, 3)


class VideoRecognizerForVideoClassification(PreTrainedModel):
    """Reads a clip of one sign from its pixels: which gloss it is."""

    config_class = VideoRecognizerConfig
    base_model_prefix = "video_recognizer"
    main_input_name = "pixel_values"

    def __init__(self, config: VideoRecognizerConfig):
        super().__init__(config)
        sizes = config.hidden_sizes
        self.patches = nn.Conv2d(3, sizes[0], config.patch_size, stride=config.patch_size)
        self.still = nn.Conv2d(3, sizes[0], config.patch_size, stride=config.patch_size)
        self.convs = nn.ModuleList(nn.Conv2d(*pair, 3, stride=2, padding=1) for pair in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.GroupNorm(max(size // _GROUP, 1), size) for size in sizes)
        self.places = nn.Conv2d(sizes[-1], config.place_size, 1)
        side = config.image_size // config.frame_stride
        self.frame = nn.Linear(config.place_size * side**2, config.hidden_size)
        self.frame_norm = nn.LayerNorm(config.hidden_size)
        kernel, width = config.conv_kernel_size, config.hidden_size
        self.time_convs = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(2))
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.classifier = nn.Linear(2 * width, len(config.glosses))
        self.post_init()

    def forward(
        self,
        pixel_values: Float[torch.Tensor, "batch frames 3 height width"],
        labels: Int[torch.Tensor, " batch"] | None = None,
    ) -> VideoRecognizerOutput:
        """Scores every label for every clip.

        Args:
            pixel_values: RGB, -1 to 1.
            labels: The gloss of each clip.
        """
        batch, frames = pixel_values.shape[:2]
        hidden_states = self.patches(pixel_values.flatten(0, 1)).unflatten(0, (batch, frames))
        # What the clip shows throughout can be taken away: what is left moves, whoever moves it.
        hidden_states = (hidden_states - self.still(pixel_values.mean(dim=1))[:, None]).flatten(0, 1)
        hidden_states = F.relu(self.norms[0](hidden_states))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            hidden_states = F.relu(norm(conv(hidden_states)))
        # Places are kept apart, since where a hand is distinguishes signs.
        known = self.frame(self.dropout(F.relu(self.places(hidden_states)).flatten(1)))
        hidden_states = self.frame_norm(known).unflatten(0, (batch, frames)).transpose(1, 2)
        for conv in self.time_convs:
            hidden_states = hidden_states + F.relu(conv(hidden_states))
        clip = torch.cat([hidden_states.mean(dim=2), hidden_states.amax(dim=2)], dim=1)
        logits = self.classifier(self.dropout(clip))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        return VideoRecognizerOutput(loss=loss, logits=logits)
