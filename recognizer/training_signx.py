"""Training Pose2Gloss: `signloop train pose2gloss --config NAME`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from jaxtyping import Float32
from transformers.configuration_utils import PreTrainedConfig

from poses.bounds import check_at_least, check_shares
from poses.files import new_file
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES, TWO_HANDED, letter_clips, spell
from poses.weights import loading
from recognizer.configuration_sign_recognizer import ALPHABET, GlossConfig
from recognizer.configuration_signx import SignXConfig
from recognizer.data import compose_words, load_letters, word_batches
from recognizer.metrics import WordErrors, word_error_rate
from recognizer.modeling_signx import SignXForPose2Gloss, from_wrists
from recognizer.modeling_signx_decoders import teacher_forcing_ratio
from recognizer.optimization import Batch, Batches, LoopConfig, optimize, save_trained
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.processing_signx import dwpose_features, signer_track
from recognizer.reading import quietly
from recognizer.text_metrics import CLEAN_UPS, bleu, chrf, rouge_l
from recognizer.track_clips import FASTEST, TrackClip, drop_tracks, read_track_clips, track_batches
from recognizer.tracks import collate_tracks, join_tracks, track_statistics

ONE_HANDED = tuple(code for code in LANGUAGES if code not in (*HELD_OUT_LANGUAGES, *TWO_HANDED))

VALIDATION_LANGUAGES = ONE_HANDED[::4]
"""Every fourth of the one-handed training languages."""


@dataclass(frozen=True)
class GlossTrainConfig(LoopConfig):
    """A training run on clips of pose tracks, or on words composed from letters."""

    data: Path | None = None
    """Folder of clips of pose tracks with a table of glosses; words composed from letters if left out."""
    network: dict[str, Any] = field(default_factory=dict)
    """Fields of the network's configuration that differ from the published ones, such as hidden_size."""
    validation_languages: tuple[str, ...] = VALIDATION_LANGUAGES
    """Sign languages whose letters validate; all others but the held-out ones train."""
    num_words: int = 4000
    """Words composed once; every use of one is augmented anew."""
    max_letters: int = 4
    """Letters of the longest word."""
    teacher_forcing: tuple[float, float] = (0.5, 0.0)
    """Share of true glosses fed back, at the first and the last step; autoregressive decoders only."""
    clean_up: str = ""
    """phoenix-2014 or phoenix-2014-t: validate as evaluations of these corpora do, with sclite's costs of errors."""

    network_config: ClassVar[type[GlossConfig]]

    def __post_init__(self):
        super().__post_init__()
        check_at_least(1, num_words=self.num_words, max_letters=self.max_letters)
        if self.clean_up not in CLEAN_UPS:
            raise ValueError(f"`clean_up` must be one of {', '.join(filter(None, CLEAN_UPS))}, got {self.clean_up!r}.")
        if not all(0 <= value <= 1 for value in self.teacher_forcing):
            raise ValueError(f"`teacher_forcing` must be in [0, 1], got {self.teacher_forcing}.")
        allowed = [code for code in LANGUAGES if code not in HELD_OUT_LANGUAGES]
        if unknown := [code for code in self.validation_languages if code not in allowed]:
            raise ValueError(f"`validation_languages` must be among {', '.join(allowed)}, got {unknown[0]!r}.")
        if not set(allowed) - set(self.validation_languages):
            raise ValueError("`validation_languages` must leave a language to train on, got all of them.")
        if unknown := [name for name in self.network if name not in self.network_config.__annotations__]:
            raise ValueError(f"`network` must hold fields of {self.network_config.__name__}, got {unknown[0]!r}.")

    @property
    def training_languages(self) -> tuple[str, ...]:
        unseen = (*HELD_OUT_LANGUAGES, *self.validation_languages)
        return tuple(code for code in LANGUAGES if code not in unseen)

    def forcing_at(self, step: int) -> torch.Tensor:
        """The share of true glosses fed back at a step."""
        start, end = self.teacher_forcing
        return torch.tensor(teacher_forcing_ratio(step, self.num_steps, start=start, end=end))


@dataclass(frozen=True)
class Pose2GlossTrainConfig(GlossTrainConfig):
    """One training run of Pose2Gloss; what it learned is read back on clips that it was not trained on."""

    output_dir: Path = Path("runs/pose2gloss")
    """Where checkpoints, curves and, at the end, the model and its validation go."""
    decoder_type: str = "diffusion"
    """diffusion, autoregressive or ctc."""
    encoder_from: Path | None = None
    """Folder of a trained Pose2Gloss, such as one with CTC, of which all but the decoder is trained further."""
    track_dropout: float = 0.2
    """How often each track of a clip is taken away where it has several."""

    network_config = SignXConfig

    def __post_init__(self):
        super().__post_init__()
        check_shares(track_dropout=self.track_dropout)
        if "decoder_type" in self.network:
            raise ValueError(
                "`network` must leave the decoder to the option `decoder_type`, "
                f"got decoder_type {self.network['decoder_type']!r}."
            )


@dataclass(frozen=True)
class GlossClips:
    """What a network is trained and validated on.

    Attributes:
        batches: Of the clips that train.
        glosses: All that are signed, in the order of labels.
        validation: Clips that don't train.
    """

    batches: Batches
    glosses: tuple[str, ...]
    validation: list[TrackClip]


def gloss_clips(config: GlossTrainConfig, *, frames_per_step: int, max_glosses: int) -> GlossClips:
    """The clips of `config.data`, or words composed from letters.

    Args:
        config: What to train on.
        frames_per_step: How many frames become one step of the network's, where CTC is trained: words too short for it
            are left out. 0 where it is not.
        max_glosses: The network's.

    Raises:
        ValueError: There is no clip to train on, one is too short for CTC, or has more than `max_glosses` glosses.
        PoseFileError: A clip of `config.data` is damaged.
    """
    if config.data is None:
        if config.max_letters > max_glosses:
            raise ValueError(
                f"`max_letters` must be at most the network's `max_glosses`, {max_glosses}, got {config.max_letters}."
            )
        validation = spelled_clips(config.validation_languages, max_letters=config.max_letters)
        return GlossClips(word_source(config, frames_per_step=frames_per_step), ALPHABET, validation)
    clips = read_track_clips(config.data)
    glosses = tuple(sorted({gloss for clip in clips for gloss in clip.glosses}))
    training, validation = ([clip for clip in clips if clip.split == split] for split in ("train", "validation"))
    if not training:
        raise ValueError(f"{config.data}: must hold clips of the split train, found none.")
    for clip in training:
        if len(clip.glosses) > max_glosses:
            raise ValueError(
                f"{config.data}: {clip.name} must have at most {max_glosses} glosses, the network's `max_glosses`, "
                f"found {len(clip.glosses)}."
            )
        if not fits(clip.glosses, max(int(FASTEST * len(clip.features)), 1), frames_per_step):
            raise ValueError(
                f"{config.data}: {clip.name} must have more frames for its {len(clip.glosses)} glosses, "
                f"found {len(clip.features)}."
            )
    return GlossClips(clip_source(training, glosses, batch_size=config.batch_size), glosses, validation)


def fits(glosses: Sequence[Any], num_frames: int, frames_per_step: int) -> bool:
    """Whether CTC has a step for every gloss and one between repeated ones; with 0 frames a step, any clip fits."""
    needed = len(glosses) + sum(before == after for before, after in pairwise(glosses))
    return num_frames >= (needed - 1) * frames_per_step + 1


def train(config: Pose2GlossTrainConfig) -> tuple[SignXForPose2Gloss, WordErrors | None]:
    """Trains on `config.data`, or on words composed from letters, and validates.

    Writes `model`, `curve.jsonl` and `curve.png`, and `validation.json` to `config.output_dir`. The same configuration
    gives the same weights on the same machine, resumed or not.

    Returns:
        The averaged weights, in evaluation mode, and their errors on the validation clips; None where there are none.

    Raises:
        ValueError: `config.output_dir` holds a checkpoint and `config.resume` is false, or holds none and it is true;
            or there is no clip to train on, or one too short for CTC or with too many glosses.
        PoseFileError: A clip of `config.data` is damaged.
    """
    config.check_output_dir()
    network = SignXConfig(decoder_type=config.decoder_type, **config.network)
    frames_per_step = network.frame_stride if network.trains_ctc else 0
    clips = gloss_clips(config, frames_per_step=frames_per_step, max_glosses=network.max_glosses)
    model = train_on(clips.batches, clips.glosses, config)
    if not clips.validation:
        return model, None
    readings = read_clips(model, [clip.features for clip in clips.validation])
    return model, write_validation(clips.validation, readings, config)


def gloss_errors(clips: Sequence[TrackClip], readings: Sequence[Sequence[str]], clean_up: str) -> WordErrors:
    """The errors in readings of clips, counted as `GlossTrainConfig.clean_up` says."""
    clean = CLEAN_UPS[clean_up]
    expected = [clean(clip.glosses) for clip in clips]
    return word_error_rate(expected, [clean(reading) for reading in readings], sclite_costs=bool(clean_up))


def write_validation(
    clips: Sequence[TrackClip], readings: Sequence[Sequence[str]], config: GlossTrainConfig, **others: Any
) -> WordErrors:
    """Counts the errors in readings of clips, and writes them, with other figures, to `validation.json`.

    Beside the word error rate it holds what SignX and works on translation give: BLEU-1 and -4 and chrF, 0 to 100, each
    with sacrebleu's signature, and ROUGE-L, 0 to 1, all of glosses as they are.
    """
    glosses = [clip.glosses for clip in clips]
    errors = gloss_errors(clips, readings, config.clean_up)
    others |= {"clean_up": config.clean_up} if config.clean_up else {}
    texts = {"bleu_1": bleu(glosses, readings, max_order=1), "bleu_4": bleu(glosses, readings)}
    texts["chrf"] = chrf(glosses, readings)
    facts = {"wer": errors.rate, **asdict(errors), "clips": len(clips), "rouge_l": rouge_l(glosses, readings)}
    facts |= {name: asdict(score) for name, score in texts.items()} | others
    if PartialState().is_main_process:
        with new_file(config.output_dir / "validation.json", overwrite=True) as path:
            path.write_text(json.dumps(facts), encoding="utf-8")
    return errors


def train_on(batches: Batches, glosses: Sequence[str], config: Pose2GlossTrainConfig) -> SignXForPose2Gloss:
    """Trains on any batches; see `train`."""
    set_seed(config.seed)
    names = dict(enumerate(glosses))
    model = SignXForPose2Gloss(SignXConfig(decoder_type=config.decoder_type, id2label=names, **config.network))
    if config.encoder_from is None:
        model.set_statistics(*batch_statistics(batches(config.seed)))
    else:
        take_encoder(model, config.encoder_from)

    def prepare(batch: Batch, step: int) -> Batch:
        features = drop_tracks(batch["features"], config.track_dropout)
        return batch | {"features": features, "teacher_forcing": config.forcing_at(step)}

    trained = optimize(model, batches, config, name=f"pose2gloss {config.decoder_type}", prepare=prepare)
    save_trained(trained, path=config.output_dir / "model")
    return trained


def load_pose2gloss(folder: Path, argument: str) -> SignXForPose2Gloss:
    """A trained Pose2Gloss in evaluation mode, in full precision whatever it was saved in.

    Args:
        folder: That `train` wrote.
        argument: What people know it by.

    Raises:
        ValueError: `folder` holds no Pose2Gloss, or weights that are not its configuration's.
    """
    asked = f"`{argument}` must be a trained Pose2Gloss's folder, got {str(folder)!r}"
    if missing := [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]:
        raise ValueError(f"{asked} without {missing[0]}.")
    with loading(folder):
        facts, _ = PreTrainedConfig.get_config_dict(folder, local_files_only=True)
    kind = (facts.get("architectures") or ["nothing"])[0]
    if kind != SignXForPose2Gloss.__name__:
        raise ValueError(f"{asked}, whose config.json names {kind} in place of {SignXForPose2Gloss.__name__}.")
    with quietly(), loading(folder):
        model, found = cast(Any, SignXForPose2Gloss).from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    if other := [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]:
        raise ValueError(f"{asked}, whose weights are not those of its config.json: {min(other)}.")
    return model.eval()


def take_encoder(model: SignXForPose2Gloss, folder: Path) -> None:
    """Puts all weights of a trained network but its decoder's into `model`.

    Raises:
        ValueError: `folder` holds no Pose2Gloss, or one of other sizes.
    """
    trained = load_pose2gloss(folder, "encoder_from").state_dict()
    theirs = {name: tensor for name, tensor in trained.items() if not name.startswith("decoder.")}
    own = model.state_dict()
    if other := [name for name in theirs if name not in own or own[name].shape != theirs[name].shape]:
        raise ValueError(f"`encoder_from` must have the network's sizes, got others in {folder}: {other[0]}.")
    model.load_state_dict(theirs, strict=False)


def batch_statistics(
    batches: Iterator[Batch], num_batches: int = 16
) -> tuple[Float32[np.ndarray, " 1959"], Float32[np.ndarray, " 1959"]]:
    """Mean and deviation of every number over some batches; see `track_statistics`."""
    return track_statistics(
        from_wrists(clip[mask.bool()]).numpy()
        for batch in islice(batches, num_batches)
        for clip, mask in zip(batch["features"], batch["attention_mask"], strict=True)
    )


def word_source(config: GlossTrainConfig, *, frames_per_step: int = 1) -> Batches:
    """Batches of words composed from the letters of `config.training_languages`; see `gloss_clips`."""
    composed = compose_words(
        load_letters(config.training_languages),
        SignRecognizerProcessor(),
        num_words=config.num_words,
        max_letters=config.max_letters,
        seed=config.seed,
    )
    words = [
        word for word in composed if fits([label for label, _, _ in word.spans], len(word.keypoints), frames_per_step)
    ]

    if not words:
        raise ValueError(f"`num_words` must be higher: of {config.num_words} words none is long enough for CTC.")

    def batches(seed: int) -> Iterator[Batch]:
        for batch in word_batches(words, batch_size=config.batch_size, conv_stride=1, seed=seed):
            labels = torch.where(batch["labels"] > 0, batch["labels"] - 1, -100)  # there, 0 is the blank
            features = dwpose_features(batch["keypoints"], batch["confidence"])
            yield {"features": features, "attention_mask": batch["attention_mask"], "labels": labels}

    return batches


def clip_source(clips: Sequence[TrackClip], glosses: Sequence[str], *, batch_size: int) -> Batches:
    """Batches of clips of tracks."""
    _, std = track_statistics(clip.features for clip in clips)
    return lambda seed: track_batches(clips, glosses, std, batch_size=batch_size, seed=seed)


def spelled_clips(
    languages: Sequence[str], *, words_per_language: int = 60, max_letters: int = 4, seed: int = 0
) -> list[TrackClip]:
    """Words of random letters of each language, spelled as `poses.fingerspelling.spell` does, not augmented.

    Raises:
        ValueError: A language has none of the letters A to Z.
    """
    rng = np.random.default_rng(seed)
    processor = SignRecognizerProcessor()
    clips = []
    for language in languages:
        known = sorted(set(letter_clips(language)) & set(ALPHABET))
        if not known:
            raise ValueError(f"`languages` must have letters A to Z, got {language!r}, which has none.")
        for number in range(words_per_language):
            word = tuple(str(rng.choice(known)) for _ in range(rng.integers(1, max_letters + 1)))
            track = signer_track(spell(word, language), processor)
            clips.append(TrackClip(f"{language}-{number}", join_tracks({"dwpose": track}), word, "validation"))
    return clips


def read_clips(
    model: SignXForPose2Gloss,
    clips: Sequence[Float32[np.ndarray, "frames 1959"]],
    *,
    batch_size: int = 32,
    **options: Any,
) -> list[tuple[str, ...]]:
    """The glosses of clips of tracks, read in batches; `options` are those of `SignXForPose2Gloss.generate`."""
    read = []
    for start in range(0, len(clips), batch_size):
        arrays = collate_tracks(clips[start : start + batch_size])
        read += model.glosses(model.generate(*(torch.from_numpy(array) for array in arrays), **options))
    return read
