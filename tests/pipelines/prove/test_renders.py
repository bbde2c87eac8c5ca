from collections import defaultdict
from pathlib import Path

import pytest

from pipelines.prove.clips import LabelledClip
from pipelines.prove.plan import Rendering
from pipelines.prove.renders import plan_shots

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
