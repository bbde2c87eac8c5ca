"""Configuration of the video recognizer."""

from huggingface_hub.dataclasses import strict

from recognizer.configuration_sign_recognizer import GlossConfig


@strict
class VideoRecognizerConfig(GlossConfig):
    """The network that reads one sign from the pixels of a clip.

    image_size (`int`, *optional*, defaults to 64):
        Pixels to a side of every frame.
    patch_size (`int`, *optional*, defaults to 4):
        Pixels to a side of the patches that the first convolution reads.
    hidden_sizes (`tuple[int, ...]`, *optional*, defaults to `(64, 96, 128)`):
        Channels of the convolutions over a frame: of the first one, and of those that follow, which halve its sides.
    place_size (`int`, *optional*, defaults to 32):
        Channels that are left of every place in a frame.
    hidden_size (`int`, *optional*, defaults to 128):
        Width of what is known of a frame.
    conv_kernel_size (`int`, *optional*, defaults to 3):
        Frames that a convolution over time sees, odd so that it is centred.
    hidden_dropout (`float`, *optional*, defaults to 0.3):
        Dropout on frames and on the clip.
    label_smoothing (`float`, *optional*, defaults to 0.1):
        Of the cross-entropy.
    """

    model_type = "video_recognizer"

    image_size: int = 64
    patch_size: int = 4
    hidden_sizes: tuple[int, ...] | list[int] = (64, 96, 128)
    place_size: int = 32
    hidden_size: int = 128
    conv_kernel_size: int = 3
    hidden_dropout: float | int = 0.3
    label_smoothing: float | int = 0.1

    @property
    def frame_stride(self) -> int:
        """Pixels to a side of a place in the frame that the convolutions tell from others."""
        return self.patch_size * 2 ** (len(self.hidden_sizes) - 1)

    def validate_architecture(self):
        """Part of `@strict`-powered validation. Validates the architecture of the config."""
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(f"`conv_kernel_size` must be odd, got {self.conv_kernel_size}.")
        if not self.hidden_sizes or self.image_size % self.frame_stride:
            raise ValueError(
                f"`image_size` must be a multiple of {self.frame_stride}, the pixels of a place, got {self.image_size}."
            )
