"""A contact sheet: frames of clips side by side as skeletons, to see at a glance what a file holds."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from poses.draw import draw_poses
from poses.people import People
from poses.sequence import PoseSequence

PRESET = "videox-fun"
"""Draws at the frame's size in thick lines, which can still be seen in a cell."""

COLUMNS = 6
_CELL = 240
_LABEL = 18
_GREY = 32
_DRAWN = 400
"""Pixels of the shorter side that is drawn, before it shrinks to a cell."""


def draw_cell(people: People, frame: int, signer: int, label: str) -> UInt8[np.ndarray, "height width 3"]:
    """Draws everybody in a frame, all but the signer dimmed, under a label.

    Args:
        people: Everybody in a clip.
        frame: Which frame of it.
        signer: Which person of the frame is the signer, -1 for nobody.
        label: One line; what is too long is cut.
    """
    scale = _DRAWN / min(people.width, people.height)
    height, width = round(people.height * scale), round(people.width * scale)
    picture = np.zeros((height, width, 3), np.uint8)
    for slot in range(min(people.num_people[frame], people.keypoints.shape[1])):
        seen = people.confidence[frame, slot] > 0
        if seen.any():
            person = PoseSequence(
                np.where(seen[:, None], people.keypoints[frame, slot], np.float32(0))[None],
                people.confidence[frame, slot][None],
                people.fps,
                people.width,
                people.height,
            )
            drawn = next(draw_poses(person, PRESET, height=height, width=width))
            picture = np.maximum(picture, drawn if slot == signer else drawn // 3)
    return _framed(picture, label)


def _framed(picture: UInt8[np.ndarray, "height width 3"], label: str) -> UInt8[np.ndarray, "cell_height cell_width 3"]:
    shrink = (_CELL - 4) / max(picture.shape[:2])
    width, height = (max(round(size * shrink), 1) for size in picture.shape[1::-1])
    cell = np.full((height + 4 + _LABEL, _CELL, 3), _GREY, np.uint8)
    left = (_CELL - width) // 2
    cell[2 : 2 + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    image = Image.fromarray(cell)
    ImageDraw.Draw(image).text((4, height + 4), label, (220, 220, 220), ImageFont.load_default(12))
    return np.asarray(image)


def join_cells(cells: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Lays cells out in rows of `COLUMNS`, or in one shorter row.

    Raises:
        ValueError: There are none.
    """
    if not cells:
        raise ValueError("`cells` must hold at least one picture, got none.")
    columns = min(COLUMNS, len(cells))
    num_rows = -(-len(cells) // columns)
    height = max(len(cell) for cell in cells)
    sheet = np.full((num_rows * height, columns * _CELL, 3), _GREY, np.uint8)
    for at, cell in enumerate(cells):
        top, left = at // columns * height, at % columns * _CELL
        sheet[top : top + len(cell), left : left + _CELL] = cell
    return sheet
