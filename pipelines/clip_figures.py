"""The figures of one clip, by name: what two poses, two videos' pictures, colours and two readings say."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from jaxtyping import Bool, Float

from pipelines.measures.dtw import measure_warped
from pipelines.measures.features import FeatureNetwork, compare_pictures, cosine_similarity, describe_pictures
from pipelines.measures.identity import colour_differences
from pipelines.measures.picture import REGIONS, Crops, frozen_share, similarity_by_region, temporal_consistency
from pipelines.measures.pose import (
    VISIBLE_CONFIDENCE,
    WRISTS,
    fit_length,
    hand_presence,
    jerk_ratio,
    measure_fidelity,
    measure_part,
    visible_points,
)
from pipelines.measures.reading import Readout, divergence
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

Figures = dict[str, float | None]
"""By name, see `pipelines.measures.catalogue`; None where it could not be measured."""

NUM_SEGMENTS = 4
"""Equal stretches of a clip between which figures may drift."""


def pose_figures(placed: PoseSequence, found: PoseSequence, *, estimator: str) -> tuple[Figures, list[float | None]]:
    """What can be told from two poses in one frame and at one rate: figures, and the hands' error in each frame."""
    fitted = fit_length(found, len(placed))
    fidelity = measure_fidelity(placed, fitted, estimator=estimator)
    visible = visible_points(placed)
    seen = visible & (fitted.confidence >= VISIBLE_CONFIDENCE)
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    unit = fidelity.shoulder_width_px or np.nan
    error = np.where(seen, np.linalg.norm(fitted.pixels() - placed.pixels(), axis=2), np.nan)[:, hands] / unit
    parts = {**fidelity.parts, "hands": measure_part(error, visible[:, hands], seen[:, hands])}
    figures: Figures = {}
    for part, values in parts.items():
        figures[f"pck_0.1/{part}"], figures[f"pck_0.2/{part}"] = values.pck_0_1, values.pck_0_2
        figures[f"mean_error/{part}"], figures[f"recall/{part}"] = values.mean_error, values.recall
    figures["hand_presence"] = hand_presence(visible, seen)
    figures["movement_ratio"] = fidelity.movement_ratio
    figures["jerk_ratio"] = jerk_ratio(placed.pixels()[:, WRISTS], fitted.pixels()[:, WRISTS], seen[:, WRISTS])
    figures |= asdict(measure_warped(placed, found, min_confidence=VISIBLE_CONFIDENCE))
    known = np.isfinite(error)
    means = [round(float(row[mask].mean()), 4) if mask.any() else None for row, mask in zip(error, known, strict=True)]
    return figures, means


def steadiness_figures(small: Float[np.ndarray, "frames 64 64"], placed: PoseSequence) -> Figures:
    """How a video holds together, and whether it stands still where the driving pose moves."""
    visible = visible_points(placed)
    unit = placed.shoulder_width_px()
    steps = np.linalg.norm(np.diff(placed.pixels()[:, WRISTS], axis=0), axis=2) / unit
    asked = np.where(visible[1:, WRISTS] & visible[:-1, WRISTS], steps, 0).max(axis=1)
    shared = min(len(small), len(placed))
    return {
        "frozen_share": frozen_share(small[:shared], asked[: shared - 1]),
        "temporal_consistency": temporal_consistency(small),
    }


def picture_figures(
    crops: Crops, reference: Crops | None, network: FeatureNetwork
) -> tuple[Figures, Float[np.ndarray, "cuts features"], Float[np.ndarray, "reference_cuts features"]]:
    """Likeness of hands and face to the reference's, frame by frame; None throughout without one.

    Returns:
        The figures, and a description of every valid cut-out: of the video's and of the reference's.
    """
    shown = crops.regions[crops.valid]
    keys = ("ssim", "psnr", f"{network.name}_distance")
    figures: Figures = {f"{key}/{region}": None for key in keys for region in REGIONS}
    asked = shown[:0] if reference is None else reference.regions[reference.valid]
    # The boxes are the same, so the same regions are valid; there are none for frames beyond the reference's.
    if reference is None or len(crops) < len(reference):
        return figures, describe_pictures(network, shown), describe_pictures(network, asked)
    crops = crops[: len(reference)]
    rows, reference_rows, distances = compare_pictures(network, shown, asked)
    region_of = np.nonzero(crops.valid)[1]
    for number, (region, (ssim, psnr)) in enumerate(similarity_by_region(crops, reference).items()):
        if not len(ssim):
            continue
        for key, values in zip(keys, (ssim, psnr, distances[region_of == number]), strict=True):
            figures[f"{key}/{region}"] = float(values.mean())
    return figures, rows, reference_rows


def face_drift(
    described: Float[np.ndarray, "cuts features"], valid: Bool[np.ndarray, "frames 3"]
) -> list[float | None]:
    """How far the face of each quarter is from that of the first: 1 - cosine, of features of valid cut-outs."""
    face = REGIONS.index("face")
    faces = described[np.nonzero(valid)[1] == face]
    parts = np.array_split(valid[:, face], NUM_SEGMENTS)
    quarter_of = np.concatenate([np.full(len(part), at) for at, part in enumerate(parts)])[valid[:, face]]
    quarters = [faces[quarter_of == quarter].mean(axis=0) for quarter in np.unique(quarter_of)]
    if len(quarters) < NUM_SEGMENTS:
        return [None] * NUM_SEGMENTS
    likeness = [cosine_similarity(quarters[0], quarter) for quarter in quarters]
    return [None if value is None else 1 - value for value in likeness]


def colour_figures(
    shown: Float[np.ndarray, "frames 3 places 3"], known: Float[np.ndarray, "others 3 places 3"] | None
) -> Figures:
    """How far a video's colours are from the signer's, by region, and those of its last quarter from the first's.

    Args:
        shown: Colours of the video, see `region_colours`.
        known: Of the signer's picture or real video; None where there is none.
    """
    quarters = np.array_split(shown, NUM_SEGMENTS)
    against = colour_differences(shown, shown[:0] if known is None else known)
    drift = colour_differences(quarters[0], quarters[-1])["largest"]
    return {**{f"delta_e/{region}": value for region, value in against.items()}, "delta_e_drift": drift}


def reading_figures(readouts: Mapping[str, Readout], names: tuple[str, ...]) -> Figures:
    """Agreement of the video's reading with the driving pose's. A video that cannot be read agrees with none."""
    asked, shown = readouts["driving"], readouts["video"]
    readable, legible = (len(readout.distribution) > 0 for readout in (asked, shown))
    return {
        "top1_agreement": float(asked.top(names) == shown.top(names)) if readable else None,
        "js_divergence": divergence(asked.distribution, shown.distribution) if legible or not readable else 1.0,
        "faithfulness": None,  # known when all clips are
    }


def last_minus_first(values: list[float | None]) -> float | None:
    """How much larger the last of some values is than the first."""
    return None if values[0] is None or values[-1] is None else values[-1] - values[0]


def checked(figures: Figures, problems: list[str]) -> Figures:
    """A figure that is no number is said to be none, and never averaged."""
    wrong = [name for name, value in figures.items() if value is not None and not np.isfinite(value)]
    problems += [f"{name} came out as no number" for name in wrong]
    return {name: None if name in wrong or value is None else round(float(value), 9) for name, value in figures.items()}
