import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pipelines.measures import features, picture
from pipelines.measures.features import (
    OrientedFilters,
    compare_pictures,
    cosine_similarity,
    describe_pictures,
    frechet_distance,
    moments,
    weighted_sum,
)
from pipelines.measures.picture import (
    Crops,
    cut_frames,
    frozen_share,
    luma,
    region_boxes,
    similarity_by_region,
    structural_similarities,
    temporal_consistency,
)
from poses.keypoints import PARTS


def crops_of(regions):
    regions = np.broadcast_to(regions[:, None], (len(regions), 3, 64, 64, 3))
    valid = np.ones((len(regions), 3), bool)
    return Crops(regions, valid, luma(regions[:, 0]))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)
    return rough.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def noisy(pictures):
    noise = np.random.default_rng(1).normal(scale=20, size=pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def test_boxes_are_square_hold_the_points_and_stay_inside():
    pixels = np.zeros((2, 128, 2))
    pixels[0, PARTS["right_hand"], 0] = np.linspace(40, 60, 21)
    pixels[0, PARTS["right_hand"], 1] = 50
    pixels[0, PARTS["face"]] = (99, 1)
    visible = np.zeros((2, 128), bool)
    visible[0, PARTS["right_hand"]] = visible[0, PARTS["face"]] = True
    boxes = region_boxes(pixels, visible, 100, 80)
    np.testing.assert_allclose(boxes[0, 0], (35, 35, 65, 65))  # 20 wide, half as much again, around (50, 50)
    np.testing.assert_allclose(boxes[0, 2], (92, 0, 100, 8))
    assert np.isnan(boxes[0, 1]).all()
    assert np.isnan(boxes[1]).all()


def test_cuts_show_what_is_in_the_box():
    frame = np.zeros((40, 80, 3), np.uint8)
    frame[10:20, 20:30] = (200, 100, 50)
    boxes = np.full((1, 3, 4), np.nan)
    boxes[0, 2] = (20 / 80, 10 / 40, 30 / 80, 20 / 40)
    crops = cut_frames([frame, frame], boxes)
    assert crops.valid.tolist() == [[False, False, True], [False, False, False]]
    assert (crops.regions[0, 2, 8:-8, 8:-8] == (200, 100, 50)).all()
    assert not crops.regions[1].any()
    assert crops.small.shape == (2, 64, 64)
    with pytest.raises(ValueError, match="at least one frame"):
        cut_frames([], boxes)


def test_ssim_and_psnr_are_those_of_scikit_image(pictures, noisy):
    ssim, psnr = similarity_by_region(crops_of(noisy), crops_of(pictures))["face"]
    for number in range(4):
        # BT.601, written out.
        grey = [0.299 * p[..., 0] + 0.587 * p[..., 1] + 0.114 * p[..., 2] for p in (noisy[number], pictures[number])]
        assert ssim[number] == pytest.approx(structural_similarity(*grey, data_range=255), abs=1e-6)
        assert psnr[number] == pytest.approx(peak_signal_noise_ratio(*grey, data_range=255), abs=1e-6)
    same = similarity_by_region(crops_of(pictures), crops_of(pictures))["face"]
    assert (same[0] == 1).all()
    assert (same[1] == 100).all()


def test_a_frozen_step_counts_where_the_pose_moves():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 64, 64)).astype(np.float32) * 255
    small = np.stack([one, one, other, other])
    assert frozen_share(small, np.array([0.1, 0.1, 0.0])) == 0.5
    assert frozen_share(small, np.array([0.1, 0.0, 0.1])) == 1
    assert frozen_share(small, np.zeros(3)) is None


def test_consistency_is_scikit_images_likeness_of_neighbours():
    small = np.random.default_rng(0).random((20, 64, 64)).astype(np.float32) * 255
    small[1:] = (small[1:] + small[:-1]) / 2
    pairs = zip(small.astype(np.float64)[1:], small.astype(np.float64)[:-1], strict=True)
    expected = np.mean([structural_similarity(*pair, data_range=255) for pair in pairs])
    assert temporal_consistency(small) == pytest.approx(expected, abs=1e-9)


def test_consistency_of_one_frame_is_unknown():
    assert temporal_consistency(np.zeros((1, 64, 64), np.float32)) is None


def test_filters_answer_to_the_direction_they_are_made_for():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 0::4] = stripes[:, 1::4] = 255  # upright, a wavelength of 4 pixels
    energy = (
        OrientedFilters().layers(np.stack([stripes, stripes.swapaxes(0, 1)]))[0][:, :4, 8:-8, 8:-8].mean(axis=(2, 3))
    )
    assert energy[0].argmax() == 0
    assert energy[1].argmax() == 2
    assert energy[0, 0] > 5 * energy[0, 2]
    assert not OrientedFilters().layers(np.full((1, 64, 64, 3), 128, np.uint8))[0][:, :4, 8:-8, 8:-8].round(5).any()


def test_feature_distance_is_nothing_for_equal_pictures_and_does_not_care_for_order(pictures, noisy):
    network = OrientedFilters()
    assert not compare_pictures(network, pictures, pictures)[2].any()
    there, back = compare_pictures(network, pictures, noisy)[2], compare_pictures(network, noisy, pictures)[2]
    assert (there > 0.01).all()
    np.testing.assert_allclose(there, back, rtol=1e-6)


def test_a_description_is_the_same_for_the_same_picture(pictures):
    rows = describe_pictures(OrientedFilters(), np.concatenate([pictures[:1], pictures[:1]]))
    assert rows.shape == (2, 36)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert describe_pictures(OrientedFilters(), pictures[:0]).shape == (0, 36)
    assert cosine_similarity(rows[0], rows[1]) == pytest.approx(1)
    assert cosine_similarity(rows[0], np.zeros(36, np.float32)) is None


def test_blocks_of_pictures_make_no_difference(pictures, noisy, monkeypatch):
    whole = compare_pictures(OrientedFilters(), pictures, noisy)
    ssim = structural_similarities(luma(pictures), luma(noisy))
    monkeypatch.setattr(features, "PICTURES_AT_ONCE", 3)
    monkeypatch.setattr(picture, "PAIRS_AT_ONCE", 3)
    for one, other in zip(compare_pictures(OrientedFilters(), pictures, noisy), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_array_equal(structural_similarities(luma(pictures), luma(noisy)), ssim)
    np.testing.assert_array_equal(whole[0], describe_pictures(OrientedFilters(), pictures))


def test_frechet_distance_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 4)), rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)) + 1
    covariances = [np.cov(rows, rowvar=False) for rows in (first, second)]
    expected = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    assert frechet_distance(moments(first), moments(second)) == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(moments(first), moments(first)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(moments(first[:4]), moments(second)) is None


def test_moments_of_parts_are_those_of_the_whole():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    parts = weighted_sum([moments(rows[:4]), moments(rows[4:])], np.array([1.0, 2.0]))
    whole = moments(np.concatenate([rows, rows[4:]]))
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
