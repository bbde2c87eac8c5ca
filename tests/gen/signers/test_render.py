from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gen.signers.appearance import Appearance, Light, Signer
from gen.signers.body import BodyShape, load_body
from gen.signers.dress import dress
from gen.signers.fit import Camera
from gen.signers.render import encode, render_frames, render_layers
from gen.signers.scenery import KINDS, Scene, paint_scene

SIZE = 96


@cache
def body():
    return load_body(BodyShape())


@cache
def figure():
    return dress(Signer(BodyShape(), Appearance(scene=Scene("plain", colour=(0.1, 0.9, 0.1)))), body())


@cache
def camera():
    top = float(body().vertices[:, 2].max())
    return Camera(scale=1.0, center=(0.5, 0.08 + top), aspect=1.0)


def render(who, vertices=None, **options):
    vertices = body().vertices[None] if vertices is None else vertices
    return render_layers(who, vertices, camera(), **{"height": SIZE, "width": SIZE, **options})


def test_a_signer_stands_before_the_background():
    frames, alpha = render(figure())
    assert frames.shape == (1, SIZE, SIZE, 3)
    assert alpha.shape == (1, SIZE, SIZE)
    background = encode(paint_scene(figure().appearance.scene, SIZE, SIZE))
    np.testing.assert_array_equal(frames[alpha == 0], background[alpha[0] == 0])
    inside = frames[alpha == 255].astype(int)
    assert len(inside) > 1000
    green = (inside[:, 1] - inside[:, [0, 2]].max(axis=1)) > 100
    assert green.mean() < 0.01


def test_the_same_input_gives_the_same_picture():
    np.testing.assert_array_equal(render(figure())[0], render(figure())[0])


def test_a_batch_is_its_frames():
    moved = np.stack([body().vertices, body().vertices + np.float32([0.1, 0, 0])])
    together = render(figure(), moved)[0]
    np.testing.assert_array_equal(together[0], render(figure(), moved[:1])[0][0])
    np.testing.assert_array_equal(together[1], render(figure(), moved[1:])[0][0])


def test_the_silhouette_is_where_the_camera_says():
    _, alpha = render(figure(), supersample=4)
    rows, columns = np.nonzero(alpha[0] > 128)
    points = camera().project(body().vertices) * (SIZE, SIZE, 1)
    # Hair stands a little off the head.
    assert abs(rows.min() - points[:, 1].min()) < 3
    hand = points[body().follows("finger3-3.L") > 0.5]
    if hand[:, 0].max() < SIZE:
        assert abs(columns.max() - hand[:, 0].max()) < 2


def test_pixels_of_a_wide_frame_are_square():
    wide = Camera(scale=0.5, center=(0.5, camera().center[1]), aspect=2.0)
    _, alpha = render_layers(figure(), body().vertices[None], wide, height=SIZE, width=2 * SIZE)
    _, square = render(figure())
    difference = np.abs(alpha[0, :, SIZE // 2 : -SIZE // 2].astype(int) - square[0])
    assert (difference > 64).mean() < 0.002


def test_edges_are_smooth_with_more_samples():
    assert set(np.unique(render(figure(), supersample=1)[1])) == {0, 255}
    assert len(np.unique(render(figure(), supersample=2)[1])) == 5


def test_light_comes_from_its_side():
    sides = []
    for azimuth in (-60.0, 60.0):
        light = Light(azimuth_deg=azimuth, strength=1.0, ambient=0.3)
        frames, alpha = render(replace(figure(), appearance=replace(figure().appearance, light=light)))
        bright = np.where(alpha[0] == 255, frames[0].mean(axis=-1), np.nan)
        sides.append(np.nanmean(bright[:, : SIZE // 2]) - np.nanmean(bright[:, SIZE // 2 :]))
    assert sides[0] > 4
    assert sides[1] < -4


def test_a_hand_throws_a_shadow_on_the_chest():
    vertices = body().vertices.copy()
    bones = (name for name in body().bone_names if name.startswith(("wrist", "finger", "metacarpal")))
    hand = body().follows(*(name for name in bones if name.endswith("L")))
    chest = body().heads[body().bone("spine01")]
    mine = hand > 0.5
    vertices[mine] += chest + np.float32([0.0, -0.22, 0.05]) - vertices[mine].mean(axis=0)
    light = Light(azimuth_deg=-50.0, elevation_deg=20.0, strength=1.0, ambient=0.4)
    lit = replace(figure(), appearance=replace(figure().appearance, light=light))
    with_hand, without = (render(lit, v[None])[0][0].mean(axis=-1) for v in (vertices, body().vertices))
    x, y = (camera().project(chest) * (SIZE, SIZE, 1))[:2].astype(int)
    beside = np.s_[y - 14 : y + 10, x + 2 : x + 26]
    assert (without[beside] - with_hand[beside]).max() > 12


def test_a_signer_outside_of_the_frame_leaves_the_background():
    frames, alpha = render(figure(), body().vertices[None] + np.float32([50, 0, 0]))
    assert not alpha.any()
    np.testing.assert_array_equal(frames[0], encode(paint_scene(figure().appearance.scene, SIZE, SIZE)))


def test_pictures_without_the_mask_are_the_same():
    frames = render_frames(figure(), body().vertices[None], camera(), height=SIZE, width=SIZE)
    np.testing.assert_array_equal(frames, render(figure())[0])


@pytest.mark.parametrize("kind", KINDS)
def test_backgrounds_come_from_their_seed(kind):
    scene = Scene(kind, seed=4)
    painting = paint_scene(scene, 48, 64)
    assert painting.shape == (48, 64, 3)
    assert painting.dtype == np.float32
    assert 0 <= painting.min() <= painting.max() <= 1
    paint_scene.cache_clear()
    np.testing.assert_array_equal(painting, paint_scene(scene, 48, 64))
    if kind != "plain":
        assert np.abs(painting - paint_scene(replace(scene, seed=5), 48, 64)).max() > 0.01


def test_unknown_backgrounds_are_refused():
    with pytest.raises(ValueError, match=r"`kind` must be one of .* got 'beach'"):
        Scene("beach")


def test_what_is_not_drawn_hides_and_shades_all_the_same():
    who = figure()
    everything, whole = render(who)
    half = np.arange(len(who.faces)) % 2 == 0
    frames, alpha = render(who, drawn=half)
    rest = render(who, drawn=~half)[1]
    np.testing.assert_allclose(alpha.astype(int) + rest, whole, atol=1)
    np.testing.assert_array_equal(frames[alpha == 255], everything[alpha == 255])
    assert not frames[alpha == 0].any()


def test_what_is_drawn_alone_has_a_value_for_every_triangle():
    with pytest.raises(ValueError, match="one value for each of"):
        render(figure(), drawn=np.ones(3, bool))
