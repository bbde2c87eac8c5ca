"""Where the signer is in a picture: the fitted body, and beside it hair and loose clothes, told by their colours."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

AROUND_BODY, AROUND_HEAD = 0.06, 0.12
"""How far clothes and hair reach beyond the body at most, as a share of the frame's width."""
INSIDE = 0.012
"""How far inside the body's outline a pixel is surely the signer's, likewise."""

_LARGEST_PX = 256
"""Longest side of the picture that is looked at: an outline needs no more."""
_ITERATIONS = 4


def cut_out(
    image: UInt8[np.ndarray, "h w 3"],
    body: Bool[np.ndarray, "h w"],
    head: Bool[np.ndarray, "h w"],
    guessed: Bool[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """Marks the signer by GrabCut (https://doi.org/10.1145/1015706.1015720), within reach of the body.

    Args:
        image: The picture.
        body: What the fitted body covers, all of which counts as the signer but for what is guessed.
        head: What of it is the head, around which there may be hair.
        guessed: What of it was fitted without being seen: whether the signer is there, the colours tell.
    """
    height, width = body.shape
    ratio = min(_LARGEST_PX / max(height, width), 1.0)
    size = (max(round(ratio * width), 1), max(round(ratio * height), 1))
    known = body & ~guessed
    picture, of_body, of_known, of_head = (
        cv2.resize(of.astype(np.uint8), size, interpolation=cv2.INTER_AREA) for of in (image, body, known, head)
    )
    near = grow(of_body > 0, round(AROUND_BODY * size[0])) | grow(of_head > 0, round(AROUND_HEAD * size[0]))
    sure = shrink(of_known > 0, max(round(INSIDE * size[0]), 1))
    if near.all() or not sure.any():
        return body
    mask = np.where(sure, cv2.GC_FGD, np.where(near, cv2.GC_PR_FGD, cv2.GC_BGD)).astype(np.uint8)
    cv2.setRNGSeed(0)  # its first guess at the colours is random
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, mask, (0, 0, 0, 0), *colours, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    shown = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    return known | (cv2.resize(shown, (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def grow(mask: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """The mask and all that is at most `reach` pixels from it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def shrink(mask: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """What of the mask is more than `reach` pixels from all that is not in it."""
    return ~grow(~mask, reach)
