"""Films of synthetic signers as other cameras might have shown them: another view, place, light, lens and codec.

Whatever is drawn, is drawn once for a window of frames, but for noise; on whatever device they lie.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch.nn import functional as F

from poses.keypoints import BODY_LIMBS, HAND, NAMES, index
from recognizer.processing_video2pose import GREY

Pixels = Float[torch.Tensor, "batch frames 3 height width"]
Points = Float[torch.Tensor, "batch frames 128 2"]

SCALES, ASPECT, SHIFT, TURN_DEG = (0.45, 1.5), 1.12, 0.15, 12.0
"""How large the frame is shown in the square, least and most, how much wider or higher than it is at most, how far from
its middle, and how far turned."""

PLACE_SHARE, PATCH_SHARE, BARS_SHARE, BLUR_SHARE, CODEC_SHARE = 0.35, 0.4, 0.5, 0.5, 0.4
"""How many windows have another background, things ahead of the signer, bars, blur and a codec's blocks."""

MOST_BLUR_PX, MOST_QUANTUM, MOST_NOISE = 2.5, 0.12, 0.08
"""Of blur, and, in shares of white, of a codec's steps and of noise."""

_BLUR_RADIUS, _BLOCK, _MASK_SIDE = 4, 8, 56

_TRUNK = (("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"))
_FINGERS = tuple(
    (f"{side}_hand_{HAND[0]}", f"{side}_hand_{HAND[tip]}") for side in ("left", "right") for tip in (4, 8, 12, 20)
)
_LIMBS = torch.tensor([index(*limb) for limb in (*BODY_LIMBS, *_TRUNK, *_FINGERS)])

_FACE_TURNS = {"jaw": (16, 17), "brow": (4, 5), "nose_base": (4, 5), "eyelid": (3, 6), "outer_lip": (6, 12)}
_FACE_TURNS |= {"inner_lip": (4, 8)}
"""In a mirror, point i of a part of the face is point (first - i) modulo second."""


def mirrored_points() -> list[int]:
    """Which point each one is in a mirror."""
    return [index(_in_mirror(name)) for name in NAMES]


def _in_mirror(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    words = [sides.get(word, word) for word in name.split("_")]
    part = "_".join(word for word in words[1:-1] if word not in sides)
    if words[0] == "face" and part in _FACE_TURNS:
        first, count = _FACE_TURNS[part]
        words[-1] = str((first - int(words[-1])) % count)
    return "_".join(words)


_MIRRORED = torch.tensor(mirrored_points())


def augment(
    frames: Pixels, keypoints: Points, image_size: int, generator: torch.Generator, *, mirror: bool
) -> tuple[Pixels, Points, Bool[torch.Tensor, "batch frames 128"]]:
    """Shows windows of films anew.

    Args:
        frames: Squares, 0 to 1.
        keypoints: Fractions of the frame.
        image_size: Pixels to a side of what is shown, a multiple of 8.
        generator: Of all draws, on the device of `frames`.
        mirror: Whether half of the windows are shown as in a mirror.

    Returns:
        Pixels from 0 to 1, where the points lie in them, and whether these show them.
    """
    known = _inside(keypoints)
    if mirror:
        keypoints, known = keypoints.clone(), known.clone()
        turned = _chance(generator, len(frames), 0.5)
        other = keypoints[turned][:, :, _MIRRORED.to(frames.device)]
        keypoints[turned] = torch.stack([1 - other[..., 0], other[..., 1]], dim=-1)
        known[turned] = known[turned][:, :, _MIRRORED.to(frames.device)]
        frames = torch.where(_wide(turned), frames.flip(-1), frames)
    pixels, keypoints, beyond = _viewed(frames, keypoints, image_size, generator)
    other = F.interpolate(frames[:, 0].roll(1, 0).flip(-2), size=(image_size, image_size), mode="bilinear")[:, None]
    pixels = torch.lerp(pixels, other.expand_as(pixels), _replaced(keypoints, image_size, generator))
    pixels = _lit(_blurred(pixels, generator), generator)
    pixels = _coded(pixels, generator)
    beyond, shown = _barred(beyond, keypoints, generator)
    pixels = torch.where(beyond[:, None, None], GREY / 255, pixels.clamp(0, 1))
    return pixels, keypoints, known & shown


def relight(pixels: Pixels, generator: torch.Generator) -> Pixels:
    """Only light and blur of whole videos, 0 to 1, change."""
    return _lit(_blurred(pixels, generator), generator).clamp(0, 1)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def _chance(generator: torch.Generator, count: int, share: float) -> Bool[torch.Tensor, " batch"]:
    return _uniform(generator, 0, 1, count) < share


def _wide(values: torch.Tensor) -> torch.Tensor:
    """One value a window, for its pixels."""
    return values[:, None, None, None, None]


def _inside(keypoints: Points) -> Bool[torch.Tensor, "batch frames 128"]:
    return ((keypoints >= 0) & (keypoints < 1)).all(dim=-1)


def _viewed(
    frames: Pixels, keypoints: Points, image_size: int, generator: torch.Generator
) -> tuple[Pixels, Points, Bool[torch.Tensor, "batch height width"]]:
    """Windows smaller or larger, narrower or wider, turned, aside; and where nothing of a frame is."""
    count = len(frames)
    scale = _uniform(generator, math.log(SCALES[0]), math.log(SCALES[1]), count).exp()
    aspect = _uniform(generator, -math.log(ASPECT), math.log(ASPECT), count).exp().sqrt()
    angle = _uniform(generator, -TURN_DEG, TURN_DEG, count).deg2rad()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(-1, 2, 2)
    linear = turn * torch.stack([scale * aspect, scale / aspect], dim=-1)[:, None]
    shift = _uniform(generator, -SHIFT, SHIFT, count, 2, 1)
    back = torch.linalg.inv(linear)
    theta = torch.cat([back, -2 * back @ shift], dim=-1).repeat_interleave(frames.shape[1], dim=0)
    grid = F.affine_grid(theta, [len(theta), 3, image_size, image_size], align_corners=False)
    seen = F.grid_sample(frames.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    moved = (keypoints - 0.5) @ linear.transpose(1, 2)[:, None] + shift.view(-1, 1, 1, 2) + 0.5
    outside = (grid.abs() > 1).any(dim=-1).unflatten(0, frames.shape[:2])[:, 0]
    return seen.unflatten(0, frames.shape[:2]), moved, outside & _chance(generator, count, 0.5)[:, None, None]


def _replaced(
    keypoints: Points, image_size: int, generator: torch.Generator
) -> Float[torch.Tensor, "batch frames 1 height width"]:
    """How much of each pixel something else takes: what is far from limbs, or a patch."""
    count, frames = keypoints.shape[:2]
    across = (torch.arange(_MASK_SIDE, device=keypoints.device) + 0.5) / _MASK_SIDE
    places = torch.stack(torch.meshgrid(across, across, indexing="xy"), dim=-1).view(-1, 2)
    start, end = keypoints[:, :, _LIMBS.to(keypoints.device)].unbind(dim=-2)
    along = (end - start)[..., None, :]
    offset = places - start[..., None, :]
    share = ((offset * along).sum(dim=-1) / along.square().sum(dim=-1).clamp(min=1e-9)).clamp(0, 1)
    apart = (offset - share[..., None] * along).square().sum(dim=-1).amin(dim=2).sqrt()
    width = (keypoints[:, :, index("left_shoulder")] - keypoints[:, :, index("right_shoulder")]).norm(dim=-1)
    radius = width.mean(dim=1) * _uniform(generator, 0.3, 0.6, count)
    far = ((apart - radius[:, None, None]) * _MASK_SIDE / 2).clamp(0, 1)
    far = far * _chance(generator, count, PLACE_SHARE)[:, None, None]
    middle, half = _uniform(generator, 0, 1, count, 2, 2, 1), _uniform(generator, 0.02, 0.12, count, 2, 2, 1)
    columns, rows = ((across - middle).abs() < half).unbind(dim=2)
    patch = (rows[..., :, None] & columns[..., None, :]).any(dim=1) & _chance(generator, count, PATCH_SHARE)[
        :, None, None
    ]
    taken = torch.maximum(far.view(count, frames, _MASK_SIDE, _MASK_SIDE), patch[:, None].float())
    grown = F.interpolate(taken.flatten(0, 1)[:, None], size=(image_size, image_size), mode="bilinear")
    return grown.unflatten(0, (count, frames))


def _blurred(pixels: Pixels, generator: torch.Generator) -> Pixels:
    """Some windows out of focus or moved: Gaussians of two deviations along a direction and across."""
    count = len(pixels)
    deviation = _uniform(generator, 0.05, MOST_BLUR_PX, count, 2) * _chance(generator, count, BLUR_SHARE)[:, None]
    angle = _uniform(generator, 0, math.pi, count, 1, 1)
    steps = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=pixels.device).float()
    along = angle.cos() * steps + angle.sin() * steps[:, None]
    across = angle.cos() * steps[:, None] - angle.sin() * steps
    first, second = deviation.clamp(min=0.05)[..., None, None].unbind(dim=1)
    kernel = (-0.5 * ((along / first).square() + (across / second).square())).flatten(1).softmax(dim=-1)
    channels = pixels.flatten(1, 2).flatten(0, 1)[None]
    kernels = kernel.view(count, len(steps), len(steps)).repeat_interleave(pixels.shape[1] * 3, dim=0)[:, None]
    padded = F.pad(channels, [_BLUR_RADIUS] * 4, mode="replicate")
    return F.conv2d(padded, kernels, groups=len(kernels)).view_as(pixels)


def _lit(pixels: Pixels, generator: torch.Generator) -> Pixels:
    """Windows in other light, each frame with noise of its own."""
    count = len(pixels)
    gain = (_uniform(generator, -0.8, 0.3, count, 1) + _uniform(generator, -0.15, 0.15, count, 3)).exp()
    gamma = _uniform(generator, -0.4, 0.4, count).exp()
    pixels = (pixels * gain[:, None, :, None, None]).clamp(min=1e-4) ** _wide(gamma)
    grey = pixels.mean(dim=2, keepdim=True)
    pixels = grey + (pixels - grey) * _wide(_uniform(generator, 0.2, 1.3, count))
    pixels = 0.5 + (pixels - 0.5) * _wide(_uniform(generator, -0.4, 0.25, count).exp())
    pixels = pixels + _wide(_uniform(generator, -0.1, 0.1, count))
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
    return pixels + noise * _wide(_uniform(generator, 0, 1, count).square() * MOST_NOISE)


def _coded(pixels: Pixels, generator: torch.Generator) -> Pixels:
    """Some windows with rounded cosines of blocks, as JPEG and video codecs leave them."""
    count, steps = len(pixels), torch.arange(_BLOCK, device=pixels.device).float()
    cosines = (math.pi / _BLOCK * (steps + 0.5) * steps[:, None]).cos() * math.sqrt(2 / _BLOCK)
    cosines[0] /= math.sqrt(2)
    quantum = _uniform(generator, 0.01, MOST_QUANTUM, count, 1, 1, 1, 1, 1, 1)
    quantum = quantum * (1 + (steps[:, None, None] + steps) / 2)
    blocks = pixels.unflatten(-1, (-1, _BLOCK)).unflatten(-3, (-1, _BLOCK))
    waves = torch.einsum("ui,bfcyixj,vj->bfcyuxv", cosines, blocks, cosines)
    rounded = torch.einsum("ui,bfcyuxv,vj->bfcyixj", cosines, (waves / quantum).round() * quantum, cosines)
    coded = rounded.flatten(-4, -3).flatten(-2)
    return torch.where(_wide(_chance(generator, count, CODEC_SHARE)), coded, pixels)


def _barred(
    beyond: Bool[torch.Tensor, "batch height width"], keypoints: Points, generator: torch.Generator
) -> tuple[Bool[torch.Tensor, "batch height width"], Bool[torch.Tensor, "batch frames 128"]]:
    """Some windows between bars, as frames that are no squares are shown; and which points lie in the picture."""
    count, size = len(beyond), beyond.shape[-1]
    least = torch.where(_chance(generator, count, BARS_SHARE), _uniform(generator, 0, 0.22, count), 0.0)
    upright = _chance(generator, count, 0.5)
    bars = torch.stack([least * upright, least * ~upright], dim=-1)
    across = (torch.arange(size, device=beyond.device) + 0.5) / size
    columns, rows = ((across - 0.5).abs() > 0.5 - bars[..., None]).unbind(dim=1)
    inside = ((keypoints - 0.5).abs() < 0.5 - bars[:, None, None]).all(dim=-1)
    return beyond | rows[:, :, None] | columns[:, None], inside
