"""The diffusion pipeline of `signer-small`: driving poses and a signer's picture in, that signer's video out."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil, isfinite

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Bool, Float, UInt8
from threadpoolctl import threadpool_limits

from gen.conditioning import MAP_CHANNELS, map_frames, to_reference
from gen.conditions import CONDITIONS, Conditions, to_conditions, to_keypoints
from gen.detail import find_detail, lay_over
from gen.drawn_hands import DrawnHands
from gen.models.signer_unet import SignerUNet
from gen.pictured_signer import read_picture
from gen.signers.fit import fit_body
from gen.signers.hand_errors import correct_hands
from poses import PoseSequence
from poses.bounds import check_at_least, check_shares

AROUND = 1 / 32
"""Hair and clothes reach beyond the body: the network may change so much around it, as a share of the frame's width."""

WINDOW, OVERLAP = 26, 2
"""Frames that are made at once, and how many of them two windows have in common."""

Box = tuple[slice, slice]
"""Rows and columns of a part of a frame."""


@dataclass
class SignerVideoOutput(BaseOutput):
    """A rendered clip.

    Attributes:
        frames: RGB, 0 to 255, one for each driving pose.
    """

    frames: UInt8[np.ndarray, "frames height width 3"]


def denoise(
    unet: SignerUNet,
    scheduler: FlowMatchEulerDiscreteScheduler,
    noise: Float[torch.Tensor, "1 3 1 height width"],
    known: Float[torch.Tensor, "1 3 known height width"],
    conditions: Conditions,
    *,
    num_inference_steps: int,
    guidance_scale: Mapping[str, float] | None = None,
) -> Float[torch.Tensor, "1 3 made height width"]:
    """Makes the frames of a window that are not known, at noise levels from 1 down in equal steps.

    Where conditions are guided by, the velocity is `v + sum_c (scale_c - 1) (v - v without c)`: it goes farther in the
    direction that a condition leads in, as in https://arxiv.org/abs/2207.12598, equation 6, which each costs a call.

    Args:
        unet: Predicts the velocity.
        scheduler: Owns the noise levels.
        noise: Where every frame starts.
        known: The window's first frames, clean; may be none.
        conditions: What is known of all frames of the window.
        num_inference_steps: Denoising steps.
        guidance_scale: Of any of `CONDITIONS`: 1, as for those not named, follows it as in training, 0 leaves it out.
    """
    num_known = known.shape[2]
    if not num_known:
        conditions = conditions.without("previous")
    picture, keep = conditions.reference[:, :3, None], conditions.keep[:, None, None] > 0
    sample = noise.expand(-1, -1, conditions.pose_maps.shape[2] - num_known, -1, -1)
    guided = {
        name: scale
        for name, scale in (guidance_scale or {}).items()
        if scale != 1 and conditions.given[0, CONDITIONS.index(name)]
    }
    sigmas = np.linspace(1, 1 / num_inference_steps, num_inference_steps).tolist()
    scheduler.set_timesteps(sigmas=sigmas, device=noise.device)
    for timestep in scheduler.timesteps:
        velocity = given_all = _predict(unet, sample, timestep, known, conditions)
        for name, scale in guided.items():
            less = conditions.without(name)
            if name == "previous":
                without = _predict(unet, sample, timestep, known[:, :, :0], less.after(num_known))
            else:
                without = _predict(unet, sample, timestep, known, less)
            velocity = velocity + (scale - 1) * (given_all - without)
        # pyrefly: ignore[bad-argument-type] - diffusers' schedulers say FloatTensor where they take any tensor
        sample = scheduler.step(velocity, timestep, sample, return_dict=False)[0]
    return torch.where(keep, picture, sample)


def _predict(
    unet: SignerUNet,
    sample: Float[torch.Tensor, "1 3 made height width"],
    timestep: Float[torch.Tensor, ""],
    known: Float[torch.Tensor, "1 3 known height width"],
    conditions: Conditions,
) -> Float[torch.Tensor, "1 3 made height width"]:
    """The velocity of the frames that are made; those known come before them with noise level 0."""
    num_known = known.shape[2]
    levels = timestep.expand(1, num_known + sample.shape[2]).clone()
    levels[:, :num_known] = 0
    return unet(torch.cat([known, sample], dim=2), levels, **vars(conditions)).sample[:, :, num_known:]


def to_pixels(sample: Float[torch.Tensor, "1 3 frames height width"]) -> UInt8[np.ndarray, "frames height width 3"]:
    """Frames in [-1, 1] as RGB, 0 to 255."""
    frames = ((sample[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return frames.permute(1, 2, 3, 0).cpu().numpy()


def cut_windows(num_frames: int, window: int, overlap: int) -> list[slice]:
    """Windows as equally long as can be; all but the first begin with the last `overlap` frames of the one before."""
    alone = max(num_frames - overlap, 1)
    count = ceil(alone / (window - overlap))
    starts = [number * alone // count for number in range(count + 1)]
    return [slice(start, min(stop + overlap, num_frames)) for start, stop in pairwise(starts)]


def find_box(
    maps: UInt8[np.ndarray, "frames h w 12"], image: UInt8[np.ndarray, "h w 3"], multiple: int, held: Box | None
) -> Box:
    """What is not simply the picture in some frames: the body, what comes along with it, and where it was.

    Args:
        maps: From `map_frames`.
        image: The signer's picture, its sides multiples of `multiple`.
        multiple: Where the box begins and ends, in pixels, are multiples of this.
        held: A box that this one must hold.
    """
    around = round(AROUND * image.shape[1])
    changed = maps[..., 8] > 0
    for colour in range(3):  # all at once would take nine times as long
        changed |= maps[..., colour] != image[..., colour]

    def span(seen: Bool[np.ndarray, " size"], least: slice | None) -> slice:
        size = len(seen)
        first, last = np.flatnonzero(seen)[[0, -1]].tolist() if seen.any() else (0, size - 1)
        start = max(first - around, 0) // multiple * multiple
        stop = min((last + around) // multiple * multiple + multiple, size)
        return slice(start, stop) if least is None else slice(min(start, least.start), max(stop, least.stop))

    rows, columns = held or (None, None)
    return span(np.any(changed, axis=(0, 2)), rows), span(np.any(changed, axis=(0, 1)), columns)


def cut_in_two(frames: slice) -> list[slice]:
    """Both halves of some frames; of one frame the one that there is."""
    middle = (frames.start + frames.stop + 1) // 2
    return [slice(*half) for half in ((frames.start, middle), (middle, frames.stop)) if half[0] < half[1]]


class SignerVideoPipeline(DiffusionPipeline):
    """Renders a signer from DWPose sequences of any length by flow matching in pixel space.

    A window of frames is denoised at a time, so memory doesn't grow with length. Windows have some frames in common,
    over which the one fades into the other; as neither depends on what was made before, errors don't add up.

    Args:
        unet: Predicts the velocity.
        scheduler: Owns the noise levels.
    """

    model_cpu_offload_seq = "unet"
    unet: SignerUNet
    scheduler: FlowMatchEulerDiscreteScheduler

    def __init__(self, unet: SignerUNet, scheduler: FlowMatchEulerDiscreteScheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    def check_inputs(
        self,
        poses: PoseSequence,
        image: UInt8[np.ndarray, "height width 3"],
        image_poses: PoseSequence,
        keep: Bool[np.ndarray, "rows columns"] | None,
        num_inference_steps: int,
        guidance_scale: Mapping[str, float],
        detail_scale: float,
        window: int,
    ):
        """Refuses what cannot be rendered.

        Raises:
            ValueError: `image` is no RGB picture, a size is not a multiple of the network's, sizes disagree, a number
                is out of range, `keep` does not say true or false, or there is no condition of a name.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"`image` must be RGB, 0 to 255, got {image.dtype} of {image.shape}.")
        height, width = image.shape[:2]
        multiple = self.unet.size_multiple
        if height % multiple or width % multiple:
            raise ValueError(f"`image` must have sides in multiples of {multiple} pixels, got {width} x {height}.")
        for name, value in (("poses", poses), ("image_poses", image_poses)):
            if (value.height, value.width) != (height, width):
                raise ValueError(
                    f"`{name}` must be placed in the image's frame of {width} x {height}, "
                    f"got {value.width} x {value.height}."
                )
        if len(image_poses) != 1:
            raise ValueError(f"`image_poses` must be one frame, got {len(image_poses)}.")
        if keep is not None and keep.dtype != bool:
            raise ValueError(f"`keep` must be true or false, got {keep.dtype}.")
        if keep is not None and keep.shape != (height, width):
            raise ValueError(
                f"`keep` must be as large as the image, {width} x {height}, got {keep.shape[1]} x {keep.shape[0]}."
            )
        for name, scale in guidance_scale.items():
            if name not in CONDITIONS:
                raise ValueError(f"`guidance_scale` must be of {', '.join(CONDITIONS)}, got one of {name!r}.")
            if not isfinite(scale):
                raise ValueError(f"`guidance_scale` must be finite, got {scale} for {name}.")
        check_shares(detail_scale=detail_scale)
        check_at_least(1, num_inference_steps=num_inference_steps)
        check_at_least(OVERLAP + 1, window=window)

    def prepare_noise(self, height: int, width: int, generator: torch.Generator | None) -> torch.Tensor:
        """One frame of noise, which every frame of the video starts from: grain that doesn't flicker."""
        shape = (1, 3, 1, height, width)
        return randn_tensor(shape, generator=generator, device=self._execution_device, dtype=torch.float32)

    @torch.no_grad()
    def stream(
        self,
        poses: PoseSequence,
        image: UInt8[np.ndarray, "height width 3"],
        image_poses: PoseSequence,
        *,
        keep: Bool[np.ndarray, "rows columns"] | None = None,
        num_inference_steps: int = 1,
        guidance_scale: Mapping[str, float] | float = 1.0,
        detail_scale: float = 1.0,
        generator: torch.Generator | None = None,
        window: int = WINDOW,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Renders frame by frame, holding one window in memory; arguments as those of `__call__`."""
        # 1. Check, before anything is computed.
        if not isinstance(guidance_scale, Mapping):
            guidance_scale = dict.fromkeys(CONDITIONS, guidance_scale) | {"previous": 0.0}
        scales = {"previous": 0.0, **guidance_scale}
        self.check_inputs(poses, image, image_poses, keep, num_inference_steps, scales, detail_scale, window)
        image = np.ascontiguousarray(image)
        height, width = image.shape[:2]
        device = self._execution_device
        if 0 in (scales.get("geometry", 1), scales.get("reference", 1)):
            detail_scale = 0.0  # both say what the detail would bring back

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array)[None].to(device)

        # 2. Fit the body to the driving pose and to the picture.
        signer, poses = read_picture(image, image_poses), correct_hands(poses)
        motion = fit_body(poses, signer.body)
        reference, keypoints = tensor(signer.reference.maps()), tensor(to_keypoints(poses))
        kept = None if keep is None else tensor(keep.copy())

        # 3. Noise.
        noise = self.prepare_noise(height, width, generator)

        look = partial(map_frames, signer.reference, signer.body, motion, poses)

        def draw_hands(frames: slice) -> DrawnHands | None:
            return None if drawer is None else drawer.result().draw(motion, frames)

        # 4. Denoise window by window; what two have in common waits for the second. The network takes all cores, so the
        # next window is looked at while these frames are finished and written. NumPy's products are small, and threads
        # of its own would only wait for the next one on the cores that others need. Around the signer the picture
        # stays, unless guidance asks for more or less of it.
        still = to_reference(reference)[:, :3, None]
        waiting = still[:, :, :0]
        prefix = scales["previous"] != 0
        overlap = 1 if prefix else OVERLAP
        fading = torch.arange(1, overlap + 1, device=device)[:, None, None] / (overlap + 1)
        stays = scales.get("reference", 1) == scales.get("background", 1) == 1
        box = None if stays else (slice(0, height), slice(0, width))
        windows = cut_windows(len(poses), window, overlap)

        def finished(frames: slice) -> slice:
            return slice(frames.start, frames.stop - (overlap if frames.stop < len(poses) else 0))

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(2) as aside:
            drawer = aside.submit(lambda: signer.hands) if detail_scale else None
            maps = np.empty((0, height, width, MAP_CHANNELS), np.uint8)
            seen, drawn = aside.map(look, cut_in_two(windows[0])), aside.submit(draw_hands, finished(windows[0]))
            for current, following in zip(windows, [*windows[1:], None], strict=True):
                maps = np.concatenate([maps[-overlap:], *seen])
                box = find_box(maps, image, self.unet.size_multiple, box)
                conditions = to_conditions(
                    tensor(maps[:, *box]),
                    keypoints[:, current] - torch.tensor([box[1].start, box[0].start, 0], device=device),
                    reference[:, *box],
                    None if kept is None else kept[:, *box],
                )
                before = waiting[..., *box]
                sample = denoise(
                    self.unet, self.scheduler, noise[..., *box], before if prefix else before[:, :, :0], conditions,
                    num_inference_steps=num_inference_steps, guidance_scale=scales,
                )  # fmt: skip
                hands = drawn.result()
                if following is not None:
                    new = slice(following.start + overlap, following.stop)
                    seen, drawn = aside.map(look, cut_in_two(new)), aside.submit(draw_hands, finished(following))

                # 5. Pixels out, with detail laid over them.
                if prefix:
                    sample = torch.cat([before, sample], dim=2)
                shared = sample[:, :, : before.shape[2]]
                shared.copy_(before.lerp(shared, fading[: before.shape[2]]))
                if following is not None:
                    waiting = still.repeat(1, 1, overlap, 1, 1)
                    waiting[..., *box] = sample[:, :, -overlap:]
                done = finished(current)
                frames = image[None].repeat(done.stop - done.start, axis=0)
                frames[:, *box] = to_pixels(sample[:, :, : len(frames)])
                if hands is not None:
                    frames = lay_over(frames, find_detail(maps[: len(frames)], hands, keep), detail_scale)
                yield from frames
        self.maybe_free_model_hooks()

    def __call__(
        self,
        poses: PoseSequence,
        image: UInt8[np.ndarray, "height width 3"],
        image_poses: PoseSequence,
        *,
        keep: Bool[np.ndarray, "rows columns"] | None = None,
        num_inference_steps: int = 1,
        guidance_scale: Mapping[str, float] | float = 1.0,
        detail_scale: float = 1.0,
        generator: torch.Generator | None = None,
        window: int = WINDOW,
    ) -> SignerVideoOutput:
        """Renders a clip and returns all of it; `set_progress_bar_config(disable=True)` hides the bar.

        Args:
            poses: Driving poses, placed in the frame of `image`.
            image: The signer's picture, RGB.
            image_poses: The pose held in the picture, one frame.
            keep: True where every frame must show the picture unchanged, such as over a logo or furniture. It is before
                the signer: a hand that comes there is hidden behind it.
            num_inference_steps: Denoising steps.
            guidance_scale: How far to go in the direction that each of `CONDITIONS` leads in, by its name, or all of
                them: 1 follows it as in training and costs nothing, any other scale costs a call of the network.
                `previous` is 0 unless it is named. With another scale windows don't fade over: each begins with the
                last frame of the one before, clean, as the network has learned to, and errors add up.
            detail_scale: How much of the picture's own detail is laid over clothes, and of hands drawn by code over
                hands (`gen/detail.py`), 0 to 1: 0 leaves what the network made.
            generator: Where the noise comes from; the same state gives the same frames.
            window: Frames denoised together at most.

        Raises:
            ValueError: See `check_inputs`.
        """
        frames = self.stream(
            poses,
            image,
            image_poses,
            keep=keep,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            detail_scale=detail_scale,
            generator=generator,
            window=window,
        )
        with self.progress_bar(total=len(poses)) as bar:
            made = []
            for frame in frames:
                made.append(frame)
                bar.update()
        return SignerVideoOutput(frames=np.stack(made))
