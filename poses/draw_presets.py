"""How each family of pose-conditioned video models expects its skeletons: facts, read in the projects named.

`tests/golden/make_golden.py` makes frames with those projects' own code, and a test compares ours with them. Nothing
here is copied from them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from poses.keypoints import FACE

_SEEN = float(np.finfo(np.float32).tiny)
_ABOVE_03 = float(np.nextafter(np.float32(0.3), np.float32(1)))


@dataclass(frozen=True)
class Strokes:
    """Sizes in canvas pixels. Limbs are ellipses of this half-width, bones lines of this thickness, points discs."""

    limb: int = 4
    joint: int = 4
    bone: int = 2
    knuckle: int = 4
    face: int = 3


@dataclass(frozen=True)
class Preset:
    """How one family of models expects its skeletons.

    Attributes:
        source: Where these facts come from.
        short_side: The canvas is drawn with its shorter side this long, then resized; None draws at the final size.
        multiple: Canvas sides are rounded to multiples of this; None cuts them to whole pixels.
        rounding: How they are rounded.
        strokes: Sizes for a canvas of this height and width.
        width_of: Gives the half-width of a limb and the thickness of a bone by its length in canvas pixels, instead of
            those in `strokes`, which must then be the largest.
        parts: What is drawn, in this order.
        hidden: Points that are never shown.
        body_threshold: Body points below this confidence are left out.
        part_threshold: Hand and face points below this confidence are left out. At 0 they are all drawn.
        pupils: Whether the body's eyes are drawn among the points of the face.
        unseen_joints: Whether joints left out of the limbs are drawn as discs all the same.
        limb_margin: Limbs with an end this close to the left or upper edge, in fractions of the frame, are left out.
        joint_margin: The same for joints.
        resample: How the canvas is resized; `area or lanczos` makes it smaller with the one, larger with the other.
        body_fades: Whether limbs and joints grow darker with their confidence.
        parts_fade: Whether hands and face grow darker with their confidence, and how bone colours are made whole.
        swapped: Whether red and blue change places, as the model sees them.
        library: Module of controlnet-aux that does the drawing.
    """

    source: str
    short_side: int | None = None
    multiple: int | None = None
    rounding: Callable[[float], int] = round
    strokes: Callable[[int, int], Strokes] = lambda height, width: Strokes()
    width_of: Callable[[float], int] | None = None
    parts: tuple[Literal["body", "hands", "face"], ...] = ("body", "hands", "face")
    hidden: tuple[str, ...] = ()
    body_threshold: float = _ABOVE_03
    part_threshold: float = 0.0
    pupils: bool = False
    unseen_joints: bool = False
    limb_margin: float = -math.inf
    joint_margin: float = -math.inf
    resample: Literal["linear", "area", "area or lanczos"] = "linear"
    body_fades: bool = False
    parts_fade: Literal["", "round", "truncate"] = ""
    swapped: bool = False
    library: str = ""


def _wan_animate_strokes(height: int, width: int) -> Strokes:
    body = max(min(height, width) // 200 - 1, 1)
    hand = max(body // 2, 1)
    return Strokes(limb=body, joint=body, bone=hand, knuckle=hand)


def _one_to_all_strokes(height: int, width: int) -> Strokes:
    sizes, factors = (512, 1080, 2160, 3240, 4320, 5400, math.inf), (1, 1.5, 2, 2.5, 3.5, 4.5, 4)
    factor = next(factor for size, factor in zip(sizes, factors, strict=True) if max(height, width) < size)
    body, rest = int(3 * factor), int(2 * factor)
    return Strokes(limb=body, joint=body, bone=rest, knuckle=rest, face=rest)


_MUSEPOSE_LARGEST_WIDTH = 8


def _musepose_width(length: float) -> int:
    doublings = sum(length >= 5 * 2**step for step in range(_MUSEPOSE_LARGEST_WIDTH - 1))
    return 1 + doublings


PRESETS = MappingProxyType(
    {
        "mimicmotion": Preset(
            source="https://github.com/Tencent/MimicMotion/blob/62f91e1f4ab750e1ab0d96c08f2d199b6e84e8b1/mimicmotion/"
            "dwpose/util.py, shared by ControlNeXt-SVD-v2 and easy-dwpose 1.0.2",
            short_side=2160,
            body_fades=True,
            parts_fade="round",
            swapped=True,
        ),
        "controlnet-aux": Preset(
            source="controlnet-aux 0.0.10, controlnet_aux/dwpose",
            short_side=512,
            multiple=64,
            part_threshold=0.3,
            library="controlnet_aux.dwpose.util",
        ),
        "stableanimator": Preset(
            source="https://github.com/Francis-Rings/StableAnimator/blob/020e7f23a768410e0183ce943397d96a609f4ec1/DWPose/"
            "skeleton_extraction.py: as mimicmotion, red and blue swapped once more when its frames are saved",
            short_side=2160,
            body_fades=True,
            parts_fade="round",
        ),
        "signverse-controlnext": Preset(
            source="https://github.com/SignerX/SignVerse-2M/blob/7b2dfef27b6ee14755ea697e3853c61f117beb0b/"
            "SignDW_Transformer/utils/draw_dw_lib.py, style `thin`, the default of its visualizer",
            short_side=2160,
            body_threshold=_SEEN,
            unseen_joints=True,
            parts_fade="truncate",
            swapped=True,
        ),
        "signverse-openpose": Preset(
            source="https://github.com/SignerX/SignVerse-2M/blob/2ea99eaffc686c43b0c14d1e56a6223e7666e91f/"
            "SignDW_Transformer/scripts/visualize_dwpose_npz.py; its threshold of 0.6 falls on joint numbers, not on "
            "confidences, which hides the nose and nothing else",
            parts=("body", "face", "hands"),
            hidden=("nose",),
            body_threshold=_SEEN,
            part_threshold=0.6,
            limb_margin=0.01,
            joint_margin=1e-6,
        ),
        "videox-fun": Preset(
            source="https://github.com/aigc-apps/VideoX-Fun/tree/804a4258e2608f855ccaec8fffa279e75a3b89c6/comfyui/"
            "annotator, for Wan-Fun-Control and CogVideoX-Fun-Pose",
            short_side=512,
            multiple=1,
            body_threshold=0.3,
            part_threshold=0.3,
            pupils=True,
        ),
        "vace-pose": Preset(
            source="https://github.com/ali-vilab/VACE/blob/48eb44f1c4be87cc65a98bff985a26976841e9f3/vace/annotators/"
            "pose.py, PoseBodyFaceAnnotator, its `pose` task: hands are off",
            short_side=1024,
            multiple=64,
            parts=("body", "face"),
            resample="area or lanczos",
            part_threshold=0.3,
            swapped=True,
        ),
        "wan-animate": Preset(
            source="https://github.com/Wan-Video/Wan2.2/blob/42bf4cfaa384bc21833865abc2f9e6c0e67233dc/wan/modules/animate/"
            "preprocess/human_visualization.py, draw_aapose_by_meta_new; without toes, which the 128 points lack",
            strokes=_wan_animate_strokes,
            parts=("body", "hands"),
            body_threshold=0.5,
            part_threshold=0.5,
        ),
        "unianimate-dit": Preset(
            source="https://github.com/ali-vilab/UniAnimate-DiT/blob/884ac92aab496a6f0fdc5733eec1799519fb0cc1/"
            "run_align_pose.py, which draws 512 x 768 pixels; without feet, which the 128 points lack, or JPEG",
            parts=("body", "hands"),
            part_threshold=0.3,
            swapped=True,
        ),
        "one-to-all": Preset(
            source="https://github.com/ssj9596/One-to-All-Animation/blob/c6014ff3c811cac23621ff8afdfbe21d18e60e2c/"
            "video-generation/opensora/dataset/utils.py, draw_pose_aligned",
            short_side=2160,
            strokes=_one_to_all_strokes,
            hidden=tuple(f"face_{name}" for name in FACE if name.startswith(("jaw", "nose"))),
            part_threshold=0.3,
            body_fades=True,
            parts_fade="round",
        ),
        "musepose": Preset(
            source="https://github.com/TMElyralab/MusePose/blob/61c52bd937224a614b3951419b735b639397cb62/"
            "draw_dwpose.py: its training frames, 768 on the shorter side",
            short_side=1024,
            multiple=2,
            rounding=math.floor,
            strokes=lambda height, width: Strokes(
                limb=_MUSEPOSE_LARGEST_WIDTH, bone=_MUSEPOSE_LARGEST_WIDTH, knuckle=3
            ),
            width_of=_musepose_width,
            parts=("body", "hands"),
            part_threshold=0.3,
            resample="area",
            swapped=True,
        ),
    }
)
"""The presets by name."""
