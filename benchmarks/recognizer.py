"""What the recognizer reads: 200 spelled words and single letters of sign languages that it has never seen.

`python -m benchmarks.recognizer` prints one JSON line; with `--write-words` it makes `words.txt` again.
Rules: a gloss is a letter; WER is corpus-level; words have three to eight letters A to Z, no two equal
neighbours; intervals resample languages and letters, since there is one clip a letter and language.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from poses.fingerspelling import HELD_OUT_LANGUAGES, spell
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.data import Letter, describe, load_letters, nearest_letters
from recognizer.decoding import sequence_scores
from recognizer.metrics import bootstrap_interval, errors_by_gloss, word_error_rate
from recognizer.reading import Recognizer, load_recognizer, read_glosses, read_steps, sign_logits
from recognizer.training import TRAINING_LANGUAGES

WORDS = Path(__file__).parent / "words.txt"
SEED = 2026
WORDS_PER_LANGUAGE = 50
NUM_TOGETHER = 1000
LENGTHS = {3: 0.2, 4: 0.25, 5: 0.2, 6: 0.15, 7: 0.1, 8: 0.1}


def draw_words(alphabets: Mapping[str, Sequence[str]], each: int, *, seed: int = SEED) -> list[tuple[str, str]]:
    """Language and word, `each` a language, of random letters: short words are commoner, as in running text."""
    rng = np.random.default_rng(seed)
    words = []
    for language, alphabet in alphabets.items():
        for _ in range(each):
            length = rng.choice(list(LENGTHS), p=list(LENGTHS.values()))
            word = [rng.choice(alphabet)]
            while len(word) < length:
                word.append(rng.choice([letter for letter in alphabet if letter != word[-1]]))
            words.append((language, "".join(word)))
    return words


def read_words() -> list[tuple[str, str]]:
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    return [(language, word) for language, word in (line.split() for line in lines if not line.startswith("#"))]


def spelled_readings(words: Sequence[tuple[str, str]], recognizer: Recognizer) -> list[list[str]]:
    readings = read_glosses([spell(word, language) for language, word in words], recognizer)
    return [[item.gloss for item in reading.glosses] for reading in readings]


def word_figures(words: Sequence[tuple[str, str]], readings: Sequence[Sequence[str]]) -> dict:
    """WER with its interval, S, D and I, and the WER of each language."""
    references = [list(word) for _, word in words]
    charged = np.array([count for of_word in errors_by_gloss(references, readings) for count in of_word])
    languages = np.array([language for language, word in words for _ in word])
    letters = [letter for _, word in words for letter in word]
    total = word_error_rate(references, readings)
    return {
        "wer": total.rate,
        "interval": bootstrap_interval(lambda w: float((w * charged).sum() / w.sum()), [list(languages), letters]),
        "wer_of_language": {code: float(charged[languages == code].mean()) for code in dict.fromkeys(list(languages))},
        "reference_letters": total.reference_length,
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
    }


def read_letters(items: Sequence[Letter], recognizer: Recognizer, known: Sequence[Letter]) -> dict[str, list[str]]:
    """What single letters are read as: by the head for them, by that of continuous signing, and as the nearest.

    That of continuous signing says its likeliest reading of one letter; the nearest are of `known`.
    """
    table, queries = (np.stack([describe(item, recognizer.processor) for item in group]) for group in (known, items))
    glosses = recognizer.model.config.glosses
    best = [int(sequence_scores(read_steps(item.poses, recognizer)[0]).argmax()) for item in items]
    return {
        "isolated": [
            glosses[label] for label in sign_logits([item.poses for item in items], recognizer).argmax(axis=1)
        ],
        "continuous": [glosses[label] for label in best],
        "nearest_neighbour": [known[row[0]].letter for row in nearest_letters(queries, table)],
    }


def letter_figures(letters: Sequence[tuple[str, str]], guesses: dict[str, list[str]]) -> dict:
    """Top-1 of every way to guess letters, of which language and letter are given."""
    causes = [list(of_letters) for of_letters in zip(*letters, strict=True)]
    languages = np.array(causes[0])
    figures: dict = {"letters": len(letters)}
    for name, guessed in guesses.items():
        right = np.array([guess == letter for guess, letter in zip(guessed, causes[1], strict=True)])
        interval = bootstrap_interval(lambda w, right=right: float((w * right).sum() / w.sum()), causes)
        of_language = {code: float(right[languages == code].mean()) for code in dict.fromkeys(causes[0])}
        figures[name] = {"top1": float(right.mean()), "interval": list(interval), "top1_of_language": of_language}
    return figures


def speed(recognizer: Recognizer) -> dict:
    """Milliseconds for a clip of 5 s, processing and decoding included, and how much sooner many are read together.

    Times are of the processor, so that what else runs on the machine does not count; with one thread they are the same.
    """
    clip = spell("SIGNLOOPSFAST", "ase")
    clip = clip[: 5 * 24]
    assert len(clip) == 5 * 24
    alone = _seconds(lambda: read_glosses(clip, recognizer), 11)
    together = _seconds(lambda: read_glosses([clip] * NUM_TOGETHER, recognizer), 1) / NUM_TOGETHER
    return {"ms_per_5s_clip": 1000 * alone, "times_as_fast_together": alone / together, "together": NUM_TOGETHER}


def long_clip(recognizer: Recognizer) -> dict:
    """Time and most memory while a clip of half an hour is read."""
    clip = spell("SIGNLOOPS", "ase")
    times = -(-30 * 60 * 24 // len(clip))
    keypoints, confidence = np.tile(clip.keypoints, (times, 1, 1)), np.tile(clip.confidence, (times, 1))
    long = replace(clip, keypoints=keypoints, confidence=confidence, glosses=())
    before = _peak_mib()
    seconds = _seconds(lambda: read_glosses(long, recognizer), 1)
    return {"minutes": long.duration_s / 60, "cpu_s": seconds, "mib_more": _peak_mib() - before}


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor time of a call, after one that warms up where there are several."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times[min(repeats - 1, 1) :]))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write-words", action="store_true", help="draw the word list again and end")
    parser.add_argument("--speed", action="store_true", help="measure nothing but speed and memory")
    parser.add_argument("--recognizer", type=Path, help="folder of another recognizer than the package's")
    arguments = parser.parse_args()
    if arguments.write_words:
        lines = [f"# python -m benchmarks.recognizer --write-words, seed {SEED}: language and word"]
        drawn = draw_words(dict.fromkeys(HELD_OUT_LANGUAGES, ALPHABET), WORDS_PER_LANGUAGE)
        lines += [f"{language} {word}" for language, word in drawn]
        WORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    recognizer = load_recognizer(arguments.recognizer)
    result: dict = {}
    if not arguments.speed:
        words = read_words()
        result["words"] = word_figures(words, spelled_readings(words, recognizer))
        items = load_letters(HELD_OUT_LANGUAGES)
        guesses = read_letters(items, recognizer, load_letters(TRAINING_LANGUAGES))
        result["isolated_letters"] = letter_figures([(item.language, item.letter) for item in items], guesses)
    result |= {
        "speed": {"letters": speed(recognizer), "words": speed(load_recognizer(vocabulary="words"))},
        "half_an_hour": long_clip(recognizer),
        "threads": torch.get_num_threads(),
    }
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
