"""Letters and words of sign languages that a network was never trained on: each language is left out once.

`python -m benchmarks.letters OUTPUT` trains one network a fold, except those that OUTPUT holds already, each on the
training languages without the fold's, with a head for single letters, and prints one JSON line: top-1 of single
letters, how well the head's confidence is calibrated, and WER of composed words. A language's temperature and threshold
for unknown are those that fit the other languages left out; those that fit all are printed for the package's. This is
to choose by: the four held-out languages take no part. With `--one-by-one` they do, for the figure that is reported:
each language is left out alone, of networks that know all others and ship nowhere. Alphabets of two hands are reported
apart.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax

from benchmarks.kept import check_training
from benchmarks.recognizer import draw_words, letter_figures, read_letters, spelled_readings, word_figures
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES, TWO_HANDED
from recognizer.calibration import expected_calibration_error
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.data import Letter, load_letters
from recognizer.isolated_letters import IsolatedTrainConfig, with_isolated_head
from recognizer.metrics import top_k_accuracy
from recognizer.modeling_sign_recognizer import SignRecognizerForCTC
from recognizer.reading import Recognizer, load_recognizer, sign_logits
from recognizer.training import TRAINING_LANGUAGES, TrainConfig, train
from recognizer.word_training import calibration

FOLDS = 5
WORDS_PER_LANGUAGE = 20


def folds(letters: list[Letter], *, one_by_one: bool) -> list[tuple[str, ...]]:
    """The languages that each network leaves out: one, or every fifth of those of one hand, and every fifth of two."""
    languages = sorted({item.language for item in letters})
    if one_by_one:
        return [(code,) for code in languages]
    of_hands = [[code for code in languages if (code in TWO_HANDED) == two] for two in (False, True)]
    return [tuple(code for codes in of_hands for code in codes[first::FOLDS]) for first in range(FOLDS)]


def without(left_out: tuple[str, ...], letters: list[Letter], config: TrainConfig) -> Recognizer:
    """The network, and the head, that know all languages of `letters` but `left_out`."""
    folder = config.output_dir / "-".join(left_out)
    config = replace(config, languages=tuple(sorted({item.language for item in letters} - set(left_out))))
    check_training(folder, config)
    if not (folder / "model").exists():
        train(replace(config, output_dir=folder, resume=(folder / "checkpoint.pt").exists()))
    recognizer = load_recognizer(folder / "model")
    assert isinstance(recognizer.model, SignRecognizerForCTC)
    known = [item for item in letters if item.language not in left_out]
    model = with_isolated_head(recognizer.model, known, recognizer.processor, IsolatedTrainConfig())
    return replace(recognizer, model=model)


def readings(recognizer: Recognizer, items: list[Letter], known: list[Letter], words: list[tuple[str, str]]) -> dict:
    """What a network reads of languages it was not trained on."""
    return {
        "letters": [(item.language, item.letter) for item in items],
        "guesses": read_letters(items, recognizer, known),
        "logits": sign_logits([item.poses for item in items], recognizer),
        "words": words,
        "read": spelled_readings(words, recognizer),
    }


def calibration_of(found: list[dict], without: str = "") -> tuple[float, float]:
    """The temperature and the threshold for unknown that fit the training languages left out, but for one."""
    logits, codes, labels = letters_of(found)
    chosen = np.isin(codes, TRAINING_LANGUAGES) & (codes != without)
    return calibration(logits[chosen], labels[chosen])


def letters_of(found: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, language and label of every letter."""
    letters = [item for of_fold in found for item in of_fold["letters"]]
    labels = [1 + ALPHABET.index(letter) for _, letter in letters]
    return (
        np.concatenate([of_fold["logits"] for of_fold in found]),
        np.array([code for code, _ in letters]),
        np.array(labels),
    )


def confidence_figures(found: list[dict], languages: set[str]) -> dict:
    """Top-5 of the head, its calibration error, and how many letters are not called unknown."""
    logits, codes, labels = letters_of(found)
    probabilities, threshold = softmax(logits, axis=1), np.zeros(len(codes))
    before = probabilities.max(axis=1)
    for code in languages:
        own = codes == code
        temperature, threshold[own] = calibration_of(found, without=code)
        probabilities[own] = softmax(logits[own] / temperature, axis=1)
    chosen = np.isin(codes, list(languages))
    right, sure = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    read = chosen & (sure >= threshold)
    return {
        "top5": top_k_accuracy(probabilities[chosen], labels[chosen], k=5).per_instance,
        "calibration_error_before": expected_calibration_error(before[chosen], right[chosen]),
        "calibration_error": expected_calibration_error(sure[chosen], right[chosen]),
        "read": float(read.sum() / chosen.sum()),
        "right_of_read": float(right[read].mean()),
    }


def figures(found: list[dict], languages: set[str]) -> dict:
    """Top-1 of letters and WER of words of `languages`, over all folds."""
    letters, words, read = [], [], []
    guesses: dict[str, list[str]] = {}
    for of_fold in found:
        for number, letter in enumerate(of_fold["letters"]):
            if letter[0] in languages:
                letters.append(letter)
                for name, of_name in of_fold["guesses"].items():
                    guesses.setdefault(name, []).append(of_name[number])
        for word, reading in zip(of_fold["words"], of_fold["read"], strict=True):
            if word[0] in languages:
                words.append(word)
                read.append(reading)
    result = {"letters": letter_figures(letters, guesses), "confidence": confidence_figures(found, languages)}
    return result | {"words": len(words)} | word_figures(words, read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of the trained networks")
    parser.add_argument("--steps", type=int, default=500, help="of training")
    parser.add_argument("--num-words", type=int, default=2000, help="that each network learns from")
    parser.add_argument(
        "--one-by-one", action="store_true", help="leave each language out alone, the held-out ones too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig(
        output_dir=arguments.output / "one-by-one" if arguments.one_by_one else arguments.output,
        num_steps=arguments.steps,
        num_words=arguments.num_words,
        warmup_steps=40,
        ema_decay=0.99,
        checkpoint_every=100,
    )
    letters = load_letters(LANGUAGES if arguments.one_by_one else TRAINING_LANGUAGES)
    left_out_together = folds(letters, one_by_one=arguments.one_by_one)
    found = []
    for left_out in left_out_together:
        items, known = ([item for item in letters if (item.language in left_out) == out] for out in (True, False))
        alphabets = {code: [item.letter for item in items if item.language == code] for code in left_out}
        recognizer = without(left_out, letters, config)
        found.append(readings(recognizer, items, known, draw_words(alphabets, WORDS_PER_LANGUAGE)))
    temperature, threshold = calibration_of(found)
    result: dict = {"folds": left_out_together, "config": asdict(config), "isolated": asdict(IsolatedTrainConfig())}
    result |= {"temperature": temperature, "unknown_threshold": threshold}
    languages, two, held_out = {item.language for item in letters}, set(TWO_HANDED), set(HELD_OUT_LANGUAGES)
    result["one_handed"] = figures(found, languages - two)
    result["two_handed"] = figures(found, languages & two)
    if arguments.one_by_one:
        result["one_handed_training_languages"] = figures(found, languages - two - held_out)
        result["held_out"] = figures(found, held_out)
    json.dump(result, sys.stdout, default=str)
    print()


if __name__ == "__main__":
    main()
