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
