"""What the documents tell a reader to type works, and what they point to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/weights/**/*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# In a sentence, or a line of a block up to where a comment begins or its output goes.
COMMAND = re.compile(r"(?:`|^)(signloop [^`\n#>]+)", re.MULTILINE)
COMMANDS = sorted(
    {command.strip() for path in DOCUMENTS for command in COMMAND.findall(path.read_text(encoding="utf-8"))}
)
PYTHON = re.search(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command, capsys):
    if "--print_completion" in command:
        pytest.importorskip("shtab")
    # Whatever is written with a value is parsed with it; a command alone only has to be there.
    args = [arg for arg in command.split()[1:] if arg not in ("...", "…")]
    with pytest.raises(SystemExit) as done:
        main([*args, "--print_config" if len(args) > 1 else "--help"])
    assert done.value.code == 0, capsys.readouterr().err


def test_every_command_is_in_the_readme():
    from pipelines.cli import COMMANDS as WRITTEN
    from pipelines.cli import CONFIGURED

    for name in (*WRITTEN, *(" ".join(command) for command in CONFIGURED)):
        assert f"signloop {name}" in README


def test_make_knows_its_targets():
    targets = sorted(set(re.findall(r"make ([a-z.-]+)", README)) & {"demo", "test", "app", "docs", "lint"})
    assert {"demo", "test"} <= set(targets)
    subprocess.run(
        ["make", "--dry-run", f"PYTHON={sys.executable}", *targets], cwd=ROOT, check=True, capture_output=True
    )


def test_the_python_example_is_ten_lines_of_what_exists():
    assert PYTHON
    code = PYTHON[1]
    assert len(code.strip().splitlines()) <= 10
    exec(compile("\n".join(line for line in code.splitlines() if "import" in line), "README.md", "exec"), {})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_python_example_runs(tmp_path, monkeypatch):
    assert PYTHON
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON[1], "README.md", "exec"), {})
    assert list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} points to {target}"
