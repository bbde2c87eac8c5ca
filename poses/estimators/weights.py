"""The message for weights that cannot be had."""


def missing_weights(file: str, url: str, *, note: str = "") -> ValueError:
    """The error for a weight file that is neither on this machine nor to be fetched."""
    return ValueError(
        f"{file}: this weight file is missing and could not be fetched from {url}. {note}"
        "`--estimator mediapipe` carries its weights and works offline."
    )
