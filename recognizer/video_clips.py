"""Clips to train Video2Pose on: films of synthetic signers, known exactly, and videos whose glosses are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
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
from recognizer.processing_video2pose import GREY, Video2PoseProcessor
from recognizer.track_clips import gloss_labels, read_table
from recognizer.tracks import join_tracks

FPS = 25.0
"""Only normalising asks for a rate, and gives back as many frames."""

GLOSS_FPS = 24.0
"""What Pose2Gloss was trained on."""

SCALES, SHIFT, TURN_DEG = (0.5, 1.15), 0.15, 8.0
"""How large the frame is shown in the square, least and most, how far from its middle, and how far turned."""

CONTRAST, TINT, BRIGHTNESS, NOISE, MOST_BLUR_PX = 0.4, 0.15, 0.4, 0.06, 1.5
"""Largest changes of colour, in units of normalised pixels, and of sharpness."""


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
    clips: Sequence[SignerClip], processor: Video2PoseProcessor, *, num_frames: int, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Endless batches of `SignXForVideo2Pose`'s arguments: windows of clips, each filmed and coloured anew.

    Args:
        clips: Each of at least `num_frames` frames after its first, which is of another moment.
        processor: For the size and the colours.
        num_frames: Frames of a window.
        batch_size: Windows of a batch.
        seed: Of all draws.
    """
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(clips))
        for start in range(0, len(order), batch_size):
            windows = [
                _window(clips[number], processor, num_frames, rng) for number in order[start : start + batch_size]
            ]
            yield {name: torch.stack([window[name] for window in windows]) for name in windows[0]}


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
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(clips))
        for start in range(0, len(order), batch_size):
            chosen = [clips[number] for number in order[start : start + batch_size]]
            pixels = [
                _coloured(_read_pixels(path, processor), rng)[:: reader.config.frame_stride] for path, _ in chosen
            ]
            mask = pad_sequence([torch.ones(len(clip), dtype=torch.long) for clip in pixels], batch_first=True)
            labels = gloss_labels([glosses for _, glosses in chosen], reader.config.glosses)
            yield {"pixel_values": pad_sequence(pixels, batch_first=True), "attention_mask": mask, "labels": labels}


def _read_pixels(path: Path, processor: Video2PoseProcessor) -> Float[torch.Tensor, "frames 3 size size"]:
    """A video's frames at the rate that Pose2Gloss reads."""
    fitted = np.stack([processor.fit(frame) for frame in read_frames(path)])
    times = np.arange(max(round(len(fitted) * GLOSS_FPS / read_info(path).fps), 1)) * read_info(path).fps / GLOSS_FPS
    return processor.normalize(torch.from_numpy(fitted[np.minimum(times.round().astype(int), len(fitted) - 1)]))


def _window(clip: SignerClip, processor: Video2PoseProcessor, num_frames: int, rng: np.random.Generator) -> Batch:
    frames = clip.frames()
    first = int(rng.integers(1, len(frames) - num_frames + 1))
    window = slice(first, first + num_frames)
    matrix = _view(rng, frames.shape[1], processor.image_size)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE
    side = (processor.image_size, processor.image_size)
    seen = [
        cv2.warpAffine(frame, matrix, side, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(GREY,) * 3)
        for frame in frames[window]
    ]
    points = clip.keypoints[window] * frames.shape[1] @ matrix[:, :2].T + matrix[:, 2]
    keypoints = (points / processor.image_size).astype(np.float32)
    shown = [((of >= 0) & (of < 1)).all(axis=-1) for of in (keypoints, clip.keypoints[window])]
    pixels = processor.normalize(torch.from_numpy(np.stack(_blurred(seen, rng))))
    batch = {
        "pixel_values": _coloured(pixels, rng),
        "keypoints": torch.from_numpy(keypoints),
        "confidence": torch.from_numpy((shown[0] & shown[1]).astype(np.float32)),
    }
    return batch if clip.latents is None else batch | {"latents": clip.latents[window]}


def _view(rng: np.random.Generator, size: int, image_size: int) -> Float[np.ndarray, "2 3"]:
    """From pixels of the frame to pixels of the square: smaller or larger, turned, aside."""
    scale = np.exp(rng.uniform(*np.log(SCALES))) * image_size / size
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-TURN_DEG, TURN_DEG), scale)
    matrix[:, 2] += (image_size - size) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * image_size
    return matrix


def _blurred(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Half of the clips a little out of focus."""
    if rng.random() < 0.5:
        return frames
    sigma = rng.uniform(0.3, MOST_BLUR_PX)
    return [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]


def _coloured(
    pixels: Float[torch.Tensor, "frames 3 size size"], rng: np.random.Generator
) -> Float[torch.Tensor, "frames 3 size size"]:
    """The whole clip in another light, each frame with noise of its own."""
    gain = np.exp(rng.uniform(-CONTRAST, CONTRAST) + rng.uniform(-TINT, TINT, 3)).astype(np.float32)
    shift = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    noise = torch.from_numpy(rng.standard_normal(pixels.shape, np.float32))
    changed = pixels * torch.from_numpy(gain)[:, None, None] + shift + rng.uniform(0, NOISE) * noise
    return changed.clamp(-1, 1)
