"""Letters and words of sign languages that a network was never trained on: each training language is left out once.

`python -m benchmarks.letters OUTPUT` trains one network a fold, except those that OUTPUT holds already, each on the
training languages without the fold's, and prints one JSON line: top-1 of single letters, and WER of composed words.
The four held-out languages are in no network; with `--held-out`, the package's recognizer reads them, too. Alphabets
of two hands are reported apart.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.recognizer import draw_words, letter_figures, read_letters, read_words, spelled_readings, word_figures
from poses.fingerspelling import HELD_OUT_LANGUAGES, TWO_HANDED
from recognizer.data import Letter, load_letters
from recognizer.reading import Recognizer, load_recognizer
from recognizer.training import TRAINING_LANGUAGES, TrainConfig, train

FOLDS = 5
WORDS_PER_LANGUAGE = 20


def folds(letters: list[Letter]) -> list[tuple[str, ...]]:
    """The languages that each network leaves out: every fifth of those of one hand, and every fifth of two."""
    languages = sorted({item.language for item in letters})
    of_hands = [[code for code in languages if (code in TWO_HANDED) == two] for two in (False, True)]
    return [tuple(code for codes in of_hands for code in codes[first::FOLDS]) for first in range(FOLDS)]


def without(left_out: tuple[str, ...], letters: list[Letter], config: TrainConfig) -> Recognizer:
    """The network that knows all training languages but `left_out`."""
    folder = config.output_dir / "-".join(left_out)
    if not (folder / "model").exists():
        languages = tuple(sorted({item.language for item in letters} - set(left_out)))
        resume = (folder / "checkpoint.pt").exists()
        train(replace(config, output_dir=folder, languages=languages, resume=resume))
    return load_recognizer(folder / "model")


def readings(recognizer: Recognizer, items: list[Letter], known: list[Letter], words: list[tuple[str, str]]) -> dict:
    """What a network reads of languages it was not trained on."""
    return {
        "letters": [(item.language, item.letter) for item in items],
        "guesses": read_letters(items, recognizer, known),
        "words": words,
        "read": spelled_readings(words, recognizer),
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
    result = {"letters": letter_figures(letters, guesses), "words": len(words)}
    return result | word_figures(words, read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of the trained networks")
    parser.add_argument("--steps", type=int, default=500, help="of training")
    parser.add_argument("--num-words", type=int, default=2000, help="that each network learns from")
    parser.add_argument(
        "--held-out", action="store_true", help="read the held-out languages with the package's weights"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig(
        output_dir=arguments.output,
        num_steps=arguments.steps,
        num_words=arguments.num_words,
        warmup_steps=40,
        ema_decay=0.99,
        checkpoint_every=100,
    )
    letters = load_letters(TRAINING_LANGUAGES)
    found = []
    for left_out in folds(letters):
        items, known = ([item for item in letters if (item.language in left_out) == out] for out in (True, False))
        alphabets = {code: [item.letter for item in items if item.language == code] for code in left_out}
        recognizer = without(left_out, letters, config)
        found.append(readings(recognizer, items, known, draw_words(alphabets, WORDS_PER_LANGUAGE)))
    learned = {item.language for item in letters}
    result: dict = {"folds": folds(letters), "config": asdict(config)}
    result["one_handed"] = figures(found, learned - set(TWO_HANDED))
    result["two_handed"] = figures(found, learned & set(TWO_HANDED))
    if arguments.held_out:
        found.append(readings(load_recognizer(), load_letters(HELD_OUT_LANGUAGES), letters, read_words()))
        result["held_out"] = figures(found, set(HELD_OUT_LANGUAGES))
        result["one_handed_and_held_out"] = figures(found, learned - set(TWO_HANDED) | set(HELD_OUT_LANGUAGES))
    json.dump(result, sys.stdout, default=str)
    print()


if __name__ == "__main__":
    main()
