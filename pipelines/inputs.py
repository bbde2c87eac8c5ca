"""What a user hands over: a pose file or a video as poses, a picture as a signer."""

import csv
from collections.abc import Sequence
from pathlib import Path

from gen.renderers.base import SignerPicture
from gen.renderers.pictures import built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.progress import Stages
from poses.estimators import Estimator, extract_poses
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info, read_picture

CONSENTS = {
    "self": "I am",
    "written": "Somebody who agreed in writing to be shown signing this",
    "synthetic": "Nobody real: it is drawn or generated",
    "public-domain": "Somebody in a picture that is in the public domain",
}
"""Who may be in a signer's picture: the word that is recorded, and how a person says it."""


def extract_from_video(path: Path, estimator: Estimator, stages: Stages) -> PoseSequence:
    """Estimates the poses in a video, timed as the stage `extract`.

    Raises:
        ValueError: The file is no readable video, or nobody is in it.
    """
    info = read_info(path)
    with stages.stage("extract", info.num_frames) as track:
        return extract_poses(track(read_frames(path)), fps=info.fps, estimator=estimator, source=path.name)


def load_signer(image: str | None, *, consent: str | None = None, height: int, width: int) -> SignerPicture | None:
    """Finds a built-in signer by name, or reads a picture of a signer and finds the pose they hold in it.

    Args:
        image: A name or a file; None for the renderer's own signer.
        consent: Who is in the file: one of `CONSENTS`. A built-in signer is nobody and needs none.
        height: Pixels of the rendered frame, in which built-in signers are drawn.
        width: Pixels of the rendered frame.

    Raises:
        ValueError: `image` is neither, nobody is in it, or `consent` does not fit it.
    """
    if image is None or (image in BUILT_IN_SIGNERS and not Path(image).exists()):
        if consent is not None:
            raise ValueError(f"`consent` must be left out where `image` is no picture of your own, got {consent!r}.")
        return None if image is None else built_in_picture(image, height, width)
    path = Path(image)
    picture = read_picture(path)
    if consent not in CONSENTS:
        found = "none" if consent is None else repr(consent)
        raise ValueError(f"{path}: `consent` must say who is in it, one of {', '.join(CONSENTS)}, got {found}.")
    return SignerPicture(picture, extract_poses([picture], fps=1.0, source=path.name), path.name, consent)


def read_table(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The header and rows of a CSV file.

    Raises:
        ValueError: It can't be read, or is no table in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            return reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a table in UTF-8, which cannot be read ({error}).") from None
