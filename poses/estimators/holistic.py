"""MediaPipe Holistic's own graph, without the work whose results nobody here looks at.

Its nodes and streams are named in
https://github.com/google-ai-edge/mediapipe/tree/v0.10.14/mediapipe/modules/holistic_landmark.
"""

import functools
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from poses.estimators.tflite import without_output
from poses.formats.mediapipe import POSE_NAMES
from poses.quiet import quiet_stderr

PARTS = ("face_landmarks", "left_hand_landmarks", "right_hand_landmarks")
"""Streams of what is looked for where the pose says, in the order that `holistic_to_dwpose` takes them."""

_GRAPH = "modules/holistic_landmark/holistic_landmark_cpu.binarypb"
_POSE_MODEL = "modules/pose_landmark/pose_landmark_full.tflite"
_SEGMENTATION, _PRESENCE = 2, 1
"""Numbers of two of the pose model's outputs."""

_POSE_NODES = "poselandmarkcpu__"
"""How the names of the nodes that find the pose begin."""

_MODEL = "poselandmarkcpu__poselandmarkbyroicpu__poselandmarkmodelloader__model_blob"
_POSE, _RAW_POSE = "pose_landmarks", "poselandmarkcpu__unfiltered_pose_landmarks"

_FRAME_US = 33333
"""Between frames, as `mediapipe.solutions` has it; places are smoothed over time."""

_NEW_VISIBILITY = np.float32(0.1)
"""What a frame counts in the visibility that is smoothed over time."""

_HANDS = {
    side: [POSE_NAMES.index(f"{side.upper()}_{point}") for point in ("WRIST", "PINKY", "INDEX")]
    for side in ("left", "right")
}
"""The body's points from which Holistic cuts a hand out, the wrist first; where that is not visible, it does not."""

_BLANK = np.zeros((64, 64, 3), np.uint8)
"""Every cut from it is the same, and shows nobody to the pose model."""


class HolisticGraph:
    """Tracks one person as `mediapipe.solutions.holistic.Holistic(refine_face_landmarks=True)` does.

    The graph and its models are the package's, and so is every bit of what is found. Three things are left out. The
    pose model does not work out who covers which pixel, two fifths of its time. A hand is not looked for beyond the
    picture's edges. And another video needs no new graph: on a blank picture the person is lost, after which nothing
    is remembered but how visible the points were; that is smoothed here, between the pose and the rest.
    """

    def __init__(self, mediapipe: ModuleType):
        create, (pose, parts) = mediapipe.packet_creator, _configs(mediapipe)
        self._packets: dict[str, Any] = {}
        self._mediapipe: Any = mediapipe
        settings = {
            "model_complexity": create.create_int(1),  # the only one whose model is inside the package
            "smooth_landmarks": create.create_bool(True),
            "enable_segmentation": create.create_bool(False),
            "smooth_segmentation": create.create_bool(False),
            "use_prev_landmarks": create.create_bool(True),
            _MODEL: create.create_string(_lean_model(_folder(mediapipe) / _POSE_MODEL)),
        }
        # MediaPipe's C++ core logs before its logging has been set up, so that no log level holds it back.
        with quiet_stderr():
            self._pose = self._start(pose, (_POSE, _RAW_POSE), settings)
            # Refined landmarks follow lips and eyes.
            self._parts = self._start(parts, PARTS, {"refine_face_landmarks": create.create_bool(True)})
            for graph in (self._pose, self._parts):
                graph.wait_until_idle()  # networks are set up on other threads
        self._time_us = 0
        self._found: list[Any] = [None, *(None for _ in PARTS)]
        self._visibility: Float32[np.ndarray, " 33"] | None = None

    def find(self, frame: UInt8[np.ndarray, "height width 3"]) -> list[Any]:
        """Gives MediaPipe's landmark lists of the pose, then of `PARTS`, None for what is not found."""
        create = self._mediapipe.packet_creator
        self._time_us += _FRAME_US
        image = create.create_image_frame(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame)
        ).at(self._time_us)
        lost = {part for part, found in zip(PARTS, self._found[1:], strict=True) if found is None}
        self._packets.clear()
        self._pose.add_packet_to_input_stream("image", image)
        self._pose.wait_until_idle()
        pose, looked_for = self._read(_POSE), self._mediapipe.Packet()
        if pose is not None:
            self._smooth_visibility(pose)
            looked_for = create.create_proto(without_hands_beyond(pose, lost))
        self._parts.add_packet_to_input_stream("image", image)
        self._parts.add_packet_to_input_stream(_POSE, looked_for.at(self._time_us))
        self._parts.wait_until_idle()
        self._found = [pose, *map(self._read, PARTS)]
        return self._found

    def _smooth_visibility(self, pose: Any) -> None:
        """Puts in what Holistic's low-pass filter would, had it begun with this video.

        https://github.com/google-ai-edge/mediapipe/blob/v0.10.14/mediapipe/util/filtering/low_pass_filter.cc
        """
        seen = np.array([point.visibility for point in self._read(_RAW_POSE).landmark], np.float32)
        if self._visibility is not None:
            # In double precision, as C++ has it.
            kept = (1.0 - float(_NEW_VISIBILITY)) * self._visibility.astype(np.float64)
            seen = (kept + _NEW_VISIBILITY * seen).astype(np.float32)
        self._visibility = seen
        for point, visibility in zip(pose.landmark, seen.tolist(), strict=True):
            point.visibility = visibility

    def forget(self) -> None:
        """Loses the person, so that the next frame starts another video."""
        if self._time_us:
            pose, *_ = self.find(_BLANK)
            assert pose is None, "a person was found in a blank picture"
        self._visibility = None

    def close(self) -> None:
        """Frees the graphs."""
        self._pose.close()
        self._parts.close()

    def _start(self, config: Any, outputs: tuple[str, ...], side_packets: Mapping[str, Any]) -> Any:
        graph = self._mediapipe.CalculatorGraph(graph_config=config)
        for name in outputs:
            graph.observe_output_stream(name, self._packets.__setitem__, True)
        graph.start_run(side_packets)
        return graph

    def _read(self, stream: str) -> Any:
        packet = self._packets.get(stream)
        absent = packet is None or packet.is_empty()
        return None if absent else self._mediapipe.packet_getter.get_proto(packet)


def without_hands_beyond(pose: Any, lost: set[str]) -> Any:
    """Gives the pose with wrists unseen whose hands were lost before and by their points are beyond the picture."""
    looked_for = type(pose)()
    looked_for.CopyFrom(pose)
    for side, points in _HANDS.items():
        places = [(pose.landmark[point].x, pose.landmark[point].y) for point in points]
        if f"{side}_hand_landmarks" in lost and not any(0 <= x < 1 and 0 <= y < 1 for x, y in places):
            looked_for.landmark[points[0]].visibility = 0
    return looked_for


def _folder(mediapipe: ModuleType) -> Path:
    return Path(str(mediapipe.__file__)).parent


def _configs(mediapipe: ModuleType) -> tuple[Any, Any]:
    """Gives Holistic's graph in two, what finds the pose, its model's bytes an input, and what finds the rest."""
    bindings: Any = import_module("mediapipe.python._framework_bindings")
    create: Any = import_module("mediapipe.framework.calculator_pb2").CalculatorGraphConfig
    folder = _folder(mediapipe)
    bindings.resource_util.set_resource_dir(str(folder.parent))
    graph = bindings.validated_graph_config.ValidatedGraphConfig()
    graph.initialize(binary_graph_path=str(folder / _GRAPH))
    whole = create()
    whole.ParseFromString(graph.binary_config)
    pose, parts = create(), create()
    for node in whole.node:
        if f"CONTENTS:{_MODEL}" not in node.output_side_packet:
            (pose if node.name.startswith(_POSE_NODES) else parts).node.append(node)
    pose.input_stream.append("image")
    parts.input_stream.extend(["image", _POSE])
    pose.input_side_packet.extend(
        [*(name.rpartition(":")[2] for name in whole.input_side_packet if "REFINE_FACE" not in name), _MODEL]
    )
    parts.input_side_packet.append("refine_face_landmarks")
    return pose, parts


@functools.cache
def _lean_model(path: Path) -> bytes:
    """The pose model without its segmentation, in whose place stands how sure it is of a person."""
    return without_output(path.read_bytes(), _SEGMENTATION, stand_in=_PRESENCE)


def import_mediapipe() -> ModuleType:
    """Imports MediaPipe without Matplotlib, which takes longer than all the rest and draws nothing here.

    MediaPipe's drawing functions find it when they are called.
    """
    # Said by protobuf 4 about mediapipe's own call, once for every packet type.
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\) is deprecated")
    if "mediapipe" in sys.modules or "matplotlib" in sys.modules:
        return import_module("mediapipe")
    package, pyplot = ModuleType("matplotlib"), ModuleType("matplotlib.pyplot")
    package.pyplot = pyplot  # pyrefly: ignore[missing-attribute]
    pyplot.__getattr__ = lambda name: getattr(import_module("matplotlib.pyplot"), name)  # pyrefly: ignore
    stand_ins = {"matplotlib": package, "matplotlib.pyplot": pyplot}
    sys.modules.update(stand_ins)
    try:
        return import_module("mediapipe")
    finally:
        for name in stand_ins:
            del sys.modules[name]
