"""The page without a browser: what it asks, refuses, shows, and leaves behind."""

import base64
import dataclasses
import html
import inspect
import io
import json
import re
import shlex
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gen.signers.appearance import BUILT_IN_SIGNERS
from pipelines import augment_order, cli, evaluate, evaluate_order, explore_order, orders
from pipelines.augment_order import AugmentOrder
from pipelines.clip_evaluation import Judges
from pipelines.evaluate_order import SEVERAL, EvaluateOrder
from pipelines.examples import example_shard, example_store
from pipelines.explore_order import ExploreOrder
from pipelines.measures.features import OrientedFilters
from pipelines.report.contents import DEFECTS
from poses.fingerspelling import spell
from poses.formats.signverse_repairs import VERSIONS
from poses.io import load_poses, save_poses
from poses.video import read_frames, read_info, write_video

ORDERS = {
    "render": orders.RenderOrder,
    "recognize": orders.RecognizeOrder,
    "evaluate": EvaluateOrder,
    "augment": AugmentOrder,
    "explore": ExploreOrder,
}


def press(demo: Any, tab: str = "render", **answers: Any) -> Iterator[dict[str, Any]]:
    """Presses a tab's button on a form with these answers; yields what is shown, by what it is."""
    event = next(event for event in demo.fns.values() if event.api_name == tab)
    fields = [*(field.name for field in dataclasses.fields(ORDERS[tab])), "kept"]
    values = [answers.get(name, block.value) for name, block in zip(fields, event.inputs, strict=True)]
    shown = ("download", "status", "steps", "result", "cancel", "kept")
    ids = dict(zip(event.outputs, shown, strict=True))
    assert event.fn is not None
    for update in event.fn(*values):
        yield {ids[block]: value for block, value in update.items()}


def words(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup).replace("\N{NO-BREAK SPACE}", " ").replace("&#x27;", "'").strip()


def refusal(demo: Any, tab: str = "render", **answers: Any) -> str:
    """What the page says to a form that cannot be followed, once nothing is left over from trying."""
    last = list(press(demo, tab, **answers))[-1]
    assert 'role="alert"' in last["status"]
    assert last["kept"] is None
    return words(last["status"])


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "my clip.npz"
    save_poses(spell("AB", "ase"), path)
    return path


def test_a_word_is_rendered_and_read_back(app, demo, renderer):
    shown = list(press(demo, word=" ab ", num_inference_steps=3, seed=7))
    last = shown[-1]
    assert re.fullmatch(r"Done in \d+ s\. Signed: A B\. Read from the render: A B\.", words(last["status"]))
    assert renderer.asked == {
        "signer": app.DEFAULT_SIGNER,
        "consent": None,
        "num_inference_steps": 3,
        "seed": 7,
    }
    kept = Path(last["kept"])
    assert f'src="gradio_api/file={kept}/report/index.html"' in last["result"]
    with zipfile.ZipFile(last["download"]["value"]) as archive:
        assert {"render.mp4", "report.json", "index.html"} <= set(archive.namelist())
        commands = archive.read("command-line.txt").decode().splitlines()
    assert commands[0] == "signloop spell ab word.npz --language ase"
    assert commands[1].startswith("signloop loop word.npz --output report --image alex")

    list(press(demo, word="C", kept=str(kept)))
    assert not kept.exists()  # a result goes when the next one is asked for


def test_progress_is_shown_stage_by_stage(demo, renderer):
    renderer.gate.clear()
    bar = r'<li class="now">Rendering<span>3 of \d+ frames, \d+ s left</span><progress value="3" max="\d+" aria-label='
    spoken = []
    for update in press(demo, word="A"):
        spoken += [words(update["status"])] if "status" in update else []
        if re.search(bar, update.get("steps", "")):
            assert '<li class="done">Loading models</li>' in update["steps"]
            assert "<li>Finding the pose in the render</li>" in update["steps"]
            renderer.gate.set()
    assert renderer.gate.is_set()
    assert spoken[0] == "Starting …"
    assert "Rendering …" in spoken
    assert len(spoken) == len(set(spoken))  # once a stage, so that a screen reader is not flooded


def test_closing_the_page_or_cancelling_stops_the_work(demo, renderer, results):
    renderer.gate.clear()
    shown = press(demo, word="ABC")
    while renderer.num_frames < 4:
        next(shown)
    (folder,) = results.iterdir()
    shown.close()
    renderer.gate.set()
    deadline = time.monotonic() + 60
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    assert renderer.num_frames == 4


def test_pose_files_and_own_pictures_are_taken(demo, renderer, clip):
    own = {"signer": orders.OWN_PICTURE, "picture": "/x/me.png", "consent": "self"}
    *_, last = press(demo, source=orders.BROUGHT, clip=str(clip), **own)
    assert "Signed: A B." in words(last["status"])
    assert (renderer.asked["signer"], renderer.asked["consent"]) == ("me.png", "self")


def test_where_nobody_says_what_is_signed_the_driving_pose_is_read(demo, tmp_path):
    save_poses(replace(spell("A", "ase"), glosses=()), tmp_path / "clip.npz")
    *_, last = press(demo, source=orders.BROUGHT, clip=str(tmp_path / "clip.npz"))
    assert "Read from the driving pose: A. Read from the render: A." in words(last["status"])


def test_renderers_without_diffusion_are_asked_for_no_steps(app, demo, renderer):
    assert app.steps_of(renderer) == {"value": 2, "visible": True}
    renderer.default_num_inference_steps = 0
    assert app.steps_of(renderer) == {"value": 1, "visible": False}
    list(press(demo, word="A", num_inference_steps=3))
    assert renderer.asked["num_inference_steps"] is None


def test_forms_that_are_not_filled_in_are_refused(demo, clip):
    assert refusal(demo, word="  ") == "Write the word to spell, such as HANDS."
    assert refusal(demo, source=orders.BROUGHT) == "Choose a pose file or a video to render."
    assert refusal(demo, signer=orders.OWN_PICTURE, consent="self") == "Choose the picture of the signer to show."
    assert "Say who is in the picture" in refusal(demo, signer=orders.OWN_PICTURE, picture="me.png")
    assert refusal(demo, renderer="none") == "Choose a renderer."


def test_what_no_form_would_hold_is_refused_before_it_takes_memory(demo):
    assert refusal(demo, word="A" * 10**6) == "Expected at most 40 letters, found 1,000,000."
    assert refusal(demo, "augment", words="A " * 10**6) == "Expected at most 80 letters, found 1,999,999."


@pytest.mark.parametrize("seed", [None, float("nan"), 1.5, 2**63, -1])
def test_seeds_that_are_none_are_refused(demo, seed):
    assert refusal(demo, seed=seed).startswith("`seed` must be ")


def test_wrong_input_is_refused_in_one_line_that_names_the_upload(demo, tmp_path):
    assert "`word` must be spelled from the ase letters A B C" in refusal(demo, word="A1")
    path = tmp_path / "clip.npz"
    path.write_bytes(b"\x80\x04.")
    line = refusal(demo, source=orders.BROUGHT, clip=str(path))
    assert re.fullmatch(r"clip\.npz: must be a pose file \(.*\), found a Python pickle\.", line)
    assert refusal(demo, source=orders.BROUGHT, clip=str(tmp_path / "gone.npz")) == "gone.npz: no such file or folder."


def test_uploads_are_handed_over_unopened(demo, results, tmp_path):
    import gradio as gr
    from gradio.data_classes import ListFiles

    upload = tmp_path / "me.png"
    upload.write_text("no picture")
    before = sorted(results.parent.rglob("*"))
    fields = [block for block in demo.blocks.values() if isinstance(block, gr.File | gr.Image | gr.Video)]
    assert len(fields) == 9
    file, one, several = gr.FileData(path=str(upload)), set(), []
    for field in fields:
        if getattr(field, "file_count", "single") == "multiple":
            several.append(field.preprocess(ListFiles([file, file])))
        else:
            one.add(field.preprocess(file))
    assert (one, several) == ({str(upload)}, [[str(upload), str(upload)]])
    assert sorted(results.parent.rglob("*")) == before


def test_clips_that_are_too_long_are_refused(demo, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(orders, "MAX_FRAMES", 5)
    found = len(spell("AB", "ase"))
    cure = "; cut it, or use the command line, which has no limit."
    line = refusal(demo, source=orders.BROUGHT, clip=str(clip))
    assert line == f"my clip.npz: expected at most 5 frames, found {found}{cure}"
    video = tmp_path / "long.mp4"
    write_video(video, [np.zeros((16, 16, 3), np.uint8)] * 6, fps=2)
    line = refusal(demo, source=orders.BROUGHT, clip=str(video))
    assert line == f"long.mp4: expected at most 5 frames, found 6{cure}"


def test_videos_that_declare_too_few_frames_are_counted(tmp_path, monkeypatch):
    video = tmp_path / "long.mp4"
    write_video(video, [np.zeros((16, 16, 3), np.uint8)] * 6, fps=2)
    monkeypatch.setattr(orders, "read_info", lambda path: replace(read_info(path), num_frames=1))
    monkeypatch.setattr(orders, "MAX_FRAMES", 6)
    orders.check_clip(video)
    monkeypatch.setattr(orders, "MAX_FRAMES", 5)
    with pytest.raises(ValueError, match=r"long.mp4: expected at most 5 frames, found more; cut it"):
        orders.check_clip(video)


def test_videos_without_anybody_are_refused(demo, tmp_path):
    video = tmp_path / "empty.mp4"
    write_video(video, [np.zeros((16, 16, 3), np.uint8)] * 3, fps=10)
    line = refusal(demo, source=orders.BROUGHT, clip=str(video))
    assert line == "empty.mp4: expected a person, found none in any of 3 frames."


def test_our_own_mistakes_are_not_the_users(demo, capsys):
    line = refusal(demo, signer="broken")
    assert line == "SignLoop failed (RuntimeError). This is not your fault; the terminal it runs in says more."
    assert "a bug" in capsys.readouterr().err


def test_what_a_user_writes_is_never_markup(demo):
    status = list(press(demo, word="<b>"))[-1]["status"]
    assert "&lt;" in status
    assert "<b>" not in status.removeprefix('<p role="alert">')


def test_orders_of_all_tabs_wait_in_one_line_and_are_told_how_long(app, demo, renderer, clip, monkeypatch):
    monkeypatch.setattr(app, "LOOK_S", 0.01)
    list(press(demo, word="A"))
    renderer.gate.clear()
    first, second = press(demo, word="ABC"), press(demo, "recognize", clip=str(clip))
    while "now" not in next(first).get("steps", ""):
        pass
    updates = [next(second) for _ in range(3)]
    assert [words(update["status"]) for update in updates if "status" in update] == [
        "Starting …",
        "Waiting: 1 ahead of you.",
    ]
    assert re.fullmatch(r"Your turn comes in about \d+ s\.", words(updates[-1]["steps"]))
    monkeypatch.setattr(app, "MAX_WAITING", 1)
    assert refusal(demo, word="A") == "1 orders wait already; try again in a few minutes."
    first.close()
    renderer.gate.set()
    *_, last = second
    assert "Read: A B." in words(last["status"])


def test_what_is_rendered_is_shown_meanwhile(app, demo, renderer, monkeypatch):
    monkeypatch.setattr(app, "PREVIEW_S", 0.0)
    renderer.gate.clear()
    shown = press(demo, word="A")
    num_frames = (0, 0)
    while num_frames != (1, 3):  # a still and what moves: the gate holds back the fourth frame
        preview = next(update["result"] for update in shown if update.get("result"))
        data = re.findall(r'"data:image/webp;base64,([^"]+)"', preview)
        still, moving = (Image.open(io.BytesIO(base64.b64decode(picture))) for picture in data)
        assert still.size == moving.size == (64, 64)
        num_frames = getattr(still, "n_frames", 1), getattr(moving, "n_frames", 1)
    shown.close()
    renderer.gate.set()


def test_every_field_has_a_label(demo):
    import gradio as gr

    fields = (gr.Radio, gr.Textbox, gr.Dropdown, gr.File, gr.Image, gr.Video, gr.Slider, gr.Number)
    assert all(block.label for block in demo.blocks.values() if isinstance(block, fields))


def test_examples_can_be_spelled_and_every_signer_has_a_portrait(app):
    with Image.open(app.ASSETS / "portraits.webp") as sheet:
        width, height = sheet.size
    assert width == height * len(BUILT_IN_SIGNERS)
    for word, language in app.EXAMPLES:
        assert [span.gloss for span in spell(word, language).glosses] == list(word)


def test_nothing_on_the_page_comes_from_elsewhere(app):
    files = [path for path in app.ASSETS.iterdir() if path.suffix in (".css", ".js", ".html")]
    look = app.theme()
    assert files
    for text in (*(app.text(path.name) for path in files), str(look._stylesheets), str(look._font_css)):
        assert not re.search(r"https?:|//[a-z]|@import|@font-face", text)


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darker, lighter = sorted([luminance(first), luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(app, scheme):
    colours = {name: pair[scheme] for name, pair in app.COLOURS.items()}
    for ink in ("body_text_color", "body_text_color_subdued"):
        for paper in ("body_background_fill", "block_background_fill", "button_secondary_background_fill"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for state in ("", "_hover"):
        paper = colours[f"button_primary_background_fill{state}"]
        assert contrast(colours["button_primary_text_color"], paper) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_page_listens_on_this_computer_only_unless_asked(app, monkeypatch, capsys):
    served = []

    def launch(demo, *, server_name, server_port, **_) -> str:
        served.append((server_name, server_port))
        return "http://there/"

    monkeypatch.setattr(app, "build_demo", lambda tools: SimpleNamespace(block_thread=lambda: None))
    monkeypatch.setattr(app, "Tools", lambda **parts: parts)
    monkeypatch.setattr(app, "load_judges", lambda name: SimpleNamespace(recognizer=None, estimator=None))
    monkeypatch.setattr(app, "launch", launch)
    monkeypatch.setattr(app.gc, "freeze", lambda: None)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["app.py"])
    app.main()
    monkeypatch.setattr("sys.argv", ["app.py", "--host", "0.0.0.0", "--port", "80"])
    app.main()
    assert served == [("127.0.0.1", None), ("0.0.0.0", 80)]
    assert capsys.readouterr().out == 2 * "SignLoop's page is at http://there/ until Ctrl-C.\n"


def test_a_clip_is_read(demo, clip):
    *_, last = press(demo, "recognize", clip=str(clip))
    assert re.fullmatch(r"Done in \d+ s\. Read: A B\.", words(last["status"]))
    assert "signloop recognize &#x27;my clip.npz&#x27; --output report" in last["result"]
    with zipfile.ZipFile(last["download"]["value"]) as archive:
        assert {"overlay.mp4", "poses.npz", "reading.json", "index.html"} <= set(archive.namelist())


def test_a_shard_is_looked_through(demo, tmp_path):
    *_, last = press(demo, "explore", file=str(example_shard(tmp_path)))
    said = words(last["status"])
    assert said.startswith("Done in")
    assert said.endswith("Clips: 3, rejected: 0. Repaired: 4 kinds of defects.")
    page = (Path(last["kept"]) / "report" / "index.html").read_text(encoding="utf-8")
    text = " ".join(words(page).split())
    assert "1 caption, made into 1 clip" in text
    assert "hands given to the wrong person (hands-1) in 35 frames" in text
    assert DEFECTS.keys() == VERSIONS.keys()


def test_a_training_set_is_made_and_the_shown_command_line_makes_the_same(demo, tmp_path, monkeypatch):
    *_, last = press(demo, "augment", words="A", signers=["alex", "noor"])
    assert re.fullmatch(r"Done in \d+ s\. Kept: 1 of 2 clips\.", words(last["status"]))
    page = (Path(last["kept"]) / "report" / "index.html").read_text(encoding="utf-8")
    assert re.search(r"Colours unlike the signer&#39;s: \d+\.\d+ is above 10", page)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shown = html.unescape(re.findall(r"<code>(.*)</code>", last["result"], re.DOTALL)[0])
    for line in shown.splitlines():
        monkeypatch.setattr("sys.argv", shlex.split(line))
        cli.main()
    again, made = (Path(folder, "report", "dataset") for folder in (".", last["kept"]))
    names = ["1-A--alex--00.json", "1-A--alex--00.mp4", "1-A--alex--00.poses.npz"]
    assert sorted(path.name for path in (again / "clips").iterdir()) == names
    assert (again / "clips" / names[2]).read_bytes() == (made / "clips" / names[2]).read_bytes()
    frames, others = (np.stack(list(read_frames(folder / "clips" / names[1]))) for folder in (again, made))
    np.testing.assert_allclose(frames, others.astype(float), atol=20)  # the encoder's threads are not repeatable
    with zipfile.ZipFile(last["download"]["value"]) as archive:
        assert {"index.html", "dataset/README.md", "rejects.jsonl"} <= set(archive.namelist())


def test_a_training_set_is_cancelled_at_a_frame(demo, renderer, results):
    renderer.gate.clear()
    shown = press(demo, "augment", words="A")
    steps = ""
    while "0 of 2 clips" not in steps or renderer.num_frames < 4:
        steps = next(shown).get("steps", "")
    assert 0 < float(re.findall(r'value="([\d.]+)"', steps)[0]) < 1
    (folder,) = results.iterdir()
    shown.close()
    renderer.gate.set()
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    assert renderer.num_frames == 4


def test_sets_that_are_too_large_or_have_nobody_are_refused(demo, monkeypatch):
    assert refusal(demo, "augment", words=" ") == "Write the words to spell, such as HANDS OK."
    assert refusal(demo, "augment", source=orders.BROUGHT) == "Choose a pose file to vary."
    assert refusal(demo, "augment", signers=[]) == "Choose one signer or more."
    assert refusal(demo, "augment", signers=["../alex"]) == "Choose one signer or more."
    num_frames = 4 * len(spell("A", "ase"))
    monkeypatch.setattr(augment_order, "MAX_SET_FRAMES", num_frames - 1)
    line = refusal(demo, "augment", words="A", variants=2)
    assert line.startswith(f"Expected at most {num_frames - 1} frames in all, found {num_frames}: take fewer")


@pytest.mark.slow
def test_a_video_is_compared_with_its_driving_pose(app, demo, renderer, tmp_path):
    driving, video = app.example_poses(tmp_path), app.example_video(tmp_path)
    renderer.placed = load_poses(driving)  # what the estimator will find
    *_, last = press(demo, "evaluate", driving=str(driving), video=str(video))
    assert "Hands in place: 100\u202f% of their points. Read from the video: H A N D S." in words(last["status"])
    assert "printf &#x27;%s\\n&#x27; driving,video HANDS.npz,HANDS.mp4 &gt; pairs.csv" in last["result"]


@pytest.mark.parametrize(
    ("tab", "line"),
    [
        ("recognize", "Choose a pose file or a video to be read."),
        ("evaluate", "Choose a driving pose and a video of it."),
        ("explore", "Choose a pose file, a shard or a store to look through."),
    ],
)
def test_other_forms_that_are_not_filled_in_are_refused(demo, tab, line):
    assert refusal(demo, tab) == line


@pytest.fixture
def pairs(tmp_path) -> list[str]:
    """Two pairs, a pose without a video, and a file that is neither."""
    (tmp_path / "brought").mkdir()
    for name in ("A", "B"):
        save_poses(spell(name, "ase")[:3], tmp_path / "brought" / f"{name}.npz")
        write_video(tmp_path / "brought" / f"{name}.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3, fps=24)
    save_poses(spell("C", "ase")[:3], tmp_path / "brought" / "C.pose")
    (tmp_path / "brought" / "notes.txt").write_text("-")
    return sorted(map(str, (tmp_path / "brought").iterdir()))


def test_what_is_missing_of_a_pair_is_named(demo, pairs):
    assert refusal(demo, "evaluate", driving=pairs[1]) == "Choose a video of it."
    assert refusal(demo, "evaluate", video=pairs[0]) == "Choose a driving pose."


def test_a_set_is_refused_as_a_whole_where_a_file_is_wrong(demo, pairs, tmp_path, monkeypatch):
    several = {"source": SEVERAL}
    assert refusal(demo, "evaluate", **several) == "Choose videos and their driving poses, or a zip of them."
    line = refusal(demo, "evaluate", files=pairs[-2:], **several)
    assert line == "set: expected pairs such as HELLO.npz and HELLO.mp4, found C.pose alone."
    line = refusal(demo, "evaluate", files=pairs[-1:], **several)
    assert line == "set: expected pairs such as HELLO.npz and HELLO.mp4, found none."
    line = refusal(demo, "evaluate", files=[*pairs, *pairs[:1]], **several)
    assert line == "A.mp4: expected every file once, found two of that name."
    hostile = tmp_path / "set.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../A.npz", b"")
    line = refusal(demo, "evaluate", files=[str(hostile)], **several)
    assert line == "set.zip: files must lie in it under plain names, found '../A.npz'."
    monkeypatch.setattr(evaluate_order, "MAX_SET_FRAMES", 5)
    line = refusal(demo, "evaluate", files=pairs, **several)
    assert line.startswith("Expected at most 5 frames in all, found 6: bring fewer clips, or use the command line")
    Path(pairs[1]).write_bytes(b"\x80\x04.")
    line = refusal(demo, "evaluate", files=pairs, **several)
    assert re.fullmatch(r"set/A\.npz: must be a pose file \(.*\), found a Python pickle\.", line)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True], ids=["files", "zip"])
def test_several_videos_are_compared_and_the_shown_command_line_does_the_same(
    demo, renderer, pairs, tmp_path, monkeypatch, packed
):
    renderer.placed = load_poses(tmp_path / "brought" / "A.npz")  # what the estimator will find in both
    files = pairs
    if packed:
        files = [str(tmp_path / "my set.zip")]
        with zipfile.ZipFile(files[0], "w") as archive:
            for path in pairs:
                archive.write(path, f"mine/{Path(path).name}")
    *_, last = press(demo, "evaluate", source=SEVERAL, files=files)
    said = words(last["status"])
    assert re.match(r"Done in \d+ s\. Clips: 2\. Hands in place: \d+\s% of their points\. In no pair: ", said), said
    assert said.endswith(f"{'mine/' if packed else ''}notes.txt, C.pose.")
    made = json.loads((Path(last["kept"]) / "report" / "evaluation.json").read_text(encoding="utf-8"))

    # What is shown is typed where the files are, with the judges that the page has.
    event = next(event for event in demo.fns.values() if event.api_name == "evaluate")
    desk = inspect.getclosurevars(event.fn).nonlocals["desk"]
    judges = Judges(desk.tools.estimator, desk.tools.recognizer, OrientedFilters())
    monkeypatch.setattr(evaluate, "load_judges", lambda name: judges)
    monkeypatch.chdir(tmp_path if packed else tmp_path / "brought")
    for line in html.unescape(re.findall(r"<code>(.*)</code>", last["result"], re.DOTALL)[0]).splitlines():
        if line.startswith("signloop "):
            monkeypatch.setattr("sys.argv", shlex.split(line))
            assert cli.main() == 0
        else:
            subprocess.run(shlex.split(line), check=True, capture_output=True)
    again = json.loads(Path("report", "evaluation.json").read_text(encoding="utf-8"))
    assert again["summary"] == made["summary"]
    assert again["source"] == made["source"]


@pytest.mark.slow
def test_a_store_is_looked_through_as_its_shard_is(demo, tmp_path):
    *_, last = press(demo, "explore", file=str(example_store(tmp_path)))
    assert words(last["status"]).endswith("Clips: 3, rejected: 0. Repaired: 4 kinds of defects.")
    text = " ".join(words((Path(last["kept"]) / "report" / "index.html").read_text(encoding="utf-8")).split())
    assert "1 caption, made into 1 clip" in text
    shown = html.unescape(re.findall(r"<code>(.*)</code>", last["result"], re.DOTALL)[0])
    assert shown == "unzip example-store.zip -d store\nsignloop inspect store --sheet sheet.png"


@pytest.mark.slow
def test_stores_that_do_harm_end_their_own_process_only(demo, tmp_path, results, monkeypatch):
    with zipfile.ZipFile(example_store(tmp_path)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    clips = next(name for name in members if name.endswith(".arrow"))
    damaged = {**members, clips: members[clips][:5000]}
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        for name, data in damaged.items():
            archive.writestr(name, data)
    line = refusal(demo, "explore", file=str(tmp_path / "cut.zip"))
    assert re.fullmatch(r"store/parts/.*/clips\.arrow: must hold word-.*, but is damaged or missing\.", line)
    monkeypatch.setattr(explore_order, "MAX_STORE_BYTES", 2**28)
    line = refusal(demo, "explore", file=str(tmp_path / "example-store.zip"))
    assert line == "store: is damaged, or wants more than 0 GB of memory."
    assert list(results.iterdir()) == []


def test_pickles_are_refused_in_every_tab(demo, tmp_path):
    path = tmp_path / "clip.npz"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    for tab, fields in (("recognize", {"clip"}), ("evaluate", {"driving", "video"}), ("explore", {"file"})):
        line = refusal(demo, tab, **dict.fromkeys(fields, str(path)))
        assert re.fullmatch(r"clip\.npz: must be a pose file \(.*\), found a Python pickle\.", line), tab
