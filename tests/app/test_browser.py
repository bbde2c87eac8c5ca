"""The page in a real browser: a headless Chromium, as Debian packages it."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from pipelines import recognize
from pipelines.inputs import extract_from_video
from poses.estimators import create_estimator
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.video import read_frames

pytestmark = [
    pytest.mark.browser,
    # Gradio's server leaves sockets and event loops to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # Gradio calls pandas 3 as one calls pandas 2.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

DESK: ViewportSize = {"width": 1360, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
TABS = ["Render", "Recognize", "Evaluate", "Augment", "Explore"]


@pytest.fixture(scope="module")
def filmed(app, tmp_path_factory) -> Path:
    """What the browser's camera sees, again and again: a built-in signer who spells HANDS."""
    path = tmp_path_factory.mktemp("camera") / "HANDS.y4m"
    with path.open("wb") as film:
        film.write(b"YUV4MPEG2 W480 H480 F24:1 Ip A0:0 C420jpeg\n")
        for frame in read_frames(app.ASSETS / "HANDS.mp4"):
            film.write(b"FRAME\n" + cv2.cvtColor(cv2.resize(frame, (480, 480)), cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(filmed) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        absent = "Chromium is not installed: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(absent)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # which agrees to all
    arguments += [f"--use-file-for-fake-video-capture={filmed}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(app, page) -> Iterator[str]:
    yield app.launch(page.demo, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    page.demo.close()


@pytest.fixture
def address(served, renderer) -> str:
    """Where the page is, with nobody there yet."""
    return served


def visit(browser: Browser, address: str, *, viewport: ViewportSize = DESK, dark: bool = False) -> Page:
    context = browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("button", name="Render", exact=True).wait_for()
    return page


def press_render(page: Page) -> None:
    page.get_by_role("button", name="Render", exact=True).click()


def wait_until_done(page: Page) -> None:
    expect(page.locator("#render-status")).to_contain_text("Done", timeout=60_000)


def test_a_word_is_rendered_watched_and_read(browser, address):
    page = visit(browser, address)
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.reload()
    page.get_by_label("Word", exact=True).fill("ab")
    press_render(page)
    wait_until_done(page)
    expect(page.locator("#render-status p")).to_have_text(re.compile(r"Signed: A\sB\. Read from the render: A\sB\."))

    report = page.frame_locator("#render-result iframe")
    for label in ("Skeleton of the driving pose", "The rendered signer", "Skeleton found in the render"):
        video = report.get_by_label(label, exact=True)
        expect(video).to_be_visible()
        video.evaluate(
            "video => new Promise(go => video.readyState > 1 ? go() : video.addEventListener('loadeddata', go))"
        )
        assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 64]
    report.get_by_role("button", name="Play").click()
    expect(report.get_by_role("button", name="Pause")).to_be_visible()
    expect(report.get_by_text("Error over time")).to_be_visible()
    frame = page.locator("#render-result iframe")
    page.wait_for_function("document.querySelector('#render-result iframe').contentDocument.body.scrollHeight > 1000")
    inner = report.locator("body").evaluate("body => body.offsetHeight")
    assert abs(frame.evaluate("frame => frame.offsetHeight") - inner) <= 1  # nothing scrolls within the page

    with page.expect_download() as download:
        page.get_by_role("button", name="Download everything").click()
    assert download.value.suggested_filename == "signloop.zip"
    assert [url for url in asked if not re.match(rf"{re.escape(address)}|data:|blob:", url)] == []
    assert failed == []


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.slow), True], ids=["light", "dark"])
def test_a_phone_shows_the_page_and_the_report_without_scrolling_sideways(browser, address, dark):
    page = visit(browser, address, viewport=PHONE, dark=dark)
    expect(page.get_by_role("tab").filter(visible=True)).to_have_text(TABS)  # none hides behind three dots
    page.get_by_label("Word", exact=True).fill("a")
    press_render(page)
    expect(page.locator("#render-status")).to_be_in_viewport()
    wait_until_done(page)
    paper = "rgb(16, 18, 24)" if dark else "rgb(246, 245, 241)"
    report = page.frame_locator("#render-result iframe").locator("body")
    expect(report).to_have_css("background-color", paper)
    for body in (page.locator("body"), report):
        assert (
            body.evaluate(
                "body => body.ownerDocument.documentElement.scrollWidth - body.ownerDocument.defaultView.innerWidth"
            )
            <= 0
        )


def test_the_keyboard_is_enough(browser, address):
    page = visit(browser, address)
    page.get_by_role("radiogroup", name="Who signs").get_by_role("radio", name="Alex").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Amara")).to_be_checked()
    page.get_by_role("radiogroup", name="What is signed").get_by_role("radio", name="Spell a word").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("group", name="Pose file or video")).to_be_visible()
    page.keyboard.press("ArrowUp")
    word = page.get_by_label("Word", exact=True)
    expect(word).to_be_visible()
    word.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("A")
    page.keyboard.press("Enter")
    wait_until_done(page)


def test_several_files_are_added_and_taken_away_by_their_names(browser, address, tmp_path):
    page = visit(browser, address)
    # Asked for just before the key, Playwright may begin to watch for choosers only after this one has opened.
    page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "B.npz"))
    open_tab(page, "Evaluate")
    page.get_by_label("Several pairs").check()
    files = page.get_by_role("group", name="Videos and poses")
    for name in ("A.npz", "B.npz"):
        save_poses(spell("A", "ase"), tmp_path / name)
    files.locator("input[type=file]").set_input_files(tmp_path / "A.npz")
    files.get_by_role("button", name="Add files").focus()
    page.keyboard.press("Enter")
    files.get_by_role("button", name="Remove B.npz").wait_for()  # nothing more is put onto the page after it
    for name in ("Clear", "Remove A.npz", "Remove B.npz"):
        button = files.get_by_role("button", name=name)
        while not button.evaluate("button => button === document.activeElement"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.tagName") != "BODY"
    files.get_by_role("button", name="Remove A.npz").click()
    expect(files.get_by_role("row")).to_have_count(1)
    expect(files.get_by_role("link", name="B.npz")).to_be_visible()


def test_a_render_is_cancelled_while_another_waits(browser, address, renderer):
    renderer.gate.clear()
    first, second = visit(browser, address), visit(browser, address)
    press_render(first)
    expect(first.locator("#render-steps")).to_contain_text("frames", timeout=60_000)
    press_render(second)
    expect(second.locator("#render-status p")).to_have_text("Waiting: 1 ahead of you.")
    first.get_by_role("button", name="Cancel").click()
    expect(first.locator("#render-status p")).to_have_text("Cancelled.")
    renderer.gate.set()
    wait_until_done(second)
    expect(first.locator("#render-status p")).to_have_text("Cancelled.")


def test_an_order_ends_when_its_page_is_closed(browser, address, renderer):
    renderer.gate.clear()
    page, other = visit(browser, address), visit(browser, address)
    press_render(page)
    expect(page.locator("#render-steps")).to_contain_text("frames", timeout=60_000)
    page.context.close()
    press_render(other)
    expect(other.locator("#render-status p")).to_have_text("Waiting: 1 ahead of you.")
    renderer.gate.set()
    wait_until_done(other)
    assert renderer.num_frames < 100  # HANDS has 70: the closed page's order did not go on


def test_wrong_uploads_are_refused_in_one_line(browser, address, tmp_path, monkeypatch):
    page = visit(browser, address)
    page.get_by_label("Use my own clip").check()
    hostile = tmp_path / "clip.npz"
    hostile.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    upload = page.locator("#clip input[type=file]")
    upload.set_input_files(hostile)
    expect(page.locator("#clip")).to_contain_text(re.compile(r"clip\s?\.npz"))
    press_render(page)
    alert = page.get_by_role("alert").filter(has_text="clip.npz")
    expect(alert).to_have_text(re.compile(r"^clip\.npz: must be a pose file \(.*\), found a Python pickle\.$"))

    page.locator("#clip").get_by_role("button", name="Clear").click()
    good = tmp_path / "mine.npz"
    save_poses(spell("A", "ase"), good)
    upload.set_input_files(good)
    expect(page.locator("#clip")).to_contain_text("mine.npz")
    press_render(page)
    wait_until_done(page)


@pytest.mark.slow
def test_nobody_is_shown_signing_without_consent(app, browser, address, tmp_path):
    page = visit(browser, address)
    page.get_by_label("My own picture").check()
    picture = tmp_path / "me.png"
    shutil.copy(app.ASSETS / "portraits.webp", picture)
    page.locator("#picture input[type=file]").set_input_files(picture)
    expect(page.locator("#picture img").first).to_be_visible()
    press_render(page)
    expect(page.get_by_role("alert").filter(has_text="Say who is in the picture")).to_be_visible()
    page.get_by_role("radiogroup", name="Who is in the picture?").get_by_label("I am").check()
    press_render(page)
    wait_until_done(page)


@pytest.mark.slow
def test_a_picture_that_is_none_is_refused(browser, address, tmp_path):
    page = visit(browser, address)
    page.get_by_label("My own picture").check()
    picture = tmp_path / "me.png"
    picture.write_text("no picture")
    page.get_by_role("radiogroup", name="Who is in the picture?").get_by_label("I am").check()
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.locator("#picture img").first.wait_for(state="attached")
    press_render(page)
    expect(page.get_by_role("alert").filter(has_text="me.png: expected a PNG, JPEG")).to_be_visible()


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.get_by_role("button", name=name, exact=True).wait_for()


@pytest.mark.parametrize(
    ("tab", "choice", "example", "found"),
    [
        ("Recognize", "A file", "HANDS, poses", r"Read: H\sA\sN\sD\sS\."),
        ("Explore", None, "A small shard with defects", r"Clips: 3, rejected: 0\. Repaired: 4 kinds of defects"),
        ("Explore", None, "The same as a store", r"Clips: 3, rejected: 0\. Repaired: 4 kinds of defects"),
        ("Evaluate", "A pair", "HANDS, drawn by avatar", "Hands in place: "),
        pytest.param(
            *("Evaluate", "Several pairs", "HANDS and OK, drawn by avatar", r"Clips: 2\. Hands in place: "),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_tab_follows_its_example(browser, address, renderer, tab, choice, example, found):
    renderer.placed = spell("HANDS", "ase")  # what the estimator will find in videos
    page = visit(browser, address)
    open_tab(page, tab)
    panel = page.get_by_role("tabpanel").filter(visible=True)
    if choice:
        panel.get_by_label(choice, exact=True).check()
    panel.get_by_role("button", name=example).click()
    expect(panel.get_by_role("button", name="Clear").filter(visible=True).first).to_be_visible()
    page.get_by_role("button", name=tab, exact=True).click()
    expect(page.locator(f"#{tab.lower()}-status p")).to_have_text(re.compile(f"Done in .*{found}"), timeout=120_000)
    report = page.frame_locator(f"#{tab.lower()}-result iframe")
    expect(report.get_by_role("heading", level=2).first).to_be_visible()
    if tab == "Evaluate":
        report.get_by_role("button", name="Full screen: HANDS").click()
        expect(report.locator("video:fullscreen[controls]")).to_have_count(1)
        report.locator("body").evaluate("body => body.ownerDocument.exitFullscreen()")
        expect(report.locator("video[controls]")).to_have_count(0)
    panel.get_by_text("The same from the command line").click()
    expect(panel.locator("pre")).to_contain_text("signloop ")
    with page.expect_download() as download:
        panel.get_by_role("button", name="Download everything").click()
    assert download.value.suggested_filename == "signloop.zip"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_signed_to_the_camera_is_read(browser, address, monkeypatch):
    estimator = create_estimator("mediapipe")
    extract = lambda clip, _, stages: extract_from_video(clip, estimator, stages)  # noqa: E731
    monkeypatch.setattr(recognize, "extract_from_video", extract)
    page = visit(browser, address)
    open_tab(page, "Recognize")
    page.get_by_label("My camera").check()
    camera = page.get_by_role("group", name="Your signing")
    camera.get_by_role("button", name="Click to Access Webcam").click()
    camera.get_by_role("button", name="Record").click()
    camera.get_by_role("button", name="Stop").wait_for()
    page.wait_for_timeout(3500)  # more than once through the word, wherever it began
    camera.get_by_role("button", name="Stop").click()
    expect(camera).to_contain_text(re.compile(r"0:00 / 0:0\d"))
    expect(camera.get_by_role("button", name=re.compile("volume|Trim"))).to_have_count(0)
    page.get_by_role("button", name="Recognize", exact=True).click()
    expect(page.locator("#recognize-status p")).to_have_text(re.compile(r"Read: .*(H\sA|N\sD)"), timeout=240_000)
    estimator.close()


def test_a_training_set_is_made_and_watched(browser, address):
    page = visit(browser, address)
    open_tab(page, "Augment")
    page.get_by_label("Words, parted by spaces").fill("A")
    page.get_by_role("button", name="Renderer, steps, seed, format").click()
    expect(page.get_by_role("radiogroup", name="Format of the set").get_by_role("radio")).to_have_count(3)
    expect(page.get_by_role("radiogroup", name="Renderer").filter(visible=True)).to_have_count(1)
    signers = page.get_by_role("group", name="Who signs")
    expect(signers.get_by_role("checkbox", checked=True)).to_have_count(2)
    page.get_by_role("button", name="Augment", exact=True).click()
    expect(page.locator("#augment-status p")).to_have_text(re.compile("Kept: 1 of 2 clips"), timeout=60_000)
    report = page.frame_locator("#augment-result iframe")
    expect(report.get_by_label("A by alex, variation 1")).to_be_visible()
    expect(report.get_by_text("Colours unlike the signer's: ")).to_be_visible()
    report.get_by_role("button", name="Play all").click()
    expect(report.get_by_role("button", name="Pause all")).to_be_visible()
    page.get_by_text("The same from the command line").filter(visible=True).click()
    expect(page.locator("#augment pre")).to_contain_text("--signers alex amara --keep_rejected --variants 1")


@pytest.mark.slow
@pytest.mark.parametrize(("tab", "field"), [("Recognize", "read-clip"), ("Evaluate", "driving"), ("Explore", "file")])
def test_hostile_uploads_are_refused_in_every_tab(browser, address, tmp_path, tab, field):
    page = visit(browser, address)
    open_tab(page, tab)
    hostile = tmp_path / "clip.npz"
    hostile.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    for name in {field, "video"} if tab == "Evaluate" else {field}:
        page.locator(f"#{name} input[type=file]").set_input_files(hostile)
        expect(page.locator(f"#{name}")).to_contain_text(re.compile(r"clip\s?\.npz"))
    page.get_by_role("button", name=tab, exact=True).click()
    alert = page.get_by_role("alert").filter(has_text="clip.npz")
    expect(alert).to_have_text(re.compile(r"^clip\.npz: must be a pose file \(.*\), found a Python pickle\.$"))
