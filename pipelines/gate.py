"""The gate of an augmented set: which renders are good enough to train on, by figures of `clip_evaluation`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float | None]

RANKED_BY = "pck_0.1/hands"
"""Of several candidates that pass, the one best in this is kept."""


@dataclass(frozen=True)
class Gate:
    """What a render must reach to be kept. Bounds belong to the judges that are named beside every figure.

    Attributes:
        hand_pck: Least share of both hands' points within 0.1 shoulder widths of where they should be.
        hand_recall: Least share of both hands' points that are found at all.
        hands_in_frame: Least share of both hands' points that the picture's edge does not cut off.
        top_k: How many of the likeliest glosses may be the label. A clip of several labels may have one more for each.
        label_share: Least share of a clip's labels among those. Labels that the recognizer does not know are not asked.
        colour: Largest difference of the colours of face, hair or clothes from the signer's picture, where both show
            them (`pipelines.measures.identity.chamfer_distance`, dE*ab).
        colour_drift: Largest difference of those colours in the last quarter from the first.
        pose_drift: How much larger the hands' error may be in the last quarter than in the first, shoulder widths.
        frozen_share: Largest share of moments at which the picture stands still though the hands should move.
    """

    hand_pck: float = 0.7
    hand_recall: float = 0.7
    hands_in_frame: float = 0.95
    top_k: int = 5
    label_share: float = 0.75
    colour: float = 5.0
    colour_drift: float = 4.0
    pose_drift: float = 0.1
    frozen_share: float = 0.2

    def __post_init__(self):
        for name in ("hand_pck", "hand_recall", "hands_in_frame", "label_share", "frozen_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`gate.{name}` must be in [0, 1], got {getattr(self, name)!r}.")
        for name, least in (("top_k", 1), ("pose_drift", 0), ("colour", 0), ("colour_drift", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"`gate.{name}` must be at least {least}, got {getattr(self, name)!r}.")

    def reasons(self, figures: Figures) -> list[str]:
        """Why a render is rejected; nothing where it passes.

        Args:
            figures: By name; None where something could not be measured. That the hands can be is asked of all.
        """
        found = [
            *(_below(figures, name, least) for name, least in self._needed().items()),
            *(_below(figures, name, least) for name, least in self._wanted().items() if _known(figures, name)),
            *(_above(figures, name, most) for name, most in self._limited().items() if _known(figures, name)),
        ]
        return [reason for reason in found if reason]

    def figures(self) -> tuple[str, ...]:
        """Names of all figures that it looks at."""
        return (*self._needed(), *self._wanted(), *self._limited())

    def _needed(self) -> dict[str, float]:
        return {
            RANKED_BY: self.hand_pck,
            "recall/hands": self.hand_recall,
            "hands_in_frame": self.hands_in_frame,
        }

    def _wanted(self) -> dict[str, float]:
        return {"label_share": self.label_share}

    def _limited(self) -> dict[str, float]:
        return {
            "delta_e/largest": self.colour,
            "delta_e_drift": self.colour_drift,
            "drift/pose": self.pose_drift,
            "frozen_share": self.frozen_share,
        }


def best_of(candidates: Sequence[tuple[Figures, Sequence[str]]]) -> int | None:
    """The candidate to keep: of those without a reason against them the best in `RANKED_BY`, the first of equals."""
    passed = [number for number, (_, reasons) in enumerate(candidates) if not reasons]
    return max(passed, key=lambda number: (_rank(candidates[number][0]), -number), default=None)


def _rank(figures: Figures) -> float:
    value = figures.get(RANKED_BY)
    return -1.0 if value is None else value


def _known(figures: Figures, name: str) -> bool:
    return figures.get(name) is not None


def _below(figures: Figures, name: str, least: float) -> str:
    value = figures.get(name)
    if value is None:
        return f"{name} could not be measured"
    return f"{name} {value:.3f} is below {least:g}" if value < least else ""


def _above(figures: Figures, name: str, most: float) -> str:
    value = figures.get(name)
    return f"{name} {value:.3f} is above {most:g}" if value is not None and value > most else ""
