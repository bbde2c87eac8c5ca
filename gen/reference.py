"""Reads a signer's picture through the body that was fitted to the pose in it: what shows where, colours, light.

Of an arm, the far side is taken to look as the near one, of a head, the hidden half as the other. The picture is also
painted over, without arms and without the signer, for what is behind them.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt8
from scipy.spatial import KDTree

from gen.cut_out import cut_out, grow, shrink
from gen.painting import LIGHT_RANGE
from gen.signers.assemble import SIDES
from gen.signers.body import PARTS, Body
from gen.signers.fit import BodyMotion, pose_keypoints, pose_vertices
from gen.signers.mesh import vertex_normals
from gen.signers.raster import interpolate, rasterize
from poses.keypoints import index

_ARM = ("upper_arm", "forearm")
GROUPS = ("hand", "forearm", "upper_arm", "torso", "neck", "head", "legs")
_FROM_BONE = 0.85
"""How far from its bone an arm's surface is taken from, as a share of how far it is."""
_STEPS_OF_ARM, _ENOUGH_OF_ARM = 20, 0.15
"""A forearm is looked at in so many steps along its bone, and must be seen so far to tell how it goes on."""
_MOSTLY = 0.8
"""A forearm that was fitted without its hand must show the signer in so much of it."""
_CLEAR = -0.5
"""Of a normal that points at the camera as much, -1 being straight at it, the surface is not at the outline."""
_AT_OUTLINE = 0.012
"""What lies nearer than this share of the frame's width to where signer or body end is at their outline."""
_EDGE = 1 / 256
"""How far edges of the body lie beside those of the picture, as a share of the frame's width."""
_FEW = 20
"""Fewer pixels than these tell no colour."""
_FACE = index("face_right_eyelid_0", "face_nose_bridge_0", "face_left_eyelid_3", "face_outer_lip_6", "face_outer_lip_0")
_SKIN_SPREAD = 0.05
"""A hand whose share of red, green or blue differs from the face's by more than this isn't the signer's skin."""


def _group_of(part: str) -> int:
    name = part.removeprefix("left_").removeprefix("right_")
    return GROUPS.index(name) if name in GROUPS else 0


GROUP_OF_PART = np.array([_group_of(part) for part in PARTS], np.int32)
"""For each of `PARTS`: hand, forearm, upper arm, then all that isn't a limb."""
_IS_LIMB = np.array([group < 3 for group in GROUP_OF_PART])
IS_HAND, IS_ARM, IS_TRUNK, IS_HEAD, IS_LEG = (
    np.concatenate([[False], np.isin(GROUP_OF_PART, [GROUPS.index(name) for name in names])])
    for names in (("hand",), _ARM, ("torso", "legs"), ("neck", "head"), ("legs",))
)
"""For each value of the maps' part channel: palm or finger, of an arm, of torso or legs, of neck or head, of a leg?"""
HEAD = PARTS.index("head") + 1
"""The head's value in the maps' part channel."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A signer's picture, read through the body fitted to it.

    Attributes:
        image: The picture.
        plate: The picture with arms and hands painted over, with the body's colours where the body is behind them.
        background: The picture with the whole signer painted over from what is around.
        outline: How much each pixel of the plate shows the signer, 0 to 255; 0 deep inside head and trunk.
        part: One more than the number in `PARTS` of what each pixel shows, 0 for background.
        face: Whether each pixel shows the bare face, from the eyes to the mouth.
        vertex_xy: Where each vertex lies in the picture, in pixels; those of arms a little nearer to the bone.
        vertex_seen: 1 where the picture shows the vertex, or the other side of the arm, 0 where not.
        likeness: What each vertex looks like: x and y in the picture, or in the mirrored one on its right, 1 where that
            is known, 0 where not, and how much light it gets there.
        colours: Median colour of each group of parts, 0 to 255.
        light: Brightness as `light[0] + light[1:] @ normal`, 1 on average.
    """

    image: UInt8[np.ndarray, "h w 3"]
    plate: UInt8[np.ndarray, "h w 3"]
    background: UInt8[np.ndarray, "h w 3"]
    outline: UInt8[np.ndarray, "h w"]
    part: UInt8[np.ndarray, "h w"]
    face: Bool[np.ndarray, "h w"]
    vertex_xy: Float32[np.ndarray, "vertices 2"]
    vertex_seen: Float32[np.ndarray, " vertices"]
    likeness: Float32[np.ndarray, "vertices 4"]
    colours: Float32[np.ndarray, "groups 3"]
    light: Float32[np.ndarray, " 4"]

    def maps(self) -> UInt8[np.ndarray, "h w 7"]:
        """The picture, the background and the parts, for `to_reference`."""
        return np.concatenate([self.image, self.background, self.part[..., None]], axis=-1)


def find_groups(part: UInt8[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """The number in `GROUPS` of what each pixel shows, -1 for background."""
    return np.where(part > 0, GROUP_OF_PART[part.astype(int) - 1], -1)


def to_screen(projected: Float32[np.ndarray, "... d"], height: int, width: int) -> Float32[np.ndarray, "... d"]:
    """Points that a camera projected, in pixels; a third number stays as it is."""
    return projected * np.array([width, height, 1], np.float32)[: projected.shape[-1]]


def read_reference(image: UInt8[np.ndarray, "h w 3"], body: Body, motion: BodyMotion) -> Reference:
    """Reads a picture through the body that was fitted to the pose in it (the first frame of `motion`)."""
    height, width = image.shape[:2]
    vertices = pose_vertices(body, motion, slice(0, 1))[0]
    normals = vertex_normals(vertices, body.faces)
    screen = to_screen(motion.camera.project(vertices), height, width)
    raster = rasterize(screen, body.faces, height=height, width=width)
    part = np.where(raster.face >= 0, body.part[raster.face] + 1, 0).astype(np.uint8)
    core = rasterize(screen, body.faces[~_IS_LIMB[body.part]], height=height, width=width)

    points = to_screen(pose_keypoints(body, motion, slice(0, 1))[0], height, width)
    places = screen[:, :2].copy()
    seen = (screen[:, 2] < _at(raster.depth, places, -np.inf) + 0.012) & (normals[:, 1] < -0.1)
    # An arm whose hand is not seen was taken to hang. It may be elsewhere.
    hanging = [side for side, arm_seen in zip(SIDES, motion.arm_seen[0], strict=True) if not arm_seen]
    guesses = [_is_below_elbow(side)[part] for side in hanging]
    shown = cut_out(image, (part > 0) | (core.face >= 0), part == HEAD, sum(guesses, np.zeros(part.shape, bool)))
    shown_part = np.where(shown, part, 0)
    for guess in guesses:
        if shown[guess].sum() < _MOSTLY * guess.sum():
            shown_part[guess] = 0
    for side in SIDES:
        _look_through_arm(body, side, points, shown_part, places, seen)
    plate, background, outline = _paint_over(image, part, core.face >= 0, shown)
    pixel_normals = interpolate(raster, body.faces, normals)
    face = _mark_face(points, part)
    colours, light = _read_colours(image, shown_part, pixel_normals, face)
    return Reference(
        image=image,
        plate=plate,
        background=background,
        outline=outline,
        part=part,
        face=face,
        vertex_xy=places.astype(np.float32),
        vertex_seen=seen.astype(np.float32),
        likeness=_liken(body, normals, _shade(part, pixel_normals, light), shown, places, seen),
        colours=colours,
        light=light,
    )


def _is_below_elbow(side: str) -> Bool[np.ndarray, " parts"]:
    """For each value of the maps' part channel whether it is of a side's forearm or hand."""
    return np.array(
        [
            False,
            *(
                name.startswith(side) and GROUPS[group] in ("hand", "forearm")
                for name, group in zip(PARTS, GROUP_OF_PART, strict=True)
            ),
        ]
    )


def _at(
    values: Shaped[np.ndarray, "h w"], places: Float32[np.ndarray, "vertices 2"], outside: float
) -> Shaped[np.ndarray, " vertices"]:
    """The values of the pixels that places lie in."""
    height, width = values.shape
    column, row = np.floor(places).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, values[row.clip(0, height - 1), column.clip(0, width - 1)], outside)


def _look_through_arm(
    body: Body,
    side: str,
    points: Float32[np.ndarray, "128 2"],
    part: UInt8[np.ndarray, "h w"],
    places: Float32[np.ndarray, "vertices 2"],
    seen: Bool[np.ndarray, " vertices"],
) -> None:
    """Lets an arm's vertices be seen, in place, wherever the picture shows the arm: its far side as what is before it.

    They move a little towards the bone, since at its outline the room shines through. Where a forearm leaves the
    picture, or goes behind something, it is taken to go on as it was before: mirrored along the bone.
    """
    numbers = [PARTS.index(f"{side}_{name}") for name in _ARM]

    def shown(vertices: Int[np.ndarray, " some"]) -> Bool[np.ndarray, " some"]:
        return np.isin(_at(part, places[vertices], 0.0), np.array(numbers) + 1)

    ends = points[index(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")]
    for number, start, stop in zip(numbers, ends[:-1], ends[1:], strict=True):
        of_arm = np.unique(body.faces[body.part == number])
        bone = stop - start
        along = ((places[of_arm] - start) @ bone / max(float(bone @ bone), 1.0)).clip(0, 1)
        from_bone = _FROM_BONE * (places[of_arm] - start - along[:, None] * bone)
        places[of_arm] = start + along[:, None] * bone + from_bone
        seen[of_arm] = shown(of_arm)
        end = _seen_until(along, seen[of_arm])
        if number == numbers[-1] and end > _ENOUGH_OF_ARM:
            beyond = (along > end) & ~seen[of_arm]
            hidden = of_arm[beyond]
            places[hidden] += (np.abs(2 * end - along[beyond]) - along[beyond])[:, None] * bone
            seen[hidden] = shown(hidden)


def _seen_until(along: Float32[np.ndarray, " vertices"], seen: Bool[np.ndarray, " vertices"]) -> float:
    """Up to where along a bone, from 0 to 1, most of what lies there is seen."""
    step = (along * _STEPS_OF_ARM).astype(int).clip(0, _STEPS_OF_ARM - 1)
    share = np.bincount(step, seen, _STEPS_OF_ARM) / np.maximum(np.bincount(step, minlength=_STEPS_OF_ARM), 1)
    return float((np.flatnonzero(share > 0.5) + 0.5).max(initial=0) / _STEPS_OF_ARM)


def _liken(
    body: Body,
    normals: Float32[np.ndarray, "vertices 3"],
    shade: Float32[np.ndarray, "h w"],
    shown: Bool[np.ndarray, "h w"],
    places: Float32[np.ndarray, "vertices 2"],
    seen: Bool[np.ndarray, " vertices"],
) -> Float32[np.ndarray, "vertices 4"]:
    """What each vertex looks like, see `Reference`: all but some of the head's as they are in the picture.

    What of the head the picture doesn't show clearly is likened to the other side, where that is clear, what is hidden
    on both sides to what is nearest.

    Args:
        body: The body.
        normals: Of the vertices, as the picture shows them.
        shade: How much light each pixel of the picture gets.
        shown: What shows the signer.
        places: Of the vertices in the picture.
        seen: Whether the picture shows them.
    """
    width = shown.shape[1]
    head = np.isin(np.arange(len(places)), body.faces[IS_HEAD[body.part + 1]])
    inside = shrink(shown, round(_AT_OUTLINE * width))
    clear = seen & (normals[:, 1] < _CLEAR) & (_at(inside, places, 0.0) > 0)
    mirrored = _mirrored_vertices(body)
    from_other = head & ~clear & clear[mirrored]
    beside = places[mirrored] * np.array([-1, 1], np.float32) + np.array([2 * width, 0], np.float32)
    like = np.where(from_other[:, None], beside, places)
    lit = _at(shade, places, 1.0)
    alike = np.column_stack([like, seen | from_other, np.where(from_other, lit[mirrored], lit)]).astype(np.float32)
    near, hidden = np.flatnonzero(head & (clear | from_other)), np.flatnonzero(head & (alike[:, 2] == 0))
    if len(near) and len(hidden):
        alike[hidden] = alike[near[KDTree(body.vertices[near]).query(body.vertices[hidden])[1]]]
    return alike


def _shade(
    part: UInt8[np.ndarray, "h w"], normals: Float32[np.ndarray, "h w 3"], light: Float32[np.ndarray, " 4"]
) -> Float32[np.ndarray, "h w"]:
    """How much light each pixel of the picture gets; blurred, since the body's edges lie a little beside."""
    shade = np.where(part > 0, (light[0] + normals @ light[1:]).clip(*LIGHT_RANGE), 1)
    return cv2.GaussianBlur(shade.astype(np.float32), (0, 0), _EDGE * part.shape[1])


@lru_cache(1)
def _mirrored_vertices(body: Body) -> Int[np.ndarray, " vertices"]:
    """For each vertex the one on the body's other side."""
    return KDTree(body.vertices * np.array([-1, 1, 1], np.float32)).query(body.vertices)[1]


def _mark_face(points: Float32[np.ndarray, "128 2"], part: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The bare face, from the eyes to the corners of the mouth, where nothing is before it."""
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points[_FACE].round().astype(np.int32)), 1)
    return (inside > 0) & (part == HEAD)


def _read_colours(
    image: UInt8[np.ndarray, "h w 3"],
    part: UInt8[np.ndarray, "h w"],
    normals: Float32[np.ndarray, "h w 3"],
    face: Bool[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "groups 3"], Float32[np.ndarray, " 4"]]:
    """Median colour of each group of parts, and the light that explains the brightness around it."""
    group = find_groups(part)
    pixels = image.astype(np.float32)
    facing = normals[..., 1] < -0.5

    def inside(number: int) -> Bool[np.ndarray, "h w"]:
        inner = cv2.erode((group == number).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        return inner & (facing if inner[facing].sum() >= _FEW else True)

    colours = np.full((len(GROUPS), 3), np.nan, np.float32)
    for number in range(len(GROUPS)):
        if (inner := inside(number)).sum() >= _FEW:
            colours[number] = np.median(pixels[inner], axis=0)
    hand, head = GROUPS.index("hand"), GROUPS.index("head")
    # A head may be covered, and its colour is also that of hair.
    skin = np.median(pixels[face], axis=0) if face.sum() >= _FEW else colours[head]
    if not np.abs(colours[hand] / max(colours[hand].sum(), 1) - skin / max(skin.sum(), 1)).max() <= _SKIN_SPREAD:
        colours[hand] = np.nan  # what is seen there is a sleeve or a pocket
    hand_seen = np.isfinite(colours[hand]).all()
    if not hand_seen:
        colours[hand] = skin
    # A hidden arm is its neighbour.
    for missing, instead in (("head", "torso"), ("hand", "head"), ("torso", "head"), ("upper_arm", "torso"),
                             ("forearm", "upper_arm"), ("neck", "head"), ("legs", "torso")):  # fmt: skip
        if np.isnan(colours[GROUPS.index(missing)]).any():
            colours[GROUPS.index(missing)] = colours[GROUPS.index(instead)]
    colours = np.nan_to_num(colours, nan=128.0)

    lit = (group >= 0) & (group != GROUPS.index("legs"))
    ratio = pixels[lit].sum(axis=1) / np.maximum(colours[group[lit]].sum(axis=1), 15)
    usable = (ratio > 0.4) & (ratio < 1.8)
    design = np.concatenate([np.ones((usable.sum(), 1), np.float32), normals[lit][usable]], axis=1)
    prior = np.array([1, 0, 0, 0], np.float32)
    ridge = 0.02 * max(len(design), 100) * np.eye(4, dtype=np.float32)
    light = prior + np.linalg.solve(design.T @ design + ridge, design.T @ (ratio[usable] - design @ prior))
    if hand_seen:  # hands are turned any way in the picture, so what they are lit by is taken out
        shown = inside(hand)
        colours[hand] = np.median(
            pixels[shown] / (light[0] + normals[shown] @ light[1:]).clip(*LIGHT_RANGE)[:, None], axis=0
        )
    return colours.astype(np.float32), light.astype(np.float32)


def _paint_over(
    image: UInt8[np.ndarray, "h w 3"],
    part: UInt8[np.ndarray, "h w"],
    core: Bool[np.ndarray, "h w"],
    shown: Bool[np.ndarray, "h w"],
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Takes arms and hands out of a picture, and the whole signer, and says where the first still shows the signer.

    Args:
        image: The picture.
        part: What each pixel shows.
        core: Where head, torso and legs are, seen or behind an arm.
        shown: What shows the signer.
    """
    width = image.shape[1]
    limb = (part > 0) & _IS_LIMB[part.astype(int) - 1]
    signer = grow(shown, round(width * 0.008))
    hole = grow(limb, round(width * 0.025)) | (signer & (_distance(limb) < _distance(core & ~limb)))
    picture = image.astype(np.float32)
    background = np.where(signer[..., None], _fill_from(picture, ~signer), picture)
    body = _fill_from(picture, core & ~hole)
    plate = np.where((hole & core)[..., None], body, np.where(hole[..., None], background, picture))
    deep = shrink(core, round(_AT_OUTLINE * width))
    outline = cv2.blur(np.where(shown & ~deep & (core | ~hole), 255, 0).astype(np.uint8), (3, 3))
    return plate.clip(0, 255).round().astype(np.uint8), background.clip(0, 255).round().astype(np.uint8), outline


def _distance(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """How many pixels it is to the mask."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)


def _fill_from(image: Float32[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """Fills what isn't known, coarse to fine (push-pull, https://doi.org/10.1145/237170.237200, section 3.4)."""
    levels = [(image * known[..., None], known.astype(np.float32))]
    while min(levels[-1][1].shape) > 2:
        colour, weight = levels[-1]
        size = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
        summed = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        mixed = cv2.resize(colour, size, interpolation=cv2.INTER_AREA) / np.maximum(summed, 1e-6)[..., None]
        enough = np.minimum(summed * 4, 1)
        levels.append((mixed * enough[..., None], enough))
    colour, weight = levels.pop()
    mean = colour.sum(axis=(0, 1)) / max(weight.sum(), 1e-6)
    filled = colour + (1 - weight[..., None]) * mean
    for colour, weight in reversed(levels):
        above = cv2.resize(filled, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        filled = colour + (1 - weight[..., None]) * above
    return filled
