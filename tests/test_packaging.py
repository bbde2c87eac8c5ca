"""What is installed is what is there: packages and data are listed one by one."""

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_works_away_from_the_repository(tmp_path):
    """In an environment that has the dependencies, read from this one, and nothing of the repository."""
    source, outside = tmp_path / "source", tmp_path / "outside"
    unwanted = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "demo", "dist", "runs", "site")
    shutil.copytree(ROOT, source, ignore=unwanted)
    build = "from setuptools.build_meta import build_sdist, build_wheel; build_wheel('..'); build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    assert wheel.stat().st_size < 45e6
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"app.py", "assets/app.css", "configs/signers-quick.yaml", "recognizer/weights/model.safetensors"} <= names

    venv.create(tmp_path / "venv")
    python, signloop = (tmp_path / "venv" / "bin" / name for name in ("python", "signloop"))
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True)
    # After the wheel's own folder on the path; files there that lead to the repository aren't followed.
    (packages,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    outside.mkdir()

    def said(*command: str | Path) -> str:
        return subprocess.run(command, cwd=outside, check=True, capture_output=True, text=True).stdout

    assert str(packages) in said(python, "-c", "import app; print(app.__file__)")
    assert json.loads(said(signloop, "doctor", "--json"))["healthy"]
    assert "num_steps: 400" in said(signloop, "train", "recognizer", "--config", "recognizer-quick", "--print_config")
    said(signloop, "spell", "AB", "ab.npz")
    said(signloop, "render", "ab.npz", "ab.mp4", "--renderer", "avatar", "--image", "kenji")
    assert [line[0] for line in said(signloop, "recognize", "ab.npz").splitlines()[:2]] == ["A", "B"]
