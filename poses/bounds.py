"""Bounds of numbers that people set, refused in one wording."""


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
