"""What the network is told: maps of the fitted body in each frame, and what the reference picture shows.

The body fitted to the driving pose is rasterized. Each of its pixels knows which body part it is, which way the
surface faces, and where the same point of the surface lies in the reference picture, so that face, hair and clothes
are carried over densely through the mesh, brighter or darker where they have turned in the light. Hands are not
carried: another handshape's creases would mislead; they get the signer's skin colour under the picture's light.
Together this gives a coarse composite, the baseline that the network must beat.

Maps travel as uint8: the same bytes in training and in use, and small enough to keep.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from gen.painting import Painter
from gen.reference import GROUP_OF_PART, Reference, to_screen
from gen.signers.body import PARTS, Body
from gen.signers.fit import BodyMotion, pose_vertices
from gen.signers.mesh import vertex_normals
from gen.signers.raster import rasterize
from poses import PoseSequence
from poses.draw import draw_poses

MAP_CHANNELS = 12
"""Composite 3, carried 1, normal 3, depth 1, part 1, control 3."""
REFERENCE_MAP_CHANNELS = 7
"""Picture 3, background 3, part 1."""
POSE_CHANNELS = 16
"""What `to_pose_maps` makes of `MAP_CHANNELS`."""
REFERENCE_CHANNELS = 10
"""What `to_reference` makes of `REFERENCE_MAP_CHANNELS`."""

CONTROL_PRESET = "videox-fun"
"""Finger lines thin enough to stay apart at 256 pixels."""


def _part_codes() -> Float32[np.ndarray, "parts 4"]:
    """Four numbers for each part (row 0 is background): side, region, finger, segment."""
    codes = np.zeros((len(PARTS) + 1, 4), np.float32)
    fingers = ("thumb", "index", "middle", "ring", "little")
    regions = ("torso", "neck", "head", "legs", "upper_arm", "forearm", "palm", "finger")
    for row, part in enumerate(PARTS, start=1):
        side = 1.0 if part.startswith("left_") else -1.0 if part.startswith("right_") else 0.0
        name = part.removeprefix("left_").removeprefix("right_")
        finger, _, segment = name.partition("_")
        is_finger = finger in fingers
        codes[row, 0] = side
        codes[row, 1] = (regions.index("finger" if is_finger else name) + 1) / len(regions)
        codes[row, 2] = fingers.index(finger) / 2 - 1 if is_finger else 0
        codes[row, 3] = int(segment) / 3 if is_finger else 0
    return codes


_PART_CODES = torch.from_numpy(_part_codes())


def _pose_map_table() -> tuple[Float[Tensor, "12 16"], Float[Tensor, "parts 16"]]:
    """What a byte of each channel of `map_frames` adds to `POSE_CHANNELS`, and what each part does.

    Colours and normals come out in [-1, 1], the rest in [0, 1]; the part's byte becomes its codes and whether the body
    is there.
    """
    scale, offset = torch.zeros(MAP_CHANNELS, POSE_CHANNELS), torch.zeros(POSE_CHANNELS)
    per_byte = torch.tensor([1 / 127.5] * 3 + [1 / 255] + [1 / 127] * 3 + [1 / 255] * 5)
    scale[:8, :8], scale[9:, 13:] = per_byte[:8].diag(), per_byte[9:].diag()
    offset[:3], offset[4:7] = -1, -128 / 127
    table = offset.repeat(len(_PART_CODES), 1)
    table[:, 8:12], table[1:, 12] = _PART_CODES, 1
    return scale, table


_SCALE_OF_BYTE, _TABLE_OF_PART = _pose_map_table()


def map_frames(
    reference: Reference, body: Body, motion: BodyMotion, poses: PoseSequence, frames: slice
) -> UInt8[np.ndarray, "frames h w 12"]:
    """Maps of some frames of a motion, in the reference picture's frame.

    Args:
        reference: The signer's picture.
        body: The body that was fitted.
        motion: The fit to the driving pose.
        poses: The driving pose itself, for the drawn control frame.
        frames: Which frames.

    Returns:
        Composite (RGB), carried (255 where it is the reference's own pixel), normal (128 is 0), depth, part (one more
        than the number in `PARTS`), control (RGB).
    """
    height, width = reference.image.shape[:2]
    posed = pose_vertices(body, motion, frames)
    controls = draw_poses(poses[frames], CONTROL_PRESET, height=height, width=width)
    painter = Painter(
        image=reference.image,
        plate=reference.plate,
        background=reference.background,
        outline=reference.outline,
        vertex_xy=reference.vertex_xy,
        vertex_seen=reference.vertex_seen,
        likeness=reference.likeness,
        colours=reference.colours,
        light=reference.light,
        faces=body.faces,
        part=body.part,
        group=GROUP_OF_PART[body.part],
    )
    maps = np.empty((len(posed), height, width, MAP_CHANNELS), np.uint8)
    for out, vertices, control in zip(maps, posed, controls, strict=True):
        normals = vertex_normals(vertices, body.faces)
        screen = to_screen(motion.camera.project(vertices), height, width)
        raster = rasterize(screen, body.faces, height=height, width=width)
        painter.paint(raster, normals, float(np.median(screen[:, 2])), out)
        out[..., 9:] = control
    return maps


def to_pose_maps(maps: UInt8[Tensor, "b f h w 12"]) -> Float[Tensor, "b 16 f h w"]:
    """The network's view of `map_frames`: colours and normals in [-1, 1], parts as codes."""
    scale, table = _SCALE_OF_BYTE.to(maps.device), _TABLE_OF_PART.to(maps.device)
    pixels = maps.reshape(-1, MAP_CHANNELS)
    # One product of matrices: each step over a dozen channels apart takes several times as long.
    values = F.embedding(pixels[:, 8].int(), table).addmm_(pixels.float(), scale)
    return values.view(*maps.shape[:-1], POSE_CHANNELS).permute(0, 4, 1, 2, 3)


def to_reference(maps: UInt8[Tensor, "b h w 7"]) -> Float[Tensor, "b 10 h w"]:
    """The network's view of `Reference.maps`."""
    features = [maps[..., :6].float() / 127.5 - 1, _PART_CODES.to(maps.device)[maps[..., 6].long()]]
    return torch.cat(features, dim=-1).permute(0, 3, 1, 2)
