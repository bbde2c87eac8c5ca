"""Hair, caps, scarves, glasses and earrings: meshes shaped around the head of a body at rest."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from gen.signers.appearance import Appearance, Colour, Hair
from gen.signers.body import PARTS, Body
from gen.signers.textures import to_linear

COLUMNS = 120
CROWN_ROWS = 34
HANGING_STEP_M = 0.016


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh worn on the head, in the body's rest space."""

    points: np.ndarray
    faces: np.ndarray
    surface: str
    colour: np.ndarray
    uv: np.ndarray
    cut: np.ndarray
    origin: np.ndarray
    """Vertices that share a place share this number."""
    follow_head: np.ndarray
    """1 moves with the head, 0 with the chest."""


@dataclass(frozen=True, eq=False)
class _Skull:
    """The head as a star-shaped surface: a distance for every direction from its centre."""

    centre: np.ndarray
    directions: KDTree
    distances: np.ndarray
    eye_z: float
    chin_z: float
    ear_z: float
    ear_y: float
    nape_z: float
    half_width: float

    def distance(self, directions: np.ndarray) -> np.ndarray:
        far, near = self.directions.query(directions, k=8)
        weights = 1 / (far + 0.02) ** 2
        return (self.distances[near] * weights).sum(axis=1) / weights.sum(axis=1)


def _measure_skull(body: Body) -> _Skull:
    vertex_uv = np.zeros((len(body.vertices), 2), np.float32)
    vertex_uv[body.faces] = body.uv[body.uv_faces]
    eyes = [body.heads[body.bone(f"eye.{side}")] for side in "LR"]
    head = body.follows("head", "neck03", "neck02") > 0.5
    outside = head & (vertex_uv[:, 0] > 0.62) & (vertex_uv[:, 1] < 0.85) & (vertex_uv[:, 1] > 0.142)
    ears = np.min([np.hypot(vertex_uv[:, 0] - 0.846, vertex_uv[:, 1] - v) for v in (0.342, 0.624)], axis=0) < 0.042
    scalp = body.vertices[outside & ~ears]
    top, back = scalp[:, 2].max(), scalp[:, 1].max()
    eye_z = float(np.mean([eye[2] for eye in eyes]))
    centre = np.array([0.0, 0.5 * (scalp[:, 1].min() + 0.02 + back), eye_z + 0.30 * (top - eye_z)])
    away = scalp - centre
    distances = np.linalg.norm(away, axis=1)
    ear = body.vertices[outside & ears]
    return _Skull(
        centre=centre,
        directions=KDTree(away / distances[:, None]),
        distances=distances,
        eye_z=eye_z,
        chin_z=float(body.vertices[head & (vertex_uv[:, 0] > 0.62), 2].min()),
        ear_z=float(ear[:, 2].mean()),
        ear_y=float(ear[:, 1].mean()),
        nape_z=float(body.heads[body.bone("neck02")][2]),
        half_width=float(np.abs(scalp[:, 0]).max()),
    )


def grow_hair(body: Body, appearance: Appearance) -> list[Mesh]:
    """Everything on the head of a signer."""
    skull = _measure_skull(body)
    rng = np.random.default_rng([appearance.seed, 0x44])
    meshes = []
    hair = appearance.hair
    if hair.style not in ("bald", "shaved"):
        meshes.append(_cover(body, skull, hair, rng))
    if hair.style in ("bun", "ponytail"):
        meshes.append(_knot(skull, hair, rng))
    if appearance.glasses is not None:
        meshes.append(_glasses(body, skull, appearance.glasses))
    if appearance.earrings and hair.style != "headscarf":
        meshes.append(_earrings(skull))
    return meshes


def _hairline(skull: _Skull, hair: Hair, azimuth: np.ndarray) -> np.ndarray:
    """Lowest height of the hair for each azimuth (0 is the front), relative to the eyes; metres."""
    side = np.abs(np.degrees(azimuth))
    forehead = 0.064 + 0.016 * hair.hairline
    temples = forehead - 0.006 + 0.016 * max(hair.hairline, 0)
    ear = skull.ear_z - skull.eye_z
    return np.interp(
        side,
        [0, 22, 42, 58, 70, 80, 92, 104, 116, 135, 180],
        [forehead, forehead, temples, 0.035, ear - 0.012, ear - 0.012, ear + 0.034, ear + 0.034, ear - 0.03,
         skull.nape_z - skull.eye_z + 0.012, skull.nape_z - skull.eye_z + 0.005],
    )  # fmt: skip


def scalp(body: Body, hair: Hair) -> np.ndarray:
    """How much each vertex of the body belongs to the scalp where this hair grows, 0 to 1."""
    skull = _measure_skull(body)
    away = body.vertices - skull.centre
    azimuth = np.arctan2(away[:, 0], -away[:, 1])
    head = body.follows("head") > 0.5
    above = body.vertices[:, 2] - skull.eye_z - _hairline(skull, hair, azimuth)
    ears = (
        np.linalg.norm(np.abs(body.vertices) - (skull.half_width + 0.01, 0, 0) - (0, skull.ear_y, skull.ear_z), axis=1)
        < 0.035
    )
    return np.clip(above / 0.012 + 0.5, 0, 1) * (head & ~ears & (body.vertices[:, 2] > skull.nape_z))


def _cover(body: Body, skull: _Skull, hair: Hair, rng: np.random.Generator) -> Mesh:
    """Hair, cap or scarf as one grid: rows run from the crown down over the skull and then hang."""
    azimuth = np.linspace(-np.pi, np.pi, COLUMNS + 1)
    side = np.abs(np.degrees(azimuth))
    style = hair.style
    hanging = style in ("bob", "long", "long_fringe", "headscarf")
    scarf, cap = style == "headscarf", style == "cap"
    ragged = (
        _smooth_around(rng.normal(size=len(azimuth)), 1) * 0.0016
        + _smooth_around(rng.normal(size=len(azimuth)), 6) * 0.003
    )
    line = _hairline(skull, hair, azimuth) + ragged
    if style in ("fringe", "long_fringe"):
        line = np.where(side < 52, 0.028 + 0.004 * np.cos(azimuth * 5) + 1.5 * ragged, line)
    if cap:
        line = np.interp(side, [0, 60, 100, 180], [0.045, 0.035, 0.012, -0.01])
    if scarf:
        line = np.interp(side, [0, 25, 45, 62, 75, 180], [0.055, 0.052, 0.03, -0.12, -0.3, -0.4])
    volume = hair.volume_m
    rows = CROWN_ROWS
    polar = np.linspace(0.02, np.radians(132), rows)
    grid_polar, grid_azimuth = np.meshgrid(polar, azimuth, indexing="ij")
    # The crown, where rows begin, lies behind the top.
    tilt = np.radians(-14 if not cap else -4)
    x = np.sin(grid_polar) * np.sin(grid_azimuth)
    y = -np.sin(grid_polar) * np.cos(grid_azimuth)
    z = np.cos(grid_polar)
    y, z = y * np.cos(tilt) - z * np.sin(tilt), y * np.sin(tilt) + z * np.cos(tilt)
    directions = np.stack([x, y, z], axis=-1)
    distance = skull.distance(directions.reshape(-1, 3)).reshape(x.shape)
    # Mend what jumps between neighbours.
    for _ in range(3):
        distance[:, 1:-1] = 0.25 * distance[:, :-2] + 0.5 * distance[:, 1:-1] + 0.25 * distance[:, 2:]
        distance[:, 0] = distance[:, -1] = 0.5 * (distance[:, 1] + distance[:, -2])
        distance[1:-1] = 0.25 * distance[:-2] + 0.5 * distance[1:-1] + 0.25 * distance[2:]
    height = skull.centre[2] + distance * z - skull.eye_z
    above = height - line
    edge = np.clip(above / 0.035, 0, 1)
    edge = edge * edge * (3 - 2 * edge)
    locks = _smooth_around(rng.normal(size=len(azimuth)), 2)
    lock_pattern = np.cumsum(rng.normal(0, 0.25, (rows, 1)), axis=0) * 0.1 + locks[None]
    if style == "afro":
        bumps = 1 + 0.05 * _bumps(directions, rng, 14.0) + 0.04 * _bumps(directions, rng, 38.0)
        thick = volume * bumps * np.clip(above / 0.03, 0.05, 1) ** 0.5
    elif style == "curls":
        bumps = 1 + 0.22 * np.tanh(_bumps(directions, rng, 22.0)) + 0.12 * np.tanh(_bumps(directions, rng, 44.0))
        thick = volume * bumps * (0.15 + 0.85 * edge)
    elif cap:
        thick = np.full_like(x, 0.011) + 0.008 * np.clip(z, 0, 1)
    elif scarf:
        thick = 0.013 + 0.006 * np.clip(z, 0, 1) + 0.002 * locks[None]
    else:
        top = {"crop": 1.0, "short": 1.0, "side_part": 1.5}.get(style, 1.1)
        crest = np.clip(z * 1.3, 0, 1) * (top - 0.5) + 0.5
        if style == "crop":  # short sides
            crest = np.clip((height - 0.06) / 0.03, 0, 1) * 0.9 + 0.1
        thick = 0.0025 + volume * crest * edge * (1 + 0.16 * lock_pattern)
        if hanging:
            thick = np.maximum(
                thick, np.where(side > 68, (0.016 + 0.3 * volume) * np.clip((0.09 - height) / 0.08, 0, 1), 0)
            )
        if style in ("fringe", "long_fringe"):
            thick = thick + np.where(side < 52, 0.006 * np.clip((0.085 - height) / 0.06, 0, 1), 0)
    if style == "side_part":  # higher on one side of the part
        part = np.sin(grid_azimuth - 0.5) * np.sin(grid_polar)
        thick *= 1 + 0.45 * np.clip(part * 2, -0.5, 1) * np.clip(z * 2, 0, 1)
        thick -= (
            0.007
            * np.exp(-(((np.degrees(grid_azimuth) - 28) / 4.5) ** 2))
            * np.clip(z * 2, 0, 1)
            * np.clip(-y * 3, 0, 1)
        )
    points = skull.centre + (distance + thick)[..., None] * directions
    cut = above
    if hanging:
        points, cut = _hang(body, skull, hair, azimuth, points, height, cut, rng)
    rows = len(points)
    lengths = np.concatenate(
        [np.zeros((1, COLUMNS + 1)), np.linalg.norm(np.diff(points, axis=0), axis=2).cumsum(axis=0)]
    )
    strand = np.broadcast_to((azimuth / (2 * np.pi))[None], lengths.shape) * (1.0 if not scarf else 0.6)
    uv = np.stack([strand + 0.012 * np.sin(lengths * 40 + 3 * locks[None]), lengths * 1.2], axis=-1)
    colour = np.broadcast_to(to_linear(hair.colour), (*lengths.shape, 3)).copy()
    if not (cap or scarf):
        # Roots are darker, and so is the inside.
        colour *= (0.75 + 0.25 * np.clip(lengths / 0.08, 0, 1))[..., None]
        colour *= (1 + 0.1 * locks)[None, :, None]
    if cap:
        band = (cut < 0.03) & (cut > -0.02)
        colour[band] *= 0.72
    z_all = points[..., 2]
    follow = np.clip((z_all - (skull.chin_z - 0.10)) / 0.09, 0, 1)
    return _grid_mesh(points, uv, colour, cut, follow)


def _hang(body, skull, hair, azimuth, points, height, cut, rng):
    """Replaces what lies below the ears by loose hair that falls straight down, outside of neck and shoulders."""
    scarf = hair.style == "headscarf"
    side = np.abs(np.degrees(azimuth))
    length = hair.length_m if not scarf else 0.19
    drop_z = skull.ear_z - skull.eye_z + 0.01
    steps = int(np.ceil((length + 0.10) / HANGING_STEP_M))
    first = np.argmax(height < drop_z, axis=0)
    rows = points.shape[0] + steps
    out = np.empty((rows, len(azimuth), 3))
    field = np.empty((rows, len(azimuth)))
    ends = drop_z - length - rng.uniform(0, 0.02, len(azimuth)) if not scarf else np.full(len(azimuth), drop_z - length)
    flare = 0.10 if hair.style == "bob" else 0.05
    waves = rng.uniform(0.0, 0.006)
    total = rows
    for column in range(len(azimuth)):
        at = max(int(first[column]), 1)
        crown = points[: at + 1, column]
        falls = scarf or side[column] > 62
        if not falls:
            keep = points[:, column]
            tail = np.repeat(keep[-1:], total - len(keep), axis=0)
            out[:, column] = np.concatenate([keep, tail])
            field[:, column] = np.concatenate([cut[:, column], np.full(total - len(keep), -0.05)])
            continue
        start = crown[-1]
        count = total - len(crown)
        down = np.linspace(0, length + 0.03 + HANGING_STEP_M, count + 1)[1:]
        outward = np.array([np.sin(azimuth[column]), -np.cos(azimuth[column]), 0.0])
        hang = start + np.outer(down, [0, 0, -1]) + np.outer(flare * down * np.exp(-down / 0.12), outward)
        if scarf:  # gathers under the chin, then spreads over shoulders and chest
            hang = _gather(skull, start, down, azimuth[column])
        hang += np.outer(waves * np.sin(down * 45 + azimuth[column] * 3), outward)
        if hair.style == "bob":
            hang -= np.outer(0.25 * np.clip(down - 0.06, 0, 1), outward)
        out[:, column] = np.concatenate([crown, hang])
        height_column = out[:, column, 2] - skull.eye_z
        field[:, column] = np.where(
            np.arange(total) <= at,
            np.maximum(cut[:, column].clip(-1)[np.minimum(np.arange(total), len(cut) - 1)], -0.05),
            0.05,
        )
        # The front edge of loose hair frames the face.
        frame = (side[column] - 66) / 300 if not scarf else 0.05
        field[:, column] = np.where(
            np.arange(total) > at, frame, np.maximum(field[:, column], np.where(side[column] > 70, 0.01, -1))
        )
        field[:, column] = np.minimum(field[:, column], height_column - ends[column])
    _push_out(body, out.reshape(-1, 3), skull, scarf)
    if scarf:
        # The face stays free: an oval around it, down to the chin.
        x, y, z = out[..., 0], out[..., 1], out[..., 2] - skull.eye_z
        chin = skull.chin_z - skull.eye_z
        middle, half_high = 0.5 * (0.058 + chin - 0.008), 0.5 * (0.058 - chin + 0.008)
        oval = np.hypot(x / 0.060, (z - middle) / half_high) - 1
        field = np.where(y < skull.ear_y, np.minimum(oval * 0.06, z - ends[None]), z - ends[None])
    return out, field


def _gather(skull: _Skull, start: np.ndarray, down: np.ndarray, azimuth: float) -> np.ndarray:
    neck_y = skull.ear_y + 0.015
    chin_drop = start[2] - skull.chin_z + 0.015
    share = np.clip(down / max(chin_drop, 0.02), 0, 1)[:, None]
    outward = np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    neck = np.array([0, neck_y, 0]) + outward * (0.075 + 0.01 * np.cos(azimuth))
    horizontal = start[:2] * (1 - share**1.5) + neck[:2] * share**1.5
    below = np.clip(down - chin_drop, 0, None)[:, None]
    horizontal = horizontal + below * outward[:2] * 0.9
    return np.concatenate([horizontal, (start[2] - down)[:, None]], axis=1)


def _push_out(body: Body, points: np.ndarray, skull: _Skull, scarf: bool):
    """Moves points outside of neck and torso, in place; a scarf also goes around the chin."""
    names = ["torso", "neck", "left_upper_arm", "right_upper_arm", *(["head"] if scarf else [])]
    margin = 0.016 if scarf else 0.012
    parts = [PARTS.index(name) for name in names]
    faces = body.faces[np.isin(body.part, parts)]
    used = np.unique(faces)
    across = np.cross(
        body.vertices[faces[:, 1]] - body.vertices[faces[:, 0]], body.vertices[faces[:, 2]] - body.vertices[faces[:, 0]]
    )
    normals = np.zeros_like(body.vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    normals = normals[used] / np.linalg.norm(normals[used], axis=1, keepdims=True).clip(1e-12)
    tree = KDTree(body.vertices[used])
    low = points[:, 2] < skull.chin_z + 0.04
    for _ in range(4):
        _, near = tree.query(points[low], k=4)
        depth = ((points[low][:, None] - body.vertices[used][near]) * normals[near]).sum(axis=2).mean(axis=1)
        points[low] += np.clip(margin - depth, 0, 0.05)[:, None] * normals[near].mean(axis=1)


def _smooth_around(values: np.ndarray, times: int) -> np.ndarray:
    """Noise around a ring whose last value is its first."""
    for _ in range(times):
        values = 0.25 * np.roll(values, 1) + 0.5 * values + 0.25 * np.roll(values, -1)
    values[-1] = values[0]
    return values / max(values.std(), 1e-6)


def _bumps(directions: np.ndarray, rng: np.random.Generator, frequency: float) -> np.ndarray:
    """Lumps on a sphere."""
    total = np.zeros(directions.shape[:-1])
    for _ in range(7):
        axis = rng.normal(size=3)
        axis *= frequency / np.linalg.norm(axis)
        total += np.sin(directions @ axis + rng.uniform(0, 2 * np.pi))
    return total / 2.6


def _grid_mesh(points, uv, colour, cut, follow, surface="hair") -> Mesh:
    rows, columns = points.shape[:2]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    faces = faces[(cut.reshape(-1)[faces] > 0).any(axis=1)]
    used, new = np.unique(faces, return_inverse=True)

    def pick(values: np.ndarray) -> np.ndarray:
        return values.reshape(rows * columns, -1)[used]

    # The last column closes the ring upon the first.
    origin = np.where(corner == corner[:, -1:], corner[:, :1], corner)
    if np.abs(points[:, 0] - points[:, -1]).max() > 1e-6:
        origin = corner
    return Mesh(
        points=pick(points),
        faces=new.reshape(-1, 3),
        surface=surface,
        colour=pick(colour),
        uv=pick(uv),
        cut=pick(cut)[:, 0],
        origin=pick(origin)[:, 0],
        follow_head=pick(follow)[:, 0],
    )


def _ball(
    centre: np.ndarray, radii: np.ndarray, colour: np.ndarray, surface: str, rows: int = 14, columns: int = 20
) -> Mesh:
    polar, around = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    points = centre + unit * radii
    uv = np.stack([around / (2 * np.pi), polar / (2 * np.pi)], axis=-1)
    ones = np.ones(polar.shape)
    return _grid_mesh(points, uv, ones[..., None] * colour, ones, ones, surface)


def _knot(skull: _Skull, hair: Hair, rng: np.random.Generator) -> Mesh:
    """A bun on or behind the head, or a ponytail."""
    size = rng.uniform(0.032, 0.045)
    if hair.style == "bun":
        lift = rng.uniform(0.2, 1.25)
        direction = np.array([0.0, np.cos(lift), np.sin(lift)])
        centre = skull.centre + direction * (skull.distance(direction[None])[0] + 0.7 * size)
        return _ball(centre, np.array([size * 1.1, size, size]), to_linear(hair.colour), "hair")
    direction = np.array([0.0, 0.94, 0.34])
    start = skull.centre + direction * (skull.distance(direction[None])[0] + 0.01)
    swing = rng.choice([-1.0, 1.0])
    along, around = np.meshgrid(np.linspace(0, 1, 22), np.linspace(0, 2 * np.pi, 18), indexing="ij")
    radius = 0.026 * np.sin(np.pi * np.clip(along * 0.93 + 0.07, 0, 1)) ** 0.6
    spine = np.stack([swing * 0.09 * along**1.5, 0.05 * np.sin(along * 2.4), -0.30 * along**1.3], axis=-1)
    ring = np.stack([np.cos(around), np.sin(around), 0.3 * np.sin(around)], axis=-1)
    ones = np.ones(along.shape)
    uv = np.stack([around / (2 * np.pi) * 0.3, along * 0.3], axis=-1)
    return _grid_mesh(
        start + spine + radius[..., None] * ring, uv, ones[..., None] * to_linear(hair.colour), ones, 1 - 0.5 * along
    )


def _tube(path: np.ndarray, radius: float, colour: np.ndarray, surface: str = "plastic") -> Mesh:
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    up = np.where(np.abs(ahead[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]])
    across = np.cross(ahead, up)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(across, ahead)
    around = np.linspace(0, 2 * np.pi, 7)
    points = path[:, None] + radius * (
        np.cos(around)[None, :, None] * across[:, None] + np.sin(around)[None, :, None] * up[:, None]
    )
    ones = np.ones(points.shape[:2])
    return _grid_mesh(points, np.zeros((*ones.shape, 2)), ones[..., None] * colour, ones, ones, surface)


def _join(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    return Mesh(
        points=np.concatenate([mesh.points for mesh in meshes]),
        faces=np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        surface=meshes[0].surface,
        colour=np.concatenate([mesh.colour for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        cut=np.concatenate([mesh.cut for mesh in meshes]),
        origin=np.concatenate([mesh.origin + 10**6 * part for part, mesh in enumerate(meshes)]),
        follow_head=np.concatenate([mesh.follow_head for mesh in meshes]),
    )


def _glasses(body: Body, skull: _Skull, colour: Colour) -> Mesh:
    linear = to_linear(colour)
    parts = []
    rim = []
    for sign, side in ((1, "L"), (-1, "R")):
        eye = body.heads[body.bone(f"eye.{side}")]
        turn = np.linspace(0, 2 * np.pi, 33)
        front = eye[1] - 0.034
        across, up = 0.026 * np.cos(turn), 0.019 * np.sin(turn)
        # The lenses wrap around the face.
        depth = front + 0.10 * np.abs(across * sign + 0.026) ** 1.2
        path = np.stack([eye[0] + sign * 0.003 + across, depth, eye[2] - 0.003 + up], axis=1)
        parts.append(_tube(path, 0.0016, linear))
        outer = path[np.argmax(sign * path[:, 0])]
        rim.append(path[np.argmin(sign * path[:, 0])])
        ear = np.array([sign * (skull.half_width - 0.002), skull.ear_y - 0.005, skull.ear_z + 0.022])
        along = np.linspace(0, 1, 10)[:, None]
        temple = outer * (1 - along) + ear * along + np.array([sign * 0.006, 0, 0]) * np.sin(along * np.pi)
        parts.append(_tube(temple, 0.0015, linear))
    along = np.linspace(0, 1, 7)[:, None]
    parts.append(
        _tube(
            rim[1] * (1 - along) + rim[0] * along + np.array([0, -0.002, 0.004]) * np.sin(along * np.pi), 0.0014, linear
        )
    )
    return _join(parts)


def _earrings(skull: _Skull) -> Mesh:
    gold = to_linear((0.85, 0.68, 0.32))
    balls = []
    for sign in (1, -1):
        lobe = np.array([sign * (skull.half_width + 0.008), skull.ear_y - 0.008, skull.ear_z - 0.034])
        balls.append(_ball(lobe, np.full(3, 0.0045), gold, "plastic", 7, 9))
    return _join(balls)
