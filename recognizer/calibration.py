"""Confidence that means what it says: temperature, calibration error, and when to answer unknown."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from poses.bounds import check_shares

_TEMPERATURES = (0.05, 20.0)


def fit_temperature(logits: Float[np.ndarray, "clips labels"], labels: Int[np.ndarray, " clips"]) -> float:
    """The temperature whose probabilities make the labels likeliest, 0.05 to 20.

    Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, section 4.2.

    Args:
        logits: Of clips that the network was not trained on.
        labels: What these clips show.

    Raises:
        ValueError: There are no clips.
    """
    if not len(labels):
        raise ValueError("`labels` must hold at least one clip, got none.")

    def loss(log_temperature: float) -> float:
        log_probs = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(log_probs[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded").x))


def expected_calibration_error(
    confidence: Float[np.ndarray, " clips"], right: Bool[np.ndarray, " clips"], *, num_bins: int = 15
) -> float:
    """How far confidence is from accuracy: the mean over bins of equal width, weighted by their clips.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.

    Args:
        confidence: Of what was read, 0 to 1.
        right: Whether it was right.
        num_bins: Bins.

    Raises:
        ValueError: There are no clips, or not one confidence a clip.
    """
    if not len(right) or len(right) != len(confidence):
        raise ValueError(f"`confidence` must be one a clip, got {len(confidence)} for {len(right)}.")
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(right))


def unknown_threshold(
    confidence: Float[np.ndarray, " clips"], right: Bool[np.ndarray, " clips"], *, false_rejects: float = 0.05
) -> float:
    """The confidence below which to answer unknown, so that `false_rejects` of what was read rightly is lost.

    Args:
        confidence: Of clips that the network was not trained on, 0 to 1.
        right: Whether they were read rightly.
        false_rejects: Share of right readings that may be lost, 0 to 1.

    Raises:
        ValueError: Nothing was read rightly, or `false_rejects` is no share.
    """
    check_shares(false_rejects=false_rejects)
    if not right.any():
        raise ValueError("`right` must hold at least one clip read rightly, got none.")
    return float(np.quantile(confidence[right], false_rejects))
