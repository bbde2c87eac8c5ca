import json
from dataclasses import replace

import numpy as np
import pytest

import pipelines.filmed_signer
from gen.data import WindowDataset
from pipelines.filmed_signer import FilmConfig, Square, choose_pictures, clip_starts, film_signer, find_square
from poses.fingerspelling import spell
from poses.keypoints import PARTS, index
from poses.video import write_video

HANDS = [*range(128)[PARTS["left_hand"]], *range(128)[PARTS["right_hand"]]]


@pytest.fixture(scope="module")
def poses():
    """Twenty frames, 128 x 96, all seen."""
    clip = spell("A", "ase")
    keypoints = clip.keypoints[np.arange(20) % len(clip)]
    keypoints[keypoints == 0] = 0.5  # such as the face, which the clip does not show
    seen = np.ones(keypoints.shape[:2], np.float32)
    return replace(clip, keypoints=keypoints, confidence=seen, width=128, height=96, glosses=(), estimator="mediapipe")


def unseen(poses, frames, points):
    confidence = poses.confidence.copy()
    confidence[np.ix_(frames, points)] = 0
    return replace(poses, keypoints=np.where(confidence[..., None] > 0, poses.keypoints, 0), confidence=confidence)


def test_the_square_is_about_the_signer_and_within_the_frame(poses):
    at = poses.keypoints.copy()
    at[:, index("neck")] = (0.7, 0.2)
    assert find_square(replace(poses, keypoints=at)) == Square(32, 0, 96)
    at[:, index("neck")] = (0.5, 0.5)
    assert find_square(replace(poses, keypoints=at)) == Square(16, 0, 96)


def test_points_move_with_the_square_and_those_outside_are_unseen(poses):
    at = poses.keypoints.copy()
    at[0, 0], at[0, 1] = (0.5, 0.5), (0.1, 0.5)
    cut = Square(16, 0, 96).poses(replace(poses, keypoints=at), 48)
    assert (cut.width, cut.height) == (48, 48)
    np.testing.assert_allclose(cut.keypoints[0, :2], [[0.5, 0.5], [0, 0]], atol=1e-6)
    assert cut.confidence[0, :2].tolist() == [1, 0]


def test_clips_lie_where_the_signer_is_seen(poses):
    assert clip_starts(poses, 6) == [0, 6, 12]
    assert clip_starts(unseen(poses, [3], HANDS), 6) == [4, 10]
    assert clip_starts(unseen(poses, [3], HANDS[:21]), 6) == [0, 6, 12]
    assert clip_starts(unseen(poses, [7, 19], [index("left_shoulder")]), 6) == [0, 8]
    assert clip_starts(poses, 21) == []


def test_pictures_are_spread_over_the_frames_that_show_the_face(poses):
    faceless = unseen(poses, range(10), range(128)[PARTS["face"]])
    assert choose_pictures(faceless) == [10, 11, 12, 13, 15, 16, 17, 19]
    assert choose_pictures(unseen(poses, range(20), range(128)[PARTS["face"]])) == []


@pytest.mark.long
def test_a_film_becomes_clips_that_the_renderer_trains_on(poses, tmp_path, monkeypatch):
    """Made once: what is there is kept, and the same comes again."""
    shade = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
    write_video(tmp_path / "film.mp4", list(np.broadcast_to(shade, (20, 96, 128, 3))), fps=24)
    monkeypatch.setattr(pipelines.filmed_signer, "extract_from_video", lambda *_: poses)
    config = FilmConfig(tmp_path / "film.mp4", tmp_path / "clips", "synthetic", num_frames=6, size=64)
    assert film_signer(config, show=False) == {"train": 2, "validation": 1}
    folder = config.output / "validation" / "000001"
    about = json.loads((folder / "clip.json").read_text())
    assert about | {"frames": about["frames"][1:]} == {
        "film": "film.mp4", "content": about["content"], "fps": poses.fps, "estimator": "mediapipe",
        "consent": "synthetic", "size": 64, "seed": 0, "frames": [6, 7, 8, 9, 10, 11],
    }  # fmt: skip
    frames = np.load(folder / "frames.npy")
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), np.array(about["frames"]) * 10, atol=4)
    window = WindowDataset(config.output / "train", num_windows=1, num_frames=6, crop_size=32, seed=0)[0]
    assert window["maps"].shape == (6, 32, 32, 12)
    changed = (folder / "maps.npy").stat().st_mtime_ns
    assert film_signer(config, show=False) == {"train": 2, "validation": 1}
    assert (folder / "maps.npy").stat().st_mtime_ns == changed
    for other, said in (
        ({"size": 80}, "000000: was made with size 64, not 80; choose another folder"),
        ({"consent": "self"}, "made with consent 'synthetic', not 'self'"),
        ({"num_frames": 9}, r"made with frames \[\d+, 0, 1, 2, 3, 4, 5\], not "),
    ):
        with pytest.raises(ValueError, match=said):
            film_signer(replace(config, **other), show=False)
    with monkeypatch.context() as shorter:
        shorter.setattr(pipelines.filmed_signer, "extract_from_video", lambda *_: unseen(poses, range(12, 20), HANDS))
        with pytest.raises(ValueError, match="000002: is a clip of none of these films"):
            film_signer(config, show=False)
    write_video(tmp_path / "film.mp4", list(np.broadcast_to(255 - shade, (20, 96, 128, 3))), fps=24, overwrite=True)
    with pytest.raises(ValueError, match=r"made with content '[0-9a-f]{16}', not '[0-9a-f]{16}'"):
        film_signer(config, show=False)
    with pytest.raises(ValueError, match=r"film.mp4: must show a face, both shoulders and a hand, for 30 frames in a"):
        film_signer(replace(config, num_frames=30), show=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"consent": ""}, "`consent` must be one of self, written, synthetic, public-domain, got none"),
        ({"num_frames": 0}, "`num_frames` must be at least 1, got 0"),
        ({"size": 32}, "`size` must be at least 64, got 32"),
    ],
)
def test_wrong_orders_are_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        FilmConfig(**({"films": tmp_path, "output": tmp_path, "consent": "self"} | change))
