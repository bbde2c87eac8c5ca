"""What a renderer is: a signer's poses and a signer's picture in, that signer signing out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from poses import PoseSequence


@dataclass(frozen=True, eq=False)
class SignerPicture:
    """A reference picture of a signer, with the pose they hold in it.

    Attributes:
        image: RGB, 0 to 255.
        poses: One frame, normalised to the picture.
        name: For reports: a built-in signer's name or a file name.
        consent: Why whoever it shows may be shown signing, in a word; `built-in` for the package's own signers, who
            are nobody; None where nobody said.
        keep: True where the picture must stay as it is, such as over a logo or furniture; whatever of the signer comes
            there is hidden behind it.
    """

    image: UInt8[np.ndarray, "height width 3"]
    poses: PoseSequence
    name: str = ""
    consent: str | None = None
    keep: Bool[np.ndarray, "height width"] | None = None


@dataclass(frozen=True)
class Placement:
    """Where a renderer puts the driving pose: `x_out = scale * x_in + offset_x`, and so for y, in pixels.

    Inputs are pixels of the driving pose's frame, outputs are pixels of the rendered frame.
    """

    scale: float
    offset_x: float
    offset_y: float
    width: int
    height: int

    def __call__(self, poses: PoseSequence) -> PoseSequence:
        """The same poses in the rendered frame. Points that were not seen stay at (0, 0)."""
        offset = np.array([self.offset_x, self.offset_y], np.float32)
        pixels = poses.pixels() * np.float32(self.scale) + offset
        keypoints: Float32[np.ndarray, "frames 128 2"] = pixels / np.array([self.width, self.height], np.float32)
        keypoints[poses.confidence == 0] = 0
        return replace(poses, keypoints=keypoints, width=self.width, height=self.height)


@runtime_checkable
class Renderer(Protocol):
    """Draws a signer. `place` first, then `render` what it returned: its frame is the frame that is drawn."""

    name: str
    version: str
    default_num_inference_steps: int

    def place(self, poses: PoseSequence, signer: SignerPicture | None, *, height: int, width: int) -> Placement:
        """Finds where in a `height` x `width` frame the driving pose goes, head and hands inside as far as they fit.

        Args:
            poses: The driving poses.
            signer: Whose picture it is; the pose is then laid over the signer in it. None for the built-in default.
            height: Pixels.
            width: Pixels.
        """
        ...

    def render(
        self,
        poses: PoseSequence,
        signer: SignerPicture | None,
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Draws one frame per pose, in order, holding only a window of them in memory.

        Args:
            poses: Poses already placed: their width and height are the rendered frame's.
            signer: As for `place`.
            num_inference_steps: Denoising steps; None for the renderer's own default. A renderer without diffusion
                refuses any other value.
            seed: Two runs with the same seed give the same frames.
        """
        ...
