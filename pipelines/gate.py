"""The gate of an augmented set: which renders are good enough to train on, by figures of `clip_evaluation`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float | None]

RANKED_BY = "pck_0.1/hands"
"""Of several candidates that pass, the one best in this is kept: stricter than the gate's own PCK@0.2."""


@dataclass(frozen=True)
class Gate:
    """What a render must reach to be kept. Bounds belong to the judges that are named beside every figure.

    The two of the face belong to `oriented-filters-1`, which tells faces apart weakly: a render of `alex` has a
    likeness of 0.999 to its own picture and of 0.990 to that of `kenji`. They catch a face that is lost, no more.

    Attributes:
        hand_pck: Least share of both hands' points within 0.2 shoulder widths of where they should be.
        hand_recall: Least share of both hands' points that are found at all.
        hands_in_frame: Least share of both hands' points that the picture's edge does not cut off.
        top_k: How many of the likeliest glosses may be the label. A clip of several labels may have one more for each.
        label_share: Least share of a clip's labels among those. Labels that the recognizer does not know are not asked.
        identity: Least likeness of the face to the signer's picture, where a face is found in both.
        pose_drift: How much larger the hands' error may be in the last quarter than in the first, shoulder widths.
        face_drift: How far the face of the last quarter may be from that of the first.
        frozen_share: Largest share of moments at which the picture stands still though the hands should move.
    """

    hand_pck: float = 0.7
    hand_recall: float = 0.7
    hands_in_frame: float = 0.95
    top_k: int = 5
    label_share: float = 0.75
    identity: float = 0.98
    pose_drift: float = 0.2
    face_drift: float = 0.02
    frozen_share: float = 0.2

    def __post_init__(self):
        for name in ("hand_pck", "hand_recall", "hands_in_frame", "label_share", "frozen_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`gate.{name}` must be in [0, 1], got {getattr(self, name)!r}.")
        if not -1 <= self.identity <= 1:
            raise ValueError(f"`gate.identity` must be in [-1, 1], got {self.identity!r}.")
        for name, least in (("top_k", 1), ("pose_drift", 0), ("face_drift", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"`gate.{name}` must be at least {least}, got {getattr(self, name)!r}.")

    def reasons(self, figures: Figures, *, network: str) -> list[str]:
        """Why a render is rejected; nothing where it passes.

        Args:
            figures: By name; None where something could not be measured. That the hands can be is asked of all.
            network: Name of the feature network, which is part of its figures' names.
        """
        found = [
            *(_below(figures, name, least) for name, least in self._needed().items()),
            *(_below(figures, name, least) for name, least in self._wanted(network).items() if _known(figures, name)),
            *(_above(figures, name, most) for name, most in self._limited(network).items() if _known(figures, name)),
        ]
        return [reason for reason in found if reason]

    def _needed(self) -> dict[str, float]:
        return {
            "pck_0.2/hands": self.hand_pck,
            "recall/hands": self.hand_recall,
            "hands_in_frame": self.hands_in_frame,
        }

    def _wanted(self, network: str) -> dict[str, float]:
        return {"label_share": self.label_share, f"{network}_identity": self.identity}

    def _limited(self, network: str) -> dict[str, float]:
        limits = {"drift/pose": self.pose_drift, f"{network}_drift": self.face_drift}
        return {**limits, "frozen_share": self.frozen_share}


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
