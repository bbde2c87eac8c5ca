"""Everybody in a video, before one signer is chosen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from poses.sequence import GlossSpan


@dataclass(frozen=True)
class Repair:
    """A defect that was repaired, and how much of a clip that changed.

    Attributes:
        name: Which defect, such as `hands`.
        version: Of the repair: a later one may do otherwise.
        frames: How many frames changed.
        people: How many people changed, each counted in every frame.
        points: How many points changed, each counted in every frame.
    """

    name: str
    version: int
    frames: int
    people: int = 0
    points: int = 0

    @property
    def label(self) -> str:
        """Name and version, such as `hands-1`."""
        return f"{self.name}-{self.version}"

    @classmethod
    def of(cls, name: str, version: int, changed: Bool[np.ndarray, "frames people points"]) -> "Repair":
        """Counts what changed."""
        people = np.asarray(changed.any(axis=2))
        return cls(name, version, int(people.any(axis=1).sum()), int(people.sum()), int(changed.sum()))


@dataclass(frozen=True, eq=False)
class People:
    """Everybody in a file, frame by frame, in the detector's order: person 0 may be someone else in the next frame.

    Attributes:
        keypoints: x / frame width and y / frame height.
        confidence: 0 (not seen, or no such person) to 1; otherwise only where a repair was switched off.
        num_people: How many people the detector found.
        fps: Frames per second.
        width: Frame width in pixels.
        height: Frame height in pixels.
        language: ISO 639-3 code of the sign language, empty where unknown.
        glosses: What is signed, with its frames, where the file says so.
        repaired: The defects found and repaired.
        estimator: Who found them in a video, by its name; empty where the file doesn't say.
    """

    keypoints: Float32[np.ndarray, "frames people 128 2"]
    confidence: Float32[np.ndarray, "frames people 128"]
    num_people: Int32[np.ndarray, " frames"]
    fps: float
    width: int
    height: int
    language: str
    glosses: tuple[GlossSpan, ...]
    repaired: tuple[Repair, ...]
    estimator: str = ""

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was repaired, each with its version, such as `hands-1`."""
        return tuple(repair.label for repair in self.repaired)
