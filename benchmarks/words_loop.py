"""How much of a spelled word survives the loop: 200 words of held-out languages, rendered, re-extracted and read.

`python -m benchmarks.words_loop` prints one JSON line (with `--known` of 108 words of alphabets that the recognizer was
trained on): the word error rate on the driving poses, and beside it on the poses found in each renderer's videos, with
paired differences to the driving poses, to the renderer before, and, with `--beside FOLDER`, to the results of another
run, such as with another signer. Each word is a file in the results folder, so a run that was stopped goes on where it
was; results of another signer, or of other weights, are refused.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.kept import check_settings
from benchmarks.recognizer import draw_words, read_words, word_figures
from pipelines.renderer_version import renderer_version
from poses.files import new_file
from poses.fingerspelling import letter_clips, spell
from recognizer.configuration_sign_recognizer import ALPHABET
from recognizer.metrics import bootstrap_interval, errors_by_gloss
from recognizer.training import TRAINING_LANGUAGES

SIZE = 256
KNOWN_WORDS_PER_LANGUAGE = 9
RENDERERS = ("avatar", "signer-small")


@dataclass(frozen=True)
class WordResult:
    """One word through one renderer."""

    language: str
    word: str
    renderer: str
    version: str
    read_from_driving: list[str]
    read_from_render: list[str]
    frames: int
    render_s: float
    hand_recall: float | None
    hand_error: float | None


@cache
def _renderer(name: str):
    from gen.renderers import create_renderer

    return create_renderer(name)


@cache
def _readers():
    from poses.estimators import create_estimator
    from recognizer.reading import load_recognizer

    return create_estimator("mediapipe"), load_recognizer()


def run_word(language: str, word: str, renderer_name: str, image: str | None) -> WordResult:
    """Renders one word into an mp4, as the loop does, and reads it back."""
    from pipelines.inputs import load_signer
    from pipelines.loop import reextract_poses
    from pipelines.measures.pose import measure_fidelity
    from pipelines.progress import Stages
    from pipelines.render import render_video
    from poses.video import read_frames
    from recognizer.reading import read_glosses

    renderer, (estimator, recognizer) = _renderer(renderer_name), _readers()
    driving = spell(word, language)
    signer = load_signer(image, height=SIZE, width=SIZE) if image else None
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "render.mp4"
        placement = render_video(
            driving, video, renderer=renderer, signer=signer, height=SIZE, width=SIZE, stages=stages
        )
        placed = placement(driving)
        found = reextract_poses(read_frames(video), placed, estimator)
    readings = read_glosses([driving, found], recognizer)
    fidelity = measure_fidelity(placed, found, estimator=f"{estimator.name} {estimator.version}")
    hands = [fidelity.parts[side] for side in ("left_hand", "right_hand")]
    recalls = [hand.recall for hand in hands if hand.recall is not None]
    errors = [hand.mean_error for hand in hands if hand.mean_error is not None]
    return WordResult(
        language=language,
        word=word,
        renderer=renderer.name,
        version=renderer_version(renderer),
        read_from_driving=[item.gloss for item in readings[0].glosses],
        read_from_render=[item.gloss for item in readings[1].glosses],
        frames=len(driving),
        render_s=stages.seconds["render"],
        hand_recall=float(np.mean(recalls)) if recalls else None,
        hand_error=float(np.mean(errors)) if errors else None,
    )


def _start_worker(threads: int):
    import torch

    torch.set_num_threads(threads)


def _run_and_keep(language: str, word: str, renderer: str, image: str | None, path: Path) -> Path:
    result = run_word(language, word, renderer, image)
    with new_file(path, overwrite=True) as aside:
        aside.write_text(json.dumps(asdict(result)), encoding="utf-8")
    return path


def summarize(results: list[WordResult]) -> dict:
    """Figures of one renderer over all words, beside those of the driving poses."""
    words = [(result.language, result.word) for result in results]
    driving = [result.read_from_driving for result in results]
    render = [result.read_from_render for result in results]
    above, interval = wer_above(words, driving, render)
    recalls = [result.hand_recall for result in results if result.hand_recall is not None]
    errors = [result.hand_error for result in results if result.hand_error is not None]
    return {
        "driving": word_figures(words, driving),
        "render": word_figures(words, render),
        "wer_above_driving": above,
        "wer_above_driving_interval": interval,
        "mean_hand_recall": float(np.mean(recalls)),
        "mean_hand_error_shoulder_widths": float(np.mean(errors)),
        "frames": sum(result.frames for result in results),
    }


def wer_above(
    words: Sequence[tuple[str, str]], before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]
) -> tuple[float, tuple[float, float]]:
    """How much more of the same words is read wrongly in one way than in another, and its interval."""
    references = [list(word) for _, word in words]
    errors = [np.concatenate(errors_by_gloss(references, readings)) for readings in (before, after)]
    extra = errors[1] - errors[0]
    causes = [[language for language, word in words for _ in word], [letter for _, word in words for letter in word]]
    return float(extra.mean()), bootstrap_interval(lambda w: float((w * extra).sum() / w.sum()), causes)


def settings_of(renderer: str, image: str | None) -> dict[str, str | int]:
    """What a renderer's results depend on, but for the words."""
    from pipelines.environment import fingerprint

    estimator, recognizer = _readers()
    if image and Path(image).is_file():
        image = hashlib.sha256(Path(image).read_bytes()).hexdigest()
    judges = {"estimator": estimator.version, "recognizer": fingerprint(recognizer.model)}
    return {**judges, "renderer": renderer_version(_renderer(renderer)), "image": image or "default", "size": SIZE}


def known_words() -> list[tuple[str, str]]:
    """Language and word, of the alphabets in Latin letters that the recognizer was trained on."""
    alphabets = {code: sorted(letter_clips(code).keys() & set(ALPHABET)) for code in TRAINING_LANGUAGES}
    return draw_words({code: letters for code, letters in alphabets.items() if letters}, KNOWN_WORDS_PER_LANGUAGE)


def main() -> None:
    """Runs what is missing and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--known", action="store_true", help="words of languages that the recognizer knows")
    parser.add_argument("--every", type=int, default=1, help="only the first of every so many words")
    parser.add_argument("--renderers", nargs="+", default=list(RENDERERS))
    parser.add_argument("--image", help="a built-in signer's name or a picture; the default signer if left out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("runs/words_loop"))
    parser.add_argument("--beside", type=Path, help="results of the same words, to be compared with")
    arguments = parser.parse_args()
    for renderer in arguments.renderers:
        check_settings(arguments.results / renderer / "settings.json", settings_of(renderer, arguments.image))
    words = (known_words() if arguments.known else read_words())[:: arguments.every]
    jobs = {
        (renderer, number): arguments.results / renderer / f"{number * arguments.every:03d}-{language}-{word}.json"
        for number, (language, word) in enumerate(words)
        for renderer in arguments.renderers
    }
    missing = [key for key, path in jobs.items() if not path.exists()]
    threads = max(1, (os.cpu_count() or 1) // arguments.workers)
    with (
        ProcessPoolExecutor(
            arguments.workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(threads,)
        ) as pool,
        tqdm(total=len(missing), unit="word", file=sys.stderr) as bar,
    ):
        pending = [
            pool.submit(_run_and_keep, *words[number], renderer, arguments.image, jobs[renderer, number])
            for renderer, number in missing
        ]
        for job in as_completed(pending):
            job.result()
            bar.update()
    figures, read = {}, {}
    for renderer in arguments.renderers:
        paths = [jobs[renderer, number] for number in range(len(words))]
        results = [WordResult(**json.loads(path.read_text())) for path in paths]
        figures[renderer] = summarize(results)
        others = {f"wer_above_{before}": of for before, of in list(read.items())[-1:]}
        read[renderer] = [result.read_from_render for result in results]
        if arguments.beside:
            beside = [json.loads((arguments.beside / renderer / path.name).read_text()) for path in paths]
            others["wer_above_those_beside"] = [result["read_from_render"] for result in beside]
        figures[renderer] |= {name: wer_above(words, before, read[renderer]) for name, before in others.items()}
    print(json.dumps({"words": len(words), "size": SIZE, "estimator": "mediapipe", "renderers": figures}))


if __name__ == "__main__":
    main()
