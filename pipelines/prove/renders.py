"""What is made of every labelled clip: the poses found in it, and its renders by other signers and by its own.

Two bulk jobs. `look_at` looks at the videos as they are: what the network will see of them, and their poses.
`render_shots` renders training clips by synthetic signers who sign nothing else (`synthetic`), by their own signer,
taken from their own video (`round-trip`), and test clips by further synthetic signers (`synthetic-test`), and measures
every render as `signloop augment` does, so that its gate can be applied afterwards.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from gen.renderers.base import SignerPicture
from gen.renderers.pictures import fit_picture
from pipelines.augment import load_renderer
from pipelines.bulk import BulkResult, Part, Tell, item_seed, run_bulk
from pipelines.candidates import measure_render, write_json
from pipelines.evaluate import load_judges
from pipelines.gate import Figures, Gate
from pipelines.pairs import Pair
from pipelines.progress import Stages
from pipelines.prove.clips import LabelledClip
from pipelines.prove.plan import Rendering, Training
from pipelines.prove.stand_in import SignerName, synthetic_picture
from pipelines.render import render_video
from pipelines.renderer_version import renderer_version
from poses.estimators import extract_poses
from poses.files import read_json
from poses.io import load_poses, save_poses
from poses.keypoints import index
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info, read_picture
from recognizer.video_frames import see_signer

MAX_FRAMES = 600
"""Of a clip: it is one sign."""

SECONDS = "seconds"
"""Among the figures of a render: how long it took to render."""

GROUPS = ("synthetic", "round-trip", "synthetic-test")


@dataclass(frozen=True)
class Shot:
    """A render to be made.

    Attributes:
        clip: The folder that `look_at` made of the clip.
        group: One of `GROUPS`.
        signer: Who signs instead; None for the clip's own signer.
        variant: Tells several renders of one clip by one group apart.
    """

    clip: Path
    group: str
    signer: SignerName | None
    variant: int = 0


def look_at(
    clips: Sequence[LabelledClip], output: Path, rendering: Rendering, training: Training, *, workers: int, show: bool
) -> BulkResult:
    """Looks at all clips as a bulk job; see `look_at_clip`."""
    settings = {
        "command": "prove look",
        "estimator": rendering.estimator,
        "num_frames": training.num_frames,
        "image_size": training.image_size,
    }
    work = partial(look_at_clip, estimator=rendering.estimator, training=training)
    items = {clip.name: clip for clip in clips}
    return run_bulk(
        work, items, output, settings=settings, workers=workers, unit=" clips", show=show, refusal=ValueError
    )


def look_at_clip(
    clip: LabelledClip, folder: Path, *, seed: int, tell: Tell, estimator: str, training: Training
) -> Part:
    """Keeps what the network sees (`view.npy`) and `poses.pose`; for the round trip also `found.pose` and `still.png`.

    Raises:
        ValueError: The video cannot be read, is too long, shows nobody, or its poses are no poses of it.
    """
    info = read_info(clip.video)
    frames = []
    for frame in read_frames(clip.video):
        frames.append(frame)
        if len(frames) > MAX_FRAMES:
            raise ValueError(f"{clip.video}: must hold one sign, of at most {MAX_FRAMES} frames.")
    found = None
    if clip.poses is None or clip.split == "train":
        judge = load_judges(estimator).estimator
        found = extract_poses(frames, fps=info.fps, estimator=judge, source=clip.video.name)
        save_poses(found, folder / "found.pose")
        Image.fromarray(frames[calmest_frame(found)]).save(folder / "still.png")
    poses = found if clip.poses is None else load_poses(clip.poses)
    assert poses is not None, "poses were found where none are given"
    if len(poses) != len(frames):
        raise ValueError(f"{clip.poses}: must hold a pose for each of the video's {len(frames)} frames, {len(poses)}.")
    save_poses(poses, folder / "poses.pose")
    np.save(folder / "view.npy", see_signer(frames, poses, training.num_frames, training.image_size))
    tell(1)
    return Part(1, 1)


def calmest_frame(poses: PoseSequence) -> int:
    """The frame in which the hands are lowest, the nearest to a picture of the signer at rest."""
    wrists = index("right_wrist", "left_wrist")
    seen = poses.confidence[:, wrists] > 0
    heights = np.where(seen, poses.keypoints[:, wrists, 1], 1.0)
    shown = poses.confidence[:, index("neck")] > 0
    return int(np.argmax(np.where(shown, heights.sum(axis=1), -np.inf)))


def plan_shots(clips: Sequence[LabelledClip], looked: Path, rendering: Rendering, *, seed: int) -> dict[str, Shot]:
    """Which renders there are, by name, those of a signer one after another.

    As far as there are training clips, each synthetic signer signs every gloss once a variant: who signs tells nothing
    of what is signed.
    """
    test = [clip.name for clip in clips if clip.split == "test"]
    count = min(rendering.test_renders or len(test), len(test))
    rendered = {test[number * len(test) // count] for number in range(count)}
    shifts = np.random.default_rng(item_seed(seed, "synthetic")).permutation(rendering.signers)[: rendering.variants]
    places: Counter[str] = Counter()
    shots = {}
    for clip in clips:
        folder = looked / "parts" / clip.name
        if clip.split == "train":
            shots[f"round-trip-{clip.name}"] = Shot(folder, "round-trip", None)
            for variant, shift in enumerate(shifts):
                signer = SignerName("synthetic", int(places[clip.gloss] + shift) % rendering.signers)
                shots[f"{signer}-{clip.name}"] = Shot(folder, "synthetic", signer, variant)
            places[clip.gloss] += 1
        elif clip.name in rendered:
            number = np.random.default_rng(item_seed(seed, clip.name)).integers(rendering.signers)
            signer = SignerName("synthetic-test", int(number))
            shots[f"{signer}-{clip.name}"] = Shot(folder, "synthetic-test", signer)
    return shots


def render_shots(
    shots: Mapping[str, Shot],
    output: Path,
    rendering: Rendering,
    training: Training,
    *,
    consent: str,
    seed: int,
    workers: int,
    show: bool,
) -> BulkResult:
    """Renders and measures all shots as a bulk job; see `render_shot`.

    Args:
        shots: By name.
        output: The job's folder.
        rendering: How they are made.
        training: What the network sees of them.
        consent: Why the clips' own signers may be shown.
        seed: Of the renderer's noise.
        workers: Processes.
        show: Whether to show a progress bar on standard error.
    """
    settings = {
        "command": "prove render",
        "renderer": rendering.renderer,
        "estimator": rendering.estimator,
        "size": rendering.size,
        "renderer_version": renderer_version(load_renderer(rendering.renderer)),
        "consent": consent,
        "num_frames": training.num_frames,
        "image_size": training.image_size,
    }
    work = partial(render_shot, rendering=rendering, training=training, consent=consent)
    return run_bulk(
        work,
        shots,
        output,
        settings=settings,
        workers=workers,
        seed=seed,
        unit=" renders",
        show=show,
        refusal=ValueError,
    )


def render_shot(
    shot: Shot, folder: Path, *, seed: int, tell: Tell, rendering: Rendering, training: Training, consent: str
) -> Part:
    """Leaves what the network sees of a render (`view.npy`), the poses found in it (`found.pose`), and `figures.json`.

    Raises:
        ValueError: Nobody can be placed over the signer in the picture.
    """
    size = rendering.size
    driving, picture = _driving_and_picture(shot, consent, size)
    video = folder / "video.mp4"
    stages = Stages()
    placement = render_video(
        driving,
        video,
        renderer=load_renderer(rendering.renderer),
        signer=picture,
        height=size,
        width=size,
        seed=seed % 2**31,
        stages=stages,
    )
    placed = placement(driving)
    save_poses(placed, folder / "poses.pose")
    image = folder / "signer.png"
    Image.fromarray(fit_picture(picture, size, size).image).save(image)
    judges = load_judges(rendering.estimator)
    pair = Pair(folder.name, folder / "poses.pose", video, image=image)
    figures, found = measure_render(pair, placed, (), judges, Gate())
    write_json(folder / "figures.json", {**figures, SECONDS: stages.seconds["render"]})
    if found.shoulder_width_px() > 0:
        save_poses(found, folder / "found.pose")
    frames = list(read_frames(video))
    np.save(folder / "view.npy", see_signer(frames, placed, training.num_frames, training.image_size))
    tell(1)
    return Part(1, 1)


def reasons_against(folder: Path, gate: Gate) -> list[str]:
    """What the gate has against a render; nothing where it passes."""
    figures: Figures = read_json(folder / "figures.json")
    return gate.reasons(figures)


def _driving_and_picture(shot: Shot, consent: str, size: int) -> tuple[PoseSequence, SignerPicture]:
    if shot.signer is not None:
        return load_poses(shot.clip / "poses.pose"), synthetic_picture(shot.signer, size)
    found = load_poses(shot.clip / "found.pose")
    still = calmest_frame(found)
    return found, SignerPicture(read_picture(shot.clip / "still.png"), found[still : still + 1], "own signer", consent)
