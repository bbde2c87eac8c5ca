"""What each pose track is worth to Pose2Gloss: read without it, and from it alone, as in the paper's table 9.

`python -m benchmarks.signx_tracks OUTPUT --synthetic FOLDER` does so for the five tracks of synthetic signers, from a
folder that `signloop signers tracks` made; with `--letters`, for the two tracks that there are of real letters. Trained
with random tracks missing, on twelve languages; read in three others. Prints one JSON line.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from benchmarks.signx import preset, trained
from poses.fingerspelling import letter_clips, letter_files
from poses.formats.mediapipe import POSE_NAMES
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.metrics import bootstrap_interval, errors_by_gloss
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, leads_with_left
from recognizer.processing_signx import signer_track
from recognizer.track_clips import SPLITS, TrackClip, read_track_clips
from recognizer.tracks import TRACKS, join_tracks, mediapipe_track, split_tracks
from recognizer.training_signx import Pose2GlossTrainConfig, clip_source, read_clips


def ablation(output: Path, config: Pose2GlossTrainConfig, clips: Sequence[TrackClip]) -> dict:
    """What a network, trained with random tracks missing, reads without each track, and from each alone."""
    training, validation = ([clip for clip in clips if clip.split == split] for split in SPLITS)
    glosses = tuple(sorted({gloss for clip in clips for gloss in clip.glosses}))
    source = clip_source(training, glosses, batch_size=config.batch_size)
    shown = [(clip.name, *clip.features.shape) for clip in training]
    model, seconds = trained(output, glosses, config, lambda: source, clips=shown)
    references = [clip.glosses for clip in validation]
    lengths = np.array([len(of_clip) for of_clip in references])
    there = list(split_tracks(clips[0].features))
    errors: dict[str, np.ndarray] = {}
    for name, kept in (
        ("all", set(there)),
        *((f"without {track}", set(there) - {track}) for track in there),
        *((f"only {track}", {track}) for track in there),
    ):
        features = [clip.features.copy() for clip in validation]
        for track in set(there) - kept:
            for array in features:
                array[:, TRACKS[track]] = np.nan
        errors[name] = np.array([sum(of_clip) for of_clip in errors_by_gloss(references, read_clips(model, features))])
    rows = []
    for name, of_clips in errors.items():
        more = of_clips - errors["all"]
        interval = bootstrap_interval(
            lambda w, more=more: float((w * more).sum() / (w * lengths).sum()), [list(range(len(references)))]
        )
        wer = float(of_clips.sum() / lengths.sum())
        rows.append(
            {"tracks": name, "wer": wer, "more_than_all": float(more.sum() / lengths.sum()), "interval": interval}
        )
    return {
        "decoder": config.decoder_type,
        "steps": config.num_steps,
        "clips": [len(training), len(validation)],
        "glosses": int(lengths.sum()),
        "training_s": seconds,
        "rows": rows,
    }


def real_letters() -> list[TrackClip]:
    """The DWPose and the MediaPipe track of every letter, the right hand leading."""
    languages = Pose2GlossTrainConfig()
    clips = []
    for split, codes in zip(SPLITS, (languages.training_languages, languages.validation_languages), strict=True):
        for language in codes:
            for letter, poses in letter_clips(language).items():
                if letter in ALPHABET:
                    tracks = {
                        "dwpose": signer_track(poses, SignRecognizerProcessor(frame_rate=poses.fps)),
                        "mediapipe_pose": mediapipe_of(letter_files(language)[letter], mirrored=leads_with_left(poses)),
                    }
                    clips.append(TrackClip(f"{language}-{letter}", join_tracks(tracks), (letter,), split))
    return clips


def mediapipe_of(path: Path, *, mirrored: bool) -> Float32[np.ndarray, "frames 258"]:
    """What MediaPipe found, as a `.pose` file holds it, in frame widths and heights."""
    from pose_format import Pose

    pose = Pose.read(path.read_bytes())
    size = pose.header.dimensions
    points = np.ma.filled(pose.body.data[:, 0], 0) / [size.width, size.height, size.width]
    sure = pose.body.confidence[:, 0]
    names = np.array([component.name for component in pose.header.components for _ in component.points])
    if mirrored:
        points = points * [-1, 1, 1] + [1, 0, 0]
    parts = {}
    for part in ("POSE", "LEFT_HAND", "RIGHT_HAND"):
        chosen = names == f"{part}_LANDMARKS"
        found = (sure[:, chosen] > 0).any(axis=1)[:, None, None]
        parts[part] = np.where(found, points[:, chosen], np.nan).astype(np.float32)
    body = np.concatenate([parts["POSE"], sure[:, names == "POSE_LANDMARKS", None]], axis=-1, dtype=np.float32)
    hands = parts["LEFT_HAND"], parts["RIGHT_HAND"]
    if mirrored:
        body, hands = body[:, [POSE_NAMES.index(_other_side(name)) for name in POSE_NAMES]], hands[::-1]
    return mediapipe_track(body, *hands)


def _other_side(name: str) -> str:
    return name.replace("LEFT", "?").replace("RIGHT", "LEFT").replace("?", "RIGHT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of the trained networks")
    parser.add_argument("--synthetic", type=Path, help="folder of clips of all five tracks")
    parser.add_argument("--letters", action="store_true", help="real letters, DWPose and MediaPipe")
    parser.add_argument("--steps", type=int, help="of training, instead of the preset's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict = {}
    if arguments.synthetic:
        config = preset("signx-tracks")
        config = replace(config, num_steps=arguments.steps or config.num_steps)
        result["synthetic"] = ablation(arguments.output / "synthetic", config, read_track_clips(arguments.synthetic))
    if arguments.letters:
        # Of diffusion: CTC says nothing for hundreds of steps, and with one letter a clip there is nothing to align.
        config = preset("signx-quick")
        config = replace(config, num_steps=arguments.steps or config.num_steps)
        result["letters"] = ablation(arguments.output / "letters", config, real_letters())
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
