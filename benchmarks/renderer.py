"""How well hands can be read from renders of signers and motions that were not trained on.

`python -m benchmarks.renderer runs/signers-256/test` shows every clip in several ways (`ROWS`), each driven by what
MediaPipe finds in the true video, and prints one JSON line; `--sheet PATH` also draws moved hands of all rows. A hand
has moved when its joints are on average farther than 12/256 of the width from where the signer's picture has them.
Rows that begin with `exact-` are driven by the exact keypoints, and only their pictures are compared; those that begin
with `signverse-` by poses that were written as SignVerse-2M publishes them, with its noise and defects
(`renderer_film.publish`), and read again with repairs or, `raw-`, without. In those that begin with a condition and a
scale, such as `control=0-steps-1` (`GUIDED`, measured where they are asked for), it is left out or followed farther;
`detail=0-steps-1` is without the picture's detail.
Intervals resample clips. Each clip and row is a file in the results folder, so a run that was stopped goes on where it
was: clips are told apart by what they show, networks by their weights, and states of the code not at all.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from benchmarks.kept import clip_key
from benchmarks.renderer_film import Film, Video, create_estimator_once, join, load_film, read_poses, through_signverse
from benchmarks.renderer_measures import draw_signer, measure, signer_colours
from benchmarks.renderer_table import frame_figures, hand_figures, identity_figures
from gen.bundled import BUNDLED_WEIGHTS
from gen.conditioning import map_frames
from gen.conditions import CONDITIONS
from gen.reference import read_reference
from gen.renderers import create_renderer
from gen.renderers.signer_small import load_pipeline
from gen.signers.body import load_body
from gen.signers.fit import fit_body
from gen.signers.hand_errors import correct_hands
from pipelines.environment import fingerprint, machine
from pipelines.measures.picture import CROP_PX
from poses.estimators import extract_poses
from poses.files import new_file
from poses.sequence import PoseSequence

EXACT, STEPS, SIGNVERSE, RAW = "exact-", "steps-", "signverse-", "raw-"
ROWS = (
    "true", "copy", "composite", "avatar", "oracle", "steps-1", "steps-2", "steps-4", "steps-8",
    "exact-composite", "exact-oracle", "exact-steps-1", "exact-steps-4",
    "signverse-steps-1", "signverse-raw-steps-1",
)  # fmt: skip
"""`true` is the ceiling. `copy` holds up the signer's picture, `composite` is what the network starts from, `avatar`
another signer drawn by code; `oracle` is the true signer drawn by code, on the body fitted to the same keypoints.
`steps-1` answers at once from nothing but noise."""
GUIDED = (
    *(f"{name}={scale}-steps-1" for name in CONDITIONS if name != "keep" for scale in ("0", "1.5")),
    "detail=0-steps-1",
)

_pipeline = cache(load_pipeline)


def show(row: str, film: Film, poses: PoseSequence, weights: str) -> Video:
    """The frames of a row, driven by `poses`, the first of which is the pose held in the picture."""
    image, held, driving = film.frames[0], poses[:1], poses[1:]
    if row == "true":
        return film.frames[1:]
    if row == "copy":
        return np.repeat(film.frames[:1], len(driving), axis=0)
    if row == "composite":
        body = load_body()
        driving = correct_hands(driving)
        picture = read_reference(image, body, fit_body(correct_hands(held), body))
        return map_frames(picture, body, fit_body(driving, body), driving, slice(None))[..., :3]
    if row == "avatar":
        return np.stack(list(create_renderer("avatar").render(driving, None)))
    if row == "oracle":
        return draw_signer(film, fit_body(correct_hands(driving), film.actor.body))[0]
    guided, _, steps = row.rpartition(STEPS)
    name, _, scale = guided.removesuffix("-").partition("=")
    stream = _pipeline(weights).stream(
        driving,
        image,
        held,
        num_inference_steps=int(steps),
        guidance_scale={name: float(scale)} if name in CONDITIONS else 1.0,
        detail_scale=float(scale) if name == "detail" else 1.0,
        generator=torch.Generator().manual_seed(0),
    )
    return np.stack(list(stream))


def measure_row(row: str, film: Film, results: Path, weights: str) -> None:
    """Shows a clip in one way, measures it, and keeps figures and cut-outs."""
    exact = row.startswith(EXACT)
    estimated = read_poses(film, results / f"{film.key}-estimated.npz")
    driving = film.poses if exact else estimated
    if row.startswith(SIGNVERSE):
        published = through_signverse(estimated[1:], repair=RAW not in row, seed=int(film.name))
        driving = join(estimated[:1], published)
    shown = show(row.removeprefix(EXACT).removeprefix(SIGNVERSE).removeprefix(RAW), film, driving, weights)
    read = None
    if row == "true":
        read = estimated[1:]
    elif not exact:
        try:
            read = extract_poses(
                shown, fps=film.poses.fps, estimator=create_estimator_once("mediapipe"), source=film.name
            )
        except ValueError:  # nobody is seen in any frame
            read = replace(
                estimated[1:],
                keypoints=np.zeros_like(estimated.keypoints[1:]),
                confidence=np.zeros_like(estimated.confidence[1:]),
            )
    figures, cuts = measure(film, shown, read, estimated[1:])
    if row == "true":
        figures |= {"signer": film.signer, "picture": signer_colours(film.frames[:1], estimated[:1])}
    path = result_path(results, row, film.key, weights)
    path.parent.mkdir(exist_ok=True)
    if len(cuts):
        Image.fromarray(cuts.reshape(-1, CROP_PX, 3)).save(path.with_suffix(".png"))
    with new_file(path, overwrite=True) as aside:
        aside.write_text(json.dumps(figures), encoding="utf-8")


@cache
def _name_of(weights: str) -> str:
    return fingerprint(load_pipeline(weights, quantized=False).unet).split()[-1]


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
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS + GUIDED, default=list(ROWS), metavar="ROW", help=", ".join(ROWS + GUIDED)
    )
    parser.add_argument("--weights", default=str(BUNDLED_WEIGHTS), help="a saved pipeline")
    parser.add_argument("--results", type=Path, default=Path("runs/renderer"))
    parser.add_argument("--sheet", type=Path, help="where to draw moved hands")
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.split.glob("*/clip.json"))[: arguments.clips]
    rows = ["true", *(row for row in arguments.rows if row != "true")]
    keys = {folder: clip_key(folder) for folder in folders}
    paths = {
        row: {key: result_path(arguments.results, row, key, arguments.weights) for key in keys.values()} for row in rows
    }
    arguments.results.mkdir(parents=True, exist_ok=True)
    missing = sum(not path.exists() for of_row in paths.values() for path in of_row.values())
    with tqdm(total=missing, unit="row", file=sys.stderr) as bar:
        for folder, key in keys.items():
            todo = [row for row in rows if not paths[row][key].exists()]
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
            "identity": identity_figures(of_row, results["true"]),
        }
        for row, of_row in results.items()
    }
    about = {"clips": len(folders), "weights": _name_of(arguments.weights), "machine": machine()}
    print(json.dumps({**about, "rows": table}))


if __name__ == "__main__":
    main()
