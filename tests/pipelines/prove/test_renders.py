from collections import defaultdict
from pathlib import Path

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


def test_larger_settings_keep_who_signs():
    small = plan_shots(labelled(takes=2), Path("looked"), Rendering(variants=1, signers=5), seed=0)
    large = plan_shots(labelled(takes=3), Path("looked"), Rendering(variants=2, signers=5), seed=0)
    assert {name for name, shot in small.items() if shot.group == "synthetic"} <= large.keys()
