"""`PoseSequence` holds only what can be true, and cuts and measures clips exactly."""

from dataclasses import replace

import numpy as np
import pytest

from poses.keypoints import PARTS, index
from poses.sequence import GlossSpan, PoseFileError, PoseSequence


@pytest.fixture
def poses() -> PoseSequence:
    keypoints = np.tile(np.float32([0.5, 0.25]), (10, 128, 1))
    keypoints[:, index("right_shoulder")] = [0.3, 0.5]
    keypoints[:, index("left_shoulder")] = [0.7, 0.5]
    glosses = (GlossSpan("A", 0, 4), GlossSpan("B", 4, 10))
    return PoseSequence(
        keypoints, np.ones((10, 128), np.float32), fps=25, width=400, height=200, language="ase", glosses=glosses
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.zeros((10, 127, 2), np.float32)}, r"must be float32 \[frames, 128, 2\], got float32 \[10"),
        ({"keypoints": np.zeros((10, 128, 2))}, r"`keypoints` must be .*, got float64 \[10, 128, 2\]"),
        ({"confidence": np.zeros((9, 128), np.float32)}, r"`confidence` must be float32 \[10, 128\], got float32 \[9"),
        ({"confidence": np.zeros((10, 128))}, "`confidence` must be .*, got float64"),
        ({"keypoints": np.full((10, 128, 2), np.nan, np.float32)}, "must be finite, got NaN or infinity"),
        ({"confidence": np.full((10, 128), np.inf, np.float32)}, "must be finite, got NaN or infinity"),
        ({"confidence": np.full((10, 128), 1.5, np.float32)}, r"`confidence` must be in \[0, 1\], got 1\.5 to 1\.5"),
        ({"confidence": np.full((10, 128), -0.5, np.float32)}, r"`confidence` must be in \[0, 1\], got -0\.5"),
        ({"fps": 0}, "`fps` must be a positive number, got 0"),
        ({"fps": float("nan")}, "`fps` must be a positive number, got nan"),
        ({"width": 0}, "`width` and `height` must be positive, got 0 x 200"),
        ({"height": -1}, "`width` and `height` must be positive, got 400 x -1"),
        ({"glosses": (GlossSpan("A", 0, 11),)}, "`glosses` must lie in frames 0 to 10, got 'A' from 0 to 11"),
        ({"glosses": (GlossSpan("A", 3, 3),)}, "got 'A' from 3 to 3"),
        ({"glosses": (GlossSpan("A", -1, 3),)}, "got 'A' from -1 to 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_refused(poses, change, message):
    with pytest.raises(ValueError, match=message):
        replace(poses, **change)


def test_an_empty_clip_is_refused():
    with pytest.raises(ValueError, match="at least one frame, got 0"):
        PoseSequence(np.zeros((0, 128, 2), np.float32), np.zeros((0, 128), np.float32), fps=25, width=1, height=1)


def test_length_and_duration(poses):
    assert len(poses) == 10
    assert poses.duration_s == 0.4


def test_parts_are_views(poses):
    for name, where in PARTS.items():
        keypoints, confidence = poses.part(name)
        assert keypoints.shape == (10, where.stop - where.start, 2)
        assert np.shares_memory(keypoints, poses.keypoints)
        assert np.shares_memory(confidence, poses.confidence)


def test_pixels_of_its_own_frame_and_of_another(poses):
    assert poses.pixels()[0, 0].tolist() == [200, 50]
    assert poses.pixels(height=100, width=100)[0, 0].tolist() == [50, 25]


def test_shoulder_width_is_the_median_of_frames_with_both(poses):
    assert poses.shoulder_width_px() == pytest.approx(160)
    poses.confidence[1:, index("left_shoulder")] = 0
    poses.keypoints[0, index("left_shoulder")] = [0.3, 1.0]
    assert poses.shoulder_width_px() == pytest.approx(100)
    poses.keypoints[0, index("right_shoulder")] = [0.3, 1.0]
    assert np.isnan(poses.shoulder_width_px())  # both in one place
    poses.confidence[0, index("right_shoulder")] = 0
    assert np.isnan(poses.shoulder_width_px())


def test_a_slice_is_a_clip_with_the_glosses_wholly_inside(poses):
    clip = poses[4:10]
    assert len(clip) == 6
    assert clip.glosses == (GlossSpan("B", 0, 6),)
    assert (clip.fps, clip.width, clip.language) == (25, 400, "ase")
    assert poses[1:10].glosses == (GlossSpan("B", 3, 9),)
    assert poses[:-1].glosses == (GlossSpan("A", 0, 4),)
    assert poses[-3:].glosses == ()


def test_slices_with_steps_or_nothing_are_refused(poses):
    with pytest.raises(ValueError, match="`frames` must be a slice with step 1, got step 2"):
        poses[::2]
    with pytest.raises(ValueError, match="at least one frame"):
        poses[5:5]


def test_file_errors_are_value_errors():
    assert issubclass(PoseFileError, ValueError)
