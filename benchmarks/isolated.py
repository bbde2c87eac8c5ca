"""Isolated words by people whom the recognizer has not seen: trained on one recording session, read on the other.

`python -m benchmarks.isolated DATA` prints one JSON line. DATA holds `isl18/keypoints.npz` (18 words of Indian Sign
Language in two sessions, mostly of different people) and `asl16/keypoints.npz` (15 words of American Sign Language). A
network is trained on one session and on all of asl16, and reads the other session; both ways; beside two baselines on
the same clips for as many steps of as many clips. Everything was chosen on asl16 or inside the training session.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from scipy.special import softmax

from benchmarks.isolated_baselines import Spoter, StGcn, plain_batches
from benchmarks.word_sets import SETS
from recognizer.calibration import expected_calibration_error
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.metrics import bootstrap_interval, top_k_accuracy
from recognizer.optimization import optimize
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.word_clips import NO_GLOSS, NormalizedClips, WordClip, normalize_clips, read_word_set
from recognizer.word_training import NUM_FRAMES, WordTrainConfig, calibrate, classify, fit_words

SESSIONS = ("session0", "session1")
NUM_UNKNOWN = 4
"""Words that a network is not told of, to see whether it calls them unknown."""


def read_clips(data: Path) -> list[WordClip]:
    return [
        clip for folder, language in SETS.items() for clip in read_word_set(data / folder / "keypoints.npz", language)
    ]


def both_ways(clips: Sequence[WordClip], config: WordTrainConfig, systems: Sequence[str], *, calibrated: bool) -> dict:
    """Trains on each session in turn, and gives the figures of each system on the other."""
    glosses = (NO_GLOSS, *sorted({clip.gloss for clip in clips} - {NO_GLOSS}))
    network = SignRecognizerConfig(id2label=dict(enumerate(glosses)))
    normalized = normalize_clips(clips, glosses, SignRecognizerProcessor(num_frames=NUM_FRAMES))
    signers = np.array(normalized.signers)
    tested: dict[str, list] = {system: [] for system in systems}
    seconds = dict.fromkeys(systems, 0.0)
    calibrations, unknowns = [], []
    for trained_on, other in (SESSIONS, SESSIONS[::-1]):
        train, test = normalized[signers != other], normalized[signers == other]
        for system in systems:
            started = time.process_time()
            run = replace(config, output_dir=config.output_dir / f"{system}-{trained_on}")
            logits = classify(test, fit(system, train, run, network))
            tested[system].append((logits, test.labels.numpy(), other))
            seconds[system] += time.process_time() - started
        if not calibrated:
            continue
        run = replace(config, output_dir=config.output_dir / f"calibration-{trained_on}")
        network.temperature, network.unknown_threshold = calibrate(train, run, network)
        calibrations.append((network.temperature, network.unknown_threshold))
        run = replace(config, output_dir=config.output_dir / f"unknown-{trained_on}")
        unknowns.append(unknown_words(train, test, run, network))
    of_language = np.array([gloss.startswith("ins:") for gloss in glosses])
    results: dict = {
        system: {
            "language_stated": figures([(np.where(of_language, logits, -1e9), *rest) for logits, *rest in runs]),
            "language_unknown": figures(runs),
            "cpu_s": round(seconds[system]),
        }
        for system, runs in tested.items()
    }
    if calibrated:
        results["calibration"] = calibration_figures(tested["ours"], calibrations)
        results["unknown_words"] = {name: float(np.mean([row[name] for row in unknowns])) for name in unknowns[0]}
    return results


def fit(system: str, clips: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig) -> torch.nn.Module:
    if system == "ours":
        return fit_words(clips, config, network)
    set_seed(config.seed)
    num_labels = len(network.glosses)
    model = Spoter(num_labels, NUM_FRAMES) if system == "spoter" else StGcn(num_labels)
    if system == "spoter":
        config = replace(config, learning_rate=config.learning_rate / 4)  # it does not learn at ours
    return optimize(
        model, lambda seed: plain_batches(clips, batch_size=config.batch_size, seed=seed), config, name=system
    )


def figures(runs: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> dict:
    """Top-1 and top-5 of both directions together, with intervals that resample clips, or words with their clips."""
    logits, labels, tested = (np.concatenate([np.atleast_1d(run[part]) for run in runs]) for part in range(3))
    sessions = np.repeat(tested, [len(run[1]) for run in runs])
    right = logits.argmax(axis=1) == labels

    def share(weights: np.ndarray) -> float:
        return float((weights * right).sum() / weights.sum())

    top1, top5 = top_k_accuracy(logits, labels, k=1), top_k_accuracy(logits, labels, k=5)
    return {
        "top1": top1.per_instance,
        "clips": len(labels),
        "interval_clips": bootstrap_interval(share, [range(len(labels))]),
        "interval_words": bootstrap_interval(share, [[str(label) for label in labels]]),
        "top1_of_tested": {name: float(right[sessions == name].mean()) for name in dict.fromkeys(tested)},
        "top1_per_class": top1.per_class,
        "top5": top5.per_instance,
    }


def calibration_figures(runs: Sequence[tuple[np.ndarray, np.ndarray, str]], calibrations: Sequence) -> dict:
    """Expected calibration error on the other session, before and after temperature, and readings lost as unknown."""
    before, after, right, lost = [], [], [], []
    for (logits, labels, _), (temperature, threshold) in zip(runs, calibrations, strict=True):
        right.append(logits.argmax(axis=1) == labels)
        before.append(softmax(logits, axis=1).max(axis=1))
        after.append(softmax(logits / temperature, axis=1).max(axis=1))
        lost.append(after[-1] < threshold)
    hits = np.concatenate(right)
    return {
        "temperatures": [row[0] for row in calibrations],
        "thresholds": [row[1] for row in calibrations],
        "ece_before": expected_calibration_error(np.concatenate(before), hits),
        "ece_after": expected_calibration_error(np.concatenate(after), hits),
        "false_reject": float(np.concatenate(lost)[hits].mean()),
        "wrong_rejected": float(np.concatenate(lost)[~hits].mean()) if not hits.all() else None,
    }


def unknown_words(
    train: NormalizedClips, test: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig
) -> dict:
    """Trains without some words, which are then to be called unknown; the others are not."""
    words = np.unique(test.labels.numpy())
    hidden = np.random.default_rng(config.seed).permutation(words)[:NUM_UNKNOWN]
    model = fit_words(train[~np.isin(train.labels.numpy(), hidden)], config, network)
    probabilities = softmax(classify(test, model) / network.temperature, axis=1)
    sure = (probabilities[:, 1:].max(axis=1) >= network.unknown_threshold) & (probabilities.argmax(axis=1) > 0)
    unknown = np.isin(test.labels.numpy(), hidden)
    right = probabilities.argmax(axis=1) == test.labels.numpy()
    return {
        "false_accept": float(sure[unknown].mean()),
        "false_reject": float((~sure[~unknown & right]).mean()),
        "top1_of_known": float(right[~unknown].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="+", default=["ours", "spoter", "st-gcn"])
    parser.add_argument("--calibrated", action="store_true", help="also calibration and unknown words of ours")
    parser.add_argument("--steps", type=int, default=WordTrainConfig.num_steps)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = WordTrainConfig(output_dir=Path(folder), num_steps=arguments.steps)
        result = both_ways(read_clips(arguments.data), config, arguments.systems, calibrated=arguments.calibrated)
    json.dump({"steps": arguments.steps, "threads": torch.get_num_threads(), **result}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
