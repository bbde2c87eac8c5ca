"""Makes the pictures of the README, the documents and the page: `python -m benchmarks.pictures`, after `make demo`.

`docs/pictures/strip.png` and `loop.gif` show what `make demo` wrote, `presets.png` a frame of it in every drawing
style, `renderers.webp` its letters by several signers and renderers, `signers.webp` and `assets/portraits.webp` the
built-in signers. All of them are synthetic: nobody's picture is in the repository.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from gen.renderers import create_renderer
from gen.renderers.base import Renderer
from gen.renderers.pictures import built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from poses.draw import PRESETS, draw_poses
from poses.io import load_poses
from poses.keypoints import index
from poses.sequence import PoseSequence
from poses.video import read_frames

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PORTRAITS = ROOT / "assets" / "portraits.webp"
PORTRAIT_PX = 128
CELL_PX = 176
MARGIN_PX = 8
CAPTION_PX = 34
ROWS = {"control.mp4": "driving pose", "render.mp4": "render", "reextracted.mp4": "found again"}
RENDERERS, RENDERED_SIGNERS, NUM_RENDERED = ("avatar", "signer-small"), ("amara", "kenji", "lucia"), 3
INK, PAPER, SOFT, BAD = (27, 30, 38), (246, 245, 241), (89, 97, 111), (179, 38, 30)

Picture = UInt8[np.ndarray, "height width 3"]


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, nargs="?", default=Path("demo"), help="what `signloop loop` wrote")
    folder = parser.parse_args().demo
    draw_strip(folder).save(PICTURES / "strip.png", optimize=True)
    write_gif(folder, PICTURES / "loop.gif")
    draw_presets(folder).save(PICTURES / "presets.png", optimize=True)
    draw_renderers(folder).save(PICTURES / "renderers.webp", quality=85, method=6)
    draw_signers().save(PICTURES / "signers.webp", quality=85, method=6)
    draw_portraits().save(PORTRAITS, quality=85, method=6)


def draw_strip(folder: Path) -> Image.Image:
    """One column for each gloss of the report: the frame halfway through it in all three videos, and what was read."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    spans = report["reference_glosses"]
    middles = [(span["start"] + span["stop"]) // 2 for span in spans]
    left = 96
    size = (left + len(spans) * (CELL_PX + MARGIN_PX), CAPTION_PX + len(ROWS) * (CELL_PX + MARGIN_PX) + CAPTION_PX)
    strip = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(strip)
    bold, small = ImageFont.load_default(22), ImageFont.load_default(14)
    for row, (video, name) in enumerate(ROWS.items()):
        top = CAPTION_PX + row * (CELL_PX + MARGIN_PX)
        draw.text((left - 12, top + CELL_PX / 2), name, INK, small, anchor="rm")
        for column, frame in enumerate(pick(folder / video, middles)):
            cell = Image.fromarray(frame).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            strip.paste(cell, (left + column * (CELL_PX + MARGIN_PX), top))
    bottom = size[1] - CAPTION_PX / 2
    draw.text((left - 12, CAPTION_PX / 2), "signed", INK, small, anchor="rm")
    draw.text((left - 12, bottom), "read from it", INK, small, anchor="rm")
    for column, span in enumerate(spans):
        centre = left + column * (CELL_PX + MARGIN_PX) + CELL_PX / 2
        read = read_during(span, report["render_reading"]["glosses"])
        draw.text((centre, CAPTION_PX / 2), span["gloss"], INK, bold, anchor="mm")
        draw.text((centre, bottom), read or "nothing", INK if read == span["gloss"] else BAD, bold, anchor="mm")
    return strip


def read_during(span: dict, glosses: list[dict]) -> str:
    """What was read while a gloss was signed: the glosses of which at least half lies within it."""

    def shared(gloss: dict) -> int:
        return min(span["stop"], gloss["stop"]) - max(span["start"], gloss["start"])

    return " ".join(gloss["gloss"] for gloss in glosses if 2 * shared(gloss) >= gloss["stop"] - gloss["start"])


def pick(video: Path, numbers: list[int]) -> Iterator[Picture]:
    """Some frames of a video, in order."""
    wanted = set(numbers)
    yield from (frame for number, frame in enumerate(read_frames(video)) if number in wanted)


def write_gif(folder: Path, path: Path) -> None:
    """The comparison above what was read meanwhile, at half its frame rate, since a GIF must stay small."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    frames = [
        with_letters(frame, number, report)
        for number, frame in enumerate(read_frames(folder / "comparison.mp4"))
        if number % 2 == 0
    ]
    beside = Image.fromarray(np.hstack([np.asarray(frame) for frame in frames[::4]]))
    palette = beside.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4)  # one for all, or colours would flicker
    few = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(2000 / report["input"]["fps"])
    few[0].save(path, save_all=True, append_images=few[1:], duration=duration, loop=0, optimize=True)


def with_letters(frame: Picture, number: int, report: dict) -> Image.Image:
    """A frame of the comparison at three quarters, above what was signed up to it and what was read of that."""
    height, width = (side * 3 // 4 for side in frame.shape[:2])
    page = Image.new("RGB", (width, height + CAPTION_PX), PAPER)
    page.paste(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
    draw, bold, small = ImageDraw.Draw(page), ImageFont.load_default(22), ImageFont.load_default(14)
    line, half = height + CAPTION_PX / 2, width / 2
    for left, name in ((0, "signed"), (half, "read from the render")):
        draw.text((left + half / 2 - 8, line), name, SOFT, small, anchor="rm")
    begun = [span for span in report["reference_glosses"] if span["start"] <= number]
    for column, span in enumerate(begun):
        read = read_during(span, report["render_reading"]["glosses"])
        x = half / 2 + 8 + 24 * column
        draw.text((x, line), span["gloss"], INK, bold, anchor="lm")
        draw.text((half + x, line), read or "-", INK if read == span["gloss"] else BAD, bold, anchor="lm")
    return page


def draw_presets(folder: Path) -> Image.Image:
    """The frame halfway through the first gloss as each family of video models expects it."""
    poses = load_poses(folder / "driving.npz")
    span = poses.glosses[0]
    middle = (span.start + span.stop) // 2
    frame = poses[middle : middle + 1]
    return draw_grid({name: next(iter(draw_poses(frame, name, height=512, width=512))) for name in PRESETS}, columns=4)


def draw_renderers(folder: Path) -> Image.Image:
    """The driving pose of some letters over each signer's picture, and what each renderer makes of it."""
    driving = load_poses(folder / "driving.npz")
    spans = driving.glosses[:NUM_RENDERED]
    left, cell, gap = 96, CELL_PX - 48, MARGIN_PX // 2
    rows = ("driving pose", *RENDERERS)
    width = len(RENDERED_SIGNERS) * (len(spans) * (cell + gap) + MARGIN_PX)
    sheet = Image.new("RGB", (left + width, CAPTION_PX + len(rows) * (cell + gap)), PAPER)
    draw, small = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, name in enumerate(rows):
        draw.text((left - 12, CAPTION_PX + row * (cell + gap) + cell / 2), name, INK, small, anchor="rm")
    for number, signer in enumerate(RENDERED_SIGNERS):
        start = left + number * width // len(RENDERED_SIGNERS)
        renders = [sign(create_renderer(name), driving, signer) for name in RENDERERS]
        control = list(draw_poses(renders[0][0], "videox-fun", height=256, width=256))
        for column, span in enumerate(spans):
            x, frame = start + column * (cell + gap), (span.start + span.stop) // 2
            draw.text((x + cell / 2, CAPTION_PX / 2), f"{signer}, {span.gloss}", INK, small, anchor="mm")
            for row, video in enumerate([control, *(frames for _, frames in renders)]):
                picture = Image.fromarray(video[frame]).resize((cell, cell), Image.Resampling.LANCZOS)
                sheet.paste(picture, (x, CAPTION_PX + row * (cell + gap)))
    return sheet


def sign(renderer: Renderer, driving: PoseSequence, signer: str) -> tuple[PoseSequence, list[Picture]]:
    """The driving pose where it is put in the signer's picture, and the render."""
    picture = built_in_picture(signer, 256, 256)
    placed = renderer.place(driving, picture, height=256, width=256)(driving)
    return placed, list(renderer.render(placed, picture))


def draw_signers() -> Image.Image:
    """The built-in signers as they are given to a renderer."""
    return draw_grid({name: built_in_picture(name, 512, 512).image for name in BUILT_IN_SIGNERS}, columns=5)


def draw_grid(cells: dict[str, Picture], *, columns: int) -> Image.Image:
    """Square pictures in rows, each above its name."""
    height = CELL_PX + CAPTION_PX
    rows = -(-len(cells) // columns)
    grid = Image.new("RGB", (columns * (CELL_PX + MARGIN_PX) - MARGIN_PX, rows * height), PAPER)
    draw, small = ImageDraw.Draw(grid), ImageFont.load_default(14)
    for number, (name, picture) in enumerate(cells.items()):
        left, top = number % columns * (CELL_PX + MARGIN_PX), number // columns * height
        grid.paste(Image.fromarray(picture).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + CELL_PX / 2, top + CELL_PX + CAPTION_PX / 2), name, INK, small, anchor="mm")
    return grid


def draw_portraits() -> Image.Image:
    """Head and shoulders of each built-in signer, side by side in their order."""
    sheet = Image.new("RGB", (PORTRAIT_PX * len(BUILT_IN_SIGNERS), PORTRAIT_PX))
    for number, name in enumerate(BUILT_IN_SIGNERS):
        picture = built_in_picture(name, 512, 512)
        nose, neck = picture.poses.pixels()[0, index("nose", "neck")]
        side = 2.4 * (neck[1] - nose[1])  # from the top of the hair to below the collar
        top = max(nose[1] - side / 2, 0)
        box = (nose[0] - side / 2, top, nose[0] + side / 2, top + side)
        portrait = Image.fromarray(picture.image).resize((PORTRAIT_PX,) * 2, Image.Resampling.LANCZOS, box=box)
        sheet.paste(portrait, (number * PORTRAIT_PX, 0))
    return sheet


if __name__ == "__main__":
    main()
