"""Joins the renderer and the recognizer: render, read back, measure, report. From Python, `SignLoop` is the way in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.api import SignLoop

__all__ = ["SignLoop"]


def __getattr__(name: str) -> Any:
    """Imports `SignLoop` when it is asked for: it comes with torch, and the command line's help does without."""
    if name != "SignLoop":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipelines.api import SignLoop

    return SignLoop
