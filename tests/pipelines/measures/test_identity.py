from itertools import pairwise

import numpy as np
import pytest
from skimage.color import deltaE_cie76, rgb2lab

from pipelines.measures.identity import (
    MOST_COLOURS,
    PLACES,
    chamfer_distance,
    colour_differences,
    colour_sets,
    region_colours,
    to_lab,
)
from poses.keypoints import FACE, PARTS, index

SKIN, HAIR, SHIRT, HAND = (220, 180, 150), (40, 30, 20), (30, 60, 140), (250, 0, 0)


@pytest.fixture
def person():
    """A picture of a face at (100, 60), hair above it, and a shirt below shoulders 80 pixels apart, with its points."""
    pixels, seen = np.zeros((128, 2)), np.zeros(128, bool)
    for number, name in enumerate(FACE):
        pixels[PARTS["face"].start + number] = (90 + number % 21, 55 if "eyelid" in name else 65)
    pixels[index("face_jaw_8")] = (100, 85)
    pixels[index("right_shoulder")], pixels[index("left_shoulder")] = (60, 110), (140, 110)
    seen[[*range(*PARTS["face"].indices(128)), *index("right_shoulder", "left_shoulder")]] = True
    frame = np.full((200, 200, 3), 255, np.uint8)
    frame[45:90, 80:120] = SKIN
    frame[20:45, 80:120] = HAIR
    frame[110:, 50:150] = SHIRT
    return frame, pixels, seen


def test_lab_and_its_distance_are_those_of_scikit_image():
    colours = np.random.default_rng(0).random((2, 50, 3)) * 255
    np.testing.assert_allclose(to_lab(colours), rgb2lab(colours / 255), atol=1e-6)
    expected = deltaE_cie76(*(rgb2lab(colour / 255) for colour in colours[:, 0]))
    assert chamfer_distance(*to_lab(colours[:, :1])) == pytest.approx(float(expected), abs=1e-6)


def test_regions_are_found_by_the_pose(person):
    colours = region_colours(*person)
    expected = to_lab(np.array([SKIN, HAIR, SHIRT], float))[:, None].repeat(PLACES**2, axis=1)
    np.testing.assert_allclose(colours, expected, atol=1e-4)


def test_what_a_hand_covers_is_left_out(person):
    frame, pixels, seen = person
    hand = PARTS["right_hand"]
    pixels[hand], seen[hand] = np.linspace((78, 130), (110, 160), 21), True
    frame[130:160, 78:110] = HAND
    clothes = colour_sets(region_colours(frame, pixels, seen)[None])[2]
    assert PLACES**2 / 2 < len(clothes) < PLACES**2
    np.testing.assert_allclose(clothes, to_lab(np.full((len(clothes), 3), SHIRT, float)), atol=1e-4)
    pixels[hand] = np.linspace((40, 40), (160, 190), 21)
    assert np.isnan(region_colours(frame, pixels, seen)).all()


def test_what_is_not_seen_or_outside_has_no_colour(person):
    frame, pixels, seen = person
    assert np.isnan(region_colours(frame, pixels, np.zeros(128, bool))).all()
    assert np.isnan(region_colours(frame[:120], pixels, seen)).all(axis=(1, 2)).tolist() == [False, False, True]
    assert np.isnan(region_colours(frame, pixels - np.array([0, 400]), seen)).all()


def test_sets_differ_by_what_the_other_does_not_show():
    black, white, grey = (np.array([[lightness, 0.0, 0.0]]) for lightness in (0, 100, 40))
    stripes = np.concatenate([black, white, white])
    assert chamfer_distance(stripes, np.concatenate([black, black, white])) == 0
    assert chamfer_distance(stripes, black) == pytest.approx((0 + 200 / 3) / 2)
    assert chamfer_distance(grey, stripes) == pytest.approx((40 + (40 + 60 + 60) / 3) / 2)
    assert chamfer_distance(grey, grey[:0]) is None


def test_regions_are_compared_where_both_show_them():
    one, other = np.zeros((5, 3, 4, 3)), np.zeros((1, 3, 4, 3))
    one[1], one[0, :, 2] = np.nan, np.nan
    other[0, 2] = (3, 4, 0)
    assert colour_differences(one, other) == {"face": 0, "hair": 0, "clothes": 5, "largest": 5}
    one[:, 2] = np.nan
    assert colour_differences(one, other) == {"face": 0, "hair": 0, "clothes": None, "largest": 0}
    assert colour_differences(one[:0], other)["largest"] is None


def test_of_many_frames_as_many_colours_are_compared():
    frames = np.arange(MOST_COLOURS * 6.0).reshape(-1, 1, 2, 3).repeat(3, axis=1)
    for colours in colour_sets(frames):
        assert len(np.unique(colours, axis=0)) == MOST_COLOURS


def test_the_more_of_another_signer_the_larger(person):
    frame, pixels, seen = person
    known = region_colours(frame, pixels, seen)[None]
    found = []
    for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
        mixed = (frame * (1 - strength) + np.flip(frame, axis=2) * strength).astype(np.uint8)
        found.append(colour_differences(region_colours(mixed, pixels, seen)[None], known)["largest"])
    assert all(before < after for before, after in pairwise(found))
