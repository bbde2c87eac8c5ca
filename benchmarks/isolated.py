"""Isolated words by people whom the recognizer has not seen: trained on one recording session, read on the other.

`python -m benchmarks.isolated DATA` prints one JSON line. DATA holds `isl18/keypoints.npz` (18 words of Indian Sign
Language in two sessions, mostly of different people) and `asl16/keypoints.npz` (15 words of American Sign Language). A
network is trained on one session and on some signers of asl16, is calibrated on the other signers of asl16, and reads
the other session; both ways; beside two baselines on the same clips for as many steps of as many clips. Everything was
chosen on asl16 or inside one session.
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
from recognizer.data import load_letters
from recognizer.metrics import bootstrap_interval, top_k_accuracy
from recognizer.optimization import optimize
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.word_clips import NO_GLOSS, NormalizedClips, WordClip, normalize_clips, read_word_set
from recognizer.word_training import NUM_FRAMES, WordTrainConfig, calibration, classify, fit_words

DIRECTIONS = (("session0", ("cam",)), ("session1", ("danial", "alex")))
"""The session and the signers of asl16 that a network is trained on; it is tested on the other session."""

SESSIONS = tuple(session for session, _ in DIRECTIONS)

UNKNOWN_LANGUAGES = ("gss", "sgg", "ssp")
"""One-handed alphabets whose letters are no words, to see whether they are called unknown."""


def read_clips(data: Path) -> list[WordClip]:
    return [
        clip for folder, language in SETS.items() for clip in read_word_set(data / folder / "keypoints.npz", language)
    ]


def both_ways(clips: Sequence[WordClip], config: WordTrainConfig, systems: Sequence[str]) -> dict:
    """Trains each system on each session in turn, and gives its figures on the other."""
    glosses = (NO_GLOSS, *sorted({clip.gloss for clip in clips} - {NO_GLOSS}))
    network = SignRecognizerConfig(face_features=True, id2label=dict(enumerate(glosses)))
    processor = SignRecognizerProcessor(num_frames=NUM_FRAMES)
    normalized = normalize_clips(clips, glosses, processor)
    letters = normalize_clips(no_words(), glosses, processor)
    signers, of_language = np.array(normalized.signers), np.array([gloss.startswith("ins:") for gloss in glosses])
    results: dict = {}
    for system in systems:
        started = time.process_time()
        tested, calibrations, unknown = [], [], []
        for session, learned in DIRECTIONS:
            train = normalized[np.isin(signers, (session, *learned))]
            others = normalized[~np.isin(signers, (*SESSIONS, *learned))]
            test = normalized[np.isin(signers, SESSIONS) & (signers != session)]
            run = replace(config, output_dir=config.output_dir / f"{system}-{session}")
            model = fit(system, train, run, network)
            known = others[np.isin(others.labels.numpy(), train.labels.numpy())]
            calibrations.append(calibration(classify(known, model), known.labels.numpy()))
            unknown.append(classify(letters, model))
            tested.append((classify(test, model), test.labels.numpy(), test.signers[0]))
        stated = [(np.where(of_language, logits, -1e9), *rest) for logits, *rest in tested]
        results[system] = {
            "language_stated": figures(stated),
            "language_unknown": figures(tested),
            "calibration": calibration_figures(stated, calibrations, unknown),
            "cpu_s": round(time.process_time() - started),
        }
    return results


def no_words() -> list[WordClip]:
    """Fingerspelled letters; A and I, which asl16 has as words, are left out."""
    return [
        WordClip(NO_GLOSS, item.language, item.poses)
        for item in load_letters(UNKNOWN_LANGUAGES)
        if item.letter not in "AI"
    ]


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


def calibration_figures(
    tested: Sequence[tuple[np.ndarray, np.ndarray, str]],
    calibrations: Sequence[tuple[float, float]],
    unknown: Sequence[np.ndarray],
) -> dict:
    """Calibration error on the other session, before and after, and how often unknown is said wrongly or not at all."""
    right = np.concatenate([logits.argmax(axis=1) == labels for logits, labels, _ in tested])
    before = np.concatenate([softmax(logits, axis=1).max(axis=1) for logits, *_ in tested])
    runs = list(zip(tested, calibrations, unknown, strict=True))
    after = np.concatenate([softmax(logits / heat, axis=1).max(axis=1) for (logits, *_), (heat, _), _ in runs])
    limits = np.repeat([threshold for _, threshold in calibrations], [len(labels) for _, labels, _ in tested])
    accepted = [
        (shares.argmax(axis=1) > 0) & (shares[:, 1:].max(axis=1) >= threshold)
        for _, (heat, threshold), logits in runs
        for shares in [softmax(logits / heat, axis=1)]
    ]
    return {
        "temperatures_and_thresholds": calibrations,
        "ece_before": expected_calibration_error(before, right),
        "ece_after": expected_calibration_error(after, right),
        "false_reject_of_right": float((after < limits)[right].mean()),
        "reject_of_wrong": float((after < limits)[~right].mean()) if not right.all() else None,
        "false_accept_of_letters": float(np.concatenate(accepted).mean()),
        "letters": len(unknown[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="+", default=["ours", "spoter", "st-gcn"])
    parser.add_argument("--steps", type=int, default=WordTrainConfig.num_steps)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = WordTrainConfig(output_dir=Path(folder), num_steps=arguments.steps)
        result = both_ways(read_clips(arguments.data), config, arguments.systems)
    json.dump({"steps": arguments.steps, "threads": torch.get_num_threads(), **result}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
