"""What is installed is what is there: packages and data are listed one by one."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTED = PYPROJECT["tool"]["setuptools"]["packages"]
DATA = PYPROJECT["tool"]["setuptools"]["package-data"]


def test_every_package_is_listed():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("gen", "pipelines", "poses", "recognizer")
        for path in (ROOT / top).rglob("*.py")
    }
    assert found == {name for name in LISTED if name not in ("assets", "configs")}


def test_all_data_is_listed():
    for name in LISTED:
        folder = ROOT / name.replace(".", "/")
        listed = {path for pattern in DATA.get(name, []) for path in folder.glob(pattern)}
        own = {path for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")}
        assert own <= listed, f"{name} does not install {sorted(path.name for path in own - listed)}"
        assert listed or name not in DATA, f"{name} installs data that is not there"


def test_bundled_weights_are_small_and_have_a_card():
    weights = [path for top in ("gen", "recognizer") for path in (ROOT / top / "weights").rglob("*.safetensors")]
    assert weights
    assert sum(path.stat().st_size for path in weights) < 60e6
    for path in weights:
        assert any((folder / "README.md").is_file() for folder in (path.parent, path.parent.parent))


def test_the_lock_leaves_one_opencv_and_an_old_protobuf():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lock]
    assert [name for name in names if name.startswith("opencv")] == ["opencv-contrib-python-headless"]
    assert [line for line in lock if line.startswith("protobuf==4.")]
    assert not {"jax", "jaxlib", "sounddevice"} & set(names)


def test_what_only_the_documents_show_is_not_installed():
    folders = [ROOT / name.replace(".", "/") for name in LISTED]
    shown = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    installed = {path.name for folder in folders for path in folder.iterdir()}
    assert shown
    assert not shown & installed


def test_whatever_is_imported_is_asked_for():
    asked = {re.split(r"[\[<>=]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    own = {"gen", "pipelines", "poses", "recognizer"}
    files = {ROOT / "app.py", *(path for top in own for path in (ROOT / top).rglob("*.py"))}
    imported = set()
    for path in files - {ROOT / "gen" / "signers" / "make_body.py"}:  # what it makes ships, so Anny is a tool
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    foreign = imported - own - sys.stdlib_module_names - {"cv2"}  # mediapipe asks for one of the OpenCV builds
    assert "torch" in foreign
    for name in foreign:
        assert {owner.lower().replace("_", "-") for owner in distributions[name]} & asked, name
