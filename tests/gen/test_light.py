from dataclasses import replace

import numpy as np
import pytest

from gen.light import find_light
from gen.reference import read_reference
from gen.signers.appearance import BUILT_IN_SIGNERS, Appearance
from gen.signers.body import load_body
from gen.signers.dress import dress, undress
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.render import render_frames


@pytest.fixture(scope="module")
def find(picture):
    """Finds the light in a picture of a built-in signer under some light."""
    body = load_body()
    held, bare = fit_body(picture.poses, body), undress(body, Appearance(), np.ones(len(body.faces), bool))
    figure = dress(BUILT_IN_SIGNERS["lucia"], body)
    vertices = pose_vertices(body, held)

    def find(**options):
        light = replace(figure.appearance.light, strength=1.0, ambient=0.4, **options)
        lit = replace(figure, appearance=replace(figure.appearance, light=light))
        image = render_frames(lit, vertices, held.camera, height=128, width=128)[0]
        return find_light(read_reference(image, body, held), body, held, bare)

    return find


@pytest.mark.long
def test_light_is_found_on_its_side(find):
    left, right = find(azimuth_deg=-60.0, elevation_deg=40.0), find(azimuth_deg=60.0, elevation_deg=40.0)
    assert left.azimuth_deg == pytest.approx(-60, abs=25)
    assert right.azimuth_deg == pytest.approx(60, abs=25)


@pytest.mark.long
def test_light_from_above_is_found_above_level_light(find):
    level, above = find(azimuth_deg=-30.0, elevation_deg=10.0), find(azimuth_deg=-30.0, elevation_deg=60.0)
    assert above.elevation_deg > level.elevation_deg + 10
