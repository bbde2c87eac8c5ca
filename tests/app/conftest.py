import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gen.renderers import Placement, SignerPicture
from pipelines import augment
from pipelines.casting import Casting
from pipelines.clip_evaluation import Judges
from pipelines.gate import Gate
from pipelines.measures.features import OrientedFilters
from pipelines.orders import Tools
from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.sequence import PoseSequence
from poses.video import read_picture
from recognizer.reading import load_recognizer


class SkeletonRenderer:
    """Renders the skeleton itself, in the middle; while the gate is closed, no further than the third frame."""

    version = "1"

    def __init__(self, name: str, steps: int):
        self.name, self._steps = name, steps
        self.gate = threading.Event()
        self.begin()

    def begin(self) -> None:
        """Forgets everything, and opens the gate."""
        self.default_num_inference_steps = self._steps
        self.gate.set()
        self.num_frames = 0
        self.placed: PoseSequence | None = None
        self.asked: dict[str, object] = {}

    def place(self, poses, signer, *, height, width) -> Placement:
        scale = min(height / poses.height, width / poses.width)
        offset_x, offset_y = (width - scale * poses.width) / 2, (height - scale * poses.height) / 2
        return Placement(scale, offset_x, offset_y, width, height)

    def render(self, poses, signer, *, num_inference_steps=None, seed=0) -> Iterator[np.ndarray]:
        self.placed = poses
        self.asked = {
            "signer": signer.name,
            "consent": signer.consent,
            "num_inference_steps": num_inference_steps,
            "seed": seed,
        }
        for frame in draw_poses(poses, "videox-fun", height=poses.height, width=poses.width):
            self.num_frames += 1
            if self.num_frames > 3:
                self.gate.wait(100)
            yield frame


class KnowingEstimator:
    """Finds in a video what the renderer was last told to draw, and nobody where there was nothing yet."""

    name, version = "knowing", "1"

    def __init__(self, renderer: SkeletonRenderer):
        self.renderer = renderer
        self.frame = 0

    def reset(self) -> None:
        self.frame = 0

    def estimate(self, frame):
        poses, self.frame = self.renderer.placed, self.frame + 1
        if poses is None:
            return np.zeros((128, 2), np.float32), np.zeros(128, np.float32)
        return poses.keypoints[(self.frame - 1) % len(poses)], poses.confidence[(self.frame - 1) % len(poses)]

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def app() -> ModuleType:
    """The module, for whose Gradio a worker that tests no page would wait seconds."""
    return import_module("app")


@pytest.fixture(scope="module")
def page(app, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A page for all tests of a file, since laying it out takes longer than most of them."""
    renderer, folder = SkeletonRenderer("diffusing", steps=2), tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        demo = build_page(app, renderer, folder, patch)
        (results,) = folder.glob("signloop-*/results")
        yield SimpleNamespace(demo=demo, renderer=renderer, results=results)


@pytest.fixture
def renderer(page) -> Iterator[SkeletonRenderer]:
    """The page's renderer as it was at first; afterwards nothing runs, and no result is left."""
    page.renderer.begin()
    yield page.renderer
    page.renderer.gate.set()
    for thread in threading.enumerate():
        if thread.name == "job":
            thread.join(20)
    for left in page.results.iterdir():
        shutil.rmtree(left, ignore_errors=True)


@pytest.fixture
def demo(page, renderer) -> Any:
    return page.demo


@pytest.fixture
def results(page, renderer) -> Path:
    """Where the page puts what it makes, empty."""
    return page.results


@pytest.fixture(scope="module")
def server(app, tmp_path_factory) -> Iterator[str]:
    """The address of a page that takes uploads of a megabyte at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "MAX_UPLOAD_MB", 1)
        demo = build_page(app, SkeletonRenderer("diffusing", steps=2), tmp_path_factory.mktemp("served"), patch)
        yield app.launch(demo, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
        demo.close()


def build_page(app: Any, renderer: SkeletonRenderer, folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """The page with a renderer that is quick and an estimator that never errs; the recognizer is the real one."""
    patch.setenv("GRADIO_TEMP_DIR", "")  # put back after the page has set it
    patch.setattr(tempfile, "tempdir", str(folder))
    patch.setattr(app, "LOOK_S", 0.05)

    def load_signer(image: str, consent: str | None = None) -> SignerPicture:
        if image == "broken":
            raise RuntimeError("a bug")
        if Path(image).exists():
            read_picture(image)
        name = image.rpartition("/")[2]
        return SignerPicture(np.zeros((16, 16, 3), np.uint8), spell("A", "ase")[:1], name, consent)

    def load_casting(casting: Casting, height: int, width: int) -> SignerPicture:
        """Alex looks as renders do, others do not."""
        poses = spell("A", "ase")[:1]
        (picture,) = draw_poses(poses, "videox-fun", height=height, width=width)
        return SignerPicture(picture if casting.name == "alex" else 0 * picture, poses, casting.name, "built-in")

    estimator, recognizer = KnowingEstimator(renderer), load_recognizer()
    patch.setattr(augment, "load_renderer", lambda name: renderer)
    patch.setattr(augment, "load_judges", lambda name: Judges(estimator, recognizer, OrientedFilters()))
    patch.setattr(augment, "load_casting", load_casting)
    limits = Gate._limited  # a skeleton in another pose is near to alex in colours, though not as near as a render
    patch.setattr(Gate, "_limited", lambda gate: limits(gate) | {"delta_e/largest": 10.0})

    async def build() -> Any:
        tools = Tools(
            renderers={renderer.name: renderer, "drawing": SkeletonRenderer("drawing", steps=0)},
            recognizer=recognizer,
            estimator=estimator,
            load_signer=load_signer,
            size_px=64,
        )
        return app.build_demo(tools)

    # Outside of an event loop, Gradio opens some that it never closes; this thread may have one already.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(build())).result()
