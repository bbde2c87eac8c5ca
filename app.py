"""The web page: render a clip and read it back, read a clip, measure a video, look through a file of poses.

Layout and wiring only: the work is done by `pipelines`, and what the page looks like is said in `assets/`.
"""

import argparse
import base64
import dataclasses
import gc
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ListFiles

from gen.renderers import Renderer
from gen.renderers.pictures import DEFAULT_SIGNER
from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines import augment, orders
from pipelines.augment_order import AugmentOrder
from pipelines.dataset import FORMATS
from pipelines.evaluate import load_judges
from pipelines.evaluate_order import PAIR, SEVERAL, EvaluateOrder
from pipelines.examples import SHORT_WORD, WORD, example_poses, example_shard, example_store
from pipelines.explore_order import ExploreOrder
from pipelines.inputs import CONSENTS, load_signer
from pipelines.jobs import RENDERING, Job, Line
from pipelines.orders import (
    BROUGHT,
    MAX_FRAMES,
    MAX_LETTERS,
    MAX_LETTERS_OF_WORDS,
    MAX_SET_FRAMES,
    OWN_PICTURE,
    RECORDED,
    SPELLED,
    UPLOADED,
    Done,
    Order,
    Tools,
)
from pipelines.progress import Stages
from pipelines.report.live import (
    explain,
    refuse,
    say,
    show_preview,
    show_progress,
    show_report,
    show_wait,
    stage_name,
)
from poses.fingerspelling import LANGUAGES
from poses.languages import sign_languages

ASSETS = Path(__file__).resolve().parent / "assets"

SIZE_PX = 256
"""Width and height of what is rendered."""

MAX_UPLOAD_MB = 100
MAX_WAITING = 64
"""Orders that wait; who comes then is told that too many do."""

KEPT_S, SWEEP_S = 3600, 60
"""Seconds after which uploads and results are deleted, and between two looks for them."""

LOOK_S, PREVIEW_S = 0.5, 2.0
"""Seconds between two looks at how far an order is, and at least between two previews of a render."""

EXAMPLES = (("HANDS", "ase"), ("LIBRAS", "bzs"), ("GRÜẞE", "gsg"), ("CIAO", "ise"), ("МИР", "ukl"))
SIGNERS = [(name.capitalize(), name) for name in BUILT_IN_SIGNERS]
FORMAT_NAMES = dict(zip(FORMATS, ("A folder", "WebDataset shards", "Hugging Face datasets"), strict=True))
LIMITS = f"up to {MAX_FRAMES} frames and {MAX_UPLOAD_MB} MB"

API = "; gives the address of a zip, then what the page shows: a line, stages done, the report's frame."

AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Desk:
    """What all tabs share.

    Attributes:
        tools: What orders are carried out with.
        folder: All that is handed over and made lies there. It goes when the page does.
        line: Who works and who waits.
    """

    tools: Tools
    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=partial(tempfile.TemporaryDirectory, prefix="signloop-")
    )
    line: Line = field(default_factory=Line)

    @property
    def results(self) -> Path:
        """Each result lies in a folder there whose name cannot be guessed."""
        return Path(self.folder.name, "results")

    @property
    def uploads(self) -> Path:
        """Nothing there is ever shown as a page."""
        return Path(self.folder.name, "uploads")


@dataclass(frozen=True)
class Outcome:
    """The part of a tab that says how it goes and shows what came of it."""

    download: gr.DownloadButton
    status: gr.HTML
    steps: gr.HTML
    result: gr.HTML
    cancel: gr.Button
    kept: gr.State
    empty: str


Form = tuple[list[gr.components.Component], list[Callable[..., Any]]]
"""A form's fields, in the order of what it fills in, and what starts it besides its button."""


def build_demo(tools: Tools) -> gr.Blocks:
    """Lays out the page."""
    desk = Desk(tools)
    for folder in (desk.results, desk.uploads):
        folder.mkdir()
    threading.Thread(target=sweep, args=(Path(desk.folder.name),), daemon=True).start()
    os.environ["GRADIO_TEMP_DIR"] = str(desk.uploads)  # read by every field as it is made
    gr.set_static_paths([desk.results])
    tabs = {
        "Render": (orders.RenderOrder, render_form, "Renders a clip and reads the video back"),
        "Recognize": (orders.RecognizeOrder, recognize_form, "Reads the glosses in a clip"),
        "Evaluate": (EvaluateOrder, evaluate_form, "Compares videos with their driving poses"),
        "Augment": (AugmentOrder, augment_form, "Makes a small training set"),
        "Explore": (ExploreOrder, explore_form, "Says what a file or a store of poses holds"),
    }
    with gr.Blocks(title="SignLoop", fill_width=True, analytics_enabled=False, delete_cache=(SWEEP_S, KEPT_S)) as demo:
        gr.HTML(text("header.html"), elem_id="header")
        with gr.Tabs(elem_id="tabs"):
            for name, (order, form, does) in tabs.items():
                with gr.Tab(name, id=name, elem_id=name.lower(), render_children=True):
                    lay_out(name, order, form, f"{does}{API}", desk)
        gr.HTML(text("footer.html"), elem_id="footer")
    for block in demo.blocks.values():
        if isinstance(block, gr.File | gr.Image | gr.Video):
            take_only_files(block)
    return demo.queue(max_size=MAX_WAITING)


def sweep(folder: Path) -> None:
    """Deletes what was handed over and made when its time is over, for as long as the folder is there.

    Gradio does so with uploads that arrived whole under a good name, and forgets the others.
    """
    while folder.exists():
        too_old = time.time() - KEPT_S
        for inside, _, names in os.walk(folder):
            for path in (Path(inside, name) for name in names):
                with suppress(FileNotFoundError):  # others delete, too
                    if path.stat().st_mtime < too_old:
                        path.unlink()
        time.sleep(SWEEP_S)


def take_only_files(field: gr.File | gr.Image | gr.Video) -> None:
    """Has a field hand over the file that it is given, unopened.

    Gradio would download what lies at an address, however large it is, fail at damaged pictures without a word, and
    leave an empty file for each upload.
    """
    take = field.async_move_resource_to_block_cache

    async def take_file(url_or_file_path: str | Path | None) -> str | None:
        if "://" in str(url_or_file_path):
            raise gr.Error("Hand over the file itself, not its address.")
        return await take(url_or_file_path)

    def hand_over(payload: Any) -> Any:
        if isinstance(payload, ListFiles):
            return [file.path for file in payload]
        return payload.path if payload else None

    field.async_move_resource_to_block_cache = take_file
    field.preprocess = hand_over


def lay_out(name: str, order: type[Order], form: Callable[[Desk], Form], does: str, desk: Desk) -> None:
    """Puts a form and its outcome side by side, and wires them.

    Args:
        name: The tab's, and its button's.
        order: What the form fills in.
        form: Lays out the fields.
        does: What the endpoint of the tab's name does.
        desk: What all tabs share.
    """
    tab = name.lower()
    with gr.Row(elem_classes="page"):
        with gr.Column(elem_classes="order"):
            fields, further = form(desk)
            with gr.Row(elem_classes="buttons"):
                go = gr.Button(name, variant="primary", elem_id=f"{tab}-go", scale=3)
                cancel = gr.Button("Cancel", interactive=False, elem_id=f"{tab}-cancel", scale=1)
        with gr.Column(elem_classes="outcome"):
            empty = text(f"empty-{tab}.html")
            outcome = Outcome(
                status=gr.HTML(say(""), label="Status", elem_id=f"{tab}-status", elem_classes="status"),
                steps=gr.HTML("", label="Steps", elem_id=f"{tab}-steps", elem_classes="steps"),
                download=gr.DownloadButton("Download everything (zip)", visible=False, elem_classes="download"),
                result=gr.HTML(
                    empty, label="Report", elem_id=f"{tab}-result", elem_classes="result", js_on_load=SHOW_REPORT
                ),
                cancel=cancel,
                kept=gr.State(None, time_to_live=KEPT_S, delete_callback=remove),
                empty=empty,
            )

    def run(*answers: Any) -> Iterator[dict[Any, Any]]:
        yield from carry_out(order(*answers[:-1]), answers[-1], outcome, desk)

    name_answers(run, order, fields)
    started = [go.click, *further]
    gr.on(started, lambda: gr.update(interactive=True), None, cancel, js=f"() => showOutcome('{tab}')", **AT_ONCE)
    running = gr.on(
        started,
        run,
        [*fields, outcome.kept],
        [outcome.download, outcome.status, outcome.steps, outcome.result, cancel, outcome.kept],
        show_progress="minimal",
        show_progress_on=outcome.status,
        concurrency_limit=None,  # who waits is told how long, so they wait in the desk's own line
        api_name=tab,
        api_description=does,
    )
    running.failure(js=f"() => sayUnreadable('{tab}')", **AT_ONCE)
    cancel.click(
        lambda: (say("Cancelled."), "", empty, gr.update(interactive=False)),
        None,
        [outcome.status, outcome.steps, outcome.result, cancel],
        js=f"() => sayCancelled('{tab}')",
        cancels=running,
        **AT_ONCE,
    )


def name_answers(run: Any, order: Any, fields: Sequence[Any]) -> None:
    """Has programs hand over a form's answers by the order's names, and what the form holds at first for others."""
    names = [answer.name for answer in dataclasses.fields(order)]
    kind = Parameter.POSITIONAL_OR_KEYWORD
    answers = [Parameter(name, kind, default=field.value) for name, field in zip(names, fields, strict=True)]
    run.__signature__ = Signature([*answers, Parameter("last_folder", kind, default=None)])


def carry_out(order: Order, last_folder: str | None, outcome: Outcome, desk: Desk) -> Iterator[dict[Any, Any]]:
    """Carries out an order and yields what its tab shows meanwhile."""
    folder = desk.results / secrets.token_urlsafe(16)
    job = None
    remove(last_folder)
    hidden = gr.update(visible=False)

    def work(stages: Stages) -> Done:
        done = order.carry_out(folder / "report", desk.tools, stages)
        (folder / "report" / "command-line.txt").write_text("\n".join([*done.commands, ""]), encoding="utf-8")
        shutil.make_archive(str(folder / "signloop"), "zip", folder / "report")
        return done

    try:
        start = {outcome.status: say("Starting …"), outcome.steps: "", outcome.result: ""}
        yield {**start, outcome.download: hidden, outcome.kept: None}
        if len(desk.line) > MAX_WAITING:
            raise ValueError(f"{MAX_WAITING} orders wait already; try again in a few minutes.")
        folder.mkdir()
        job = Job(work, line=desk.line)
        yield from follow(job, order, outcome, desk.line)
        done = job.outcome.result()
        yield {
            outcome.status: say(done.summary),
            outcome.steps: "",
            outcome.result: show_report(folder / "report" / "index.html", done.commands),
            outcome.download: gr.update(value=str(folder / "signloop.zip"), visible=True),
            outcome.cancel: gr.update(interactive=False),
            outcome.kept: str(folder),
        }
    except GeneratorExit:  # cancelled, or the page was closed
        if job:
            job.stop()
            job.outcome.add_done_callback(lambda _: remove(folder))
        raise
    except Exception as error:
        remove(folder)
        failed = {
            outcome.status: refuse(explain(error, order.uploads)),
            outcome.steps: "",
            outcome.result: outcome.empty,
        }
        yield {**failed, outcome.download: hidden, outcome.cancel: gr.update(interactive=False), outcome.kept: None}


def follow(job: Job[Done], order: Order, outcome: Outcome, line: Line) -> Iterator[dict[Any, Any]]:
    """Yields how long a job still waits, how far it is, and what it has rendered, until it is over."""
    said, previewed, shown_at = "", 0.0, time.monotonic()
    while not job.wait(LOOK_S):
        num_ahead = line.ahead(job)
        now = show_wait(line.seconds_until(job)) if num_ahead else show_progress(job, order.stages)
        update: dict[Any, Any] = {outcome.steps: now}
        doing = f"Waiting: {num_ahead} ahead of you." if num_ahead else f"{stage_name(job.stage)} …"
        if doing != said and (num_ahead or job.stage):  # spoken by screen readers, so no more often than that
            said = doing
            update[outcome.status] = say(doing)
        if job.stage in RENDERING and job.num_done > previewed and time.monotonic() - shown_at >= PREVIEW_S:
            previewed, shown_at = job.num_done, time.monotonic()
            update[outcome.result] = show_preview(list(job.rendered))
        yield update


def render_form(desk: Desk) -> Form:
    """What to render, who signs, and how."""
    with gr.Group():
        source = gr.Radio([SPELLED, BROUGHT], value=SPELLED, label="What is signed", elem_id="source")
        with gr.Column(elem_id="spelled") as spelled:
            word = gr.Textbox(EXAMPLES[0][0], label="Word", max_lines=1, max_length=MAX_LETTERS, elem_id="word")
            language = language_field("language")
            with gr.Row(elem_classes="examples"):
                gr.HTML("Examples", elem_classes="note")
                for example in EXAMPLES:
                    button = gr.Button(example[0], size="sm")
                    button.click(lambda example=example: example, None, [word, language], **AT_ONCE)
        clip = gr.File(label=f"Pose file or video: {LIMITS}", height=140, visible=False, elem_id="clip")
    with gr.Group():
        names = [*SIGNERS, OWN_PICTURE]
        signer = gr.Radio(names, value=DEFAULT_SIGNER, label="Who signs", elem_id="signer", elem_classes="signers")
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
        settings = renderer_fields(desk.tools.renderers)
    switch(source, {SPELLED: spelled, BROUGHT: clip})
    signer.change(lambda chosen: gr.update(visible=chosen == OWN_PICTURE), signer, own, **AT_ONCE)
    return [source, word, language, clip, signer, picture, consent, *settings], [word.submit]


def language_field(name: str) -> gr.Dropdown:
    """Which language is spelled."""
    languages = [(f"{language_name(code)} · {code}", code) for code in LANGUAGES]
    return gr.Dropdown(languages, value=EXAMPLES[0][1], label="Sign language", elem_id=name)


def renderer_fields(renderers: Mapping[str, Renderer]) -> list[gr.components.Component]:
    """Which renderer, in how many steps, from which noise."""
    first = next(iter(renderers))
    renderer = gr.Radio(list(renderers), value=first, label="Renderer")
    gr.HTML(text("renderers.html"), elem_classes="note")
    steps = gr.Slider(1, 8, step=1, label="Denoising steps", **steps_of(renderers[first]))
    seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    renderer.change(lambda name: gr.update(**steps_of(renderers[name])), renderer, steps, **AT_ONCE)
    return [renderer, steps, seed]


def recognize_form(desk: Desk) -> Form:
    """A clip to read."""
    with gr.Group():
        source = gr.Radio([UPLOADED, RECORDED], value=UPLOADED, label="What is read", elem_id="read-source")
        with gr.Column() as uploaded:
            clip = gr.File(label=f"Pose file or video to read: {LIMITS}", height=140, elem_id="read-clip")
            with gr.Row(elem_classes="examples"):
                gr.HTML("Examples", elem_classes="note")
                poses, video = gr.Button(f"{WORD}, poses", size="sm"), gr.Button(f"{WORD}, video", size="sm")
        recording = gr.Video(
            label=f"Your signing: up to {MAX_FRAMES} frames ({MAX_FRAMES // 30} s of most cameras), without sound",
            sources=["webcam"],
            # As it is: ffmpeg, which mirroring and taking sound off want, may not be there.
            webcam_options=gr.WebcamOptions(mirror=False, constraints={"audio": False, "video": {"height": 480}}),
            include_audio=True,
            visible=False,
            elem_id="recording",
        )
    switch(source, {UPLOADED: uploaded, RECORDED: recording})
    poses.click(lambda: given(desk, example_poses), None, clip, **AT_ONCE)
    video.click(lambda: given(desk, example_video), None, clip, **AT_ONCE)
    return [source, clip, recording], []


def evaluate_form(desk: Desk) -> Form:
    """Driving poses and videos of them."""
    with gr.Group():
        source = gr.Radio([PAIR, SEVERAL], value=PAIR, label="What is compared", elem_id="pairs")
        with gr.Column() as pair:
            driving = gr.File(label=f"Driving pose: a pose file, {LIMITS}", height=140, elem_id="driving")
            video = gr.File(label=f"Video of it, whoever made it: {LIMITS}", height=140, elem_id="video")
            with gr.Row(elem_classes="examples"):
                gr.HTML("Example", elem_classes="note")
                one = gr.Button(f"{WORD}, drawn by avatar", size="sm")
        with gr.Column(visible=False) as several:
            label = f"Videos and poses, or a zip of them: up to {MAX_SET_FRAMES:,} frames and {MAX_UPLOAD_MB} MB"
            files = gr.File(label=label, file_count="multiple", height=220, elem_id="files")
            gr.HTML(text("pairs.html"), elem_classes="note")
            with gr.Row(elem_classes="examples"):
                gr.HTML("Example", elem_classes="note")
                few = gr.Button(f"{WORD} and {SHORT_WORD}, drawn by avatar", size="sm")
    switch(source, {PAIR: pair, SEVERAL: several})

    def files_of(*words: str) -> list[str]:
        return [given(desk, partial(make, word=word)) for word in words for make in (example_poses, example_video)]

    one.click(partial(files_of, WORD), None, [driving, video], **AT_ONCE)
    few.click(partial(files_of, WORD, SHORT_WORD), None, files, **AT_ONCE)
    return [source, driving, video, files], []


def augment_form(desk: Desk) -> Form:
    """What to vary, by whom, and how often."""
    with gr.Group():
        source = gr.Radio([SPELLED, BROUGHT], value=SPELLED, label="What is varied", elem_id="set-source")
        with gr.Column() as spelled:
            words = gr.Textbox(
                "HANDS OK",
                label="Words, parted by spaces",
                max_lines=1,
                max_length=MAX_LETTERS_OF_WORDS,
                elem_id="words",
            )
            language = language_field("set-language")
        clip = gr.File(label=f"Pose file: up to {MAX_UPLOAD_MB} MB", height=140, visible=False, elem_id="set-clip")
    with gr.Group():
        signers = gr.CheckboxGroup(
            SIGNERS, value=list(BUILT_IN_SIGNERS)[:2], label="Who signs", elem_id="set-signers", elem_classes="signers"
        )
        variants = gr.Slider(1, 8, 1, step=1, label="Variations of each clip by each signer", elem_id="variants")
    with gr.Accordion("Renderer, steps, seed, format", open=False, elem_id="set-settings"):
        settings = renderer_fields(desk.tools.renderers)
        format = gr.Radio([(name, of) for of, name in FORMAT_NAMES.items()], value="folder", label="Format of the set")
    switch(source, {SPELLED: spelled, BROUGHT: clip})
    return [source, words, language, clip, signers, variants, *settings, format], [words.submit]


def explore_form(desk: Desk) -> Form:
    """A file to look through."""
    with gr.Group():
        label = f"Pose file, shard of SignVerse-2M, or zip or tar of a store: up to {MAX_UPLOAD_MB} MB"
        file = gr.File(label=label, height=140, elem_id="file")
        with gr.Row(elem_classes="examples"):
            gr.HTML("Examples", elem_classes="note")
            shard, store = (
                gr.Button("A small shard with defects", size="sm"),
                gr.Button("The same as a store", size="sm"),
            )
            poses = gr.Button(f"{WORD}, poses", size="sm")
    store.click(lambda: given(desk, example_store), None, file, **AT_ONCE)
    shard.click(lambda: given(desk, example_shard), None, file, **AT_ONCE)
    poses.click(lambda: given(desk, example_poses), None, file, **AT_ONCE)
    return [file], []


def switch(source: gr.Radio, parts: dict[str, gr.blocks.Block]) -> None:
    """Shows of several parts the one that is chosen."""
    choose = lambda chosen: [gr.update(visible=chosen == name) for name in parts]  # noqa: E731
    source.change(choose, source, list(parts.values()), **AT_ONCE)


def given(desk: Desk, make: Callable[[Path], Path]) -> str:
    """Makes an example for somebody, in a folder of its own."""
    folder = desk.results / "examples"
    folder.mkdir(exist_ok=True)
    return str(make(folder))


def example_video(folder: Path, word: str = WORD) -> Path:
    """A word as `avatar` draws it."""
    return Path(shutil.copy(ASSETS / f"{word}.mp4", folder))


def language_name(code: str) -> str:
    """A sign language's name in English."""
    if code == "ukl":  # which SignVerse-2M does not have
        return "Ukrainian Sign Language"
    return sign_languages()[code].name


def steps_of(renderer: Renderer) -> dict[str, Any]:
    """Value and visibility of the steps slider for a renderer."""
    default = renderer.default_num_inference_steps
    return {"value": default or 1, "visible": default > 0}


def remove(folder: str | Path | None) -> None:
    """Deletes a result, if it is there."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def text(name: str) -> str:
    """A file of `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


SHOW_REPORT = 'watch("value", () => element.querySelectorAll("iframe").forEach(showReport));'


def portraits() -> str:
    """CSS that puts each built-in signer's portrait on their radio button."""
    sheet = base64.b64encode((ASSETS / "portraits.webp").read_bytes()).decode()
    last = len(BUILT_IN_SIGNERS) - 1
    return f".signers {{ --portraits: url(data:image/webp;base64,{sheet}) }}\n" + "\n".join(
        f".signers label:nth-of-type({number + 1})::before {{ background-position: {100 * number / last:.4g}% 0 }}"
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
    look = gr.themes.Base(primary_hue="indigo", neutral_hue="gray", radius_size="lg", **fonts)
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
        show_error=True,  # says why a request that no form sends was refused
        max_file_size=MAX_UPLOAD_MB * 2**20,
        max_threads=MAX_WAITING + 16,  # each order that is waited for holds one most of the time
        **options,
    )
    return address


def login(password: str | None) -> dict[str, Any]:
    """Options of `launch` that have everybody asked for a password, where there is one."""
    return {"auth": ("signloop", password), "auth_message": text("login.html")} if password else {}


def main() -> None:
    """Loads what the page needs and serves it until Ctrl-C."""
    parser = argparse.ArgumentParser(description="SignLoop's web page.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="7860 or the next free one by default")
    parser.epilog = "With SIGNLOOP_PASSWORD in the environment, the page asks for it, and for the name signloop."
    arguments = parser.parse_args()
    judges = load_judges("mediapipe")
    tools = Tools(
        renderers={name: augment.load_renderer(name) for name in ("signer-small", "avatar")},
        recognizer=judges.recognizer,
        estimator=judges.estimator,
        load_signer=partial(load_signer, height=SIZE_PX, width=SIZE_PX),
        size_px=SIZE_PX,
    )
    demo = build_demo(tools)
    gc.freeze()  # imageio collects garbage whenever it closes a video: spare it what was loaded
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that results are cleared away then, too
    where = {"server_name": arguments.host, "server_port": arguments.port}
    asked = login(os.environ.get("SIGNLOOP_PASSWORD"))
    address = launch(demo, prevent_thread_lock=True, quiet=True, **where, **asked)  # Gradio would offer a public link
    print(f"SignLoop's page is at {address} until Ctrl-C.", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
