"""Pose2Gloss's decoders on one split: accuracy and time against decoding steps, beside baselines.

`python -m benchmarks.signx OUTPUT` trains the networks of the preset signx-quick, one a decoder, except those that
OUTPUT holds already, and prints one JSON line. The one with CTC comes first; the other two go on from its encoder.
Words: one to four random letters of three languages that no network of the comparison was trained on. With `--words18
FILE`, also isolated words, trained on one session and read in the other.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.kept import check_training
from benchmarks.recognizer import word_figures
from poses.fingerspelling import spell
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.metrics import bootstrap_interval
from recognizer.modeling_signx import SignXForPose2Gloss
from recognizer.optimization import Batches
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.processing_signx import dwpose_features
from recognizer.reading import load_recognizer, read_glosses
from recognizer.track_clips import TrackClip
from recognizer.training import TrainConfig, train
from recognizer.training_signx import Pose2GlossTrainConfig, read_clips, spelled_clips, train_on, word_source
from recognizer.word_clips import NormalizedClips, clip_batches, normalize_clips, read_word_set

PRESETS = Path(__file__).parents[1] / "configs"
TIMED = 30
"""Clips that are read one by one to measure time."""

GREEDY = {"num_beams": 1, "length_penalty": 0, "entropy_weight": 0}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "ctc": {"beam 1": {"num_beams": 1}, "beam 5": {}},
    "diffusion": {f"steps {steps}": {"num_inference_steps": steps} for steps in (1, 2, 4, 8, 16)},
    "autoregressive": {"greedy": GREEDY, "beam 5": {}},
}
"""How each decoder is run: `generate`'s options by name. The first is trained first."""


def preset(name: str) -> Pose2GlossTrainConfig:
    return Pose2GlossTrainConfig(**yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8")))


def trained(
    output: Path, glosses: Sequence[str], config: Pose2GlossTrainConfig, batches: Callable[[], Batches], **data: Any
):
    """A network from `output`, or one that is trained now, and the seconds that took; None where it was resumed.

    What it is trained on is said by `config` and, where that does not, by `data`.
    """
    folder = output / config.decoder_type
    check_training(folder, replace(config, encoder_from=None), glosses=glosses, **data)
    if not (folder / "seconds.json").exists():
        resume, start = (folder / "checkpoint.pt").exists(), time.process_time()
        train_on(batches(), glosses, replace(config, output_dir=folder, resume=resume))
        seconds = None if resume else round(time.process_time() - start)
        (folder / "seconds.json").write_text(json.dumps(seconds))
    model = SignXForPose2Gloss.from_pretrained(folder / "model").eval()
    return model, json.loads((folder / "seconds.json").read_text())


def milliseconds(read: Callable[[Any], Any], clips: Sequence[Any]) -> float:
    """Median time of reading one clip alone."""
    times = []
    for clip in clips[:TIMED]:
        start = time.process_time()
        read(clip)
        times.append(time.process_time() - start)
    return round(1000 * float(np.median(times)), 1)


def compare(
    output: Path,
    config: Pose2GlossTrainConfig,
    further_steps: int,
    glosses: Sequence[str],
    batches: Callable[[], Batches],
    clips: Sequence[np.ndarray],
    figures: Callable[[list[tuple[str, ...]]], dict],
) -> list[dict]:
    """One row for every setting of every decoder; those but CTC's train for `further_steps` from its encoder."""
    rows = []
    for decoder, settings in SETTINGS.items():
        of_decoder = replace(config, decoder_type=decoder)
        if decoder != "ctc":
            of_decoder = replace(of_decoder, encoder_from=output / "ctc" / "model", num_steps=further_steps)
        model, seconds = trained(output, glosses, of_decoder, batches)
        for name, options in settings.items():
            found = figures(read_clips(model, clips, **options))
            time_ms = milliseconds(
                lambda clip, model=model, options=options: read_clips(model, [clip], **options), clips
            )
            rows.append({"decoder": decoder, "setting": name, **found, "ms": time_ms, "training_s": seconds})
    return rows


def length_only(config: Pose2GlossTrainConfig, clips: Sequence[TrackClip]) -> list[tuple[str, ...]]:
    """The same letter as often as the clip's length lets expect; what is expected, other words of these letters say."""
    others = spelled_clips(config.validation_languages, max_letters=config.max_letters, seed=1)
    slope, offset = np.polyfit([len(clip.features) for clip in others], [len(clip.glosses) for clip in others], 1)
    return [("E",) * max(round(slope * len(clip.features) + offset), 1) for clip in clips]


def words(output: Path, config: Pose2GlossTrainConfig, further_steps: int, *, alike: bool) -> dict:
    """The comparison on words, beside baselines: if `alike`, also the sign recognizer's network trained alike."""
    clips = spelled_clips(config.validation_languages, max_letters=config.max_letters)
    references = [(clip.name[:3], "".join(clip.glosses)) for clip in clips]

    def figures(readings: list[tuple[str, ...]]) -> dict:
        found = word_figures(references, readings)
        return {key: found[key] for key in ("wer", "interval", "substitutions", "deletions", "insertions")}

    features = [clip.features for clip in clips]
    rows = compare(output, config, further_steps, ALPHABET, lambda: word_source(config), features, figures)
    rows.append({"decoder": "length only", **figures(length_only(config, clips))})
    poses = [spell(word, language) for language, word in references]
    recognizers: dict[str, Path | None] = {"shipped sign recognizer, trained on these letters too": None}
    if alike:
        recognizers["sign recognizer, trained alike"] = sign_recognizer(output, config)
    for name, folder in recognizers.items():
        recognizer = load_recognizer(folder)

        def read(clip, recognizer=recognizer):
            return tuple(reading.gloss for reading in read_glosses(clip, recognizer).glosses)

        rows.append({"decoder": name, **figures([read(clip) for clip in poses]), "ms": milliseconds(read, poses)})
    return {"clips": len(clips), "letters": sum(len(word) for _, word in references), "rows": rows}


def sign_recognizer(output: Path, config: Pose2GlossTrainConfig) -> Path:
    """The sign recognizer's network, trained on the same words for as many steps of as many clips."""
    folder = output / "sign-recognizer"
    same = "num_words max_letters num_steps batch_size warmup_steps ema_decay mixed_precision seed"
    alike = TrainConfig(languages=config.training_languages, **{name: getattr(config, name) for name in same.split()})
    check_training(folder, alike)
    if not (folder / "model").exists():
        resume = (folder / "checkpoint.pt").exists()
        train(replace(alike, output_dir=folder, resume=resume))
    return folder / "model"


def isolated(output: Path, config: Pose2GlossTrainConfig, further_steps: int, file: Path) -> dict:
    """The comparison on isolated words, from each session to the other, over the clips of both."""
    clips = read_word_set(file, "ins")
    glosses = tuple(sorted({clip.gloss for clip in clips}))
    known = normalize_clips(clips, ("", *glosses), SignRecognizerProcessor(num_frames=32))
    sessions = sorted(set(known.signers))
    found: dict[tuple[str, str], list[dict]] = {}
    right: dict[tuple[str, str], list[np.ndarray]] = {}
    tested = []
    for session in sessions:
        mine = np.array([signer == session for signer in known.signers])
        training, test = known[~mine], known[mine]
        tested += [glosses[label - 1] for label in test.labels.tolist()]
        references = [(glosses[label - 1],) for label in test.labels.tolist()]
        features = list(dwpose_features(test.keypoints, test.confidence).numpy())

        def figures(readings: list[tuple[str, ...]], references=references) -> dict:
            return {"right": np.array([a == b for a, b in zip(readings, references, strict=True)])}

        source = isolated_source(training, config.batch_size)
        rows = compare(
            output / session, config, further_steps, glosses, lambda source=source: source, features, figures
        )
        for row in rows:
            key = row["decoder"], row["setting"]
            right.setdefault(key, []).append(row.pop("right"))
            found.setdefault(key, []).append(row)
        guess = nearest_mean(training, test)
        right.setdefault(("nearest mean", ""), []).append(guess == test.labels.numpy())
    rows = []
    for key, parts in right.items():
        every = np.concatenate(parts)
        interval = bootstrap_interval(
            lambda w, every=every: float((w * every).sum() / w.sum()), [tested, list(range(len(every)))]
        )
        row = {"decoder": key[0], "setting": key[1], "top1": float(every.mean())}
        rows.append(row | {"of_session": [float(part.mean()) for part in parts], "interval": interval})
        if key in found:
            rows[-1] |= {name: [row[name] for row in found[key]] for name in ("ms", "training_s")}
    return {"clips": len(tested), "glosses": len(glosses), "most_frequent": 1 / len(glosses), "rows": rows}


def isolated_source(clips: NormalizedClips, batch_size: int) -> Batches:
    """Batches of isolated words, each a sequence of one gloss."""

    def batches(seed: int):
        for batch in clip_batches(clips, batch_size=batch_size, seed=seed):
            features = dwpose_features(batch["keypoints"], batch["confidence"])
            mask = torch.ones(features.shape[:2], dtype=torch.long)
            yield {"features": features, "attention_mask": mask, "labels": batch["labels"][:, None] - 1}

    return batches


def nearest_mean(training: NormalizedClips, test: NormalizedClips) -> np.ndarray:
    """The gloss whose mean clip is nearest."""
    numbers = training.labels.unique()
    known, seen = training.keypoints.flatten(1), test.keypoints.flatten(1)
    means = torch.stack([known[training.labels == number].mean(dim=0) for number in numbers])
    return numbers[torch.cdist(seen, means).argmin(dim=1)].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of the trained networks")
    parser.add_argument("--words18", type=Path, help="keypoints.npz of isl18")
    parser.add_argument("--steps", type=int, help="of training, instead of the preset's")
    parser.add_argument("--sign-recognizer", action="store_true", help="train that network on the same words, too")
    parser.add_argument("--further-steps", type=int, default=600, help="of the decoders that go on from CTC's encoder")
    parser.add_argument("--isolated-steps", type=int, default=400, help="of all three for isolated words")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = preset("signx-quick")
    config = replace(config, num_steps=arguments.steps or config.num_steps)
    further = arguments.further_steps
    result = {"steps": config.num_steps, "further_steps": further}
    result["words"] = words(arguments.output / "words", config, further, alike=arguments.sign_recognizer)
    if arguments.words18:
        config = replace(config, num_steps=arguments.isolated_steps, network={**config.network, "max_glosses": 1})
        result["isolated_steps"] = config.num_steps
        steps = config.num_steps
        result["isolated"] = isolated(arguments.output / "isolated", config, steps, arguments.words18)
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
