"""Each way of spoiling a clip, at five strengths: the figure that is meant for it must get worse each time."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipelines.clip_figures import picture_figures, pose_figures
from pipelines.measures.features import OrientedFilters
from pipelines.measures.picture import cut_frames, frozen_share, region_boxes, temporal_consistency
from pipelines.measures.pose import WRISTS, visible_points
from poses.draw import draw_poses
from poses.fingerspelling import spell
from poses.keypoints import PARTS

SIZE = 96
STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)


@pytest.fixture(scope="module")
def clip():
    """Czech fingerspelling, which takes both hands, in a square frame."""
    return replace(spell("BAD", "cse", fps=24.0)[:40], width=SIZE, height=SIZE, glosses=())


@pytest.fixture(scope="module")
def other(clip):
    return replace(spell("LOG", "cse", fps=24.0)[:40], width=SIZE, height=SIZE, glosses=())


@pytest.fixture(scope="module")
def frames(clip):
    return np.stack(list(draw_poses(clip, "videox-fun", height=SIZE, width=SIZE)))


def figures_of(clip, found):
    return pose_figures(clip, found, estimator="none")[0]


def crops_of(clip, frames):
    boxes = region_boxes(clip.pixels(), visible_points(clip), clip.width, clip.height)
    return cut_frames(list(frames), boxes / SIZE)


def wrist_steps(clip):
    return np.linalg.norm(np.diff(clip.pixels()[:, WRISTS], axis=0), axis=2).max(axis=1) / clip.shoulder_width_px()


def rises(values):
    return all(before < after for before, after in pairwise(values))


def falls(values):
    return rises([-value for value in values])


def with_frames(clip, order):
    return replace(clip, keypoints=clip.keypoints[order], confidence=clip.confidence[order])


def frozen(num_frames, strength):
    """Frame numbers of a clip whose last part stands still."""
    last = round(num_frames * (1 - strength))
    return np.minimum(np.arange(num_frames), last)


def shuffled(num_frames, strength):
    """Frame numbers with a share of them, the same first, moved elsewhere."""
    order = np.arange(num_frames)
    chosen = np.random.default_rng(0).permutation(num_frames)[: round(num_frames * strength)]
    order[np.sort(chosen)] = chosen
    return order


def test_corrupt_hands(clip):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(clip), 42, 2)) * clip.shoulder_width_px() / SIZE
    spoiled = []
    for strength in STRENGTHS:
        keypoints = clip.keypoints.copy()
        keypoints[:, HANDS] += (0.3 * strength * noise).astype(np.float32)
        spoiled.append(figures_of(clip, replace(clip, keypoints=keypoints)))
    assert falls([figures["pck_0.1/hands"] for figures in spoiled])
    assert falls([figures["pck_0.2/hands"] for figures in spoiled])
    assert rises([figures["mean_error/hands"] for figures in spoiled])
    for name in ("dtwp", "ndtwp", "dtw_mje", "ndtw_mje"):
        assert rises([figures[name] for figures in spoiled]), name
    assert len({figures["pck_0.1/face"] for figures in spoiled}) == 1


def test_lost_hands(clip):
    spoiled = []
    for strength in STRENGTHS:
        confidence = clip.confidence.copy()
        confidence[: round(len(clip) * strength), HANDS] = 0
        spoiled.append(figures_of(clip, replace(clip, confidence=confidence)))
    for name in ("recall/hands", "hand_presence", "pck_0.2/hands"):
        assert falls([figures[name] for figures in spoiled]), name


def test_swapped_hands(clip):
    left, right = PARTS["left_hand"], PARTS["right_hand"]
    spoiled = []
    for strength in STRENGTHS:
        swapped = slice(0, round(len(clip) * strength))
        keypoints, confidence = clip.keypoints.copy(), clip.confidence.copy()
        keypoints[swapped, left], keypoints[swapped, right] = (
            clip.keypoints[swapped, right],
            clip.keypoints[swapped, left],
        )
        confidence[swapped, left] = clip.confidence[swapped, right]
        confidence[swapped, right] = clip.confidence[swapped, left]
        spoiled.append(figures_of(clip, replace(clip, keypoints=keypoints, confidence=confidence)))
    assert falls([figures["pck_0.1/hands"] for figures in spoiled])
    assert rises([figures["ndtwp"] for figures in spoiled])


def test_wrong_clip(clip, other):
    spoiled = []
    for strength in STRENGTHS:
        wrong = np.arange(len(clip)) < round(len(clip) * strength)
        keypoints = np.where(wrong[:, None, None], other.keypoints, clip.keypoints)
        confidence = np.where(wrong[:, None], other.confidence, clip.confidence)
        spoiled.append(figures_of(clip, replace(clip, keypoints=keypoints, confidence=confidence)))
    assert falls([figures["pck_0.2/hands"] for figures in spoiled])
    assert rises([figures["ndtwp"] for figures in spoiled])


def test_shuffled_frames(clip, frames):
    spoiled = [shuffled(len(clip), strength) for strength in STRENGTHS]
    assert falls([temporal_consistency(crops_of(clip, frames[order]).small) for order in spoiled])
    assert falls([figures_of(clip, with_frames(clip, order))["pck_0.1/hands"] for order in spoiled])


def test_blurred_frames(clip, frames):
    network = OrientedFilters()
    clip, frames = clip[10:18], frames[10:18]
    reference = crops_of(clip, frames)
    spoiled = []
    for strength in STRENGTHS:
        blurred = [Image.fromarray(frame).filter(ImageFilter.GaussianBlur(4 * strength)) for frame in frames]
        crops = crops_of(clip, [np.asarray(frame) for frame in blurred])
        spoiled.append(picture_figures(crops, reference, network)[0])
    for region in ("right_hand", "left_hand", "face"):
        assert falls([figures[f"ssim/{region}"] for figures in spoiled]), region
        assert falls([figures[f"psnr/{region}"] for figures in spoiled]), region
        assert rises([figures[f"oriented-filters-1_distance/{region}"] for figures in spoiled]), region


def test_frozen_frames(clip, frames):
    orders = [frozen(len(clip), strength) for strength in STRENGTHS]
    assert falls([figures_of(clip, with_frames(clip, order))["movement_ratio"] for order in orders])
    assert rises([frozen_share(crops_of(clip, frames[order]).small, wrist_steps(clip)) for order in orders])


def test_a_frozen_video_is_caught_although_its_warped_distance_looks_good(clip, other, frames):
    middle = np.full(len(clip), len(clip) // 2)
    still, wrong = figures_of(clip, with_frames(clip, middle)), figures_of(clip, other)
    for name in ("ndtwp", "dtw_mje"):
        assert still[name] < wrong[name], name
    assert still["movement_ratio"] == 0
    assert frozen_share(crops_of(clip, frames[middle]).small, wrist_steps(clip)) == 1
    assert temporal_consistency(crops_of(clip, frames[middle]).small) == 1
    assert frozen_share(crops_of(clip, frames).small, wrist_steps(clip)) == 0
