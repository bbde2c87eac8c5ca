"""What a user hands over: a pose file or a video as poses, a picture as a signer."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gen.renderers.base import SignerPicture
from gen.renderers.pictures import built_in_picture
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.progress import Stages
from poses.bounds import check_frame_size
from poses.estimators import Estimator, create_estimator, extract_poses
from poses.keypoints import PARTS, index
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info, read_picture
from recognizer.processing_sign_recognizer import FPS_RANGE

CONSENTS = {
    "self": "I am",
    "written": "Somebody who agreed in writing to be shown signing this",
    "synthetic": "Nobody real: it is drawn or generated",
    "public-domain": "Somebody in a picture that is in the public domain",
}
"""Who may be in a signer's picture: the word that is recorded, and how a person says it."""

MIN_SHOULDERS_PX = 32
"""Narrower, a hand is a few pixels, and what is rendered from it no hand at all."""
MIN_CHEST = 0.4
"""What must be seen below the shoulders, in shoulder widths; a picture cut at the neck shows no arm to draw."""
SHOULDERS = index("right_shoulder", "left_shoulder")


def extract_from_video(path: Path, estimator: Estimator, stages: Stages) -> PoseSequence:
    """Estimates the poses in a video, timed as the stage `extract`.

    Raises:
        ValueError: The file is no readable video, or nobody is in it.
    """
    info = read_info(path)
    with stages.stage("extract", info.num_frames) as track:
        return extract_poses(track(read_frames(path)), fps=info.fps, estimator=estimator, source=path.name)


def check_frame_rate(clip: str | Path, fps: float) -> None:
    """Refuses a clip that no recognizer reads, before any work is done on it.

    Args:
        clip: What errors call it.
        fps: Its frames per second.

    Raises:
        ValueError: It is slower than 5 or faster than 120 frames a second.
    """
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise ValueError(f"{clip}: expected {FPS_RANGE[0]} to {FPS_RANGE[1]} frames per second, found {fps:g}.")


def load_signer(
    image: str | None, *, consent: str | None = None, keep: str | Path | None = None, height: int, width: int
) -> SignerPicture | None:
    """Finds a built-in signer by name, or reads a picture of a signer and finds the pose they hold in it.

    Args:
        image: A name or a file; None for the renderer's own signer.
        consent: Who is in the file: one of `CONSENTS`. A built-in signer is nobody and needs none.
        keep: A mask of the picture, white where it must stay as it is.
        height: Pixels of the rendered frame, in which built-in signers are drawn.
        width: Pixels of the rendered frame.

    Raises:
        ValueError: `image` is neither, it does not show one person from head to chest, `consent` or `keep` does not fit
            it, or no frame may have that size.
    """
    signer = _load_signer(image, consent, height, width)
    if keep is None:
        return signer
    if signer is None:
        raise ValueError("`image` must be given where `keep` is: a mask is of a picture.")
    mask = read_picture(Path(keep)).mean(axis=-1) > 127
    if mask.shape != signer.image.shape[:2]:
        (height, width), shown = mask.shape, signer.image.shape
        raise ValueError(f"{keep}: must be as large as the picture, {shown[1]} x {shown[0]}, got {width} x {height}.")
    return replace(signer, keep=mask)


def _load_signer(image: str | None, consent: str | None, height: int, width: int) -> SignerPicture | None:
    check_frame_size(height, width)
    if image is None or (image in BUILT_IN_SIGNERS and not Path(image).is_file()):
        if consent is not None:
            raise ValueError(f"`consent` must be left out where `image` is no picture of your own, got {consent!r}.")
        return None if image is None else built_in_picture(image, height, width)
    path = Path(image)
    if not path.exists():
        raise ValueError(
            f"{path}: expected a picture or a built-in signer, {', '.join(BUILT_IN_SIGNERS)}, found neither."
        )
    picture = read_picture(path)
    if consent not in CONSENTS:
        found = "none" if consent is None else repr(consent)
        raise ValueError(f"{path}: `consent` must say who is in it, one of {', '.join(CONSENTS)}, got {found}.")
    with closing(create_estimator("mediapipe")) as estimator:
        return SignerPicture(picture, find_signer(picture, estimator, path), path.name, consent)


def find_signer(picture: UInt8[np.ndarray, "height width 3"], estimator: Estimator, path: Path) -> PoseSequence:
    """Finds the one person in a picture.

    Args:
        picture: RGB.
        estimator: Finds one person at a time.
        path: What errors call the picture.

    Raises:
        ValueError: Nobody is in it, more than one, or no head with shoulders and chest that is large enough.
    """
    poses = extract_poses([picture], fps=1.0, estimator=estimator, source=path.name)
    shown, shoulders = _shows_signer(poses), poses.shoulder_width_px()
    if not shown or not shoulders >= MIN_SHOULDERS_PX:
        raise ValueError(
            f"{path}: expected a person's face and both shoulders, at least {MIN_SHOULDERS_PX} pixels apart, "
            f"found shoulders {np.nan_to_num(shoulders):.0f} pixels apart{'' if shown else ', or not all of them'}."
        )
    chest = (len(picture) - poses.pixels()[0, SHOULDERS, 1].mean()) / shoulders
    if chest < MIN_CHEST:
        raise ValueError(
            f"{path}: expected a person down to the chest, at least {MIN_CHEST} shoulder widths below the shoulders, "
            f"found {max(chest, 0):.2f}."
        )
    if _shows_another(picture, poses, shoulders, estimator):
        raise ValueError(f"{path}: expected one person, found another beside; cut the picture to the one who signs.")
    return poses


def _shows_signer(poses: PoseSequence) -> bool:
    confidence = poses.confidence[0]
    return bool((confidence[SHOULDERS] > 0).all() and confidence[PARTS["face"]].any())


def _shows_another(picture: np.ndarray, poses: PoseSequence, shoulders: float, estimator: Estimator) -> bool:
    """Whether somebody not much smaller is found where the first person is painted over."""
    seen = poses.pixels()[0][poses.confidence[0] > 0]
    left, top = np.maximum(seen.min(axis=0) - (0.5 * shoulders, 0.8 * shoulders), 0).astype(int)
    rest = picture.copy()
    rest[top:, left : int(seen[:, 0].max() + 0.5 * shoulders)] = picture.mean(axis=(0, 1))
    try:
        other = extract_poses([rest], fps=1.0, estimator=estimator)
    except ValueError:  # nobody
        return False
    return _shows_signer(other) and other.shoulder_width_px() > 0.3 * shoulders
