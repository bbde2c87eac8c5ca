"""The one value that everything here speaks: a signer's poses over time."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32

from poses.keypoints import NUM_KEYPOINTS, PARTS, index


class PoseFileError(ValueError):
    """A file does not hold what it should. The message names the file, what was expected and what was found."""


@dataclass(frozen=True)
class GlossSpan:
    """A gloss and the frames it was signed in: `start` is the first, `stop` is one past the last."""

    gloss: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """One signer's DWPose keypoints over time.

    The 128 points are 18 body (OpenPose order), 21 left hand, 21 right hand, 68 face; `poses.keypoints` names them.
    A point that was not seen has confidence 0 and lies at (0, 0). Points may lie outside the frame.

    Attributes:
        keypoints: x / frame width and y / frame height, origin top left, y down. Always finite.
        confidence: 0 (not seen) to 1.
        fps: Frames per second.
        width: Frame width in pixels.
        height: Frame height in pixels.
        source: Where the poses come from, for reports and error messages.
        language: ISO 639-3 code of the sign language, empty where unknown.
        glosses: What is signed, with its frames, where the input says so.
        estimator: Who found the points in a video, by its name; empty where nobody did or nobody knows.
    """

    keypoints: Float32[np.ndarray, "frames 128 2"]
    confidence: Float32[np.ndarray, "frames 128"]
    fps: float
    width: int
    height: int
    source: str = ""
    language: str = ""
    glosses: tuple[GlossSpan, ...] = field(default=())
    estimator: str = ""

    def __post_init__(self):
        frames = len(self.keypoints)
        if self.keypoints.shape != (frames, NUM_KEYPOINTS, 2) or self.keypoints.dtype != np.float32:
            raise ValueError(
                f"`keypoints` must be float32 [frames, {NUM_KEYPOINTS}, 2], "
                f"got {self.keypoints.dtype} {list(self.keypoints.shape)}."
            )
        if self.confidence.shape != (frames, NUM_KEYPOINTS) or self.confidence.dtype != np.float32:
            raise ValueError(
                f"`confidence` must be float32 [{frames}, {NUM_KEYPOINTS}], "
                f"got {self.confidence.dtype} {list(self.confidence.shape)}."
            )
        if frames == 0:
            raise ValueError("`keypoints` must hold at least one frame, got 0.")
        if not np.isfinite(self.keypoints).all() or not np.isfinite(self.confidence).all():
            raise ValueError("`keypoints` and `confidence` must be finite, got NaN or infinity.")
        if self.confidence.min() < 0 or self.confidence.max() > 1:
            raise ValueError(
                f"`confidence` must be in [0, 1], got {self.confidence.min():g} to {self.confidence.max():g}."
            )
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"`fps` must be a positive number, got {self.fps!r}.")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"`width` and `height` must be positive, got {self.width} x {self.height}.")
        for span in self.glosses:
            if not 0 <= span.start < span.stop <= frames:
                raise ValueError(
                    f"`glosses` must lie in frames 0 to {frames}, got {span.gloss!r} from {span.start} to {span.stop}."
                )

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def duration_s(self) -> float:
        return len(self) / self.fps

    def part(self, name: str) -> tuple[Float32[np.ndarray, "frames points 2"], Float32[np.ndarray, "frames points"]]:
        """Keypoints and confidence of `body`, `left_hand`, `right_hand` or `face` (views, not copies)."""
        return self.keypoints[:, PARTS[name]], self.confidence[:, PARTS[name]]

    def pixels(self, height: int | None = None, width: int | None = None) -> Float32[np.ndarray, "frames 128 2"]:
        """Keypoints in pixels of a `height` x `width` frame, or of the sequence's own frame."""
        scale = np.array([width or self.width, height or self.height], np.float32)
        return self.keypoints * scale

    def shoulder_width_px(self) -> float:
        """Median distance between the shoulders in the sequence's own pixels.

        NaN where they are never both seen, or lie in one place: what is divided by it is then unknown, not endless.
        """
        shoulders = index("right_shoulder", "left_shoulder")
        seen = (self.confidence[:, shoulders] > 0).all(axis=1)
        if not seen.any():
            return float("nan")
        right, left = np.moveaxis(self.pixels()[seen][:, shoulders], 1, 0)
        return float(np.median(np.linalg.norm(right - left, axis=1))) or float("nan")

    def __getitem__(self, frames: slice) -> "PoseSequence":
        """A clip of the sequence: `poses[10:50]`. Glosses that lie wholly inside come along."""
        start, stop, step = frames.indices(len(self))
        if step != 1:
            raise ValueError(f"`frames` must be a slice with step 1, got step {step}.")
        inside = tuple(
            GlossSpan(span.gloss, span.start - start, span.stop - start)
            for span in self.glosses
            if start <= span.start and span.stop <= stop
        )
        return replace(self, keypoints=self.keypoints[frames], confidence=self.confidence[frames], glosses=inside)
