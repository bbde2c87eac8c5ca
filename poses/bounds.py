"""Bounds of numbers that people set, refused in one wording."""

MIN_SIZE_PX = 16
MAX_SIZE_PX = 8192
"""Smallest and largest width and height of a picture or a video's frame."""


def check_at_least(least: float, **values: float) -> None:
    """Refuses numbers below a bound.

    Args:
        least: The smallest that is allowed.
        values: By the names that people know them by.

    Raises:
        ValueError: One is smaller, or NaN.
    """
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"`{name}` must be at least {least}, got {value!r}.")


def check_shares(**values: float) -> None:
    """Refuses numbers that are no shares, 0 to 1.

    Args:
        values: By the names that people know them by.

    Raises:
        ValueError: One is smaller, larger, or NaN.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value}.")


def check_frame_size(height: int, width: int) -> None:
    """Refuses frames that no picture or video here may have.

    Raises:
        ValueError: A side is not 16 to 8192 pixels.
    """
    if not (MIN_SIZE_PX <= width <= MAX_SIZE_PX and MIN_SIZE_PX <= height <= MAX_SIZE_PX):
        raise ValueError(
            f"`height` and `width` must be {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, got {height} and {width}."
        )
