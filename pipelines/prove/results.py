"""What a proof comes to, and what its experiments are called."""

from dataclasses import dataclass
from typing import Any

from pipelines.prove.comparison import Estimate, Row


@dataclass(frozen=True)
class Wording:
    """What an experiment is called, so that nobody takes it for another.

    Attributes:
        name: Of the experiment.
        real: What takes the place of real video to train on, in its arms' titles.
        about: What is trained on what, in some sentences.
    """

    name: str
    real: str
    about: str


STAND_IN = Wording(
    "stand-in",
    "stand-in",
    "A stand-in, no real video: pose clips of people, filmed on synthetic signers that are drawn by code. The test "
    "shows other synthetic signers, and pose clips of other recording sessions. Synthetic clips are the pose clips of "
    "the training session through the renderer, by synthetic signers who sign nothing else. The network reads pixels. "
    "Stand-in and renderer share their body model, which real video does not: what is found here need not hold there.",
)
REAL = Wording(
    "real",
    "real",
    "Real videos by signers who are in one split only. Synthetic clips are renders of the poses found in the training "
    "videos, by synthetic signers. The network reads pixels.",
)
CHAIN_OF_STAND_IN = Wording(
    "pose chain",
    "real poses",
    "Poses of people, trained on one recording session and tested on the others. Synthetic are the poses that the "
    "estimator finds in renders of the training poses, so all that they can add is the estimator's noise and the "
    "renderer's errors. The network reads poses. Who signs is not known, so intervals resample clips and seeds.",
)
CHAIN_OF_REAL = Wording(
    "pose chain",
    "real poses",
    "Poses found in the real videos. Synthetic are the poses found in renders of these. The network reads poses.",
)


@dataclass(frozen=True)
class Experiment:
    """What one experiment came to.

    Attributes:
        name: See `Wording`.
        real: See `Wording`.
        about: See `Wording`.
        counts: Clips and renders that there were, by kind.
        signers: How many sign the clips to train on, and those of the test; None where nobody knows.
        chance: Accuracy of always saying the gloss that is most frequent in the test.
        rows: Every arm that could be trained.
        left_out: Those that could not, since the gate kept nothing.
        ratio: Accuracy with synthetic clips alone, as a share of the ceiling's: the classification accuracy score of
            https://arxiv.org/abs/1905.10887, relative.
        by_gloss: Of each gloss, accuracy of the ceiling and with as many synthetic clips.
        seconds_per_run: Median.
    """

    name: str
    real: str
    about: str
    counts: dict[str, int]
    signers: tuple[int, int] | None
    chance: float
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    ratio: Estimate | None
    by_gloss: dict[str, tuple[float, float]]
    seconds_per_run: float


@dataclass(frozen=True)
class Proof:
    """All that a proof found, and what it depends on."""

    signloop: str
    data: str
    seed: int
    plan: dict[str, Any]
    gate: dict[str, Any]
    judges: dict[str, str]
    kept_share: float
    reasons: dict[str, int]
    seconds_per_render: float
    failed: dict[str, str]
    experiments: tuple[Experiment, ...]
    packages: dict[str, str]
    machine: str
