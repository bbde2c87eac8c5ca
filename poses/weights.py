"""Networks that libraries load from folders: what is wrong with one is told with its folder's name, in one line."""

import pickle
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_REASON = 200


@contextmanager
def loading(path: str | Path) -> Generator[None]:
    """Names what cannot be loaded in the block, in place of what libraries raise.

    Args:
        path: The folder or file that is loaded.

    Raises:
        ValueError: It is damaged, or holds what does not fit.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    known = (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError)
    try:
        yield
    except (*known, SafetensorError, StrictDataclassError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".")
        raise ValueError(f"{path}: expected a whole network of fitting sizes, found another ({reason}).") from error
