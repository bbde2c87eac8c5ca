"""The doctor tells what is missing, also where so much is missing that nothing runs."""

import json
from pathlib import Path

import pytest

from gen.renderers import RENDERERS
from pipelines import doctor
from pipelines.cli import main
from pipelines.doctor import PARTS, Diagnosis, SelfTest, diagnose, examine, installed_versions, run_self_test, summary
from pipelines.estimators import ESTIMATORS
from poses.estimators import dwpose, openpose
from recognizer.optional_weights import OPTIONAL_WEIGHTS
from recognizer.reading import VOCABULARIES
from recognizer.video2pose_estimator import FILES, WEIGHTS

PASSED = SelfTest(True, {"load": 1.5, "render": 0.2}, "")


def test_every_estimator_and_renderer_is_examined():
    assert [name for kind, name in PARTS if kind == "estimator"] == list(ESTIMATORS)
    assert {name for kind, name in PARTS if kind == "renderer"} == set(RENDERERS)
    recognizers = {
        name: weights.find("config.json").parent for (kind, name), (_, weights) in PARTS.items() if kind == "recognizer"
    }
    assert recognizers == VOCABULARIES
    _, video2pose = PARTS["estimator", "video2pose"]
    assert [video2pose.find(file) for file in video2pose.files] == [WEIGHTS / file for file in FILES]


def test_every_optional_weight_is_examined(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, weights in OPTIONAL_WEIGHTS.items():
        part = examine("backbone" if name == "vit" else "track", name)
        assert (part.licence, part.commercial) == (weights.licence, weights.commercial)
        assert part.missing_files[0].endswith(weights.file)
        assert part.source.endswith(weights.repository)
        assert "--backbone google/vit" in part.get or f"--tracks dwpose {name}" in part.get
    smplerx = examine("track", "smplerx")
    assert (smplerx.can_run, smplerx.commercial) == (False, "no")
    assert smplerx.get.startswith("run it yourself; ")


def test_the_files_are_those_that_estimators_fetch():
    _, weights = PARTS["estimator", "dwpose"]
    assert weights.files == (dwpose._DETECTOR, dwpose._POSE)
    assert dwpose._HUB.startswith(weights.source)
    _, weights = PARTS["estimator", "openpose"]
    assert weights.files == openpose._FILES
    assert weights.source.endswith(openpose._HUB)


@pytest.mark.parametrize(
    "key",
    [
        ("estimator", "mediapipe"),
        ("estimator", "video2pose"),
        ("renderer", "signer-small"),
        ("renderer", "avatar"),
        ("recognizer", "letters"),
    ],
)
def test_what_the_package_carries_can_run(key):
    part = examine(*key)
    assert (part.can_run, part.missing_files, part.missing_packages, part.get) == (True, (), (), "")


def test_missing_files_are_named_with_their_licence_and_a_way_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    part = examine("estimator", "dwpose")
    folder = tmp_path / "hub" / "checkpoints"
    assert part.missing_files == (str(folder / "yolox_l.onnx"), str(folder / "dw-ll_ucoco_384.onnx"))
    assert not part.can_run
    said = summary(Diagnosis({}, (part,), PASSED))
    assert f"{'dwpose':<22}cannot run  Apache-2.0; commercial use: unclear" in said
    assert "`signloop extract VIDEO OUT.npz --estimator dwpose` fetches them" in said
    folder.mkdir(parents=True)
    for file in part.missing_files:
        Path(file).touch()
    assert examine("estimator", "dwpose").can_run


def test_missing_packages_are_named(monkeypatch):
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "rtmlib" else installed(name))
    part = examine("estimator", "dwpose")
    assert (part.missing_packages, part.get) == (("rtmlib",), "pip install rtmlib")
    assert installed_versions()["rtmlib"] is None
    assert "missing package: rtmlib" in summary(Diagnosis(installed_versions(), (part,), PASSED))


def test_what_breaks_is_told(monkeypatch):
    def broken(path=None):
        raise OSError("no such weights")

    monkeypatch.setattr("recognizer.reading.load_recognizer", broken)
    found = run_self_test()
    assert (found.passed, found.problem) == (False, "OSError: no such weights")


def test_the_exit_status_is_1_where_the_default_cannot_work(monkeypatch, capfd):
    monkeypatch.setattr(doctor, "run_self_test", lambda: SelfTest(False, {}, "no signer is found in the render"))
    with pytest.raises(SystemExit) as done:
        main(["doctor", "--json"])
    assert done.value.code == 1
    said = json.loads(capfd.readouterr().out)
    assert said["healthy"] is False
    monkeypatch.setattr(doctor, "run_self_test", lambda: PASSED)
    assert main(["doctor"]) == 0
    assert "self-test   passed (load 1.5 s, render 0.2 s)" in capfd.readouterr().out


@pytest.mark.slow
def test_the_embedded_default_works():
    diagnosis = diagnose()
    assert diagnosis.healthy, diagnosis.self_test.problem
    assert diagnosis.versions["torch"]
