"""Makes the golden control frames beside this file: drawn by the reference code, never by ours.

    pip install --no-deps --target REFERENCES/easy-dwpose easy-dwpose==1.0.2
    git clone https://github.com/SignerX/SignVerse-2M REFERENCES/signverse
    git -C REFERENCES/signverse checkout 2ea99eaffc686c43b0c14d1e56a6223e7666e91f
    git clone https://github.com/aigc-apps/VideoX-Fun REFERENCES/videox-fun
    git -C REFERENCES/videox-fun checkout 804a4258e2608f855ccaec8fffa279e75a3b89c6
    git clone https://github.com/Wan-Video/Wan2.2 REFERENCES/wan
    git -C REFERENCES/wan checkout 42bf4cfaa384bc21833865abc2f9e6c0e67233dc
    git clone https://github.com/ali-vilab/UniAnimate-DiT REFERENCES/unianimate
    git -C REFERENCES/unianimate checkout 884ac92aab496a6f0fdc5733eec1799519fb0cc1
    git clone https://github.com/ssj9596/One-to-All-Animation REFERENCES/one-to-all
    git -C REFERENCES/one-to-all checkout c6014ff3c811cac23621ff8afdfbe21d18e60e2c
    git clone https://github.com/TMElyralab/MusePose REFERENCES/musepose
    git -C REFERENCES/musepose checkout 61c52bd937224a614b3951419b735b639397cb62
    python tests/golden/make_golden.py REFERENCES

REFERENCES is a folder outside the repository: easy-dwpose asks for numpy below 2 and is never a dependency.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import references

HERE = Path(__file__).parent
SIZES = ((288, 384), (512, 448))
REFERENCES = {
    "mimicmotion": (references.easy_dwpose_mimicmotion, "easy-dwpose"),
    "stableanimator": (references.stableanimator, "easy-dwpose"),
    "controlnet-aux": (references.controlnet_aux, ""),
    "vace-pose": (references.vace_pose, ""),
    "signverse-controlnext": (references.signverse_controlnext, "signverse"),
    "signverse-openpose": (references.signverse_openpose, "signverse"),
    "videox-fun": (references.videox_fun, "videox-fun"),
    "wan-animate": (references.wan_animate, "wan"),
    "unianimate-dit": (references.unianimate_dit, "unianimate"),
    "one-to-all": (references.one_to_all, "one-to-all"),
    "musepose": (references.musepose, "musepose"),
}


def example_poses() -> tuple[np.ndarray, np.ndarray]:
    """Two frames of a drawn-up signer: everything seen; then doubtful, partly outside, one hand and a leg missing."""
    keypoints = np.zeros((2, 128, 2), np.float32)
    body = [
        (0.50, 0.22), (0.50, 0.36), (0.38, 0.36), (0.30, 0.55), (0.36, 0.70), (0.62, 0.36), (0.72, 0.52), (0.66, 0.34),
        (0.43, 0.78), (0.42, 0.95), (0.41, 1.15), (0.57, 0.78), (0.58, 0.95), (0.59, 1.15),
        (0.47, 0.19), (0.53, 0.19), (0.44, 0.21), (0.56, 0.21),
    ]  # fmt: skip
    keypoints[:, :18] = body
    for start, wrist, up in ((18, body[7], -1), (39, body[4], 1)):
        keypoints[:, start] = wrist
        for finger in range(5):
            for joint in range(4):
                reach = np.array([(finger - 2) * 0.02, up * 0.03]) * (joint + 1)
                keypoints[:, start + 1 + 4 * finger + joint] = wrist + reach
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    keypoints[:, 60:] = np.stack([0.5 + 0.05 * np.cos(turn), 0.22 + 0.08 * np.sin(3 * turn)], axis=1)
    confidence = np.ones((2, 128), np.float32)
    random = np.random.default_rng(20)
    keypoints[1] += (-0.3, 0.05)
    confidence[1] = random.uniform(0.1, 1, 128)
    confidence[1, 18:39] = 0
    confidence[1, [9, 10]] = 0
    keypoints[1][confidence[1] == 0] = 0
    return keypoints, confidence


def main(folder: Path) -> None:
    keypoints, confidence = example_poses()
    np.savez_compressed(HERE / "poses.npz", keypoints=keypoints, confidence=confidence)
    for preset, (make, place) in REFERENCES.items():
        draw = make(folder / place)
        for frame, (height, width) in enumerate(SIZES):
            certainty = confidence[frame].copy()
            if preset.startswith("signverse"):  # its files say of the body only whether a joint is seen
                certainty[:18] = certainty[:18] > 0
            picture = draw(keypoints[frame].copy(), certainty, height, width)
            cv2.imwrite(str(HERE / f"{preset}_{frame}.png"), picture[..., ::-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
