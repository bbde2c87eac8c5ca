"""Everything that recognizers can be trained and tested on: the clips as given, and their renders."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.gate import Gate
from pipelines.prove.clips import LabelledClip, check_disjoint, read_labelled
from pipelines.prove.plan import Plan
from pipelines.prove.renders import GROUPS, Shot, look_at, plan_shots, reasons_against, render_shots
from pipelines.prove.stand_in import KEYPOINTS_FILE, film_takes, read_takes


@dataclass(frozen=True)
class Sample:
    """One clip or render that a recognizer may see.

    Attributes:
        clip: Name of the clip that it shows, or is.
        view: What the network that reads pixels sees, an .npy file.
        poses: What the network that reads poses gets: of a clip its own, of a render those found in it, None where no
            shoulders were found.
        gloss: What is signed.
        signer: Who signs the clip that it shows.
        variant: Tells renders of one clip apart.
        kept: Whether the gate lets it through; clips as given always are.
        content: Tells it from what another renderer, or another look at the clip, would have left in these files.
    """

    clip: str
    view: Path
    poses: Path | None
    gloss: str
    signer: str
    variant: int = 0
    kept: bool = True
    content: str = ""


@dataclass(frozen=True)
class Pool:
    """All samples.

    Attributes:
        stand_in: Whether the clips are no real video.
        real: Clips to train on, as given.
        synthetic: Renders of these by signers who sign nothing else, the first variant of each clip before the second.
        round_trip: Renders of these by their own signers.
        test: Clips to test on, by signers who are in no other list.
        synthetic_test: Renders of these by further signers.
        failed: Why clips and renders could not be used, by name.
    """

    stand_in: bool
    real: tuple[Sample, ...]
    synthetic: tuple[Sample, ...]
    round_trip: tuple[Sample, ...]
    test: tuple[Sample, ...]
    synthetic_test: tuple[Sample, ...]
    failed: Mapping[str, str]

    def with_poses(self) -> "Pool":
        """Without the renders to train on in which no shoulders were found; those of the test count as read wrongly."""
        lists = ("real", "synthetic", "round_trip")
        found = {name: tuple(sample for sample in getattr(self, name) if sample.poses) for name in lists}
        return replace(self, **found)


def fill_pool(
    data: Path, output: Path, plan: Plan, *, consent: str, gate: Gate, seed: int, workers: int, show: bool
) -> Pool:
    """Films where `data` is a folder of pose clips, looks at all clips, and renders them: three bulk jobs in `output`.

    Args:
        data: A table of labelled videos, or a folder of pose clips.
        output: A folder, maybe one that an earlier call began.
        plan: What is made.
        consent: Why the signers in the videos may be shown.
        gate: Says which renders are kept.
        seed: Decides all that is random.
        workers: Processes.
        show: Whether to show progress bars on standard error.

    Raises:
        ValueError: The data are wrong, or too many clips could not be used.
    """
    stand_in = data.is_dir()
    table, unfilmed = data, {}
    if stand_in:
        takes = read_takes(data / KEYPOINTS_FILE, plan.filming, seed=seed)
        output.mkdir(parents=True, exist_ok=True)
        size = plan.rendering.size
        table, unfilmed = film_takes(
            takes, output / "films", filming=plan.filming, size=size, seed=seed, workers=workers, show=show
        )
    clips = read_labelled(table, seed=seed)
    output.mkdir(parents=True, exist_ok=True)
    looked = look_at(clips, output / "clips", plan.rendering, plan.training, workers=workers, show=show)
    if not looked.parts:
        raise ValueError(f"{table}: no clip could be used, the first because: {next(iter(looked.failed.values()))}")
    clips = tuple(clip for clip in clips if clip.name in looked.parts)
    check_disjoint(clips, table)
    shots = plan_shots(clips, output / "clips", plan.rendering, seed=seed)
    rendered = render_shots(
        shots,
        output / "renders",
        plan.rendering,
        plan.training,
        consent=consent,
        seed=seed,
        workers=workers,
        show=show,
    )
    for group in GROUPS:
        if not any(shot.group == group for name, shot in shots.items() if name in rendered.parts):
            why = next(reason for name, reason in rendered.failed.items() if shots[name].group == group)
            raise ValueError(f"{table}: no {group} clip could be rendered, the first because: {why}")
    usable = {name: shot for name, shot in shots.items() if name in rendered.parts}
    return _sort(clips, usable, output, gate, stand_in, {**unfilmed, **looked.failed, **rendered.failed})


def _sort(
    clips: tuple[LabelledClip, ...],
    shots: Mapping[str, Shot],
    output: Path,
    gate: Gate,
    stand_in: bool,
    failed: Mapping[str, str],
) -> Pool:
    by_name = {clip.name: clip for clip in clips}
    renders: dict[str, dict[tuple[int, str], Sample]] = {}
    for name, shot in shots.items():
        clip, folder = by_name[shot.clip.name], output / "renders" / "parts" / name
        found = folder / "found.pose"
        renders.setdefault(shot.group, {})[shot.variant, clip.name] = Sample(
            clip=clip.name,
            view=folder / "view.npy",
            poses=found if found.exists() else None,
            gloss=clip.gloss,
            signer=clip.signer,
            variant=shot.variant,
            kept=not reasons_against(folder, gate),
            content=digest(folder / "view.npy", found),
        )

    def ordered(group: str) -> tuple[Sample, ...]:
        return tuple(sample for _, sample in sorted(renders.get(group, {}).items()))

    def given(split: str) -> tuple[Sample, ...]:
        chosen = sorted((clip for clip in clips if clip.split == split), key=lambda clip: clip.name)
        samples = []
        for clip in chosen:
            folder = output / "clips" / "parts" / clip.name
            view, poses = folder / "view.npy", folder / "poses.pose"
            samples.append(Sample(clip.name, view, poses, clip.gloss, clip.signer, content=digest(view, poses)))
        return tuple(samples)

    return Pool(
        stand_in=stand_in,
        real=given("train"),
        synthetic=ordered("synthetic"),
        round_trip=ordered("round-trip"),
        test=given("test"),
        synthetic_test=ordered("synthetic-test"),
        failed=failed,
    )


def digest(*files: Path) -> str:
    """What files hold, as a few letters; one that is missing holds nothing."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()[:16]
