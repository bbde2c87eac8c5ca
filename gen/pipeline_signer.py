"""The diffusion pipeline of `signer-small`: driving poses and a signer's picture in, that signer's video out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, UInt8

from gen.conditioning import map_frames, read_reference, to_pose_maps, to_reference
from gen.models.signer_unet import SignerUNet
from gen.signers.body import load_body
from gen.signers.fit import fit_body
from poses import PoseSequence
from poses.bounds import check_at_least


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
    pose_maps: Float[torch.Tensor, "1 maps frames height width"],
    reference: Float[torch.Tensor, "1 channels height width"],
    *,
    num_inference_steps: int,
) -> Float[torch.Tensor, "1 3 made height width"]:
    """Makes the frames of a window that are not known, at noise levels from 1 down in equal steps.

    Args:
        unet: Predicts the velocity.
        scheduler: Owns the noise levels.
        noise: Where every frame starts.
        known: The window's first frames, clean; may be none.
        pose_maps: Of all frames of the window.
        reference: The signer's picture.
        num_inference_steps: Denoising steps.
    """
    num_known, num_frames = known.shape[2], pose_maps.shape[2]
    sample = noise.expand(-1, -1, num_frames - num_known, -1, -1)
    sigmas = np.linspace(1, 1 / num_inference_steps, num_inference_steps).tolist()
    scheduler.set_timesteps(sigmas=sigmas, device=noise.device)
    for timestep in scheduler.timesteps:
        levels = torch.full((1, num_frames), timestep.item(), device=noise.device)
        levels[:, :num_known] = 0
        velocity = unet(torch.cat([known, sample], dim=2), levels, pose_maps, reference).sample
        # pyrefly: ignore[bad-argument-type] - diffusers' schedulers say FloatTensor where they take any tensor
        sample = scheduler.step(velocity[:, :, num_known:], timestep, sample, return_dict=False)[0]
    return sample


def to_pixels(sample: Float[torch.Tensor, "1 3 frames height width"]) -> UInt8[np.ndarray, "frames height width 3"]:
    """Frames in [-1, 1] as RGB, 0 to 255."""
    frames = ((sample[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return frames.permute(1, 2, 3, 0).cpu().numpy()


def cut_windows(num_frames: int, window: int) -> list[slice]:
    """The frames of each window; all but the first begin with the last frame of the one before."""
    starts = range(0, max(num_frames - 1, 1), window - 1)
    return [slice(start, min(start + window, num_frames)) for start in starts]


class SignerVideoPipeline(DiffusionPipeline):
    """Renders a signer from DWPose sequences of any length by flow matching in pixel space.

    A window of frames is denoised at a time. The last frame of a window enters the next one clean, with noise level 0,
    as it did in training: nothing is decoded, blended or encoded again, and memory doesn't grow with length.

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
        num_inference_steps: int,
        window: int,
    ):
        """Refuses what cannot be rendered.

        Raises:
            ValueError: A size is not a multiple of the network's, sizes disagree, or a count is out of range.
        """
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
        check_at_least(1, num_inference_steps=num_inference_steps)
        check_at_least(2, window=window)

    def prepare_noise(self, height: int, width: int, generator: torch.Generator | None) -> torch.Tensor:
        """One frame of noise, which every frame of the video starts from: grain that doesn't flicker."""
        return randn_tensor((1, 3, 1, height, width), generator=generator, device=self.device, dtype=torch.float32)

    @torch.no_grad()
    def stream(
        self,
        poses: PoseSequence,
        image: UInt8[np.ndarray, "height width 3"],
        image_poses: PoseSequence,
        *,
        num_inference_steps: int = 1,
        generator: torch.Generator | None = None,
        window: int = 9,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Renders frame by frame, holding one window in memory; arguments as those of `__call__`."""
        # 1. Check, before anything is computed.
        self.check_inputs(poses, image, image_poses, num_inference_steps, window)
        height, width = image.shape[:2]
        device = self.device

        # 2. Fit the body to the driving pose and to the picture.
        body = load_body()
        motion = fit_body(poses, body)
        picture = read_reference(image, body, fit_body(image_poses, body))
        reference = to_reference(torch.from_numpy(picture.maps())[None].to(device))

        # 3. Noise.
        noise = self.prepare_noise(height, width, generator)

        def look(frames: slice) -> Float[torch.Tensor, "1 maps frames height width"]:
            maps = map_frames(picture, body, motion, poses, frames)
            return to_pose_maps(torch.from_numpy(maps)[None].to(device))

        # 4. Denoise window by window; what the last one ended on is where the next begins. The next window's maps are
        # made meanwhile.
        known = torch.empty(1, 3, 0, height, width, device=device)
        windows = cut_windows(len(poses), window)
        with ThreadPoolExecutor(1) as aside:
            coming = aside.submit(look, windows[0])
            for following in [*windows[1:], None]:
                pose_maps = coming.result()
                if following is not None:
                    coming = aside.submit(look, following)
                sample = denoise(
                    self.unet, self.scheduler, noise, known, pose_maps, reference,
                    num_inference_steps=num_inference_steps,
                )  # fmt: skip

                # 5. Pixels out.
                known = sample[:, :, -1:]
                yield from to_pixels(sample)

    def __call__(
        self,
        poses: PoseSequence,
        image: UInt8[np.ndarray, "height width 3"],
        image_poses: PoseSequence,
        *,
        num_inference_steps: int = 1,
        generator: torch.Generator | None = None,
        window: int = 9,
    ) -> SignerVideoOutput:
        """Renders a clip and returns all of it.

        Args:
            poses: Driving poses, placed in the frame of `image`.
            image: The signer's picture, RGB.
            image_poses: The pose held in the picture, one frame.
            num_inference_steps: Denoising steps.
            generator: Where the noise comes from; the same state gives the same frames.
            window: Frames denoised together, one of them known from the window before.

        Raises:
            ValueError: See `check_inputs`.
        """
        frames = self.stream(
            poses,
            image,
            image_poses,
            num_inference_steps=num_inference_steps,
            generator=generator,
            window=window,
        )
        return SignerVideoOutput(frames=np.stack(list(frames)))
