"""What `benchmarks.renderer` measures in the frames of a row, hand by hand and frame by frame."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from benchmarks.renderer_film import Film, Video
from gen.signers.fit import BodyMotion, pose_vertices
from gen.signers.make import MOVED_SHARE
from gen.signers.render import render_layers
from pipelines.measures.features import OrientedFilters, feature_distance
from pipelines.measures.identity import chamfer_distance, colour_sets, region_colours
from pipelines.measures.picture import (
    CROP_PX,
    REGIONS,
    cut_frames,
    luma,
    region_boxes,
    signal_to_noise,
    structural_similarities,
)
from poses.keypoints import PARTS, index
from poses.sequence import PoseSequence

HANDS = REGIONS[:2]
MISSED_PX = 20.0
"""What every joint of a hand that is not found counts for, in pixels of a frame 256 wide."""
TURNED_DEG = 15.0
"""A head that looks farther than this past the camera is turned."""
FACE_ACTIONS = ("mouth", "brows")
"""In the order of `face_actions`."""

_BROWS = index(*(f"face_{side}_brow_{i}" for side in ("right", "left") for i in range(5)))
_EYES = index(*(f"face_{side}_eyelid_{i}" for side in ("right", "left") for i in (0, 3)))
_NOSE, _CHIN = index("face_nose_bridge_0", "face_jaw_8")
_LIPS = index("face_inner_lip_2", "face_inner_lip_6")


def draw_signer(film: Film, motion: BodyMotion) -> tuple[Video, UInt8[np.ndarray, "frames height width"]]:
    """The true signer in a motion, and how much of each pixel they cover."""
    height, width = film.frames.shape[1:3]
    vertices = pose_vertices(film.actor.body, motion)
    return render_layers(film.actor.figure, vertices, motion.camera, height=height, width=width)


def measure(
    film: Film, shown: Video, read: PoseSequence | None, driving: PoseSequence
) -> tuple[dict, UInt8[np.ndarray, "hands size size 3"]]:
    """Figures of every frame and of every hand that is in the frame, and cut-outs of the moved ones.

    Args:
        film: The true clip.
        shown: The frames of a row.
        read: What the estimator finds in them; None where nobody asked.
        driving: What it finds in the true clip.
    """
    true, poses = film.frames[1:], film.poses[1:]
    height, width = true.shape[1:3]
    visible = poses.confidence > 0
    boxes = region_boxes(poses.pixels(), visible, width, height)
    scale = np.array([width, height] * 2)
    crops, true_crops = (cut_frames(video, boxes / scale) for video in (shown, true))
    hands, cuts = [], []
    for side in HANDS:
        region, points = REGIONS.index(side), PARTS[side]
        way = np.linalg.norm(film.points[1:, points] - film.points[:1, points], axis=-1).mean(axis=1)
        for frame in np.flatnonzero(true_crops.valid[:, region]):
            hand = {
                "moved": bool(way[frame] > MOVED_SHARE * width),
                **compare_cuts(crops.regions[frame, region], true_crops.regions[frame, region]),
                "edges": edges(shown[frame], boxes[frame, region]),
                "true_edges": edges(true[frame], boxes[frame, region]),
            }
            if read is not None:
                hand["found"] = bool(read.confidence[frame, points].any())
                error = np.linalg.norm(read.pixels()[frame, points] - film.points[1 + frame, points], axis=1)
                error = error * 256 / width if hand["found"] else np.full(len(error), MISSED_PX)
                hand["error_px"] = error[visible[frame, points]].round(2).tolist()
            hands.append(hand)
            cuts += [crops.regions[frame, region]] if hand["moved"] else []
    figures: dict = {"frames": measure_frames(film, shown, read, driving), "hands": hands}
    if read is not None:
        figures["colours"] = signer_colours(shown, read)
    return figures, np.array(cuts, np.uint8).reshape(-1, CROP_PX, CROP_PX, 3)


def compare_cuts(shown: UInt8[np.ndarray, "size size 3"], true: UInt8[np.ndarray, "size size 3"]) -> dict[str, float]:
    """Likeness and distance of two pictures of a hand."""
    network = OrientedFilters()
    return {
        "ssim": float(structural_similarities(luma(shown)[None], luma(true)[None])[0]),
        "distance": float(feature_distance(network.layers(shown[None]), network.layers(true[None]))[0]),
    }


def edges(frame: UInt8[np.ndarray, "height width 3"], box: np.ndarray) -> float:
    """Variance of the Laplacian of the luma within a box: high where a picture is sharp."""
    left, top, right, bottom = box.round().astype(int)
    return float(cv2.Laplacian(luma(frame[top:bottom, left:right]), cv2.CV_32F).var())


def measure_frames(film: Film, shown: Video, read: PoseSequence | None, driving: PoseSequence) -> list[dict]:
    """Figures of every frame: PSNR in decibels, of the whole and of the signer, and whether the face was found."""
    true = film.frames[1:]
    signer = draw_signer(film, film.motion)[1][1:] > 127
    turned = np.abs(film.motion.head_turn_deg[1:, 0]) > TURNED_DEG
    figures = []
    for number, (one, other) in enumerate(zip(shown, true, strict=True)):
        figure: dict = {
            "psnr": float(signal_to_noise(one.reshape(1, -1, 3), other.reshape(1, -1, 3))[0]),
            "foreground_psnr": float(signal_to_noise(one[None, signer[number]], other[None, signer[number]])[0]),
            "turned": bool(turned[number]),
        }
        if read is not None:
            figure["face_found"] = bool(read.confidence[number, PARTS["face"]].any())
            points = read.pixels()[number], driving.pixels()[number], film.points[1 + number]
            figure["face"] = [face_actions(of) for of in points]
        figures.append(figure)
    return figures


def face_actions(pixels: Float[np.ndarray, "128 2"]) -> list[float]:
    """How far the mouth is open and how high the brows are, in distances between the outer corners of the eyes.

    Corners, not the chin, since a chin sinks when the mouth opens.
    """
    unit = max(float(np.linalg.norm(pixels[_EYES[0]] - pixels[_EYES[-1]])), 1.0)
    mouth = np.linalg.norm(pixels[_LIPS[0]] - pixels[_LIPS[1]])
    brows = np.linalg.norm(pixels[_BROWS].mean(axis=0) - pixels[_EYES].mean(axis=0))
    return [float(mouth / unit), float(brows / unit)]


def signer_colours(frames: Video, read: PoseSequence) -> list[list[list[float]]]:
    """Colours of face, hair and clothes in a clip, as `pipelines.measures.identity` finds them."""
    of_frames = zip(frames, read.pixels(), read.confidence > 0, strict=True)
    colours = np.stack([region_colours(*of_frame) for of_frame in of_frames])
    return [of.round(1).tolist() for of in colour_sets(colours.astype(float))]


def colour_distance(first: list[list[list[float]]], second: list[list[list[float]]]) -> float | None:
    """Mean over the regions that both show, dE*ab; None where there is none."""
    by_region = (chamfer_distance(np.array(a), np.array(b)) for a, b in zip(first, second, strict=True) if a and b)
    distances = [distance for distance in by_region if distance is not None]
    return float(np.mean(distances)) if distances else None
