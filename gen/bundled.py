"""Where the weights in the package are."""

from importlib.resources import files
from pathlib import Path

BUNDLED_WEIGHTS = Path(str(files("gen") / "weights" / "signer-small"))
