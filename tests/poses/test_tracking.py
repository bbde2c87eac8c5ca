"""Tracking: in scenes whose truth is known, everybody stays who they are, and gaps stay gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poses.keypoints import NUM_KEYPOINTS, PARTS, index
from poses.people import People
from poses.sequence import PoseFileError
from poses.tracking import MAX_PEOPLE, main_signer, signer_poses, track_people

FPS = 24
WIDTH, HEIGHT = 640, 360

# x to the signer's left and y down, in shoulder widths from the neck.
STANDING = {
    "nose": (0, -0.62), "neck": (0, 0), "right_shoulder": (-0.5, 0), "right_elbow": (-0.65, 0.8),
    "right_wrist": (-0.5, 1.4), "left_shoulder": (0.5, 0), "left_elbow": (0.65, 0.8), "left_wrist": (0.5, 1.4),
    "right_hip": (-0.35, 1.5), "left_hip": (0.35, 1.5), "right_eye": (-0.1, -0.75), "left_eye": (0.1, -0.75),
    "right_ear": (-0.22, -0.7), "left_ear": (0.22, -0.7),
}  # fmt: skip
POINTS, PLACES = index(*STANDING), np.array(list(STANDING.values()))
BUILT = np.array([any(part in name for part in ("nose", "eye", "elbow", "wrist")) for name in STANDING])
WAVED = np.array(["wrist" in name for name in STANDING])


def body(neck, size_px, *, build=1.0, waving=0.0, hands=True, noise=0.0, random=None):
    """One frame of one person: keypoints and confidence."""
    keypoints, confidence = np.zeros((NUM_KEYPOINTS, 2)), np.zeros(NUM_KEYPOINTS)
    places = PLACES * np.where(BUILT, build, 1)[:, None]
    places[WAVED, 1] -= waving
    keypoints[POINTS] = (neck + size_px * places) / (WIDTH, HEIGHT)
    confidence[POINTS] = 1
    for side in ("left", "right") if hands else ():
        keypoints[PARTS[f"{side}_hand"]] = keypoints[index(f"{side}_wrist")]
        confidence[PARTS[f"{side}_hand"]] = 0.8
    if random is not None:
        keypoints += random.normal(0, noise * size_px, keypoints.shape) / (WIDTH, HEIGHT)
    return keypoints, confidence


def scene(frames: list[list[tuple[int, tuple]]]) -> tuple[People, list[list[int]]]:
    """Everybody of each frame in the detector's order, as (who, body), and who is in which slot."""
    most = max([len(frame) for frame in frames] + [1])
    keypoints = np.zeros((len(frames), most, NUM_KEYPOINTS, 2), np.float32)
    confidence = np.zeros((len(frames), most, NUM_KEYPOINTS), np.float32)
    for at, frame in enumerate(frames):
        for slot, (_, (points, scores)) in enumerate(frame):
            keypoints[at, slot], confidence[at, slot] = points, scores
    counts = np.array([len(frame) for frame in frames], np.int32)
    people = People(keypoints, confidence, counts, FPS, WIDTH, HEIGHT, "ase", (), ())
    return people, [[who for who, _ in frame] for frame in frames]


def identities(people: People, who: list[list[int]]) -> list[set[int]]:
    """Who is in each track."""
    return [
        {who[at][slot] for at, slot in zip(track.frames, track.slots, strict=True)} for track in track_people(people)
    ]


def crossing(seed: int, *, gap: int = 0, builds=(1.0, 1.0), speed: float = 1.5):
    """Two people of one size walk past each other; the detector ranks them at random and loses both where they meet."""
    random = np.random.default_rng(seed)
    frames = []
    for at in range(60):
        shift = speed * 60 / FPS * (at - 30)
        if abs(at - 30) < gap / 2:
            frames.append([])
            continue
        both = [
            (0, body((320 - shift, 150), 60, build=builds[0], waving=np.sin(at), noise=0.01, random=random)),
            (1, body((320 + shift, 156), 60, build=builds[1], waving=np.cos(at), noise=0.01, random=random)),
        ]
        frames.append([both[i] for i in random.permutation(2)])
    return scene(frames)


@pytest.mark.parametrize("gap", [0, 6, 12])
@pytest.mark.parametrize("builds", [(1.0, 1.0), (0.85, 1.2)], ids=["twins", "unlike"])
def test_people_who_cross_stay_who_they_are(gap, builds):
    for seed in range(5):
        people, who = crossing(seed, gap=gap, builds=builds)
        assert sorted(identities(people, who), key=min) == [{0}, {1}]


@given(st.integers(0, 2**32 - 1))
def test_five_people_in_a_room(seed):
    """People stand, sway and wave; each is lost for up to half a second; the detector's order is random."""
    random = np.random.default_rng(seed)
    sizes, builds = random.uniform(30, 60, 5), random.uniform(0.85, 1.2, 5)
    lost_from = random.integers(5, 30, 5)
    frames = []
    for at in range(50):
        frame = []
        for one in range(5):
            if lost_from[one] <= at < lost_from[one] + 12:
                continue
            neck = np.array([70 + 125 * one + 10 * np.sin(at / 9 + one), 120 + 15 * (one % 2)])
            frame.append(
                (one, body(neck, sizes[one], build=builds[one], waving=np.sin(at / 3), noise=0.01, random=random))
            )
        frames.append([frame[i] for i in random.permutation(len(frame))])
    people, who = scene(frames)
    assert sorted(identities(people, who), key=min) == [{0}, {1}, {2}, {3}, {4}]


def stand(frames: int, neck=(200, 120), size: float = 60, **options) -> list:
    return [body(neck, size, **options) for _ in range(frames)]


@pytest.mark.parametrize(("gap", "num_tracks"), [(12, 1), (13, 2)])
def test_half_a_second_is_bridged_and_no_more(gap, num_tracks):
    someone = [[(0, one)] for one in stand(10)]
    people, _ = scene(someone + [[]] * gap + someone)
    tracks = track_people(people)
    assert len(tracks) == num_tracks
    assert (tracks[0].frames[0], tracks[-1].frames[-1]) == (0, 19 + gap)
    poses = signer_poses(people, tracks[0].slots_of(20 + gap), "clip")
    assert not poses.confidence[10 : 10 + gap].any()
    assert not poses.keypoints[10 : 10 + gap].any()
    assert np.array_equal(poses.confidence[:10], people.confidence[:10, 0])
    assert (poses.fps, poses.width, poses.language, poses.source) == (FPS, WIDTH, "ase", "clip")


def test_another_size_or_place_is_another_person():
    first, large, far = stand(5), stand(5, size=120), stand(5, neck=(500, 120))
    for other in (large, far):
        people, _ = scene([[(0, one)] for one in [*first, *other]])
        assert [track.slots_of(10).tolist() for track in track_people(people)] == [
            [0] * 5 + [-1] * 5,
            [-1] * 5 + [0] * 5,
        ]


def test_what_is_no_body_is_in_no_track():
    points, scores = body((200, 120), 60)
    few = scores.copy()
    few[index("right_hip", "left_hip", "right_eye", "left_eye", "right_ear", "left_ear", "nose")] = 0
    off = (points + 2, scores)
    people, _ = scene([[(0, (points, few)), (1, off), (2, (points, scores))]] * 3)
    (track,) = track_people(people)
    assert track.slots.tolist() == [2, 2, 2]


def test_an_empty_video():
    people, _ = scene([[]] * 30)
    assert track_people(people) == ()
    signer = main_signer(people, ())
    assert signer.empty.all()
    assert signer.runs() == []
    with pytest.raises(PoseFileError, match="clip: must show a person, but nobody is in any of its 30 frames"):
        signer_poses(people, signer.slots, "clip")


def test_nobody_is_found_in_a_file_without_people():
    empty = np.zeros((4, 0, NUM_KEYPOINTS, 2), np.float32)
    people = People(empty, empty[..., 0], np.zeros(4, np.int32), FPS, WIDTH, HEIGHT, "", (), ())
    assert track_people(people) == ()
    assert main_signer(people, ()).slots.tolist() == [-1] * 4


@pytest.mark.parametrize(("flicker", "stays"), [(11, True), (12, False)])
def test_the_first_person_is_read_unless_a_flicker(flicker, stays):
    signer, other = stand(48), stand(48, neck=(450, 120), size=80)
    both = [[(0, signer[0]), (1, other[0])]] * 24
    swapped = [[(1, other[0]), (0, signer[0])]] * flicker
    people, who = scene(both + swapped + both)
    main = main_signer(people, track_people(people))
    read = [who[at][slot] for at, slot in enumerate(main.slots.tolist())]
    assert read == [0] * 24 + [0 if stays else 1] * flicker + [0] * 24
    assert main.tracks.tolist() == read
    assert main.usable.all()
    assert len(main.runs()) == (1 if stays else 3)


def test_a_flicker_while_the_signer_is_lost_is_a_gap():
    people, _ = scene(
        [[(0, one)] for one in stand(24)] + [[(1, stand(1, (450, 120))[0])]] * 6 + [[(0, one)] for one in stand(24)]
    )
    main = main_signer(people, track_people(people))
    assert main.slots.tolist() == [0] * 24 + [-1] * 6 + [0] * 24
    assert main.runs() == [(0, 54)]


def test_a_video_of_flickers_is_read_by_who_is_first_most():
    one, other = stand(1)[0], stand(1, (450, 120))[0]
    people, who = scene(([[(0, one), (1, other)]] * 5 + [[(1, other), (0, one)]] * 4) * 3)
    main = main_signer(people, track_people(people))
    assert {who[at][slot] for at, slot in enumerate(main.slots.tolist())} == {0}


@pytest.mark.parametrize("cut", ["before", "after"])
def test_where_the_chosen_one_is_not_in_the_video_another_is(cut):
    """Of two whose order wavers, nobody is first for half a second: one of them is read, not who was seen elsewhere."""
    alone, one, other = stand(24, (100, 120), size=40), stand(90, (320, 120)), stand(90, (520, 120), size=80)
    wavering = [
        [(1, a), (2, b)] if at % 9 < 5 else [(2, b), (1, a)] for at, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    elsewhere = [[(0, a)] for a in alone]
    people, who = scene(wavering + elsewhere if cut == "before" else elsewhere + wavering)
    main = main_signer(people, track_people(people))
    assert main.slots.min() == 0
    read = [who[at][slot] for at, slot in enumerate(main.slots.tolist())]
    assert read == ([1] * 90 + [0] * 24 if cut == "before" else [0] * 24 + [1] * 90)
    assert len(main.runs()) == 2


def test_nobody_is_read_who_is_followed_for_less_than_half_a_second():
    passing = [(x, size) for x, size in ((320, 90), (550, 25), (220, 20), (450, 50)) for _ in range(6)]
    people, _ = scene(
        [[(0, one)] for one in stand(24, (100, 120), size=40)]
        + [[(1, body((x, 120), size))] for x, size in passing]
        + [[(2, one)] for one in stand(24, (560, 120), size=60)]
    )
    assert main_signer(people, track_people(people)).slots.tolist() == [0] * 24 + [-1] * 24 + [0] * 24


def test_moving_company_is_masked_and_still_company_is_not():
    signer = [body((200, 120), 60, waving=np.sin(at / 3)) for at in range(96)]
    still = stand(96, (450, 120))
    moving = [body((450, 120), 60, waving=(at >= 48) * np.sin(at / 3)) for at in range(96)]
    for company, begins in ((still, 96), (moving, 48)):
        people, _ = scene([[(0, a), (1, b)] for a, b in zip(signer, company, strict=True)])
        main = main_signer(people, track_people(people))
        assert not main.accompanied[: begins - 12].any()
        assert main.accompanied[begins + 6 :].all()


def test_long_runs_without_anybody_or_hands_are_masked():
    frames = [[(0, one)] for one in stand(24)] + [[]] * 24 + [[(0, one)] for one in stand(24)]
    frames += [[(0, one)] for one in stand(24, hands=False)] + [[(0, one)] for one in stand(23)]
    frames += [[(0, one)] for one in stand(23, hands=False)]
    people, _ = scene(frames)
    main = main_signer(people, track_people(people))
    assert np.flatnonzero(main.empty).tolist() == list(range(24, 48))
    assert np.flatnonzero(main.handless & ~main.empty).tolist() == list(range(72, 96))
    assert main.runs() == [(0, 24), (48, 72), (96, 142)]


def test_garbage_takes_no_memory_and_little_time():
    """Noise makes many tracks, and each takes the room of the frames that it is in."""
    random = np.random.default_rng(0)
    keypoints = np.zeros((2000, 1, NUM_KEYPOINTS, 2), np.float32)
    confidence = np.zeros(keypoints.shape[:3], np.float32)
    keypoints[:, 0, PARTS["body"]] = random.random((2000, 18, 2))
    confidence[:, 0, PARTS["body"]] = 1
    people = People(keypoints, confidence, np.ones(2000, np.int32), FPS, WIDTH, HEIGHT, "", (), ())
    tracks = track_people(people)
    assert len(tracks) > 50
    assert sum(track.frames.nbytes for track in tracks) == 8 * 2000
    assert main_signer(people, tracks).slots.shape == (2000,)


def test_a_crowd_is_followed_up_to_a_number():
    crowd = [[(at, body((10 + 18 * at, 100), 15)) for at in range(34)]] * 3
    people, _ = scene(crowd)
    assert len(track_people(people)) == MAX_PEOPLE
