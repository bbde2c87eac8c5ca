"""Who is shown in an augmented set: built-in signers, and pictures of one's own with who agreed to what."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gen.renderers.base import SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.inputs import load_signer
from poses.files import plain_name


@dataclass(frozen=True)
class Casting:
    """Who is shown: a built-in signer's name, or a picture's path and who is in it."""

    image: str
    consent: str | None = None

    @property
    def name(self) -> str:
        return self.image if self.consent is None else plain_name(Path(self.image).stem)

    def facts(self) -> str:
        """What decides how they look, and why they may be shown."""
        if self.consent is None:
            return "built-in"
        return f"{self.consent} {hashlib.sha256(Path(self.image).read_bytes()).hexdigest()[:16]}"


@lru_cache(maxsize=16)
def load_casting(casting: Casting, height: int, width: int) -> SignerPicture:
    """Draws or reads a signer's picture once in every process."""
    found = load_signer(casting.image, consent=casting.consent, height=height, width=width)
    return found or built_in_picture(DEFAULT_SIGNER, height, width)


def read_castings(signers: Sequence[str] | None) -> tuple[Casting, ...]:
    """Signers as they are typed: a built-in one's name, or PICTURE=CONSENT; all built-in ones for None.

    Raises:
        ValueError: One is neither, has no consent, or two have one name.
    """
    castings = []
    for signer in signers or BUILT_IN_SIGNERS:
        image, _, consent = signer.rpartition("=")
        casting = Casting(image, consent) if image else Casting(signer)
        if casting.consent is None and signer not in BUILT_IN_SIGNERS:
            known = ", ".join(BUILT_IN_SIGNERS)
            raise ValueError(f"`signers` must be among {known}, or a picture as PICTURE=CONSENT, got {signer!r}.")
        if casting.name in {other.name for other in castings}:
            raise ValueError(f"`signers` must have different names, got {casting.name!r} twice.")
        castings.append(casting)
    return tuple(castings)
