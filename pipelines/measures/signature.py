"""What a figure is besides its value: a name, which way is better, and a signature that says what it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near 1", "near 0"]

SIGNERS_PARTS = ("hands", "right_hand", "left_hand", "face", "body")
"""Parts that figures speak of; `hands` is both hands' points taken together."""


@dataclass(frozen=True)
class Measure:
    """The definition of a figure that every clip has.

    Attributes:
        name: Unique, such as `pck_0.2/right_hand`.
        title: For readers.
        better: Which way is better.
        facts: What the value depends on, for the signature.
        version: Counted up when the definition changes.
        group: Heading that it stands under.
        digits: To be shown.
    """

    name: str
    title: str
    better: Better
    facts: Mapping[str, object]
    group: str
    version: int = 1
    digits: int = 3

    def signature(self, **common: object) -> str:
        """Name, version and facts in one line; two figures may be compared where theirs are equal."""
        return signature(self.name, self.version, **common, **self.facts)


def signature(name: str, version: int, **facts: object) -> str:
    """Writes what a figure depends on in one line, in the manner of sacreBLEU: `name|v:1|layout:dwpose128|...`.

    Raises:
        ValueError: A fact holds `|`, which parts them.
    """
    text = {key: str(value) for key, value in facts.items()}
    for key, value in text.items():
        if "|" in value:
            raise ValueError(f"`{key}` must not hold '|', got {value!r}.")
    return "|".join([name, f"v:{version}", *(f"{key}:{value}" for key, value in text.items())])
