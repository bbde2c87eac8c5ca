"""Files and folders that appear under their final name whole, or not at all."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LONGEST_NAME = 255
"""Bytes in the name of a file, on every common file system."""


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Generator[Path]:
    """Gives a path beside `path` to write to; the file moves to `path` when the block ends well.

    An exception, Ctrl-C included, removes what was written and leaves `path` as it was. The path given has the same
    suffix, since many writers choose a format by it.

    Args:
        path: The final name.
        overwrite: Whether a file that is already there may be replaced.

    Raises:
        ValueError: `path` is taken, is a directory, or its folder is missing or cannot be written to.
    """
    path = Path(path)
    check_file(path, overwrite=overwrite)
    aside = _aside(path)
    try:
        yield aside
        check_file(path, overwrite=overwrite)  # somebody else may have been faster
        os.replace(aside, path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(aside):
            error.filename = str(path)  # the name that its user knows
        raise


@contextmanager
def new_directory(path: str | os.PathLike[str]) -> Generator[Path]:
    """Gives a directory beside `path` to fill; it becomes `path` when the block ends well.

    An exception, Ctrl-C included, removes it with all it holds and leaves `path` as it was.

    Args:
        path: The final name; an empty directory may already be there.

    Raises:
        ValueError: `path` is a file or holds something, or its folder is missing or cannot be written to.
    """
    path = Path(path)
    _check_directory(path)
    aside = _aside(path)
    try:
        aside.mkdir()
        yield aside
        _check_directory(path)
        os.replace(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def check_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuses what `new_file` refuses, for whoever begins to write late.

    Args:
        path: The final name.
        overwrite: Whether a file that is already there may be replaced.

    Raises:
        ValueError: `path` is taken, is a directory, or its folder is missing or cannot be written to.
    """
    path = Path(path)
    _check_folder(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: must be a file, but something else of that name is there.")
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: already there; choose another name, or allow overwriting (--overwrite).")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: It cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: must be JSON, but it is damaged.") from None


def check_utf8(*paths: Path) -> None:
    """Refuses files whose names are no UTF-8, since no table or report could name them.

    Raises:
        ValueError: One is not.
    """
    for path in paths:
        if (told := str(path).encode(errors="backslashreplace").decode()) != str(path):
            raise ValueError(f"{told}: its name must be UTF-8.")


def plain_name(text: str) -> str:
    """A name of letters, digits, _ and single - inside, as tar keys and folders can have it; -- may part two such."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_-]", "_", text)).strip("-")[:80]


def _aside(path: Path) -> Path:
    # Short, so that a name at the file system's limit still has room, and hidden, since it outlives a SIGKILL.
    return path.absolute().parent / f".{secrets.token_hex(8)}{path.suffix}"


def _check_directory(path: Path) -> None:
    _check_folder(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path}: must be a directory, but a file of that name is there.")
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"{path}: must be an empty directory or a new one, but it holds something.")


def _check_folder(path: Path) -> None:
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise ValueError(f"{path.name[:40]}...: its name must be at most {_LONGEST_NAME} bytes long.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{path}: its folder does not exist.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: its folder cannot be written to.")
