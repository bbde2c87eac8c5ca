"""The table of `benchmarks.renderer`: figures of a row over all clips, each with its interval by clip."""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.renderer_measures import FACE_ACTIONS, colour_distance
from recognizer.metrics import bootstrap_interval

NUM_KNOWN = 20
"""Signers among whom the right one is to be told."""


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    cumulative = weights[order].cumsum()
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def with_interval(statistic: Callable[[np.ndarray], float], clips: list[str], digits: int) -> list[float]:
    """A figure and its 95 % interval, from a statistic of weighted items and the clip of each."""
    low, high = bootstrap_interval(statistic, [clips])
    return [round(value, digits) for value in (statistic(np.ones(len(clips))), low, high)]


def hand_figures(results: dict[str, dict], ceiling: dict[str, dict], moved: bool) -> dict:
    """Figures of moved or of unmoved hands; `results` and `ceiling` are by clip."""
    of_clips = [(clip, hand) for clip, result in results.items() for hand in result["hands"] if hand["moved"] == moved]
    if not of_clips:
        return {"hands": 0}
    clips, hands = [clip for clip, _ in of_clips], [hand for _, hand in of_clips]

    def column(name: str, of: list[dict] = hands) -> np.ndarray:
        return np.array([hand[name] for hand in of], float)

    ssim, distance, shown, true = (column(name) for name in ("ssim", "distance", "edges", "true_edges"))
    figures = {
        "hands": len(hands),
        "ssim": with_interval(lambda w: float(w @ ssim / w.sum()), clips, 3),
        "feature_distance": with_interval(lambda w: float(w @ distance / w.sum()), clips, 4),
        "sharpness": with_interval(lambda w: float(w @ shown / (w @ true)), clips, 2),
    }
    if "found" not in hands[0]:
        return figures
    best = [hand for clip in results for hand in ceiling[clip]["hands"] if hand["moved"] == moved]
    found, best_found = column("found"), column("found", best)
    counts = [len(hand["error_px"]) for hand in hands]
    error, best_error = (np.concatenate([hand["error_px"] for hand in of]) for of in (hands, best))

    def to_ceiling(w: np.ndarray) -> float:
        w = np.repeat(w, counts)
        return weighted_median(error, w) / weighted_median(best_error, w)

    return figures | {
        "found": with_interval(lambda w: float(w @ found / w.sum()), clips, 3),
        "found_to_ceiling": with_interval(lambda w: float(w @ found / (w @ best_found)), clips, 3),
        "error_px": with_interval(lambda w: weighted_median(error, np.repeat(w, counts)), clips, 2),
        "error_to_ceiling": with_interval(to_ceiling, clips, 3),
    }


def frame_figures(results: dict[str, dict]) -> dict:
    """PSNR of all frames, and how often the face of a turned head is found."""
    of_clips = [(clip, frame) for clip, result in results.items() for frame in result["frames"]]
    clips = [clip for clip, _ in of_clips]
    figures: dict = {}
    for name in ("psnr", "foreground_psnr"):
        values = np.array([frame[name] for _, frame in of_clips])
        figures[name] = with_interval(lambda w, values=values: float(w @ values / w.sum()), clips, 2)
    if any("face" in frame for _, frame in of_clips):
        figures |= face_figures(results)
    turned = [(clip, frame["face_found"]) for clip, frame in of_clips if frame["turned"] and "face_found" in frame]
    if turned:
        found = np.array([is_found for _, is_found in turned], float)
        figures["turned_heads"] = len(turned)
        figures["turned_faces_found"] = with_interval(
            lambda w: float(w @ found / w.sum()), [clip for clip, _ in turned], 3
        )
    return figures


def face_figures(results: dict[str, dict]) -> dict:
    """Correlation of mouth and brows with those of the driving face and the true one, each clip about its own mean."""
    figures = {}
    for number, name in enumerate(FACE_ACTIONS):
        clips, values = [], []
        for clip, result in results.items():
            faces = [[of[number] for of in frame["face"]] for frame in result["frames"] if frame.get("face_found")]
            if len(faces) > 1:
                clips += [clip] * len(faces)
                values += (np.array(faces) - np.mean(faces, axis=0)).tolist()
        if values:
            shown, *known = np.array(values).T
            for to, of in zip(("driving", "true"), known, strict=True):
                statistic = partial(_correlation, shown, of)
                figures[f"{name}_as_{to}"] = with_interval(statistic, clips, 3)
    return figures


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's, of values about 0."""
    return float(weights @ (first * second) / np.sqrt((weights @ first**2) * (weights @ second**2)))


def identity_figures(results: dict[str, dict], ceiling: dict[str, dict]) -> dict:
    """How often the nearest of `NUM_KNOWN` signers' pictures, by colours of face, hair and clothes, is the right one.

    The right one is the clip's own first frame, which the renderer was given. The others are those of the first clips
    of the signers who come next in the split. Where no colours are found, nobody is recognized.
    """
    pictures: dict[int, list] = {}
    for result in ceiling.values():
        pictures.setdefault(result["signer"], result["picture"])
    signers = list(pictures)
    clips, right = [], []
    for clip, result in results.items():
        if "colours" not in result:
            return {}
        own = signers.index(ceiling[clip]["signer"])
        others = [signers[(own + step) % len(signers)] for step in range(1, min(NUM_KNOWN, len(signers)))]
        known = [ceiling[clip]["picture"], *(pictures[signer] for signer in others)]
        clips.append(clip)
        own_distance, *distances = (colour_distance(result["colours"], picture) for picture in known)
        right.append(own_distance is not None and all(of is None or own_distance < of for of in distances))
    found = np.array(right, float)
    return {
        "signers": min(NUM_KNOWN, len(signers)),
        "right": with_interval(lambda w: float(w @ found / w.sum()), clips, 3),
    }
