import copy
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from gen import pipeline_signer
from gen.conditioning import MAP_CHANNELS
from gen.conditions import CONDITIONS
from gen.detail import find_detail
from gen.models.signer_unet import SignerUNetOutput
from gen.pipeline_signer import AROUND, SignerVideoPipeline, cut_windows, find_box
from gen.signers.fit import fit_body
from gen.signers.hand_errors import ESTIMATOR, correct_hands
from poses.keypoints import HAND, PARTS


@pytest.fixture(scope="module")
def pipeline(unet):
    pipeline = SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module", autouse=True)
def remembered():
    """A driving pose is fitted once: what takes most time here has its own tests."""
    fits = {}

    def fit(poses, body):
        key = poses.keypoints.tobytes() + poses.confidence.tobytes()
        return fits.get(key) or fits.setdefault(key, fit_body(poses, body))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_signer, "fit_body", fit)
        yield


def render(pipeline, driving, picture, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return pipeline(driving, picture.image, picture.poses, generator=generator, **options).frames


def test_a_frame_for_every_pose(pipeline, driving, picture):
    frames = render(pipeline, driving, picture)
    assert frames.shape == (len(driving), *picture.image.shape)
    assert frames.dtype == np.uint8


def test_one_pose_is_enough(pipeline, driving, picture):
    assert len(render(pipeline, driving[:1], picture)) == 1


def test_the_seed_decides(pipeline, driving, picture):
    first = render(pipeline, driving[:3], picture, num_inference_steps=2)
    np.testing.assert_array_equal(first, render(pipeline, driving[:3], picture, num_inference_steps=2))
    assert (first != render(pipeline, driving[:3], picture, seed=1, num_inference_steps=2)).any()


def test_the_bar_counts_frames_and_can_be_hidden(pipeline, driving, picture, capfd):
    pipeline(driving[:2], picture.image, picture.poses)
    assert capfd.readouterr().err == ""
    pipeline.set_progress_bar_config()
    pipeline(driving[:2], picture.image, picture.poses)
    pipeline.set_progress_bar_config(disable=True)
    assert "2/2" in capfd.readouterr().err


def test_the_stream_is_the_clip(pipeline, driving, picture):
    clip = driving[:5]
    streamed = pipeline.stream(clip, picture.image, picture.poses, generator=torch.Generator().manual_seed(0), window=4)
    np.testing.assert_array_equal(np.stack(list(streamed)), render(pipeline, clip, picture, window=4))


@given(num_frames=st.integers(1, 200), overlap=st.integers(1, 3), further=st.integers(1, 30))
def test_windows_share_as_many_frames_as_asked_and_are_equally_long(num_frames, overlap, further):
    windows = cut_windows(num_frames, overlap + further, overlap)
    assert (windows[0].start, windows[-1].stop) == (0, num_frames)
    assert all(after.start == before.stop - overlap for before, after in pairwise(windows))
    lengths = {frames.stop - frames.start for frames in windows}
    assert max(lengths) <= overlap + further
    assert max(lengths) - min(lengths) <= 1


def test_a_window_fades_into_the_next_one(pipeline, driving, picture, monkeypatch):
    """Of a network that makes the first window black and the second white; around that, the picture fades into it."""
    boxes, held = [(slice(16, 48), slice(0, 32)), (slice(16, 64), slice(0, 48))], []
    colours = iter((-1.0, 1.0))

    def answer(sample, timestep, **conditions):
        assert timestep.eq(1000).all()
        assert not conditions["given"][0, CONDITIONS.index("previous")]
        assert sample.shape[2] == 4
        clean = torch.full_like(sample, next(colours))
        return SignerUNetOutput(sample=sample - clean, clean=clean)

    def box_of(maps, image, multiple, least):
        held.append(least)
        return boxes[len(held) - 1]

    monkeypatch.setattr(pipeline.unet, "forward", answer)
    monkeypatch.setattr(pipeline_signer, "find_box", box_of)
    frames = render(pipeline, driving[:6], picture, window=4, detail_scale=0.0)
    assert held == [None, boxes[0]]
    expected = np.stack([picture.image] * 6).astype(float)
    expected[:4, *boxes[0]] = 0
    for number, share in ((2, 1 / 3), (3, 2 / 3), (4, 1), (5, 1)):
        expected[number, *boxes[1]] += share * (255 - expected[number, *boxes[1]])
    np.testing.assert_allclose(frames, expected, atol=0.51)


def test_detail_is_that_of_its_frame(pipeline, driving, picture, monkeypatch):
    """However long windows are."""
    found = []
    monkeypatch.setattr(
        pipeline_signer,
        "find_detail",
        lambda maps, hands, keep: found.append((maps, hands)) or find_detail(maps, hands),
    )
    render(pipeline, driving[:6], picture)
    render(pipeline, driving[:6], picture, window=4)
    ((maps, hands), *parts) = found
    assert [len(of) for of, _ in parts] == [2, 4]
    np.testing.assert_array_equal(np.concatenate([of for of, _ in parts]), maps)
    np.testing.assert_array_equal(np.concatenate([of.cover for _, of in parts]), hands.cover)


def test_hands_are_corrected_before_the_body_is_fitted(pipeline, driving, picture):
    """Those of the picture too."""
    found = replace(driving[:2], estimator=ESTIMATOR)
    corrected, alone = (replace(correct_hands(poses), estimator="") for poses in (found, found[:1]))

    def frames(poses, held):
        return render(pipeline, poses, replace(picture, poses=held), detail_scale=0.0)

    expected = frames(corrected, alone)
    np.testing.assert_array_equal(frames(found, found[:1]), expected)
    for driven, held in ((driving[:2], alone), (corrected, driving[:1])):
        assert (frames(driven, held) != expected).any()


def test_with_a_prefix_a_window_begins_where_the_last_one_ended(pipeline, driving, picture, monkeypatch):
    seen = []
    forward = pipeline.unet.forward

    def record(sample, timestep, **conditions):
        seen.append((sample.shape[2], timestep[0].tolist()))
        return forward(sample, timestep, **conditions)

    monkeypatch.setattr(pipeline.unet, "forward", record)
    assert len(render(pipeline, driving[:9], picture, window=4, guidance_scale={"previous": 1.0})) == 9
    assert [frames for frames, _ in seen] == [3, 4, 4]
    assert [levels[:2] for _, levels in seen] == [[1000, 1000], [0, 1000], [0, 1000]]


def test_a_stream_that_is_left_early_leaves_nothing_running(pipeline, driving, picture):
    running = set(threading.enumerate())
    stream = pipeline.stream(driving, picture.image, picture.poses, window=3)
    next(stream)
    assert set(threading.enumerate()) > running  # the next window's maps are made aside
    stream.close()
    assert set(threading.enumerate()) == running


def test_saving_and_loading_keeps_the_frames(pipeline, driving, picture, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = SignerVideoPipeline.from_pretrained(tmp_path, local_files_only=True)
    np.testing.assert_array_equal(render(loaded, driving[:2], picture), render(pipeline, driving[:2], picture))


@pytest.fixture
def calls(pipeline, monkeypatch):
    """What the network is told, call by call: frames and the conditions that are given."""
    calls, forward = [], pipeline.unet.forward

    def record(sample, timestep, **conditions):
        given = [name for name, is_given in zip(CONDITIONS, conditions["given"][0], strict=True) if is_given]
        calls.append((sample.shape[2], given))
        return forward(sample, timestep, **conditions)

    monkeypatch.setattr(pipeline.unet, "forward", record)
    return calls


def test_a_scale_of_one_costs_nothing(pipeline, driving, picture, calls):
    plain = render(pipeline, driving, picture, window=6)
    windows = len(calls)
    assert all(given == ["geometry", "control", "keypoints", "reference", "background"] for _, given in calls)
    calls.clear()
    same = render(pipeline, driving, picture, window=6, guidance_scale={"keypoints": 1.0, "keep": 2.0})
    assert len(calls) == windows  # there is nothing to be kept
    np.testing.assert_array_equal(plain, same)


def test_guidance_goes_farther_where_a_condition_leads(pipeline, driving, picture, calls):
    """By the formula, in one step, which ends on the clean frames; to the rounding of pixels."""
    clip = driving[:5]
    given, without, twice = (
        render(pipeline, clip, picture, guidance_scale={"geometry": scale}, detail_scale=0.0).astype(float)
        for scale in (1.0, 0.0, 1.5)
    )
    assert [len(names) for _, names in calls] == [5, 5, 4, 5, 4]
    assert np.abs(given - without).max() > 4
    inside = (twice > 0) & (twice < 255)
    np.testing.assert_allclose(twice[inside], (given + 0.5 * (given - without))[inside], atol=2)
    calls.clear()
    assert (render(pipeline, clip, picture, guidance_scale=1.5) != given).any()
    assert len(calls) == 1 + 5  # all that are given


@pytest.mark.usefixtures("unchecked")
def test_the_network_may_be_elsewhere_until_it_is_needed(pipeline, driving, picture, monkeypatch):
    """And goes there again."""
    hooked = SignerVideoPipeline(copy.deepcopy(pipeline.unet), pipeline.scheduler)
    cpu_offload(hooked.unet, execution_device=torch.device("cpu"))
    assert hooked.device.type == "meta"
    freed = []
    monkeypatch.setattr(hooked, "maybe_free_model_hooks", lambda: freed.append(True))
    expected = render(pipeline, driving[:2], picture, detail_scale=0.0)
    found = render(hooked, driving[:2], picture, detail_scale=0.0)
    assert np.abs(found.astype(int) - expected).max() <= 1  # to the rounding of pixels
    assert freed == [True]


def test_clothes_get_the_pictures_detail_and_the_head_stays(pipeline, driving, picture):
    plain, laid = (render(pipeline, driving[:2], picture, detail_scale=scale).astype(int) for scale in (0.0, 1.0))
    changed = (plain != laid).any(axis=(0, 3))
    assert changed[len(changed) * 2 // 3 :].any()
    assert not changed[: len(changed) // 4].any()  # the head
    alike = render(pipeline, driving[:2], picture, guidance_scale={"reference": 0.0})
    np.testing.assert_array_equal(
        alike, render(pipeline, driving[:2], picture, guidance_scale={"reference": 0.0}, detail_scale=0.0)
    )


def test_hands_are_drawn_over_the_networks(pipeline, driving, picture):
    clip = driving[4:6]
    plain, laid = (render(pipeline, clip, picture, detail_scale=scale).astype(int) for scale in (0.0, 1.0))
    hand = PARTS["right_hand"]
    seen = clip.confidence[:, hand].min(axis=1) > 0
    assert seen.all()
    for number, points in enumerate(clip.pixels()[:, hand]):
        column, row = points[HAND.index("middle_mcp")].astype(int)
        assert np.abs(plain - laid)[number, row - 1 : row + 2, column - 1 : column + 2].max() > 10


def test_guidance_by_the_frame_before_looks_without_it(pipeline, driving, picture, calls):
    render(pipeline, driving[:9], picture, window=5, guidance_scale={"previous": 1.5})
    assert [(frames, "previous" in given) for frames, given in calls] == [(5, False), (5, True), (4, False)]


@pytest.mark.parametrize("guided", ["keep", "reference"])  # by the latter the network makes the whole frame
def test_what_is_kept_stays_whatever_comes_there(pipeline, driving, picture, guided):
    keep = np.zeros(picture.image.shape[:2], bool)
    keep[20:50, 10:40] = True
    options = {"window": 4, "num_inference_steps": 2, "guidance_scale": {guided: 1.5}}
    clip = driving[:5]
    frames = render(pipeline, clip, picture, keep=keep, **options)
    expected = np.broadcast_to(picture.image[keep], (len(clip), keep.sum(), 3))
    np.testing.assert_array_equal(frames[:, keep], expected)
    assert (render(pipeline, clip, picture, **options)[:, keep] != expected).any()


def test_a_picture_and_its_mask_may_lie_in_memory_in_any_way(pipeline, driving, picture):
    keep = np.zeros(picture.image.shape[:2], bool)
    keep[20:50, 10:40] = True
    turned = replace(picture, image=np.asfortranarray(picture.image))
    upside_down = keep[::-1].copy()[::-1]
    expected = render(pipeline, driving[:2], picture, keep=keep)
    np.testing.assert_array_equal(render(pipeline, driving[:2], turned, keep=upside_down), expected)


def test_a_box_holds_what_is_not_the_picture():
    image = np.full((64, 96, 3), 50, np.uint8)
    maps = np.zeros((2, 64, 96, MAP_CHANNELS), np.uint8)
    maps[..., :3] = image
    maps[0, 30, 60, 8] = 7  # the body is there, and looks as the picture does
    maps[1, 40, 50, 1] = 51
    assert AROUND * 96 == 3
    assert find_box(maps, image, 4, None) == (slice(24, 44), slice(44, 64))
    assert find_box(maps, image, 16, None) == (slice(16, 48), slice(32, 64))
    assert find_box(maps, image, 4, (slice(28, 60), slice(0, 4))) == (slice(24, 60), slice(0, 64))
    maps[1, 63, 0, 8] = 1
    assert find_box(maps, image, 16, None) == (slice(16, 64), slice(0, 64))
    maps[..., 8], maps[..., :3] = 0, image
    assert find_box(maps, image, 16, None) == (slice(0, 64), slice(0, 96))


def test_around_the_signer_the_picture_stays(pipeline, driving, picture, monkeypatch):
    """A room to the left of the signer is none of the network's business; keypoints are told from its right end on."""
    room = np.random.default_rng(0).integers(0, 256, picture.image.shape, np.uint8)
    image = np.concatenate([room, picture.image], axis=1)
    right = np.float32([0.5, 0])
    seen, forward = [], pipeline.unet.forward

    def beside(poses):
        return replace(poses, keypoints=poses.keypoints / np.float32([2, 1]) + right, width=2 * poses.width)

    def record(sample, timestep, **conditions):
        seen.append((sample.shape[-1], conditions["keypoints"][0, -1, 0].tolist()))
        return forward(sample, timestep, **conditions)

    monkeypatch.setattr(pipeline.unet, "forward", record)
    clip = beside(driving[:3])
    noise = torch.Generator().manual_seed(0)
    frames = pipeline(clip, image, beside(picture.poses), generator=noise, detail_scale=0.0).frames
    ((width, nose),) = seen
    hidden = image.shape[1] - width
    assert 0 < hidden <= room.shape[1]
    np.testing.assert_array_equal(frames[:, :, :hidden], np.broadcast_to(image[:, :hidden], (3, len(room), hidden, 3)))
    assert (frames[:, :, hidden:] != image[:, hidden:]).any()
    np.testing.assert_allclose(nose[:2] + np.array([hidden, 0]), clip.pixels()[-1, 0], atol=1e-3)
    pipeline(clip, image, beside(picture.poses), detail_scale=0.0, guidance_scale={"background": 0.5})
    assert {width for width, _ in seen[1:]} == {image.shape[1]}  # more or less of the picture is more or less of all


@pytest.mark.usefixtures("unchecked")
def test_wrong_inputs_are_named(pipeline, driving, picture):
    with pytest.raises(ValueError, match="`image_poses` must be one frame, got 10"):
        pipeline(driving, picture.image, driving)
    with pytest.raises(ValueError, match="`keep` must be true or false, got uint8"):
        pipeline(driving, picture.image, picture.poses, keep=np.zeros((64, 64), np.uint8))
    with pytest.raises(ValueError, match=r"`image` must be RGB, 0 to 255, got float32 of \(64, 64, 3\)"):
        pipeline(driving, picture.image / np.float32(255), picture.poses)
    for shape in ((64, 64), (64, 64, 4)):
        with pytest.raises(ValueError, match=rf"`image` must be RGB, 0 to 255, got uint8 of \({shape[0]}, {shape[1]}"):
            pipeline(driving, np.zeros(shape, np.uint8), picture.poses)
    with pytest.raises(ValueError, match="`image` must have sides in multiples of 16 pixels, got 64 x 60"):
        pipeline(driving, picture.image[:60], picture.poses)
    with pytest.raises(ValueError, match="`poses` must be placed in the image's frame of 64 x 64, got 640 x 64"):
        pipeline(replace(driving, width=640), picture.image, picture.poses)
    with pytest.raises(ValueError, match="`num_inference_steps` must be at least 1, got 0"):
        pipeline(driving, picture.image, picture.poses, num_inference_steps=0)
    with pytest.raises(ValueError, match="`window` must be at least 3, got 2"):
        pipeline(driving, picture.image, picture.poses, window=2)
    with pytest.raises(ValueError, match="`keep` must be as large as the image, 64 x 64, got 32 x 64"):
        pipeline(driving, picture.image, picture.poses, keep=np.zeros((64, 32), bool))
    with pytest.raises(ValueError, match=r"`guidance_scale` must be of geometry, .*, keep, got one of 'hands'"):
        pipeline(driving, picture.image, picture.poses, guidance_scale={"hands": 2.0})
    for scale in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"`guidance_scale` must be finite, got {scale} for control"):
            pipeline(driving, picture.image, picture.poses, guidance_scale={"control": scale})
