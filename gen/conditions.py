"""What the network is conditioned on, by name: each can be left out, in training at random, in use by guidance."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from gen.conditioning import to_pose_maps, to_reference
from poses import PoseSequence

CONDITIONS = ("geometry", "control", "keypoints", "reference", "background", "previous", "keep")
"""Maps of the fitted body; the drawn control frame; the numeric keypoints; the signer's picture and the pose in it; the
clean plate, which is the picture without the signer; the frame before the window; the mask of pixels to keep.

The coarse composite is the picture carried along by the body, so it is left out with either."""

_COMPOSITE, _GEOMETRY, _CONTROL = 4, 9, 3
"""Channels of `to_pose_maps`: composite and whether it was carried; normal, depth and part; control frame."""
_PICTURE, _BACKGROUND, _PARTS = 3, 3, 4
"""Channels of `to_reference`."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the network is told about windows of frames, but for the frame before, which is among the frames.

    Attributes:
        pose_maps: Maps of each frame, from `to_pose_maps`.
        keypoints: Across and down in pixels of these frames, and confidence: 0 where a point is not seen.
        reference: The signer's picture and what is known about it, from `to_reference`.
        keep: 1 where the picture's pixels must stay.
        given: 1 for each of `CONDITIONS` that is given. Of the others, all numbers above are zero.
    """

    pose_maps: Float[Tensor, "b 16 f h w"]
    keypoints: Float[Tensor, "b f 128 3"]
    reference: Float[Tensor, "b 10 h w"]
    keep: Float[Tensor, "b h w"]
    given: Float[Tensor, "b 7"]

    def only(self, chosen: Bool[Tensor, "b 7"]) -> "Conditions":
        """The same without what isn't among the chosen `CONDITIONS`."""
        given = self.given * chosen
        geometry, control, keypoints, reference, background, _, keep = given.unbind(dim=1)
        composite = geometry * reference
        of_maps = torch.stack([composite] * _COMPOSITE + [geometry] * _GEOMETRY + [control] * _CONTROL, dim=1)
        of_reference = torch.stack([reference] * _PICTURE + [background] * _BACKGROUND + [reference] * _PARTS, dim=1)
        return Conditions(
            pose_maps=self.pose_maps * of_maps[:, :, None, None, None],
            keypoints=self.keypoints * keypoints[:, None, None, None],
            reference=self.reference * of_reference[:, :, None, None],
            keep=self.keep * keep[:, None, None],
            given=given,
        )

    def without(self, name: str) -> "Conditions":
        """The same without one of `CONDITIONS`."""
        chosen = torch.tensor([name != other for other in CONDITIONS], device=self.given.device)
        return self.only(chosen.expand_as(self.given))

    def after(self, frames: int) -> "Conditions":
        """The same for windows that begin so many frames later."""
        return replace(self, pose_maps=self.pose_maps[:, :, frames:], keypoints=self.keypoints[:, frames:])


def to_conditions(
    maps: UInt8[Tensor, "b f h w 12"],
    keypoints: Float[Tensor, "b f 128 3"],
    reference: UInt8[Tensor, "b h w 7"],
    keep: Bool[Tensor, "b h w"] | None = None,
) -> Conditions:
    """The network's view of `map_frames`, `to_keypoints`, `Reference.maps` and a mask, if there is one."""
    given = torch.ones(len(maps), len(CONDITIONS), device=maps.device)
    if keep is None:
        given[:, CONDITIONS.index("keep")] = 0
        keep = torch.zeros(reference.shape[:3], dtype=torch.bool, device=maps.device)
    return Conditions(to_pose_maps(maps), keypoints, to_reference(reference), keep.float(), given)


def to_keypoints(poses: PoseSequence) -> Float32[np.ndarray, "frames 128 3"]:
    """Across and down in pixels, and confidence."""
    return np.concatenate([poses.pixels(), poses.confidence[..., None]], axis=-1).astype(np.float32)
