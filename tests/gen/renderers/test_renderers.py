from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.utils import logging

from gen.pipeline_signer import SignerVideoPipeline
from gen.renderers import RENDERERS, Placement, SignerPicture, avatar, create_renderer
from gen.renderers.pictures import built_in_picture, dressed_signer, fit_picture
from gen.renderers.placing import place_over
from gen.renderers.signer_small import SignerSmallRenderer, is_bf16_faster, load_pipeline
from gen.signers.fit import fit_body, pose_vertices
from gen.signers.hand_errors import ESTIMATOR, correct_hands
from gen.signers.render import render_frames
from poses.keypoints import index


def test_every_renderer_knows_its_name():
    assert {create_renderer(name).name for name in RENDERERS} == set(RENDERERS)


def test_an_unknown_renderer_is_refused():
    with pytest.raises(ValueError, match="`renderer` must be one of avatar, signer-small, got 'magic'"):
        create_renderer("magic")


def test_an_unknown_signer_is_refused():
    with pytest.raises(ValueError, match=r"`signer` must be one of alex, .*, got 'nobody'"):
        built_in_picture("nobody", 64, 64)


def test_the_avatar_draws_each_pose_and_moves(driving):
    frames = list(create_renderer("avatar").render(driving, None))
    assert len(frames) == len(driving)
    assert frames[0].shape == (64, 64, 3)
    assert (frames[0] != frames[-1]).any()


def test_the_avatar_takes_no_steps_and_no_strangers(driving, picture):
    avatar = create_renderer("avatar")
    with pytest.raises(ValueError, match="`num_inference_steps` must be left out for avatar, got 4"):
        next(avatar.render(driving, None, num_inference_steps=4))
    with pytest.raises(ValueError, match="`keep` must be left out for avatar, which shows no picture"):
        next(avatar.render(driving, replace(picture, keep=np.ones((64, 64), bool))))
    with pytest.raises(ValueError, match=r"`guidance_scale` must be left out for avatar, got \{'control': 2\.0\}"):
        create_renderer("avatar", guidance_scale={"control": 2.0})
    with pytest.raises(ValueError, match=r"^me\.png: avatar draws built-in signers only \(alex, .*use .* signer-small"):
        avatar.place(driving, replace(picture, name="me.png"), height=64, width=64)


@pytest.mark.long
def test_the_avatar_draws_poses_in_their_order_with_corrected_hands(driving, monkeypatch):
    monkeypatch.setattr(avatar, "_CHUNK", 2)
    found = replace(driving[:3], estimator=ESTIMATOR)
    body, figure = dressed_signer("kenji")
    motion = fit_body(correct_hands(found), body)
    expected = render_frames(figure, pose_vertices(body, motion), motion.camera, height=64, width=64)
    frames = list(create_renderer("avatar").render(found, built_in_picture("kenji", 64, 64)))
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("shown", [True, False])
def test_loading_says_nothing_and_leaves_the_bars_as_they_were(shown, unet, tmp_path, monkeypatch, capfd):
    SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler()).save_pretrained(tmp_path)
    monkeypatch.setattr(logging, "_tqdm_active", shown)
    load_pipeline(str(tmp_path))
    assert logging.is_progress_bar_enabled() == shown
    with pytest.raises(ValueError, match="nowhere"):
        load_pipeline(str(tmp_path / "nowhere"))
    assert logging.is_progress_bar_enabled() == shown
    assert capfd.readouterr().err == ""


def test_placing_finds_a_shift_and_a_scale(picture):
    moved = Placement(2.0, 10.0, -5.0, 200, 180)(picture.poses)
    back = place_over(moved, picture.poses, height=64, width=64)
    assert (back.scale, back.offset_x, back.offset_y) == pytest.approx((0.5, -5.0, 2.5), abs=1e-3)
    seen = picture.poses.confidence > 0
    np.testing.assert_allclose(back(moved).keypoints[seen], picture.poses.keypoints[seen], atol=1e-5)
    assert not moved.keypoints[~seen].any()
    larger = replace(picture.poses, width=128, height=128)
    assert place_over(moved, larger, height=64, width=64) == back


def test_placing_needs_a_body(picture):
    nobody = replace(
        picture.poses, confidence=np.zeros((1, 128), np.float32), keypoints=np.zeros((1, 128, 2), np.float32)
    )
    with pytest.raises(ValueError, match="expected shoulders and nose to place the signer by, found 0 of neck"):
        place_over(nobody, picture.poses, height=64, width=64)


def test_placing_needs_somebody_upright(picture):
    seen = picture.poses.confidence[..., None] > 0
    upside_down = replace(picture.poses, keypoints=np.where(seen, 1 - picture.poses.keypoints, 0).astype(np.float32))
    with pytest.raises(ValueError, match="expected an upright signer facing the camera"):
        place_over(upside_down, picture.poses, height=64, width=64)


def test_a_picture_of_nobody_is_not_cut(picture):
    nobody = replace(picture.poses, confidence=np.zeros((1, 128), np.float32))
    with pytest.raises(ValueError, match=r"^me\.png: expected a signer's head and shoulders, found none"):
        fit_picture(replace(picture, poses=nobody, name="me.png"), 48, 48)


def test_a_picture_is_cut_around_the_signer(picture):
    wide = np.zeros((64, 160, 3), np.uint8)
    wide[:, 60:124] = picture.image
    keypoints = picture.poses.keypoints * [64 / 160, 1] + [60 / 160, 0]
    keypoints[picture.poses.confidence == 0] = 0
    poses = replace(picture.poses, keypoints=keypoints.astype(np.float32), width=160)
    cut = fit_picture(SignerPicture(wide, poses, "wide.png", keep=wide[..., 0] > 0), 64, 64)
    assert cut.image.shape == (64, 64, 3)
    np.testing.assert_array_equal(cut.keep, cut.image[..., 0] > 0)
    neck = index("neck")
    assert abs(cut.poses.keypoints[0, neck, 0] - 0.5) < 0.02
    assert not cut.poses.keypoints[cut.poses.confidence == 0].any()
    np.testing.assert_allclose(cut.poses.pixels()[0, neck, 1], picture.poses.pixels()[0, neck, 1], atol=1)


def test_fine_lines_of_a_mask_are_kept_in_a_smaller_picture(picture):
    keep = np.zeros((256, 256), bool)
    keep[[40, 81, 122, 163]] = True
    large = replace(picture, image=picture.image.repeat(4, axis=0).repeat(4, axis=1), keep=keep)
    smaller = fit_picture(large, 64, 64)
    np.testing.assert_array_equal(smaller.keep, np.isin(np.arange(64), [10, 20, 30, 40])[:, None].repeat(64, axis=1))
    np.testing.assert_array_equal(fit_picture(smaller, 128, 128).keep, smaller.keep.repeat(2, axis=0).repeat(2, axis=1))


def test_a_tall_picture_keeps_the_head(picture):
    pixels = picture.poses.pixels()[0, index("nose", "right_shoulder", "left_shoulder")]
    hair = pixels[0, 1] - 0.75 * np.linalg.norm(pixels[1] - pixels[2])
    tall = np.concatenate([np.zeros((40, 64, 3), np.uint8), picture.image, np.zeros((200, 64, 3), np.uint8)])
    keypoints = picture.poses.keypoints * [1, 64 / 304] + [0, 40 / 304]
    keypoints[picture.poses.confidence == 0] = 0
    poses = replace(picture.poses, keypoints=keypoints.astype(np.float32), height=304)
    cut = fit_picture(SignerPicture(tall, poses, "tall.png"), 64, 64)
    moved = cut.poses.pixels()[0, index("nose"), 1] - pixels[0, 1]
    assert hair + moved >= -1  # rows are whole


@pytest.mark.long
def test_any_size_is_rendered(unet, driving, picture, tmp_path):
    SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler()).save_pretrained(tmp_path)
    renderer, driving = SignerSmallRenderer(str(tmp_path)), driving[:3]
    placed = renderer.place(driving, picture, height=50, width=70)(driving)
    keep = np.zeros((64, 64), bool)
    keep[32:] = True
    for signer in (picture, replace(picture, keep=keep)):
        frames = list(renderer.render(placed, signer))
        assert len(frames) == len(driving)
        assert {frame.shape for frame in frames} == {(50, 70, 3)}


def test_what_is_rendered_goes_on_at_its_edges(unet, driving, picture, tmp_path, monkeypatch):
    """To the next multiple: points stay where they are."""
    SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler()).save_pretrained(tmp_path)
    given = []

    def stream(pipeline, poses, image, image_poses, *, keep, **options):
        given.append((poses, image, image_poses, keep))
        yield image

    monkeypatch.setattr(SignerVideoPipeline, "stream", stream)
    renderer = SignerSmallRenderer(str(tmp_path))
    signer = fit_picture(replace(picture, keep=picture.image[..., 0] > 99), 50, 70)
    placed = renderer.place(driving, signer, height=50, width=70)(driving)
    (frame,) = renderer.render(placed, signer)
    np.testing.assert_array_equal(frame, signer.image)
    ((poses, image, image_poses, keep),) = given
    for wide, own in ((poses, placed), (image_poses, signer.poses)):
        assert (wide.height, wide.width) == (64, 80)
        np.testing.assert_allclose(wide.pixels(), own.pixels(), atol=1e-4)
    rows, columns = np.arange(64).clip(max=49)[:, None], np.arange(80).clip(max=69)
    np.testing.assert_array_equal(image, signer.image[rows, columns])
    np.testing.assert_array_equal(keep, signer.keep[rows, columns])


def test_seed_steps_and_guidance_are_the_pipelines(unet, driving, picture, tmp_path):
    SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler()).save_pretrained(tmp_path)
    renderer = SignerSmallRenderer(str(tmp_path), guidance_scale={"control": 3.0})
    pipeline = load_pipeline(str(tmp_path))
    pipeline.set_progress_bar_config(disable=True)
    for steps, seed in ((None, 3), (2, 4)):
        expected = pipeline(
            driving[:1],
            picture.image,
            picture.poses,
            num_inference_steps=steps or 1,
            guidance_scale={"control": 3.0},
            generator=torch.Generator().manual_seed(seed),
        ).frames
        frames = list(renderer.render(driving[:1], picture, num_inference_steps=steps, seed=seed))
        np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize(
    ("matrix_units", "bf16_units", "limit", "faster"),
    [
        (True, True, None, True),
        (False, True, "DEFAULT", True),
        (True, False, "avx512_core_amx", True),
        (True, True, "AVX2", False),
        (False, True, "AVX512_CORE_BF16", True),
        (False, True, "AVX512_CORE_VNNI", False),
        (False, False, None, False),
    ],
)
def test_bf16_is_used_where_the_cpu_has_units_for_it_and_onednn_may_use_them(
    monkeypatch, matrix_units, bf16_units, limit, faster
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrix_units)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16_units)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert is_bf16_faster() is faster
