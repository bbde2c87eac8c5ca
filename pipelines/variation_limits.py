"""How far clips may be varied: what `--help` shows, so nothing heavy is imported here."""

from dataclasses import dataclass

LARGEST = {"turn_deg": 15.0, "proportion": 0.15, "speed": 0.3, "mirrored_share": 1.0, "zoom": 0.2, "shift": 0.1}
"""Beyond these a clip may no longer show what was signed, or not a body."""


@dataclass(frozen=True)
class Variation:
    """How far clips are varied: each change is drawn evenly from nothing up to this, either way.

    Attributes:
        turn_deg: Degrees by which upper arms and forearms are turned, each by its own angle for the whole clip.
        proportion: Share by which neck, face, upper arms and forearms become longer or shorter.
        speed: Share by which the clip becomes faster or slower.
        mirrored_share: Share of the clips in which right and left are exchanged; such a clip says so.
        zoom: Share by which the signer becomes larger or smaller in the picture.
        shift: Share of the picture's width and height by which the signer is moved.
    """

    turn_deg: float = 4.0
    proportion: float = 0.05
    speed: float = 0.1
    mirrored_share: float = 0.1
    zoom: float = 0.05
    shift: float = 0.02

    def __post_init__(self):
        for name, largest in LARGEST.items():
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f"`variation.{name}` must be in [0, {largest:g}], got {getattr(self, name)!r}.")
