"""Labelled videos, told apart by who signs: a table of a user's own, or the stand-in's."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poses.files import plain_name
from poses.tables import read_table

SPLITS = ("train", "test")
COLUMNS = ("video", "gloss", "signer", "split", "poses")
"""Of a table; the first three are needed."""

TEST_SHARE = 1 / 3
"""Of the signers, where a table does not say who is in the test."""


@dataclass(frozen=True)
class LabelledClip:
    """One sign by one signer.

    Attributes:
        name: Unique in its set: letters, digits, _ and -.
        video: A video file.
        gloss: What is signed.
        signer: Who signs.
        split: `train` or `test`.
        poses: A pose file of the video; None where poses have to be found in it.
    """

    name: str
    video: Path
    gloss: str
    signer: str
    split: str
    poses: Path | None = None


def read_labelled(table: Path, *, seed: int) -> tuple[LabelledClip, ...]:
    """Reads a table (.csv) with `video`, `gloss`, `signer`, and maybe `split` and `poses`; paths are relative to it.

    Without `split`, a third of the signers, drawn by `seed`, are the test.

    Raises:
        ValueError: The table is wrong, a file is missing, or the clips do not make a test of unseen signers.
    """
    header, rows = read_table(table)
    if not set(COLUMNS[:3]) <= set(header) <= set(COLUMNS):
        raise ValueError(
            f"{table}: expected the columns video, gloss, signer and any of split, poses, found {list(header)}."
        )
    held = [{key: (value or "").strip() for key, value in row.items() if key} for row in rows]
    for number, row in enumerate(held, start=2):
        if not (row["video"] and row["gloss"] and row["signer"]):
            raise ValueError(f"{table}: line {number} must name a video, a gloss and a signer.")
        if "split" in header and row["split"] not in SPLITS:
            raise ValueError(f"{table}: line {number} must have the split train or test, found {row['split']!r}.")
    split_of = None if "split" in header else split_signers([row["signer"] for row in held], seed=seed, source=table)
    files = {row[column] for row in held for column in ("video", "poses") if row.get(column)}
    if missing := sorted(file for file in files if not (table.parent / file).is_file()):
        raise ValueError(f"{table}: must name files beside it, found no {missing[0]}.")
    clips = tuple(
        LabelledClip(
            name=_name(table.parent, row["video"], row.get("poses", "")),
            video=table.parent / row["video"],
            gloss=row["gloss"],
            signer=row["signer"],
            split=row["split"] if split_of is None else split_of[row["signer"]],
            poses=table.parent / row["poses"] if row.get("poses") else None,
        )
        for row in held
    )
    if twice := [name for name, count in Counter(clip.name for clip in clips).items() if count > 1]:
        raise ValueError(f"{table}: every clip must have a name of its own, found {twice[0]!r} twice.")
    check_disjoint(clips, table)
    return clips


def split_signers(signers: Sequence[str], *, seed: int, source: Path) -> dict[str, str]:
    """Puts a third of the signers, but at least one, into the test.

    Raises:
        ValueError: There are fewer than two.
    """
    known = sorted(set(signers))
    if len(known) < 2:
        raise ValueError(f"{source}: must name two signers at least, so that one can be unseen, found {known}.")
    order = np.random.default_rng([seed, len(known)]).permutation(known)
    num_test = max(1, round(TEST_SHARE * len(known)))
    return {str(signer): SPLITS[number < num_test] for number, signer in enumerate(order)}


def check_disjoint(clips: Sequence[LabelledClip], source: Path) -> None:
    """Refuses clips that make no test of unseen signers.

    Raises:
        ValueError: A signer is in both splits, a split is empty, or a gloss is in the test alone.
    """
    train, test = ([clip for clip in clips if clip.split == split] for split in SPLITS)
    if not (train and test):
        raise ValueError(f"{source}: must hold clips to train on and to test on, found {len(train)} and {len(test)}.")
    if both := {clip.signer for clip in train} & {clip.signer for clip in test}:
        raise ValueError(f"{source}: a signer must be in one split only, found {min(both)!r} in train and in test.")
    if unknown := {clip.gloss for clip in test} - {clip.gloss for clip in train}:
        raise ValueError(f"{source}: a gloss of the test must be trained on too, found {min(unknown)!r} in test alone.")
    if len({clip.gloss for clip in train}) < 2:
        raise ValueError(f"{source}: must hold two glosses at least, found {train[0].gloss!r} alone.")


def _name(folder: Path, video: str, poses: str) -> str:
    """Names a clip and what its files hold, so that what was made of it is never taken for that of other files."""
    content = hashlib.sha256()
    for file in (video, poses):
        content.update((folder / file).read_bytes() if file else b"none")
    return f"{plain_name(str(Path(video).with_suffix('')))}-{content.hexdigest()[:8]}"
