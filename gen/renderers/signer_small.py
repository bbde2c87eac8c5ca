"""`signer-small`: the bundled diffusion model, trained on synthetic signers."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from diffusers.utils import logging
from jaxtyping import Shaped, UInt8

from gen.bundled import BUNDLED_WEIGHTS
from gen.models.int8 import is_int8_faster, quantize
from gen.pipeline_signer import SignerVideoPipeline
from gen.renderers.base import Placement, SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture, fit_picture
from gen.renderers.placing import place_over
from poses import PoseSequence
from poses.weights import loading


class SignerSmallRenderer:
    """Renders with `SignerVideoPipeline` and the weights in the package.

    Args:
        weights: A folder that `SignerVideoPipeline.from_pretrained` reads; None for the bundled weights.
        guidance_scale: As for `SignerVideoPipeline`.
        quantized: Whether to compute in 8 bits where the CPU can (`gen/models/int8.py`): frames differ by 0.6 grey
            levels (root mean square).
    """

    name = "signer-small"
    version = "0.1"
    default_num_inference_steps = 1

    def __init__(
        self,
        weights: str | None = None,
        *,
        guidance_scale: Mapping[str, float] | float = 1.0,
        quantized: bool = True,
    ):
        self.weights = weights or str(BUNDLED_WEIGHTS)
        self.guidance_scale = guidance_scale
        self.quantized = quantized
        self._pipeline: SignerVideoPipeline | None = None

    def place(self, poses: PoseSequence, signer: SignerPicture | None, *, height: int, width: int) -> Placement:
        """See `Renderer.place`."""
        picture = self._picture(signer, height, width)
        return place_over(poses, picture.poses, height=height, width=width)

    def render(
        self,
        poses: PoseSequence,
        signer: SignerPicture | None,
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """See `Renderer.render`."""
        picture = self._picture(signer, poses.height, poses.width)
        if self._pipeline is None:
            self._pipeline = load_pipeline(self.weights, quantized=self.quantized)
        multiple = self._pipeline.unet.size_multiple
        frames = self._pipeline.stream(
            _widen(poses, multiple),
            _pad(picture.image, multiple),
            _widen(picture.poses, multiple),
            keep=None if picture.keep is None else _pad(picture.keep, multiple),
            num_inference_steps=self.default_num_inference_steps
            if num_inference_steps is None
            else num_inference_steps,
            guidance_scale=self.guidance_scale,
            generator=torch.Generator().manual_seed(seed),
        )
        for frame in frames:
            yield frame[: poses.height, : poses.width]

    def _picture(self, signer: SignerPicture | None, height: int, width: int) -> SignerPicture:
        if signer is None:
            return built_in_picture(DEFAULT_SIGNER, height, width)
        return fit_picture(signer, height, width)


def _pad(
    image: Shaped[np.ndarray, "height width *channels"], multiple: int
) -> Shaped[np.ndarray, "padded_height padded_width *channels"]:
    """Repeats the last row and column until both sides are multiples."""
    sides = [(0, -size % multiple) for size in image.shape[:2]]
    return np.pad(image, [*sides, *[(0, 0)] * (image.ndim - 2)], mode="edge")


def _widen(poses: PoseSequence, multiple: int) -> PoseSequence:
    """The same points in a frame that goes on to the right and below until both sides are multiples."""
    height, width = (size + -size % multiple for size in (poses.height, poses.width))
    shrunk = np.array([poses.width / width, poses.height / height], np.float32)
    return replace(poses, keypoints=poses.keypoints * shrunk, height=height, width=width)


def load_pipeline(weights: str, *, quantized: bool = True) -> SignerVideoPipeline:
    """Loads a saved pipeline, in the precision and memory layout that convolutions are fastest in here.

    Where `quantized` and the CPU can, that is 8 bits: then the network renders, but can be neither trained nor saved.
    """
    dtype = torch.bfloat16 if is_bf16_faster() else torch.float32
    with _no_loading_bar(), loading(weights):
        pipeline = SignerVideoPipeline.from_pretrained(weights, dtype=dtype, local_files_only=True)
    torch.nn.Module.to(pipeline.unet, memory_format=torch.channels_last)
    if quantized and is_int8_faster():
        quantize(pipeline.unet)
    return pipeline


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Two files load in a moment: diffusers' bar for that would only stand above the render's own."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def is_bf16_faster() -> bool:
    """Whether the CPU multiplies bf16 faster than float32 (AMX, AVX512-BF16), and oneDNN was not told to do without."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
    allowed = limit in ("ALL", "DEFAULT") or any(unit in limit for unit in ("AMX", "BF16", "FP16"))
    return allowed and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
