import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.prove import training as network
from pipelines.prove.arms import Arm, Stage
from pipelines.prove.plan import Training
from pipelines.prove.pool import Sample, digest
from pipelines.prove.runs import PIXELS, POSES, Run, read_result, train_run
from poses.fingerspelling import spell
from poses.io import save_poses

GLOSSES = ("HOUSE", "TREE")


@pytest.fixture
def run(tmp_path) -> Run:
    """Two clips of two frames of 16 x 16 pixels, which are the test, too."""
    samples = []
    for number, gloss in enumerate(GLOSSES):
        view = tmp_path / f"{gloss}.npy"
        np.save(view, np.full((2, 16, 16, 3), 100 * number, np.uint8))
        samples.append(Sample(gloss, view, None, gloss, "ann", content=digest(view)))
    stage = Stage(tuple((sample, sample.gloss) for sample in samples))
    return Run(PIXELS, Arm("real-100", "{real} alone", ""), 0, (stage,), {"test": tuple(samples)}, GLOSSES)


def test_a_result_is_never_taken_for_that_of_other_renders_of_the_same_clips(run, tmp_path):
    assert replace(run).name == run.name
    (first, label), second = run.stages[0].samples
    anew = replace(run, stages=(Stage(((replace(first, content="another"), label), second)),))
    assert anew.name != run.name
    view = tmp_path / "HOUSE.npy"
    assert digest(view, tmp_path / "not there") == digest(view) == first.content
    view.write_bytes(view.read_bytes()[:-1] + b"1")
    assert digest(view) != first.content


def test_a_render_in_which_nobody_was_found_is_read_wrongly(run, tmp_path):
    poses = tmp_path / "found.pose"
    save_poses(spell("A", "ase"), poses)
    found, lost = (replace(sample, poses=of) for sample, of in zip(run.tests["test"], (poses, None), strict=True))
    stage = Stage(((found, "HOUSE"), (found, "TREE")))
    tests = {"test": (lost, found, lost), "synthetic-test": (lost,)}
    settings = Training(pose_steps=1, batch_size=2)
    asked = replace(run, reads=POSES, stages=(stage,), tests=tests)
    train_run(asked, tmp_path, seed=0, tell=lambda _: None, training=settings)
    read = read_result(tmp_path).read
    assert [len(likeliest) for likeliest in read["test"]] == [0, 2, 0]
    assert read["synthetic-test"] == [[]]


def test_training_does_not_depend_on_how_many_threads_there_are(run, tmp_path, monkeypatch):
    threads, train = [], network.train

    def watched(*arguments, **options):
        threads.append(torch.get_num_threads())
        return train(*arguments, **options)

    monkeypatch.setattr(network, "train", watched)
    settings = Training(num_steps=2, batch_size=2, num_frames=2, image_size=16)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_run(run, tmp_path, seed=0, tell=lambda _: None, training=settings)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [1]
    held = json.loads(Path(tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (held["num_clips"], held["num_steps"], len(held["read"]["test"])) == (2, 2, 2)
