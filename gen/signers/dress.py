"""Dresses a body: skin, eyes, hair and clothes as one mesh whose vertices follow the body's."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from scipy.sparse import csr_matrix, diags, identity, vstack

from gen.signers.appearance import Appearance, Signer
from gen.signers.body import PARTS, Body
from gen.signers.clothes import sew
from gen.signers.hair import Mesh, grow_hair, scalp
from gen.signers.mesh import vertex_normals
from gen.signers.pieces import SURFACES, Piece, compact, split
from gen.signers.textures import (
    Texture,
    face_uv,
    paint_decal,
    paint_eye,
    paint_fabric,
    paint_face,
    paint_hair,
    paint_skin,
    to_linear,
)
from poses.keypoints import index

SHINE = np.array(
    [
        (0.14, 4, 0.35), (0.14, 4, 0.35), (0.9, 7, 0.2), (0.25, 5, 0.2), (0.10, 4, 0.15), (0.02, 3, 0.1),
        (0.02, 3, 0.1), (0.02, 3, 0.1), (0.03, 3, 0.1), (0.03, 3, 0.1), (0.5, 6, 0.0),
    ],
    np.float32,
)  # fmt: skip
"""For each of `SURFACES`: how strong the highlight is, how often squared (sharper), how far light wraps around."""


@dataclass(frozen=True, eq=False)
class Figure:
    """A dressed body, ready to be posed and rendered.

    Attributes:
        binding: The figure's vertices as linear combinations of the body's.
        offset: How far each vertex then moves along its normal, metres.
        weld: For each vertex, the one at the same place whose normal it shares.
        faces: Triangles.
        surface: What each triangle is made of, a number in `SURFACES`.
        colour: Linear albedo of each vertex, which the texture multiplies.
        uv: Texture coordinates; textures repeat.
        cut: Where this field is below zero there is nothing: hems and hairlines.
        textures: One for each of `SURFACES`, stored as 255 * sqrt(factor / 2).
        appearance: Light and background among other things.
    """

    binding: csr_matrix
    offset: Float32[np.ndarray, " points"]
    weld: Int32[np.ndarray, " points"]
    faces: Int32[np.ndarray, "faces 3"]
    surface: Int32[np.ndarray, " faces"]
    colour: Float32[np.ndarray, "points 3"]
    uv: Float32[np.ndarray, "points 2"]
    cut: Float32[np.ndarray, " points"]
    textures: UInt8[np.ndarray, "surfaces size size 3"]
    appearance: Appearance


def dress(signer: Signer, body: Body) -> Figure:
    """Puts a signer's skin, face, hair and clothes on the body."""
    appearance = signer.appearance
    clothes, bare = sew(body, appearance.clothes)
    pieces = [_skin_piece(body, appearance, bare), *clothes]
    pieces += [_bind_rigidly(body, mesh) for mesh in grow_hair(body, appearance)]
    return _assemble(pieces, _paint(body, appearance), appearance)


def undress(body: Body, appearance: Appearance, bare: Bool[np.ndarray, " faces"]) -> Figure:
    """Some triangles of the bare body, in their order, without hair; of its face nothing is painted."""
    skin = {"skin": paint_skin(appearance.seed)}
    return _assemble([_skin_piece(body, appearance, bare)], skin, appearance)


def _assemble(pieces: list[Piece], painted: dict[str, Texture], appearance: Appearance) -> Figure:
    plain = np.ones_like(painted["skin"])
    textures = np.stack([painted.get(surface, plain) for surface in SURFACES])
    starts = np.cumsum([0] + [piece.binding.shape[0] for piece in pieces[:-1]])
    return Figure(
        binding=csr_matrix(vstack([piece.binding for piece in pieces]), dtype=np.float32),
        offset=np.concatenate([piece.offset for piece in pieces]).astype(np.float32),
        weld=_weld(pieces),
        faces=np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)]).astype(
            np.int32
        ),
        surface=np.concatenate([piece.surface for piece in pieces]).astype(np.int32),
        colour=np.concatenate([piece.colour for piece in pieces]).astype(np.float32),
        uv=np.concatenate([piece.uv for piece in pieces]).astype(np.float32),
        cut=np.concatenate([piece.cut for piece in pieces]).astype(np.float32),
        textures=(255 * np.sqrt(np.clip(textures, 0, 2) / 2) + 0.5).astype(np.uint8),
        appearance=appearance,
    )


def _weld(pieces: list[Piece]) -> np.ndarray:
    welds, start = [], 0
    for piece in pieces:
        _, first, inverse = np.unique(piece.origin, return_index=True, return_inverse=True)
        welds.append(start + first[inverse])
        start += len(piece.origin)
    return np.concatenate(welds).astype(np.int32)


def _paint(body: Body, appearance: Appearance) -> dict[str, Texture]:
    """Textures of those of `SURFACES` that have one."""
    clothes, seed = appearance.clothes, appearance.seed
    cloth = paint_fabric(clothes.top, seed)
    painted = {
        "skin": paint_skin(seed),
        "face": paint_face(body, appearance),
        "eye": paint_eye(appearance),
        "hair": paint_hair(appearance.hair.style, seed),
        "top": paint_decal(cloth, clothes.top, seed),
        "sleeve": cloth,
        "bottom": paint_fabric(clothes.top if clothes.dress else clothes.bottom, seed if clothes.dress else seed + 2),
    }
    if clothes.jacket:
        painted["jacket_sleeve"] = paint_fabric(clothes.jacket, seed + 1)
        painted["jacket"] = paint_decal(painted["jacket_sleeve"], clothes.jacket, seed + 1)
    return painted


def _skin_piece(body: Body, appearance: Appearance, bare: np.ndarray) -> Piece:
    """The body itself, without what clothes hide."""
    points, faces = body.vertices, body.faces
    normals = vertex_normals(points, faces)
    surface = np.full(len(faces), SURFACES.index("skin"))
    colour = _skin_colour(body, appearance, normals)
    uv = np.stack([np.arctan2(points[:, 0], -points[:, 1]) * 0.3, points[:, 2]], axis=1) * 3
    middle_uv = body.uv[body.uv_faces].mean(axis=1)
    head = body.part == PARTS.index("head")
    front = normals[faces].mean(axis=1)[:, 1] < 0.1
    in_face = np.abs(face_uv(points, body)[faces] - 0.5).max(axis=(1, 2)) < 0.5
    face = head & front & in_face
    eyeball = (middle_uv[:, 1] > 0.92) & (middle_uv[:, 0] > 0.74) & (middle_uv[:, 0] < 0.84)
    socket = (middle_uv[:, 0] < 0.16) & (np.abs(middle_uv[:, 1] - 0.59) < 0.06)
    tongue = (middle_uv[:, 1] > 0.92) & (np.abs(middle_uv[:, 0] - 0.635) < 0.02)
    cavity = head & (middle_uv[:, 0] > 0.752) & (middle_uv[:, 1] < 0.142)
    surface[face] = SURFACES.index("face")
    surface[eyeball] = SURFACES.index("eye")
    surface[socket | tongue | cavity] = SURFACES.index("mouth")
    special = eyeball | socket | tongue | cavity
    # Corners that lie on two surfaces need one vertex for each.
    faces, origin = split(faces, np.where(special, 2 + surface, np.where(face, 1, 0)))
    kind = np.zeros(len(origin), int)
    kind[faces] = surface[:, None]
    uv, colour = uv[origin], colour[origin]
    on_face = kind == SURFACES.index("face")
    uv[on_face] = face_uv(points[origin[on_face]], body)
    for side in ("L", "R"):
        mine = (kind == SURFACES.index("eye")) & (body.follows(f"eye.{side}")[origin] > 0.5)
        ball = points[origin[mine]]
        centre = 0.5 * (ball.min(axis=0) + ball.max(axis=0))
        radius = 0.5 * np.ptp(ball[:, 2])
        uv[mine] = 0.5 + 0.49 * (ball - centre)[:, [0, 2]] / radius
        colour[mine] = 1.0
    for faces_of, shade in ((socket, (0.35, 0.12, 0.10)), (cavity, (0.10, 0.02, 0.02)), (tongue, (0.42, 0.13, 0.13))):
        colour[np.unique(faces[faces_of])] = shade
    faces, surface = faces[bare], surface[bare]
    return compact(
        Piece(
            binding=identity(len(points), format="csr", dtype=np.float32)[origin],
            origin=origin,
            faces=faces,
            surface=surface,
            colour=colour,
            uv=uv,
            offset=np.zeros(len(origin)),
            cut=np.ones(len(origin)),
        )
    )


def _skin_colour(body: Body, appearance: Appearance, normals: np.ndarray) -> np.ndarray:
    """Skin of every vertex: palms and nails lighter, knuckles and ears redder, the scalp shaded by its hair."""
    skin = to_linear(appearance.skin)
    colour = np.tile(skin, (len(body.vertices), 1))
    points = body.vertices
    darkness = np.clip(1 - skin.mean() / 0.5, 0, 1)
    pale = skin * (1.06, 0.96, 0.95) + darkness**2 * (to_linear((0.66, 0.47, 0.39)) - skin) * 0.8
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints = body.keypoints[
            index(*(f"{side}_hand_{name}" for name in ("wrist", "index_mcp", "little_mcp", "middle_tip")))
        ]
        across = np.cross(joints[1] - joints[0], joints[2] - joints[0]) * sign
        across /= np.linalg.norm(across)
        # Fingers at rest bend towards the palm.
        if (joints[3] - joints[1:3].mean(axis=0)) @ across < 0:
            across = -across
        parts = [i for i, name in enumerate(PARTS) if name.startswith(f"{side}_") and name[-3:] != "arm"]
        hand = np.zeros(len(points), bool)
        hand[np.unique(body.faces[np.isin(body.part, parts)])] = True
        from_wrist = np.clip((np.linalg.norm(points - joints[0], axis=1) - 0.015) / 0.03, 0, 1)
        palm = np.clip((normals @ across + 0.05) * 2.2, 0, 1) * hand * from_wrist
        colour += palm[:, None] * (pale - colour)
        for finger in ("thumb", "index", "middle", "ring", "little"):
            tip = body.keypoints[index(f"{side}_hand_{finger}_tip")]
            last = body.keypoints[index(f"{side}_hand_{finger}_{'ip' if finger == 'thumb' else 'dip'}")]
            along = (tip - last) / np.linalg.norm(tip - last)
            near = (np.abs((points - tip) @ along + 0.004) < 0.007) & (np.linalg.norm(points - tip, axis=1) < 0.013)
            # The back of the thumb looks sideways at rest.
            back = across if finger != "thumb" else 0.4 * across + 0.9 * np.cross(along, across) * sign
            nail = near & (normals @ (back / np.linalg.norm(back)) < -0.55)
            shade = to_linear(appearance.nails) if appearance.nails else np.clip(skin * 0.75 + (0.22, 0.13, 0.12), 0, 1)
            colour[nail] = shade
            knuckle = body.keypoints[index(f"{side}_hand_{finger}_{'mcp' if finger == 'thumb' else 'pip'}")]
            red = 0.5 * np.exp(-((np.linalg.norm(points - knuckle, axis=1) / 0.009) ** 2)) * (normals @ across < 0)
            colour *= 1 - red[:, None] * (0.05, 0.22, 0.24)
    uv = np.zeros((len(points), 2))
    uv[body.faces] = body.uv[body.uv_faces]
    ears = np.maximum(*(np.exp(-((np.hypot(uv[:, 0] - 0.846, uv[:, 1] - v) / 0.03) ** 2)) for v in (0.342, 0.624)))
    colour *= 1 - ears[:, None] * (0.0, 0.2, 0.2)
    hair = appearance.hair
    if hair.style not in ("bald", "cap", "headscarf"):
        roots = (0.62 if hair.style == "shaved" else 0.75) * scalp(body, hair)
        colour += roots[:, None] * (to_linear(hair.colour) * 1.1 - colour)
    return colour


def _anchors(body: Body, bones: list[str], count: int) -> np.ndarray:
    """Vertices spread over what some bones move, expressions leaving them alone."""
    held = body.follows(*bones) > 0.97
    candidates = np.flatnonzero(held)
    candidates = candidates[np.abs(body.expressions[:, candidates]).max(axis=(0, 2)) < 1e-4]
    chosen = [candidates[body.vertices[candidates, 2].argmax()]]
    nearest = np.full(len(candidates), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, np.linalg.norm(body.vertices[candidates] - body.vertices[chosen[-1]], axis=1))
        chosen.append(candidates[nearest.argmax()])
    return np.array(chosen)


def _follow(body: Body, anchors: np.ndarray, points: np.ndarray) -> csr_matrix:
    """Weights that carry points along with the best affine map of the anchors."""
    known = np.concatenate([body.vertices[anchors], np.ones((len(anchors), 1))], axis=1)
    wanted = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    weights = wanted @ np.linalg.pinv(known)
    rows = np.repeat(np.arange(len(points)), len(anchors))
    columns = np.tile(anchors, len(points))
    return csr_matrix((weights.ravel(), (rows, columns)), shape=(len(points), len(body.vertices)))


def _bind_rigidly(body: Body, mesh: Mesh) -> Piece:
    """Binds hair and what is worn on the head: to the head, and below the chin more and more to the chest."""
    head = _follow(body, _anchors(body, ["head"], 24), mesh.points)
    chest = _follow(body, _anchors(body, ["spine01", "spine02"], 24), mesh.points)
    follow = diags(mesh.follow_head)
    binding = (follow @ head + (identity(len(mesh.points)) - follow) @ chest).tocsr()
    return Piece(
        binding=binding,
        origin=mesh.origin,
        faces=mesh.faces,
        surface=np.full(len(mesh.faces), SURFACES.index(mesh.surface)),
        colour=mesh.colour,
        uv=mesh.uv,
        offset=np.zeros(len(mesh.points)),
        cut=mesh.cut,
    )
