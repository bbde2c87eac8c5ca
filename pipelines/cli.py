"""The command line: one function per command, each a thin wire to the pipelines.

A command returns two things: what `--json` prints, and what a person reads instead. Everything heavy is imported inside
the commands, so that `--help` is quick.
"""

import functools
import gc
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, auto_cli, set_parsing_settings

from pipelines.corpus import COMMANDS as CORPUS_COMMANDS
from pipelines.gate import Gate
from pipelines.prove.command import prove
from pipelines.variation_limits import Variation

Result = tuple[dict[str, Any], str] | tuple[dict[str, Any], str, int]
"""What `--json` prints, what a person reads instead, and the exit status where it is not 0."""

VARIATION, GATE = Variation(), Gate()

DESCRIPTION = "Renders signers from sign-language poses, reads the result back, and measures what survived."
EPILOG = "Every command takes --json: one JSON object on standard output, all else on standard error."

PRESETS = Path(__file__).resolve().parent.parent / "configs"
"""Where `--config NAME` looks for `NAME.yaml`."""


def spell(word: str, output: Path, *, language: str = "ase", fps: float = 24.0, overwrite: bool = False) -> Result:
    """Writes the pose clip of a fingerspelled word, put together from real letters.

    Args:
        word: Letters, such as HELLO.
        output: A SignVerse-2M file (.npz) or a .pose file.
        language: ISO 639-3 code of the sign language, such as ase (American) or gsg (German).
        fps: Frames per second.
        overwrite: Replace the file if it is there.
    """
    from poses.fingerspelling import spell as spell_word
    from poses.io import save_poses

    poses = spell_word(word, language, fps=fps)
    save_poses(poses, output, overwrite=overwrite)
    return _written(output, poses, glosses=[span.gloss for span in poses.glosses])


def draw(
    poses: Path,
    output: Path,
    *,
    preset: str = "mimicmotion",
    height: int | None = None,
    width: int | None = None,
    overwrite: bool = False,
) -> Result:
    """Draws a pose clip as the control video that video models are conditioned on.

    Args:
        poses: A pose file.
        output: An .mp4 or .gif file.
        preset: How skeletons are drawn, after the model that expects them: mimicmotion, controlnet-aux, stableanimator,
            signverse-controlnext, signverse-openpose, videox-fun, vace-pose, wan-animate, unianimate-dit, one-to-all
            or musepose.
        height: Pixels; the clip's own by default.
        width: Pixels; the clip's own by default.
        overwrite: Replace the file if it is there.
    """
    from pipelines.progress import Stages
    from poses.draw import draw_poses
    from poses.io import load_poses
    from poses.video import write_video

    clip = load_poses(poses)
    with Stages(show=True).stage("draw", len(clip)) as track:
        height, width = clip.height if height is None else height, clip.width if width is None else width
        frames = draw_poses(clip, preset, height=height, width=width)
        write_video(output, track(frames), fps=clip.fps, overwrite=overwrite)
    return _written(output, clip)


def convert(
    input: Path,
    output: Path,
    *,
    format: str | None = None,
    retarget: Path | None = None,
    smooth: bool = False,
    fill_gaps: float = 0.0,
    fps: float | None = None,
    source_fps: float | None = None,
    width: int | None = None,
    height: int | None = None,
    overwrite: bool = False,
) -> Result:
    """Converts a pose clip into another format, and says what was lost; docs/formats.md lists what each can hold.

    Args:
        input: A pose file, or a folder of one file a frame.
        output: A file, or a folder for openpose.
        format: signverse (default for .npz), pose (default for .pose), openpose, coco-wholebody, holistic, multi-vsl
            or signx.
        retarget: A pose file of the signer whose proportions to take.
        smooth: Filter jitter, of hands least.
        fill_gaps: Milliseconds up to which points that were lost are filled in, with less confidence.
        fps: Frames per second to resample to.
        source_fps: Frames per second of the input, if it does not state them.
        width: Frame width of the input in pixels, if it does not state it.
        height: Frame height of the input in pixels, if it does not state it.
        overwrite: Replace the file if it is there.
    """
    from pipelines.convert import convert_poses, summary
    from pipelines.progress import Stages
    from poses.bounds import check_at_least
    from poses.io import load_poses

    check_at_least(0, fill_gaps=fill_gaps)
    stages = Stages(show=True)
    with stages.stage("read"):
        poses = load_poses(input, fps=source_fps, width=width, height=height)
        reference = load_poses(retarget) if retarget else None
    conversion = convert_poses(
        poses,
        output,
        format=format,
        reference=reference,
        smoothed=smooth,
        longest_gap_s=fill_gaps / 1000,
        fps=fps,
        overwrite=overwrite,
        stages=stages,
    )
    return conversion.facts(), summary(conversion)


def extract(
    video: Path, output: Path, *, estimator: str = "mediapipe", workers: int = 1, overwrite: bool = False
) -> Result:
    """Estimates the signer's poses in a video, or in all videos of a folder, on several processes.

    Args:
        video: A video file, or a folder of them; that of a folder, killed, goes on when it is started again.
        output: A SignVerse-2M file (.npz) or a .pose file; for a folder of videos, a folder, whose poses/ has them.
        estimator: mediapipe and video2pose work offline; dwpose and openpose fetch their weights when first used;
            video2pose=FOLDER is one that you trained.
        workers: Processes, for a folder of videos.
        overwrite: Replace the file if it is there.
    """
    if video.is_dir():
        return _extract_all(video, output, estimator=estimator, workers=workers, overwrite=overwrite)
    if workers != 1:
        raise ValueError(f"`workers` must be 1 for one video, whose frames follow each other, got {workers}.")
    from pipelines.estimators import create_estimator
    from pipelines.inputs import extract_from_video
    from pipelines.progress import Stages
    from poses.io import check_output, save_poses

    check_output(output, overwrite=overwrite)
    poses = extract_from_video(video, create_estimator(estimator), Stages(show=True))
    save_poses(poses, output, overwrite=overwrite)
    return _written(output, poses, estimator=estimator)


def _extract_all(videos: Path, output: Path, *, estimator: str, workers: int, overwrite: bool) -> Result:
    if overwrite:
        raise ValueError(f"{videos}: `overwrite` is for one video; poses of a folder's videos go on where they were.")
    from pipelines.extraction import run_extraction

    result = run_extraction(videos, output, estimator=estimator, workers=workers, show=True)
    facts = {"output": str(output / "poses"), "num_out": result.num_out, "failed": dict(result.failed)}
    lines = [f"{output / 'poses'}: poses of {result.num_out} videos of {result.num_in}."]
    return facts, "\n".join([*lines, *result.failed.values()])


def tracks(
    video: Path,
    output: Path,
    *,
    tracks: list[str] | None = None,
    smplerx: Path | None = None,
    fps: float = 24.0,
    estimator: str = "mediapipe",
    overwrite: bool = False,
) -> Result:
    """Makes SignX's pose tracks of a video, for `signloop train pose2gloss`.

    Args:
        video: A video file of one signer.
        output: An .npz file.
        tracks: dwpose, mediapipe_pose, primedepth_depth, sapiens_segmentation; the first two by default. The others
            fetch weights when first used.
        smplerx: The output folder of SMPLer-X for this video, for the track smplerx.
        fps: Frames per second of the tracks: 24 as of letters, 12 as of what signers tracks makes.
        estimator: Who finds the poses of the track dwpose.
        overwrite: Replace the file if it is there.
    """
    from pipelines.estimators import create_estimator
    from pipelines.progress import Stages
    from pipelines.video_tracks import extract_tracks
    from poses.files import new_file
    from recognizer.track_clips import save_tracks
    from recognizer.tracks import split_tracks

    if output.suffix != ".npz":
        raise ValueError(f"{output}: must end in .npz.")
    with new_file(output, overwrite=overwrite) as aside:
        chosen = ["dwpose", "mediapipe_pose"] if tracks is None else tracks
        found = extract_tracks(
            video, chosen, estimator=create_estimator(estimator), smplerx=smplerx, fps=fps, stages=Stages(show=True)
        )
        save_tracks(found, aside)
    names = list(split_tracks(found))
    facts = {"output": str(output), "num_frames": len(found), "tracks": names}
    return facts, f"{output}: {len(found)} frames of {', '.join(names)}."


def render(
    poses: Path,
    output: Path,
    *,
    image: str | None = None,
    consent: str | None = None,
    keep: Path | None = None,
    renderer: str = "signer-small",
    steps: int | None = None,
    guidance: dict[str, float] | None = None,
    seed: int = 0,
    height: int = 256,
    width: int = 256,
    overwrite: bool = False,
) -> Result:
    """Renders a pose clip as a signer's video.

    Args:
        poses: A pose file.
        output: An .mp4 file.
        image: A picture of the signer to show, or the name of a built-in synthetic one, such as alex, the default.
        consent: Who is in a picture of your own: self, written (somebody who agreed in writing), synthetic or
            public-domain. It is recorded in what is written.
        keep: A mask as large as the image, white where the image must stay as it is, such as over a logo or furniture.
            A hand that comes there is hidden behind it; in how many frames one does is said.
        renderer: signer-small is the diffusion model, avatar the fitted body drawn directly.
        steps: Denoising steps; the renderer's own number by default.
        guidance: How far to follow what the renderer goes by, such as --guidance.keypoints 1.5: 1 as in training, 0 not
            at all. There are geometry, control, keypoints, reference, background, previous, keep; each takes time.
        seed: Of the renderer's noise.
        height: Pixels.
        width: Pixels.
        overwrite: Replace the file if it is there.
    """
    from gen.renderers import create_renderer
    from pipelines.inputs import load_signer
    from pipelines.progress import Stages
    from pipelines.render import count_hidden, render_video
    from poses.io import load_poses

    stages = Stages(show=True)
    driving = load_poses(poses)
    with stages.stage("load"):
        signer = load_signer(image, consent=consent, keep=keep, height=height, width=width)
        loaded = create_renderer(renderer, guidance_scale=guidance)
    placement = render_video(
        driving,
        output,
        renderer=loaded,
        signer=signer,
        height=height,
        width=width,
        num_inference_steps=steps,
        seed=seed,
        overwrite=overwrite,
        stages=stages,
    )
    facts = {"renderer": renderer, "signer": image, "consent": consent, "seed": seed, "guidance": guidance or {}}
    facts["seconds"] = {name: round(value, 3) for name, value in stages.seconds.items()}
    if signer is None or signer.keep is None:
        return _written(output, driving, **facts)
    hidden = count_hidden(placement(driving), signer)
    said = f"A hand is hidden behind what is kept in {hidden} of {len(driving)} frames."
    return _written(output, driving, said, hands_hidden=hidden, **facts)


def inspect(path: Path, *, sheet: Path | None = None, overwrite: bool = False) -> Result:
    """Says what a pose file, a folder, a shard of SignVerse-2M or a store holds, and what had to be repaired.

    Args:
        path: A pose file, a video's folder, a shard (.tar) or a store.
        sheet: A .png file for a contact sheet of skeletons.
        overwrite: Replace the contact sheet if it is there.
    """
    from pipelines.inspect import inspect_poses, summary

    contents = inspect_poses(path, sheet=sheet, overwrite=overwrite)
    return {**contents.facts(), "sheet": str(sheet) if sheet else None}, summary(contents)


def recognize(
    input: Path,
    *,
    vocabulary: str = "letters",
    isolated: bool = False,
    language: str | None = None,
    recognizer: Path | None = None,
    output: Path | None = None,
    estimator: str = "mediapipe",
) -> Result:
    """Reads the glosses in a pose clip or a video.

    Args:
        input: A pose file or a video.
        vocabulary: letters reads continuous fingerspelling, words a clip of one sign.
        isolated: The clip shows one letter: say the likeliest five.
        language: Of the words, such as ase or ins, where the clip does not say: words of others are left out.
        recognizer: Folder of a recognizer that you trained, instead.
        output: A new directory for a page with the clip under its skeleton, reading.json and the poses.
        estimator: Who finds the poses in a video.
    """
    from pipelines.estimators import create_estimator
    from pipelines.progress import Stages
    from pipelines.recognize import check_language, find_poses, in_language, run_recognition
    from poses.io import is_video, load_poses
    from recognizer.reading import load_recognizer, read_glosses

    stages, judge = Stages(show=True), load_recognizer(recognizer, vocabulary=vocabulary, isolated=isolated)
    finder = create_estimator(estimator) if output or is_video(input) else None
    if output and finder:
        report = run_recognition(input, output, recognizer=judge, estimator=finder, language=language, stages=stages)
        reading, num_frames, fps = report.reading, report.input.num_frames, report.input.fps
    else:
        check_language(language, judge)
        poses = in_language(find_poses(input, finder, stages) if finder else load_poses(input), language)
        reading, num_frames, fps = read_glosses(poses, judge), len(poses), poses.fps
    lines = [f"{read.gloss}  {read.confidence:.2f}  frames {read.start} to {read.stop - 1}" for read in reading.glosses]
    lines = lines or [f"Nothing was read: {reading.reason}."]
    others = [f"{read.gloss} {read.confidence:.2f}" for read in reading.candidates[len(reading.glosses) :]]
    lines += [f"{'less likely' if reading.glosses else 'likeliest'}: {', '.join(others)}"] if others else []
    lines += [f"report  {output / 'index.html'}"] if output else []
    return {**asdict(reading), "num_frames": num_frames, "fps": fps}, "\n".join(lines)


def loop(
    input: Path,
    *,
    output: Path,
    image: str | None = None,
    consent: str | None = None,
    renderer: str = "signer-small",
    estimator: str = "mediapipe",
    steps: int | None = None,
    seed: int = 0,
    height: int = 256,
    width: int = 256,
) -> Result:
    """Renders a pose clip or a video, reads the render back, and reports what survived.

    Args:
        input: A pose file or a video.
        output: A new directory for the videos, report.json and index.html.
        image: A picture of the signer to show, or the name of a built-in synthetic one, such as alex, the default.
        consent: Who is in a picture of your own: self, written (somebody who agreed in writing), synthetic or
            public-domain. It is recorded in what is written.
        renderer: signer-small is the diffusion model, avatar the fitted body drawn directly.
        estimator: Who finds the poses, in a video that is given and in the render.
        steps: Denoising steps; the renderer's own number by default.
        seed: Of the renderer's noise.
        height: Pixels of the render.
        width: Pixels of the render.
    """
    from gen.renderers import create_renderer
    from pipelines.estimators import create_estimator
    from pipelines.inputs import load_signer
    from pipelines.loop import run_loop
    from pipelines.progress import Stages
    from poses.io import is_video, load_poses
    from recognizer.reading import load_recognizer

    stages = Stages(show=True)
    driving = input if is_video(input) else load_poses(input)
    with stages.stage("load"):
        loaded_estimator = create_estimator(estimator)
        signer = load_signer(image, consent=consent, height=height, width=width)
        loaded_renderer, recognizer = create_renderer(renderer), load_recognizer()
        gc.freeze()  # imageio collects garbage whenever it closes a video: spare it what was loaded
    report = run_loop(
        driving,
        output,
        renderer=loaded_renderer,
        recognizer=recognizer,
        estimator=loaded_estimator,
        signer=signer,
        height=height,
        width=width,
        num_inference_steps=steps,
        seed=seed,
        stages=stages,
    )
    return {"output": str(output), **asdict(report)}, _summary(report, output)


def evaluate(pairs: Path, *, output: Path, estimator: str = "mediapipe", workers: int = 1) -> Result:
    """Compares videos, whoever made them, with their driving poses, and writes one report of all.

    Stopped, it goes on where it was; with further clips, only those are measured.

    Args:
        pairs: A folder with NAME.npz (or NAME.pose) beside NAME.mp4, with or without the real video as
            NAME.reference.mp4 and the signer's picture as NAME.png, or with subfolders that `signloop loop` wrote; or a
            .csv table with the columns driving and video, and name, reference, control, image, glosses, language,
            signer where there are any.
        output: A folder for index.html, evaluation.json, clips.parquet and figures.parquet.
        estimator: Who finds the poses in the videos.
        workers: Processes.
    """
    from pipelines.evaluate import run_evaluation

    found = run_evaluation(pairs, output, estimator=estimator, workers=workers, show=True)
    figures = {figure.name: figure for figure in (*found.summary.figures, *found.summary.back_translation)}
    shown = ("pck_0.2/hands", "recall/hands", "ndtwp", "movement_ratio", "frozen_share")
    shown += ("wer/driving", "wer/video", "wer/video_against_driving")
    troubled, total = sum(bool(clip.problems) for clip in found.clips), len(found.clips) + len(found.failed)
    lines = [_figure_line(figures[name]) for name in shown if name in figures]
    lines += [
        f"{len(found.clips)} of {total} clips evaluated, "
        f"{troubled + len(found.failed)} of {total} with something wrong in the input",
        *(f"{name}: {reason}" for name, reason in found.failed.items()),
        *(f"{clip.name}: {problem}." for clip in found.clips for problem in clip.problems),
        f"report  {output / 'index.html'}",
    ]
    facts = {name: asdict(figure) for name, figure in figures.items()}
    counts = {"clips": len(found.clips), "failed": found.failed, "with_problems": troubled}
    return {"output": str(output), **counts, "figures": facts}, "\n".join(lines)


def _figure_line(figure: Any) -> str:
    if figure.value is None:
        return f"{figure.title:<46} could not be measured"
    interval = "" if figure.interval is None else "  [{:.3f}, {:.3f}]".format(*figure.interval)
    missing = f"  not measured on {figure.missing}" if figure.missing else ""
    return f"{figure.title:<46} {figure.value:.3f}{interval}{missing}"


def augment(
    poses: list[str],
    output: Path,
    *,
    signers: list[str] | None = None,
    variants: int = 1,
    candidates: int = 1,
    renderer: str = "signer-small",
    estimator: str = "mediapipe",
    format: str = "folder",
    keep_rejected: bool = False,
    steps: int | None = None,
    seed: int = 0,
    height: int = 256,
    width: int = 256,
    workers: int = 1,
    variation: Variation = VARIATION,
    gate: Gate = GATE,
) -> Result:
    """Makes a training set of generated videos from pose clips: varied, rendered, gated. Killed, it goes on.

    Args:
        poses: Pose files, folders of them (with a .csv of poses, glosses, caption, language), or stores.
        output: A new folder, or one that the same command began; the set is in its dataset/, and index.html shows it.
        signers: Built-in signers' names, or PICTURE=CONSENT with consent as for `signloop render`; all built-in ones
            by default.
        variants: How often each clip is shown by each signer.
        candidates: Renders of each, by different noise, of which the best that passes the gate is kept.
        renderer: signer-small is the diffusion model, avatar the fitted body drawn directly.
        estimator: Who finds the poses in the renders.
        format: folder, webdataset or datasets (Hugging Face).
        keep_rejected: Keep videos of rejected renders, to be watched.
        steps: Denoising steps; the renderer's own number by default.
        seed: Decides everything that is random.
        height: Pixels.
        width: Pixels.
        workers: Processes.
        variation: How far clips are varied.
        gate: What a render must reach to be kept.
    """
    from pipelines.augment import Plan, run_augmentation

    plan = Plan(renderer, estimator, height, width, steps, candidates, keep_rejected, variation, gate)
    result = run_augmentation(
        [Path(source) for source in poses],
        output,
        plan,
        signers=signers,
        variants=variants,
        format=format,
        seed=seed,
        workers=workers,
        show=True,
    )
    rejected = len(result.rejects) - len(result.failed)
    facts = {"output": str(output), "num_in": result.num_in, "num_out": result.num_out, "num_rejects": rejected}
    lines = [
        f"{output / 'dataset'}: {result.num_out} of {result.num_in} renders kept, {rejected} rejected; "
        "README.md there says why.",
        f"report  {output / 'index.html'}",
    ]
    lines += [f"{item}: {reason}" for item, reason in result.failed.items()]
    return {**facts, "failed": dict(result.failed)}, "\n".join(lines)


def rate_make(clips: Path, *, output: Path, raters: int = 3, catch: int = 2, seed: int = 0) -> Result:
    """Writes blind sheets on which people who sign rate clips, with catch trials among them.

    Args:
        clips: A folder with one subfolder of .mp4 files a system; clips of one name show the same item. NAME.txt beside
            a clip may hold its glosses.
        output: A new folder: for_raters/ to pass on, and key.csv to keep from them.
        raters: Sheets, each in an order of its own.
        catch: How many clips come twice, and how many are blurred beyond recognition.
        seed: Of what is random.
    """
    from pipelines.rating import make_sheets

    key = make_sheets(clips, output, raters=raters, catch=catch, seed=seed, show=True)
    text = f"{output}: {raters} sheets of {len(key)} clips in for_raters; key.csv is not for raters."
    return {"output": str(output), "clips": len(key), "raters": raters}, text


def rate_score(answers: Path, *, key: Path) -> Result:
    """Sums up filled-in rating sheets by system, without raters who failed the catch trials.

    Args:
        answers: A folder with the tables that raters sent back (.csv), or one of them.
        key: key.csv of the rating.
    """
    from pipelines.rating import score_sheets

    tables = sorted(answers.glob("*.csv")) if answers.is_dir() else [answers]
    if not tables:
        raise ValueError(f"{answers}: expected tables (.csv) that raters sent back, found none.")
    scores = score_sheets(key, tables)
    lines = []
    for system in scores.systems:
        means = ", ".join(
            f"{question} {'-' if mean is None else f'{mean:.2f}'}" for question, mean in system.means.items()
        )
        told = "" if system.identified is None else f"; {system.identified:.0%} wrote down what was signed"
        lines.append(f"{system.system}: {means} ({system.ratings} ratings{told})")
    lines += [f"left out: {rater} {reason}" for rater, reason in scores.left_out.items()]
    return asdict(scores), "\n".join(lines)


def doctor() -> Result:
    """Says what can run here, which files are missing and how to get them; exit status 1 if the default cannot."""
    from pipelines.doctor import diagnose, summary

    diagnosis = diagnose()
    return diagnosis.facts(), summary(diagnosis), 0 if diagnosis.healthy else 1


def _written(output: Path, poses: Any, said: str = "", **facts: Any) -> Result:
    frames = "1 frame" if len(poses) == 1 else f"{len(poses)} frames"
    text = f"{output}: {frames}, {poses.duration_s:.1f} s at {poses.fps:g} frames per second. {said}".rstrip()
    return {"output": str(output), "num_frames": len(poses), "fps": poses.fps, **facts}, text


def _summary(report: Any, output: Path) -> str:
    def glosses(items: Sequence[Any]) -> str:
        return " ".join(item.gloss for item in items) or "nothing"

    def percent(value: float | None) -> str:
        return "none" if value is None else f"{value:.0%}"

    parts = report.fidelity.parts
    lines = [f"signed           {glosses(report.reference_glosses)}"] if report.reference_glosses else []
    lines += [
        f"read from pose   {glosses(report.driving_reading.glosses)}" + _error_text(report.driving_wer),
        f"read from render {glosses(report.render_reading.glosses)}" + _error_text(report.render_wer),
        f"hands found      left {percent(parts['left_hand'].recall)}, right {percent(parts['right_hand'].recall)}",
        f"speed            {report.render_frames_per_second:.1f} frames per second rendered, "
        f"{report.total_seconds:.1f} s in all",
        f"report           {output / 'index.html'}",
    ]
    return "\n".join(lines)


def _error_text(errors: Any) -> str:
    return "" if errors is None else f"  (word error rate {errors.rate:.2f})"


def train_renderer(config: Any) -> Result:
    """Trains the renderer `signer-small` on clips that `signloop signers make` made."""
    from gen.train import train

    pipeline = train(config)
    return {"output": str(pipeline)}, f"{pipeline}: trained."


def train_recognizer(config: Any) -> Result:
    """Trains the recognizer on words put together from letters."""
    from recognizer.training import train

    train(config)
    return {"output": str(config.output_dir)}, f"{config.output_dir}: trained."


def train_isolated(config: Any) -> Result:
    """Teaches a recognizer of continuous signing to read clips of one letter."""
    from recognizer.isolated_letters import train_isolated as train

    train(config)
    return {"output": str(config.output_dir)}, f"{config.output_dir}: trained."


def train_words(config: Any) -> Result:
    """Trains a recognizer of isolated words on folders of pose files, each with a .csv of glosses."""
    from pipelines.word_corpus import read_word_clips
    from recognizer.word_training import train_words as train

    model = train(config, read_word_clips(config.data))
    glosses, temperature = model.config.glosses[1:], round(model.config.temperature, 3)
    facts = {"output": str(config.output_dir), "glosses": glosses, "temperature": temperature}
    return facts, f"{config.output_dir}: trained on {len(glosses)} glosses."


def train_pose2gloss(config: Any) -> Result:
    """Trains SignX's Pose2Gloss on words put together from letters, or on clips of pose tracks."""
    from recognizer.training_signx import train

    _, errors = train(config)
    read = "" if errors is None else f" Word error rate {errors.rate:.3f} on {errors.reference_length} glosses."
    facts = {"output": str(config.output_dir), "wer": errors and errors.rate}
    return facts, f"{config.output_dir}: trained.{read}"


def train_cslr(config: Any) -> Result:
    """Trains SignX's continuous recognition on the latents of a trained Pose2Gloss."""
    from recognizer.training_cslr import train

    _, errors = train(config)
    read = "" if errors is None else f" Word error rate {errors.rate:.3f} on {errors.reference_length} glosses."
    facts = {"output": str(config.output_dir), "wer": errors and errors.rate}
    return facts, f"{config.output_dir}: trained.{read}"


def train_video2pose(config: Any) -> Result:
    """Trains SignX's Video2Pose on films of synthetic signers, which `signloop signers make` makes."""
    from recognizer.training_video2pose import train

    _, seen = train(config)
    told = "" if seen is None else f" Right within 0.2 shoulder widths: body {seen.body:.3f}, hands {seen.hands:.3f}."
    return {"output": str(config.output_dir)} | (asdict(seen) if seen else {}), f"{config.output_dir}: trained.{told}"


def make_signers(config: Any) -> Result:
    """Renders synthetic signers, the renderer's training data."""
    from gen.data import condition_clip
    from gen.signers.make import make_signers as make

    make(config, condition_clip)
    return {"output": str(config.output)}, f"{config.output}: made."


def prepare_signers(config: Any) -> Result:
    """Fits clips anew where what the renderer is told of them is missing, such as after `rm DATA/*/*/maps.npy`."""
    from gen.data import prepare_clips

    count = prepare_clips(config)
    return {"data": str(config.data), "clips": count}, f"{config.data}: {count} clips prepared."


def film_signer(config: Any) -> Result:
    """Cuts films of one signer into clips with poses, which `signloop train renderer` learns that signer from."""
    from pipelines.filmed_signer import film_signer as film

    counts = film(config)
    found = ", ".join(f"{count} for {split}" for split, count in counts.items())
    return {"output": str(config.output), **counts}, f"{config.output}: clips: {found}."


def make_tracks(config: Any) -> Result:
    """Makes clips of all five pose tracks, of synthetic signers, which `signloop train pose2gloss` learns from."""
    from pipelines.synthetic_tracks import make_tracks as make

    made = make(config)
    return {"output": str(config.output), "clips": made.num_out}, f"{config.output}: {made.num_out} clips."


COMMANDS = {
    "spell": spell,
    "draw": draw,
    "convert": convert,
    "extract": extract,
    "tracks": tracks,
    "inspect": inspect,
    "render": render,
    "recognize": recognize,
    "loop": loop,
    "evaluate": evaluate,
    "augment": augment,
    "prove": prove,
    "doctor": doctor,
}

RATE_COMMANDS = {"make": rate_make, "score": rate_score}

GROUPS = {
    "rate": "Asks people who sign what they make of clips.",
    "train": "Trains the renderer or a recognizer.",
    "signers": "Makes synthetic signers, and clips of a filmed one.",
    "corpus": "Reads SignVerse-2M: plans downloads, converts shards into a store, says what is in it, splits it.",
}

CONFIGURED: dict[tuple[str, str], tuple[str, str, Callable[..., Result]]] = {
    ("train", "renderer"): ("gen.train_config", "RendererTrainConfig", train_renderer),
    ("train", "recognizer"): ("recognizer.training", "TrainConfig", train_recognizer),
    ("train", "isolated"): ("recognizer.isolated_letters", "IsolatedTrainConfig", train_isolated),
    ("train", "words"): ("recognizer.word_training", "WordTrainConfig", train_words),
    ("train", "pose2gloss"): ("recognizer.training_signx", "Pose2GlossTrainConfig", train_pose2gloss),
    ("train", "cslr"): ("recognizer.training_cslr", "CSLRTrainConfig", train_cslr),
    ("train", "video2pose"): ("recognizer.training_video2pose", "Video2PoseTrainConfig", train_video2pose),
    ("signers", "make"): ("gen.signers.make", "MakeConfig", make_signers),
    ("signers", "prepare"): ("gen.data", "PrepareConfig", prepare_signers),
    ("signers", "film"): ("pipelines.filmed_signer", "FilmConfig", film_signer),
    ("signers", "tracks"): ("pipelines.synthetic_tracks", "SyntheticTracksConfig", make_tracks),
}
"""Commands whose options are the fields of a configuration: its module and name, and what runs with it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status: 0, 2 for wrong input, 130 for Ctrl-C, 141 where nobody reads on.

    Raises:
        SystemExit: `argparse` has said its own, or a command has found something wrong.
    """
    _open_closed()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where what is left goes at the end
        return 141


def _open_closed() -> None:
    """Sends to nowhere what goes to a closed stream, as after `>&-`, lest a file that is opened take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))


def _run(args: list[str]) -> int:
    if odd := next((arg for arg in args if arg.encode(errors="replace").decode() != arg), None):
        return _refuse(f"{odd!r}: must be UTF-8, as names of files must be, too.")
    as_json = "--json" in args
    args = _resolve_presets([_underscored(arg) for arg in args if arg != "--json"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are cleared away then, too
    try:
        for before, arg in pairwise(args):
            if before == "--config" and Path(arg).is_file():
                _check_config(Path(arg))
        set_parsing_settings(add_print_completion_argument=True)
        config = auto_cli(
            _commands(args, as_json),
            args,
            parser_class=_Parser,
            return_instance=True,  # a configuration's methods are no commands
            prog="signloop",
            description=DESCRIPTION,
            version=version("signloop"),
        )
        for _, name, run in CONFIGURED.values():
            if type(config).__name__ == name:
                _printing(run, as_json)(config)
    except ValueError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    except KeyboardInterrupt:
        print("signloop: interrupted.", file=sys.stderr)
        return 130
    return 0


def _commands(args: list[str], as_json: bool) -> dict[str, Any]:
    """What `auto_cli` chooses from, by name: only what `args` begin with, where there is such a command.

    A parser of all takes longer to make than most commands to run, and configurations come with torch.
    """
    commands: dict[str, Any] = COMMANDS | {group: {"_help": text} for group, text in GROUPS.items()}
    commands["corpus"] |= CORPUS_COMMANDS
    commands["rate"] |= RATE_COMMANDS
    if args and args[0] in commands:
        commands = {args[0]: commands[args[0]]}
        if args[0] in GROUPS:
            commands[args[0]] |= _configurations(*args[:2])

    def printing(command: Any) -> Any:
        if isinstance(command, dict):
            return {name: printing(member) for name, member in command.items()}
        return command if isinstance(command, str | type) else _printing(command, as_json)

    return printing(commands)


def _configurations(group: str, command: str = "") -> dict[str, type]:
    """The configuration class of a command, or those of all commands of its group where it has none of that name."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    of_group = {name: place for (of, name), place in CONFIGURED.items() if of == group}
    if command in of_group:
        of_group = {command: of_group[command]}
    return {name: getattr(import_module(module), found) for name, (module, found, _) in of_group.items()}


class _Parser(ArgumentParser):
    """Switches need no value, lists of words no brackets, and what is wrong is said in one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("epilog", EPILOG)
        super().__init__(*args, **kwargs)

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("type") is bool and kwargs.get("default") is False:
            del kwargs["type"]
            kwargs["action"] = "store_true"
        elif getattr(kwargs.get("action"), "_typehint", None) in (list[str], list[str] | None):
            del kwargs["action"]
            kwargs |= {"type": str, "nargs": "+"}
        return super().add_argument(*args, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        return re.sub(r"<class\s+'Path'>", "path", super().format_help(*args, **kwargs))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sys.exit(_refuse(f"{_in_words(message)} (see `{self.prog.replace('[options] ', '')} --help`)"))


_WRONG_VALUE = re.compile(
    r"""Parser key "([\w.]+)":\s+(?:Expected a <class '(\w+)'>\. Got|Does not validate .*?"""
    r"""Subtypes: \[<class '(\w+)'>, <class 'NoneType'>\].*\sGiven) value: (.*)""",
    re.DOTALL,
)
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def _in_words(message: str) -> str:
    """Says as our own messages do which value is of a wrong type."""
    if not (found := _WRONG_VALUE.fullmatch(message.strip())):
        return message
    kind = found[2] or found[3]
    return f"`{found[1]}` must be {_KINDS.get(kind, kind)}, got {found[4]!r}"


def _underscored(arg: str) -> str:
    """Lets options of several words be typed with dashes."""
    return re.sub(r"^--[a-z.-]+(?==|$)", lambda option: "--" + option[0][2:].replace("-", "_"), arg)


def _resolve_presets(args: list[str]) -> list[str]:
    """Puts the file in place of a bundled preset's name after `--config` or `--config=`."""
    args = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--config=") else [arg])]
    names = {path.stem: str(path) for path in PRESETS.glob("*.yaml")}
    return [
        names.get(arg, arg) if before == "--config" else arg for before, arg in zip(["", *args], args, strict=False)
    ]


def _check_config(path: Path) -> None:
    """Refuses a file that the parser would refuse without its name."""
    try:
        held, why = yaml.safe_load(path.read_text(encoding="utf-8")), "found something else"
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        held, why = None, f"but it cannot be read ({error})"
    if not isinstance(held, dict):
        raise ValueError(f"{path}: must be YAML of options and their values, {why}.")


def _printing(command: Callable[..., Result], as_json: bool) -> Callable[..., None]:
    """Makes a command print its result, and nothing else, on standard output."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with _stdout_to_stderr():
            facts, text, *status = command(*args, **kwargs)
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False) if as_json else text)
        if any(status):
            sys.exit(status[0])

    return run


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Sends what other packages print, compiled code included, to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _refuse(message: str) -> int:
    print("signloop:", " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
