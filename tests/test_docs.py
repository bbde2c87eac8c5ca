"""The documentation as a site: every page is found, and what it names is there. Commands and links: test_readme.py."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("**/*.md"))
TEXTS = {str(path.relative_to(ROOT / "docs")): path.read_text(encoding="utf-8") for path in PAGES}
REFERENCE = re.findall(r"^::: (\S+)\.(\w+)$", TEXTS["reference.md"], re.MULTILINE)
BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


def listed(nav: list) -> list[str]:
    """The pages of a navigation, depth first."""
    targets = [target for entry in nav for target in entry.values()]
    return [page for target in targets for page in (listed(target) if isinstance(target, list) else [target])]


def test_every_page_is_in_the_navigation_once():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed(site["nav"])) == sorted(TEXTS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_python_blocks_compile_and_import_what_exists(block):
    compile(block, "docs", "exec")
    for module, names in re.findall(r"^from (\S+) import (.+)$", block, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(import_module(module), name)


def test_the_names_that_stay_exist():
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", TEXTS["python.md"], re.MULTILINE)
    assert len(rows) > 10
    for module, names in rows:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(import_module(module), name), f"{module}.{name}"


def test_the_reference_names_what_exists():
    assert len(REFERENCE) > 10
    for module, name in REFERENCE:
        assert getattr(import_module(module), name).__doc__, f"{module}.{name}"


def test_the_names_that_stay_are_in_the_reference():
    described = {getattr(import_module(module), name) for module, name in REFERENCE}
    for module, names in re.findall(r"^\| `([\w.]+)` \| (.*) \|$", TEXTS["python.md"], re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            if callable(value := getattr(import_module(module), name)):  # others are tuples and tables
                assert value in described, f"{module}.{name}"


def test_the_citation_has_the_packages_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
