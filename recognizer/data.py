"""Training data: words composed from the letter clips of many languages, and what makes many signers of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch.nn import functional as F

from poses.fingerspelling import TWO_HANDED, join_letters, letter_clips, letter_span, resample
from poses.keypoints import HAND, HAND_BONES
from poses.sequence import PoseSequence
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.modeling_sign_recognizer import BODY_POINTS, pose_features
from recognizer.processing_sign_recognizer import SignRecognizerProcessor, collate, leads_with_left, mirror

_RIGHT_HAND = slice(len(BODY_POINTS), len(BODY_POINTS) + len(HAND))
_LEFT_HAND = slice(len(BODY_POINTS) + len(HAND), len(BODY_POINTS) + 2 * len(HAND))
_RIGHT_ARM = (BODY_POINTS.index("right_wrist"), BODY_POINTS.index("right_elbow"))
_LEFT_ARM = (BODY_POINTS.index("left_wrist"), BODY_POINTS.index("left_elbow"))


@dataclass(frozen=True)
class Letter:
    """One letter's clip, right hand leading."""

    letter: str
    language: str
    poses: PoseSequence


def load_letters(languages: Sequence[str]) -> list[Letter]:
    """Reads the letters A to Z of `languages`, mirrored where the left hand leads."""
    letters = []
    for language in languages:
        for letter, poses in letter_clips(language).items():
            if letter in ALPHABET:
                letters.append(Letter(letter, language, mirror(poses) if leads_with_left(poses) else poses))
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
    clips = [resample(item.poses, rate, speed=pace * np.exp(rng.normal(0, 0.15))) for item in letters]
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


def augment(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    generator: torch.Generator,
) -> tuple[Float[torch.Tensor, "batch frames points 2"], Float[torch.Tensor, "batch frames points"]]:
    """Makes other signers, cameras and pose estimators of a batch, in the recognizer's body frame.

    In order: finger joints turn and bones change length, hands turn, tilt and grow, arms move, the picture is sheared,
    points jitter as an estimator's do, hands get lost for some frames.
    """
    keypoints = keypoints.clone()
    batch, frames, _, _ = keypoints.shape
    for hand, arm in ((_RIGHT_HAND, _RIGHT_ARM), (_LEFT_HAND, _LEFT_ARM)):
        points = keypoints[:, :, hand]
        wrist = points[:, :, :1]
        shape = _bend_fingers(points - wrist, generator)
        shape = shape @ _tilts(batch, frames, generator)
        moved = _drift(batch, frames, generator, clip=0.12, letter=0.06)
        keypoints[:, :, hand] = wrist + shape + moved[:, :, None]
        keypoints[:, :, arm] += moved[:, :, None]
    camera = torch.eye(2) + 0.1 * torch.randn(batch, 1, 2, 2, generator=generator)
    keypoints = keypoints @ camera
    keypoints = keypoints + _jitter(keypoints, generator)
    confidence = _lose(confidence, generator)
    return torch.where(confidence[..., None] > 0, keypoints, 0), confidence


def _smooth_noise(batch: int, frames: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise that changes over some ten frames, about a letter. Shape [batch, frames, channels]."""
    knots = torch.randn(batch, channels, frames // 10 + 2, generator=generator)
    return F.interpolate(knots, size=frames, mode="linear", align_corners=True).transpose(1, 2)


def _drift(batch: int, frames: int, generator: torch.Generator, *, clip: float, letter: float) -> torch.Tensor:
    """Offsets [batch, frames, 2]: one for the clip, one that changes from letter to letter."""
    constant = clip * torch.randn(batch, 1, 2, generator=generator)
    return constant + letter * _smooth_noise(batch, frames, 2, generator)


def _rotations(angles: torch.Tensor) -> torch.Tensor:
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)


def _tilts(batch: int, frames: int, generator: torch.Generator) -> torch.Tensor:
    """A 2x2 map a frame: turn about the view axis, size, and foreshortening along a random direction."""
    angle = 0.26 * torch.randn(batch, 1, generator=generator) + 0.2 * _smooth_noise(batch, frames, 1, generator)[..., 0]
    size = torch.exp(0.15 * torch.randn(batch, 1, generator=generator))
    squeeze = torch.exp(-0.3 * torch.randn(batch, 1, generator=generator).abs())
    squeeze = squeeze * torch.exp(0.08 * _smooth_noise(batch, frames, 1, generator)[..., 0])
    axis = _rotations(torch.pi * torch.rand(batch, 1, generator=generator).expand(batch, frames))
    diagonal = torch.stack([size.expand(batch, frames), size * squeeze], dim=-1)
    return axis @ torch.diag_embed(diagonal) @ axis.transpose(-1, -2) @ _rotations(angle)


def _bend_fingers(shape: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turns every bone a little, fingers most, and changes its length; shape [batch, frames, 21, 2] from the wrist."""
    batch, frames = shape.shape[:2]
    finger = 0.2 * _smooth_noise(batch, frames, 5, generator) + 0.16 * torch.randn(batch, 1, 5, generator=generator)
    joint = 0.15 * _smooth_noise(batch, frames, 20, generator)
    length = torch.exp(0.12 * torch.randn(batch, 1, 20, generator=generator))
    result = torch.zeros_like(shape)
    for number, (root, tip) in enumerate(HAND_BONES):
        start, stop = HAND.index(root), HAND.index(tip)
        turn = joint[..., number] + (finger[..., number // 4] if number % 4 else 0.3 * finger[..., number // 4])
        bone = (shape[:, :, stop] - shape[:, :, start])[:, :, None] @ _rotations(turn)
        result[:, :, stop] = result[:, :, start] + length[..., number, None] * bone[:, :, 0]
    return result


def _jitter(keypoints: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Estimator noise: a level a clip, part of it new every frame, part of it slow; up to 3 px of a 256 px frame."""
    batch, frames, points, _ = keypoints.shape
    level = 0.022 * torch.rand(batch, 1, 1, 1, generator=generator)
    white = torch.randn(batch, frames, points, 2, generator=generator)
    slow = _smooth_noise(batch, frames, 2 * points, generator).view(batch, frames, points, 2)
    return level * (0.6 * white + 0.8 * slow)


def _lose(confidence: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Loses hands for runs of frames, elbows, wrists or the nose for whole clips, and changes how sure the rest is."""
    batch, frames, _ = confidence.shape
    confidence = confidence * (0.6 + 0.4 * torch.rand(batch, 1, 1, generator=generator))
    rate = 0.25 * torch.rand(batch, 1, generator=generator) * (torch.rand(batch, 1, generator=generator) < 0.6)
    lost = _runs(frames, rate, generator)
    confidence = confidence.clone()
    for hand in (_RIGHT_HAND, _LEFT_HAND):
        confidence[:, :, hand] *= ~lost[..., None]
        lost = _runs(frames, rate, generator)
    body = torch.rand(batch, 1, len(BODY_POINTS), generator=generator) < 0.05
    confidence[:, :, : len(BODY_POINTS)] *= ~body
    return confidence


def _runs(frames: int, rate: torch.Tensor, generator: torch.Generator) -> Bool[torch.Tensor, "batch frames"]:
    """Frames lost in runs of three on average, `rate` of all."""
    noise = _smooth_noise(len(rate), 3 * frames, 1, generator)[:, :frames, 0]
    quick = torch.rand(len(rate), frames, generator=generator) < 0.3
    return (torch.special.ndtr(noise * 1.2) < rate) & ~quick
