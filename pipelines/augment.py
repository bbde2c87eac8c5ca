"""Turns a pose corpus into a training set of generated videos: signers times clips times variants, gated and listed.

Every item is one clip by one signer in one variant. Its candidates differ by the renderer's noise alone, so that
choosing the best of them does not choose the easiest movement. What is left is a bulk job's folder and the set itself:

    OUTPUT/parts/ITEM/           video.mp4, poses.npz and clip.json of the candidate that was kept, if one was, and
                                 candidates.json: every candidate with its figures and what was against it
    OUTPUT/manifest.jsonl        candidates in, out and rejected, by item, and
    OUTPUT/rejects.jsonl         each rejected one with its reasons
    OUTPUT/dataset/              the kept ones as `pipelines.dataset` exports them, with a data card
    OUTPUT/index.html            what was kept and what was rejected, to be watched
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gen.renderers import create_renderer
from gen.renderers.base import Renderer, SignerPicture
from pipelines.bulk import BulkResult, Part, Tell, item_seed, run_bulk
from pipelines.candidates import measure_render, settle, write_json
from pipelines.casting import Casting, load_casting, read_castings
from pipelines.clip_evaluation import Judges
from pipelines.dataset import Provenance, check_format, write_dataset
from pipelines.evaluate import load_judges
from pipelines.gate import Figures, Gate, best_of
from pipelines.inputs import check_frame_rate
from pipelines.measures.reading import joined_glosses
from pipelines.pairs import Pair
from pipelines.pose_corpus import SourceClip, read_corpus
from pipelines.progress import OnProgress, Stages
from pipelines.render import describe_render, render_video
from pipelines.renderer_version import renderer_version
from pipelines.report.training_set import write_set_page
from pipelines.variation import Change, change_poses, draw_change, move_camera
from pipelines.variation_limits import Variation
from poses.bounds import check_at_least
from poses.io import save_poses
from poses.sequence import PoseFileError, PoseSequence

VERSION = 1
"""Counted up when another clip would come of the same settings."""

_SEED_LIMIT = 2**31


@dataclass(frozen=True)
class Plan:
    """How every item is made.

    Attributes:
        renderer: A name of `gen.renderers`.
        estimator: A name of `poses.estimators`; finds the pose again in every render.
        height: Pixels.
        width: Pixels.
        num_inference_steps: Denoising steps; None for the renderer's own default.
        candidates: Renders an item, of which one is kept.
        keep_rejected: Whether videos of rejected ones stay, to be watched.
        variation: How far clips are varied.
        gate: What a render must reach.
    """

    renderer: str = "signer-small"
    estimator: str = "mediapipe"
    height: int = 256
    width: int = 256
    num_inference_steps: int | None = None
    candidates: int = 1
    keep_rejected: bool = False
    variation: Variation = field(default_factory=Variation)
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Item:
    """One clip by one signer; `variant` tells those of the same two apart."""

    clip: SourceClip
    casting: Casting
    variant: int

    @property
    def name(self) -> str:
        return f"{self.clip.name}--{self.casting.name}--{self.variant:02d}"


@cache
def load_renderer(name: str) -> Renderer:
    """Loads it once in every process."""
    return create_renderer(name)


def run_augmentation(
    sources: Sequence[Path],
    output: Path,
    plan: Plan,
    *,
    signers: Sequence[str] | None = None,
    variants: int = 1,
    format: str = "folder",
    seed: int = 0,
    workers: int = 1,
    show: bool = False,
    on_progress: OnProgress | None = None,
) -> BulkResult:
    """Makes a training set, or goes on with one.

    Args:
        sources: See `read_corpus`.
        output: A new folder, or one that the same call began.
        plan: How every item is made.
        signers: See `read_castings`.
        variants: Items of every clip and signer.
        format: See `write_dataset`; another one may be asked for when all is done.
        seed: Each item has one of its own, made of this and its name.
        workers: Processes.
        show: Whether to show a progress bar on standard error.
        on_progress: Hears of every rendered frame, on one process only; what it raises ends the job.

    Raises:
        ValueError: An argument is wrong, a clip is slower than 5 or faster than 120 frames a second, no clip could be
            rendered, or `output` belongs to something else.
    """
    check_at_least(1, variants=variants, candidates=plan.candidates)
    check_format(format)
    renderer = load_renderer(plan.renderer)
    if plan.candidates > 1 and not renderer.default_num_inference_steps:
        raise ValueError(
            f"`candidates` must be 1 for {plan.renderer}, which draws without noise, got {plan.candidates}."
        )
    clips, castings = read_corpus(sources), read_castings(signers)
    for clip in clips:
        with suppress(PoseFileError):  # a damaged file costs its own clips alone
            check_frame_rate(clip.video_id or clip.path, clip.fps())
    for casting in castings:
        load_casting(casting, plan.height, plan.width)  # says now what is wrong with a picture
    items = [Item(clip, casting, number) for clip in clips for casting in castings for number in range(variants)]
    judges = load_judges(plan.estimator).names()
    settings = {
        "command": "augment",
        "version": VERSION,
        "corpus": hashlib.sha256("".join(clip.digest() for clip in clips).encode()).hexdigest()[:16],
        "signers": {casting.name: casting.facts() for casting in castings},
        "variants": variants,
        "renderer_version": renderer_version(renderer),
        **asdict(plan),
        **{f"judge_{role}": judge for role, judge in judges.items()},
    }
    provenance = Provenance(
        signloop=version("signloop"),
        models={"renderer": f"{renderer.name} {renderer_version(renderer)}", **judges},
        settings=settings | {"seed": seed},
        consents={casting.name: casting.consent or "built-in" for casting in castings},
    )
    result = run_bulk(
        partial(augment_item, plan=plan, on_progress=on_progress),
        {item.name: item for item in items},
        output,
        settings=settings,
        workers=workers,
        seed=seed,
        unit=" clips",
        show=show,
        finish=partial(write_dataset, output, format=format, provenance=provenance),
        refusal=ValueError,  # which clips are refused with that nobody can be placed by
    )
    if not result.parts:
        raise ValueError(
            f"{output}: no clip could be rendered, the first because: {next(iter(result.failed.values()))}"
        )
    write_set_page(output, result)
    return result


def augment_item(
    item: Item, folder: Path, *, seed: int, tell: Tell, plan: Plan, on_progress: OnProgress | None = None
) -> Part:
    """Varies a clip, renders its candidates, measures them, and keeps the best of those that pass.

    Raises:
        ValueError: The clip cannot be read, or shows no signer who could be placed.
    """
    change = draw_change(plan.variation, np.random.default_rng(seed))
    driving = change_poses(item.clip.load(), change)
    picture = load_casting(item.casting, plan.height, plan.width)
    image = folder / "signer.png"
    Image.fromarray(picture.image).save(image)
    labels = item.clip.glosses or joined_glosses(driving.glosses)
    judges = load_judges(plan.estimator)
    seeds = [item_seed(seed, str(number)) % _SEED_LIMIT for number in range(plan.candidates)]
    tried: list[tuple[Figures, list[str]]] = []
    for number, render_seed in enumerate(seeds):
        video = folder / f"candidate-{number}.mp4"
        placed = _render(driving, video, picture, change, plan, render_seed, Stages(on_progress=on_progress))
        save_poses(placed, folder / "poses.npz", overwrite=True)
        pair = Pair(item.name, folder / "poses.npz", video, image=image)
        figures, _ = measure_render(pair, placed, labels, judges, plan.gate)
        tried.append((figures, plan.gate.reasons(figures)))
        tell(1 / plan.candidates)
    image.unlink()
    best = best_of(tried)
    rejects = settle(folder, seeds, tried, best, group=item.casting.name, keep_rejected=plan.keep_rejected)
    if best is not None:
        facts = _facts(item, driving, change, picture, labels, plan, judges)
        choice = {"candidate": best, "render_seed": seeds[best], "figures": tried[best][0]}
        write_json(folder / "clip.json", facts | choice)
    return Part(len(tried), len(tried) - len(rejects), tuple(rejects))


def _render(
    driving: PoseSequence, video: Path, picture: SignerPicture, change: Change, plan: Plan, seed: int, stages: Stages
) -> PoseSequence:
    placement = render_video(
        driving,
        video,
        renderer=load_renderer(plan.renderer),
        signer=picture,
        height=plan.height,
        width=plan.width,
        num_inference_steps=plan.num_inference_steps,
        seed=seed,
        camera=partial(move_camera, change=change),
        stages=stages,
    )
    return placement(driving)


def _facts(
    item: Item,
    driving: PoseSequence,
    change: Change,
    picture: SignerPicture,
    labels: Sequence[str],
    plan: Plan,
    judges: Judges,
) -> dict[str, Any]:
    """All that a training set should know of a clip, with where it comes from."""
    renderer = load_renderer(plan.renderer)
    captions = item.clip.captions(driving.duration_s * change.speed)
    return {
        "id": item.name,
        "generated": describe_render(picture),
        "clip": item.clip.name,
        "source": driving.source,
        "language": driving.language,
        "glosses": list(labels),
        "spans": [asdict(span) for span in driving.glosses],
        "captions": [
            caption | {key: round(float(caption[key]) / change.speed, 3) for key in ("start_s", "end_s")}
            for caption in captions
        ],
        "signer": item.casting.name,
        "consent": picture.consent,
        "num_frames": len(driving),
        "fps": driving.fps,
        "width": plan.width,
        "height": plan.height,
        "change": asdict(change),
        "models": {"renderer": f"{renderer.name} {renderer_version(renderer)}", **judges.names()},
        "num_inference_steps": renderer.default_num_inference_steps
        if plan.num_inference_steps is None
        else plan.num_inference_steps,
    }
