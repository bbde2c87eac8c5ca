"""`avatar`: the fitted body of a built-in signer, dressed and drawn by code. The baseline without learning."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from gen.renderers.base import Placement, SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture, dressed_signer
from gen.renderers.placing import place_over
from gen.signers.appearance import BUILT_IN_SIGNERS
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.hand_errors import correct_hands
from gen.signers.render import render_frames
from poses import PoseSequence

_CHUNK = 16


class AvatarRenderer:
    """Draws a built-in signer. It can't take a person's looks from a picture, so it takes built-in pictures only."""

    name = "avatar"
    version = "0.1"
    default_num_inference_steps = 0

    def place(self, poses: PoseSequence, signer: SignerPicture | None, *, height: int, width: int) -> Placement:
        """See `Renderer.place`."""
        picture = built_in_picture(_name_of(signer), height, width)
        return place_over(poses, picture.poses, height=height, width=width)

    def render(
        self,
        poses: PoseSequence,
        signer: SignerPicture | None,
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """See `Renderer.render`.

        Raises:
            ValueError: `num_inference_steps` is given, or the picture isn't a built-in signer's, or is to be kept.
        """
        if num_inference_steps:
            raise ValueError(f"`num_inference_steps` must be left out for avatar, got {num_inference_steps}.")
        if signer is not None and signer.keep is not None:
            raise ValueError("`keep` must be left out for avatar, which shows no picture.")
        body, figure = dressed_signer(_name_of(signer))
        motion = fit_body(correct_hands(poses), body)
        for start in range(0, len(poses), _CHUNK):
            vertices = pose_vertices(body, motion, slice(start, start + _CHUNK))
            yield from render_frames(figure, vertices, motion.camera, height=poses.height, width=poses.width)


def _name_of(signer: SignerPicture | None) -> str:
    if signer is None:
        return DEFAULT_SIGNER
    if signer.name not in BUILT_IN_SIGNERS:
        raise ValueError(
            f"{signer.name or '`image`'}: avatar draws built-in signers only ({', '.join(BUILT_IN_SIGNERS)}); "
            "for a picture of one's own, use the renderer signer-small."
        )
    return signer.name
