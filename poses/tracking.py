"""Signers over time: who in one frame is who in the next, and which of them to read.

SignVerse-2M numbers people by how sure the detector was, frame by frame: person 0 may be somebody else in the next
frame. Here people are followed by where they stand, how large they are and how they are built. What is not seen stays
unseen: a track with a gap has no points in it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int

from poses.formats.checks import checked_sequence
from poses.formats.signverse_repairs import MIN_BODY_JOINTS, MIN_HAND_POINTS
from poses.keypoints import PARTS, index
from poses.people import People
from poses.sequence import PoseSequence

MAX_GAP_S = 0.5
"""Seconds for which somebody may be unseen and still be the same one."""

MAX_PEOPLE = 32
"""People of a frame who are followed; in a crowd, nobody signs to the camera."""

POSITION_SPREAD = 0.05
"""Shoulder widths by which a torso is off where it was expected, at one standard deviation, from noise alone."""

DRIFT = 1.0
"""Shoulder widths a second by which that grows from when somebody was last seen."""

SIZE_SPREAD = 0.15
"""Standard deviation of the log size from frame to frame."""

BUILD_SPREAD = 0.1
"""Standard deviation of the log length of a bone beyond the longest that was seen of it."""

MAX_SQUARES = 16.0
"""The largest squared number of standard deviations, position, size and build together, within one track."""

FLICKER_S = 0.5
"""Seconds below which a new first person is a flicker of the detector."""

MIN_MASKED_RUN_S = 1.0
"""Seconds without anybody, or without hands, that are masked; shorter ones belong to the signing."""

MOVING = 0.12
"""Shoulder widths: the standard deviation of a wrist within a second from which on somebody moves."""

_VELOCITY_S = 0.25
_MOST_SPREADS = 3.0
_CONFIDENT = 0.3
_FAR_OFF = 0.25

_TORSO = ("neck", "right_shoulder", "left_shoulder", "nose")
_SIZES = (
    ("right_shoulder", "left_shoulder", 1.0),
    ("neck", "nose", 1.5),
    ("neck", "right_hip", 0.65),
    ("neck", "left_hip", 0.65),
)
_BUILD = (
    ("right_shoulder", "left_shoulder"), ("neck", "nose"), ("right_eye", "left_eye"), ("right_ear", "left_ear"),
    ("right_shoulder", "right_elbow"), ("left_shoulder", "left_elbow"),
    ("right_elbow", "right_wrist"), ("left_elbow", "left_wrist"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Track:
    """One person through a video.

    Attributes:
        frames: Those that show the person, rising.
        slots: Which person of each of these frames it is.
    """

    frames: Int[np.ndarray, " seen"]
    slots: Int[np.ndarray, " seen"]

    def slots_of(self, num_frames: int) -> Int[np.ndarray, " frames"]:
        """Which person of each frame of a video it is, -1 where unseen."""
        slots = np.full(num_frames, -1)
        slots[self.frames] = self.slots
        return slots


@dataclass(frozen=True, eq=False)
class MainSigner:
    """The person to read in each frame.

    Attributes:
        slots: Which person of each frame it is, -1 where unseen.
        tracks: Which track that is, -1 where there is none; another number is another person.
        empty: Frames in runs of a second or more without the signer.
        handless: Frames in runs of a second or more in which neither hand is seen.
        accompanied: Frames in which somebody else moves.
    """

    slots: Int[np.ndarray, " frames"]
    tracks: Int[np.ndarray, " frames"]
    empty: Bool[np.ndarray, " frames"]
    handless: Bool[np.ndarray, " frames"]
    accompanied: Bool[np.ndarray, " frames"]

    @property
    def usable(self) -> Bool[np.ndarray, " frames"]:
        """Frames in which one signer, with hands, signs alone."""
        return ~(self.empty | self.handless | self.accompanied)

    def runs(self) -> list[tuple[int, int]]:
        """Stretches of usable frames of one person: the first frame, and one past the last."""
        usable = self.usable
        # A gap belongs to the person before it, so that it cuts nothing.
        owner = self.tracks[np.maximum.accumulate(np.where(self.tracks >= 0, np.arange(len(usable)), 0))]
        begins = np.flatnonzero(usable & ~(np.r_[False, usable[:-1]] & (owner == np.r_[-2, owner[:-1]])))
        ends = np.flatnonzero(usable & ~(np.r_[usable[1:], False] & (owner == np.r_[owner[1:], -2]))) + 1
        return list(zip(begins.tolist(), ends.tolist(), strict=True))


# Following people


@dataclass(frozen=True, eq=False)
class _Looks:
    """What is compared of everybody: torso in pixels, log size, log lengths of bones over it; NaN where unseen."""

    real: Bool[np.ndarray, "frames people"]
    torso: Float64[np.ndarray, "frames people 2"]
    log_size: Float64[np.ndarray, "frames people"]
    build: Float64[np.ndarray, "frames people bones"]


@dataclass(eq=False)
class _Trail:
    """A track while it grows."""

    frames: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    torsos: list[np.ndarray] = field(default_factory=list)
    log_size: float = 0.0
    longest: np.ndarray = field(default_factory=lambda: np.full(len(_BUILD), np.nan))

    def add(self, frame: int, slot: int, looks: _Looks) -> None:
        self.longest = np.fmax(self.longest, looks.build[frame, slot])
        self.log_size = float(looks.log_size[frame, slot])
        self.frames.append(frame)
        self.slots.append(slot)
        self.torsos.append(looks.torso[frame, slot])

    def expected(self, frame: int, fps: float) -> np.ndarray:
        """Where the torso is, if it goes on as in the last quarter of a second."""
        first = max(len(self.frames) - 1 - max(round(_VELOCITY_S * fps), 1), 0)
        elapsed = self.frames[-1] - self.frames[first]
        if elapsed == 0:
            return self.torsos[-1]
        velocity = (self.torsos[-1] - self.torsos[first]) / elapsed
        return self.torsos[-1] + velocity * (frame - self.frames[-1])


def track_people(people: People) -> tuple[Track, ...]:
    """Follows everybody through a video.

    From frame to frame, people and tracks are matched at the least total cost by `scipy.optimize.linear_sum_assignment`
    (https://doi.org/10.1109/TAES.2016.140952). The cost of a match is, but for a constant, twice its negative log
    likelihood: three squares, each in standard deviations,

    * the distance of the torso from where the track's last quarter of a second leads, in shoulder widths, over
      `POSITION_SPREAD` and `DRIFT` for each second since the track was seen;
    * the change of log size, over `SIZE_SPREAD`;
    * the mean over bones of how much longer each is than the track has ever shown it, over `BUILD_SPREAD`. Bones that
      seem shorter may just point to the camera, and cost nothing;

    and the logarithm of the first one's spread, so that a track unseen for long, which might be anywhere, does not win
    over one that leads here.

    Squares above `MAX_SQUARES` are no match: they begin a new track. A track unseen for more than `MAX_GAP_S` ends.
    People with fewer than `MIN_BODY_JOINTS` joints, and those whom the detector put after `MAX_PEOPLE` others, are in
    no track.

    Args:
        people: Everybody in a video, as `read_people` gives it.

    Returns:
        Tracks in order of their first frame, people who came together in the detector's order.
    """
    from scipy.optimize import linear_sum_assignment

    looks = _looks(people)
    open_trails: list[_Trail] = []
    trails: list[_Trail] = []
    # What a match that is none costs: more than any other, and all the same, so that it cannot push others aside.
    none = MAX_SQUARES + _spread_cost(np.float64(POSITION_SPREAD + DRIFT * (MAX_GAP_S + 1 / people.fps)))
    for frame in range(len(people.keypoints)):
        open_trails = [trail for trail in open_trails if frame - trail.frames[-1] - 1 <= MAX_GAP_S * people.fps]
        slots = np.flatnonzero(looks.real[frame]).tolist()
        costs = _costs(open_trails, frame, slots, looks, people.fps)
        rows, columns = linear_sum_assignment(np.minimum(costs, none))
        matched = {
            int(column): open_trails[row]
            for row, column in zip(rows, columns, strict=True)
            if np.isfinite(costs[row, column])
        }
        for column, slot in enumerate(slots):
            trail = matched.get(column)
            if trail is None:
                trail = _Trail()
                open_trails.append(trail)
                trails.append(trail)
            trail.add(frame, slot, looks)
    return tuple(Track(np.array(trail.frames), np.array(trail.slots)) for trail in trails)


def _costs(
    trails: list[_Trail], frame: int, slots: list[int], looks: _Looks, fps: float
) -> Float64[np.ndarray, "trails slots"]:
    """What each match costs, infinity where it is none."""
    if not trails or not slots:
        return np.zeros((len(trails), len(slots)))
    unseen_s = np.array([(frame - trail.frames[-1]) / fps for trail in trails])
    expected = np.stack([trail.expected(frame, fps) for trail in trails])
    log_sizes = np.array([trail.log_size for trail in trails])
    longest = np.stack([trail.longest for trail in trails])
    distances = np.linalg.norm(looks.torso[frame, slots] - expected[:, None], axis=2) / np.exp(log_sizes)[:, None]
    spreads = (POSITION_SPREAD + DRIFT * unseen_s)[:, None]
    sizes = (looks.log_size[frame, slots] - log_sizes[:, None]) / SIZE_SPREAD
    longer = (looks.build[frame, slots] - longest[:, None]) / BUILD_SPREAD
    known = ~np.isnan(longer)
    squares = np.where(known, longer, 0).clip(0, _MOST_SPREADS) ** 2
    total = (distances / spreads) ** 2 + sizes**2 + squares.sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    return np.where(total < MAX_SQUARES, total + _spread_cost(spreads), np.inf)


def _spread_cost(spread: np.ndarray | np.float64) -> np.ndarray:
    """The logarithm of the variance in both dimensions, beyond that of noise alone."""
    return 4 * np.log(spread / POSITION_SPREAD)


def _looks(people: People) -> _Looks:
    points = people.keypoints[:, :MAX_PEOPLE, PARTS["body"]]
    seen = people.confidence[:, :MAX_PEOPLE, PARTS["body"]] > _CONFIDENT
    pixels = points * np.array([people.width, people.height], np.float64)
    near = np.abs(points - 0.5).max(axis=-1) <= 0.5 + _FAR_OFF
    seen = seen & near
    torso = index(*_TORSO)
    weights = seen[..., torso].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (pixels[..., torso, :] * weights[..., None]).sum(axis=2) / weights.sum(axis=2)[..., None]
        sizes = np.stack([factor * _bone(pixels, seen, (a, b)) for a, b, factor in _SIZES], axis=-1)
        log_size = np.log(np.fmax.reduce(sizes, axis=-1))
        build = np.stack([np.log(_bone(pixels, seen, bone)) for bone in _BUILD], axis=-1) - log_size[..., None]
    real = (seen.sum(axis=2) >= MIN_BODY_JOINTS) & np.isfinite(centre).all(axis=2) & np.isfinite(log_size)
    return _Looks(real, centre, log_size, np.where(np.isfinite(build), build, np.nan))


def _bone(pixels: np.ndarray, seen: np.ndarray, bone: tuple[str, str]) -> np.ndarray:
    first, second = (index(name) for name in bone)
    length = np.linalg.norm(pixels[..., first, :] - pixels[..., second, :], axis=-1)
    return np.where(seen[..., first] & seen[..., second], length, np.nan)


# Choosing the signer


def main_signer(people: People, tracks: Sequence[Track]) -> MainSigner:
    """Chooses the person to read in each frame.

    That is the one whom the detector puts first, which is a better rule than the largest body. Somebody who is first
    for less than `FLICKER_S` is a flicker: the one before stays, unseen where the detector lost them. Where that one
    has left, or not come yet, it is who is first most of the next `FLICKER_S`.

    Args:
        people: Everybody in a video.
        tracks: What `track_people` found in it.
    """
    num_frames = len(people.keypoints)
    first = np.full(num_frames, -1)
    for number, track in enumerate(tracks):
        first[track.frames[track.slots == 0]] = number
    least = FLICKER_S * people.fps
    chosen = _without_absences(_without_flickers(first, least), first, tracks, least)
    slots = np.full(num_frames, -1)
    accompanied = np.zeros(num_frames, bool)
    for number, track in enumerate(tracks):
        is_chosen = chosen[track.frames] == number
        slots[track.frames[is_chosen]] = track.slots[is_chosen]
        if not is_chosen.all():
            accompanied[track.frames] |= ~is_chosen & _moves(people, track)
    tracked = np.where(slots >= 0, chosen, -1)
    unseen = slots < 0
    hands = np.zeros(num_frames, bool)
    frames = np.flatnonzero(~unseen)
    for side in ("left_hand", "right_hand"):
        confident = people.confidence[frames, slots[frames], PARTS[side]] > _CONFIDENT
        hands[frames] |= confident.sum(axis=1) >= MIN_HAND_POINTS
    least = MIN_MASKED_RUN_S * people.fps
    return MainSigner(slots, tracked, _long_runs(unseen, least), _long_runs(~hands, least), accompanied)


def signer_poses(people: People, slots: Int[np.ndarray, " frames"], source: str) -> PoseSequence:
    """The poses of one person: a `Track`'s, or the main signer's. Where the person is unseen, no point is seen.

    Args:
        people: Everybody in the video.
        slots: Which person of each frame, -1 where unseen: `Track.slots_of`, or `MainSigner.slots`.
        source: Where the video comes from, for messages and as the clip's source.

    Raises:
        PoseFileError: No point is seen in any frame, or points cannot be true.
    """
    frames = np.flatnonzero(slots >= 0)
    keypoints = np.zeros((len(slots), *people.keypoints.shape[2:]), np.float32)
    confidence = np.zeros((len(slots), *people.confidence.shape[2:]), np.float32)
    keypoints[frames] = people.keypoints[frames, slots[frames]]
    confidence[frames] = people.confidence[frames, slots[frames]]
    return checked_sequence(
        source,
        keypoints,
        confidence,
        fps=people.fps,
        width=people.width,
        height=people.height,
        language=people.language,
        glosses=people.glosses,
        estimator=people.estimator,
    )


def main_signer_poses(people: People, source: str) -> PoseSequence:
    """The poses of the main signer; in a video of one person theirs, just as they are.

    Args:
        people: Everybody in the video.
        source: Where the video comes from, for messages and as the clip's source.

    Raises:
        PoseFileError: No point is seen in any frame, or points cannot be true.
    """
    if people.keypoints.shape[1] == 1:
        return signer_poses(people, np.minimum(people.num_people, 1) - 1, source)
    return signer_poses(people, main_signer(people, track_people(people)).slots, source)


def _without_flickers(first: np.ndarray, least: float) -> np.ndarray:
    """Who is chosen in each frame, from who is first: those first for fewer than `least` frames are not."""
    known = np.flatnonzero(first >= 0)
    if len(known) == 0:
        return first
    # Frames without a first person belong to the one before.
    carried = first[known[np.maximum(np.searchsorted(known, np.arange(len(first)), side="right") - 1, 0)]]
    begins = np.flatnonzero(np.diff(carried, prepend=-2))
    lengths = np.diff(begins, append=len(carried))
    lasting = [(begin, carried[begin]) for begin, length in zip(begins, lengths, strict=True) if length >= least]
    if not lasting:
        return np.full_like(first, np.bincount(first[known]).argmax())
    chosen = np.full_like(first, lasting[0][1])
    for begin, track in lasting:
        chosen[begin:] = track
    return chosen


def _without_absences(chosen: np.ndarray, first: np.ndarray, tracks: Sequence[Track], least: float) -> np.ndarray:
    """Who is chosen instead of somebody who, for `least` frames or more, is not in the video any more, or not yet."""
    if not tracks or chosen[0] < 0:
        return chosen
    begins = np.array([track.frames[0] for track in tracks])
    ends = np.array([track.frames[-1] for track in tracks])
    frames = np.arange(len(chosen))
    absent = _long_runs((frames < begins[chosen]) | (frames > ends[chosen]), least)
    # Those who are followed for less are flickers, too.
    candidates = np.where((first >= 0) & (ends - begins + 1 >= least)[first], first, -1)
    chosen = chosen.copy()
    for at, stop in np.flatnonzero(np.diff(absent.astype(np.int8), prepend=0, append=0)).reshape(-1, 2).tolist():
        while at < stop:
            until = min(at + math.ceil(least), stop)
            counts = Counter(one for one in candidates[at:until].tolist() if one >= 0)
            if counts:
                ((one, _),) = counts.most_common(1)
                until = min(int(ends[one]) + 1, stop)
                chosen[at:until] = one
            at = until
    return chosen


def _moves(people: People, track: Track) -> Bool[np.ndarray, " seen"]:
    """In which of its frames a wrist or the neck strays within a second, by the standard deviation."""
    points = people.keypoints[track.frames, track.slots] * np.array([people.width, people.height], np.float64)
    seen = people.confidence[track.frames, track.slots] > _CONFIDENT
    right, left = index("right_shoulder"), index("left_shoulder")
    both = seen[:, right] & seen[:, left]
    half = max(round(people.fps / 2), 1)
    moves = np.zeros(len(track.frames), bool)
    if len(moves) < half or not both.any():
        return moves
    shoulder_width = np.median(np.linalg.norm(points[both, right] - points[both, left], axis=1))
    begins = np.searchsorted(track.frames, track.frames - half)
    stops = np.searchsorted(track.frames, track.frames + half, side="right")
    for joint in (index("right_wrist"), index("left_wrist"), index("neck")):
        place = (points[:, joint] - points[both, right].mean(axis=0)) / max(shoulder_width, 1e-9)
        terms = np.column_stack([np.ones(len(place)), place, (place**2).sum(axis=1)]) * seen[:, joint, None]
        sums = np.concatenate([np.zeros((1, 4)), np.cumsum(terms, axis=0)])
        count, x, y, square = (sums[stops] - sums[begins]).T
        count = np.maximum(count, 1)
        variance = square / count - (x / count) ** 2 - (y / count) ** 2
        moves |= (count >= half) & (variance > MOVING**2)
    return moves


def _long_runs(flags: Bool[np.ndarray, " frames"], least: float) -> Bool[np.ndarray, " frames"]:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    kept = np.zeros_like(flags)
    for begin, end in edges.reshape(-1, 2):
        kept[begin:end] = end - begin >= least
    return kept
