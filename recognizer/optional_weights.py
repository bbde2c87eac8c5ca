"""Weights that are not part of SignLoop, and what one may do with them."""

import sys
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class OptionalWeights:
    """Weights that somebody else made, which are fetched when they are first used.

    Attributes:
        repository: On https://huggingface.co.
        file: What is fetched.
        licence: Of the weights.
        commercial: Whether they may be used commercially: yes, no, or unclear with the reason.
        note: What else to know.
    """

    repository: str
    file: str
    licence: str
    commercial: str
    note: str

    def __str__(self) -> str:
        return f"{self.repository} ({self.file}; {self.licence}; commercial use: {self.commercial}; {self.note})"


OPTIONAL_WEIGHTS = MappingProxyType(
    {
        "primedepth_depth": OptionalWeights(
            "depth-anything/Depth-Anything-V2-Small-hf",
            "model.safetensors",
            "Apache-2.0",
            "yes",
            "a stand-in for PrimeDepth, which transformers cannot run",
        ),
        "sapiens_segmentation": OptionalWeights(
            "facebook/sapiens2-seg-0.4b",
            "model.safetensors",
            "Sapiens2 License",
            "yes, but neither surveillance nor biometric processing",
            "a stand-in for Sapiens, which is CC-BY-NC-4.0",
        ),
        "vit": OptionalWeights(
            "google/vit-base-patch16-224-in21k",
            "model.safetensors",
            "Apache-2.0",
            "unclear: trained on ImageNet-21k, whose pictures are for research",
            "where Video2Pose of the published sizes may start from",
        ),
    }
)
"""What two of the pose tracks are made with, and what Video2Pose's vision transformer may start from."""


def announce_fetch(weights: OptionalWeights) -> None:
    """Says on standard error what is about to be fetched, where it is not on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(weights.repository, weights.file), str):
        print(f"Fetching {weights}.", file=sys.stderr)
