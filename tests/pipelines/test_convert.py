import json
import re
from dataclasses import replace

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.convert import convert_poses, find_losses, summary
from poses.draw_presets import PRESETS
from poses.io import FORMATS, load_poses, save_poses
from poses.keypoints import PARTS, index

NOTHING = {"body": 0, "left_hand": 0, "right_hand": 0, "face": 0}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_from_the_command_line(signer, format, tmp_path, capfd):
    save_poses(replace(signer, estimator="mediapipe"), tmp_path / "clip.npz")
    path = tmp_path / f"out{FORMATS[format].suffix}"
    assert main(["convert", str(tmp_path / "clip.npz"), str(path), "--format", format, "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["output"], said["num_frames"], said["fps"]) == (str(path), 12, 24)
    assert said["lost"]["points"] == NOTHING
    assert said["lost"]["glosses"] == (0 if format == "signverse" else 2)
    assert said["lost"]["language"] == ("" if format == "signverse" else "ase")
    assert said["lost"]["estimator"] == ("" if format == "signverse" else "mediapipe")
    assert len(load_poses(path)) == 12


def test_losses_are_counted_part_by_part(signer):
    written = replace(signer, keypoints=signer.keypoints.copy(), confidence=signer.confidence.copy())
    written.confidence[:3, PARTS["face"]] = 0
    written.confidence[5, index("nose")] = 0.25
    written.keypoints[7, index("neck")] += np.float32(0.01)
    lost = find_losses(signer, written)
    assert lost.points == NOTHING | {"face": 3 * 68}
    assert lost.largest_confidence_change == 0.75
    assert lost.largest_shift_px == 2  # of 200
    assert (lost.glosses, lost.language, lost.estimator, lost.frame) == (0, "", "", None)


def test_a_wide_frame_loses_its_sides_in_signx(signer, tmp_path):
    wide = replace(signer, width=400)
    conversion = convert_poses(wide, tmp_path / "clip.npz", format="signx")
    assert conversion.lost.frame == (400, 200)
    assert conversion.lost.largest_shift_px < 0.01
    assert conversion.lost.points["body"] == 0
    assert "the frame around its middle square" in summary(conversion)


def test_cleaning_and_retargeting_are_said(signer, tmp_path, capfd):
    gap = replace(signer, confidence=signer.confidence.copy(), keypoints=signer.keypoints.copy())
    gap.confidence[4:6, PARTS["right_hand"]] = 0
    gap.keypoints[gap.confidence == 0] = 0
    longer = replace(signer, keypoints=signer.keypoints.copy())
    longer.keypoints[:, index("nose"), 1] -= 0.05
    longer.keypoints[:, PARTS["face"], 1] -= 0.05
    save_poses(gap, tmp_path / "clip.npz")
    save_poses(longer, tmp_path / "reference.npz")
    options = ["--retarget", str(tmp_path / "reference.npz"), "--smooth", "--fill-gaps", "100", "--fps", "12"]
    assert main(["convert", str(tmp_path / "clip.npz"), str(tmp_path / "out.pose"), *options]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'out.pose'}: 6 frames at 12 frames per second."
    assert lines[1] == "Filled: 42 points, less certain than those around them."
    assert lines[2].startswith("Times as long: neck 1.20")
    assert lines[3] == "Lost: 2 glosses, the language."
    written = load_poses(tmp_path / "out.pose")
    assert written.confidence[2, index("right_hand_index_tip")] == 0.5


def test_what_the_input_does_not_say_is_given(signer, tmp_path, capfd):
    keypoints = np.full((2, 133, 2), 50, np.float32)
    np.savez(tmp_path / "clip.npz", keypoints=keypoints, scores=np.ones((2, 133), np.float32))
    args = ["convert", str(tmp_path / "clip.npz"), str(tmp_path / "out.pose")]
    assert main(args) == 2
    assert capfd.readouterr().err.splitlines()[-1].endswith("clip.npz: does not state its fps; say what it is.")
    assert main([*args, "--source-fps", "30", "--width", "200", "--height", "100"]) == 0
    written = load_poses(tmp_path / "out.pose")
    assert (written.fps, written.width, written.keypoints[0, 0].tolist()) == (30, 200, [0.25, 0.5])


@pytest.mark.parametrize(("command", "names"), [("convert", FORMATS), ("draw", PRESETS)])
def test_help_names_every_choice(command, names, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    words = re.findall(r"[\w-]+", capsys.readouterr().out.replace("-\n", "-"))
    assert set(names) <= set(words)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fps": 0.0}, r"`fps` must be 0\.1 to 1000 frames per second, got 0"),
        ({"fps": np.nan}, r"`fps` must be 0\.1 to 1000 frames per second, got nan"),
        ({"longest_gap_s": -1.0}, "`longest_s` must be 0 or more seconds, got -1"),
        ({"format": "bvh"}, "`format` must be one of signverse, .*, got 'bvh'"),
    ],
)
def test_wrong_values_write_nothing(signer, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        convert_poses(signer, tmp_path / "clip.pose", **options)
    assert list(tmp_path.iterdir()) == []


def test_too_many_frames(signer, tmp_path):
    slow = replace(signer, fps=0.1, glosses=())
    long = replace(slow, keypoints=np.repeat(slow.keypoints, 3, 0), confidence=np.repeat(slow.confidence, 3, 0))
    with pytest.raises(ValueError, match="`fps` must give at most 262144 frames, got 1000 for 360 s"):
        convert_poses(long, tmp_path / "clip.pose", fps=1000.0)
