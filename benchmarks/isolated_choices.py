"""Isolated words, to choose features, augmentation and steps by: every word is read of the signer who did not show it.

`python -m benchmarks.isolated_choices DATA` prints one JSON line. Half of the words that both main signers of asl16
sign are learned from thirty takes in a row of the one, half from such takes of the other, beside one session of isl18;
each is then read of the signer that it was not learned from: as recorded, and as a camera nearer by would have shown
it, whose picture ends `NEARER` shoulder widths below the shoulders; and the other way round, learned from pictures that
end there. A network that reads who signs, or how takes were recorded, so reads wrongly, as it does where the session
changes. The other session of isl18 takes no part. With `--within` one session of isl18 alone is used: `FEW` takes of
every word are learned, and those in which the signer sits least like there are read.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.isolated import SESSIONS, fit, read_sets
from benchmarks.word_sets import SETS
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import framed
from recognizer.word_clips import NormalizedClips
from recognizer.word_training import EDGES, STREAMS, WordTrainConfig, classify

SIGNERS = ("cam", "danial")
NEARER = 0.7

TAKES = 30
"""Takes that were recorded in a row."""

FEW = 3
"""Takes of a word that are learned to read others of the same session."""


def read_takes(data: Path) -> np.ndarray:
    """The number of the row of takes that each clip is from, in the order of `read_sets`."""
    numbers = []
    for folder in SETS:
        with np.load(data / folder / "keypoints.npz", allow_pickle=False) as arrays:
            numbers.append(arrays["seq"] // TAKES)
    return np.concatenate(numbers)


def crossed(clips: NormalizedClips, takes: np.ndarray, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of what is learned and what is read.

    Args:
        clips: Of both sets.
        takes: See `read_takes`.
        draw: Chooses who shows which word, and in which takes; two in a row exchange the signers and the sessions.
    """
    signers, labels = np.array(clips.signers), clips.labels.numpy()
    rng = np.random.default_rng(draw // 2)
    words = [
        label
        for label in np.unique(labels[labels > 0])
        if all((signers[labels == label] == who).any() for who in SIGNERS)
    ]
    learned = signers == SESSIONS[draw % 2]
    read = np.zeros(len(labels), bool)
    for number, word in enumerate(rng.permutation(words)):
        shown = (labels == word) & (signers == SIGNERS[(number + draw) % 2])
        learned |= shown & (takes == rng.choice(np.unique(takes[shown])))
        read |= (labels == word) & (signers == SIGNERS[(number + draw + 1) % 2])
    return learned, read


def read_sittings(data: Path) -> np.ndarray:
    """How signers sit, in the order of `read_sets`: log width of the shoulders, their place, nose and ears [clips, 5].

    All but the first in shoulder widths: x and y of the middle, height of the nose above it, distance of the ears.
    """
    sittings = []
    for folder in SETS:
        with np.load(data / folder / "keypoints.npz", allow_pickle=False) as arrays:
            points = arrays["pose"][..., :2].astype(np.float64) * (640, 480)
        nose, ears, shoulders = (np.median(points[:, :, of], axis=1) for of in (0, (7, 8), (11, 12)))
        width = np.abs(shoulders[:, 0, 0] - shoulders[:, 1, 0])
        middle = shoulders.mean(axis=1)
        lengths = (*middle.T, middle[:, 1] - nose[:, 1], np.linalg.norm(ears[:, 0] - ears[:, 1], axis=1))
        sittings.append(np.stack([np.log(width), *(length / width for length in lengths)], axis=1))
    return np.concatenate(sittings)


def unlike(clips: NormalizedClips, sittings: np.ndarray, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of a few takes of the draw's session that are learned, and of those least like them, which are read.

    Takes of a word are put in order by how their sittings differ most, and learned from either end.
    """
    signers, labels = np.array(clips.signers), clips.labels.numpy()
    rng = np.random.default_rng(draw)
    learned, read = np.zeros((2, len(labels)), bool)
    of_session = signers == SESSIONS[draw % 2]
    for word in np.unique(labels[of_session]):
        takes = np.flatnonzero(of_session & (labels == word))
        spread = sittings[takes] - sittings[takes].mean(axis=0)
        spread = spread / (spread.std(axis=0) + 1e-6)
        order = takes[np.linalg.svd(spread, full_matrices=False)[0][:, 0].argsort()]
        order = order[:: rng.choice([-1, 1])]
        learned[order[:FEW]] = True
        read[order[len(order) // 2 :]] = True
    return learned, read


def nearer(clips: NormalizedClips) -> NormalizedClips:
    """The clips as a camera nearer by shows them."""
    edge = torch.full((len(clips.signers),), NEARER)
    keypoints, confidence = framed(clips.keypoints, clips.confidence, edge)
    return replace(clips, keypoints=keypoints, confidence=confidence)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over words of the share that is read rightly where only these words are possible."""
    words = np.unique(labels)
    right = words[logits[:, words].argmax(axis=1)] == labels
    return float(np.mean([right[labels == word].mean() for word in words]))


def trained(
    system: str, clips: NormalizedClips, draw: int, steps: int, network: SignRecognizerConfig
) -> torch.nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        return fit(system, clips, WordTrainConfig(output_dir=Path(folder), num_steps=steps, seed=draw), network)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="+", default=["ours", "spoter"])
    parser.add_argument("--steps", type=int, default=WordTrainConfig.num_steps)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--within", action="store_true", help="read other takes of the session that is learned")
    arguments = parser.parse_args()
    sets = read_sets(arguments.data)
    if arguments.within:
        split = partial(unlike, sets.words, read_sittings(arguments.data))
    else:
        split = partial(crossed, sets.words, read_takes(arguments.data))
    network = SignRecognizerConfig(streams=STREAMS, edges=EDGES, id2label=dict(enumerate(sets.glosses)))
    result: dict = {"steps": arguments.steps}
    for system in arguments.systems:
        shares: dict[str, list[float]] = {}
        for draw in range(arguments.draws):
            learned, read = (sets.words[mask] for mask in split(draw))
            known = trained(system, learned, draw, arguments.steps, network)
            readings = {"as_recorded": (read, known), "read_nearer": (nearer(read), known)}
            if not arguments.within:
                other = trained(system, nearer(learned), draw, arguments.steps, network)
                readings["learned_nearer"] = (read, other)
            for name, (clips, model) in readings.items():
                shares.setdefault(name, []).append(accuracy(classify(clips, model), clips.labels.numpy()))
            print(system, draw, {name: found[-1] for name, found in shares.items()}, file=sys.stderr)
        result[system] = {name: {"mean": float(np.mean(found)), "draws": found} for name, found in shares.items()}
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
