"""What is installed fits together: one OpenCV, one protobuf."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions, version


def test_there_is_one_opencv_and_an_old_protobuf():
    (opencv,) = set(packages_distributions()["cv2"])
    assert opencv.endswith("-headless")  # works without libGL
    assert int(version("protobuf").split(".")[0]) < 5


def test_nothing_is_reported_to_the_makers_of_onnxruntime(tmp_path):
    """It writes the number of its reporting session into a file as soon as it is imported."""
    asked = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", "import poses, onnxruntime"]
    subprocess.run(command, env={**asked, "TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
