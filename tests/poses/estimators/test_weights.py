from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from poses.estimators import create_estimator
from poses.keypoints import index

FRAME = np.zeros((100, 200, 3), np.uint8)


def test_dwpose_says_which_file_is_missing(tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("rtmlib.tools.file.urlopen", offline)
    with pytest.raises(
        ValueError, match=r"^yolox_l\.onnx: this weight file is missing .* from https://hugging\S+\. .*offline"
    ):
        create_estimator("dwpose")


@pytest.mark.parametrize("held", [b"", b"\x08\x07\x12\x07pytorch" + bytes(1000)], ids=["nothing", "a part"])
def test_dwpose_names_a_file_that_cannot_be_loaded(tmp_path, monkeypatch, held):
    """rtmlib takes a download for whole whose connection broke off."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for file in ("yolox_l.onnx", "dw-ll_ucoco_384.onnx"):
        (folder / file).write_bytes(held)
    with pytest.raises(ValueError, match=r"/yolox_l\.onnx: .* cannot be loaded \(.*\)\. Once deleted") as caught:
        create_estimator("dwpose")
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_openpose_says_which_file_is_missing_and_its_licence(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(repository, file):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    message = r"^body_pose_model\.pth: .* fetched from https://\S+\. .*non-commercial use only.*mediapipe.*offline"
    with pytest.raises(ValueError, match=message):
        create_estimator("openpose")


def test_dwpose_takes_the_largest_person(monkeypatch):
    boxes = np.array([[0, 0, 190, 99], [5, 5, 20, 20], [100, 0, 180, 90]], np.float32)
    classes = np.array([56, 0, 0])  # a chair, a child, an adult
    asked = []

    def estimate(frame, bboxes):
        asked.extend(bboxes)
        return np.full((1, 133, 2), (100.0, 25.0)), np.full((1, 133), 1.1)

    monkeypatch.setattr("rtmlib.tools.file.download_checkpoint", lambda url: url.rpartition("/")[2])
    monkeypatch.setattr("rtmlib.YOLOX", lambda *_, **__: lambda frame: (boxes, classes))
    monkeypatch.setattr("rtmlib.RTMPose", lambda *_, **__: estimate)
    estimator = create_estimator("dwpose")
    keypoints, confidence = estimator.estimate(FRAME)
    assert asked[0].tolist() == [100, 0, 180, 90]
    assert keypoints[index("neck")].tolist() == [0.5, 0.25]
    assert confidence.min() == confidence.max() == 1
    classes[:] = 56
    assert estimator.estimate(FRAME)[1].max() == 0
    assert len(asked) == 1


def test_openpose_lays_its_people_out(monkeypatch):
    def point(x, y):
        return SimpleNamespace(x=x, y=y)

    def person(size, hand):
        body = SimpleNamespace(keypoints=[point(0.1, 0.1), None, *[point(0.1 + size, 0.1 + size)] * 16])
        return SimpleNamespace(body=body, left_hand=None, right_hand=hand, face=[point(0.2, 0.2)] * 60)

    hand = [point(0.3, 0.4), point(-0.01, -0.01), *[point(0.5, 0.5)] * 19]
    people = [person(0.2, None), person(0.6, hand)]
    detector = SimpleNamespace(detect_poses=lambda frame, include_hand, include_face: people)
    module = SimpleNamespace(OpenposeDetector=SimpleNamespace(from_pretrained=lambda hub: detector))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repository, file: file)
    monkeypatch.setattr("poses.estimators.openpose.import_quietly", lambda name: module)
    estimator = create_estimator("openpose")
    keypoints, confidence = estimator.estimate(FRAME)
    assert keypoints[index("left_ear")].tolist() == pytest.approx([0.7, 0.7])
    assert confidence[index("nose", "neck", "right_hand_wrist", "right_hand_thumb_cmc")].tolist() == [1, 0, 1, 0]
    assert confidence[18:39].max() == 0
    assert confidence[60:].max() == 0  # 60 face points of 70: which ones is not known
    people[1].face.extend([point(0.2, 0.2)] * 10)  # one of 71 peaks is missing, and what follows it has moved up
    assert estimator.estimate(FRAME)[1][60:].max() == 0
    people[1].face.append(point(0.9, 0.9))
    assert estimator.estimate(FRAME)[1][60:].min() == 1
    people.clear()
    assert estimator.estimate(FRAME)[1].max() == 0
