"""What rendering needs of a signer's picture, read once, as one signer is rendered again and again."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import UInt8

from gen.drawn_hands import HandDrawer
from gen.reference import Reference, read_reference
from gen.signers.body import Body, load_body
from gen.signers.fit import BodyMotion, fit_body
from gen.signers.hand_errors import correct_hands
from poses.sequence import PoseSequence

_KEPT = 16
"""Pictures of which the last ones are kept, some 11 MB each at 256 x 256."""


@dataclass(frozen=True, eq=False)
class PicturedSigner:
    """A picture, read.

    Attributes:
        body: The body that every signer is fitted with.
        held: Its fit to the picture, one frame.
        reference: What the picture shows of it.
    """

    body: Body
    held: BodyMotion
    reference: Reference

    @cached_property
    def hands(self) -> HandDrawer:
        """Draws this signer's hands; takes as long to make as some frames to render."""
        return HandDrawer(self.reference, self.body, self.held)


def read_picture(image: UInt8[np.ndarray, "h w 3"], poses: PoseSequence) -> PicturedSigner:
    """Reads a signer's picture, or gives what was read of the same one before.

    Args:
        image: The picture, RGB.
        poses: The pose held in it, one frame, placed in its frame.
    """
    digest = hashlib.sha256(repr((image.shape, poses.fps, poses.width, poses.height, poses.estimator)).encode())
    for array in (image, poses.keypoints, poses.confidence):
        digest.update(np.ascontiguousarray(array).data)
    return _read(_Picture(digest.digest(), image, poses))


@dataclass(frozen=True)
class _Picture:
    """Equal to one of the same pixels and points."""

    digest: bytes
    image: UInt8[np.ndarray, "h w 3"] = field(compare=False)
    poses: PoseSequence = field(compare=False)


@lru_cache(maxsize=_KEPT)
def _read(picture: _Picture) -> PicturedSigner:
    body = load_body()
    held = fit_body(correct_hands(picture.poses), body)
    # A copy, since the caller may go on drawing in what was given.
    return PicturedSigner(body, held, read_reference(picture.image.copy(), body, held))
