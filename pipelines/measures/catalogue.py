"""Every figure that a clip has: its name, what it means, and what its value depends on."""

from pipelines.measures.dtw import MISSING
from pipelines.measures.identity import COLOURED
from pipelines.measures.picture import CROP_PX, MARGIN, MOVING, REGIONS, STILL_LEVELS
from pipelines.measures.pose import VISIBLE_CONFIDENCE
from pipelines.measures.signature import Measure

PART_TITLES = {
    "hands": "both hands",
    "right_hand": "right hand",
    "left_hand": "left hand",
    "face": "face",
    "body": "body",
}


def catalogue(network: str) -> dict[str, Measure]:
    """The figures of a clip by name.

    Args:
        network: Name of the feature network.
    """
    measures = [*_of_parts(), *_of_movement(), *_of_pictures(network), *_of_reading()]
    return {measure.name: measure for measure in measures}


def _of_parts() -> list[Measure]:
    seen = {"unit": "median-shoulder-width", "visible": f"{VISIBLE_CONFIDENCE}-inside", "average": "points-then-clips"}
    group = "Points found again"
    measures = []
    for part, title in PART_TITLES.items():
        facts = {"part": part, **seen}
        measures += [
            Measure(f"pck_0.1/{part}", f"PCK@0.1, {title}", "higher", facts, group),
            Measure(f"pck_0.2/{part}", f"PCK@0.2, {title}", "higher", facts, group),
            Measure(f"mean_error/{part}", f"Mean error, {title}", "lower", facts, group),
            Measure(f"recall/{part}", f"Found again, {title}", "higher", facts, group),
        ]
    presence = {"visible": seen["visible"], "hand": "half-of-points"}
    return [*measures, Measure("hand_presence", "Hands present where they should be", "higher", presence, group)]


def _of_movement() -> list[Measure]:
    missing = {"missing": f"confidence<{VISIBLE_CONFIDENCE}"}
    hands = {
        "points": "hands-42",
        "path": "point",
        "cost": "root-of-squared-sum",
        "fill": MISSING,
        "trim": "hands-seen",
    }
    upper = {"points": "upper-body-8+hands-42", "norm": "mean-shoulders", "path": "exact"}
    group, wrists = "Movement", {"points": "wrists", "found": "both-ends"}
    return [
        Measure("movement_ratio", "Movement ratio of the wrists", "near 1", wrists, group),
        Measure("duration_ratio", "Duration ratio", "near 1", {"duration": "frames/fps"}, group),
        Measure(
            "jerk_ratio", "Jerk ratio of the wrists", "near 1", {**wrists, "found": "four-in-a-row", "order": 3}, group
        ),
        Measure(
            "frozen_share",
            "Frozen where it should move",
            "lower",
            {"still": f"<{STILL_LEVELS}-levels", "moving": f">={MOVING}-shoulder-widths", "picture": "64x64-luma"},
            group,
        ),
        Measure("dtwp", "DTWp", "lower", {**hands, **missing, "norm": "none", "unit": "pixel"}, group, digits=1),
        Measure("ndtwp", "nDTWp", "lower", {**hands, **missing, "norm": "mean-shoulders"}, group),
        Measure("dtw_mje", "DTW-MJE", "lower", {**upper, "cost": "sum-abs/ref-frames", "fill": 0}, group),
        Measure("ndtw_mje", "nDTW-MJE", "lower", {**upper, "cost": "masked-euclid-sum", **missing}, group),
        Measure("drift/pose", "Drift of the hands' error", "near 0", {"segments": 4, "value": "last-first"}, group),
    ]


def _of_pictures(network: str) -> list[Measure]:
    crop = {"crop": f"driving-points+{MARGIN:.0%}", "size": CROP_PX}
    measures = []
    for region in REGIONS:
        title, facts = PART_TITLES[region], {"region": region, **crop}
        likeness = {**facts, "channel": "luma-bt601"}
        distance = {**facts, "form": "lpips-unweighted", "network": network}
        group = "Pictures against the reference"
        measures += [
            Measure(f"ssim/{region}", f"SSIM, {title}", "higher", {**likeness, "window": 7}, group),
            Measure(f"psnr/{region}", f"PSNR (dB), {title}", "higher", {**likeness, "cap": 100}, group, digits=1),
            Measure(f"{network}_distance/{region}", f"Distance in {network}, {title}", "lower", distance, group),
        ]
    face = {"region": "face", **crop, "network": network}
    group = "Steadiness and identity"
    return [
        *measures,
        Measure(
            "temporal_consistency",
            "Likeness of neighbouring frames, 1 where all stands still",
            "higher",
            {"ssim": "64x64-luma"},
            group,
        ),
        Measure(f"{network}_drift", f"Drift of the face in {network}", "lower", {**face, "segments": 4}, group),
        *_of_colours(group),
    ]


def _of_colours(group: str) -> list[Measure]:
    facts = {"colour": "cielab-d65", "form": "dE76-chamfer", "where": "points-found"}
    titles = {region: f"Colour of {region} against the signer's" for region in COLOURED}
    titles["largest"] = "Colours against the signer's, where they differ most"
    measures = [
        Measure(f"delta_e/{region}", f"{title} (ΔE)", "lower", {**facts, "region": region}, group, digits=1)
        for region, title in titles.items()
    ]
    drift = {**facts, "region": "largest", "segments": 4}
    return [*measures, Measure("delta_e_drift", "Drift of the colours (ΔE)", "lower", drift, group, digits=1)]


def _of_reading() -> list[Measure]:
    group = "Recognizer agreement"
    distribution = {"distribution": "sum-of-posteriors-without-blank"}
    return [
        Measure(
            "top1_agreement",
            "Same likeliest gloss of the clip as from the driving pose",
            "higher",
            distribution,
            group,
        ),
        Measure(
            "js_divergence",
            "Divergence of posteriors (bits)",
            "lower",
            {**distribution, "log": 2, "unread": 1},
            group,
            version=2,
        ),
        Measure(
            "faithfulness",
            "Distance to own pose over distance to others",
            "lower",
            {"features": "last-state-4-segments", "distance": "euclid"},
            group,
        ),
    ]
