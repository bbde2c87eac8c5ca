from dataclasses import replace

import pytest

from gen.light import find_light
from gen.reference import read_reference
from gen.signers.appearance import BUILT_IN_SIGNERS
from gen.signers.body import load_body
from gen.signers.dress import dress
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.render import render_frames


@pytest.mark.parametrize("azimuth", [-60.0, 60.0])
def test_light_is_found_on_its_side(picture, azimuth):
    body = load_body()
    held = fit_body(picture.poses, body)
    figure = dress(BUILT_IN_SIGNERS["lucia"], body)
    light = replace(figure.appearance.light, azimuth_deg=azimuth, elevation_deg=40.0, strength=1.0, ambient=0.4)
    lit = replace(figure, appearance=replace(figure.appearance, light=light))
    image = render_frames(lit, pose_vertices(body, held), held.camera, height=128, width=128)[0]
    found = find_light(read_reference(image, body, held), body, held)
    assert found.azimuth_deg == pytest.approx(azimuth, abs=25)
    assert found.elevation_deg == pytest.approx(40, abs=20)
