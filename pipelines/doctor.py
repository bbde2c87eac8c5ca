"""`signloop doctor`: what can run here, which files are missing and how to get them, and a short test of the default.

Nothing that may be broken is imported before it is looked at, so that a broken installation can still be told of.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recognizer.optional_weights import OPTIONAL_WEIGHTS  # which imports nothing that may be broken


@dataclass(frozen=True)
class Weights:
    """Files that a part cannot work without.

    Attributes:
        files: Their names.
        source: Where they come from: an address, or the package itself.
        licence: Of the files, not of the code that reads them.
        commercial: Whether they may be used commercially: yes, no, or unclear with the reason.
        find: Gives the path at which a file is looked for.
        get: How to come by missing ones; put after "to get them: ".
    """

    files: tuple[str, ...]
    source: str
    licence: str
    commercial: str
    find: Callable[[str], Path]
    get: str


@dataclass(frozen=True)
class Part:
    """What poses, videos or readings are made with, and whether it can run here.

    Attributes:
        kind: estimator, renderer, recognizer, track (for `signloop tracks`) or backbone (for `signloop train`).
        name: As on the command line: of a recognizer, its vocabulary.
        can_run: Whether all packages and files are here.
        licence: Of its weights.
        commercial: Whether the weights may be used commercially.
        missing_packages: Names on PyPI.
        missing_files: Where each was looked for.
        source: Where its files come from.
        get: How to come by what is missing; empty where nothing is.
    """

    kind: str
    name: str
    can_run: bool
    licence: str
    commercial: str
    missing_packages: tuple[str, ...]
    missing_files: tuple[str, ...]
    source: str
    get: str


@dataclass(frozen=True)
class SelfTest:
    """What came of running the embedded default once.

    Attributes:
        passed: Whether every step gave what it should.
        seconds: By step. Loading comes first; what follows is the test.
        problem: What went wrong, empty where nothing did.
    """

    passed: bool
    seconds: dict[str, float]
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """All that `signloop doctor` says."""

    versions: dict[str, str | None]
    parts: tuple[Part, ...]
    self_test: SelfTest

    @property
    def healthy(self) -> bool:
        """Whether the embedded default works."""
        return self.self_test.passed

    def facts(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"healthy": self.healthy, **asdict(self)}


def diagnose() -> Diagnosis:
    """Looks at everything and runs the self-test."""
    return Diagnosis(installed_versions(), tuple(examine(*key) for key in PARTS), run_self_test())


def installed_versions() -> dict[str, str | None]:
    """The version of SignLoop and of each package it asks for; None where one is missing."""
    names = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in requires("signloop") or ()]
    return {name: _version(name) for name in ("signloop", *sorted(names))}


def examine(kind: str, name: str) -> Part:
    """Looks for what one part needs, without loading it."""
    packages, weights = PARTS[kind, name]
    missing_packages = tuple(package for package in packages if _version(package) is None)
    paths = [] if missing_packages else [weights.find(file) for file in weights.files]
    missing_files = tuple(str(path) for path in paths if not path.is_file())
    ours = bool(packages or weights.files)  # what has neither is run elsewhere
    can_run = ours and not missing_packages and not missing_files
    get = f"pip install {' '.join(missing_packages)}" if missing_packages else "" if can_run else weights.get
    return Part(
        kind, name, can_run, weights.licence, weights.commercial, missing_packages, missing_files, weights.source, get
    )


def run_self_test() -> SelfTest:
    """Spells, reads, renders four frames and finds the signer in them, with what the package carries."""
    seconds: dict[str, float] = {}
    try:
        with _timed("load", seconds):
            from gen.renderers import create_renderer
            from poses.estimators import create_estimator
            from poses.fingerspelling import spell
            from recognizer.reading import load_recognizer, read_glosses

            renderer, estimator = create_renderer("signer-small"), create_estimator("mediapipe")
            recognizer = load_recognizer()
        with _timed("spell and read", seconds):
            poses = spell("LAB", "sgg")
            read = str(read_glosses(poses, recognizer))
        with _timed("render", seconds):
            start = poses.glosses[0].start
            placement = renderer.place(poses, None, height=256, width=256)
            frames = list(renderer.render(placement(poses[start : start + 4]), None))
        with _timed("find the pose", seconds):
            found = [estimator.estimate(frame)[1].any() for frame in frames]
            estimator.close()
    except Exception as error:  # whatever it is, to say it is what a doctor is for
        return SelfTest(False, seconds, f"{type(error).__name__}: {error}")
    problems = [
        f"the recognizer reads {read or 'nothing'} where L A B is spelled" * (read != "L A B"),
        "no signer is found in the render" * (not any(found)),
    ]
    return SelfTest(not any(problems), seconds, "; ".join(filter(None, problems)))


def summary(diagnosis: Diagnosis) -> str:
    """The same in words."""
    absent = [name for name, found in diagnosis.versions.items() if found is None]
    versions = ", ".join(f"{name} {found}" for name, found in diagnosis.versions.items() if found is not None)
    lines = [versions, *(f"missing package: {name}" for name in absent), ""]
    for part in diagnosis.parts:
        state = "can run" if part.can_run else "cannot run"
        terms = f"{part.licence}; commercial use: {part.commercial}"
        lines.append(f"{part.kind:<11}{part.name:<22}{state:<12}{terms}")
        lines += [f"{'':<11}missing {missing}" for missing in (*part.missing_packages, *part.missing_files)]
        if part.get:
            lines.append(f"{'':<11}from {part.source}; to get them: {part.get}")
    test = diagnosis.self_test
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in test.seconds.items())
    lines += ["", f"self-test   {'passed' if test.passed else 'failed: ' + test.problem} ({steps})"]
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - started, 2)


# What each part needs


def _in_package(package: str, folder: str = "") -> Callable[[str], Path]:
    def find(file: str) -> Path:
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        return Path(spec.submodule_search_locations[0]) / folder / file

    return find


def _in_rtmlib_cache(file: str) -> Path:
    """Where rtmlib looks before it fetches (rtmlib/tools/file.py, `_get_rtmhub_dir`)."""
    home = os.getenv("TORCH_HOME", os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "rtmlib"))
    return Path(home).expanduser() / "hub" / "checkpoints" / file


def _in_hub_cache(repository: str) -> Callable[[str], Path]:
    def find(file: str) -> Path:
        from huggingface_hub import constants, try_to_load_from_cache

        cached = try_to_load_from_cache(repository, file)
        folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
        return Path(cached) if isinstance(cached, str) else folder / file

    return find


def _optional(name: str, command: str) -> tuple[tuple[str, ...], Weights]:
    weights = OPTIONAL_WEIGHTS[name]
    return ("torch", "transformers"), Weights(
        (weights.file,),
        f"https://huggingface.co/{weights.repository}",
        weights.licence,
        weights.commercial,
        _in_hub_cache(weights.repository),
        f"with a network, `{command}` fetches them when it is first used",
    )


_REINSTALL = "install SignLoop anew; a checkout has them in git"
_FETCHES = "with a network, `signloop extract VIDEO OUT.npz --estimator {}` fetches them when it is first used"
_OURS = "Apache-2.0"

PARTS: dict[tuple[str, str], tuple[tuple[str, ...], Weights]] = {
    ("estimator", "mediapipe"): (
        ("mediapipe",),
        Weights(
            (
                "pose_detection/pose_detection.tflite",
                "pose_landmark/pose_landmark_full.tflite",
                "holistic_landmark/hand_recrop.tflite",
                "palm_detection/palm_detection_full.tflite",
                "hand_landmark/hand_landmark_full.tflite",
                "face_landmark/face_landmark_with_attention.tflite",
            ),
            "the package mediapipe",
            "Apache-2.0",
            "yes",
            _in_package("mediapipe", "modules"),
            "pip install --force-reinstall mediapipe==0.10.14",
        ),
    ),
    ("estimator", "dwpose"): (
        ("rtmlib", "onnxruntime"),
        Weights(
            ("yolox_l.onnx", "dw-ll_ucoco_384.onnx"),
            "https://huggingface.co/yzd-v/DWPose",
            "Apache-2.0",
            "unclear: trained on COCO-WholeBody and UBody, which are for research",
            _in_rtmlib_cache,
            _FETCHES.format("dwpose"),
        ),
    ),
    ("estimator", "openpose"): (
        ("controlnet-aux",),
        Weights(
            ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
            "https://huggingface.co/lllyasviel/Annotators",
            "OpenPose's own, for non-commercial research",
            "no",
            _in_hub_cache("lllyasviel/Annotators"),
            _FETCHES.format("openpose"),
        ),
    ),
    ("estimator", "video2pose"): (
        ("torch", "transformers"),
        Weights(
            ("config.json", "model.safetensors", "preprocessor_config.json"),
            "SignLoop",
            _OURS,
            "yes",
            _in_package("recognizer", "weights/video2pose"),
            _REINSTALL,
        ),
    ),
    ("renderer", "signer-small"): (
        ("torch", "diffusers"),
        Weights(
            ("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
            "SignLoop",
            _OURS,
            "yes",
            _in_package("gen", "weights/signer-small"),
            _REINSTALL,
        ),
    ),
    ("renderer", "avatar"): (
        ("warp-lang",),
        Weights(
            ("body.safetensors", "keypoints.csv"), "SignLoop", "CC0", "yes", _in_package("gen", "signers"), _REINSTALL
        ),
    ),
    **{
        ("recognizer", vocabulary): (
            ("torch", "transformers"),
            Weights(
                ("config.json", "model.safetensors", "preprocessor_config.json"),
                "SignLoop",
                _OURS,
                "yes",
                _in_package("recognizer", folder),
                _REINSTALL,
            ),
        )
        for vocabulary, folder in (("letters", "weights"), ("words", "weights/words"))
    },
    **{
        ("track", name): _optional(name, f"signloop tracks VIDEO OUT.npz --tracks dwpose {name}")
        for name in ("primedepth_depth", "sapiens_segmentation")
    },
    ("backbone", "vit"): _optional("vit", f"signloop train video2pose --backbone {OPTIONAL_WEIGHTS['vit'].repository}"),
    ("track", "smplerx"): (
        (),
        Weights(
            (),
            "https://github.com/caizhongang/SMPLer-X",
            "S-Lab License 1.0, and SMPL-X's own",
            "no",
            Path,
            "run it yourself; `signloop tracks VIDEO OUT.npz --smplerx FOLDER` reads what it wrote",
        ),
    ),
}
"""The packages and the files of each part, by kind and name."""
