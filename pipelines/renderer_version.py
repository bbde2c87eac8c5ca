"""What tells a renderer from another state of it."""

import hashlib
from functools import cache
from pathlib import Path

from gen.renderers.base import Renderer


def renderer_version(renderer: Renderer) -> str:
    """Its version and, where it has `weights` on disk, what they hold: these change and the version stays."""
    weights = getattr(renderer, "weights", None)
    return renderer.version if weights is None else f"{renderer.version} weights {_digest(str(weights))}"


@cache
def _digest(weights: str) -> str:
    """Of a file, or of a folder's models and their settings."""
    files = (path for path in Path(weights).rglob("*") if path.suffix in (".json", ".safetensors"))
    digest = hashlib.sha256()
    for path in [Path(weights)] if Path(weights).is_file() else sorted(files):
        digest.update(path.relative_to(weights).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
