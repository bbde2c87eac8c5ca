"""Here, since the process that runs these tests has imported Gradio anyway."""

import sys

from poses.quiet import import_quietly


def test_everything_imports_in_one_process():
    for name in ("mediapipe", "cv2", "controlnet_aux", "diffusers", "gradio", "rtmlib", "transformers"):
        assert import_quietly(name) is sys.modules[name]
