import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from gen.pipeline_signer import SignerVideoPipeline


@pytest.fixture(scope="module")
def pipeline(unet):
    pipeline = SignerVideoPipeline(unet, FlowMatchEulerDiscreteScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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


def test_the_stream_is_the_clip(pipeline, driving, picture):
    clip = driving[:5]
    streamed = pipeline.stream(clip, picture.image, picture.poses, generator=torch.Generator().manual_seed(0), window=4)
    np.testing.assert_array_equal(np.stack(list(streamed)), render(pipeline, clip, picture, window=4))


def test_a_window_begins_where_the_last_one_ended(pipeline, driving, picture, monkeypatch):
    seen = []
    forward = pipeline.unet.forward

    def record(sample, timestep, pose_maps, reference):
        seen.append((sample.shape[2], timestep[0].tolist()))
        return forward(sample, timestep, pose_maps, reference)

    monkeypatch.setattr(pipeline.unet, "forward", record)
    render(pipeline, driving, picture, window=5)
    assert [frames for frames, _ in seen] == [5, 5, 2]
    assert [levels[0] for _, levels in seen] == [1000, 0, 0]


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


def test_wrong_inputs_are_named(pipeline, driving, picture):
    with pytest.raises(ValueError, match="`image` must have sides in multiples of 16 pixels, got 64 x 60"):
        pipeline(driving, picture.image[:60], picture.poses)
    with pytest.raises(ValueError, match="`poses` must be placed in the image's frame of 64 x 64, got 640 x 64"):
        pipeline(replace(driving, width=640), picture.image, picture.poses)
    with pytest.raises(ValueError, match="`num_inference_steps` must be at least 1, got 0"):
        pipeline(driving, picture.image, picture.poses, num_inference_steps=0)
    with pytest.raises(ValueError, match="`window` must be at least 2, got 1"):
        pipeline(driving, picture.image, picture.poses, window=1)
