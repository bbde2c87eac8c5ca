"""What is to be evaluated: pairs of a driving pose and a video of it, from a table or a folder."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from poses.files import check_utf8
from poses.tables import read_table

COLUMNS = ("driving", "video", "name", "reference", "control", "image", "glosses", "language", "signer")
"""Of a table; only the first two are needed."""
_FILES = ("driving", "video", "reference", "control", "image")

POSE_SUFFIXES = (".npz", ".pose")

_NAMED = 5
"""Files without a partner that are named in one line; a report names all."""


@dataclass(frozen=True)
class Pair:
    """A driving pose and a video of it, whoever made it.

    Attributes:
        name: Unique in its set.
        driving: A pose file.
        video: What was made of it.
        reference: A real video of the same signing, frame by frame, that the driving pose was found in.
        control: A drawing of the driving pose; only the estimator's floor is taken from it, where no reference is.
        image: The picture of the signer that the video should look like.
        glosses: What is signed; the driving pose's own where empty.
        language: ISO 639-3; the driving pose's own where empty.
        signer: Whoever signs, for resampling.
    """

    name: str
    driving: Path
    video: Path
    reference: Path | None = None
    control: Path | None = None
    image: Path | None = None
    glosses: tuple[str, ...] = ()
    language: str = ""
    signer: str = ""

    def files(self) -> list[Path]:
        """Those that decide the result."""
        named = (self.driving, self.video, self.reference, self.control, self.image)
        return [path for path in named if path is not None]

    def key(self) -> str:
        """Names the pair and what its files hold, so that a result is never taken for that of other files."""
        digest = hashlib.sha256(repr((self.glosses, self.language, self.signer)).encode())
        for path in self.files():
            if path.is_file():
                with path.open("rb") as file:
                    hashlib.file_digest(file, lambda: digest)  # goes on with it
            else:
                digest.update(b"missing")
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', self.name)[:100]}-{digest.hexdigest()[:12]}"


@dataclass(frozen=True)
class PairSet:
    """Pairs, and files of a folder that are in none."""

    pairs: tuple[Pair, ...]
    alone: tuple[str, ...] = ()


def read_pairs(source: Path) -> PairSet:
    """Reads a table (.csv), or finds pairs in a folder.

    The table has a header with `driving` and `video`, and may have the other `COLUMNS`; its paths are relative to it,
    its glosses are parted by spaces. In a folder, NAME.npz or NAME.pose belongs to NAME.mp4, to NAME.reference.mp4 and
    to NAME.png; a subfolder that `signloop loop` wrote is a pair too.

    Raises:
        ValueError: There is no such table or folder, the table is wrong, or there is no pair in it.
    """
    if source.is_dir():
        found = _read_folder(source)
    elif source.suffix.lower() == ".csv":
        found = PairSet(_read_table(source))
    else:
        raise ValueError(f"{source}: expected a .csv table or a folder with poses and videos.")
    if not found.pairs:
        what = f"{name_some(found.alone)} alone" if found.alone else "none"
        raise ValueError(f"{source}: expected pairs such as HELLO.npz and HELLO.mp4, found {what}.")
    check_utf8(*(pair.driving for pair in found.pairs), *map(Path, found.alone))
    if twice := _first_repeated(pair.name for pair in found.pairs):
        raise ValueError(f"{source}: every pair must have a name of its own, found {twice!r} twice.")
    return found


def name_some(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _read_table(source: Path) -> tuple[Pair, ...]:
    header, rows = read_table(source)
    if missing := [column for column in COLUMNS[:2] if column not in header]:
        raise ValueError(f"{source}: expected the columns driving and video, found no {missing[0]}.")
    if unknown := [column for column in header if column not in COLUMNS]:
        raise ValueError(f"{source}: expected columns from {', '.join(COLUMNS)}, found {unknown[0]!r}.")
    pairs = []
    for number, row in enumerate(rows, start=2):
        held = {column: value.strip() for column, value in row.items() if isinstance(value, str) and value.strip()}
        if None in row or not {"driving", "video"} <= held.keys():
            raise ValueError(
                f"{source}: line {number} must name a driving pose and a video, and nothing past its columns."
            )
        files = {key: source.parent / held[key] for key in _FILES if key in held}
        pairs.append(
            Pair(
                name=held.get("name", Path(held["video"]).stem),
                driving=files["driving"],
                video=files["video"],
                reference=files.get("reference"),
                control=files.get("control"),
                image=files.get("image"),
                glosses=tuple(held.get("glosses", "").split()),
                language=held.get("language", ""),
                signer=held.get("signer", ""),
            )
        )
    return tuple(pairs)


def _read_folder(source: Path) -> PairSet:
    runs = [path.parent for path in sorted(source.glob("*/driving.npz")) if (path.parent / "render.mp4").is_file()]
    pairs = [Pair(run.name, run / "driving.npz", run / "render.mp4") for run in runs]
    videos = {path.name[: -len(".mp4")]: path for path in sorted(source.glob("*.mp4"))}
    poses = {path.stem: path for path in sorted(source.iterdir()) if path.suffix in POSE_SUFFIXES}
    used = set()
    for name, driving in poses.items():
        if name in videos:
            reference, image = videos.get(f"{name}.reference"), source / f"{name}.png"
            pairs.append(Pair(name, driving, videos[name], reference, image=image if image.is_file() else None))
            used |= {driving, videos[name], reference}
    alone = [path.name for path in (*poses.values(), *videos.values()) if path not in used]
    return PairSet(tuple(pairs), tuple(sorted(alone)))


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)
