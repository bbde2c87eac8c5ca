"""What the pipelines return: values that become JSON as they are. None stands where nothing could be measured."""

import json
from dataclasses import asdict, dataclass

from gen.renderers.base import Placement
from poses.sequence import GlossSpan
from recognizer.reading import Reading


@dataclass(frozen=True)
class PartFidelity:
    """How well one part of the body survived. See `pipelines.measures.pose.measure_part` for the definitions.

    Attributes:
        visible_points: Points of the driving pose that were compared, summed over frames.
        recall: Share of them that the estimator found again.
        mean_error: Mean distance of those found, in shoulder widths.
        pck_0_1: Share of them found within 0.1 shoulder widths.
        pck_0_2: Share of them found within 0.2 shoulder widths.
    """

    visible_points: int
    recall: float | None
    mean_error: float | None
    pck_0_1: float | None
    pck_0_2: float | None


@dataclass(frozen=True)
class Fidelity:
    """How much of a driving pose was found again in a video of it.

    Attributes:
        parts: By `body`, `left_hand`, `right_hand` and `face`.
        movement_ratio: Length of the wrists' path found again over the driving one.
        shoulder_width_px: The unit of every error, in pixels of the rendered frame.
        error_over_time: By part, the mean error of each frame in shoulder widths.
        recall_over_time: By part, the recall of each frame.
        signature: What the figures depend on.
    """

    parts: dict[str, PartFidelity]
    movement_ratio: float | None
    shoulder_width_px: float | None
    error_over_time: dict[str, list[float | None]]
    recall_over_time: dict[str, list[float | None]]
    signature: str


@dataclass(frozen=True)
class ErrorRate:
    """Word error rate with what it is made of: (substitutions + deletions + insertions) / reference length."""

    rate: float
    substitutions: int
    deletions: int
    insertions: int
    reference_length: int


@dataclass(frozen=True)
class ClipFacts:
    """What is known of the input."""

    source: str
    language: str
    num_frames: int
    fps: float
    width: int
    height: int


@dataclass(frozen=True)
class SignerFacts:
    """Who was rendered.

    Attributes:
        name: A built-in signer's name or a picture's file name; empty for the renderer's own signer.
        consent: Why they may be shown signing, as in `SignerPicture`: `built-in` for signers who are nobody.
    """

    name: str
    consent: str | None


@dataclass(frozen=True)
class Model:
    """A model that took part."""

    name: str
    version: str


@dataclass(frozen=True)
class LoopReport:
    """Everything one run of the loop found out.

    Attributes:
        signloop: Version of the package.
        input: The driving clip.
        signer: Whose picture was rendered.
        placement: Where the driving pose was put in the rendered frame, and how large that is.
        known_glosses: What the recognizer can read at all.
        reference_glosses: What the input says is signed; empty where it does not say.
        driving_reading: What the recognizer read from the driving pose.
        render_reading: What it read from the pose re-extracted from the render.
        driving_wer: Error rate of `driving_reading` against the reference.
        render_wer: Error rate of `render_reading` against the reference.
        render_against_driving_wer: Error rate of `render_reading` against `driving_reading`.
        fidelity: How much of the pose survived.
        models: Renderer, recognizer and estimator.
        packages: Versions of the packages that figures depend on.
        num_inference_steps: Denoising steps.
        seed: Of the renderer's noise.
        seconds: By stage.
        total_seconds: Their sum.
        render_frames_per_second: Of the render stage.
        total_frames_per_second: Of all stages together.
        peak_memory_mib: Most memory the process ever held.
        machine: What it ran on.
    """

    signloop: str
    input: ClipFacts
    signer: SignerFacts
    placement: Placement
    known_glosses: tuple[str, ...]
    reference_glosses: tuple[GlossSpan, ...]
    driving_reading: Reading
    render_reading: Reading
    driving_wer: ErrorRate | None
    render_wer: ErrorRate | None
    render_against_driving_wer: ErrorRate | None
    fidelity: Fidelity
    models: dict[str, Model]
    packages: dict[str, str]
    num_inference_steps: int
    seed: int
    seconds: dict[str, float]
    total_seconds: float
    render_frames_per_second: float
    total_frames_per_second: float
    peak_memory_mib: float
    machine: str


@dataclass(frozen=True)
class RecognitionReport:
    """Everything one reading found out.

    Attributes:
        signloop: Version of the package.
        input: The clip.
        from_video: Whether its poses were found in a video.
        known_glosses: What the recognizer can read at all.
        reference_glosses: What the input says is signed; empty where it does not say.
        reading: What was read.
        wer: Its error rate against the reference.
        models: The recognizer, and the estimator where there was a video.
        packages: Versions of the packages that figures depend on.
        seconds: By stage.
    """

    signloop: str
    input: ClipFacts
    from_video: bool
    known_glosses: tuple[str, ...]
    reference_glosses: tuple[GlossSpan, ...]
    reading: Reading
    wer: ErrorRate | None
    models: dict[str, Model]
    packages: dict[str, str]
    seconds: dict[str, float]


def to_json(report: LoopReport | RecognitionReport) -> str:
    """Writes a report as indented JSON.

    Raises:
        ValueError: A number is not finite, which JSON cannot say.
    """
    return json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False)
