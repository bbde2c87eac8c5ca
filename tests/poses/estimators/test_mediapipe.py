import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from poses.estimators import create_estimator, extract_poses
from poses.estimators.holistic import import_mediapipe, without_hands_beyond
from poses.estimators.mediapipe import MediaPipeEstimator, _array, _same, _square
from poses.formats.mediapipe import POSE_NAMES, holistic_to_dwpose
from poses.keypoints import PARTS, index
from poses.video import read_frames, read_info

ROOT = Path(__file__).parents[3]
VIDEOS = ROOT.parent / "shared" / "data"
PROTOBUF = "ignore:SymbolDatabase.GetPrototype"  # its warning filter is set when MediaPipe is imported


@pytest.fixture(scope="module")
def estimator():
    loaded = create_estimator("mediapipe")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def person():
    from skimage.data import astronaut

    return astronaut()


@pytest.mark.filterwarnings(PROTOBUF)
def test_a_person_is_found_with_left_and_right_her_own(estimator, person):
    poses = extract_poses([person, person], fps=25, estimator=estimator, source="astronaut")
    x, y = poses.keypoints[1].T
    seen = poses.confidence[1]
    assert x[index("right_shoulder")] < x[index("nose")] < x[index("left_shoulder")]
    assert x[index("right_eye")] < x[index("left_eye")]
    assert x[index("face_jaw_0")] < x[index("face_jaw_16")]
    assert y[index("nose")] < y[index("face_jaw_8")] < y[index("neck")]
    assert np.abs(poses.keypoints[1, index("face_nose_bridge_3")] - poses.keypoints[1, index("nose")]).max() < 0.03
    assert (seen[60:] == 1).all()
    assert seen[18:60].max() == 0
    assert seen[index("nose")] > 0.9


@pytest.mark.filterwarnings(PROTOBUF)
def test_a_second_video_is_not_coloured_by_the_first(estimator, person):
    alone = extract_poses([person], fps=25, estimator=estimator)
    after = extract_poses([person[:, ::-1].copy(), person], fps=25, estimator=estimator)
    again = extract_poses([person], fps=25, estimator=estimator)
    np.testing.assert_array_equal(alone.keypoints, again.keypoints)
    np.testing.assert_array_equal(alone.confidence, again.confidence)
    assert len(after) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings(PROTOBUF)
@pytest.mark.parametrize("video", ["in view", "lost for a while"])
def test_it_finds_what_bare_holistic_finds_to_the_bit(estimator, person, video):
    """Hands and face half a pixel farther right and down."""
    frames = [np.roll(person, by, axis=1)[:448] for by in (0, 20, 40)]  # wider than high
    if video == "lost for a while":
        frames[1:1] = [np.zeros_like(frames[0])] * 2
    estimator.reset()
    found = [estimator.estimate(frame) for frame in frames]
    holistic = import_mediapipe().solutions.holistic.Holistic(refine_face_landmarks=True)
    for frame, (keypoints, confidence) in zip(frames, found, strict=True):
        bare = holistic.process(frame)
        lists = (bare.pose_landmarks, bare.face_landmarks, bare.left_hand_landmarks, bare.right_hand_landmarks)
        expected, certain = holistic_to_dwpose(
            *(_array(points, *of) for points, of in zip(lists, ((33, "visibility"), (478,), (21,), (21,)), strict=True))
        )
        counted = (certain > 0) & (np.arange(128) >= 18)  # hands and face
        expected[counted] += np.float32(0.5) / np.float32(frame.shape[1::-1])
        again = (confidence > 0) & (certain == 0)  # hands that were looked for again
        assert not again[[*range(18), *range(60, 128)]].any()
        np.testing.assert_array_equal(keypoints[~again], expected[~again])
        np.testing.assert_array_equal(confidence[~again], certain[~again])
    holistic.close()


def test_hands_beyond_the_picture_are_not_looked_for():
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList

    pose = NormalizedLandmarkList(landmark=[NormalizedLandmark(x=0.5, y=1.2, visibility=1)] * 33)
    left, right = (POSE_NAMES.index(f"{side}_WRIST") for side in ("LEFT", "RIGHT"))
    pose.landmark[POSE_NAMES.index("RIGHT_INDEX")].y = 0.9
    lost = {"left_hand_landmarks", "right_hand_landmarks"}
    looked_for = without_hands_beyond(pose, lost)
    assert [looked_for.landmark[wrist].visibility for wrist in (left, right)] == [0, 1]
    assert pose.landmark[left].visibility == 1
    assert without_hands_beyond(pose, lost - {"left_hand_landmarks"}) == pose  # it is followed out


@pytest.mark.slow
def test_matplotlib_waits_until_it_is_called():
    program = (
        "import sys; from poses.estimators.holistic import import_mediapipe\n"
        "drawing = import_mediapipe().solutions.drawing_utils; assert 'matplotlib' not in sys.modules\n"
        "assert drawing.plt.figure is __import__('matplotlib.pyplot').pyplot.figure\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.filterwarnings(PROTOBUF)
def test_an_empty_room_is_refused(estimator):
    with pytest.raises(ValueError, match=r"^room\.mp4: expected a person, found none in any of 2 frames"):
        extract_poses([np.full((64, 64, 3), 90, np.uint8)] * 2, fps=25, estimator=estimator, source="room.mp4")


def test_nothing_is_written_to_the_screen():
    program = (
        "import numpy as np; from poses.estimators import create_estimator\n"
        "estimator = create_estimator('mediapipe')\n"
        "estimator.estimate(np.zeros((64, 64, 3), np.uint8)); estimator.reset()\n"
        "estimator.estimate(np.zeros((64, 64, 3), np.uint8)); estimator.close()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.filterwarnings(PROTOBUF)
@pytest.mark.skipif(not (VIDEOS / "isl51").is_dir(), reason="../shared/data is not here")
def test_each_hand_belongs_to_its_own_wrist(estimator):
    path = VIDEOS / "isl51" / "videos" / "a.mp4"
    frames = islice(read_frames(path), 26, 36)
    poses = extract_poses(frames, fps=read_info(path).fps, estimator=estimator, source=path.name)
    wrists = poses.pixels()[:, index("left_hand_wrist", "right_hand_wrist")]
    arms = poses.pixels()[:, index("left_wrist", "right_wrist")]
    both = (poses.confidence[:, index("left_hand_wrist", "right_hand_wrist")] > 0).all(axis=1)
    assert both.sum() > 5
    own = np.linalg.norm(wrists - arms, axis=-1)[both].mean()
    crossed = np.linalg.norm(wrists - arms[:, ::-1], axis=-1)[both].mean()
    assert own < crossed / 2


@pytest.mark.filterwarnings(PROTOBUF)
@pytest.mark.skipif(not (VIDEOS / "isl51").is_dir(), reason="../shared/data is not here")
def test_a_lost_hand_is_found_where_it_was(estimator):
    path = VIDEOS / "isl51" / "videos" / "a.mp4"
    estimator.reset()
    frame = next(islice(read_frames(path), 30, None))
    keypoints, confidence = estimator.estimate(frame)
    hand = PARTS["right_hand"]
    assert (confidence[hand] == 1).all()
    again = estimator._look_again(frame, keypoints, confidence, "right")
    extent = np.ptp(keypoints[hand], axis=0).max()
    assert np.linalg.norm(again - keypoints[hand], axis=1).mean() < 0.15 * extent


def test_a_hand_is_looked_for_beyond_its_wrist():
    pixels, confidence = np.zeros((128, 2)), np.zeros(128)
    seen = index("right_shoulder", "left_shoulder", "right_elbow", "right_wrist")
    pixels[seen] = (20, 40), (70, 40), (10, 80), (30, 60)
    confidence[seen] = 1
    assert _square(pixels, confidence, "right") == (37, 53, 30)
    assert _square(pixels, confidence, "left") is None
    confidence[index("right_wrist")] = 0.2
    assert _square(pixels, confidence, "right") is None


def test_one_hand_found_twice_is_told_from_two():
    hand = np.stack([np.linspace(0.2, 0.4, 21), np.linspace(0.5, 0.6, 21)], axis=1)
    assert _same(hand + 0.02, hand)
    assert not _same(hand + 0.1, hand)


@pytest.mark.parametrize(("height", "width"), [(400, 1600), (1600, 400)])
@pytest.mark.parametrize(("apart", "found"), [(20, False), (30, True)])
def test_two_hands_are_told_apart_in_pixels(monkeypatch, height, width, apart, found):
    """An upright left hand of 100 pixels is there; another is found to its right."""
    places = np.zeros((478, 3), np.float32)
    pixels = np.stack([np.full(21, 300), np.linspace(200, 300, 21)], axis=1)
    left = pixels / (width, height)
    estimator = MediaPipeEstimator()
    estimator._holistic = SimpleNamespace(find=lambda frame: [_landmarks(places[:33]), None, _landmarks(left), None])
    again = np.float32((pixels + np.array([apart, 0])) / (width, height))
    monkeypatch.setattr(estimator, "_look_again", lambda frame, keypoints, confidence, side: again)
    _, confidence = estimator.estimate(np.zeros((height, width, 3), np.uint8))
    assert confidence[PARTS["left_hand"]].all()
    assert confidence[PARTS["right_hand"]].all() == found


def _landmarks(points):
    return SimpleNamespace(landmark=[SimpleNamespace(x=x, y=y, visibility=1.0) for x, y, *_ in points.tolist()])
