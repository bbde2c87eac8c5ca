"""How near the fitted body comes to the poses it is fitted to, and to what is read from renders of it.

`python -m benchmarks.fit` prints one JSON line. Errors are in pixels of a 256-pixel-wide frame, intervals resample
clips. `--rendered 60` also renders that many clips with the built-in signers, heads turned, and reads them back with
MediaPipe: the ceiling of every figure read through it, and how far each keypoint of `keypoints.csv` should move.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import numpy as np

from gen.signers import rotations
from gen.signers.appearance import BUILT_IN_SIGNERS
from gen.signers.body import Body, load_body
from gen.signers.dress import dress
from gen.signers.fit import BodyMotion, fit_bodies, fit_body, pose_keypoints, pose_vertices
from gen.signers.render import render_frames
from poses.estimators import create_estimator
from poses.fingerspelling import HELD_OUT_LANGUAGES, LANGUAGES, TWO_HANDED, letter_clips
from poses.keypoints import HAND, NAMES, PARTS, index
from poses.sequence import PoseSequence

WIDTH = 256
HANDS = ("right_hand", "left_hand")
MAX_YAW_DEG = 40.0


def error_px(body: Body, clip: PoseSequence, motion: BodyMotion) -> np.ndarray:
    """Distance of every point to where it should be; NaN where the clip does not say."""
    error = np.linalg.norm(
        (pose_keypoints(body, motion) - clip.keypoints) * (WIDTH, WIDTH * clip.height / clip.width), axis=-1
    )
    return np.where(clip.confidence > 0.1, error, np.nan)


def summary(errors: list[np.ndarray]) -> dict:
    """Mean with its interval by clip, median and 90th percentile."""
    errors = [values[np.isfinite(values)] for values in errors]
    errors = [values for values in errors if len(values)]
    pooled = np.concatenate(errors)
    sums, counts = np.array([[values.sum(), len(values)] for values in errors]).T
    rng = np.random.default_rng(0)
    draws = rng.integers(len(errors), size=(1000, len(errors)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    return {
        "mean": float(pooled.mean()),
        "interval": np.quantile(means, [0.025, 0.975]).tolist(),
        "median": float(np.median(pooled)),
        "p90": float(np.quantile(pooled, 0.9)),
        "clips": len(errors),
    }


def hand_errors(clips: list[PoseSequence], motions: list[BodyMotion], body: Body) -> dict:
    absolute, relative = [], []
    for clip, motion in zip(clips, motions, strict=True):
        points = (pose_keypoints(body, motion) - clip.keypoints) * (WIDTH, WIDTH * clip.height / clip.width)
        offsets = np.concatenate([points[motion.hand_seen[:, i], PARTS[hand]] for i, hand in enumerate(HANDS)])
        absolute.append(np.linalg.norm(offsets, axis=-1))
        relative.append(np.linalg.norm(offsets[:, 1:] - offsets[:, :1], axis=-1))
    mean_by_joint = np.concatenate(absolute).mean(axis=0)
    return {
        "absolute": summary(absolute),
        "relative_to_wrist": summary(relative),
        "by_joint": dict(zip(HAND, mean_by_joint.round(2).tolist(), strict=True)),
    }


def part_errors(clips: list[PoseSequence], motions: list[BodyMotion], body: Body) -> dict:
    errors = [error_px(body, clip, motion) for clip, motion in zip(clips, motions, strict=True)]
    joints = index("right_shoulder", "left_shoulder", "right_elbow", "left_elbow")
    return {
        "shoulders_and_elbows": summary([values[:, joints] for values in errors]),
        "face": summary([values[:, PARTS["face"]] for values in errors]),
    }


def face_correlations(clips: list[PoseSequence], motions: list[BodyMotion], body: Body) -> dict:
    """Correlation within clips of mouth opening and brow height between poses and body."""

    def heights(keypoints: np.ndarray) -> np.ndarray:
        pairs = (("face_inner_lip_2", "face_inner_lip_6"), ("face_right_brow_2", "face_right_eyelid_0"))
        return np.stack([keypoints[:, index(low), 1] - keypoints[:, index(high), 1] for high, low in pairs])

    wanted, got = [], []
    for clip, motion in zip(clips, motions, strict=True):
        seen = (clip.confidence[:, PARTS["face"]] > 0).all(axis=1)
        if seen.sum() > 5:
            for values, keypoints in ((wanted, clip.keypoints), (got, pose_keypoints(body, motion))):
                height = heights(keypoints[seen])
                values.append(height - height.mean(axis=1, keepdims=True))
    return {
        name: float(np.corrcoef(np.concatenate(wanted, 1)[i], np.concatenate(got, 1)[i])[0, 1])
        for i, name in enumerate(("mouth_opening", "brow_height"))
    }


def timings(clips: list[PoseSequence], body: Body) -> dict:
    """Seconds for one clip of 125 frames with both hands, and for each clip of a batch."""
    two_handed = [
        clip for clip in clips if clip.language in TWO_HANDED and (clip.confidence[:, [18, 39]] > 0).mean() > 0.8
    ]
    long = replace(
        two_handed[0],
        keypoints=np.concatenate([clip.keypoints for clip in two_handed])[:125],
        confidence=np.concatenate([clip.confidence for clip in two_handed])[:125],
    )
    single = []
    for _ in range(5):
        start = time.perf_counter()
        fit_body(long, body)
        single.append(time.perf_counter() - start)
    start = time.perf_counter()
    fit_bodies(clips, body)
    return {
        "s_per_125_frames": float(np.median(single)),
        "s_per_clip_of_batch": (time.perf_counter() - start) / len(clips),
    }


def turn_head(body: Body, motion: BodyMotion, yaw_deg: float) -> BodyMotion:
    """The motion with its head turned farther about the neck."""
    head = body.bone("head")
    linear = motion.linear.copy()
    linear[:, head] = rotations.from_vector(np.radians([0.0, 0.0, yaw_deg])).astype(np.float32) @ linear[:, head]
    return replace(motion, linear=linear)


def read_renders(
    clips: list[PoseSequence], width: int = 512
) -> Iterator[tuple[Body, BodyMotion, np.ndarray, np.ndarray]]:
    """For the middle frame of each clip: body, motion, what MediaPipe reads from the picture, how sure it is."""
    rng = np.random.default_rng(0)
    estimator = create_estimator("mediapipe")
    for clip, chosen in zip(clips, cycle(BUILT_IN_SIGNERS.values())):
        body = load_body(chosen.shape)
        middle = len(clip) // 2
        motion = turn_head(body, fit_body(clip[middle : middle + 1], body), rng.uniform(-MAX_YAW_DEG, MAX_YAW_DEG))
        picture = render_frames(
            dress(chosen, body), pose_vertices(body, motion), motion.camera, height=width, width=width
        )[0]
        estimator.reset()
        yield body, motion, *estimator.estimate(picture)


def rendered_errors(clips: list[PoseSequence]) -> dict:
    """What MediaPipe reads from renders against the exact keypoints, and the offsets that would explain it."""
    hands, found, turns, rows = [], [], [], {name: [] for name in NAMES}
    for body, motion, keypoints, confidence in read_renders(clips):
        offset = (keypoints - pose_keypoints(body, motion)[0]) * WIDTH
        asked = [PARTS[hand] for i, hand in enumerate(HANDS) if motion.hand_seen[0, i]]
        seen = [part for part in asked if confidence[part].min() > 0]
        found += [part in seen for part in asked]
        hands.append(np.array([np.linalg.norm(offset[part], axis=-1) for part in seen]))
        for k in np.flatnonzero(confidence > 0.5):
            view = motion.linear[0, body.keypoint_bones[k]][[0, 2]] * motion.camera.scale * WIDTH * ((1,), (-1,))
            rows[NAMES[k]].append((view, offset[k]))
        read = PoseSequence(keypoints[None], confidence[None], 25.0, WIDTH, WIDTH)
        again = fit_body(read, body).head_turn_deg[0]
        ahead = motion.linear[0, body.bone("head")] @ (0, -1, 0)
        turns.append([np.degrees(np.arctan2(ahead[0], -ahead[1])), again[0]])
    turns = np.array(turns)
    return {
        "hands_found": float(np.mean(found)),
        "hands": summary(hands),
        "head_yaw_error_deg": float(np.abs(turns[:, 1] - turns[:, 0]).mean()),
        "head_yaw_slope": float(np.polyfit(turns[:, 0], turns[:, 1], 1)[0]),
        "offsets_mm": {name: _offset_mm(values) for name, values in rows.items() if len(values) > 10},
    }


def _offset_mm(rows: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """The offset in the bone's frame that explains the errors best, depth held back, large errors discounted."""
    views = np.concatenate([view for view, _ in rows])
    errors = np.concatenate([error for _, error in rows])
    weight = np.ones(len(errors))
    for _ in range(20):
        offset = np.linalg.solve((views.T * weight) @ views + np.eye(3) * 100, (views.T * weight) @ errors)
        weight = 1 / (1 + ((errors - views @ offset) / 2) ** 2)
    return (1000 * offset).round(1).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rendered", type=int, default=0, help="clips to render and read back")
    arguments = parser.parse_args()
    body = load_body()
    result = {}
    for name, languages in (
        ("training", [language for language in LANGUAGES if language not in HELD_OUT_LANGUAGES]),
        ("held_out", HELD_OUT_LANGUAGES),
    ):
        clips = [clip for language in languages for clip in letter_clips(language).values()]
        motions = fit_bodies(clips, body)
        result[name] = {
            "hands": hand_errors(clips, motions, body),
            **part_errors(clips, motions, body),
            "face_correlation": face_correlations(clips, motions, body),
        }
        if name == "training":
            result["timings"] = timings(clips, body)
            if arguments.rendered:
                step = max(len(clips) // arguments.rendered, 1)
                result["rendered"] = rendered_errors(clips[::step][: arguments.rendered])
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
