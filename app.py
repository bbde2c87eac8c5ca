"""The web page: spell a word or bring a clip, choose a signer, watch the render, and see what was read back.

Layout and wiring only: the work is done by `pipelines`, and what the page looks like is said in `assets/`.
"""

import argparse
import base64
import gc
import html
import itertools
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from gen.renderers import RENDERERS, Renderer, SignerPicture
from gen.renderers.pictures import DEFAULT_SIGNER
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines.inputs import CONSENTS, extract_from_video, is_video, load_signer
from pipelines.jobs import Job
from pipelines.loop import run_loop
from pipelines.output import LoopReport
from pipelines.progress import Stages
from pipelines.report.page import STAGE_NAMES
from poses.estimators import Estimator, create_estimator
from poses.fingerspelling import LANGUAGES, spell
from poses.io import load_poses
from poses.languages import sign_languages
from poses.sequence import GlossSpan, PoseSequence
from poses.video import read_frames, read_info
from recognizer.reading import GlossReading, Recognizer, load_recognizer

ASSETS = Path(__file__).resolve().parent / "assets"

SIZE_PX = 256
"""Width and height of what is rendered."""

MAX_FRAMES = 600
"""Longest clip that the page takes, 25 s at 24 frames per second; the command line has no limit."""

MAX_UPLOAD_MB = 100
MAX_WAITING = 20
KEPT_S = 3600
"""Seconds after which uploads and results are deleted."""

EXAMPLES = (("HANDS", "ase"), ("LIBRAS", "bzs"), ("GRÜẞE", "gsg"), ("CIAO", "ise"), ("МИР", "ukl"))

SPELLED, BROUGHT = "Spell a word", "Use my own clip"
OWN_PICTURE = "My own picture"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What the form asks for.

    Attributes:
        source: `SPELLED` or `BROUGHT`.
        word: Letters, for `SPELLED`.
        language: Their language.
        clip: A pose file or a video, for `BROUGHT`.
        signer: A built-in signer's name or `OWN_PICTURE`.
        picture: The picture, for `OWN_PICTURE`.
        consent: Who is in it: one of `CONSENTS`.
        renderer: Its name.
        steps: Denoising steps; left aside by a renderer without diffusion.
        seed: Of the noise.
    """

    source: str
    word: str
    language: str
    clip: str | None
    signer: str
    picture: str | None
    consent: str | None
    renderer: str
    steps: float
    seed: float

    def check(self) -> None:
        """Refuses a form that is not filled in, before anything is computed.

        Raises:
            ValueError: Says what to fill in.
        """
        if self.source == SPELLED and not self.word.strip():
            raise ValueError("Write the word to spell, such as HANDS.")
        if self.source == BROUGHT and not self.clip:
            raise ValueError("Choose a pose file or a video to render.")
        if self.signer == OWN_PICTURE and not self.picture:
            raise ValueError("Choose the picture of the signer to show.")
        if self.signer == OWN_PICTURE and self.consent not in CONSENTS:
            raise ValueError("Say who is in the picture: nobody is shown signing without having agreed to it.")


def build_demo(
    *,
    renderers: Mapping[str, Renderer],
    recognizer: Recognizer,
    estimator: Estimator,
    load_signer: Callable[..., SignerPicture | None],
) -> gr.Blocks:
    """Lays out the page.

    Args:
        renderers: Those to choose from; the first one is chosen at first.
        recognizer: Reads the driving pose and the one found in the render.
        estimator: Finds poses in videos that are brought and in renders.
        load_signer: Gives a signer's picture by name, or by path and `consent`.
    """
    turn = threading.Lock()  # the models are shared
    results = tempfile.TemporaryDirectory(prefix="signloop-")
    gr.set_static_paths([results.name])  # each result lies in a folder there whose name cannot be guessed
    first = next(iter(renderers))

    def work(order: Order, folder: Path, stages: Stages) -> LoopReport:
        driving = read_driving(order, estimator, stages)
        renderer = renderers[order.renderer]
        with stages.stage("load"):
            if order.signer == OWN_PICTURE:
                signer = load_signer(str(order.picture), consent=order.consent)
            else:
                signer = load_signer(order.signer)
        report = run_loop(
            driving,
            folder / "report",
            renderer=renderer,
            recognizer=recognizer,
            estimator=estimator,
            signer=signer,
            height=SIZE_PX,
            width=SIZE_PX,
            num_inference_steps=int(order.steps) if renderer.default_num_inference_steps else None,
            seed=int(order.seed),
            stages=stages,
        )
        shutil.make_archive(str(folder / "signloop"), "zip", folder / "report")
        return report

    def render(*fields: Any) -> Iterator[dict[Any, Any]]:
        """Runs the loop on a filled-in form and yields what the page shows meanwhile."""
        order, last_folder = Order(*fields[:-1]), fields[-1]
        folder = Path(results.name) / secrets.token_urlsafe(16)
        job = None
        remove(last_folder)
        hidden = gr.update(visible=False)
        try:
            yield {status: say("Working …"), steps_taken: "", result: "", download: hidden, kept: None}
            order.check()
            folder.mkdir()
            job = Job(partial(work, order, folder), turn=turn)
            stage = ""
            while not job.wait(0.25):
                update = {steps_taken: show_progress(job)}
                if job.stage != stage:  # said by screen readers, so no more often than that
                    stage = job.stage
                    update[status] = say(f"{stage_name(stage)} …")
                yield update
            yield {
                status: say(summary(job.outcome.result())),
                steps_taken: "",
                result: show_report(folder / "report" / "index.html"),
                download: gr.update(value=str(folder / "signloop.zip"), visible=True),
                cancel: gr.update(interactive=False),
                kept: str(folder),
            }
        except GeneratorExit:  # cancelled, or the page was closed
            if job:
                job.stop()
                job.outcome.add_done_callback(lambda _: remove(folder))
            raise
        except Exception as error:
            remove(folder)
            failed = {status: refuse(explain(error, order)), steps_taken: "", result: text("empty.html")}
            yield {**failed, download: hidden, cancel: gr.update(interactive=False), kept: None}

    with gr.Blocks(title="SignLoop", fill_width=True, analytics_enabled=False, delete_cache=(600, KEPT_S)) as demo:
        kept = gr.State(None, time_to_live=KEPT_S, delete_callback=remove)
        gr.HTML(text("header.html"), elem_id="header")
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="form"):
                with gr.Group():
                    source = gr.Radio([SPELLED, BROUGHT], value=SPELLED, label="What is signed", elem_id="source")
                    with gr.Column(elem_id="spelled") as spelled:
                        word = gr.Textbox(EXAMPLES[0][0], label="Word", max_lines=1, max_length=40, elem_id="word")
                        languages = [(f"{language_name(code)} · {code}", code) for code in LANGUAGES]
                        language = gr.Dropdown(
                            languages, value=EXAMPLES[0][1], label="Sign language", elem_id="language"
                        )
                        with gr.Row(elem_id="examples"):
                            gr.HTML("Examples", elem_classes="note")
                            examples = [gr.Button(example, size="sm") for example, _ in EXAMPLES]
                    limits = f"up to {MAX_FRAMES} frames and {MAX_UPLOAD_MB} MB"
                    clip = gr.File(label=f"Pose file or video: {limits}", height=140, visible=False, elem_id="clip")
                with gr.Group():
                    signers = [(name.capitalize(), name) for name in BUILT_IN_SIGNERS]
                    signer = gr.Radio(
                        [*signers, OWN_PICTURE], value=DEFAULT_SIGNER, label="Who signs", elem_id="signer"
                    )
                    with gr.Column(visible=False) as own:
                        picture = gr.Image(
                            label="Picture: head, shoulders and hips, facing the camera",
                            type="filepath",
                            image_mode=None,  # handed over as it is: it is opened where pictures are checked
                            sources=["upload", "clipboard"],
                            height=200,
                            elem_id="picture",
                        )
                        answers = [(answer, word) for word, answer in CONSENTS.items()]
                        consent = gr.Radio(answers, label="Who is in the picture?", elem_id="consent")
                with gr.Accordion("Renderer, steps, seed", open=False, elem_id="settings"):
                    renderer = gr.Radio(list(renderers), value=first, label="Renderer", elem_id="renderer")
                    gr.HTML(text("renderers.html"), elem_classes="note")
                    steps = gr.Slider(1, 8, step=1, label="Denoising steps", **steps_of(renderers[first]))
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
                with gr.Row(elem_id="buttons"):
                    go = gr.Button("Render", variant="primary", elem_id="render", scale=3)
                    cancel = gr.Button("Cancel", interactive=False, elem_id="cancel", scale=1)
            with gr.Column(elem_id="outcome"):
                status = gr.HTML(say(""), elem_id="status")
                steps_taken = gr.HTML("", elem_id="steps")
                download = gr.DownloadButton("Download everything (zip)", visible=False, elem_id="download")
                result = gr.HTML(text("empty.html"), elem_id="result", js_on_load=SHOW_REPORT)
        gr.HTML(text("footer.html"), elem_id="footer")

        at_once = partial(dict, queue=False, show_progress="hidden", api_visibility="private")
        for button, example in zip(examples, EXAMPLES, strict=True):
            button.click(lambda example=example: example, None, [word, language], **at_once())
        source.change(
            lambda chosen: (gr.update(visible=chosen == SPELLED), gr.update(visible=chosen == BROUGHT)),
            source,
            [spelled, clip],
            **at_once(),
        )
        signer.change(lambda chosen: gr.update(visible=chosen == OWN_PICTURE), signer, own, **at_once())
        renderer.change(lambda name: gr.update(**steps_of(renderers[name])), renderer, steps, **at_once())
        started = [go.click, word.submit]
        gr.on(started, lambda: gr.update(interactive=True), None, cancel, js="() => showOutcome()", **at_once())
        rendering = gr.on(
            started,
            render,
            [source, word, language, clip, signer, picture, consent, renderer, steps, seed, kept],
            [status, steps_taken, result, download, cancel, kept],
            show_progress="minimal",
            show_progress_on=status,
            concurrency_limit=1,
            api_name="render",
        )
        rendering.failure(js="() => sayUnreadable()", **at_once())
        cancel.click(
            lambda: (say("Cancelled."), "", text("empty.html"), gr.update(interactive=False)),
            None,
            [status, steps_taken, result, cancel],
            js="() => sayCancelled()",
            cancels=rendering,
            **at_once(),
        )
    return demo.queue(max_size=MAX_WAITING)


def language_name(code: str) -> str:
    """A sign language's name in English."""
    if code == "ukl":  # which SignVerse-2M does not have
        return "Ukrainian Sign Language"
    return sign_languages()[code].name


def steps_of(renderer: Renderer) -> dict[str, Any]:
    """Value and visibility of the steps slider for a renderer."""
    default = renderer.default_num_inference_steps
    return {"value": default or 1, "visible": default > 0}


def read_driving(order: Order, estimator: Estimator, stages: Stages) -> PoseSequence:
    """Gets the poses to render.

    Raises:
        ValueError: They cannot be had, or are too many.
    """
    if order.source == SPELLED:
        driving = spell(order.word.strip(), order.language)
    else:
        path = Path(str(order.clip))
        if is_video(path):
            check_video_length(path)
            driving = extract_from_video(path, estimator, stages)
        else:
            driving = load_poses(path)
    check_length(driving.source, len(driving))
    return driving


def check_video_length(path: Path) -> None:
    """Refuses a video of more than `MAX_FRAMES`, by what it declares and, since that may be wrong, by looking.

    Raises:
        ValueError: It is longer.
    """
    check_length(path.name, read_info(path).num_frames or 0)
    if next(itertools.islice(read_frames(path), MAX_FRAMES, None), None) is not None:
        raise too_long(path.name, "more")


def check_length(name: str, num_frames: int) -> None:
    """Refuses more than `MAX_FRAMES`.

    Raises:
        ValueError: There are more.
    """
    if num_frames > MAX_FRAMES:
        raise too_long(name, str(num_frames))


def too_long(name: str, found: str) -> ValueError:
    """Says how long a clip may be."""
    limit = f"expected at most {MAX_FRAMES} frames, found {found}"
    return ValueError(f"{name}: {limit}; cut it, or use `signloop loop`, which has no limit.")


def remove(folder: str | Path | None) -> None:
    """Deletes a result, if it is there."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def explain(error: Exception, order: Order) -> str:
    """One line for a person: what was wrong, with uploads called by their names."""
    if not isinstance(error, ValueError):
        logger.error("The render failed.", exc_info=error)
        return f"SignLoop failed ({type(error).__name__}). This is not your fault; the terminal it runs in says more."
    line = " ".join(str(error).split())
    for upload in (order.clip, order.picture):
        if upload:
            line = line.replace(upload, Path(upload).name)
    return line


def summary(report: LoopReport) -> str:
    """The outcome in a line."""

    def glosses(items: Sequence[GlossSpan | GlossReading]) -> str:
        return "\N{NO-BREAK SPACE}".join(item.gloss for item in items) or "nothing"

    signed, driving = report.reference_glosses, report.driving_reading.glosses
    expected = f"Signed: {glosses(signed)}." if signed else f"Read from the driving pose: {glosses(driving)}."
    read = glosses(report.render_reading.glosses)
    return f"Done in {report.total_seconds:.0f} s. {expected} Read from the render: {read}."


def stage_name(stage: str) -> str:
    """What is done in a stage, in words."""
    name = STAGE_NAMES.get(stage, stage)
    return name[:1].upper() + name[1:]


def say(line: str) -> str:
    """A line that screen readers speak when they have time."""
    return f'<p role="status">{html.escape(line)}</p>'


def refuse(line: str) -> str:
    """A line that screen readers speak at once."""
    return f'<p role="alert">{html.escape(line)}</p>'


def show_progress(job: Job[Any]) -> str:
    """The stages of a job, with a bar for the one that runs."""
    rows = [f'<li class="done">{stage_name(stage)}</li>' for stage in job.stages_done]
    if job.stage:
        name, left = stage_name(job.stage), job.seconds_left()
        count = f"{job.num_done} of {job.num_frames} frames" if job.num_frames else ""
        count += "" if left is None else f", {left:.0f} s left"
        share = f'value="{job.num_done}" max="{job.num_frames}"' if job.num_frames else ""
        rows.append(f'<li class="now">{name}<span>{count}</span><progress {share} aria-label="{name}"></progress></li>')
    met = {*job.stages_done, job.stage}
    ahead = [stage for stage in ("load", "render", "re-extract", "recognize", "draw") if stage not in met]
    return f'<ol class="stages">{"".join(rows)}{"".join(f"<li>{stage_name(stage)}</li>" for stage in ahead)}</ol>'


def show_report(page: Path) -> str:
    """The report in a frame, and where to see it alone."""
    address = html.escape(f"gradio_api/file={page}")
    return (
        f'<iframe src="{address}" title="The render and what was read from it" scrolling="no"></iframe>'
        f'<p><a href="{address}" target="_blank">Open this report on a page of its own</a></p>'
    )


def text(name: str) -> str:
    """A file of `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


SHOW_REPORT = 'watch("value", () => element.querySelectorAll("iframe").forEach(showReport));'


def portraits() -> str:
    """CSS that puts each built-in signer's portrait on their radio button."""
    sheet = base64.b64encode((ASSETS / "portraits.webp").read_bytes()).decode()
    last = len(BUILT_IN_SIGNERS) - 1
    return f"#signer {{ --portraits: url(data:image/webp;base64,{sheet}) }}\n" + "\n".join(
        f"#signer label:nth-of-type({number + 1})::before {{ background-position: {100 * number / last:.4g}% 0 }}"
        for number in range(len(BUILT_IN_SIGNERS))
    )


COLOURS = {
    "body_background_fill": ("#f6f5f1", "#101218"),
    "body_text_color": ("#1b1e26", "#e9ebf1"),
    "body_text_color_subdued": ("#59616f", "#a2abba"),
    "block_background_fill": ("#ffffff", "#181b23"),
    "block_border_color": ("#dfddd5", "#2c313d"),
    "border_color_primary": ("#dfddd5", "#2c313d"),
    "input_background_fill": ("#f6f5f1", "#20242e"),
    "button_primary_background_fill": ("#3b4cc0", "#a5b1ff"),
    "button_primary_background_fill_hover": ("#2d3ba0", "#bcc5ff"),
    "button_primary_text_color": ("#ffffff", "#101218"),
    "button_secondary_background_fill": ("#eeece5", "#20242e"),
    "button_secondary_background_fill_hover": ("#dfddd5", "#2c313d"),
    "checkbox_label_background_fill": ("#f6f5f1", "#20242e"),
    "checkbox_label_background_fill_hover": ("#eeece5", "#2c313d"),
    "checkbox_label_background_fill_selected": ("#eef0fb", "#262c46"),
}
"""The report's colours, in light and in dark."""


def theme() -> gr.themes.Base:
    """The report's colours, and fonts that are there already: nothing is fetched."""
    font, mono = gr.themes.Font("system-ui"), gr.themes.Font("ui-monospace")
    fonts = {"font": [font, gr.themes.Font("sans-serif")], "font_mono": [mono, gr.themes.Font("monospace")]}
    look = gr.themes.Base(primary_hue="indigo", neutral_hue="stone", radius_size="lg", **fonts)
    dark = {f"{name}_dark": colour for name, (_, colour) in COLOURS.items()}
    return look.set(**{name: colour for name, (colour, _) in COLOURS.items()}, **dark)


def launch(demo: gr.Blocks, **options: Any) -> str:
    """Serves the page and gives its address. Nothing is loaded from elsewhere, nothing is reported.

    Args:
        demo: From `build_demo`.
        options: For `gr.Blocks.launch`.
    """
    _, address, _ = demo.launch(
        theme=theme(),
        css=text("app.css") + portraits(),
        head=f"<script>{text('app.js')}</script>",
        share=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD_MB * 2**20,
        **options,
    )
    return address


def main() -> None:
    """Loads what the page needs and serves it until Ctrl-C."""
    parser = argparse.ArgumentParser(description="SignLoop's web page.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="7860 or the next free one by default")
    arguments = parser.parse_args()
    demo = build_demo(
        renderers={name: RENDERERS[name]() for name in ("signer-small", "avatar")},
        recognizer=load_recognizer(),
        estimator=create_estimator("mediapipe"),
        load_signer=partial(load_signer, height=SIZE_PX, width=SIZE_PX),
    )
    gc.freeze()  # imageio collects garbage whenever it closes a video: spare it what was loaded
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that results are cleared away then, too
    launch(demo, server_name=arguments.host, server_port=arguments.port)


if __name__ == "__main__":
    main()
