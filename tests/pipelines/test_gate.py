import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gen.renderers import create_renderer
from gen.renderers.pictures import built_in_picture
from pipelines.candidates import measure_render
from pipelines.evaluate import load_judges
from pipelines.gate import Gate, best_of
from pipelines.pairs import Pair
from pipelines.render import render_video
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.keypoints import PARTS, index
from poses.video import read_frames, write_video

SIZE = 192

GOOD = {"pck_0.1/hands": 0.8, "recall/hands": 0.9, "hands_in_frame": 1.0}
GATE = Gate(hand_pck=0.7, hand_recall=0.6, label_share=0.75, colour=15.0, pose_drift=0.2)


def test_the_gate_says_why():
    assert GATE.reasons(GOOD) == []
    bad = GOOD | {"pck_0.1/hands": 0.5, "delta_e/largest": 40.0, "drift/pose": 0.9, "label_share": 0.5}
    assert GATE.reasons(bad) == [
        "pck_0.1/hands 0.500 is below 0.7",
        "label_share 0.500 is below 0.75",
        "delta_e/largest 40.000 is above 15",
        "drift/pose 0.900 is above 0.2",
    ]
    assert GATE.reasons(GOOD | {"recall/hands": None}) == ["recall/hands could not be measured"]
    assert GATE.reasons(GOOD | {"frozen_share": None}) == []


def test_what_the_documents_turn_off_is_the_whole_gate():
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "augment.md").read_text(encoding="utf-8")
    bounds = {name: float(value) for name, value in re.findall(r"--gate\.(\w+)\s+([\d.]+)", text)}
    gate = Gate(**bounds)
    assert bounds.keys() == {field.name for field in fields(Gate)} - {"top_k"}
    worst = {"delta_e/largest": 300.0, "delta_e_drift": 300.0, "drift/pose": 50.0, "frozen_share": 1.0}
    assert gate.reasons(dict.fromkeys(gate.figures(), 0.0) | worst) == []
    assert len(Gate().reasons(dict.fromkeys(gate.figures(), 0.0) | worst)) == len(gate.figures())


@pytest.mark.parametrize(("name", "value"), [("hand_pck", 1.1), ("colour", -2.0), ("top_k", 0)])
def test_a_gate_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`gate.{name}` must be .*, got {value}"):
        Gate(**{name: value})


def test_the_best_of_those_that_pass_is_chosen():
    better = GOOD | {"pck_0.1/hands": 0.9}
    assert best_of([(GOOD, []), (better, ["bad"]), (better, []), (better, [])]) == 2
    assert best_of([(GOOD, ["bad"])]) is None


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A word by one signer, drawn directly: the driving pose in the frame, and the frames."""
    poses = spell("HI", "ase", fps=12)
    video = tmp_path_factory.mktemp("gate") / "render.mp4"
    picture = built_in_picture("alex", SIZE, SIZE)
    placement = render_video(poses, video, renderer=create_renderer("avatar"), signer=picture, height=SIZE, width=SIZE)
    return placement(poses), np.stack(list(read_frames(video)))


def reasons(folder, placed, frames, *, signer="alex") -> set[str]:
    """What the default gate has against some frames."""
    save_poses(placed, folder / "placed.npz")
    write_video(folder / "shown.mp4", frames, fps=placed.fps)
    Image.fromarray(built_in_picture(signer, SIZE, SIZE).image).save(folder / "signer.png")
    pair = Pair("HI", folder / "placed.npz", folder / "shown.mp4", image=folder / "signer.png")
    figures, _ = measure_render(pair, placed, ("H", "I"), load_judges("mediapipe"), Gate())
    return {reason.split()[0] for reason in Gate().reasons(figures)}


def blurred_hands(placed, frames):
    hands = PARTS["left_hand"].start, PARTS["right_hand"].stop
    spoiled = frames.copy()
    for frame, points, seen in zip(spoiled, placed.pixels(), placed.confidence > 0, strict=True):
        (left, top), (right, bottom) = (
            edge(points[slice(*hands)][seen[slice(*hands)]], axis=0).astype(int) for edge in (np.min, np.max)
        )
        soft = Image.fromarray(frame).filter(ImageFilter.GaussianBlur(10))
        frame[top - 5 : bottom + 5, left - 5 : right + 5] = np.asarray(soft)[top - 5 : bottom + 5, left - 5 : right + 5]
    return spoiled


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        ("nothing", set()),
        ("signer", {"delta_e/largest"}),
        ("word", {"pck_0.1/hands"}),
        ("hands", {"pck_0.1/hands", "recall/hands"}),
        ("frozen", {"frozen_share"}),
    ],
)
def test_renders_that_went_wrong_are_rejected(rendered, tmp_path, spoil, expected):
    placed, frames = rendered
    signer = "lucia" if spoil == "signer" else "alex"
    if spoil == "word":
        other = spell("OU", "ase", fps=12)
        offset = placed.keypoints[0, index("neck")] - other.keypoints[0, index("neck")]
        keypoints = np.where(other.confidence[..., None] > 0, other.keypoints + offset, 0).astype(np.float32)
        placed = replace(other, keypoints=keypoints, width=placed.width, height=placed.height)
        shared = min(len(placed), len(frames))
        placed, frames = placed[:shared], frames[:shared]
    if spoil == "hands":
        frames = blurred_hands(placed, frames)
    if spoil == "frozen":
        frames = frames[np.full(len(frames), len(frames) // 2)]
    found = reasons(tmp_path, placed, frames, signer=signer)
    assert expected <= found
    assert bool(found) == bool(expected)
