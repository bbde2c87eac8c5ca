"""Clips to train Video2Pose on: films of synthetic signers, known exactly, and videos whose glosses are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch.nn.utils.rnn import pad_sequence

from poses.keypoints import NUM_KEYPOINTS
from poses.sequence import PoseFileError, PoseSequence
from poses.video import read_frames, read_info
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.optimization import Batch
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.processing_signx import signer_track
from recognizer.processing_video2pose import Video2PoseProcessor
from recognizer.track_clips import gloss_labels, read_table
from recognizer.tracks import join_tracks
from recognizer.video_augmentation import augment, relight

FPS = 25.0
"""Only normalising asks for a rate, and gives back as many frames."""

GLOSS_FPS = 24.0
"""What Pose2Gloss was trained on."""


@dataclass(frozen=True, eq=False)
class SignerClip:
    """A filmed clip, whose frames stay on disk.

    Attributes:
        path: Of its frames.
        keypoints: Fractions of the frame, also of points outside it.
        latents: What Pose2Gloss makes of the keypoints; None where there is no Pose2Gloss.
    """

    path: Path
    keypoints: Float32[np.ndarray, "frames 128 2"]
    latents: Float[torch.Tensor, "frames latent"] | None

    def frames(self) -> UInt8[np.ndarray, "frames size size 3"]:
        """Its frames, mapped rather than read."""
        return np.load(self.path, mmap_mode="r")

    def film(self, device: torch.device) -> UInt8[torch.Tensor, "frames size size 3"]:
        """Its frames on a device; on a CPU, mapped rather than read."""
        return torch.from_numpy(np.load(self.path, mmap_mode="c")).to(device)


def read_signer_clips(folder: Path, reader: SignXForPose2Gloss | None) -> list[SignerClip]:
    """Reads a split of what `signloop signers make` made.

    Args:
        folder: With a folder for each clip, such as `runs/signers-256/train`.
        reader: Whose latents of the keypoints are wanted.

    Raises:
        ValueError: There is no clip.
        PoseFileError: A file of a clip is missing or holds something else.
    """
    clips = []
    for path in sorted(folder.glob("*/frames.npy")):
        try:
            keypoints, confidence = (np.load(path.with_name(f"{name}.npy")) for name in ("keypoints", "confidence"))
            frames = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise PoseFileError(f"{path.parent}: must hold frames, keypoints and confidence ({error}).") from None
        if keypoints.shape != (len(frames), NUM_KEYPOINTS, 2) or frames.ndim != 4 or frames.dtype != np.uint8:
            raise PoseFileError(f"{path.parent}: must hold as many frames as poses, found {frames.shape}.")
        seen = np.where(confidence[..., None] > 0, keypoints, np.float32(0))
        poses = PoseSequence(seen, confidence, FPS, frames.shape[2], frames.shape[1], str(path.parent))
        clips.append(SignerClip(path, keypoints, None if reader is None else pose_latents(poses, reader)))
    if not clips:
        raise ValueError(f"{folder}: must hold clips that `signloop signers make` made, found none.")
    return clips


@torch.no_grad()
def pose_latents(poses: PoseSequence, reader: SignXForPose2Gloss) -> Float[torch.Tensor, "frames latent"]:
    """What Pose2Gloss makes of a clip's DWPose track, frame by frame."""
    track = signer_track(poses, SignRecognizerProcessor(frame_rate=poses.fps))
    return reader.encode(torch.from_numpy(join_tracks({"dwpose": track}))[None])[0]


def video_batches(
    clips: Sequence[SignerClip],
    films: Sequence[UInt8[torch.Tensor, "_ size size 3"]],
    processor: Video2PoseProcessor,
    *,
    num_frames: int,
    batch_size: int,
    seed: int,
) -> Iterator[Batch]:
    """Endless batches of `SignXForVideo2Pose`'s arguments: windows of clips, each filmed and coloured anew.

    Some skip every second frame, as slower cameras do. What Pose2Gloss makes of a mirrored pose is not known: windows
    with latents are not mirrored.

    Args:
        clips: Each of at least `num_frames` frames after its first, which is of another moment.
        films: Their frames, all of one size, on the device where windows are put together.
        processor: For the size and the colours.
        num_frames: Frames of a window.
        batch_size: Windows of a batch.
        seed: Of all draws.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator(films[0].device).manual_seed(seed)
    while True:
        order = rng.permutation(len(clips)).tolist()
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            windows = [
                (clips[number], films[number], _some_frames(clips[number], num_frames, rng)) for number in chosen
            ]
            yield _filmed_anew(windows, processor, generator)


def _filmed_anew(
    windows: Sequence[tuple[SignerClip, torch.Tensor, slice]],
    processor: Video2PoseProcessor,
    generator: torch.Generator,
) -> Batch:
    frames = torch.stack([film[moments] for _, film, moments in windows])
    keypoints = torch.from_numpy(np.stack([clip.keypoints[moments] for clip, _, moments in windows]))
    latents = [clip.latents[moments] for clip, _, moments in windows if clip.latents is not None]
    pixels, points, shown = augment(
        frames.movedim(-1, -3).float() / 255,
        keypoints.to(frames.device),
        processor.image_size,
        generator,
        mirror=not latents,
    )
    batch = {"pixel_values": processor.standardize(pixels), "keypoints": points, "confidence": shown.float()}
    return batch | {"latents": torch.stack(latents).to(frames.device)} if latents else batch


def _some_frames(clip: SignerClip, num_frames: int, rng: np.random.Generator) -> slice:
    """Frames after the first one, each or every second."""
    known = len(clip.keypoints) - 1
    step = int(rng.integers(1, 3)) if 2 * (num_frames - 1) < known else 1
    first = 1 + int(rng.integers(known - step * (num_frames - 1)))
    return slice(first, first + step * (num_frames - 1) + 1, step)


def gloss_batches(
    folder: Path, processor: Video2PoseProcessor, reader: SignXForPose2Gloss, *, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Endless batches of whole videos with the glosses that are signed in them.

    Args:
        folder: With an `.mp4` for each clip of its table that trains; see `recognizer.track_clips.read_table`.
        processor: For the size and the colours.
        reader: Whose frames and glosses these are to be.
        batch_size: Videos of a batch.
        seed: Of order and colours.

    Raises:
        ValueError: The table is wrong, a video cannot be read, or has a gloss that `reader` does not know.
    """
    clips = [(folder / f"{name}.mp4", glosses) for name, glosses, split in read_table(folder) if split == "train"]
    if not clips:
        raise ValueError(f"{folder}: must hold clips of the split train, found none.")
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    while True:
        order = rng.permutation(len(clips))
        for start in range(0, len(order), batch_size):
            chosen = [clips[number] for number in order[start : start + batch_size]]
            pixels = [
                processor.standardize(relight(_read_pixels(path, processor)[None], generator)[0])[
                    :: reader.config.frame_stride
                ]
                for path, _ in chosen
            ]
            mask = pad_sequence([torch.ones(len(clip), dtype=torch.long) for clip in pixels], batch_first=True)
            labels = gloss_labels([glosses for _, glosses in chosen], reader.config.glosses)
            yield {"pixel_values": pad_sequence(pixels, batch_first=True), "attention_mask": mask, "labels": labels}


def _read_pixels(path: Path, processor: Video2PoseProcessor) -> Float[torch.Tensor, "frames 3 size size"]:
    """A video's frames, 0 to 1, at the rate that Pose2Gloss reads."""
    fitted = np.stack([processor.fit(frame) for frame in read_frames(path)])
    times = np.arange(max(round(len(fitted) * GLOSS_FPS / read_info(path).fps), 1)) * read_info(path).fps / GLOSS_FPS
    chosen = fitted[np.minimum(times.round().astype(int), len(fitted) - 1)]
    return torch.from_numpy(chosen).movedim(-1, -3).float() / 255
