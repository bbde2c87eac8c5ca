"""What is filmed, rendered and trained for a proof: what `--help` shows, so nothing heavy is imported here."""

from dataclasses import dataclass, field

FEWEST_SEEDS = 3
"""A difference between two runs of one seed each says nothing."""


@dataclass(frozen=True)
class Filming:
    """The stand-in for real video, made of pose clips. Not used where videos are given.

    Attributes:
        train_session: Whose clips are trained on; all other sessions are the test.
        glosses: How many of the glosses, by the alphabet; all by default.
        train_clips: Clips of each gloss to train on.
        test_clips: Clips of each gloss to test on.
        train_signers: Synthetic signers who sign the training clips.
        test_signers: Other ones, who sign the test clips.
        source_fps: Frames a second of the pose clips, which do not say so themselves.
        fps: Frames a second of the films.
    """

    train_session: str = "session0"
    glosses: int | None = None
    train_clips: int = 20
    test_clips: int = 10
    train_signers: int = 6
    test_signers: int = 6
    source_fps: float = 16.0
    fps: float = 8.0

    def __post_init__(self):
        for name in ("train_clips", "test_clips", "train_signers", "test_signers"):
            _at_least(f"filming.{name}", getattr(self, name), 1)
        if self.glosses is not None:
            _at_least("filming.glosses", self.glosses, 2)


@dataclass(frozen=True)
class Rendering:
    """The synthetic clips.

    Attributes:
        renderer: signer-small is the diffusion model; another one must take any signer's picture.
        estimator: Who finds the poses, in real videos and in renders.
        size: Pixels to a side.
        variants: Renders of each training clip, each by another signer.
        signers: Synthetic signers to choose from, none of whom signs anything else.
        test_renders: How many clips of the test are rendered too, spread over all of them; all by default.
    """

    renderer: str = "signer-small"
    estimator: str = "mediapipe"
    size: int = 160
    variants: int = 2
    signers: int = 18
    test_renders: int | None = None

    def __post_init__(self):
        for name in ("size", "variants"):
            _at_least(f"rendering.{name}", getattr(self, name), 1)
        _at_least("rendering.signers", self.signers, self.variants)
        if self.test_renders is not None:
            _at_least("rendering.test_renders", self.test_renders, 1)


@dataclass(frozen=True)
class Comparison:
    """Which ways of training are compared.

    Attributes:
        fractions: Shares of the real training clips, 1 for all of them.
        ratios: Synthetic clips for each real one.
        seeds: Runs of each way, with other weights, batches and, where not all are used, clips.
    """

    fractions: tuple[float, ...] = (0.05, 0.1, 0.25, 1.0)
    ratios: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    seeds: int = FEWEST_SEEDS

    def __post_init__(self):
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"`comparison.fractions` must lie in (0, 1], got {list(self.fractions)}.")
        if 1.0 not in self.fractions:
            raise ValueError(f"`comparison.fractions` must have 1, the ceiling, got {list(self.fractions)}.")
        if not all(ratio > 0 for ratio in self.ratios) or 1.0 not in self.ratios:
            raise ValueError(f"`comparison.ratios` must be positive, and 1 among them, got {list(self.ratios)}.")
        _at_least("comparison.seeds", self.seeds, FEWEST_SEEDS)


@dataclass(frozen=True)
class Training:
    """How each recognizer is trained: equally long, whatever on.

    Attributes:
        num_steps: Optimizer steps of the network that reads video.
        pose_steps: Optimizer steps of the network that reads poses.
        batch_size: Clips a step.
        learning_rate: Peak of a cosine schedule.
        weight_decay: AdamW's.
        num_frames: Frames of a clip that the network sees, evenly spaced.
        image_size: Pixels to a side that the network sees.
    """

    num_steps: int = 300
    pose_steps: int = 200
    batch_size: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    num_frames: int = 8
    image_size: int = 64

    def __post_init__(self):
        for name in ("num_steps", "pose_steps", "batch_size", "num_frames"):
            _at_least(f"training.{name}", getattr(self, name), 1)
        _at_least("training.image_size", self.image_size, 16)
        if not self.learning_rate > 0:
            raise ValueError(f"`training.learning_rate` must be positive, got {self.learning_rate!r}.")


@dataclass(frozen=True)
class Plan:
    """All that decides what a proof comes to, but its data and its seed."""

    filming: Filming = field(default_factory=Filming)
    rendering: Rendering = field(default_factory=Rendering)
    comparison: Comparison = field(default_factory=Comparison)
    training: Training = field(default_factory=Training)


def _at_least(name: str, value: int, least: int) -> None:
    if not value >= least:
        raise ValueError(f"`{name}` must be at least {least}, got {value!r}.")
