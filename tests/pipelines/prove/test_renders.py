from collections import defaultdict
from pathlib import Path

import pytest

from pipelines.gate import Gate
from pipelines.prove.clips import LabelledClip
from pipelines.prove.plan import Plan, Rendering, Training
from pipelines.prove.pool import fill_pool
from pipelines.prove.renders import Shot, look_at, plan_shots, render_shots

GLOSSES = ("A", "B", "C")


def labelled(takes: int) -> list[LabelledClip]:
    return [
        LabelledClip(f"{split}-{gloss}-{take}", Path("video.mp4"), gloss, f"{split}-{take}", split)
        for split in ("train", "test")
        for gloss in GLOSSES
        for take in range(takes)
    ]


def test_who_signs_tells_nothing_of_what_is_signed():
    rendering = Rendering(variants=2, signers=7)
    shots = plan_shots(labelled(takes=3), Path("looked"), rendering, seed=0)
    signed = defaultdict(list)
    for shot in shots.values():
        if shot.group == "synthetic":
            signed[str(shot.signer), shot.variant].append(shot.clip.name.split("-")[1])
    assert sum(map(len, signed.values())) == 2 * 3 * len(GLOSSES)
    assert all(sorted(glosses) == list(GLOSSES) for glosses in signed.values())


def test_a_clip_is_rendered_by_several_signers_and_its_own():
    shots = plan_shots(labelled(takes=3), Path("looked"), Rendering(variants=3, signers=4), seed=1)
    by_clip = defaultdict(set)
    for shot in shots.values():
        by_clip[shot.clip.name].add(str(shot.signer))
    assert all(len(signers) == (4 if name.startswith("train") else 1) for name, signers in by_clip.items())


def test_a_video_that_is_none_costs_its_own_clip_alone(tmp_path):
    (tmp_path / "video.mp4").write_text("no video")
    (tmp_path / "poses").mkdir()
    clip = LabelledClip("torn", tmp_path / "video.mp4", "A", "ann", "test")
    looked = look_at([clip], tmp_path / "clips", Rendering(), Training(), workers=1, show=False)
    assert "expected a video" in looked.failed["torn"]
    shots = {"lost": Shot(tmp_path / "poses", "round-trip", None)}
    options = {"consent": "synthetic", "seed": 0, "workers": 1, "show": False}
    rendered = render_shots(shots, tmp_path / "renders", Rendering(renderer="avatar"), Training(), **options)
    assert "found.pose" in rendered.failed["lost"]


def test_videos_none_of_which_can_be_read_are_refused_with_the_reason(tmp_path):
    rows = ["video,gloss,signer,split", "a.mp4,A,ann,train", "b.mp4,B,ann,train", "c.mp4,A,ben,test"]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_text("no video")
    options = {"consent": "self", "gate": Gate(), "seed": 0, "workers": 1, "show": False}
    with pytest.raises(ValueError, match=r"own.csv: no clip could be used, the first because: .*expected a video"):
        fill_pool(tmp_path / "own.csv", tmp_path, Plan(), **options)


@pytest.mark.parametrize(("takes", "renders"), [(1, 3), (5, 13), (7, 15), (17, 7), (3, 2)])
def test_so_many_clips_of_the_test_are_rendered_as_are_asked_for(takes, renders):
    shots = plan_shots(labelled(takes), Path("looked"), Rendering(signers=2, test_renders=renders), seed=0)
    chosen = [shot.clip.name for shot in shots.values() if shot.group == "synthetic-test"]
    assert len(chosen) == min(renders, 3 * takes) == len(set(chosen))
    # Spread over all of them: with half as many, every second one.
    names = [clip.name for clip in labelled(2) if clip.split == "test"]
    half = plan_shots(labelled(2), Path("looked"), Rendering(signers=2, test_renders=3), seed=0)
    assert [shot.clip.name for shot in half.values() if shot.group == "synthetic-test"] == names[::2]


def test_larger_settings_keep_who_signs():
    small = plan_shots(labelled(takes=2), Path("looked"), Rendering(variants=1, signers=5), seed=0)
    large = plan_shots(labelled(takes=3), Path("looked"), Rendering(variants=2, signers=5), seed=0)
    assert {name for name, shot in small.items() if shot.group == "synthetic"} <= large.keys()
