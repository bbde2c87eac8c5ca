"""Video2Pose, trained on synthetic signers alone, on real clips: PCK@0.2 against MediaPipe, beside the mean pose.

`python -m benchmarks.video2pose VIDEOS... --data FOLDER --output FOLDER` prints one JSON line. What MediaPipe is sure
of and lies in the frame counts; both look at the same frames. The mean pose is that of the training clips, once as it
lay in their frames and once brought to where MediaPipe sees the shoulders, which no estimator is told. What estimators
saw is kept in OUTPUT, so that a run that was stopped goes on. The validation films of FOLDER, of signers who were not
trained on, are compared with their exact poses likewise.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.measures.pose import VISIBLE_CONFIDENCE, visible_points
from poses.estimators import Estimator, create_estimator, extract_poses
from poses.io import load_poses, save_poses
from poses.keypoints import PARTS, index
from poses.sequence import PoseSequence
from poses.video import read_frames, read_info
from recognizer.metrics import bootstrap_interval
from recognizer.processing_video2pose import Video2PoseProcessor
from recognizer.training_video2pose import NEAR, mean_pose
from recognizer.video2pose_estimator import WEIGHTS, Video2PoseEstimator
from recognizer.video_clips import FPS, SignerClip, read_signer_clips

SHOULDERS = index("left_shoulder", "right_shoulder")
OF = {"body": PARTS["body"], "hands": slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)}


def some_frames(video: Path, step: int) -> Iterator[np.ndarray]:
    return (frame for number, frame in enumerate(read_frames(video)) if number % step == 0)


def extracted(video: Path, output: Path, estimator: Estimator, step: int) -> PoseSequence | None:
    """What an estimator sees in a video, found now or before; None where it sees nobody."""
    path = output / f"{video.stem}-{estimator.version.replace(' ', '-')}-every-{step}.npz"
    if path.exists():
        return load_poses(path)
    try:
        poses = extract_poses(some_frames(video, step), fps=read_info(video).fps / step, estimator=estimator)
    except ValueError as error:
        print(f"{video.stem}: {error}", file=sys.stderr)
        return None
    save_poses(poses, path)
    return poses


def film_counts(clip: SignerClip, estimator: Estimator, mean: np.ndarray) -> dict[str, dict[str, list[int]]]:
    """The same as `shares`, of a synthetic signer's film and its exact poses."""
    frames, keypoints = clip.frames()[1:], clip.keypoints[1:]
    inside = np.asarray(((keypoints >= 0) & (keypoints < 1)).all(axis=-1))
    height, width = frames.shape[1:3]
    exact = np.where(inside[..., None], keypoints, np.float32(0))
    reference = PoseSequence(exact, np.asarray(inside, np.float32), FPS, width, height, str(clip.path))
    return shares(reference, extract_poses(frames, fps=FPS, estimator=estimator), mean)


def brought(mean: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The mean pose with its shoulders, in pixels, where a frame's are in the middle and as wide."""
    own, theirs = mean[SHOULDERS], np.median(reference[:, SHOULDERS], axis=0)
    scale = np.linalg.norm(theirs[0] - theirs[1]) / np.linalg.norm(own[0] - own[1])
    return (mean - own.mean(axis=0)) * scale + theirs.mean(axis=0)


def shares(reference: PoseSequence, found: PoseSequence | None, mean: np.ndarray) -> dict[str, dict[str, list[int]]]:
    """For every way to place points: how many of MediaPipe's are right, and how many there are, by part."""
    shown = visible_points(reference)
    true, unit = reference.pixels(), reference.shoulder_width_px()
    square = Video2PoseProcessor().to_frame(mean, reference.height, reference.width)
    lying = square * np.array([reference.width, reference.height])
    ways = {
        "mean pose, as in training frames": np.broadcast_to(lying, true.shape),
        "mean pose, told the shoulders": np.broadcast_to(brought(mean, true), true.shape),
    }
    right = {name: np.linalg.norm(points - true, axis=2) <= NEAR * unit for name, points in ways.items()}
    near = np.zeros_like(shown)
    sure = near
    if found is not None:
        near = (np.linalg.norm(found.pixels() - true, axis=2) <= NEAR * unit) & (found.confidence > 0)
        sure = near & (found.confidence >= VISIBLE_CONFIDENCE)
    right |= {"video2pose": sure, "video2pose, unsure points too": near}
    return {
        name: {part: [int((of & shown)[:, where].sum()), int(shown[:, where].sum())] for part, where in OF.items()}
        for name, of in right.items()
    }


def found_hands(reference: PoseSequence, found: PoseSequence | None) -> dict[str, list[int]]:
    """Of hands, frame by frame, that MediaPipe sees, and of those it does not: how many are found, and how many."""
    counts = np.zeros((2, 2), int)
    for hand in ("left_hand", "right_hand"):
        seen = visible_points(reference)[:, PARTS[hand]].any(axis=1)
        also = np.zeros_like(seen)
        if found is not None:
            also = (found.confidence[:, PARTS[hand]] >= VISIBLE_CONFIDENCE).mean(axis=1) > 0.5
        counts += [[(also & seen).sum(), seen.sum()], [(also & ~seen).sum(), (~seen).sum()]]
    return dict(zip(("seen", "unseen"), counts.tolist(), strict=True))


def summed(counts: Sequence[dict[str, dict[str, list[int]]]]) -> list[dict]:
    """One row for every way, over all points of all videos, with intervals that resample videos."""
    rows = []
    for name in counts[0]:
        row: dict = {"points": name}
        for part in OF:
            right, number = np.array([of[name][part] for of in counts]).T
            interval = bootstrap_interval(
                lambda w, right=right, number=number: float((w * right).sum() / max((w * number).sum(), 1)),
                [list(range(len(counts)))],
            )
            row[part] = {
                "pck": float(right.sum() / max(number.sum(), 1)),
                "interval": interval,
                "of": int(number.sum()),
            }
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+", help="folders of videos")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="folder of a trained Video2Pose")
    parser.add_argument("--data", type=Path, required=True, help="folder of the films that it was trained on")
    parser.add_argument("--output", type=Path, required=True, help="folder for what estimators see")
    parser.add_argument("--step", type=int, default=3, help="every which frame is looked at")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    mean = mean_pose(read_signer_clips(arguments.data / "train", None))
    mediapipe, video2pose = create_estimator("mediapipe"), Video2PoseEstimator(arguments.model)
    films = [film_counts(clip, video2pose, mean) for clip in read_signer_clips(arguments.data / "validation", None)]
    result = {
        "model": video2pose.version,
        "step": arguments.step,
        "films": {"films": len(films), "rows": summed(films)},
    }
    for folder in arguments.videos:
        counts, hands, unmeasured = [], [], 0
        output = arguments.output / folder.parent.name
        output.mkdir(exist_ok=True)
        for video in sorted(folder.glob("*.mp4")):
            reference, found = (extracted(video, output, of, arguments.step) for of in (mediapipe, video2pose))
            if reference is None or not reference.shoulder_width_px() > 0:
                unmeasured += 1
                continue
            counts.append(shares(reference, found, mean))
            hands.append(found_hands(reference, found))
        result[folder.parent.name] = {
            "videos": len(counts),
            "unmeasured": unmeasured,
            "rows": summed(counts),
            "hands_found": {of: np.sum([row[of] for row in hands], axis=0).tolist() for of in ("seen", "unseen")},
        }
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
