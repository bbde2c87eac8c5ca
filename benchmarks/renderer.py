"""How well hands can be read from renders of signers and motions that were not trained on.

`python -m benchmarks.renderer runs/signers-256/test` shows every clip in several ways (`ROWS`), each driven by what
MediaPipe finds in the true video, and prints one JSON line; `--sheet PATH` also draws moved hands of all rows. A hand
has moved when its joints are on average farther than 12/256 of the width from where the signer's picture has them.
Rows that begin with `exact-` are driven by the exact keypoints, and only their pictures are compared. Intervals
resample clips. Each clip and row is a file in the results folder, so a run that was stopped goes on where it was.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from benchmarks.renderer_table import frame_figures, hand_figures
from gen.conditioning import map_frames, read_reference
from gen.renderers import create_renderer
from gen.renderers.signer_small import load_pipeline
from gen.signers.appearance import sample_signer
from gen.signers.body import load_body
from gen.signers.fit import BodyMotion, Camera, fit_body, pose_vertices
from gen.signers.make import MOVED_SHARE, Actor, prepare
from gen.signers.render import render_layers
from pipelines.environment import fingerprint, machine
from pipelines.measures.features import OrientedFilters, feature_distance
from pipelines.measures.picture import (
    CROP_PX,
    REGIONS,
    cut_frames,
    luma,
    region_boxes,
    signal_to_noise,
    structural_similarities,
)
from poses.estimators import create_estimator, extract_poses
from poses.files import new_file
from poses.keypoints import PARTS
from poses.sequence import PoseSequence

HANDS = REGIONS[:2]
MISSED_PX = 20.0
"""What every joint of a hand that is not found counts for, in pixels of a frame 256 wide."""
TURNED_DEG = 15.0
"""A head that looks farther than this past the camera is turned."""
EXACT, STEPS = "exact-", "steps-"
ROWS = (
    "true", "copy", "composite", "avatar", "oracle", "steps-1", "steps-2", "steps-4", "steps-8",
    "exact-composite", "exact-oracle", "exact-steps-1", "exact-steps-4",
)  # fmt: skip
"""`true` is the ceiling. `copy` holds up the signer's picture, `composite` is what the network starts from, `avatar`
another signer drawn by code; `oracle` is the true signer drawn by code, on the body fitted to the same keypoints.
`steps-1` answers at once from nothing but noise: it is the regression."""

Video = UInt8[np.ndarray, "frames height width 3"]


@dataclass(frozen=True, eq=False)
class Film:
    """A clip and all that is known about it; the first frame is the signer's picture.

    Attributes:
        points: The exact keypoints in pixels, those outside the frame too.
        poses: The exact keypoints as an estimator would give them.
    """

    name: str
    frames: Video
    points: np.ndarray
    poses: PoseSequence
    actor: Actor
    motion: BodyMotion


def load_film(folder: Path) -> Film:
    """Reads a clip that `signloop signers make` wrote, and dresses its signer again."""
    about = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
    frames, keypoints, confidence = (np.load(folder / f"{name}.npy") for name in ("frames", "keypoints", "confidence"))
    size = frames.shape[1]
    seen = np.where(confidence[..., None] > 0, keypoints, np.float32(0))
    camera = Camera(about["camera"]["scale"], tuple(about["camera"]["center"]), about["camera"]["aspect"])
    unknown = np.zeros((len(frames), 2), bool)
    with np.load(folder / "motion.npz") as arrays:
        motion = BodyMotion(camera=camera, arm_seen=unknown, hand_seen=unknown, **arrays)
    return Film(
        name=folder.name,
        frames=frames,
        points=keypoints * size,
        poses=PoseSequence(seen, confidence, about["fps"], size, size, folder.name),
        actor=prepare(sample_signer(about["signer"])),
        motion=motion,
    )


_estimator = cache(create_estimator)
_pipeline = cache(load_pipeline)


def read_poses(film: Film, path: Path) -> PoseSequence:
    """What MediaPipe finds in the picture, and in the frames after it as another video."""
    if not path.exists():
        parts = [
            extract_poses(film.frames[part], fps=film.poses.fps, estimator=_estimator("mediapipe"), source=film.name)
            for part in (slice(0, 1), slice(1, None))
        ]
        keypoints = np.concatenate([of.keypoints for of in parts])
        confidence = np.concatenate([of.confidence for of in parts])
        with new_file(path) as aside, aside.open("wb") as file:
            np.savez(file, keypoints=keypoints, confidence=confidence)
    with np.load(path) as arrays:
        return replace(film.poses, **arrays)


def show(row: str, film: Film, poses: PoseSequence, weights: str) -> Video:
    """The frames of a row, driven by `poses`, the first of which is the pose held in the picture."""
    image, held, driving = film.frames[0], poses[:1], poses[1:]
    if row == "true":
        return film.frames[1:]
    if row == "copy":
        return np.repeat(film.frames[:1], len(driving), axis=0)
    if row == "composite":
        body = load_body()
        picture = read_reference(image, body, fit_body(held, body))
        return map_frames(picture, body, fit_body(driving, body), driving, slice(None))[..., :3]
    if row == "avatar":
        return np.stack(list(create_renderer("avatar").render(driving, None)))
    if row == "oracle":
        return draw_signer(film, fit_body(driving, film.actor.body))[0]
    steps, generator = int(row.removeprefix(STEPS)), torch.Generator().manual_seed(0)
    stream = _pipeline(weights).stream(driving, image, held, num_inference_steps=steps, generator=generator)
    return np.stack(list(stream))


def draw_signer(film: Film, motion: BodyMotion) -> tuple[Video, UInt8[np.ndarray, "frames height width"]]:
    """The true signer in a motion, and how much of each pixel they cover."""
    height, width = film.frames.shape[1:3]
    vertices = pose_vertices(film.actor.body, motion)
    return render_layers(film.actor.figure, vertices, motion.camera, height=height, width=width)


def measure(film: Film, shown: Video, read: PoseSequence | None) -> tuple[dict, UInt8[np.ndarray, "hands size size 3"]]:
    """Figures of every frame and of every hand that is in the frame, and cut-outs of the moved ones.

    Args:
        film: The true clip.
        shown: The frames of a row.
        read: What the estimator finds in them; None where nobody asked.
    """
    true, poses = film.frames[1:], film.poses[1:]
    height, width = true.shape[1:3]
    visible = poses.confidence > 0
    boxes = region_boxes(poses.pixels(), visible, width, height)
    scale = np.array([width, height] * 2)
    crops, true_crops = (cut_frames(video, boxes / scale) for video in (shown, true))
    hands, cuts = [], []
    for side in HANDS:
        region, points = REGIONS.index(side), PARTS[side]
        way = np.linalg.norm(film.points[1:, points] - film.points[:1, points], axis=-1).mean(axis=1)
        for frame in np.flatnonzero(true_crops.valid[:, region]):
            hand = {
                "moved": bool(way[frame] > MOVED_SHARE * width),
                **compare_cuts(crops.regions[frame, region], true_crops.regions[frame, region]),
                "edges": edges(shown[frame], boxes[frame, region]),
                "true_edges": edges(true[frame], boxes[frame, region]),
            }
            if read is not None:
                hand["found"] = bool(read.confidence[frame, points].any())
                error = np.linalg.norm(read.pixels()[frame, points] - film.points[1 + frame, points], axis=1)
                error = error * 256 / width if hand["found"] else np.full(len(error), MISSED_PX)
                hand["error_px"] = error[visible[frame, points]].round(2).tolist()
            hands.append(hand)
            cuts += [crops.regions[frame, region]] if hand["moved"] else []
    frames = measure_frames(film, shown, read)
    return {"frames": frames, "hands": hands}, np.array(cuts, np.uint8).reshape(-1, CROP_PX, CROP_PX, 3)


def compare_cuts(shown: UInt8[np.ndarray, "size size 3"], true: UInt8[np.ndarray, "size size 3"]) -> dict[str, float]:
    """Likeness and distance of two pictures of a hand."""
    network = OrientedFilters()
    return {
        "ssim": float(structural_similarities(luma(shown)[None], luma(true)[None])[0]),
        "distance": float(feature_distance(network.layers(shown[None]), network.layers(true[None]))[0]),
    }


def edges(frame: UInt8[np.ndarray, "height width 3"], box: np.ndarray) -> float:
    """Variance of the Laplacian of the luma within a box: high where a picture is sharp."""
    left, top, right, bottom = box.round().astype(int)
    return float(cv2.Laplacian(luma(frame[top:bottom, left:right]), cv2.CV_32F).var())


def measure_frames(film: Film, shown: Video, read: PoseSequence | None) -> list[dict]:
    """Figures of every frame: PSNR in decibels, of the whole and of the signer, and whether the face was found."""
    true = film.frames[1:]
    signer = draw_signer(film, film.motion)[1][1:] > 127
    turned = np.abs(film.motion.head_turn_deg[1:, 0]) > TURNED_DEG
    figures = []
    for number, (one, other) in enumerate(zip(shown, true, strict=True)):
        figure = {
            "psnr": float(signal_to_noise(one.reshape(1, -1, 3), other.reshape(1, -1, 3))[0]),
            "foreground_psnr": float(signal_to_noise(one[None, signer[number]], other[None, signer[number]])[0]),
            "turned": bool(turned[number]),
        }
        if read is not None:
            figure["face_found"] = bool(read.confidence[number, PARTS["face"]].any())
        figures.append(figure)
    return figures


def measure_row(row: str, film: Film, results: Path, weights: str) -> None:
    """Shows a clip in one way, measures it, and keeps figures and cut-outs."""
    exact = row.startswith(EXACT)
    estimated = read_poses(film, results / f"{film.name}-estimated.npz")
    shown = show(row.removeprefix(EXACT), film, film.poses if exact else estimated, weights)
    read = None
    if row == "true":
        read = estimated[1:]
    elif not exact:
        try:
            read = extract_poses(shown, fps=film.poses.fps, estimator=_estimator("mediapipe"), source=film.name)
        except ValueError:  # nobody is seen in any frame
            read = replace(
                estimated[1:],
                keypoints=np.zeros_like(estimated.keypoints[1:]),
                confidence=np.zeros_like(estimated.confidence[1:]),
            )
    figures, cuts = measure(film, shown, read)
    path = result_path(results, row, film.name, weights)
    path.parent.mkdir(exist_ok=True)
    if len(cuts):
        Image.fromarray(cuts.reshape(-1, CROP_PX, 3)).save(path.with_suffix(".png"))
    with new_file(path, overwrite=True) as aside:
        aside.write_text(json.dumps(figures), encoding="utf-8")


@cache
def _name_of(weights: str) -> str:
    return fingerprint(_pipeline(weights).unet).split()[-1]


def result_path(results: Path, row: str, clip: str, weights: str) -> Path:
    """Where a clip's figures lie; those of a network are told apart by its weights."""
    folder = f"{row}-{_name_of(weights)}" if STEPS in row else row
    return results / folder / f"{clip}.json"


def draw_sheet(rows: dict[str, list[Path]], columns: int = 24) -> Image.Image:
    """Moved hands, evenly chosen from all clips, a line for every row.

    Args:
        rows: The cut-outs of each row, as `measure_row` left them.
        columns: How many hands.
    """
    label = 128
    sheet = Image.new("RGB", (label + columns * CROP_PX, len(rows) * CROP_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, (name, paths) in enumerate(rows.items()):
        draw.text((label - 8, (row + 0.5) * CROP_PX), name, "black", font, anchor="rm")
        pictures = [np.asarray(Image.open(path)) for path in paths if path.exists()]
        hands = np.concatenate(pictures).reshape(-1, CROP_PX, CROP_PX, 3)
        for column, number in enumerate(np.linspace(0, len(hands) - 1, columns).round().astype(int)):
            sheet.paste(Image.fromarray(hands[number]), (label + column * CROP_PX, row * CROP_PX))
    return sheet


def main() -> None:
    """Measures what is missing and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("split", type=Path, help="folder of clips, such as runs/signers-256/test")
    parser.add_argument("--clips", type=int, help="how many of them, from the first; all if left out")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--weights", default=str(files("gen") / "weights" / "signer-small"), help="a saved pipeline")
    parser.add_argument("--results", type=Path, default=Path("runs/renderer"))
    parser.add_argument("--sheet", type=Path, help="where to draw moved hands")
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.split.glob("*/clip.json"))[: arguments.clips]
    rows = ["true", *(row for row in arguments.rows if row != "true")]
    paths = {
        row: {folder.name: result_path(arguments.results, row, folder.name, arguments.weights) for folder in folders}
        for row in rows
    }
    arguments.results.mkdir(parents=True, exist_ok=True)
    missing = sum(not path.exists() for of_row in paths.values() for path in of_row.values())
    with tqdm(total=missing, unit="row", file=sys.stderr) as bar:
        for folder in folders:
            todo = [row for row in rows if not paths[row][folder.name].exists()]
            film = load_film(folder) if todo else None
            for row in todo:
                assert film is not None
                measure_row(row, film, arguments.results, arguments.weights)
                bar.update()
    results = {
        row: {clip: json.loads(path.read_text(encoding="utf-8")) for clip, path in of_row.items()}
        for row, of_row in paths.items()
    }
    if arguments.sheet:
        draw_sheet({row: [path.with_suffix(".png") for path in of_row.values()] for row, of_row in paths.items()}).save(
            arguments.sheet
        )
    table = {
        row: {
            "moved": hand_figures(of_row, results["true"], moved=True),
            "unmoved": hand_figures(of_row, results["true"], moved=False),
            "frames": frame_figures(of_row),
        }
        for row, of_row in results.items()
    }
    about = {"clips": len(folders), "weights": _name_of(arguments.weights), "machine": machine()}
    print(json.dumps({**about, "rows": table}))


if __name__ == "__main__":
    main()
