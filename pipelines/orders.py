"""What the web page's forms ask for: an order is carried out into a folder and leaves a page to show there."""

import itertools
import shlex
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from gen.renderers import Renderer, SignerPicture
from pipelines.inputs import CONSENTS, extract_from_video
from pipelines.loop import run_loop
from pipelines.progress import Stages
from pipelines.recognize import run_recognition
from poses.estimators import Estimator
from poses.fingerspelling import spell
from poses.io import is_video, load_poses
from poses.sequence import GlossSpan, PoseSequence
from poses.video import read_frames, read_info
from recognizer.reading import GlossReading, Recognizer

MAX_FRAMES = 600
"""Longest clip that the page takes, 25 s at 24 frames per second; the command line has no limit."""

MAX_SET_FRAMES = 2400
"""Most frames of all clips of a set together, 100 s at 24 frames per second."""

MAX_LETTERS, MAX_LETTERS_OF_WORDS = 40, 80
"""Of a word, and of words with the spaces between them. Forms hold no more, but orders need not come from forms."""

SPELLED, BROUGHT = "Spell a word", "Use my own clip"
OWN_PICTURE = "My own picture"
UPLOADED, RECORDED = "A file", "My camera"


@dataclass(frozen=True)
class Tools:
    """What orders are carried out with, loaded once and used by one order at a time.

    Attributes:
        renderers: By name; the first one is chosen at first.
        recognizer: Reads clips, driving poses, and poses found in renders.
        estimator: Finds poses in videos.
        load_signer: Gives a signer's picture by name, or by path and `consent`.
        size_px: Width and height of what is rendered.
    """

    renderers: Mapping[str, Renderer]
    recognizer: Recognizer
    estimator: Estimator
    load_signer: Callable[..., SignerPicture | None]
    size_px: int


@dataclass(frozen=True)
class Done:
    """What became of an order.

    Attributes:
        summary: The outcome in a line.
        commands: Command lines that do the same.
    """

    summary: str
    commands: tuple[str, ...]


class Order(Protocol):
    """A filled-in form."""

    stages: ClassVar[tuple[str, ...]]
    """Those that are sure to come, in order."""

    @property
    def uploads(self) -> tuple[str | None, ...]:
        """Paths of what was handed over."""
        ...

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        """Does what is asked for, and writes `index.html` and what belongs to it into a new folder.

        Raises:
            ValueError: Says what is missing or wrong.
        """
        ...


@dataclass(frozen=True)
class RenderOrder:
    """A clip to be rendered and read back.

    Attributes:
        source: `SPELLED` or `BROUGHT`.
        word: Letters, for `SPELLED`.
        language: Their language.
        clip: A pose file or a video, for `BROUGHT`.
        signer: A built-in signer's name or `OWN_PICTURE`.
        picture: The picture, for `OWN_PICTURE`.
        consent: Who is in it: one of `CONSENTS`.
        renderer: Its name.
        num_inference_steps: Denoising steps; left aside by a renderer without diffusion.
        seed: Of the noise.
    """

    source: str
    word: str
    language: str
    clip: str | None
    signer: str
    picture: str | None
    consent: str | None
    renderer: str
    num_inference_steps: float | int | None
    seed: float | int | None

    stages: ClassVar[tuple[str, ...]] = ("load", "render", "re-extract", "recognize", "draw")

    @property
    def uploads(self) -> tuple[str | None, ...]:
        return self.clip, self.picture

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        self._check(tools.renderers)
        driving = self._driving(tools.estimator, stages)
        renderer = tools.renderers[self.renderer]
        own = self.signer == OWN_PICTURE
        with stages.stage("load"):
            signer = tools.load_signer(*([self.picture] if own else [self.signer]), **self._consent())
        steps = whole("steps", self.num_inference_steps) if renderer.default_num_inference_steps else None
        seed = whole("seed", self.seed)
        report = run_loop(
            driving,
            folder,
            renderer=renderer,
            recognizer=tools.recognizer,
            estimator=tools.estimator,
            signer=signer,
            height=tools.size_px,
            width=tools.size_px,
            num_inference_steps=steps,
            seed=seed,
            stages=stages,
        )
        signed, driving_read = report.reference_glosses, report.driving_reading.glosses
        expected = f"Signed: {_words(signed)}." if signed else f"Read from the driving pose: {_words(driving_read)}."
        read = _words(report.render_reading.glosses)
        return Done(
            f"Done in {report.total_seconds:.0f} s. {expected} Read from the render: {read}.",
            self._commands(steps, seed, tools.size_px),
        )

    def _check(self, renderers: Container[str]) -> None:
        if self.source == SPELLED and not self.word.strip():
            raise ValueError("Write the word to spell, such as HANDS.")
        if self.source == SPELLED:
            check_letters(self.word, MAX_LETTERS)
        if self.source == BROUGHT and not self.clip:
            raise ValueError("Choose a pose file or a video to render.")
        if self.signer == OWN_PICTURE and not self.picture:
            raise ValueError("Choose the picture of the signer to show.")
        if self.signer == OWN_PICTURE and self.consent not in CONSENTS:
            raise ValueError("Say who is in the picture: nobody is shown signing without having agreed to it.")
        if self.renderer not in renderers:
            raise ValueError("Choose a renderer.")

    def _consent(self) -> dict[str, str | None]:
        return {"consent": self.consent} if self.signer == OWN_PICTURE else {}

    def _driving(self, estimator: Estimator, stages: Stages) -> PoseSequence:
        if self.source == SPELLED:
            driving = spell(self.word.strip(), self.language)
            check_length(driving.source, len(driving))
            return driving
        path = Path(str(self.clip))
        if is_video(path):
            check_clip(path)
            return extract_from_video(path, estimator, stages)
        driving = load_poses(path)
        check_length(path.name, len(driving))
        return driving

    def _commands(self, steps: int | None, seed: int, size_px: int) -> tuple[str, ...]:
        spelled = self.source == SPELLED
        clip = "word.npz" if spelled else Path(str(self.clip)).name
        image = Path(str(self.picture)).name if self.signer == OWN_PICTURE else self.signer
        options = {
            "--output": "report",
            "--image": image,
            **{f"--{key}": value for key, value in self._consent().items()},
        }
        options |= {"--renderer": self.renderer} | ({} if steps is None else {"--steps": steps})
        options |= {"--seed": seed, "--height": size_px, "--width": size_px}
        made = [command("spell", self.word.strip(), clip, **{"--language": self.language})] if spelled else []
        return (*made, command("loop", clip, **options))


@dataclass(frozen=True)
class RecognizeOrder:
    """A clip to be read.

    Attributes:
        source: `UPLOADED` or `RECORDED`.
        clip: A pose file or a video, for `UPLOADED`.
        recording: A video, for `RECORDED`.
    """

    source: str
    clip: str | None
    recording: str | None

    stages: ClassVar[tuple[str, ...]] = ("recognize", "draw")

    @property
    def uploads(self) -> tuple[str | None, ...]:
        return self.clip, self.recording

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        if not (chosen := self.clip if self.source == UPLOADED else self.recording):
            action = "Choose a pose file or a video" if self.source == UPLOADED else "Record yourself"
            raise ValueError(f"{action} to be read.")
        path = Path(chosen)
        check_clip(path)
        report = run_recognition(path, folder, recognizer=tools.recognizer, estimator=tools.estimator, stages=stages)
        glosses = report.reading.glosses
        why = "" if glosses else f": {report.reading.reason}"
        return Done(
            f"Done in {stages.total_seconds:.0f} s. Read: {_words(glosses)}{why}.",
            (command("recognize", path.name, **{"--output": "report"}),),
        )


def whole(name: str, number: float | int | None) -> int:
    """The number in a field.

    Raises:
        ValueError: The field was emptied, or what is in it is no whole number.
    """
    if number is None or not float(number).is_integer():
        raise ValueError(f"`{name}` must be a whole number, found {'nothing' if number is None else number}.")
    return int(number)


def check_clip(path: Path) -> None:
    """Refuses a clip of more than `MAX_FRAMES`; a video by what it declares and, since that may be wrong, by looking.

    Raises:
        ValueError: It is longer, or no clip.
    """
    if not is_video(path):
        return check_length(path.name, len(load_poses(path)))
    check_length(path.name, read_info(path).num_frames or 0)
    if next(itertools.islice(read_frames(path), MAX_FRAMES, None), None) is not None:
        raise too_long(path.name, "more")
    return None


def check_letters(words: str, most: int) -> None:
    """Refuses more than `most` letters, before they take any memory.

    Raises:
        ValueError: There are more.
    """
    if len(words.strip()) > most:
        raise ValueError(f"Expected at most {most} letters, found {len(words.strip()):,}.")


def check_length(name: str, num_frames: int) -> None:
    """Refuses more than `MAX_FRAMES`.

    Raises:
        ValueError: There are more.
    """
    if num_frames > MAX_FRAMES:
        raise too_long(name, str(num_frames))


def too_long(name: str, found: str) -> ValueError:
    """Says how long a clip may be."""
    limit = f"expected at most {MAX_FRAMES} frames, found {found}"
    return ValueError(f"{name}: {limit}; cut it, or use the command line, which has no limit.")


def command(name: str, *arguments: str, **options: str | int | None) -> str:
    """A command line that a shell takes as it is."""
    words = itertools.chain(arguments, *((option, str(value)) for option, value in options.items()))
    return shlex.join(["signloop", name, *words])


def _words(items: Sequence[GlossSpan | GlossReading]) -> str:
    return "\N{NO-BREAK SPACE}".join(item.gloss for item in items) or "nothing"
