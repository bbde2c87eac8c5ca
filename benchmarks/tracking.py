"""Whether people stay who they are, in scenes of real letter clips that are written as the corpus is and read.

    python -m benchmarks.tracking

In a crossing, two people walk past each other and whoever is behind is lost for up to half a second; in a room, three
to five stand, sway and are each lost for half a second. In both, the detector's order is random in every frame.
Prints one line of JSON: how many people were followed by one track of their own, and how many changes of identity
there were.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from poses.fingerspelling import spell
from poses.formats.signverse import read_people
from poses.formats.signverse_published import publish_video
from poses.keypoints import index
from poses.people import People
from poses.tracking import track_people

LANGUAGES = ("ase", "asq", "cse", "csq", "eso", "ise", "lls", "sgg")
"""One signer each, all of which were trained on."""

FPS, WIDTH, HEIGHT, FRAMES = 24, 640, 360, 144
GAP = FPS // 2
NOISE = 0.01
"""Shoulder widths by which points are off from frame to frame."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100, help="of each kind")
    arguments = parser.parse_args()
    clips = [spell("LOOPS", language) for language in LANGUAGES]
    report: dict[str, object] = {"scenes_of_each_kind": arguments.scenes, "gap_s": GAP / FPS}
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in (("crossing", crossing), ("room", room)):
            people, kept, changes, seconds = 0, 0, 0, 0.0
            for seed in range(arguments.scenes):
                random = np.random.default_rng(seed)
                scene, who = make(clips, random)
                path = Path(folder, "poses.npz")
                path.write_bytes(publish_video(scene, "scene")["npz/poses.npz"])
                read = read_people(path)
                begin = time.perf_counter()
                tracks = track_people(read)
                seconds += time.perf_counter() - begin
                found = [who[track.frames, track.slots] for track in tracks]
                people += int(who.max()) + 1
                kept += sum(
                    [(one == person).any() for one in found].count(True) == 1
                    and any((one == person).all() for one in found)
                    for person in range(who.max() + 1)
                )
                changes += sum(int((np.diff(one) != 0).sum()) for one in found)
            report[kind] = {
                "people": people,
                "kept": kept,
                "identity_changes": changes,
                "frames_per_second": arguments.scenes * FRAMES / seconds,
            }
    print(json.dumps(report))


def crossing(clips: list, random: np.random.Generator) -> tuple[People, np.ndarray]:
    """Two people who change places; at most half a second in the middle, one hides the other."""
    size = random.uniform(35, 60)
    sizes = size * random.uniform(0.9, 1.1, 2)
    path = np.linspace(-1, 1, FRAMES)[:, None] * random.uniform(150, 220) * [1, -1]
    heights = 120 + np.zeros((FRAMES, 1)) + random.uniform(-15, 15, 2)
    places = np.stack([WIDTH / 2 + path, heights], axis=-1)
    seen = np.ones((FRAMES, 2), bool)
    hidden = np.flatnonzero(np.abs(path[:, 0] * 2) < size)
    middle = hidden[len(hidden) // 2]
    lost = slice(middle - min(len(hidden), GAP) // 2, middle + -(-min(len(hidden), GAP) // 2))
    seen[lost, random.integers(2)] = False
    return scene(clips, places, sizes, seen, random)


def room(clips: list, random: np.random.Generator) -> tuple[People, np.ndarray]:
    """Three to five people side by side, each lost once for half a second."""
    count = int(random.integers(3, 6))
    sizes = random.uniform(25, 45, count)
    times = np.arange(FRAMES)[:, None]
    sway = 8 * np.sin(times / random.uniform(8, 20, count) + random.uniform(0, 6, count))
    places = np.stack(
        [WIDTH * (np.arange(count) + 0.5) / count + sway, np.full((FRAMES, count), 120.0) + sway / 3], axis=-1
    )
    begins = random.integers(1, FRAMES - GAP - 1, count)
    return scene(clips, places, sizes, ~((times >= begins) & (times < begins + GAP)), random)


def scene(
    clips: list, places: np.ndarray, sizes: np.ndarray, seen: np.ndarray, random: np.random.Generator
) -> tuple[People, np.ndarray]:
    """Puts a clip's signer wherever somebody is, in random order; also gives who is in which slot, -1 where nobody.

    Args:
        clips: One signer each.
        places: Of the necks in pixels, [frames, people, 2].
        sizes: Of the shoulders in pixels, [people].
        seen: Whether somebody is detected, [frames, people].
        random: Chooses signers, and their order frame by frame.
    """
    num_frames, count = seen.shape
    keypoints = np.zeros((num_frames, count, 128, 2), np.float32)
    confidence = np.zeros((num_frames, count, 128), np.float32)
    for person, number in enumerate(random.permutation(len(clips))[:count]):
        clip = clips[number]
        at = np.abs((np.arange(num_frames) + random.integers(len(clip))) % (2 * len(clip) - 2) - (len(clip) - 1))
        points = (clip.pixels()[at] - clip.pixels()[at][:, [index("neck")]]) * (
            sizes[person] / clip.shoulder_width_px()
        )
        points = points + places[:, None, person] + random.normal(0, NOISE * sizes[person], points.shape)
        keypoints[:, person] = points / (WIDTH, HEIGHT)
        confidence[:, person] = clip.confidence[at]
    who = np.full((num_frames, count), -1)
    for frame in range(num_frames):
        order = random.permutation(np.flatnonzero(seen[frame]))
        who[frame, : len(order)] = order
        keypoints[frame, : len(order)], confidence[frame, : len(order)] = (
            keypoints[frame, order],
            confidence[frame, order],
        )
    confidence[who < 0] = 0
    return People(keypoints, confidence, seen.sum(axis=1).astype(np.int32), FPS, WIDTH, HEIGHT, "", (), ()), who


if __name__ == "__main__":
    main()
