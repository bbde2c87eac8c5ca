"""What a synthetic signer looks like: body, skin, face, hair, clothes, light and place, all from one seed."""

from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from gen.signers.body import BodyShape
from gen.signers.scenery import Colour, Scene, sample_scene, to_colour

HAIR_STYLES = (
    "bald", "shaved", "short", "side_part", "crop", "fringe", "bob", "long", "long_fringe",
    "bun", "ponytail", "afro", "curls", "cap", "headscarf",
)  # fmt: skip
BEARDS = ("none", "stubble", "moustache", "full")
PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "print", "melange", "blocks")
NECKLINES = ("crew", "v", "scoop", "boat", "polo", "turtle")

SKIN_TONES: tuple[Colour, ...] = (
    (0.96, 0.84, 0.77), (0.93, 0.77, 0.67), (0.88, 0.69, 0.57), (0.80, 0.60, 0.46),
    (0.70, 0.50, 0.37), (0.58, 0.40, 0.29), (0.46, 0.31, 0.22), (0.35, 0.23, 0.17), (0.25, 0.165, 0.125),
)  # fmt: skip
"""From the lightest to the darkest; a signer's tone lies between two neighbours."""

HAIR_COLOURS: tuple[Colour, ...] = (
    (0.05, 0.04, 0.04), (0.09, 0.065, 0.055), (0.17, 0.11, 0.075), (0.27, 0.17, 0.10), (0.40, 0.26, 0.15),
    (0.58, 0.43, 0.26), (0.74, 0.60, 0.40), (0.48, 0.20, 0.10), (0.55, 0.54, 0.53), (0.80, 0.79, 0.77),
)  # fmt: skip

IRIS_COLOURS: tuple[Colour, ...] = (
    (0.20, 0.12, 0.07), (0.30, 0.19, 0.10), (0.42, 0.32, 0.16),
    (0.30, 0.42, 0.52), (0.32, 0.42, 0.30), (0.45, 0.50, 0.53),
)  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """Hair or what covers it."""

    style: str = "short"
    colour: Colour = HAIR_COLOURS[2]
    length_m: float = 0.25
    """How far loose hair hangs below the ears."""
    volume_m: float = 0.012
    """How far it stands off the scalp."""
    hairline: float = 0.0
    """-1 is low on the forehead, 1 is receding."""

    def __post_init__(self):
        if self.style not in HAIR_STYLES:
            raise ValueError(f"`style` must be one of {HAIR_STYLES}, got {self.style!r}.")


@dataclass(frozen=True)
class Fabric:
    """The cloth of one garment."""

    pattern: str = "plain"
    colour: Colour = (0.3, 0.35, 0.45)
    second: Colour = (0.9, 0.9, 0.88)
    period_m: float = 0.06
    decal: str = "none"
    """What is on the chest: none, logo, letters, pocket, buttons or zip."""

    def __post_init__(self):
        if self.pattern not in PATTERNS:
            raise ValueError(f"`pattern` must be one of {PATTERNS}, got {self.pattern!r}.")


@dataclass(frozen=True)
class Clothes:
    """What a signer wears."""

    top: Fabric = Fabric()
    bottom: Fabric = Fabric(colour=(0.15, 0.17, 0.25))
    jacket: Fabric | None = None
    neckline: str = "crew"
    neck_depth_m: float = 0.02
    sleeve: float = 0.5
    """Where the sleeves end: 0 at the shoulder, 1 at the elbow, 2 at the wrist."""
    looseness_m: float = 0.006
    dress: bool = False
    """One piece down to the knees."""

    def __post_init__(self):
        if self.neckline not in NECKLINES:
            raise ValueError(f"`neckline` must be one of {NECKLINES}, got {self.neckline!r}.")


@dataclass(frozen=True)
class Light:
    """A main light with a sky and a floor that throw light back."""

    azimuth_deg: float = -35.0
    """0 comes from behind the camera, positive from the right of the picture."""
    elevation_deg: float = 40.0
    strength: float = 0.75
    ambient: float = 0.55
    tint: Colour = (1.0, 0.97, 0.92)
    sky: Colour = (0.95, 0.98, 1.0)
    floor: Colour = (0.80, 0.74, 0.68)


@dataclass(frozen=True)
class Appearance:
    """All that isn't shape. `seed` fixes the fine texture of skin, hair and cloth."""

    seed: int = 0
    skin: Colour = SKIN_TONES[2]
    lips: Colour = (0.75, 0.42, 0.38)
    iris: Colour = IRIS_COLOURS[1]
    brow: float = 1.0
    """Thickness of the brows, 1 is usual."""
    freckles: float = 0.0
    wrinkles: float = 0.0
    nails: Colour | None = None
    """Colour of painted nails."""
    makeup: float = 0.0
    beard: str = "none"
    glasses: Colour | None = None
    """Colour of the frame."""
    earrings: bool = False
    hair: Hair = Hair()
    clothes: Clothes = Clothes()
    light: Light = Light()
    scene: Scene = field(default_factory=Scene)

    def __post_init__(self):
        if self.beard not in BEARDS:
            raise ValueError(f"`beard` must be one of {BEARDS}, got {self.beard!r}.")


@dataclass(frozen=True)
class Signer:
    """A synthetic person."""

    shape: BodyShape
    appearance: Appearance


def sample_signer(seed: int) -> Signer:
    """A random signer; the same seed gives the same one."""
    rng = np.random.default_rng([seed, 0x51])
    gender = float(np.clip(rng.choice([0.1, 0.9]) + rng.normal(0, 0.12), 0, 1))
    age = float(np.clip(rng.beta(2, 2.2) * 0.45 + 0.52, 0, 1))
    ancestry = rng.dirichlet([0.45, 0.45, 0.45])
    shape = BodyShape(
        gender=gender,
        age=age,
        muscle=float(rng.uniform(0.3, 0.75)),
        weight=float(rng.beta(2.2, 2.2) * 0.8 + 0.1),
        height=float(rng.uniform(0.3, 0.75)),
        proportions=float(rng.uniform(0.3, 0.8)),
        african=float(ancestry[0]),
        asian=float(ancestry[1]),
        caucasian=float(ancestry[2]),
    )
    darkness = 0.82 * ancestry[0] + 0.35 * ancestry[1] + 0.17 * ancestry[2] + rng.normal(0, 0.1)
    skin = _jitter(rng, _between(SKIN_TONES, darkness), 0.02)
    feminine = gender > 0.5
    hair = _sample_hair(rng, feminine, age, darkness)
    appearance = Appearance(
        seed=int(rng.integers(2**31)),
        skin=skin,
        lips=_lips(rng, skin, feminine),
        iris=IRIS_COLOURS[int(rng.choice(6, p=[0.65, 0.25, 0.1, 0, 0, 0] if darkness > 0.35 else None))],
        brow=float(rng.uniform(0.7, 1.5)),
        freckles=float(max(0.0, rng.uniform(-1.2, 1)) if darkness < 0.35 else 0.0),
        wrinkles=float(np.clip((age - 0.7) * 3.5, 0, 1)),
        nails=_vivid(rng) if feminine and rng.random() < 0.3 else None,
        makeup=float(rng.uniform(0.2, 1)) if feminine and rng.random() < 0.5 else 0.0,
        beard="none" if feminine else str(rng.choice(BEARDS, p=[0.45, 0.25, 0.08, 0.22])),
        glasses=_jitter(rng, (0.1, 0.09, 0.09), 0.08) if rng.random() < 0.16 else None,
        earrings=bool(feminine and rng.random() < 0.35),
        hair=hair,
        clothes=_sample_clothes(rng, feminine),
        light=_sample_light(rng),
        scene=sample_scene(rng),
    )
    return Signer(shape, appearance)


def _sample_hair(rng: np.random.Generator, feminine: bool, age: float, darkness: float) -> Hair:
    weights = dict.fromkeys(HAIR_STYLES, 0.0)
    if feminine:
        weights.update(
            short=0.7, side_part=0.8, fringe=1, bob=2, long=2.6, long_fringe=1.4, bun=1.6, ponytail=1.2,
            afro=0.4, curls=0.8, headscarf=0.9, cap=0.2, shaved=0.15,
        )  # fmt: skip
    else:
        weights.update(
            bald=1, shaved=1.2, short=2.6, side_part=1.8, crop=1.8, fringe=0.6, bob=0.3, long=0.5, bun=0.3,
            afro=0.5, curls=0.8, cap=0.8,
        )  # fmt: skip
    if darkness > 0.6:
        weights.update(afro=2.0, shaved=weights["shaved"] + 0.8, curls=1.5)
    probabilities = np.array(list(weights.values()))
    style = str(rng.choice(HAIR_STYLES, p=probabilities / probabilities.sum()))
    grey = rng.random() < np.clip((age - 0.72) * 3, 0, 0.9)
    if grey:
        colour = HAIR_COLOURS[int(rng.integers(8, 10))]
    elif darkness > 0.35:
        colour = HAIR_COLOURS[int(rng.choice([0, 0, 1, 1, 2]))]
    else:
        colour = HAIR_COLOURS[int(rng.integers(1, 8))]
    if style in ("cap", "headscarf"):
        colour = _cloth_colour(rng)
    volume = {"afro": rng.uniform(0.035, 0.07), "curls": rng.uniform(0.018, 0.04)}.get(style, rng.uniform(0.009, 0.02))
    return Hair(
        style=style,
        colour=_jitter(rng, colour, 0.02),
        length_m=float(rng.uniform(0.14, 0.36)),
        volume_m=float(volume),
        hairline=float(rng.uniform(-0.6, 0.3) if feminine else rng.uniform(-0.5, 0.5 + age * 0.4)),
    )


def _sample_clothes(rng: np.random.Generator, feminine: bool) -> Clothes:
    colour, second = _cloth_colour(rng), _cloth_colour(rng)
    if abs(np.subtract(colour, second)).max() < 0.25:
        second = (0.93, 0.92, 0.9) if sum(colour) < 1.5 else (0.1, 0.1, 0.13)
    pattern = str(rng.choice(PATTERNS, p=[0.34, 0.13, 0.07, 0.12, 0.1, 0.09, 0.09, 0.06]))
    jacket = None
    if rng.random() < 0.22:
        jacket = Fabric("plain" if rng.random() < 0.7 else "melange", _cloth_colour(rng), second, 0.05)
    period = {"stripes": (0.025, 0.1), "bars": (0.02, 0.07), "checks": (0.03, 0.1), "dots": (0.03, 0.08)}
    low, high = period.get(pattern, (0.06, 0.16))
    decal = str(
        rng.choice(["none", "logo", "letters", "pocket", "buttons", "zip"], p=[0.5, 0.13, 0.1, 0.09, 0.13, 0.05])
    )
    sleeve = float(
        rng.choice([rng.uniform(0.35, 0.8), rng.uniform(0.9, 1.4), rng.uniform(1.85, 1.97)], p=[0.4, 0.12, 0.48])
    )
    if feminine and rng.random() < 0.08:
        sleeve = 0.06
    neckline = str(rng.choice(NECKLINES, p=[0.38, 0.2, 0.14, 0.08, 0.12, 0.08]))
    return Clothes(
        top=Fabric(pattern, colour, second, float(rng.uniform(low, high)), decal),
        bottom=Fabric("plain" if rng.random() < 0.8 else "melange", _cloth_colour(rng)),
        jacket=jacket,
        neckline=neckline,
        neck_depth_m=float(rng.uniform(0.03, 0.13) if neckline in ("v", "scoop") else rng.uniform(0, 0.025)),
        sleeve=min(sleeve, 1.9),
        looseness_m=float(rng.uniform(0.004, 0.014)),
        dress=bool(feminine and rng.random() < 0.2),
    )


def _sample_light(rng: np.random.Generator) -> Light:
    warm = rng.uniform(-1, 1)
    return Light(
        azimuth_deg=float(rng.uniform(-65, 65)),
        elevation_deg=float(rng.uniform(15, 60)),
        strength=float(rng.uniform(0.45, 1.0)),
        ambient=float(rng.uniform(0.42, 0.75)),
        tint=(1.0, 0.96 - 0.03 * warm, 0.91 - 0.09 * warm),
        sky=(0.95 - 0.03 * warm, 0.98, 1.0),
        floor=(0.80, 0.74 + 0.04 * rng.uniform(-1, 1), 0.66 + 0.08 * rng.uniform(-1, 1)),
    )


def _between(colours: tuple[Colour, ...], position: float) -> Colour:
    """The colour at a position from 0, the first, to 1, the last."""
    at = float(np.clip(position, 0, 1)) * (len(colours) - 1)
    low = min(int(at), len(colours) - 2)
    mixed = np.array(colours[low]) * (1 - at + low) + np.array(colours[low + 1]) * (at - low)
    return to_colour(mixed)


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    return to_colour(np.clip(np.array(colour) + rng.normal(0, spread, 3), 0.02, 0.98))


def _lips(rng: np.random.Generator, skin: Colour, feminine: bool) -> Colour:
    natural = np.array(skin) * (0.86, 0.62, 0.62) + (0.02, 0.0, 0.01)
    if feminine and rng.random() < 0.4:
        stick = np.array(
            [(0.65, 0.10, 0.14), (0.72, 0.28, 0.34), (0.45, 0.10, 0.17), (0.75, 0.38, 0.33)][rng.integers(4)]
        )
        natural = 0.35 * natural + 0.65 * stick * (0.5 + 0.5 * skin[0])
    return _jitter(rng, to_colour(natural), 0.015)


def _vivid(rng: np.random.Generator) -> Colour:
    return [(0.7, 0.08, 0.12), (0.85, 0.45, 0.5), (0.3, 0.08, 0.2), (0.2, 0.3, 0.5), (0.9, 0.85, 0.8)][rng.integers(5)]


def _cloth_colour(rng: np.random.Generator) -> Colour:
    """Mostly muted, sometimes strong, and every lightness from black to white."""
    hue = rng.random()
    saturation = rng.beta(1.2, 2.2) * 0.9
    value = rng.uniform(0.06, 0.95)
    sector = np.array([hue * 6, hue * 6 + 4, hue * 6 + 2]) % 6
    pure = np.clip(np.abs(sector - 3) - 1, 0, 1)
    return to_colour(value * (1 - saturation * (1 - pure)))


def _built_in() -> dict[str, Signer]:
    """Hand-picked: tones, ages, hair and clothes that differ from each other at a glance."""
    plain_room = Scene(kind="gradient", seed=3, colour=(0.72, 0.74, 0.76), second=(0.55, 0.57, 0.60))
    light = Light()

    def person(shape: BodyShape, **appearance) -> Signer:
        return Signer(shape, replace(Appearance(light=light, scene=plain_room), **appearance))

    return {
        "alex": person(
            BodyShape(gender=0.2, age=0.66, weight=0.45, african=0.1, asian=0.1, caucasian=0.8),
            seed=1,
            skin=(0.90, 0.73, 0.62),
            iris=IRIS_COLOURS[3],
            hair=Hair("side_part", HAIR_COLOURS[4], volume_m=0.016),
            beard="stubble",
            clothes=Clothes(Fabric("plain", (0.13, 0.22, 0.36)), sleeve=0.55),
        ),
        "amara": person(
            BodyShape(gender=0.9, age=0.64, weight=0.45, african=1.0, asian=0.0, caucasian=0.0),
            seed=2,
            skin=(0.33, 0.215, 0.155),
            lips=(0.40, 0.17, 0.16),
            iris=IRIS_COLOURS[0],
            hair=Hair("afro", HAIR_COLOURS[0], volume_m=0.055),
            earrings=True,
            clothes=Clothes(Fabric("plain", (0.86, 0.66, 0.20)), neckline="scoop", neck_depth_m=0.05, sleeve=1.85),
            scene=Scene(kind="plain", seed=5, colour=(0.62, 0.68, 0.70)),
        ),
        "kenji": person(
            BodyShape(gender=0.05, age=0.72, weight=0.5, african=0.0, asian=1.0, caucasian=0.0),
            seed=3,
            skin=(0.84, 0.66, 0.52),
            iris=IRIS_COLOURS[0],
            hair=Hair("short", HAIR_COLOURS[0], volume_m=0.017),
            glasses=(0.08, 0.08, 0.09),
            clothes=Clothes(
                Fabric("plain", (0.92, 0.92, 0.91), decal="buttons"),
                jacket=Fabric("melange", (0.25, 0.27, 0.30)),
                neckline="polo",
                sleeve=1.85,
            ),
            scene=Scene(kind="room", seed=11, colour=(0.80, 0.78, 0.73), second=(0.45, 0.36, 0.28)),
        ),
        "lucia": person(
            BodyShape(gender=0.95, age=0.62, weight=0.4, african=0.15, asian=0.15, caucasian=0.7),
            seed=4,
            skin=(0.80, 0.60, 0.46),
            lips=(0.66, 0.22, 0.22),
            makeup=0.6,
            hair=Hair("long", HAIR_COLOURS[2], length_m=0.28, volume_m=0.016),
            clothes=Clothes(
                Fabric("stripes", (0.90, 0.89, 0.86), (0.15, 0.2, 0.42), 0.05),
                neckline="boat",
                sleeve=1.3,
            ),
            scene=Scene(kind="texture", seed=7, colour=(0.70, 0.62, 0.53), second=(0.60, 0.52, 0.44)),
        ),
        "margaret": person(
            BodyShape(gender=0.9, age=0.95, weight=0.6, african=0.0, asian=0.0, caucasian=1.0),
            seed=5,
            skin=(0.93, 0.78, 0.70),
            iris=IRIS_COLOURS[5],
            wrinkles=0.9,
            hair=Hair("bob", HAIR_COLOURS[9], length_m=0.05, volume_m=0.02),
            clothes=Clothes(
                Fabric("plain", (0.45, 0.16, 0.30), decal="buttons"), neckline="v", neck_depth_m=0.08, sleeve=1.85
            ),
            scene=Scene(kind="room", seed=23, colour=(0.66, 0.72, 0.68), second=(0.40, 0.30, 0.24)),
        ),
        "omar": person(
            BodyShape(gender=0.05, age=0.68, muscle=0.65, weight=0.6, african=0.35, asian=0.15, caucasian=0.5),
            seed=6,
            skin=(0.62, 0.44, 0.32),
            brow=1.4,
            hair=Hair("shaved", HAIR_COLOURS[0]),
            beard="full",
            clothes=Clothes(Fabric("plain", (0.20, 0.34, 0.25), decal="pocket"), sleeve=0.6, neckline="crew"),
            scene=Scene(kind="gradient", seed=13, colour=(0.78, 0.72, 0.62), second=(0.50, 0.44, 0.38)),
        ),
        "noor": person(
            BodyShape(gender=0.92, age=0.65, weight=0.5, african=0.1, asian=0.4, caucasian=0.5),
            seed=7,
            skin=(0.74, 0.54, 0.41),
            makeup=0.4,
            hair=Hair("headscarf", (0.20, 0.36, 0.42), volume_m=0.014),
            clothes=Clothes(Fabric("plain", (0.72, 0.68, 0.62)), sleeve=1.9, dress=True),
            scene=Scene(kind="plain", seed=17, colour=(0.80, 0.79, 0.77)),
        ),
        "sam": person(
            BodyShape(gender=0.45, age=0.58, weight=0.3, african=0.2, asian=0.5, caucasian=0.3),
            seed=8,
            skin=(0.87, 0.69, 0.57),
            freckles=0.5,
            hair=Hair("curls", HAIR_COLOURS[7], volume_m=0.03),
            clothes=Clothes(
                Fabric("checks", (0.62, 0.16, 0.15), (0.12, 0.12, 0.15), 0.07, "buttons"), neckline="polo", sleeve=1.2
            ),
            scene=Scene(kind="room", seed=31, colour=(0.75, 0.77, 0.82), second=(0.52, 0.50, 0.48)),
        ),
        "david": person(
            BodyShape(gender=0.0, age=0.85, weight=0.75, african=0.9, asian=0.0, caucasian=0.1),
            seed=9,
            skin=(0.26, 0.17, 0.125),
            lips=(0.34, 0.17, 0.15),
            iris=IRIS_COLOURS[0],
            wrinkles=0.4,
            hair=Hair("bald", HAIR_COLOURS[8]),
            beard="moustache",
            clothes=Clothes(
                Fabric("bars", (0.80, 0.84, 0.88), (0.45, 0.56, 0.70), 0.022, "buttons"), neckline="polo", sleeve=1.85
            ),
            scene=Scene(kind="gradient", seed=19, colour=(0.58, 0.64, 0.70), second=(0.42, 0.47, 0.54)),
        ),
        "mina": person(
            BodyShape(gender=0.9, age=0.6, weight=0.4, african=0.0, asian=0.95, caucasian=0.05),
            seed=10,
            skin=(0.95, 0.81, 0.71),
            lips=(0.78, 0.36, 0.36),
            iris=IRIS_COLOURS[0],
            nails=(0.7, 0.08, 0.12),
            hair=Hair("long_fringe", HAIR_COLOURS[0], length_m=0.2, volume_m=0.014),
            clothes=Clothes(Fabric("dots", (0.16, 0.14, 0.17), (0.88, 0.86, 0.82), 0.045), neckline="crew", sleeve=0.5),
            scene=Scene(kind="plain", seed=29, colour=(0.55, 0.62, 0.55)),
        ),
    }


BUILT_IN_SIGNERS = MappingProxyType(_built_in())
"""The signers that ship with the package, by name."""
