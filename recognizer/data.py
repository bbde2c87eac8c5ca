"""Training data: words composed from the letter clips of many languages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int

from poses.clean import resample
from poses.fingerspelling import TWO_HANDED, hand_depths, join_letters, letter_clips, letter_span
from poses.keypoints import HAND
from poses.sequence import PoseSequence
from recognizer.augmentation import augment, turn_hands
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.modeling_sign_recognizer import pose_features
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, collate, leads_with_left, mirror

VIEW_RAD = (0.26, 0.35, 0.0)
"""How far views of a word turn about the picture's axes (standard deviation); in the picture, `augment` turns hands."""


@dataclass(frozen=True)
class Letter:
    """One letter's clip, right hand leading, and the `hand_depths` in it."""

    letter: str
    language: str
    poses: PoseSequence
    depth: Float32[np.ndarray, "frames 42"]


def load_letters(languages: Sequence[str]) -> list[Letter]:
    """Reads the letters A to Z of `languages`, mirrored where the left hand leads."""
    letters = []
    for language in languages:
        depths = hand_depths(language)
        for letter, poses in letter_clips(language).items():
            if letter not in ALPHABET:
                continue
            depth = depths[letter]
            if leads_with_left(poses):
                poses, depth = mirror(poses), np.roll(depth, len(HAND), axis=1)
            letters.append(Letter(letter, language, poses, depth))
    return letters


@dataclass(frozen=True)
class Word:
    """A composed word as the recognizer gets it, with the steps each letter takes.

    Attributes:
        keypoints: Normalised by the processor.
        confidence: Likewise.
        spans: Label, first frame, one past the last.
    """

    keypoints: Float32[np.ndarray, "frames points 2"]
    confidence: Float32[np.ndarray, "frames points"]
    spans: tuple[tuple[int, int, int], ...]


def compose_words(
    letters: Sequence[Letter], processor: SignRecognizerProcessor, *, num_words: int, max_letters: int, seed: int
) -> list[Word]:
    """Composes random letters into words, at many paces.

    Half the words mix the one-handed languages, a tenth is in a two-handed one, the others stay within one one-handed
    language: no language model can form, and held-out languages are read letter by letter. Two-handed languages also
    have letters of one hand, which look like other letters elsewhere; so their words are rare and not mixed. Where
    one-handed languages disagree about a hand shape, those that agree with most others count most: a language comes
    up in proportion to its `agreement`.
    """
    rng = np.random.default_rng(seed)
    by_language: dict[str, list[Letter]] = {}
    for item in letters:
        by_language.setdefault(item.language, []).append(item)
    groups = [[language for language in by_language if (language in TWO_HANDED) == two] for two in (False, True)]
    agreeing = agreement([item for item in letters if item.language in groups[0]], processor)
    weights = [np.array([agreeing[language] + 0.01 for language in groups[0]]), np.ones(len(groups[1]))]
    words = []
    for _ in range(num_words):
        group = int(bool(groups[1]) and (not groups[0] or rng.random() < 0.1))
        draws = int(rng.integers(1, max_letters + 1))
        mixed = group == 0 and rng.random() < 0.55
        languages = rng.choice(groups[group], size=draws if mixed else 1, p=weights[group] / weights[group].sum())
        pools = [by_language[language] for language in np.broadcast_to(languages, draws)]
        words.append(_compose([pool[rng.integers(len(pool))] for pool in pools], processor, rng))
    return words


def describe(letter: Letter, processor: SignRecognizerProcessor) -> Float32[np.ndarray, "moments features"]:
    """The recognizer's features at five moments of a letter, equally apart, to compare letters without learning."""
    keypoints, confidence = processor.normalize(letter.poses[slice(*letter_span(letter.poses))])
    features = pose_features(torch.from_numpy(keypoints)[None], torch.from_numpy(confidence)[None])[0].numpy()
    return features[np.linspace(0, len(features) - 1, 7).round().astype(int)[1:6]]


def nearest_letters(
    queries: Float32[np.ndarray, "queries moments features"], table: Float32[np.ndarray, "letters moments features"]
) -> Int[np.ndarray, "queries letters"]:
    """Orders the letters of `table` by distance to each query, nearest first; features are scaled by their spread."""
    scale = table.std(axis=(0, 1)) + 0.1
    queries, table = (values.reshape(len(values), -1, len(scale)) / scale for values in (queries, table))
    return np.stack([((table - query) ** 2).sum(axis=(1, 2)).argsort(kind="stable") for query in queries])


def agreement(letters: Sequence[Letter], processor: SignRecognizerProcessor) -> dict[str, float]:
    """For each language, the share of its letters whose nearest neighbour in another language is the same letter."""
    if not letters:
        return {}
    table = np.stack([describe(item, processor) for item in letters])
    order = nearest_letters(table, table)
    right: dict[str, list[bool]] = {}
    for item, neighbours in zip(letters, order, strict=True):
        others = (letters[number].letter for number in neighbours if letters[number].language != item.language)
        right.setdefault(item.language, []).append(next(others, "") == item.letter)
    return {language: float(np.mean(of_language)) for language, of_language in right.items()}


def _compose(letters: Sequence[Letter], processor: SignRecognizerProcessor, rng: np.random.Generator) -> Word:
    pace = np.exp(rng.uniform(np.log(0.75), np.log(1.7)))
    rate = processor.frame_rate
    view = rng.normal(0, VIEW_RAD)
    clips = []
    for item in letters:
        # Hands that touch would come apart: each turns about its own wrist.
        turn = (view + rng.normal(0, 0.12, 3)) * (0.3 if item.language in TWO_HANDED else 1)
        turned = turn_hands(item.poses, item.depth, turn, rng)
        clips.append(resample(turned, rate, speed=pace * np.exp(rng.normal(0, 0.15))))
    word = join_letters(clips, [item.letter for item in letters])
    lead, trail = word.glosses[0].start, len(word) - word.glosses[-1].stop
    word = word[int(rng.integers(0, lead + 1)) : len(word) - int(rng.integers(0, trail + 1))]
    word = resample(word, rate, speed=float(np.exp(rng.uniform(np.log(0.8), np.log(1.25)))))
    spans = tuple((ALPHABET.index(span.gloss) + 1, span.start, span.stop) for span in word.glosses)
    return Word(*processor.normalize(word), spans)


def word_batches(
    words: Sequence[Word], *, batch_size: int, conv_stride: int, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of words of like length, without end, each newly augmented; inputs of `SignRecognizerForCTC`."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = rng.permutation(len(words))
        # Sorted by length within a few batches: little padding, and still another mixture every time.
        chunks = [
            sorted(order[start : start + 8 * batch_size], key=lambda number: len(words[number].keypoints))
            for start in range(0, len(order), 8 * batch_size)
        ]
        batches = [chunk[i : i + batch_size] for chunk in chunks for i in range(0, len(chunk), batch_size)]
        for number in rng.permutation(len(batches)):
            yield _batch([words[i] for i in batches[number]], conv_stride, generator)


def _batch(words: Sequence[Word], conv_stride: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    batch = dict(collate([(word.keypoints, word.confidence) for word in words]))
    batch["keypoints"], batch["confidence"] = augment(batch["keypoints"], batch["confidence"], generator)
    labels = np.zeros((len(words), max(len(word.spans) for word in words)), np.int64)
    frame_labels = np.full(batch["attention_mask"].shape, -100, np.int64)
    for row, word in enumerate(words):
        frame_labels[row, : len(word.keypoints)] = 0
        for column, (label, start, stop) in enumerate(word.spans):
            labels[row, column] = label
            frame_labels[row, start:stop] = -100  # where exactly a letter begins and ends is left to the CTC loss
            frame_labels[row, start + 1 : max(stop - 1, start + 2)] = label
    batch["labels"] = torch.from_numpy(labels)
    batch["frame_labels"] = torch.from_numpy(frame_labels[:, ::conv_stride].copy())
    return batch
