"""The loop: a driving pose becomes a video, the video is read back, and what survived is measured."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from gen.renderers import RENDERERS
from gen.renderers.base import Renderer, SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER
from pipelines.environment import fingerprint, machine, package_versions, peak_memory_mib
from pipelines.inputs import check_frame_rate
from pipelines.measures.pose import measure_fidelity
from pipelines.measures.reading import error_rate
from pipelines.output import ClipFacts, LoopReport, Model, SignerFacts, to_json
from pipelines.progress import Stages
from pipelines.recognize import find_poses
from pipelines.render import describe_render, render_video
from pipelines.renderer_version import renderer_version
from pipelines.report import write_page
from poses.draw import draw_poses
from poses.estimators import Estimator
from poses.files import new_directory
from poses.io import save_poses
from poses.sequence import PoseSequence
from poses.video import read_frames, write_video
from recognizer.reading import Recognizer, read_glosses

PRESET = "videox-fun"
"""How the skeletons in the videos are drawn: of the presets, the one that is easiest to see at 256 pixels."""

LABEL_HEIGHT_PX = 24


def run_loop(
    driving: PoseSequence | str | Path,
    output: str | Path,
    *,
    renderer: Renderer,
    recognizer: Recognizer,
    estimator: Estimator,
    signer: SignerPicture | None = None,
    height: int = 256,
    width: int = 256,
    num_inference_steps: int | None = None,
    seed: int = 0,
    stages: Stages | None = None,
) -> LoopReport:
    """Renders a clip, reads the video back, compares, and writes all of it into a new directory.

    The directory holds `control.mp4` (the driving skeleton), `render.mp4`, `reextracted.mp4` (the skeleton found in
    the render), `comparison.mp4` (the three side by side), both poses in the rendered frame as `driving.npz` and
    `reextracted.npz`, `report.json` and the page `index.html`.

    Args:
        driving: What is signed: poses, a file of them, or a video to find them in.
        output: The directory; it appears when everything is in it.
        renderer: Who draws.
        recognizer: Who reads, both the driving pose and the re-extracted one.
        estimator: Who finds the pose in the render.
        signer: Whose picture it is; None for the renderer's built-in signer.
        height: Pixels.
        width: Pixels.
        num_inference_steps: Denoising steps; None for the renderer's own default.
        seed: Of the renderer's noise.
        stages: Times the work; give one that has already timed the loading to have it in the report.

    Raises:
        ValueError: A wrong argument, a clip slower than 5 or faster than 120 frames a second, a video without a person
            in it, or `output` holds something.
    """
    stages = stages or Stages()
    with new_directory(output) as directory:
        if not isinstance(driving, PoseSequence):
            driving = find_poses(Path(driving), estimator, stages)
        check_frame_rate(driving.source, driving.fps)
        placement = render_video(
            driving,
            directory / "render.mp4",
            renderer=renderer,
            signer=signer,
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            seed=seed,
            stages=stages,
        )
        placed = placement(driving)

        with stages.stage("re-extract", len(driving)) as track:
            reextracted = reextract_poses(track(read_frames(directory / "render.mp4")), placed, estimator)

        with stages.stage("recognize"):
            driving_reading, render_reading = read_glosses([driving, reextracted], recognizer)

        with stages.stage("draw", 3 * len(driving)) as track:
            for poses, name in ((placed, "control.mp4"), (reextracted, "reextracted.mp4")):
                frames = draw_poses(poses, PRESET, height=height, width=width)
                write_video(directory / name, track(frames), fps=driving.fps)
            write_video(
                directory / "comparison.mp4",
                track(side_by_side(directory)),
                fps=driving.fps,
                comment=describe_render(signer),
            )
            save_poses(placed, directory / "driving.npz")
            save_poses(reextracted, directory / "reextracted.npz")

        report = LoopReport(
            signloop=version("signloop"),
            input=ClipFacts(
                Path(driving.source).name, driving.language, len(driving), driving.fps, driving.width, driving.height
            ),
            signer=_facts_of(signer, renderer),
            placement=placement,
            known_glosses=recognizer.model.config.glosses[1:],  # the first is the blank
            reference_glosses=driving.glosses,
            driving_reading=driving_reading,
            render_reading=render_reading,
            driving_wer=error_rate(driving.glosses, driving_reading.glosses),
            render_wer=error_rate(driving.glosses, render_reading.glosses),
            render_against_driving_wer=error_rate(driving_reading.glosses, render_reading.glosses),
            fidelity=measure_fidelity(placed, reextracted, estimator=estimator.version),
            models={
                "renderer": Model(renderer.name, renderer_version(renderer)),
                "recognizer": Model(type(recognizer.model).__name__, fingerprint(recognizer.model)),
                "estimator": Model(estimator.name, estimator.version),
            },
            packages=package_versions(),
            num_inference_steps=renderer.default_num_inference_steps
            if num_inference_steps is None
            else num_inference_steps,
            seed=seed,
            seconds={name: round(seconds, 3) for name, seconds in stages.seconds.items()},
            total_seconds=round(stages.total_seconds, 3),
            render_frames_per_second=round(len(driving) / stages.seconds["render"], 2),
            total_frames_per_second=round(len(driving) / stages.total_seconds, 2),
            peak_memory_mib=round(peak_memory_mib(), 1),
            machine=machine(),
        )
        (directory / "report.json").write_text(to_json(report) + "\n", encoding="utf-8")
        write_page(report, directory / "index.html")
    return report


def reextract_poses(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]], placed: PoseSequence, estimator: Estimator
) -> PoseSequence:
    """Estimates the pose in a render. Where nobody can be found, nothing was seen: that is a finding, not an error.

    Args:
        frames: The render's.
        placed: The pose that it was rendered from, for frame rate and size.
        estimator: Who looks.
    """
    estimator.reset()
    keypoints, confidence = zip(*map(estimator.estimate, frames), strict=True)
    return replace(
        placed, keypoints=np.stack(keypoints), confidence=np.stack(confidence), source=f"render of {placed.source}"
    )


def side_by_side(directory: Path) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Puts control, render and re-extracted skeleton next to each other under their names."""
    panels = {"driving pose": "control.mp4", "render": "render.mp4", "found in the render": "reextracted.mp4"}
    videos = [read_frames(directory / name) for name in panels.values()]
    strip = None
    for frames in zip(*videos, strict=True):
        if strip is None:
            strip = np.hstack([_label(text, frame.shape[1]) for text, frame in zip(panels, frames, strict=True)])
        yield np.vstack([strip, np.hstack(frames)])


def _label(text: str, width: int) -> UInt8[np.ndarray, "height width 3"]:
    strip = Image.new("RGB", (width, LABEL_HEIGHT_PX), (18, 20, 26))
    font = ImageFont.load_default(size=13)
    ImageDraw.Draw(strip).text((width / 2, LABEL_HEIGHT_PX / 2), text, fill=(232, 234, 240), font=font, anchor="mm")
    return np.asarray(strip)


def _facts_of(signer: SignerPicture | None, renderer: Renderer) -> SignerFacts:
    """Who signs: of renderers that are not ours, what they draw without a picture has no name."""
    if signer is not None:
        return SignerFacts(signer.name, signer.consent)
    return SignerFacts(DEFAULT_SIGNER if renderer.name in RENDERERS else "", "built-in")
