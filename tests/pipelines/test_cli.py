import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.cli import COMMANDS, PRESETS, main
from poses.io import load_poses, save_poses
from poses.video import read_frames, read_info

ROOT = Path(__file__).resolve().parent.parent.parent


def lines(capfd) -> tuple[list[str], list[str]]:
    out, err = capfd.readouterr()
    return out.splitlines(), err.splitlines()


@pytest.fixture(scope="session")
def clip(signer, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.npz"
    save_poses(signer, path)
    return path


def test_help_loads_nothing_heavy_and_is_quick():
    code = (
        "import sys, time; from pipelines.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'mediapipe', 'cv2', 'gradio', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy), time.process_time() < 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[] True"
    for command in COMMANDS:
        assert f"\n    {command} " in done.stdout


def test_help_says_what_each_command_does(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["loop", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Renders a pose clip or a video, reads the render back, and reports what survived." in said
    assert "--output OUTPUT A new directory for the videos, report.json and index.html." in said
    assert "--steps STEPS Denoising steps" in said
    assert "--json: one JSON object" in said


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"signloop {version('signloop')}\n"


def test_spell_writes_a_clip_that_knows_its_letters(tmp_path, capfd):
    path = tmp_path / "word.npz"
    assert main(["spell", "AB", "--language", "gsg", str(path)]) == 0
    poses = load_poses(path)
    assert ([span.gloss for span in poses.glosses], poses.language, poses.fps) == (["A", "B"], "gsg", 24)
    out, err = lines(capfd)
    assert out == [f"{path}: {len(poses)} frames, {len(poses) / 24:.1f} s at 24 frames per second."]
    assert err == []


def test_draw_writes_the_control_video(clip, tmp_path, capfd):
    path = tmp_path / "control.mp4"
    options = ["--height", "64", "--width", "96", "--preset", "videox-fun"]
    assert main(["draw", str(clip), str(path), *options, "--json"]) == 0
    info = read_info(path)
    assert (info.width, info.height, info.num_frames, info.fps) == (96, 64, 12, 24)
    assert json.loads(capfd.readouterr().out) == {"output": str(path), "num_frames": 12, "fps": 24.0}


def test_render_keeps_pixels_and_says_what_they_hide(signer, tmp_path, capfd):
    """In the clip, the right hand comes down the left side of the frame; the mask covers all of it."""
    clip = tmp_path / "clip.npz"
    save_poses(signer[:3], clip)
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    options = ["--image", "lucia", "--keep", str(tmp_path / "mask.png"), "--height", "64", "--width", "64", "--json"]
    path = tmp_path / "render.mp4"
    assert main(["render", str(clip), str(path), *options, "--guidance.keypoints", "1.5"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["hands_hidden"], facts["guidance"]) == (3, {"keypoints": 1.5})
    frames = np.stack(list(read_frames(path))).astype(int)
    assert np.ptp(frames, axis=0).max() < 8  # a still picture, but for the encoder


def test_recognize_reads_the_real_recognizer(tmp_path, capfd):
    path = tmp_path / "word.npz"
    assert main(["spell", "LAB", "--language", "sgg", str(path)]) == 0
    capfd.readouterr()
    assert main(["recognize", str(path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert [read["gloss"] for read in said["glosses"]] == ["L", "A", "B"]
    assert main(["recognize", str(path)]) == 0
    assert [line.split()[0] for line in lines(capfd)[0]] == ["L", "A", "B"]


def test_recognize_leaves_out_words_of_other_languages(tmp_path, capfd):
    path = tmp_path / "letter.npz"
    assert main(["spell", "L", "--language", "sgg", str(path)]) == 0
    words = ["recognize", str(path), "--vocabulary", "words", "--json"]
    for language in ("ins", "ase"):
        capfd.readouterr()
        assert main([*words, "--language", language]) == 0
        likeliest = [read["gloss"] for read in json.loads(capfd.readouterr().out)["candidates"]]
        assert {gloss.partition(":")[0] for gloss in likeliest} == {language}
    assert main([*words, "--language", "sgg"]) == 2
    assert lines(capfd)[1][-1].endswith("`language` must be one of ase, ins: the recognizer is of words, got 'sgg'.")
    assert main(["recognize", str(path), "--language", "sgg"]) == 2
    assert "`language` must be left out, since its glosses are of no language" in lines(capfd)[1][-1]


def test_json_is_alone_on_standard_output(monkeypatch, capfd):
    def noisy(word: str):
        print("from Python")
        os.write(1, b"from C\n")
        return {"word": word}, "a sentence"

    monkeypatch.setitem(COMMANDS, "spell", noisy)
    assert main(["spell", "A", "--json"]) == 0
    out, err = lines(capfd)
    assert out == ['{"word": "A"}']
    assert sorted(err) == ["from C", "from Python"]
    assert main(["--json", "spell", "A"]) == 0
    assert lines(capfd)[0] == ['{"word": "A"}']
    assert main(["spell", "A"]) == 0
    assert lines(capfd)[0] == ["a sentence"]


def test_print_config_can_be_given_back(tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["spell", "A", str(tmp_path / "a.npz"), "--language", "bzs", "--print_config"])
    (tmp_path / "word.yaml").write_text(capsys.readouterr().out)
    assert main(["spell", "--config", str(tmp_path / "word.yaml"), "B", str(tmp_path / "b.npz")]) == 0
    assert load_poses(tmp_path / "b.npz").language == "bzs"


def test_unknown_keys_are_refused(tmp_path, capfd):
    (tmp_path / "word.yaml").write_text("langage: bzs\n")
    with pytest.raises(SystemExit, match="2"):
        main(["spell", "--config", str(tmp_path / "word.yaml"), "A", str(tmp_path / "a.npz")])
    out, err = lines(capfd)
    assert out == []
    assert len(err) == 1
    assert "langage" in err[0]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "spell,draw"),
        (["lop"], "invalid choice: 'lop'"),
        (["spell", "A"], "output"),
        (["loop", "clip.npz"], "loop.output"),
        (["loop", "clip.npz", "--output", "out", "--seed", "x"], "seed"),
        (["loop", "clip.npz", "--output", "out", "--sed", "1"], "--sed"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(args, said, capfd):
    with pytest.raises(SystemExit, match="2"):
        main(args)
    out, err = lines(capfd)
    assert out == []
    assert len(err) == 1
    assert err[0].startswith("signloop: ")
    assert said in err[0]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("`steps` must\nbe positive."), 2, "signloop: `steps` must be positive."),
        (PermissionError(13, "Permission denied", "clip.npz"), 2, "signloop: clip.npz: Permission denied."),
        (OSError("no space"), 2, "signloop: no space"),
        (KeyboardInterrupt(), 130, "signloop: interrupted."),
    ],
)
def test_errors_are_one_line(error, status, said, monkeypatch, capfd):
    def failing(word: str):
        raise error

    monkeypatch.setitem(COMMANDS, "spell", failing)
    assert main(["spell", "A"]) == status
    assert lines(capfd) == ([], [said])


@pytest.mark.parametrize("args", [["spell", "--help"], ["--print_completion", "shtab-bash"]])
def test_a_reader_who_leaves_is_no_error(args, monkeypatch, capfd):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(args) == 141
    assert capfd.readouterr().err == ""


def test_mistakes_of_ours_are_not_hidden(monkeypatch):
    def failing(word: str):
        raise ZeroDivisionError

    monkeypatch.setitem(COMMANDS, "spell", failing)
    with pytest.raises(ZeroDivisionError):
        main(["spell", "A"])


OWNERS = {
    "augment": ("augment", "poses", "output"),
    "cslr": ("train", "cslr"),
    "isolated": ("train", "words"),
    "prove": ("prove",),
    "recognizer": ("train", "recognizer"),
    "signer": ("train", "renderer"),
    "signers": ("signers", "make"),
    "signx": ("train", "pose2gloss"),
    "single": ("train", "isolated"),
    "video2pose": ("train", "video2pose"),
}


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_found_by_name_and_belongs_to_a_command(preset, capsys):
    command = OWNERS[preset.stem.partition("-")[0]]
    with pytest.raises(SystemExit) as done:
        main([*command, "--config", preset.stem, "--print_config"])
    assert not done.value.code, capsys.readouterr().err


@pytest.mark.parametrize("config", [["--config", "recognizer-quick"], ["--config=recognizer-quick"]])
def test_training_takes_its_configuration(monkeypatch, capfd, config):
    taken = []
    monkeypatch.setattr("recognizer.training.train", taken.append)
    assert main(["train", "recognizer", *config, "--num-steps", "3", "--json"]) == 0
    assert (taken[0].num_steps, taken[0].num_words) == (3, 1500)
    assert json.loads(capfd.readouterr().out) == {"output": "runs/recognizer-quick"}


def test_options_within_options_may_be_typed_with_dashes(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["augment", "poses", "output", "--gate.hand-pck", "0.3", "--keep-rejected", "--print_config"])
    said = capsys.readouterr().out
    assert "keep_rejected: true" in said
    assert "  hand_pck: 0.3" in said


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_leaves_nothing(stop, clip, tmp_path):
    code = (
        "import signal, sys, time, pipelines.cli as cli\n"
        "from pathlib import Path\n"
        "from poses.files import new_file\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs have it ignored
        "def slow(output: Path):\n"
        "    with new_file(output) as aside:\n"
        "        aside.write_text('half'); print('started', file=sys.stderr, flush=True); time.sleep(60)\n"
        "cli.COMMANDS['spell'] = slow\n"
        f"sys.exit(cli.main(['spell', {str(tmp_path / 'out.npz')!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    assert process.stderr.readline() == "started\n"
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if stop == signal.SIGINT else 143)
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_streams_that_are_closed_cost_nothing(tmp_path):
    command = f"exec {sys.executable} -m pipelines.cli spell A {tmp_path / 'a.npz'} >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, check=False).returncode == 0
    assert len(load_poses(tmp_path / "a.npz")) > 0
    told = subprocess.run(["sh", "-c", command + " <&-"], cwd=ROOT, check=False)
    assert told.returncode == 2  # it is there


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"", "found something else."),
        (b"- fps", "found something else."),
        (b"fps: [", "but it cannot be read (while parsing"),
        (b"\xff", "but it cannot be read ('utf-8' codec"),
    ],
)
def test_a_damaged_configuration_is_told_by_its_name(held, said, tmp_path, capfd):
    (tmp_path / "my.yaml").write_bytes(held)
    assert main(["spell", "A", str(tmp_path / "a.npz"), "--config", str(tmp_path / "my.yaml")]) == 2
    assert (
        f"signloop: {tmp_path / 'my.yaml'}: must be YAML of options and their values, {said}" in capfd.readouterr().err
    )
    assert not (tmp_path / "a.npz").exists()


def test_an_argument_that_is_no_utf8_is_told(capfd):
    assert main(["inspect", "b\udcff.npz"]) == 2
    assert capfd.readouterr().err == "signloop: 'b\\udcff.npz': must be UTF-8, as names of files must be, too.\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--fps", "nan"], "`fps` must be a number, got 'nan' (see `signloop spell --help`)"),
        (["--width", "1.5"], "`width` must be a whole number, got '1.5' (see `signloop draw --help`)"),
        (["--variation.zoom", "far"], "`variation.zoom` must be a number, got 'far' (see `signloop augment --help`)"),
    ],
)
def test_a_value_of_a_wrong_type_is_told_in_words(args, said, capfd):
    command = said.split("signloop ")[1].split()[0]
    with pytest.raises(SystemExit, match="2"):
        main([command, "a", "b", *args])
    assert capfd.readouterr().err == f"signloop: {said}\n"
