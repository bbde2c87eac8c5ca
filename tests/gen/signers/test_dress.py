import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gen.signers.appearance import (
    BUILT_IN_SIGNERS,
    HAIR_STYLES,
    NECKLINES,
    PATTERNS,
    Appearance,
    Clothes,
    Fabric,
    Hair,
    Signer,
    sample_signer,
)
from gen.signers.body import BodyShape, load_body
from gen.signers.dress import SHINE, dress
from gen.signers.hair import grow_hair
from gen.signers.pieces import SURFACES, refine
from gen.signers.textures import paint_fabric
from poses.keypoints import index

ELBOW_LONG = {"clothes": Clothes(sleeve=1.0)}
LONG_SLEEVED = {"clothes": Clothes(sleeve=1.9), "hair": Hair("afro", volume_m=0.05)}


@cache
def body():
    return load_body(BodyShape())


@cache
def wearing(**appearance):
    return dress(Signer(BodyShape(), Appearance(**appearance)), body())


def of_surface(figure, surface):
    """The figure's vertices at rest that belong to a surface and aren't cut away."""
    mine = np.unique(figure.faces[figure.surface == SURFACES.index(surface)])
    mine = mine[figure.cut[mine] > 0]
    return (figure.binding @ body().vertices)[mine]


def test_a_seed_always_gives_the_same_signer():
    assert sample_signer(7) == sample_signer(7)
    assert sample_signer(7) != sample_signer(8)


def test_sampled_signers_differ_and_are_possible():
    signers = [sample_signer(seed) for seed in range(300)]
    looks = [signer.appearance for signer in signers]
    assert {look.hair.style for look in looks} == set(HAIR_STYLES)
    assert {look.clothes.top.pattern for look in looks} == set(PATTERNS)
    assert {look.clothes.neckline for look in looks} == set(NECKLINES)
    brightness = np.array([np.mean(look.skin) for look in looks])
    assert brightness.min() < 0.25
    assert brightness.max() > 0.8
    for look in looks:
        red, green, blue = look.skin
        assert red >= green >= blue - 0.05


def test_the_built_in_signers_are_told_apart_by_more_than_one_thing():
    assert len(BUILT_IN_SIGNERS) >= 8
    for one, other in itertools.combinations(BUILT_IN_SIGNERS.values(), 2):
        a, b = one.appearance, other.appearance
        differences = [
            np.ptp([a.skin, b.skin], axis=0).max() > 0.05,
            a.hair.style != b.hair.style,
            one.shape != other.shape,
        ]
        differences += [np.ptp([a.clothes.top.colour, b.clothes.top.colour], axis=0).max() > 0.1]
        assert sum(differences) >= 3


def test_every_vertex_follows_the_body_wherever_it_goes():
    figure = wearing(**ELBOW_LONG)
    rest = figure.binding @ body().vertices
    np.testing.assert_allclose(figure.binding.sum(axis=1), 1, atol=2e-4)
    np.testing.assert_allclose(
        figure.binding @ (body().vertices + np.float32([1, 2, 3])), rest + np.float32([1, 2, 3]), atol=2e-3
    )


def test_hair_turns_with_the_head():
    figure = wearing(**LONG_SLEEVED)
    quarter = np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mine = np.unique(figure.faces[figure.surface == SURFACES.index("hair")])
    mine = mine[figure.cut[mine] > 0]
    rest = (figure.binding @ body().vertices)[mine]
    turned = (figure.binding @ (body().vertices @ quarter.T))[mine]
    np.testing.assert_allclose(turned, rest @ quarter.T, atol=1e-3)


def test_the_parts_of_a_figure_fit_together():
    figure = wearing(**ELBOW_LONG)
    count = figure.binding.shape[0]
    assert figure.faces.min() >= 0
    assert figure.faces.max() < count
    assert len(figure.surface) == len(figure.faces)
    assert {len(figure.offset), len(figure.colour), len(figure.uv), len(figure.cut), len(figure.weld)} == {count}
    assert figure.textures.shape[0] == len(SURFACES) == len(SHINE)
    rest = figure.binding @ body().vertices
    np.testing.assert_allclose(rest[figure.weld], rest, atol=1e-5)


@pytest.mark.parametrize(("appearance", "bone"), [(ELBOW_LONG, "lowerarm01.L"), (LONG_SLEEVED, "wrist.L")])
def test_sleeves_end_where_they_should(appearance, bone):
    figure = wearing(**appearance)
    cloth = of_surface(figure, "sleeve")
    joint = body().heads[body().bone(bone)]
    assert abs(cloth[:, 0].max() - joint[0]) < 0.04


def test_long_sleeves_hide_the_arm_under_them():
    bare, covered = (len(of_surface(wearing(**appearance), "skin")) for appearance in (ELBOW_LONG, LONG_SLEEVED))
    assert covered < bare


def test_clothes_never_reach_face_or_hands():
    figure = wearing(clothes=Clothes(sleeve=1.9, neckline="turtle", jacket=Fabric()))
    chin = body().keypoints[index("face_jaw_8")][2]
    knuckles = body().heads[body().bone("finger3-1.L")][0]
    for surface in ("top", "sleeve", "jacket", "jacket_sleeve"):
        cloth = of_surface(figure, surface)
        front = cloth[:, 1] < body().heads[body().bone("neck01")][1] - 0.04
        assert cloth[front, 2].max() < chin
        assert cloth[:, 0].max() < knuckles


def hair_of(hair):
    """The vertices of hair that aren't cut away."""
    return [mesh.points[mesh.cut > 0] for mesh in grow_hair(body(), Appearance(hair=hair))]


@pytest.mark.parametrize("style", sorted(set(HAIR_STYLES) - {"bald", "shaved"}))
def test_every_hair_style_leaves_the_face_free(style):
    hair = np.concatenate(hair_of(Hair(style)))
    assert len(hair) > 200
    chin = body().keypoints[index("face_jaw_8")]
    for side in "LR":
        eye = body().heads[body().bone(f"eye.{side}")]
        before = (hair[:, 1] < eye[1]) & (np.abs(hair[:, 0]) < np.abs(eye[0]) + 0.01)
        assert not (before & (hair[:, 2] < eye[2] + 0.01) & (hair[:, 2] > chin[2] + 0.005)).any()


def test_the_bald_have_no_hair():
    assert hair_of(Hair("bald")) == hair_of(Hair("shaved")) == []


def test_loose_hair_hangs_as_far_as_it_is_long():
    short, long = (hair_of(Hair("long", length_m=length))[0][:, 2].min() for length in (0.12, 0.3))
    assert short - long == pytest.approx(0.18, abs=0.04)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", [3, 4])
def test_cloth_of_every_pattern_is_single_precision(pattern, seed):
    assert paint_fabric(Fabric(pattern), seed).dtype == np.float32


def test_cloth_repeats_without_a_seam():
    for pattern in ("plain", "melange", "print"):
        cloth = paint_fabric(Fabric(pattern), 3)
        inside = np.abs(np.diff(cloth, axis=1)).mean(axis=(0, 2))
        seam = np.abs(cloth[:, 0] - cloth[:, -1]).mean()
        assert seam < 1.5 * inside.max() + 1e-6


def test_refined_faces_cover_what_they_covered_without_gaps():
    points = np.float64([[0, 0], [4, 0], [0, 4], [4, 4], [8, 4], [8, 0]])
    faces = np.array([[0, 1, 2], [1, 3, 2], [1, 4, 3], [1, 5, 4]])
    refined, pairs = refine(faces, len(points), np.array([False, True, False, False]))
    points = np.concatenate([points, points[pairs].mean(axis=1)])
    assert len(refined) == 2 + 4 + 2 + 1
    corners = points[refined]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = 0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    assert (areas > 0).all()
    assert areas.sum() == 32
    inside = np.sort(refined[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(inside, axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    assert (uses == 1).sum() == 7


@pytest.mark.parametrize("wanted", list(itertools.product([False, True], repeat=2)))
def test_refining_neighbours_agree_on_their_edge(wanted):
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    refined, pairs = refine(faces, 4, np.array(wanted))
    assert len(pairs) == [0, 3, 5][sum(wanted)]
    edges = np.sort(refined[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert np.unique(edges, axis=0, return_counts=True)[1].max() <= 2
    assert len(refined) == [2, 6, 8][sum(wanted)]


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match=r"`style` must be one of .* got 'mohawk'"):
        Hair("mohawk")
    with pytest.raises(ValueError, match=r"`pattern` must be one of .* got 'paisley'"):
        Fabric("paisley")
    with pytest.raises(ValueError, match=r"`neckline` must be one of .* got 'cowl'"):
        Clothes(neckline="cowl")
    with pytest.raises(ValueError, match=r"`beard` must be one of .* got 'goatee'"):
        replace(Appearance(), beard="goatee")
