"""The network of `signer-small`: a pose-conditioned video UNet that predicts the clean frames.

Pixel space, patches of 2, four resolutions. Frames meet in temporal attention at the two lowest resolutions, so that
what is not known from the picture (the inside of a hand, the ground behind an old one) is decided once for a window.
At the lowest, each position also attends to the keypoints of its frame.
There are no normalisation layers: the blocks are EDSR's (https://arxiv.org/abs/1707.02921, figure 2c), because on a CPU
with bf16 matrix units a norm costs more time than a convolution.

Shapes below: b clips, f frames, c channels, h x w pixels, k keypoints.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Item = TypeVar("Item")


@dataclass
class SignerUNetOutput(BaseOutput):
    """What the network returns.

    Attributes:
        sample: The velocity `noise - clean`, as diffusers' flow-matching schedulers want it.
        clean: The clean frames the velocity points to, in [-1, 1].
    """

    sample: Float[Tensor, "b 3 f h w"]
    # pyrefly: ignore[bad-assignment] - always given, but accelerate's hooks make outputs anew from a dict of fields
    clean: Float[Tensor, "b 3 f h w"] = None


def _start_at_zero(layer: nn.Conv2d | nn.Linear):
    """Lets a layer add nothing at first, so that training starts from what the others pass on."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _count_heads(channels: int, head_channels: int) -> int:
    if channels < 1 or channels % head_channels:
        raise ValueError(
            f"`block_channels` must be multiples of {head_channels} where there is attention, got {channels}."
        )
    return channels // head_channels


class PatchConv(nn.Conv2d):
    """A 3x3 convolution of patches laid out as channels (`pixel_unshuffle`), but its kernel is laid out instead."""

    def __init__(self, in_channels: int, out_channels: int, patch_size: int):
        super().__init__(in_channels * patch_size**2, out_channels, 3, padding=1)
        self.patch_size = patch_size

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features _ _"]:
        patch, (out_channels, in_channels, size, _) = self.patch_size, self.weight.shape
        kernel = self.weight.reshape(out_channels, in_channels // patch**2, patch, patch, size, size)
        kernel = kernel.permute(0, 1, 4, 2, 5, 3).reshape(out_channels, -1, size * patch, size * patch)
        return F.conv2d(input, kernel, self.bias, stride=patch, padding=patch * (size // 2))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions on a residual path, shifted by the noise level."""

    def __init__(self, channels: int, time_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(time_channels, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _start_at_zero(self.conv2)

    def forward(
        self, hidden_states: Float[Tensor, "bf c h w"], time: Float[Tensor, "bf t"]
    ) -> Float[Tensor, "bf c h w"]:
        # One whole row of pixels: adding it goes along memory, where adding one pixel to all would take thrice as long.
        shift = self.time(time)[:, :, None, None].expand(-1, -1, 1, hidden_states.shape[-1])
        shift = shift.contiguous(memory_format=torch.channels_last)
        hidden = self.conv1(F.silu(hidden_states)).add_(shift)
        return self.conv2(F.silu(hidden, inplace=not torch.is_grad_enabled())).add_(hidden_states)


class TemporalAttention(nn.Module):
    """Each pixel attends to itself in the other frames of the window.

    The order of frames enters as a learned bias on their distance, so that a window of any length will do.
    """

    max_distance = 32

    def __init__(self, channels: int, head_channels: int = 64):
        super().__init__()
        self.num_heads = _count_heads(channels, head_channels)
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros(self.num_heads, 2 * self.max_distance + 1))
        _start_at_zero(self.out)

    def forward(self, hidden_states: Float[Tensor, "bf c h w"], num_frames: int) -> Float[Tensor, "bf c h w"]:
        batch_frames, channels, height, width = hidden_states.shape
        clips = batch_frames // num_frames
        tokens = hidden_states.permute(0, 2, 3, 1).reshape(clips, num_frames, height * width, channels)
        query, key, value = (
            self.qkv(self.norm(tokens))
            .reshape(clips, num_frames, height * width, 3, self.num_heads, channels // self.num_heads)
            .permute(3, 0, 2, 4, 1, 5)  # three of b, hw, heads, f, c
        )
        frame = torch.arange(num_frames, device=tokens.device)
        distance = (frame[:, None] - frame).clamp(-self.max_distance, self.max_distance) + self.max_distance
        # Written out: over so few frames `scaled_dot_product_attention` takes a CPU twice as long.
        scores = torch.matmul(query, key.transpose(-1, -2)).mul(query.shape[-1] ** -0.5) + self.bias[:, distance]
        attended = torch.matmul(scores.softmax(dim=-1).to(value.dtype), value).permute(0, 3, 1, 2, 4)
        attended = self.out(attended.reshape(batch_frames, height, width, channels))
        return attended.permute(0, 3, 1, 2).add_(hidden_states)


class KeypointAttention(nn.Module):
    """Each position attends to the keypoints of its frame: by name, by confidence, and by the way to them.

    Queries and keys are turned by their places (rotary embedding, https://arxiv.org/abs/2104.09864, in two dimensions),
    values too, and back where they arrive (https://arxiv.org/abs/2310.10375): so only the way from a position to a
    point counts, to a fraction of a pixel, and a crop says the same as the whole frame. Points that are not seen are
    masked; a token of zeros, which always is there, takes the attention where nothing else should.
    """

    def __init__(self, channels: int, num_keypoints: int, head_channels: int = 64):
        super().__init__()
        self.num_heads = _count_heads(channels, head_channels)
        self.norm = nn.LayerNorm(channels)
        self.name = nn.Embedding(num_keypoints, channels)
        self.confidence = nn.Linear(1, channels, bias=False)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        _start_at_zero(self.out)

    def forward(
        self, hidden_states: Float[Tensor, "bf c h w"], keypoints: Float[Tensor, "bf k 3"], stride: int
    ) -> Float[Tensor, "bf c h w"]:
        """Adds what the keypoints say; `stride` is how many pixels a position is wide."""
        height, width = hidden_states.shape[2:]
        across, down = (stride * (torch.arange(size, device=keypoints.device) + 0.5) for size in (width, height))
        here = self._angles(torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).reshape(1, -1, 2))
        there = self._angles(keypoints[..., :2])
        names = self.name(torch.arange(keypoints.shape[1], device=keypoints.device))
        tokens = names + self.confidence(keypoints[..., 2:].to(names.dtype))
        query = self._heads(self.query(self.norm(hidden_states.permute(0, 2, 3, 1).flatten(1, 2))))
        key, value = (self._heads(of) for of in self.key_value(tokens).chunk(2, dim=-1))
        key, value = (F.pad(_turn(of, there), (0, 0, 0, 1)) for of in (key, value))
        seen = F.pad(keypoints[..., 2] > 0, (0, 1), value=True)[:, None, None]
        attended = F.scaled_dot_product_attention(_turn(query, here), key, value, attn_mask=seen)
        attended = self.out(_turn(attended, -here).transpose(1, 2).flatten(2))
        return attended.unflatten(1, (height, width)).permute(0, 3, 1, 2).add_(hidden_states)

    def _heads(self, tokens: Float[Tensor, "bf n c"]) -> Float[Tensor, "bf heads n _"]:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _angles(self, places: Float[Tensor, "bf n 2"]) -> Float[Tensor, "bf 1 n _"]:
        """By how much a place turns each pair of a head's channels: wavelengths from 8 to 1,024 pixels, either way."""
        count = self.query.out_features // self.num_heads // 4
        frequency = 2 * torch.pi / torch.logspace(3, 10, count, base=2, device=places.device)
        return (places[..., None].float() * frequency).flatten(-2)[:, None]


def _turn(heads: Float[Tensor, "bf heads n c"], angles: Float[Tensor, "_ 1 n half"]) -> Float[Tensor, "bf heads n c"]:
    """Turns pairs of channels, one in the first half and one in the second."""
    first, second = heads.chunk(2, dim=-1)
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Stage(nn.Module):
    """The blocks of one resolution."""

    def __init__(self, channels: int, num_blocks: int, time_channels: int, temporal: bool):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, time_channels) for _ in range(num_blocks))
        self.temporal = TemporalAttention(channels) if temporal else None
        # Both are set by `enable_gradient_checkpointing` of the whole network.
        self.gradient_checkpointing = False
        self._gradient_checkpointing_func: Callable = checkpoint

    def forward(
        self, hidden_states: Float[Tensor, "bf c h w"], time: Float[Tensor, "bf t"], num_frames: int
    ) -> Float[Tensor, "bf c h w"]:
        for block in self.blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden_states = self._gradient_checkpointing_func(block, hidden_states, time)
            else:
                hidden_states = block(hidden_states, time)
        return hidden_states if self.temporal is None else self.temporal(hidden_states, num_frames)


def _side_by_side(function: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
    """Does several items at a time, each on cores of its own: where all share one, they wait after every operation."""
    cores = torch.get_num_threads()
    workers = min(len(items), cores)
    if workers < 2:
        return [function(item) for item in items]
    precision, is_autocast = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

    def alone(item: Item) -> Any:
        with torch.no_grad(), torch.autocast("cpu", precision, enabled=is_autocast):  # both are switched by thread
            return function(item)

    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(cores // workers,)) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(cores)  # what threads to come begin with


class SignerUNet(ModelMixin, ConfigMixin):
    """Predicts a window of clean frames from noisy ones, the driving pose and the reference picture.

    The clean frame is a soft choice, pixel by pixel, between the reference picture, the coarse composite (both in the
    conditioning) and a newly made colour: what need not move stays as sharp as it was in the picture. Inputs and
    outputs are float32 whatever the weights are, so that a kept pixel keeps its value.

    Args:
        pose_channels: Channels of the maps of each frame; the first three are the coarse composite, in [-1, 1].
        reference_channels: Channels of the reference; the first three are the picture, in [-1, 1].
        num_keypoints: Keypoints of each frame.
        num_conditions: Conditions that can be left out, of which the network is told whether they are.
        block_channels: Channels at each resolution, finest first.
        num_blocks: Residual blocks at each resolution, on the way down and on the way up.
        temporal_stages: At how many of the coarsest resolutions frames attend to each other.
        patch_size: Pixels to a side that make one position of the finest resolution.
        time_channels: Features of the noise level and of which conditions are left out.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["Stage"]  # noqa: RUF012 - as diffusers declares them
    _repeated_blocks = ["ResidualBlock"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        pose_channels: int = 16,
        reference_channels: int = 10,
        num_keypoints: int = 128,
        num_conditions: int = 7,
        block_channels: Sequence[int] = (48, 96, 192, 256),
        num_blocks: Sequence[int] = (1, 2, 2, 2),
        temporal_stages: int = 2,
        patch_size: int = 2,
        time_channels: int = 128,
    ):
        super().__init__()
        if len(num_blocks) != len(block_channels):
            raise ValueError(
                f"`num_blocks` must have one entry for each of `block_channels`, got {len(num_blocks)} "
                f"for {len(block_channels)}."
            )
        depth = len(block_channels)
        self.time_proj = Timesteps(time_channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = nn.Sequential(nn.Linear(time_channels, time_channels), nn.SiLU())
        self.missing_embedding = nn.Linear(num_conditions, time_channels, bias=False)
        _start_at_zero(self.missing_embedding)
        self.conv_in = PatchConv(3 + pose_channels, block_channels[0], patch_size)
        self.reference_in = PatchConv(reference_channels + 1, block_channels[0], patch_size)
        temporal = [stage >= depth - temporal_stages for stage in range(depth)]
        self.down = nn.ModuleList(
            Stage(channels, blocks, time_channels, frames)
            for channels, blocks, frames in zip(block_channels, num_blocks, temporal, strict=True)
        )
        self.keypoint_attention = KeypointAttention(block_channels[-1], num_keypoints)
        pairs = list(pairwise(block_channels))
        self.downsample = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(
            Stage(channels, blocks, time_channels, frames)
            for channels, blocks, frames in zip(block_channels[:-1], num_blocks[:-1], temporal[:-1], strict=True)
        )
        self.act_out = nn.SiLU()
        self.conv_out = nn.Conv2d(block_channels[0], 6 * patch_size**2, 3, padding=1)
        _start_at_zero(self.conv_out)
        self.patch_size = patch_size
        self.num_fine = temporal[:-1].count(False)
        """At how many of the finest resolutions frames do not meet."""
        self.size_multiple = patch_size * 2 ** (depth - 1)
        """Height and width must be multiples of this many pixels."""

    def forward(
        self,
        sample: Float[Tensor, "b 3 f h w"],
        timestep: Float[Tensor, "b f"],
        pose_maps: Float[Tensor, "b p f h w"],
        keypoints: Float[Tensor, "b f k 3"],
        reference: Float[Tensor, "b r h w"],
        keep: Float[Tensor, "b h w"],
        given: Float[Tensor, "b conditions"],
    ) -> SignerUNetOutput:
        """Predicts the velocity of every frame.

        All but the first two arguments are `gen.conditions.Conditions`.

        Args:
            sample: Noisy frames; a frame that is known already comes clean, with timestep 0.
            timestep: 1000 times the noise level sigma (1 is noise, 0 is data), each frame its own.
            pose_maps: The driving pose's maps.
            keypoints: The driving pose: across and down in pixels, and confidence, 0 where a point is not seen.
            reference: The reference picture and what is known about it.
            keep: 1 where the picture's pixels are to stay. This is for what is around to fit them: it keeps nothing.
            given: 1 for each condition that is given, 0 where it is left out.

        Raises:
            ValueError: Height or width is not a multiple of `size_multiple`.
        """
        clips, _, num_frames, height, width = sample.shape
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"`sample` must have height and width in multiples of {self.size_multiple}, got {height} x {width}."
            )

        def each_frame(of_clips: Tensor) -> Tensor:
            return of_clips[:, None].expand(-1, num_frames, -1, -1, -1).flatten(0, 1)

        noisy, maps = (video.transpose(1, 2).flatten(0, 1) for video in (sample, pose_maps))
        composite, picture = maps[:, :3], each_frame(reference[:, :3])
        known = self._laid_out(torch.cat([reference, keep[:, None]], dim=1))
        known = each_frame(self.reference_in(known))
        time = self.time_embedding(self.time_proj(timestep.flatten()).to(self.dtype))
        time = time + self.missing_embedding((1 - given).to(self.dtype)).repeat_interleave(num_frames, dim=0)

        # Where frames do not meet, a CPU takes two at a time: its cache holds what they need. One that came clean has
        # been seen by the others then, and goes no farther. Hooks, which put a forward of their own in place of a
        # layer's and bring its weights along, serve one at a time.
        parts, is_done = [slice(None)], [False]
        is_hooked = "forward" in vars(self.conv_in)
        if sample.device.type == "cpu" and not torch.is_grad_enabled() and not is_hooked:
            parts = [slice(max(stop - 2, 0), stop) for stop in range(2 - len(time) % 2, len(time) + 1, 2)]
            is_done = [not timestep.flatten()[of].any() for of in parts]

        def descend(of: slice) -> list[Tensor]:
            return self._descend(noisy[of], maps[of], known[of], time[of])

        fine = _side_by_side(descend, parts)
        hidden = torch.cat([outputs[-1] for outputs in fine])
        skips = []
        for stage, downsample in zip(
            self.down[self.num_fine :], [*self.downsample[self.num_fine :], None], strict=True
        ):
            hidden = stage(hidden, time, num_frames)
            if downsample is not None:
                skips.append(hidden)
                hidden = downsample(hidden)
        hidden = self.keypoint_attention(hidden, keypoints.flatten(0, 1), self.size_multiple)
        coarse = reversed(self.up[self.num_fine :]), reversed(self.upsample[self.num_fine :])
        for stage, upsample in zip(*coarse, strict=True):
            hidden = stage(upsample(hidden) + skips.pop(), time, num_frames)

        def ascend(part: tuple[slice, list[Tensor], bool]) -> Tensor:
            of, outputs, done = part
            if done:
                return noisy[of]
            return self._mix(self._ascend(hidden[of], outputs[:-1], time[of]), composite[of], picture[of])

        clean = torch.cat(_side_by_side(ascend, list(zip(parts, fine, is_done, strict=True))))
        clean = clean.unflatten(0, (clips, num_frames)).transpose(1, 2)
        sigma = (timestep.float() / 1000)[:, None, :, None, None]
        velocity = (sample - clean) / sigma.clamp(min=1e-3)
        return SignerUNetOutput(sample=velocity, clean=clean)

    def _laid_out(self, pictures: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return pictures.to(self.dtype, memory_format=torch.channels_last)

    def _descend(
        self,
        noisy: Float[Tensor, "n 3 h w"],
        maps: Float[Tensor, "n p h w"],
        known: Float[Tensor, "n features _ _"],
        time: Float[Tensor, "n t"],
    ) -> list[Tensor]:
        """What comes out of each resolution at which frames do not meet, and at last what goes on to the next one."""
        inputs = torch.cat([self._laid_out(noisy), self._laid_out(maps)], dim=1)
        hidden = self.conv_in(inputs).add_(known)
        outputs = []
        for stage, downsample in zip(self.down[: self.num_fine], self.downsample[: self.num_fine], strict=True):
            outputs.append(stage(hidden, time, len(time)))
            hidden = downsample(outputs[-1])
        return [*outputs, hidden]

    def _ascend(
        self, hidden: Float[Tensor, "n c h w"], skips: Sequence[Tensor], time: Float[Tensor, "n t"]
    ) -> Float[Tensor, "n made _ _"]:
        """The way back through these resolutions."""
        fine = reversed(self.up[: self.num_fine]), reversed(self.upsample[: self.num_fine]), reversed(skips)
        for stage, upsample, skip in zip(*fine, strict=True):
            hidden = stage(upsample(hidden) + skip, time, len(time))
        return self.conv_out(self.act_out(hidden))

    def _mix(
        self, made: Float[Tensor, "n made _ _"], composite: Float[Tensor, "n 3 h w"], picture: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Shares of composite, picture and a new colour, which is told by how far it is from the composite's."""
        made = F.pixel_shuffle(made, self.patch_size).float()
        share = made[:, :3].softmax(dim=1)
        return torch.lerp(composite, picture, share[:, 1:2]).addcmul(share[:, 2:], made[:, 3:])
