"""Writes the page of an evaluation: one file that opens from disk, with the worst and the best clips to watch."""

import base64
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import chain, islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pipelines.clip_evaluation import ClipEvaluation
from pipelines.pairs import Pair
from pipelines.report.charts import line_path
from pipelines.report.page import environment
from pipelines.set_figures import Figure
from pipelines.summary import TABLE, Evaluation
from poses.draw import draw_poses
from poses.io import load_poses
from poses.sequence import PoseSequence
from poses.video import read_frames, write_video

SHOWN = 4
"""Clips that are shown of the worst, and of the best."""

PREVIEW_PX = 192
"""Height of a video in the page."""

COMMENT = "A clip beside its driving pose and the pose found in it. It may be AI-generated."

PREVIEW_S = 10.0
"""Longest video in the page."""

RANKED_BY = ("pck_0.2/hands", "ndtwp")
"""What makes a clip bad: hands that are not where they should be; where two are equal, how far the movement is off."""

NDTWP_TICKS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""A hand that is missing throughout is some ten shoulder widths off in every frame."""

STRIPS = ("right_hand", "left_hand", "face", "body")


def write_evaluation_page(evaluation: Evaluation, pairs: Mapping[str, tuple[Pair, Path]], path: Path) -> None:
    """Writes the page.

    Args:
        evaluation: What was found.
        pairs: By the clip's name, its files and its folder of results.
        path: The page.
    """
    ranked = rank(evaluation.clips)
    worst = ranked[:SHOWN]
    best = [clip for clip in reversed(ranked) if clip not in worst][:SHOWN]
    figures = {figure.name: figure for figure in (*evaluation.summary.figures, *evaluation.summary.back_translation)}
    page = (
        environment()
        .get_template("evaluation.html.jinja")
        .render(
            evaluation=evaluation,
            figures=figures,
            groups=_by_group(evaluation.summary.figures),
            nowhere=[figure for figure in evaluation.summary.figures if not figure.clips],
            shown={
                title: [(clip, *_preview(clip, *pairs[clip.name])) for clip in clips]
                for title, clips in (("Worst", worst), ("Best", best))
                if clips
            },
            strips=[(part, figures[f"pck_0.2/{part}"], _known(evaluation.clips, f"pck_0.2/{part}")) for part in STRIPS],
            cloud=_cloud(evaluation.clips),
            ticks=[(f"{value:g}", _height(value)) for value in NDTWP_TICKS],
            line_path=line_path,
            table=[(key, figures[key].title, figures[key].digits) for key in TABLE],
            troubled=[clip for clip in evaluation.clips if clip.problems],
        )
    )
    path.write_text(page, encoding="utf-8")


def rank(clips: Sequence[ClipEvaluation]) -> list[ClipEvaluation]:
    """The worst first. A clip whose figure could not be measured comes before all others."""

    def badness(clip: ClipEvaluation) -> tuple[float, float, str]:
        share, distance = (clip.figures[name] for name in RANKED_BY)
        return (
            -1.0 if share is None else share,
            float("-inf") if distance is None else -distance,
            clip.name,
        )

    return sorted(clips, key=badness)


def _by_group(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """Figures under their headings, but those that no clip has."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        if figure.clips:
            groups.setdefault(figure.group, []).append(figure)
    return groups


def _known(clips: Sequence[ClipEvaluation], name: str) -> list[tuple[str, float]]:
    return [(clip.name, value) for clip in clips if (value := clip.figures[name]) is not None]


def _cloud(clips: Sequence[ClipEvaluation]) -> list[tuple[str, float, float, bool]]:
    """Every clip as a point: movement ratio (at most 2) and nDTWp as shares of their axes, and whether it froze."""
    measured = [
        (clip.name, clip.figures["movement_ratio"], clip.figures["ndtwp"], (clip.figures["frozen_share"] or 0) > 0.5)
        for clip in clips
    ]
    return [
        (name, min(ratio / 2, 1.0), _height(far), froze)
        for name, ratio, far, froze in measured
        if ratio is not None and far is not None
    ]


def _height(ndtwp: float) -> float:
    """Where a distance lies on its axis, as a share of it: by its logarithm, between the ends of `NDTWP_TICKS`."""
    first, last = math.log(NDTWP_TICKS[0]), math.log(NDTWP_TICKS[-1])
    return min(max((math.log(max(ndtwp, 1e-9)) - first) / (last - first), 0.0), 1.0)


def _preview(clip: ClipEvaluation, pair: Pair, folder: Path) -> tuple[str, str]:
    """A small video, driving pose and clip side by side, and its first frame, as data addresses."""
    frames = islice(_side_by_side(pair, folder), max(1, round(PREVIEW_S * clip.video_fps)))
    first, still = next(frames), BytesIO()
    Image.fromarray(first).save(still, "jpeg", quality=80)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "preview.mp4"
        write_video(path, chain([first], frames), fps=clip.video_fps, comment=COMMENT)
        held = {"video/mp4": path.read_bytes(), "image/jpeg": still.getvalue()}
    video, poster = (f"data:{kind};base64,{base64.b64encode(data).decode()}" for kind, data in held.items())
    return video, poster


def _side_by_side(pair: Pair, folder: Path) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    placed = load_poses(folder / "driving.npz")
    reextracted = folder / "reextracted.npz"
    found = load_poses(reextracted) if reextracted.exists() else _nobody(placed)
    width = max(16, round(PREVIEW_PX * placed.width / placed.height / 2) * 2)
    drawn = [draw_poses(poses, "videox-fun", height=PREVIEW_PX, width=width) for poses in (placed, found)]
    # A video that is shorter or longer than its driving pose is shown as long as both last.
    for asked, frame, seen in zip(drawn[0], read_frames(pair.video), drawn[1], strict=False):
        small = Image.fromarray(frame).resize((width, PREVIEW_PX), Image.Resampling.BOX)
        yield np.hstack([asked, np.asarray(small), seen])


def _nobody(placed: PoseSequence) -> PoseSequence:
    return replace(
        placed, keypoints=np.zeros_like(placed.keypoints), confidence=np.zeros_like(placed.confidence), glosses=()
    )
