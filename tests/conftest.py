import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from beartype import beartype
from hypothesis import settings
from jaxtyping import install_import_hook
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent

# Nothing that a test needs is on a hub: without this, a missing file would be looked for there.
os.environ["HF_HUB_OFFLINE"] = "1"

# One thread each: `make test` runs two workers on what may be two cores, and threads that wait for a core do so busily.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("fast", max_examples=20, deadline=None, derandomize=True, database=None)
settings.register_profile("fuzz", max_examples=300, deadline=None, database=None)
settings.load_profile("fast")


def checked_modules() -> list[str]:
    """Modules whose annotations, shapes included, become checks.

    Not the configurations, which `from_pretrained` could not make any more, nor Warp's kernels, which are no Python.
    """
    files = [*ROOT.glob("gen/**/*.py"), *ROOT.glob("pipelines/**/*.py"), *ROOT.glob("recognizer/modeling_*.py")]
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.name != "__init__.py"}
    return sorted(names - {"gen.signers.raster"})


CHECKS: dict[Any, Callable[..., Any]] = {}


def checked_when_called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Beartype, put off until a function is called, and done once for functions that others define again and again.

    jaxtyping asks for two checks, of the arguments and of arguments and result; the second is left the result alone.
    """
    if function.__annotations__.get("return", Any) is not Any:
        function.__annotations__ = {"return": function.__annotations__["return"]}
    checked: Callable[..., Any] | None = None

    def check(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:
            place = function.__module__, function.__qualname__, function.__code__.co_varnames
            key = *place, *function.__annotations__.items()
            checked = CHECKS.get(key) or CHECKS.setdefault(key, beartype(function))
        return checked(*args, **kwargs)

    return check


# Importing leaves no garbage worth a fifth of its time.
gc.disable()

# The process that only hands tests out to workers imports nothing that is tested.
if "-n" not in sys.argv or "PYTEST_XDIST_WORKER" in os.environ:
    # What a checked module is the first to import is compiled anew, as the hook renames its cache: big ones go before.
    for package in ("torch", "diffusers.pipelines.pipeline_utils", "transformers.modeling_utils"):
        import_module(package)
    install_import_hook(checked_modules(), "tests.conftest.checked_when_called")


def pytest_collection_finish() -> None:
    gc.freeze()  # or the first test's collector would look through all that is imported
    gc.enable()


class Scheduling(LoadFileScheduling):
    """Gives all tests of a file to the same worker, and all of the page, so that what they share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/app" if nodeid.startswith("tests/app/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def spare_the_collector() -> None:
    """imageio collects garbage whenever it closes a video: this leaves it only what the test itself makes."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Clips that may be measured on and never shipped; tests that read them are skipped where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not here")
    return folder
