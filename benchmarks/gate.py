"""What the gate of an augmentation lets through: right renders, and renders spoiled in ways that it should notice.

    python -m benchmarks.gate RESULTS --workers 2

Two-letter words of languages that may be trained on, varied as `signloop augment` varies them, are rendered by every
built-in signer and measured as there: as they are, and with another word's video, other hands, hands beside their
place, blurred hands, pictures that stand still, a signer who turns into another, a picture that slides away. Against
every other signer's picture only the colours are measured. Prints one line of JSON: for each of these how many clips
there are, how many the default gate rejects, and the figures that it looks at as 5 %, 50 % and 95 % quantiles. A clip
is a part of RESULTS, so that a run that was stopped goes on.
"""

import argparse
import json
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from gen.renderers.base import Placement
from gen.renderers.pictures import built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.augment import load_renderer
from pipelines.bulk import Part, Tell, run_bulk
from pipelines.candidates import label_share, measure_render
from pipelines.evaluate import load_judges
from pipelines.gate import Figures, Gate
from pipelines.measures.identity import colour_differences, region_colours
from pipelines.measures.picture import region_boxes
from pipelines.measures.pose import VISIBLE_CONFIDENCE, visible_points
from pipelines.measures.reading import gloss_names, joined_glosses, read_out
from pipelines.pairs import Pair
from pipelines.render import render_video
from pipelines.renderer_version import renderer_version
from pipelines.variation import Change, change_poses, draw_change, move_camera
from pipelines.variation_limits import Variation
from poses.fingerspelling import spell
from poses.io import load_poses, save_poses
from poses.keypoints import PARTS
from poses.sequence import PoseSequence
from poses.video import read_frames, write_video

LANGUAGES = ("ase", "cse", "ssp", "ise")
"""None is held out; in the second, letters take both hands."""

SIZE, FPS = 256, 12.0
SIGNERS = tuple(BUILT_IN_SIGNERS)
Frames = UInt8[np.ndarray, "frames height width 3"]


@dataclass(frozen=True)
class Item:
    """A word by a signer, and what it is spoiled with."""

    word: str
    other_word: str
    language: str
    signer: str
    renderer: str

    @property
    def name(self) -> str:
        return f"{self.language}-{self.word}-{self.signer}"


def main() -> None:
    """Renders and measures what is not there yet, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--renderer", default="signer-small")
    parser.add_argument("--words", type=int, default=2, help="of each signer")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    items = draw_items(arguments.words, arguments.renderer)
    version = f"{arguments.renderer} {renderer_version(load_renderer(arguments.renderer))}"
    settings = {"benchmark": "gate", "renderer": version, **load_judges("mediapipe").names()}
    run_bulk(
        spoil,
        {item.name: item for item in items},
        arguments.results,
        settings=settings,
        workers=arguments.workers,
        unit=" clips",
        show=True,
    )
    rows: dict[str, list[Figures]] = {}
    for item in items:
        figures = json.loads((arguments.results / "parts" / item.name / "figures.json").read_text())
        for condition, found in figures.items():
            rows.setdefault(condition, []).extend(found)
    print(json.dumps({"renderer": version, **{name: summary(found) for name, found in rows.items()}}))


def draw_items(words: int, renderer: str) -> list[Item]:
    """Words of two different letters by every signer, always the same."""
    rng = np.random.default_rng(0)
    letters = [letter for letter in string.ascii_uppercase if letter not in "JQXYZ"]
    items = []
    for number, signer in enumerate(SIGNERS * words):
        word, other = ("".join(rng.choice(letters, 2, replace=False)) for _ in range(2))
        items.append(Item(word, other, LANGUAGES[number % len(LANGUAGES)], signer, renderer))
    return items


def spoil(item: Item, folder: Path, *, seed: int, tell: Tell) -> Part:
    """Renders one word in several ways and writes the gate's figures of each."""
    rng = np.random.default_rng(seed)
    change = draw_change(Variation(mirrored_share=0.0), rng)
    driving, other = (
        change_poses(spell(word, item.language, fps=FPS), change) for word in (item.word, item.other_word)
    )
    show = partial(render, folder=folder, item=item, change=change)
    placed, frames = show(driving)
    _, of_other = show(other)
    _, other_hands = show(with_hands_of(driving, other))
    aside = np.array([0.35, 0.0]) * driving.shoulder_width_px() / (driving.width, driving.height)
    _, off = show(with_hands_moved(driving, aside))
    next_signer = SIGNERS[(SIGNERS.index(item.signer) + 1) % len(SIGNERS)]
    _, by_another = show(driving, signer=next_signer)
    still, half = np.full(len(frames), len(frames) // 2), np.minimum(np.arange(len(frames)), len(frames) // 2)
    spoiled = {
        "right": frames,
        "another word": of_other,
        "other hands": other_hands,
        "hands off by 0.35": off,
        "blurred hands": blurred(frames, placed),
        "frozen": frames[still],
        "frozen half-way": frames[half],
        "signer turns into another": blend(frames, by_another),
        "slides by 0.4": slide(frames, 0.4 * placed.shoulder_width_px()),
    }
    labels = joined_glosses(driving.glosses)
    figures = {name: [measure(folder, item, placed, shown, labels)] for name, shown in spoiled.items()}
    figures["another signer"] = colours_of_others(frames, load_poses(folder / "found.npz"), item.signer)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1))
    for path in folder.glob("*.npz"):
        path.unlink()
    tell(1)
    return Part(1, 1)


def render(
    driving: PoseSequence, *, folder: Path, item: Item, change: Change, signer: str | None = None
) -> tuple[PoseSequence, Frames]:
    """The driving pose in the frame, and what was drawn."""
    video = folder / "render.mp4"
    placement: Placement = render_video(
        driving,
        video,
        renderer=load_renderer(item.renderer),
        signer=built_in_picture(signer or item.signer, SIZE, SIZE),
        height=SIZE,
        width=SIZE,
        camera=partial(move_camera, change=change),
        overwrite=True,
    )
    return placement(driving), np.stack(list(read_frames(video)))


def measure(folder: Path, item: Item, placed: PoseSequence, frames: Frames, labels: Sequence[str]) -> Figures:
    """The gate's figures of some frames; the first time, what was found in them is kept."""
    save_poses(placed, folder / "placed.npz", overwrite=True)
    write_video(folder / "shown.mp4", frames, fps=placed.fps, overwrite=True)
    image = folder / "signer.png"
    Image.fromarray(built_in_picture(item.signer, SIZE, SIZE).image).save(image)
    pair = Pair(item.name, folder / "placed.npz", folder / "shown.mp4", image=image)
    judges = load_judges("mediapipe")
    figures, found = measure_render(pair, placed, labels, judges, Gate())
    readout, names = read_out(found, judges.recognizer), gloss_names(judges.recognizer)
    shares = {f"label_share@{top_k}": label_share(labels, readout, names, top_k) for top_k in (1, 2, 3, 5)}
    if not (folder / "found.npz").exists() and found.confidence.any():
        save_poses(found, folder / "found.npz")
    return {**figures, **shares}


def colours_of_others(frames: Frames, found: PoseSequence, signer: str) -> list[Figures]:
    """How far a video's colours are from those of every other signer's picture."""
    pixels, seen = found.pixels(), found.confidence >= VISIBLE_CONFIDENCE
    shown = np.stack([region_colours(*of_frame) for of_frame in zip(frames, pixels, seen, strict=True)])
    others = [other for other in SIGNERS if other != signer]
    found_colours = [colour_differences(shown, picture_colours(other)) for other in others]
    return [{f"delta_e/{region}": value for region, value in of.items()} for of in found_colours]


@cache
def picture_colours(signer: str) -> np.ndarray:
    """Colours of a built-in signer as the estimator finds them in the picture."""
    picture, estimator = built_in_picture(signer, SIZE, SIZE).image, load_judges("mediapipe").estimator
    estimator.reset()
    keypoints, confidence = estimator.estimate(picture)
    return region_colours(picture, keypoints * SIZE, confidence >= VISIBLE_CONFIDENCE)[None]


def with_hands_of(driving: PoseSequence, other: PoseSequence) -> PoseSequence:
    """Every hand in the shape of another clip's, where both have one, at its own wrist."""
    keypoints = driving.keypoints.copy()
    frames = np.minimum(np.arange(len(driving)), len(other) - 1)
    for side in ("right_hand", "left_hand"):
        part = PARTS[side]
        both = (driving.confidence[:, part] > 0).all(axis=1) & (other.confidence[frames][:, part] > 0).all(axis=1)
        shape = other.keypoints[frames][:, part] - other.keypoints[frames][:, part][:, :1]
        keypoints[both, part] = (keypoints[:, part][:, :1] + shape)[both]
    return replace(driving, keypoints=keypoints)


def with_hands_moved(driving: PoseSequence, by: np.ndarray) -> PoseSequence:
    """Hands beside where the arms end."""
    keypoints = driving.keypoints.copy()
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    seen = driving.confidence[:, hands] > 0
    keypoints[:, hands][seen] += by.astype(np.float32)
    return replace(driving, keypoints=keypoints)


def blurred(frames: Frames, placed: PoseSequence) -> Frames:
    """Hands of which only a spot of colour is left."""
    boxes = region_boxes(placed.pixels(), visible_points(placed), placed.width, placed.height)[:, :2]
    spoiled = frames.copy()
    for frame, of_frame in zip(spoiled, boxes, strict=True):
        soft = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(SIZE / 32)))
        for left, top, right, bottom in of_frame[np.isfinite(of_frame).all(axis=1)].round().astype(int):
            frame[top:bottom, left:right] = soft[top:bottom, left:right]
    return spoiled


def blend(frames: Frames, others: Frames) -> Frames:
    """Slowly from the ones into the others."""
    share = np.linspace(0, 1, len(frames))[:, None, None, None]
    return (frames * (1 - share) + others * share).round().astype(np.uint8)


def slide(frames: Frames, most_px: float) -> Frames:
    """Slowly to the right, the edge repeated."""
    columns = np.arange(frames.shape[2])
    moved = np.linspace(0, most_px, len(frames)).round().astype(int)
    return np.stack([frame[:, np.maximum(columns - by, 0)] for frame, by in zip(frames, moved, strict=True)])


def summary(rows: Sequence[Figures]) -> dict[str, object]:
    """How many clips, how many are rejected and by what, and quantiles of what the gate looks at."""
    gate = Gate()
    reasons = [gate.reasons(row if "hands_in_frame" in row else {**PASSING, **row}) for row in rows]
    quantiles = {}
    for name in (*gate.figures(), *(f"label_share@{top_k}" for top_k in (1, 2, 3, 5))):
        values = [value for row in rows if (value := row.get(name)) is not None]
        if values:
            quantiles[name] = [round(float(value), 3) for value in np.quantile(values, [0.05, 0.5, 0.95])]
    return {
        "clips": len(rows),
        "rejected": sum(map(bool, reasons)),
        "by": dict(Counter(reason.split()[0] for of in reasons for reason in of).most_common()),
        "quantiles": quantiles,
    }


PASSING: Figures = {"pck_0.1/hands": 1.0, "recall/hands": 1.0, "hands_in_frame": 1.0}
"""What colours alone are put beside."""

if __name__ == "__main__":
    main()
