"""What is installed fits together: one OpenCV, one protobuf, everything importable in one process."""

import subprocess
import sys
from importlib.metadata import packages_distributions, version


def test_there_is_one_opencv_and_an_old_protobuf():
    (opencv,) = set(packages_distributions()["cv2"])
    assert opencv.endswith("-headless")  # works without libGL
    assert int(version("protobuf").split(".")[0]) < 5


def test_everything_imports_in_one_process():
    program = "import mediapipe, cv2, controlnet_aux, diffusers, gradio, rtmlib; print(cv2.__file__)"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "cv2" in run.stdout
