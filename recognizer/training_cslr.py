"""Training SignX's third stage, continuous recognition: `signloop train cslr --config NAME`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from jaxtyping import Float32

from poses.bounds import check_at_least
from recognizer.configuration_cslr import SignXCSLRConfig
from recognizer.metrics import WordErrors
from recognizer.modeling_cslr import FRAMES_PER_STEP, SignXForCSLR
from recognizer.modeling_signx import SignXForPose2Gloss, check_tracks
from recognizer.optimization import Batch, Batches, optimize, save_trained
from recognizer.tracks import collate_tracks
from recognizer.training_signx import (
    GlossTrainConfig,
    gloss_clips,
    gloss_errors,
    load_pose2gloss,
    read_clips,
    write_validation,
)


@dataclass(frozen=True)
class CSLRTrainConfig(GlossTrainConfig):
    """One training run of continuous recognition, on the latents of a frozen Pose2Gloss."""

    pose2gloss: Path = Path("runs/signx-quick/model")
    """Folder of a trained Pose2Gloss."""
    output_dir: Path = Path("runs/cslr")
    """Where checkpoints, curves and, at the end, the model and its validation go."""
    max_letters: int = 8
    """Letters of the longest sequence."""
    prune_every: int = 0
    """Steps after which latent dimensions that hardly vary are dropped, again and again; 0 for never."""

    network_config = SignXCSLRConfig

    def __post_init__(self):
        super().__post_init__()
        check_at_least(0, prune_every=self.prune_every)


def train(config: CSLRTrainConfig) -> tuple[SignXForCSLR, WordErrors | None]:
    """Trains on `config.data`, or on sequences composed from letters, and validates.

    Writes `model`, `curve.jsonl` and `curve.png`, and `validation.json` to `config.output_dir`; the latter says beside
    its own errors those of the Pose2Gloss whose latents it reads. The same configuration gives the same weights on the
    same machine, resumed or not.

    Returns:
        The averaged weights, in evaluation mode, and their errors on the validation clips; None where there are none.

    Raises:
        ValueError: `config.output_dir` holds a checkpoint and `config.resume` is false, or holds none and it is true;
            there is no clip to train on, or one too short for CTC or with too many glosses; or `config.pose2gloss`
            holds no Pose2Gloss.
        PoseFileError: A clip of `config.data` is damaged.
    """
    config.check_output_dir()
    reader = load_pose2gloss(config.pose2gloss, "pose2gloss")
    sizes = config.network | {"latent_size": reader.config.latent_size}
    max_glosses = SignXCSLRConfig(**sizes).max_glosses
    clips = gloss_clips(config, frames_per_step=FRAMES_PER_STEP, max_glosses=max_glosses)
    set_seed(config.seed)
    model = SignXForCSLR(SignXCSLRConfig(id2label=dict(enumerate(clips.glosses)), **sizes))

    def prepare(batch: Batch, step: int) -> Batch:
        if config.prune_every and step and step % config.prune_every == 0:
            model.prune(batch["latents"], batch["attention_mask"])
        return batch | {"teacher_forcing": config.forcing_at(step)}

    trained = optimize(model, latent_batches(clips.batches, reader), config, name="cslr", prepare=prepare)
    save_trained(trained, path=config.output_dir / "model")
    if not clips.validation:
        return trained, None
    features = [clip.features for clip in clips.validation]
    theirs = gloss_errors(clips.validation, read_clips(reader, features), config.clean_up)
    readings = read_latents(trained, reader, features)
    return trained, write_validation(clips.validation, readings, config, pose2gloss_wer=theirs.rate)


def latent_batches(batches: Batches, reader: SignXForPose2Gloss) -> Batches:
    """Batches of pose tracks as batches of the latents that `reader` makes of them."""

    def latents(seed: int) -> Iterator[Batch]:
        for batch in batches(seed):
            with torch.no_grad():
                found = reader.encode(batch["features"])
            yield {"latents": found, "attention_mask": batch["attention_mask"], "labels": batch["labels"]}

    return latents


@torch.no_grad()
def read_latents(
    model: SignXForCSLR,
    reader: SignXForPose2Gloss,
    clips: Sequence[Float32[np.ndarray, "frames 1959"]],
    *,
    batch_size: int = 32,
    **options: Any,
) -> list[tuple[str, ...]]:
    """The glosses of clips of tracks; `options` are those of `SignXForCSLR.generate`.

    Raises:
        ValueError: A clip shows no track, or a frame has only a part of a track's numbers.
    """
    read = []
    for start in range(0, len(clips), batch_size):
        features, mask = map(torch.from_numpy, collate_tracks(clips[start : start + batch_size]))
        check_tracks(features, mask.bool())
        read += model.glosses(model.generate(reader.encode(features), mask, **options))
    return read
