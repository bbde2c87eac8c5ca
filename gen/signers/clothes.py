"""Clothes: shells over the body that end where smooth fields over the body at rest say so."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix, identity

from gen.signers.appearance import Clothes
from gen.signers.body import PARTS, Body
from gen.signers.mesh import vertex_normals
from gen.signers.pieces import SURFACES, Piece, compact, refine, smoothing_matrix, split
from gen.signers.textures import FABRIC_EXTENT_M

_ARM_BONES = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")


@dataclass(frozen=True, eq=False)
class _Sites:
    """Places on the body at rest, with what garments must know about them."""

    points: np.ndarray
    normals: np.ndarray
    arm: dict[str, np.ndarray]
    """How much each place belongs to either arm."""
    along: dict[str, np.ndarray]
    """How far along either arm each place lies, metres."""
    mixing: csr_matrix
    """The places as means of vertices."""

    def with_middles(self, pairs: np.ndarray) -> "_Sites":
        """These places and the middles of pairs of them."""
        count, more = len(self.points), len(pairs)
        rows = np.concatenate([np.arange(count), count + np.repeat(np.arange(more), 2)])
        columns = np.concatenate([np.arange(count), pairs.ravel()])
        means = csr_matrix((np.repeat([1.0, 0.5], [count, 2 * more]), (rows, columns)), shape=(count + more, count))
        return _Sites(
            points=means @ self.points,
            normals=means @ self.normals,
            arm={side: means @ weight for side, weight in self.arm.items()},
            along={side: means @ length for side, length in self.along.items()},
            mixing=csr_matrix(means @ self.mixing),
        )


@dataclass(frozen=True, eq=False)
class _Measures:
    """A body as a tailor sees it; metres."""

    neck: np.ndarray
    waist_z: float
    hip_z: float
    knee_z: float
    shoulder: dict[str, np.ndarray]
    elbow: dict[str, np.ndarray]
    wrist: dict[str, np.ndarray]
    upper_m: dict[str, float]
    fore_m: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Garment:
    torso: str
    """The surface of the torso."""
    sleeve: str
    """The surface of the sleeves."""
    field: Callable[[_Sites], np.ndarray]
    """Above zero where there is cloth, about the distance in metres from the nearest hem."""
    offset_m: float
    """How far the cloth stands off the body."""
    refinements: int = 2
    """How often triangles that a hem crosses are quartered, so that it doesn't follow the body's mesh."""


def sew(body: Body, clothes: Clothes) -> tuple[list[Piece], np.ndarray]:
    """The garments' meshes, and which of the body's faces they don't surely hide."""
    measures = _measure(body)
    sites = _body_sites(body, measures)
    garments = _garments(measures, clothes)
    covered = np.max([garment.field(sites) for garment in garments], axis=0)
    pieces = [_shell(body, measures, sites, garment, clothes.looseness_m) for garment in garments]
    return pieces, (covered[body.faces] < 0.03).any(axis=1)


def _measure(body: Body) -> _Measures:
    def joints(name: str) -> dict[str, np.ndarray]:
        return {side: body.heads[body.bone(f"{name}.{side}")] for side in "LR"}

    shoulder, elbow, wrist = joints("upperarm01"), joints("lowerarm01"), joints("wrist")
    return _Measures(
        neck=body.heads[body.bone("neck01")],
        waist_z=float(body.heads[body.bone("spine04")][2]),
        hip_z=float(body.heads[body.bone("upperleg01.L")][2]),
        knee_z=float(body.heads[body.bone("lowerleg01.L")][2]),
        shoulder=shoulder,
        elbow=elbow,
        wrist=wrist,
        upper_m={side: float(np.linalg.norm(elbow[side] - shoulder[side])) for side in "LR"},
        fore_m={side: float(np.linalg.norm(wrist[side] - elbow[side])) for side in "LR"},
    )


def _body_sites(body: Body, measures: _Measures) -> _Sites:
    points = body.vertices
    arm: dict[str, np.ndarray] = {}
    for side in "LR":
        arm[side] = body.follows(
            *(name for name in body.bone_names if name.startswith(_ARM_BONES) and name.endswith(side))
        )
    return _Sites(
        points=points,
        normals=vertex_normals(points, body.faces),
        arm=arm,
        along={side: _along_arm(measures, side, points) for side in "LR"},
        mixing=csr_matrix(identity(len(points))),
    )


def _along_arm(measures: _Measures, side: str, points: np.ndarray) -> np.ndarray:
    shoulder, elbow, wrist = measures.shoulder[side], measures.elbow[side], measures.wrist[side]
    upper, fore = measures.upper_m[side], measures.fore_m[side]
    on_upper = (points - shoulder) @ (elbow - shoulder) / upper
    on_fore = upper + (points - elbow) @ (wrist - elbow) / fore
    bend = np.clip((on_upper - upper + 0.03) / 0.06, 0, 1)
    return on_upper * (1 - bend) + on_fore * bend


def _garments(measures: _Measures, clothes: Clothes) -> list[_Garment]:
    """What is worn, innermost first."""
    hem_z = measures.hip_z - 0.06
    loose = clothes.looseness_m

    def bottom(sites: _Sites) -> np.ndarray:
        z = sites.points[:, 2]
        field = np.minimum(hem_z + 0.02 - z, z - measures.knee_z) if clothes.dress else measures.waist_z - z
        return np.where(np.maximum(*sites.arm.values()) > 0.2, -1.0, field)

    def top(sites: _Sites) -> np.ndarray:
        neckline = _neckline(measures, sites, clothes.neckline, clothes.neck_depth_m)
        return np.minimum.reduce([neckline, _sleeves(measures, sites, clothes.sleeve), sites.points[:, 2] - hem_z])

    def jacket(sites: _Sites) -> np.ndarray:
        x, _, z = sites.points.T
        opening = 0.035 + 0.10 * np.clip((measures.neck[2] - 0.02 - z) / 0.5, 0, 1)
        front = np.where(sites.normals[:, 1] < 0.25, np.abs(x) - opening, 0.1)
        neckline = _neckline(measures, sites, "crew", 0.0)
        return np.minimum.reduce([neckline, _sleeves(measures, sites, 1.93), z - hem_z + 0.05, front])

    garments = [
        # Its waist is never seen.
        _Garment("bottom", "bottom", bottom, 0.012 + loose if clothes.dress else 0.007, refinements=0),
        _Garment("top", "sleeve", top, 0.008 + loose),
    ]
    if clothes.jacket:
        garments.append(_Garment("jacket", "jacket_sleeve", jacket, 0.018 + loose))
    return garments


def _neckline(measures: _Measures, sites: _Sites, name: str, depth: float) -> np.ndarray:
    """Above zero outside of the opening around the neck's foot."""
    x, y, z = sites.points.T
    neck = measures.neck
    # The opening lies above a ring that rises towards the nape, and is hardly wider than the neck.
    ring = neck[2] + 0.006 + np.clip(0.9 * (y - neck[1]), -0.04, 0.05) - 0.6 * depth
    front = np.clip((neck[1] + 0.015 - y) / 0.04, 0, 1)
    across = np.abs(x)
    half_width = 0.072 + 0.5 * depth
    if name == "v":
        ring += 0.6 * depth - front * (depth + 0.02) * np.clip(1 - across / 0.085, 0, 1)
        half_width = 0.078
    elif name == "scoop":
        ring += 0.6 * depth - front * depth * np.sqrt(np.clip(1 - (across / 0.10) ** 2, 0, 1)) - 0.008
        half_width = 0.095
    elif name == "boat":
        ring -= 0.012 - 0.004 * front
        half_width = 0.125
    elif name == "polo":
        ring += 0.022 - front * np.clip(0.05 - across * 2.0, 0, 0.08)
    elif name == "turtle":
        ring += 0.06 - front * 0.012
    return np.maximum(ring - z, across - half_width)


def _sleeves(measures: _Measures, sites: _Sites, end: float) -> np.ndarray:
    """Above zero before the sleeves' ends."""
    field = np.full(len(sites.points), 1.0)
    for side in "LR":
        upper, fore = measures.upper_m[side], measures.fore_m[side]
        stop = end * upper if end <= 1 else upper + (end - 1) * fore
        field = np.where(sites.arm[side] > 0.2, np.minimum(field, stop - sites.along[side]), field)
    return field


def _shell(body: Body, measures: _Measures, sites: _Sites, garment: _Garment, looseness: float) -> Piece:
    """The mesh of one garment: the body's, smoothed, moved out and refined where it ends."""
    field = garment.field(sites)
    head = body.part == PARTS.index("head")
    # A margin past the hem keeps smoothing from pulling the hem about.
    faces = body.faces[(field[body.faces] > -0.04).any(axis=1) & ~head]
    smoothing = smoothing_matrix(faces, len(body.vertices), steps=3)
    smooth = smoothing @ sites.points
    # Smoothing shrinks; cloth hangs outside of what it covers.
    shrunk = np.clip(((sites.points - smooth) * sites.normals).sum(axis=1), 0, 0.02)
    shrunk = smoothing_matrix(faces, len(body.vertices), steps=6) @ shrunk
    # Hems are drawn on the cloth, not on the skin under it.
    sites = replace(sites, points=smooth, along={side: _along_arm(measures, side, smooth) for side in "LR"})
    field = garment.field(sites)
    for _ in range(garment.refinements):
        crossed = (field[faces] > 0).any(axis=1) & (field[faces] < 0).any(axis=1)
        faces, pairs = refine(faces, len(sites.points), crossed)
        sites = sites.with_middles(pairs)
        field = garment.field(sites)
    faces = faces[(field[faces] > 0).any(axis=1)]
    arm = np.maximum(*sites.arm.values())
    on_arm = arm[faces].mean(axis=1) > 0.5
    surface = np.where(on_arm, SURFACES.index(garment.sleeve), SURFACES.index(garment.torso))
    faces, origin = split(faces, on_arm.astype(int))
    of_sleeve = np.zeros(len(origin), bool)
    of_sleeve[faces[on_arm]] = True
    at = sites.points[origin]
    around = np.arctan2(at[:, 0], measures.neck[1] + 0.02 - at[:, 1]) / (2 * np.pi) * 0.95
    uv = np.stack([0.5 + around, measures.neck[2] - 0.02 - at[:, 2]], axis=1)
    for side in "LR":
        mine = of_sleeve & (sites.arm[side][origin] > 0.4)
        uv[mine] = _sleeve_uv(measures, side, at[mine], sites.along[side][origin[mine]])
    offset = garment.offset_m + sites.mixing @ shrunk + 0.35 * looseness * _folds(sites.points)
    return compact(
        Piece(
            binding=csr_matrix((sites.mixing @ smoothing)[origin]),
            origin=origin,
            faces=faces,
            surface=surface,
            colour=np.ones((len(origin), 3)),
            uv=uv / FABRIC_EXTENT_M,
            offset=offset[origin],
            cut=field[origin],
        )
    )


def _folds(points: np.ndarray) -> np.ndarray:
    """Waves of cloth, -1 to 1."""
    rng = np.random.default_rng(0xF0)
    folds = np.zeros(len(points))
    for _ in range(5):
        direction = rng.normal(size=3)
        direction *= rng.uniform(25, 60) / np.linalg.norm(direction)
        folds += np.sin(points @ direction + rng.uniform(0, 6)) / 5
    return folds


def _sleeve_uv(measures: _Measures, side: str, at: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Around the arm, mirrored so that there is no seam, and along it; metres."""
    shoulder, elbow, wrist = measures.shoulder[side], measures.elbow[side], measures.wrist[side]
    length = np.linalg.norm(wrist - shoulder)
    axis = (wrist - shoulder) / length
    front = np.array([0.0, -1.0, 0.0]) + axis * axis[1]
    front /= np.linalg.norm(front)
    share = along / length
    # The arm's axis, bent at the elbow.
    bend = (1 - np.abs(2 * share - 1)).clip(0)[:, None] * (elbow - 0.5 * (shoulder + wrist))
    away = at - (shoulder + np.outer(share.clip(0, 1), wrist - shoulder) + bend)
    around = np.abs(np.arctan2(away @ np.cross(axis, front), away @ front))
    return np.stack([around * 0.045, along], axis=1)
