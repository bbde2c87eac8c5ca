"""What a figure depends on besides the code: package versions, the machine, and how much memory was taken."""

import hashlib
import os
import platform
import sys
from importlib.metadata import version

import psutil
import torch
from torch import nn

if sys.platform != "win32":
    import resource

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "mediapipe",
    "warp-lang",
    "spoken-to-signed",
    "numpy",
    "imageio",
    "av",
)
"""Packages whose version can change a figure."""


def package_versions() -> dict[str, str]:
    """The installed version of each of `PACKAGES`."""
    return {name: version(name) for name in PACKAGES}


def machine() -> str:
    """Processor, system and Python in a few words, without anything that names the machine or its owner."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {cores} CPU cores, Python {platform.python_version()}"


def peak_memory_mib() -> float:
    """Most memory that this process ever held at once, in MiB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def fingerprint(model: nn.Module) -> str:
    """Tells one set of weights from another: the first digits of a hash over all of them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return f"weights {digest.hexdigest()[:12]}"
