"""Pictures of signers: the built-in synthetic ones, and a user's cut to the rendered frame."""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from gen.renderers.base import SignerPicture
from gen.signers.appearance import BUILT_IN_SIGNERS, Signer
from gen.signers.body import Body, load_body
from gen.signers.dress import Figure, dress
from gen.signers.fit import Camera, fit_body, pose_keypoints, pose_vertices
from gen.signers.render import render_frames
from poses import PoseSequence
from poses.keypoints import FACE, index

DEFAULT_SIGNER = "alex"
"""Read best of the three that were compared: MediaPipe follows light hands before plain dark clothes most closely. On
ten words of training languages 2 % of the letters were misread, with kenji 4 %, with amara 9 %."""

_FRAME_WIDTH_M = 0.9
_ABOVE_SHOULDERS_M = 0.42
"""Room for raised hands on either side and above, and for high hair."""


def built_in_signer(name: str) -> Signer:
    """A built-in signer by name.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in BUILT_IN_SIGNERS:
        raise ValueError(f"`signer` must be one of {', '.join(BUILT_IN_SIGNERS)}, got {name!r}.")
    return BUILT_IN_SIGNERS[name]


@lru_cache(maxsize=16)
def dressed_signer(name: str) -> tuple[Body, Figure]:
    """A built-in signer's body and the dressed figure on it, ready to be posed."""
    signer = built_in_signer(name)
    body = load_body(signer.shape)
    return body, dress(signer, body)


@lru_cache(maxsize=16)
def built_in_picture(name: str, height: int, width: int) -> SignerPicture:
    """A built-in signer facing the camera, arms at rest, with the exact pose they hold."""
    return picture_of(*dressed_signer(name), height=height, width=width, name=name, consent="built-in")


def picture_of(body: Body, figure: Figure, *, height: int, width: int, name: str, consent: str) -> SignerPicture:
    """A synthetic signer facing the camera, arms at rest, with the exact pose they hold."""
    motion = fit_body(_standing(body, height, width), body)
    image = render_frames(figure, pose_vertices(body, motion), motion.camera, height=height, width=width)
    keypoints = pose_keypoints(body, motion)
    confidence = np.all((keypoints >= 0) & (keypoints < 1), axis=2, keepdims=True).astype(np.float32)
    poses = PoseSequence(keypoints * confidence, confidence[..., 0], 25.0, width, height, name)
    return SignerPicture(image[0], poses, name, consent)


def _standing(body: Body, height: int, width: int) -> PoseSequence:
    """Head and shoulders of the body at rest; arms that are not seen hang."""
    shown = index("nose", "neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_eye", "left_eye",
                  "right_ear", "left_ear", *(f"face_{name}" for name in FACE))  # fmt: skip
    aspect = width / height
    scale = 1 / max(_FRAME_WIDTH_M, _FRAME_WIDTH_M * aspect)
    shoulders_m = float(body.keypoints[index("neck"), 2])
    camera = Camera(scale, (0.5, scale * aspect * (shoulders_m + _ABOVE_SHOULDERS_M)), aspect)
    keypoints = np.zeros((1, 128, 2), np.float32)
    confidence = np.zeros((1, 128), np.float32)
    keypoints[0, shown] = camera.project(body.keypoints)[shown, :2]
    confidence[0, shown] = 1
    return PoseSequence(keypoints, confidence, 25.0, width, height, "a signer at rest")


def _top_of_head(poses: PoseSequence) -> float:
    """Where the hair ends, as a share of the picture's height; infinite where head or shoulders are not seen."""
    nose, shoulders = index("nose"), poses.shoulder_width_px()
    if poses.confidence[0, nose] == 0 or np.isnan(shoulders):
        return np.inf
    return float(poses.pixels()[0, nose, 1] - 0.75 * shoulders) / poses.height


def fit_picture(signer: SignerPicture, height: int, width: int) -> SignerPicture:
    """Scales and crops a picture to fill a frame, with the signer in the middle and the head inside.

    Args:
        signer: Any size.
        height: Pixels of the frame.
        width: Pixels of the frame.

    Raises:
        ValueError: Nobody's shoulders or nose are found in the picture.
    """
    found = signer.image.shape[:2]
    if found == (height, width):
        return signer
    anchors = index("neck", "right_shoulder", "left_shoulder", "nose")
    seen = signer.poses.confidence[0, anchors] > 0
    if not seen.any():
        raise ValueError(f"{signer.name or '`image`'}: expected a signer's head and shoulders, found none.")
    scale = max(height / found[0], width / found[1])
    size = (max(round(found[1] * scale), width), max(round(found[0] * scale), height))
    image = cv2.resize(signer.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    keep = signer.keep
    if keep is not None:  # what holds some of a kept pixel is kept: fine lines must not fall between samples
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST_EXACT
        keep = cv2.resize(keep.astype(np.float32), size, interpolation=interpolation) > 0
    middle = signer.poses.keypoints[0, anchors][seen].mean(axis=0) * size
    left = int(np.clip(middle[0] - width / 2, 0, size[0] - width))
    top = int(np.clip(min(middle[1] - 0.4 * height, _top_of_head(signer.poses) * size[1]), 0, size[1] - height))
    pixels = signer.poses.keypoints * np.array(size, np.float32) - np.array([left, top], np.float32)
    keypoints = (pixels / np.array([width, height], np.float32)).astype(np.float32)
    keypoints[signer.poses.confidence == 0] = 0
    poses = replace(signer.poses, keypoints=keypoints, width=width, height=height)
    frame = slice(top, top + height), slice(left, left + width)
    return replace(signer, image=image[frame].copy(), poses=poses, keep=None if keep is None else keep[frame])
