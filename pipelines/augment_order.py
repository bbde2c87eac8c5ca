"""The web page's order of a training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.augment import Plan, run_augmentation
from pipelines.orders import MAX_LETTERS_OF_WORDS, MAX_SET_FRAMES, SPELLED, Done, Tools, check_letters, command, whole
from pipelines.progress import Stages
from poses.fingerspelling import spell
from poses.io import load_poses, save_poses


@dataclass(frozen=True)
class AugmentOrder:
    """A small training set.

    Attributes:
        source: `SPELLED` or `BROUGHT`.
        words: Parted by spaces, for `SPELLED`.
        language: Their language.
        clip: A pose file, for `BROUGHT`.
        signers: Names of built-in signers.
        variants: Variations of each clip by each signer.
        renderer: Its name.
        num_inference_steps: Denoising steps; left aside by a renderer without diffusion.
        seed: Decides how clips are varied, and of the noise.
        format: See `pipelines.dataset.FORMATS`.
    """

    source: str
    words: str
    language: str
    clip: str | None
    signers: Sequence[str]
    variants: float | int | None
    renderer: str
    num_inference_steps: float | int | None
    seed: float | int | None
    format: str

    stages: ClassVar[tuple[str, ...]] = ("augment",)

    @property
    def uploads(self) -> tuple[str | None, ...]:
        return (self.clip,)

    def carry_out(self, folder: Path, tools: Tools, stages: Stages) -> Done:
        self._check(tools)
        steps = tools.renderers[self.renderer].default_num_inference_steps and whole("steps", self.num_inference_steps)
        variants, seed = whole("variants", self.variants), whole("seed", self.seed)
        clips = self._clips(folder.parent)
        num_items = len(clips) * len(self.signers) * variants
        self._check_frames(sum(clips.values()) * len(self.signers) * variants)
        plan = Plan(self.renderer, "mediapipe", tools.size_px, tools.size_px, steps or None, keep_rejected=True)
        begun = -1

        def on_progress(stage: str, num_done: float | int, num_frames: int | None, frame: object) -> None:
            nonlocal begun
            begun += num_done == 0
            stages.tell("augment", begun + num_done / (num_frames or 1), num_items, frame)

        with stages.stage("augment", num_items, unit="clips"):
            result = run_augmentation(
                list(clips),
                folder,
                plan,
                signers=self.signers,
                variants=variants,
                format=self.format,
                seed=seed,
                on_progress=on_progress,
            )
        lost = f" {len(result.failed)} could not be made." if result.failed else ""
        return Done(
            f"Done in {stages.total_seconds:.0f} s. Kept: {result.num_out} of {result.num_in} clips.{lost}",
            self._commands(list(clips), steps, variants, seed, tools.size_px),
        )

    def _check(self, tools: Tools) -> None:
        if self.source == SPELLED and not self.words.strip():
            raise ValueError("Write the words to spell, such as HANDS OK.")
        if self.source == SPELLED:
            check_letters(self.words, MAX_LETTERS_OF_WORDS)
        if self.source != SPELLED and not self.clip:
            raise ValueError("Choose a pose file to vary.")
        if not self.signers or not set(self.signers) <= set(BUILT_IN_SIGNERS):
            raise ValueError("Choose one signer or more.")
        if self.renderer not in tools.renderers:
            raise ValueError("Choose a renderer.")

    def _clips(self, folder: Path) -> dict[Path, int]:
        """The pose files to be varied, and how many frames each has."""
        if self.source != SPELLED:
            path = Path(str(self.clip))
            return {path: len(load_poses(path))}
        clips = {}
        for number, word in enumerate(self.words.split(), start=1):
            poses = spell(word, self.language)
            save_poses(poses, path := folder / f"{number}-{word}.npz")
            clips[path] = len(poses)
        return clips

    def _check_frames(self, num_frames: int) -> None:
        if num_frames > MAX_SET_FRAMES:
            raise ValueError(
                f"Expected at most {MAX_SET_FRAMES} frames in all, found {num_frames}: take fewer words, signers or "
                "variations, or use the command line, which has no limit."
            )

    def _commands(self, clips: Sequence[Path], steps: int, variants: int, seed: int, size_px: int) -> tuple[str, ...]:
        names = [path.name for path in clips]
        words = self.words.split() if self.source == SPELLED else []
        made = [
            command("spell", word, name, **{"--language": self.language})
            for word, name in zip(words, names, strict=bool(words))
        ]
        options = {"--variants": variants, "--renderer": self.renderer} | ({"--steps": steps} if steps else {})
        options |= {"--seed": seed, "--format": self.format, "--height": size_px, "--width": size_px}
        who = ("--signers", *self.signers, "--keep_rejected")
        return (*made, command("augment", *names, "report", *who, **options))
