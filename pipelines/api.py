"""The loop from Python: `SignLoop` holds what takes long to load, and has one method a step."""

from pathlib import Path

from gen.renderers import Renderer, create_renderer
from pipelines.estimators import create_estimator
from pipelines.inputs import extract_from_video, load_signer
from pipelines.loop import run_loop
from pipelines.output import LoopReport
from pipelines.progress import Stages
from pipelines.recognize import find_poses
from pipelines.render import render_video
from poses.estimators import Estimator
from poses.fingerspelling import spell
from poses.io import is_video, load_poses
from poses.sequence import PoseSequence
from recognizer.reading import Reading, load_recognizer, read_glosses


class SignLoop:
    """Spells, renders, reads and compares.

    Wherever signing is asked for, a clip will do, and so will a pose file or a video.

    Args:
        renderer: A name of `gen.renderers.RENDERERS`, or a renderer of your own.
        estimator: A name of `pipelines.estimators.ESTIMATORS`, or an estimator of your own.
        recognizer: A folder that training wrote; None for the package's own.
        show: Whether to show progress on standard error.

    Raises:
        ValueError: There is no such renderer, estimator or recognizer.
    """

    def __init__(
        self,
        *,
        renderer: str | Renderer = "signer-small",
        estimator: str | Estimator = "mediapipe",
        recognizer: str | Path | None = None,
        show: bool = False,
    ):
        self.renderer = create_renderer(renderer) if isinstance(renderer, str) else renderer
        self.estimator = create_estimator(estimator) if isinstance(estimator, str) else estimator
        self.recognizer = load_recognizer(recognizer)
        self._show = show

    def spell(self, word: str, *, language: str = "ase", fps: float = 24.0) -> PoseSequence:
        """A fingerspelled word, put together from real letters. See `poses.fingerspelling.spell`."""
        return spell(word, language, fps=fps)

    def poses(self, signing: PoseSequence | str | Path) -> PoseSequence:
        """The poses of signing, looked for frame by frame in a video.

        Raises:
            ValueError: The file is neither poses nor a video, or nobody is in it.
        """
        if isinstance(signing, PoseSequence):
            return signing
        if is_video(Path(signing)):
            return extract_from_video(Path(signing), self.estimator, Stages(show=self._show))
        return load_poses(signing)

    def render(
        self,
        signing: PoseSequence | str | Path,
        output: str | Path,
        *,
        image: str | None = None,
        consent: str | None = None,
        keep: str | Path | None = None,
        height: int = 256,
        width: int = 256,
        num_inference_steps: int | None = None,
        seed: int = 0,
        overwrite: bool = False,
    ) -> Path:
        """Writes an mp4 of the signer signing this, and gives its path.

        Args:
            signing: What is signed.
            output: The video.
            image: A built-in signer's name or a picture; None for the renderer's own signer.
            consent: Who is in a picture of your own: one of `pipelines.inputs.CONSENTS`.
            keep: A mask as large as the picture, white where it must stay as it is; hands are hidden behind that.
            height: Pixels.
            width: Pixels.
            num_inference_steps: Denoising steps; None for the renderer's own default.
            seed: Of the renderer's noise.
            overwrite: Whether an existing file may be replaced.

        Raises:
            ValueError: A wrong argument, or the file is there already.
        """
        render_video(
            self.poses(signing),
            output,
            renderer=self.renderer,
            signer=load_signer(image, consent=consent, keep=keep, height=height, width=width),
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            seed=seed,
            overwrite=overwrite,
            stages=Stages(show=self._show),
        )
        return Path(output)

    def read(self, signing: PoseSequence | str | Path) -> Reading:
        """The glosses that the recognizer reads, each with confidence and frames.

        Raises:
            ValueError: The file is neither poses nor a video, nobody is in it, or it is slower than 5 or faster than
                120 frames a second.
        """
        if not isinstance(signing, PoseSequence):
            signing = find_poses(Path(signing), self.estimator, Stages(show=self._show))
        return read_glosses(signing, self.recognizer)

    def run(
        self,
        signing: PoseSequence | str | Path,
        output: str | Path,
        *,
        image: str | None = None,
        consent: str | None = None,
        height: int = 256,
        width: int = 256,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> LoopReport:
        """Renders, reads back, compares, and writes all of it into a new directory. See `pipelines.loop.run_loop`.

        Args:
            signing: What is signed.
            output: The directory.
            image: As for `render`.
            consent: As for `render`.
            height: Pixels.
            width: Pixels.
            num_inference_steps: As for `render`.
            seed: Of the renderer's noise.

        Raises:
            ValueError: A wrong argument, nobody is in the video, or `output` holds something.
        """
        return run_loop(
            signing,
            output,
            renderer=self.renderer,
            recognizer=self.recognizer,
            estimator=self.estimator,
            signer=load_signer(image, consent=consent, height=height, width=width),
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            seed=seed,
            stages=Stages(show=self._show),
        )
