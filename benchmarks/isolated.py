"""Isolated words by people whom the recognizer has not seen: trained on one recording session, read on the other.

`python -m benchmarks.isolated DATA` prints one JSON line. DATA holds `isl18/keypoints.npz` (18 words of Indian Sign
Language in two sessions, mostly of different people) and `asl16/keypoints.npz` (15 words of American Sign Language). A
network is trained on one session and on some signers of asl16, is calibrated on the other signers of asl16, and reads
the other session; both ways; beside two baselines on the same clips for as many steps of as many clips. With
`--leave-out` ours is trained once more without every third gloss, to see how many clips of these are called unknown.
Everything was chosen on asl16 or inside one session.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from recognizer.word_training import (
    EDGES,
    NUM_FRAMES,
    STREAMS,
    WordTrainConfig,
    calibration,
    classify,
    fit_words,
    settle_norms,
)

DIRECTIONS = (("session0", ("cam",)), ("session1", ("danial", "alex")))
"""The session and the signers of asl16 that a network is trained on; it is tested on the other session."""

SESSIONS = tuple(session for session, _ in DIRECTIONS)

UNKNOWN_LANGUAGES = ("gss", "sgg", "ssp")
"""One-handed alphabets whose letters are no words, to see whether they are called unknown."""


@dataclass(frozen=True)
class Sets:
    """What both directions are made of.

    Attributes:
        words: Every clip of both sets.
        letters: They are none of the words.
        glosses: The labels.
    """

    words: NormalizedClips
    letters: NormalizedClips
    glosses: tuple[str, ...]

    def part(self, session: str, learned: Sequence[str]) -> tuple[NormalizedClips, NormalizedClips, NormalizedClips]:
        """What one direction is trained, calibrated and tested on."""
        signers = np.array(self.words.signers)
        train = self.words[np.isin(signers, (session, *learned))]
        others = self.words[~np.isin(signers, (*SESSIONS, *learned))]
        known = others[np.isin(others.labels.numpy(), train.labels.numpy())]
        return train, known, self.words[np.isin(signers, SESSIONS) & (signers != session)]


def read_sets(data: Path) -> Sets:
    clips = [
        clip for folder, language in SETS.items() for clip in read_word_set(data / folder / "keypoints.npz", language)
    ]
    glosses = (NO_GLOSS, *sorted({clip.gloss for clip in clips} - {NO_GLOSS}))
    processor = SignRecognizerProcessor(num_frames=NUM_FRAMES)
    letters = [
        WordClip(NO_GLOSS, item.language, item.poses)
        for item in load_letters(UNKNOWN_LANGUAGES)
        if item.letter not in "AI"  # which asl16 has as words
    ]
    words, others = (normalize_clips(some, glosses, processor) for some in (clips, letters))
    return Sets(words, others, glosses)


@dataclass(frozen=True)
class Run:
    """One system, trained on one session and read on the other.

    Attributes:
        session: The one it is read on.
        logits: Of the other session's clips.
        labels: Of these clips.
        letters: Logits of letters.
        temperature: Fitted to signers of asl16 that it was not trained on.
        threshold: Likewise; what is less probable is called unknown.
        right_of_all: Which clips are read rightly where words of both languages are possible.
    """

    session: str
    logits: np.ndarray
    labels: np.ndarray
    letters: np.ndarray
    temperature: float
    threshold: float
    right_of_all: np.ndarray


def both_ways(system: str, sets: Sets, config: WordTrainConfig, left_out: Sequence[int] = ()) -> list[Run]:
    """Trains a system on each session in turn, without some labels, and reads the other session."""
    kept = np.array([label for label in range(len(sets.glosses)) if label not in left_out])
    network = SignRecognizerConfig(streams=STREAMS, edges=EDGES, id2label=dict(enumerate(sets.glosses)))
    runs = []
    for session, learned in DIRECTIONS:
        train, known, test = sets.part(session, learned)
        train, known = (clips[np.isin(clips.labels.numpy(), kept)] for clips in (train, known))
        folder = config.output_dir / f"{system}-{session}-{len(left_out)}"
        model = fit(system, train, replace(config, output_dir=folder), network)
        logits, labels = classify(test, model), test.labels.numpy()
        of_language = [stated(rows, sets.glosses, left_out) for rows in (logits, classify(sets.letters, model))]
        temperature, threshold = calibration(classify(known, model), known.labels.numpy())
        right = logits.argmax(axis=1) == labels
        runs.append(Run(test.signers[0], of_language[0], labels, of_language[1], temperature, threshold, right))
    return runs


def stated(logits: np.ndarray, glosses: Sequence[str], left_out: Sequence[int]) -> np.ndarray:
    """Logits where the clip states its language, as `read_glosses` takes them: other languages' glosses cannot be."""
    possible = [gloss == NO_GLOSS or gloss.startswith("ins:") for gloss in glosses]
    possible = np.array(possible) & ~np.isin(np.arange(len(glosses)), left_out)
    return np.where(possible, logits, -1e9)


def fit(system: str, clips: NormalizedClips, config: WordTrainConfig, network: SignRecognizerConfig) -> torch.nn.Module:
    if system == "ours":
        return fit_words(clips, config, network)
    set_seed(config.seed)
    num_labels = len(network.glosses)
    model = Spoter(num_labels, NUM_FRAMES) if system == "spoter" else StGcn(num_labels)
    if system == "spoter":
        config = replace(config, learning_rate=config.learning_rate / 4)  # it does not learn at ours
    batches = partial(plain_batches, clips, batch_size=config.batch_size)
    trained = optimize(model, lambda seed: batches(seed=seed), config, name=system)
    if system == "st-gcn":
        settle_norms(trained, batches(seed=config.seed))
    return trained


def is_right(runs: Sequence[Run]) -> np.ndarray:
    return np.concatenate([run.logits.argmax(axis=1) == run.labels for run in runs])


def intervals(values: np.ndarray, labels: np.ndarray) -> dict:
    """Intervals of a mean over clips: that resample clips, and words with all their clips."""

    def mean(weights: np.ndarray) -> float:
        return float((weights * values).sum() / weights.sum())

    return {
        "clips": bootstrap_interval(mean, [range(len(values))]),
        "words": bootstrap_interval(mean, [[str(label) for label in labels]]),
    }


def figures(runs: Sequence[Run]) -> dict:
    """Top-1 and top-5 of both directions together, and how far confidence can be relied on."""
    logits, labels = (np.concatenate([getattr(run, name) for run in runs]) for name in ("logits", "labels"))
    right = is_right(runs)
    top1, top5 = top_k_accuracy(logits, labels, k=1), top_k_accuracy(logits, labels, k=5)
    return {
        "top1": top1.per_instance,
        "clips": len(labels),
        "intervals": intervals(right, labels),
        "top1_of_tested": {run.session: float(is_right([run]).mean()) for run in runs},
        "top1_language_unknown": float(np.concatenate([run.right_of_all for run in runs]).mean()),
        "top1_per_class": top1.per_class,
        "top5": top5.per_instance,
        "temperatures_and_thresholds": [(run.temperature, run.threshold) for run in runs],
        "ece_before": expected_calibration_error(softmax(logits, axis=1).max(axis=1), right),
        "ece_after": expected_calibration_error(
            np.concatenate([confidence(run, run.logits)[0] for run in runs]), right
        ),
    }


def confidence(run: Run, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How sure the likeliest label is, and whether it is read as a word."""
    shares = softmax(logits / run.temperature, axis=1)
    sure = shares.max(axis=1)
    return sure, (shares.argmax(axis=1) > 0) & (sure >= run.threshold)


def unknown_figures(runs: Sequence[Run], left_out: Sequence[int]) -> dict:
    """Shares of clips that are read as a word: of known words, those of them that are right, unknown words, letters."""
    accepted = np.concatenate([confidence(run, run.logits)[1] for run in runs])
    unknown = np.concatenate([np.isin(run.labels, left_out) for run in runs])
    right = is_right(runs)
    letters = np.concatenate([confidence(run, run.letters)[1] for run in runs])
    return {
        "known_accepted": float(accepted[~unknown].mean()),
        "known_accepted_and_right": float((accepted & right)[~unknown].mean()),
        "known_clips": int((~unknown).sum()),
        "unknown_accepted": float(accepted[unknown].mean()) if unknown.any() else None,
        "unknown_clips": int(unknown.sum()),
        "letters_accepted": float(letters.mean()),
        "letters": len(letters),
    }


def better(ours: Sequence[Run], theirs: Sequence[Run]) -> dict:
    """By how much ours reads more clips rightly, on the same clips."""
    difference = is_right(ours).astype(float) - is_right(theirs)
    labels = np.concatenate([run.labels for run in ours])
    return {"difference": float(difference.mean()), "intervals": intervals(difference, labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="+", default=["ours", "spoter", "st-gcn"])
    parser.add_argument("--steps", type=int, default=WordTrainConfig.num_steps)
    parser.add_argument("--leave-out", action="store_true", help="train ours once more without every third gloss")
    arguments = parser.parse_args()
    sets = read_sets(arguments.data)
    left_out = range(1, len(sets.glosses), 3)
    result: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        config = WordTrainConfig(output_dir=Path(folder), num_steps=arguments.steps)
        runs = {}
        for system in arguments.systems:
            started = time.process_time()
            runs[system] = both_ways(system, sets, config)
            result[system] = figures(runs[system]) | {"cpu_s": round(time.process_time() - started)}
            if "ours" in runs and system != "ours":
                result[system]["ours_better_by"] = better(runs["ours"], runs[system])
            print(system, json.dumps(result[system]), file=sys.stderr)  # training takes minutes
        if "ours" in runs:
            result["unknown"] = {"all_words": unknown_figures(runs["ours"], ())}
        if arguments.leave_out:
            result.setdefault("unknown", {})["words_left_out"] = unknown_figures(
                both_ways("ours", sets, config, left_out), left_out
            )
    json.dump({"steps": arguments.steps, "threads": torch.get_num_threads(), **result}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
