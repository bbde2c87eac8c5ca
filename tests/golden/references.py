"""Control frames drawn by the code that each preset follows, called from where it was installed or checked out apart.

`make_golden.py` and `benchmarks/drawing.py` use it. None of that code is a dependency, and none is copied here. Each
function loads one project's drawing module and gives a drawer: (keypoints, confidence, height, width) -> RGB.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np

Drawer = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]

BODY, LEFT_HAND, RIGHT_HAND, FACE = slice(0, 18), slice(18, 39), slice(39, 60), slice(60, 128)


def easy_dwpose_mimicmotion(folder: Path) -> Drawer:
    """From `pip install --no-deps --target FOLDER easy-dwpose==1.0.2`.

    Its own `draw_pose` takes joint numbers for scores, so that body colours overflow. Here its three drawing functions
    get what MimicMotion's detector gives them: joint numbers or -1, and scores.
    """
    module = _load(folder / "easy_dwpose" / "draw" / "mimic_motion.py")

    def draw(keypoints, confidence, height, width):
        scale = 2160 / min(height, width) if min(height, width) != 2160 else 1
        canvas = np.zeros((int(height * scale), int(width * scale), 3), np.uint8)
        hands, scores = _parts(keypoints, LEFT_HAND, RIGHT_HAND), _parts(confidence, LEFT_HAND, RIGHT_HAND)
        canvas = module.draw_bodypose(canvas, keypoints[BODY], _subset(confidence), confidence[None, BODY])
        canvas = module.draw_handpose(canvas, hands, scores)
        canvas = module.draw_facepose(canvas, [keypoints[FACE]], [confidence[FACE]])
        return cv2.cvtColor(cv2.resize(canvas, (width, height)), cv2.COLOR_BGR2RGB)

    return draw


def stableanimator(folder: Path) -> Drawer:
    """The same drawing, its red and blue swapped once more."""
    draw = easy_dwpose_mimicmotion(folder)
    return lambda *arguments: draw(*arguments)[..., ::-1]


def controlnet_aux(_: Path) -> Drawer:
    """From controlnet-aux 0.0.10, which is installed."""
    from controlnet_aux import dwpose

    def draw(keypoints, confidence, height, width):
        size = _round_to_64(height, width, 512)
        shown = _hide(keypoints, confidence)
        pose = {
            "bodies": {"candidate": keypoints[BODY], "subset": _subset(confidence)},
            "hands": _parts(shown, LEFT_HAND, RIGHT_HAND),
            "faces": [shown[FACE]],
        }
        return cv2.resize(dwpose.draw_pose(pose, *size), (width, height))

    return draw


def vace_pose(_: Path) -> Drawer:
    """VACE's vace/annotators/pose.py, whose drawing functions are those of controlnet-aux."""
    from controlnet_aux.dwpose import util

    def draw(keypoints, confidence, height, width):
        size = _round_to_64(height, width, 1024)
        canvas = util.draw_bodypose(np.zeros((*size, 3), np.uint8), keypoints[BODY], _subset(confidence))
        canvas = util.draw_facepose(canvas, [_hide(keypoints, confidence)[FACE]])
        larger = height * width > size[0] * size[1]
        return cv2.resize(
            canvas[..., ::-1], (width, height), interpolation=cv2.INTER_LANCZOS4 if larger else cv2.INTER_AREA
        )

    return draw


def signverse_controlnext(folder: Path) -> Drawer:
    """From a checkout of https://github.com/SignerX/SignVerse-2M at 2ea99eaffc686c43b0c14d1e56a6223e7666e91f."""
    module = _load(folder / "SignDW_Transformer" / "utils" / "draw_dw_lib.py")

    def draw(keypoints, confidence, height, width):
        pose = {"num_persons": 1, "person_0": _signverse_person(keypoints, confidence)}
        return module.draw_pose(pose, height, width).transpose(1, 2, 0)

    return draw


def signverse_openpose(folder: Path) -> Drawer:
    """From the same checkout; the visualizer's own functions, not the private file that it prefers."""
    module = _load(folder / "SignDW_Transformer" / "scripts" / "visualize_dwpose_npz.py")

    def draw(keypoints, confidence, height, width):
        frame = {"num_persons": 1, "frame_width": width, "frame_height": height}
        frame["person_0"] = _signverse_person(keypoints, confidence)
        filtered = module.filter_pose_for_openpose(module.to_openpose_frame(frame), 0.6, update_subset=True)
        return np.asarray(module.draw_openpose_frame(filtered, width, height, 0.6))

    return draw


def videox_fun(folder: Path) -> Drawer:
    """From a checkout of https://github.com/aigc-apps/VideoX-Fun at 804a4258e2608f855ccaec8fffa279e75a3b89c6."""
    util = _load(folder / "comfyui" / "annotator" / "dwpose_utils" / "util.py")
    util.is_normalized = lambda points: True

    def draw(keypoints, confidence, height, width):
        scale = 512 / min(height, width)
        canvas = np.zeros((round(height * scale), round(width * scale), 3), np.uint8)
        points = [
            SimpleNamespace(x=x, y=y) if certainty >= 0.3 else None
            for (x, y), certainty in zip(keypoints, confidence, strict=True)
        ]
        canvas = util.draw_bodypose(canvas, points[BODY])
        for hand in (points[LEFT_HAND], points[RIGHT_HAND]):
            canvas = util.draw_handpose(canvas, hand if any(hand) else None)
        canvas = util.draw_facepose(canvas, [*points[FACE], points[14], points[15]] if any(points[FACE]) else None)
        return cv2.resize(canvas, (width, height))

    return draw


def wan_animate(folder: Path) -> Drawer:
    """From a checkout of https://github.com/Wan-Video/Wan2.2 at 42bf4cfaa384bc21833865abc2f9e6c0e67233dc."""
    preprocess = folder / "wan" / "modules" / "animate" / "preprocess"
    sys.modules.setdefault("decord", ModuleType("decord"))  # reads videos; not needed for drawing
    sys.path.insert(0, str(preprocess))
    module = _load(preprocess / "human_visualization.py")

    def draw(keypoints, confidence, height, width):
        points = np.concatenate([keypoints * np.array([width, height], np.float32), confidence[:, None]], axis=1)
        toes = np.zeros((2, 3), np.float32)
        return module.draw_aapose_new(
            np.zeros((height, width, 3), np.uint8),
            np.concatenate([points[BODY], toes]),
            threshold=0.5,
            kp2ds_lhand=points[LEFT_HAND],
            kp2ds_rhand=points[RIGHT_HAND],
            draw_hand=True,
        )

    return draw


def unianimate_dit(folder: Path) -> Drawer:
    """From a checkout of https://github.com/ali-vilab/UniAnimate-DiT at 884ac92aab496a6f0fdc5733eec1799519fb0cc1."""
    util = _load(folder / "dwpose" / "util.py")

    def draw(keypoints, confidence, height, width):
        shown = _hide(keypoints, confidence)
        feet = np.full((2, 2), -1, np.float32)
        body, subset = np.concatenate([shown[BODY], feet]), np.concatenate([_subset(confidence), [[-1, -1]]], axis=1)
        canvas = util.draw_body_and_foot(np.zeros((height, width, 3), np.uint8), body, subset)
        return util.draw_handpose(canvas, _parts(shown, LEFT_HAND, RIGHT_HAND))[..., ::-1]

    return draw


def one_to_all(folder: Path) -> Drawer:
    """From https://github.com/ssj9596/One-to-All-Animation at c6014ff3c811cac23621ff8afdfbe21d18e60e2c."""
    sys.modules.setdefault("dwpose_utils", ModuleType("dwpose_utils"))  # the detector; not needed for drawing
    detector = sys.modules.setdefault("dwpose_utils.dwpose_detector", ModuleType("dwpose_utils.dwpose_detector"))
    detector.build_pose_dict = None
    module = _load(folder / "video-generation" / "opensora" / "dataset" / "utils.py")

    def draw(keypoints, confidence, height, width):
        shown = _hide(keypoints, confidence)
        body = {"candidate": keypoints[BODY], "subset": _subset(confidence), "score": confidence[None, BODY]}
        pose = {"bodies": body, "hands": _parts(shown, LEFT_HAND, RIGHT_HAND), "faces": [shown[FACE]]}
        pose |= {"hands_score": _parts(confidence, LEFT_HAND, RIGHT_HAND), "faces_score": [confidence[FACE]]}
        return module.draw_pose_aligned(pose, height, width)

    return draw


def musepose(folder: Path) -> Drawer:
    """From a checkout of https://github.com/TMElyralab/MusePose at 61c52bd937224a614b3951419b735b639397cb62.

    Its draw_dwpose.py, which reads videos around these functions; `height` and `width` are those that it saves.
    """
    util = _load(folder / "pose" / "script" / "util.py")

    def draw(keypoints, confidence, height, width):
        scale = 1024 / min(height, width)
        shown = _hide(keypoints, confidence)
        canvas = np.zeros((int(scale * height // 2 * 2), int(scale * width // 2 * 2), 3), np.uint8)
        canvas = util.draw_bodypose(canvas, keypoints[BODY], _subset(confidence))
        canvas = util.draw_handpose(canvas, _parts(shown, LEFT_HAND, RIGHT_HAND))
        return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]

    return draw


def _load(file: Path) -> ModuleType:
    if not file.is_file():
        raise ValueError(f"{file}: expected the reference's drawing module here, found nothing.")
    sys.path.insert(0, str(file.parents[1]))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _parts(values: np.ndarray, *parts: slice) -> list[np.ndarray]:
    return [values[part] for part in parts]


def _subset(confidence: np.ndarray) -> np.ndarray:
    return np.where(confidence[BODY] > 0.3, np.arange(18), -1)[None]


def _hide(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    return np.where((confidence < 0.3)[:, None], np.float32(-1), keypoints)


def _round_to_64(height: int, width: int, short_side: int) -> tuple[int, int]:
    scale = short_side / min(height, width)
    return round(height * scale / 64) * 64, round(width * scale / 64) * 64


def _signverse_person(keypoints: np.ndarray, confidence: np.ndarray) -> dict[str, np.ndarray]:
    person = {"body_keypoints": keypoints[BODY]}
    person["body_scores"] = np.where(confidence[BODY] > 0, np.arange(18), -1).astype(np.float32)
    for name, part in (("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND), ("face", FACE)):
        person[f"{name}_keypoints"], person[f"{name}_scores"] = keypoints[part], confidence[part]
    return person
