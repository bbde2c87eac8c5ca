"""What benchmarks do before they measure."""

import runpy
from pathlib import Path

import pytest

from benchmarks.renderer import result_path
from gen.bundled import BUNDLED_WEIGHTS

FILES = sorted((Path(__file__).resolve().parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path):
    runpy.run_path(str(path), run_name=f"benchmarks.{path.stem}")


def test_results_of_a_network_are_told_apart_by_its_weights(tmp_path):
    path = result_path(tmp_path, "steps-1", "000003", str(BUNDLED_WEIGHTS))
    assert path.relative_to(tmp_path).match("steps-1-????????????/000003.json")
    assert result_path(Path(), "true", "000003", str(BUNDLED_WEIGHTS)) == Path("true/000003.json")
