"""The renders of one item: what the gate looks at in each, which one is kept, and what speaks against the others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bulk import Rejected
from pipelines.clip_evaluation import Judges, evaluate_clip
from pipelines.gate import RANKED_BY, Figures, Gate
from pipelines.measures.pose import VISIBLE_CONFIDENCE
from pipelines.measures.reading import Readout, gloss_names, read_out
from pipelines.pairs import Pair
from poses.keypoints import PARTS
from poses.sequence import PoseSequence


def measure_render(
    pair: Pair, placed: PoseSequence, labels: Sequence[str], judges: Judges, gate: Gate
) -> tuple[Figures, PoseSequence]:
    """Figures of a render that could be measured, by name, and the pose found in it.

    Args:
        pair: The render.
        placed: Its driving pose in its frame, of which parts may lie outside.
        labels: Glosses that it shows.
        judges: Who measures.
        gate: How many of the likeliest glosses may be a label.
    """
    evaluation, poses, _ = evaluate_clip(pair, judges)
    readout, names = read_out(poses["reextracted"], judges.recognizer), gloss_names(judges.recognizer)
    share = label_share(labels, readout, names, gate.top_k)
    figures = {**evaluation.figures, "hands_in_frame": hands_in_frame(placed), "label_share": share}
    return {name: value for name, value in figures.items() if value is not None}, poses["reextracted"]


def label_share(labels: Sequence[str], readout: Readout, names: Sequence[str], top_k: int) -> float | None:
    """Share of the labels known to the recognizer that are among the likeliest glosses of a clip.

    Among the `top_k` where there is one label; each further label makes room for one more. None without such labels.
    """
    known = set(labels) & set(names)
    if not known:
        return None
    if not len(readout.distribution):
        return 0.0
    likeliest = np.argsort(-readout.distribution, kind="stable")[: top_k + len(known) - 1]
    return len(known & {names[number] for number in likeliest}) / len(known)


def hands_in_frame(placed: PoseSequence) -> float | None:
    """Share of the points seen of both hands that lie in the picture; None where no hand is seen."""
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    seen = placed.confidence[:, hands] >= VISIBLE_CONFIDENCE
    inside = ((placed.keypoints[:, hands] >= 0) & (placed.keypoints[:, hands] <= 1)).all(axis=2)
    return float(np.mean(inside, where=seen)) if seen.any() else None


def settle(
    folder: Path,
    seeds: Sequence[int],
    tried: Sequence[tuple[Figures, list[str]]],
    best: int | None,
    *,
    group: str,
    keep_rejected: bool = False,
) -> list[Rejected]:
    """Lists all candidates, leaves the files of the best one and, where asked, the others' videos, and says why."""
    candidates, rejects = [], []
    for number, (seed, (figures, _)) in enumerate(zip(seeds, tried, strict=True)):
        reasons = _against(tried, number, best)
        candidates.append(
            {"candidate": number, "seed": seed, "kept": number == best, "reasons": reasons, "figures": figures}
        )
        video = folder / f"candidate-{number}.mp4"
        if number == best:
            video.rename(folder / "video.mp4")
        else:
            rejects.append(Rejected(f"candidate {number}", "; ".join(reasons), group))
            if not keep_rejected:
                video.unlink()
    if best is None:
        (folder / "poses.npz").unlink()
    write_json(folder / "candidates.json", candidates)
    return rejects


def _against(tried: Sequence[tuple[Figures, list[str]]], number: int, best: int | None) -> list[str]:
    """What speaks against a candidate: the gate, or a better one."""
    figures, reasons = tried[number]
    if reasons or best is None or number == best:
        return reasons
    mine, theirs = (of.get(RANKED_BY) for of in (figures, tried[best][0]))
    return [f"it passed, but candidate {best} was chosen, with {RANKED_BY} {theirs:.3f} against {mine:.3f}"]


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes a JSON file, the same bytes for the same value."""
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
