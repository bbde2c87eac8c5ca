"""Frames per second of rendering a clip of ten seconds into an mp4, and where the time goes.

`python -m benchmarks.render_speed` renders a spelled clip with default steps, as the machine is and with oneDNN held to
AVX2 (so without the units that make bf16 and 8 bits fast), there in float32 too, and prints one JSON line: frames per
second of one call, mean of five after a first one, fit and encoding included; the first call of a fresh process and the
whole command apart; milliseconds a frame of each part when it runs alone; and beside it, on the same frames, a network
of Wan-VACE 1.3B's shape with random weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.environment import machine
from poses.fingerspelling import spell
from poses.io import save_poses
from poses.sequence import PoseSequence

DURATION_S = 10.0
FPS = 24.0
SIZE = 256
WORD, LANGUAGE = "HANDSHAPES", "ase"
FLOAT = ", float32"
INSTRUCTION_SETS = {"all": "", "AVX2": "AVX2", "AVX2" + FLOAT: "AVX2"}
"""What oneDNN is held to; of `signer-small` alone also without convolutions in 8 bits."""
WAN_BLOCKS, WAN_STEPS, WAN_PASSES = 30, 50, 2
"""Of Wan-VACE 1.3B: blocks, half as many of control beside them, and diffusers' default steps, each with guidance."""


def spelled_clip() -> PoseSequence:
    """A word spelled again and again for ten seconds."""
    clip = spell(WORD, LANGUAGE, fps=FPS)
    frames = np.arange(round(DURATION_S * FPS)) % len(clip)
    return replace(clip, keypoints=clip.keypoints[frames], confidence=clip.confidence[frames], glosses=())


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def time_calls(renderer_name: str, repeats: int) -> dict:
    """Frames per second of calls: the mean of some after a first one, and of as many more of one signer."""
    from gen.renderers import create_renderer
    from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture
    from gen.renderers.signer_small import SignerSmallRenderer
    from pipelines.render import render_video

    in_float = renderer_name.endswith(FLOAT)
    clip, renderer = (
        spelled_clip(),
        SignerSmallRenderer(quantized=False) if in_float else create_renderer(renderer_name),
    )
    # What is read of a picture is kept, so each call gets one that was never seen, and those after them all the last.
    picture = built_in_picture(DEFAULT_SIGNER, SIZE, SIZE)
    pictures = [replace(picture, image=picture.image.copy()) for _ in range(1 + repeats)]
    for number, other in enumerate(pictures):
        other.image[0, 0] = number
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        options = {"renderer": renderer, "height": SIZE, "width": SIZE, "overwrite": True}
        times = [
            seconds(lambda signer=signer: render_video(clip, path, signer=signer, **options))
            for signer in pictures + pictures[-1:] * repeats
        ]
    rates = [len(clip) / value for value in times[1:]]
    return {
        "frames_per_second": round(float(np.mean(rates[:repeats])), 2),
        "of_each_call": [round(rate, 2) for rate in rates[:repeats]],
        "of_each_call_with_the_last_signer": [round(rate, 2) for rate in rates[repeats:]],
        "first_call_s": round(times[0], 2),
    }


def time_parts() -> dict[str, float]:
    """Milliseconds a frame of each part of `signer-small` alone, the network on whole frames; together they overlap."""
    import torch

    from gen.conditioning import map_frames
    from gen.conditions import to_conditions, to_keypoints
    from gen.detail import find_detail, lay_over
    from gen.drawn_hands import DrawnHands, HandDrawer
    from gen.pipeline_signer import OVERLAP, WINDOW, cut_windows, denoise
    from gen.reference import read_reference
    from gen.renderers.pictures import DEFAULT_SIGNER, built_in_picture
    from gen.renderers.signer_small import SignerSmallRenderer, load_pipeline
    from gen.signers.body import load_body
    from gen.signers.fit import fit_body
    from poses.video import write_video

    renderer, picture = SignerSmallRenderer(), built_in_picture(DEFAULT_SIGNER, SIZE, SIZE)
    poses = renderer.place(spelled_clip(), None, height=SIZE, width=SIZE)(spelled_clip())
    pipeline, body, windows = load_pipeline(renderer.weights), load_body(), cut_windows(len(poses), WINDOW, OVERLAP)
    # But for those that were seen with the window before.
    fresh = [slice(frames.start + OVERLAP * bool(frames.start), frames.stop) for frames in windows]
    motion = fit_body(poses, body)
    held = fit_body(picture.poses, body)
    reference = read_reference(picture.image, body, held)
    drawer = HandDrawer(reference, body, held)
    noise = pipeline.prepare_noise(SIZE, SIZE, None)
    shown, keypoints = (torch.from_numpy(of)[None] for of in (reference.maps(), to_keypoints(poses)))

    def make_maps() -> list[np.ndarray]:
        return [map_frames(reference, body, motion, poses, frames) for frames in fresh]

    def run_network() -> None:
        of_all = np.concatenate(maps)
        with torch.no_grad():
            for frames in windows:
                conditions = to_conditions(torch.from_numpy(of_all[frames])[None], keypoints[:, frames], shown)
                denoise(
                    pipeline.unet, pipeline.scheduler, noise, noise[:, :, :0], conditions,
                    num_inference_steps=renderer.default_num_inference_steps,
                )  # fmt: skip

    def draw_hands() -> list[DrawnHands]:
        return [drawer.draw(motion, frames) for frames in fresh]

    def lay_detail() -> None:
        for of_window, of_hands in zip(maps, hands, strict=True):
            lay_over(of_window[..., :3], find_detail(of_window, of_hands))

    maps, hands = make_maps(), draw_hands()
    run_network()
    frames = [frame for of_window in maps for frame in of_window[..., :3]]
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "fit": seconds(lambda: fit_body(poses, body)),
            "network": seconds(run_network),
            "maps": seconds(make_maps),
            "hands": seconds(draw_hands),
            "detail": seconds(lay_detail),
            "encode": seconds(lambda: write_video(Path(folder) / "out.mp4", frames, fps=FPS)),
        }
    return {name: round(1000 * value / len(poses), 1) for name, value in parts.items()}


def time_wan(num_frames: int = 81) -> dict:
    """Seconds a frame of a network of Wan-VACE 1.3B's shape: two of its blocks and one of control, times fifteen."""
    import torch
    from diffusers.models.transformers.transformer_wan_vace import WanVACETransformer3DModel

    torch.manual_seed(0)
    blocks = 2
    network = WanVACETransformer3DModel(
        num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=blocks, vace_layers=[0]
    )
    torch.nn.Module.to(network, torch.bfloat16)
    latent = (1, 16, (num_frames - 1) // 4 + 1, SIZE // 8, SIZE // 8)
    control = torch.randn(1, 96, *latent[2:], dtype=torch.bfloat16)
    with torch.no_grad():
        once = seconds(
            lambda: network(
                torch.randn(latent, dtype=torch.bfloat16),
                torch.tensor([500]),
                torch.randn(1, 512, 4096, dtype=torch.bfloat16),
                control_hidden_states=control,
            )
        )
    clip_s = once * WAN_BLOCKS / blocks * WAN_STEPS * WAN_PASSES
    return {
        "frames": num_frames,
        "seconds_of_two_blocks": round(once, 2),
        "seconds_a_frame": round(clip_s / num_frames, 1),
    }


def command_seconds(clip: Path, video: Path, renderer: str, environment: dict[str, str]) -> float:
    """Seconds from starting the command until it is back."""
    command = [sys.executable, "-m", "pipelines.cli", "render", str(clip), str(video), "--renderer", renderer]
    return seconds(
        lambda: subprocess.run([*command, "--overwrite"], env=environment, check=True, stdout=subprocess.DEVNULL)
    )


def aside(part: str, renderer: str, repeats: int, environment: dict[str, str]) -> dict:
    """Runs a part of this benchmark in a process of its own, since oneDNN reads its limit once."""
    command = [sys.executable, "-m", "benchmarks.render_speed", "--part", part, "--repeats", str(repeats)]
    done = subprocess.run(
        [*command, "--renderers", renderer], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Times everything and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renderers", nargs="+", default=["signer-small", "avatar"])
    parser.add_argument("--repeats", type=int, default=5, help="calls whose mean is printed")
    parser.add_argument("--part", choices=["calls", "parts", "wan"], help="only this, in this process")
    arguments = parser.parse_args()
    if arguments.part:
        parts = {
            "calls": lambda: time_calls(arguments.renderers[0], arguments.repeats),
            "parts": time_parts,
            "wan": time_wan,
        }
        print(json.dumps(parts[arguments.part]()))
        return
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        save_poses(spelled_clip(), Path(folder) / "clip.npz")
        for name, limit in INSTRUCTION_SETS.items():
            environment = dict(os.environ) | ({"ONEDNN_MAX_CPU_ISA": limit} if limit else {})
            if name.endswith(FLOAT):
                calls = aside("calls", "signer-small" + FLOAT, arguments.repeats, environment)
                figures[f"signer-small, {name}"] = calls
                continue
            for renderer in arguments.renderers:
                figures[f"{renderer}, {name}"] = aside("calls", renderer, arguments.repeats, environment) | {
                    "whole_command_s": round(
                        command_seconds(Path(folder) / "clip.npz", Path(folder) / "out.mp4", renderer, environment), 2
                    )
                }
    parts, wan = (aside(part, "signer-small", 1, dict(os.environ)) for part in ("parts", "wan"))
    about = {"frames": round(DURATION_S * FPS), "size": SIZE, "machine": machine()}
    print(json.dumps({**about, "figures": figures, "signer_small_ms_a_frame": parts, "wan_vace_1.3b_shape": wan}))


if __name__ == "__main__":
    main()
