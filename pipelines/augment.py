"""Turns a pose corpus into a training set of generated videos: signers times clips times variants, gated and listed.

Every item is one clip by one signer in one variant. Its candidates differ by the renderer's noise alone, so that
choosing the best of them does not choose the easiest movement. What is left is a bulk job's folder and the set itself:

    OUTPUT/parts/ITEM/           video.mp4, poses.npz and clip.json of the candidate that was kept, if one was, and
                                 candidates.json: every candidate with its figures and what was against it
    OUTPUT/manifest.jsonl        candidates in, out and rejected, by item, and
    OUTPUT/rejects.jsonl         each rejected one with its reasons
    OUTPUT/dataset/              the kept ones as `pipelines.dataset` exports them, with a data card
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gen.renderers import create_renderer
from gen.renderers.base import Renderer, SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.bulk import BulkResult, Part, Rejected, Tell, item_seed, run_bulk
from pipelines.clip_evaluation import Judges, evaluate_clip
from pipelines.dataset import Provenance, check_format, write_dataset
from pipelines.evaluate import load_judges
from pipelines.gate import RANKED_BY, Figures, Gate, best_of
from pipelines.inputs import load_signer
from pipelines.measures.pose import VISIBLE_CONFIDENCE
from pipelines.measures.reading import Readout, gloss_names, joined_glosses, read_out
from pipelines.pairs import Pair
from pipelines.pose_corpus import SourceClip, plain_name, read_corpus
from pipelines.render import describe_render, render_video
from pipelines.variation import Change, change_poses, draw_change, move_camera
from pipelines.variation_limits import Variation
from poses.io import save_poses
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

VERSION = 1
"""Counted up when another clip would come of the same settings."""

_SEED_LIMIT = 2**31


@dataclass(frozen=True)
class Casting:
    """Who is shown: a built-in signer's name, or a picture's path and who is in it."""

    image: str
    consent: str | None = None

    @property
    def name(self) -> str:
        return self.image if self.consent is None else plain_name(Path(self.image).stem)

    def facts(self) -> str:
        """What decides how they look, and why they may be shown."""
        if self.consent is None:
            return "built-in"
        return f"{self.consent} {hashlib.sha256(Path(self.image).read_bytes()).hexdigest()[:16]}"


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
        variation: How far clips are varied.
        gate: What a render must reach.
    """

    renderer: str = "signer-small"
    estimator: str = "mediapipe"
    height: int = 256
    width: int = 256
    num_inference_steps: int | None = None
    candidates: int = 1
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


@lru_cache(maxsize=8)
def load_casting(casting: Casting, height: int, width: int) -> SignerPicture:
    """Draws or reads a signer's picture once in every process."""
    found = load_signer(casting.image, consent=casting.consent, height=height, width=width)
    return found or built_in_picture(DEFAULT_SIGNER, height, width)


def read_castings(signers: Sequence[str] | None) -> tuple[Casting, ...]:
    """Signers as they are typed: a built-in one's name, or PICTURE=CONSENT; all built-in ones for None.

    Raises:
        ValueError: One is neither, has no consent, or two have one name.
    """
    castings = []
    for signer in signers or BUILT_IN_SIGNERS:
        image, _, consent = signer.rpartition("=")
        casting = Casting(image, consent) if image else Casting(signer)
        if casting.consent is None and signer not in BUILT_IN_SIGNERS:
            known = ", ".join(BUILT_IN_SIGNERS)
            raise ValueError(f"`signers` must be among {known}, or a picture as PICTURE=CONSENT, got {signer!r}.")
        if casting.name in {other.name for other in castings}:
            raise ValueError(f"`signers` must have different names, got {casting.name!r} twice.")
        castings.append(casting)
    return tuple(castings)


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

    Raises:
        ValueError: An argument is wrong, or `output` belongs to something else.
    """
    for name, value in (("variants", variants), ("candidates", plan.candidates)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")
    check_format(format)
    renderer = load_renderer(plan.renderer)
    if plan.candidates > 1 and not renderer.default_num_inference_steps:
        raise ValueError(
            f"`candidates` must be 1 for {plan.renderer}, which draws without noise, got {plan.candidates}."
        )
    clips, castings = read_corpus(sources), read_castings(signers)
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
        "renderer_version": renderer.version,
        **asdict(plan),
        **{f"judge_{role}": judge for role, judge in judges.items()},
    }
    provenance = Provenance(
        signloop=version("signloop"),
        models={"renderer": f"{renderer.name} {renderer.version}", **judges},
        settings=settings | {"seed": seed},
        consents={casting.name: casting.consent or "built-in" for casting in castings},
    )
    return run_bulk(
        partial(augment_item, plan=plan),
        {item.name: item for item in items},
        output,
        settings=settings,
        workers=workers,
        seed=seed,
        unit=" clips",
        show=show,
        finish=partial(write_dataset, output, format=format, provenance=provenance),
    )


def augment_item(item: Item, folder: Path, *, seed: int, tell: Tell, plan: Plan) -> Part:
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
        placed = _render(driving, video, picture, change, plan, render_seed)
        save_poses(placed, folder / "poses.npz", overwrite=True)
        figures = _measure(Pair(item.name, folder / "poses.npz", video, image=image), placed, labels, judges, plan.gate)
        tried.append((figures, plan.gate.reasons(figures, network=judges.network.name)))
        tell(1 / plan.candidates)
    image.unlink()
    best = best_of(tried)
    rejects = _settle(folder, seeds, tried, best, group=item.casting.name)
    if best is not None:
        facts = _facts(item, driving, change, picture, labels, plan, judges)
        choice = {"candidate": best, "render_seed": seeds[best], "figures": tried[best][0]}
        _write_json(folder / "clip.json", facts | choice)
    return Part(len(tried), len(tried) - len(rejects), tuple(rejects))


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


def _render(
    driving: PoseSequence, video: Path, picture: SignerPicture, change: Change, plan: Plan, seed: int
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
    )
    return placement(driving)


def _measure(pair: Pair, placed: PoseSequence, labels: Sequence[str], judges: Judges, gate: Gate) -> Figures:
    """Figures of a render that could be measured, by name."""
    evaluation, poses, _ = evaluate_clip(pair, judges)
    names = gloss_names(judges.recognizer)
    share = label_share(labels, read_out(poses["reextracted"], judges.recognizer), names, gate.top_k)
    figures = {**evaluation.figures, "hands_in_frame": hands_in_frame(placed), "label_share": share}
    return {name: value for name, value in figures.items() if value is not None}


def _settle(
    folder: Path, seeds: Sequence[int], tried: Sequence[tuple[Figures, list[str]]], best: int | None, *, group: str
) -> list[Rejected]:
    """Lists all candidates, leaves the files of the best one only, and says why the others are rejected."""
    candidates, rejects = [], []
    for number, (seed, (figures, _)) in enumerate(zip(seeds, tried, strict=True)):
        reasons = _reasons(tried, number, best)
        candidates.append(
            {"candidate": number, "seed": seed, "kept": number == best, "reasons": reasons, "figures": figures}
        )
        video = folder / f"candidate-{number}.mp4"
        if number == best:
            video.rename(folder / "video.mp4")
        else:
            video.unlink()
            rejects.append(Rejected(f"candidate {number}", "; ".join(reasons), group))
    if best is None:
        (folder / "poses.npz").unlink()
    _write_json(folder / "candidates.json", candidates)
    return rejects


def _reasons(tried: Sequence[tuple[Figures, list[str]]], number: int, best: int | None) -> list[str]:
    """What speaks against a candidate: the gate, or a better one."""
    figures, reasons = tried[number]
    if reasons or best is None or number == best:
        return reasons
    mine, theirs = (of.get(RANKED_BY) for of in (figures, tried[best][0]))
    return [f"it passed, but candidate {best} was chosen, with {RANKED_BY} {theirs:.3f} against {mine:.3f}"]


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
        "models": {"renderer": f"{renderer.name} {renderer.version}", **judges.names()},
        "num_inference_steps": renderer.default_num_inference_steps
        if plan.num_inference_steps is None
        else plan.num_inference_steps,
    }


def _write_json(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
