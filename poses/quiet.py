"""Keeps other packages' noise off the user's screen, where those packages offer no switch for it."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what is written to the process's error stream, by compiled code too. Exceptions pass."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def import_quietly(module: str) -> ModuleType:
    """Imports a module without the warnings that its import gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(module)
