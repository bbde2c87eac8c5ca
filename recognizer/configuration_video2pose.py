"""Configuration of SignX's Video2Pose."""

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from poses.bounds import check_at_least


@strict
class Video2PoseConfig(PreTrainedConfig):
    """Video frames to pose latents and keypoints, in the published sizes; docs/signx-choices.md says which are ours.

    image_size (`int`, *optional*, defaults to 224):
        Pixels to a side of a frame.
    patch_size (`int`, *optional*, defaults to 16):
        Pixels to a side of the vision transformer's patches.
    stem_sizes (`tuple[int, ...]`, *optional*, defaults to `()`):
        Channels of convolutions ahead of the patches, each of which halves the frame; no pretrained vision transformer
        has them.
    stem_blocks (`tuple[int, ...]`, *optional*, defaults to `()`):
        Residual blocks after each of these convolutions; none if left out.
    head_sizes (`tuple[int, ...]`, *optional*, defaults to `()`):
        Channels of transposed convolutions ahead of heatmaps, each of which doubles the grid of patches.
    hidden_size (`int`, *optional*, defaults to 768):
        Width of the vision transformer, of frame features and of the temporal transformer.
    num_hidden_layers (`int`, *optional*, defaults to 12):
        Layers of the vision transformer.
    num_attention_heads (`int`, *optional*, defaults to 12):
        Attention heads of both transformers.
    intermediate_size (`int`, *optional*, defaults to 3072):
        Width of the feed-forward parts of both.
    num_temporal_layers (`int`, *optional*, defaults to 4):
        Layers of the temporal transformer.
    temporal_window (`int`, *optional*, defaults to 16):
        How many frames before and after its own a layer of it sees.
    latent_size (`int`, *optional*, defaults to 2048):
        Width of Pose2Gloss's latents.
    dropout (`float`, *optional*, defaults to 0.1):
        Dropout in the temporal transformer.
    chunk_frames (`int`, *optional*, defaults to 32):
        Frames that go through the vision transformer at once; in training, more are recomputed rather than kept.
    latent_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the latents' smooth L1 distance.
    direction_loss_weight (`float`, *optional*, defaults to 0.5):
        Weight of one minus the cosine between latents.
    text_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of what a frozen Pose2Gloss loses by reading these latents.
    keypoint_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the keypoints' distance.
    heatmap_loss_weight (`float`, *optional*, defaults to 1.0):
        Weight of the cross-entropy between a keypoint's heatmap and a Gaussian around it.
    confidence_loss_weight (`float`, *optional*, defaults to 0.1):
        Weight of the cross-entropy of whether a keypoint lies in the frame.
    """

    model_type = "signx_video2pose"

    image_size: int = 224
    patch_size: int = 16
    stem_sizes: tuple[int, ...] | list[int] = ()
    stem_blocks: tuple[int, ...] | list[int] = ()
    head_sizes: tuple[int, ...] | list[int] = ()
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    num_temporal_layers: int = 4
    temporal_window: int = 16
    latent_size: int = 2048
    dropout: float | int = 0.1
    chunk_frames: int = 32
    latent_loss_weight: float | int = 1.0
    direction_loss_weight: float | int = 0.5
    text_loss_weight: float | int = 1.0
    keypoint_loss_weight: float | int = 1.0
    heatmap_loss_weight: float | int = 1.0
    confidence_loss_weight: float | int = 0.1

    @property
    def temporal_reach(self) -> int:
        """How many frames before and after its own a frame's latent depends on."""
        return 1 + self.num_temporal_layers * self.temporal_window

    def validate_architecture(self):
        """Part of `@strict`-powered validation. Validates the architecture of the config."""
        for name, whole in (("num_attention_heads", "hidden_size"), ("patch_size", "image_size")):
            if getattr(self, whole) % getattr(self, name):
                raise ValueError(
                    f"`{whole}` must be a multiple of `{name}`, got {getattr(self, whole)} and {getattr(self, name)}."
                )
        if self.patch_size % 2 ** len(self.stem_sizes):
            raise ValueError(
                f"`stem_sizes` must halve a patch of {self.patch_size} pixels to whole ones, "
                f"got {len(self.stem_sizes)}."
            )
        if len(self.stem_blocks) not in (0, len(self.stem_sizes)):
            raise ValueError(
                f"`stem_blocks` must hold a number for each of `stem_sizes` or none, got {len(self.stem_blocks)}."
            )
        check_at_least(1, chunk_frames=self.chunk_frames)
