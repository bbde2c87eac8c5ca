"""Every format, there and back: what comes back is what docs/formats.md says, for any clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poses.formats.signverse_repairs import VERSIONS
from poses.io import FORMATS, load_poses, save_poses
from poses.keypoints import NAMES, PARTS, index
from poses.sequence import GlossSpan

DOCUMENT = Path(__file__).parents[3] / "docs" / "formats.md"
EXACT_PX = 1e-3
"""Rounding to float32 and back, in a frame of 640 pixels."""


def converted(poses, folder: Path, format: str):
    path = folder / f"clip{FORMATS[format].suffix}"
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
    save_poses(poses, path, format=format, overwrite=True)
    return load_poses(path)


def kept_points(format: str, poses) -> np.ndarray:
    """Which points a format can hold, [frames, 128]."""
    kept = poses.confidence > 0
    if format == "signverse":  # says of body joints only whether they are above 0.3
        kept[:, PARTS["body"]] &= poses.confidence[:, PARTS["body"]] > 0.3
    if format in ("coco-wholebody", "holistic"):  # the neck is made of the shoulders
        kept[:, index("neck")] = kept[:, index("right_shoulder", "left_shoulder")].all(axis=1)
    if format == "signx":
        square = min(poses.width, poses.height)
        inset = (np.array([poses.width, poses.height]) - square) / 2
        inside = (poses.pixels() >= inset) & (poses.pixels() <= inset + square)
        kept &= inside.all(axis=-1)
    return kept


def to_frame(back, poses) -> np.ndarray:
    """Pixels of the frame that was written."""
    inset = (np.array([poses.width, poses.height]) - [back.width, back.height]) / 2
    return back.pixels() + inset


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    num_frames=st.integers(1, 6),
    fps=st.sampled_from([24.0, 29.97, 60.0]),
    size=st.sampled_from([(640, 360), (360, 640), (512, 512)]),
)
def test_points_come_back(make_poses, tmp_path, format, seed, num_frames, fps, size):
    poses = make_poses(seed, num_frames, fps=fps, width=size[0], height=size[1])
    poses.confidence[0, index("left_shoulder", "right_shoulder")] = 1  # somebody is there in every format
    poses.keypoints[0, index("left_shoulder", "right_shoulder")] = 0.5
    back = converted(poses, tmp_path, format)
    kept = kept_points(format, poses)
    assert len(back) == num_frames
    np.testing.assert_array_equal(back.confidence > 0, kept)
    others = [i for i, name in enumerate(NAMES) if name != "neck" or format not in ("coco-wholebody", "holistic")]
    shift = np.abs(to_frame(back, poses) - poses.pixels())[:, others][kept[:, others]].max()
    assert shift <= (0.5 if format == "multi-vsl" else EXACT_PX)
    assert back.fps == pytest.approx(fps, rel=1e-6)
    assert not back.keypoints[~kept].any()


@pytest.mark.parametrize("format", ["openpose", "pose", "coco-wholebody"])
def test_confidence_comes_back(make_poses, tmp_path, format):
    poses = make_poses(3)
    others = [i for i, name in enumerate(NAMES) if name != "neck" or format != "coco-wholebody"]
    np.testing.assert_array_equal(converted(poses, tmp_path, format).confidence[:, others], poses.confidence[:, others])


def test_openpose_loses_no_bit(make_poses, tmp_path):
    poses = make_poses(5, width=1919, height=1081)
    np.testing.assert_array_equal(converted(poses, tmp_path, "openpose").keypoints, poses.keypoints)


def measured_row(poses, folder: Path, format: str) -> list[str]:
    """A row of the table in docs/formats.md, found by converting a clip."""
    back = converted(poses, folder, format)
    kept = (back.confidence > 0) & (poses.confidence > 0)
    shift = np.abs(to_frame(back, poses) - poses.pixels())[kept].max(axis=-1)
    neck = np.zeros_like(kept)
    neck[:, index("neck")] = True
    coordinates = "exact" if shift[~neck[kept]].max() < EXACT_PX else "rounded"
    certainty = []
    for part in PARTS:
        before, after = (clip.part(part)[1] for clip in (poses, back))
        others = np.arange(before.shape[1]) != (index("neck") if part == "body" else -1)
        seen = after[:, others] > 0
        kept_so = np.abs(after[:, others] - before[:, others])[seen].max() < 1e-3
        certainty.append("kept" if kept_so else "yes or no")
    body, left, right, face = certainty
    assert left == right
    lost = poses.confidence[(back.confidence == 0) & (poses.confidence > 0) & ~neck]
    points = "all" if not len(lost) else "above 0.3" if lost.max() <= 0.3 else "in the square"
    made = "its own" if shift[neck[kept]].max() < EXACT_PX + (coordinates == "rounded") else "from the shoulders"
    glosses = "kept" if (back.glosses, back.language) == (poses.glosses, poses.language) else "lost"
    return [f"`{format}`", FORMATS[format].title, points, coordinates, body, left, face, made, glosses]


def test_the_table_of_losses_is_what_is_measured(make_poses, tmp_path):
    poses = make_poses(1, 30, width=640, height=640, language="ase", glosses=(GlossSpan("A", 2, 9),))
    points = np.clip(poses.keypoints, 0, 1)
    points[:, :18] = points[:, :18] * 0.5 + 0.25
    poses = replace(poses, keypoints=np.where(poses.confidence[..., None] > 0, points, np.float32(0)))
    wide = replace(poses, width=1280)
    measured = [measured_row(wide if format == "signx" else poses, tmp_path, format) for format in FORMATS]
    assert [row[: len(measured[0])] for row in rows("What writing loses")] == measured


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of docs/formats.md."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_name_every_format_and_every_repair():
    assert [row[0] for row in rows("What reading loses")] == [format.title for format in FORMATS.values()]
    repairs = rows("What is wrong in SignVerse-2M, and repaired")
    assert [row[0].strip("`") for row in repairs] == list(VERSIONS)
