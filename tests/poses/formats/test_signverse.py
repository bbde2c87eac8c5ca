"""SignVerse-2M files: read as published, repaired, and written as published."""

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poses.formats.signverse import read_people, read_signverse, write_signverse
from poses.formats.signverse_published import Defects, publish_video
from poses.formats.signverse_repairs import VERSIONS, Repairs
from poses.keypoints import PARTS, index
from poses.people import People, Repair
from poses.sequence import GlossSpan, PoseFileError

BODY = PARTS["body"]
ROUND_TRIP = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ROUND_TRIP
@given(
    seed=st.integers(0, 2**32 - 1),
    num_frames=st.integers(1, 40),
    fps=st.sampled_from([24.0, 25.0, 29.97, 30000 / 1001, 60.0, 12.5, 10.49, 1.0]),
    body_confidence=st.booleans(),
    language=st.sampled_from(["", "ase"]),
    glosses=st.lists(st.text(min_size=1, max_size=8).filter(lambda text: not text.endswith("\0")), max_size=3),
    estimator=st.sampled_from(["", "mediapipe"]),
)
def test_round_trip_loses_only_the_bodys_confidence(
    make_poses, tmp_path, seed, num_frames, fps, body_confidence, language, glosses, estimator
):
    spans = tuple(GlossSpan(gloss, 0, num_frames) for gloss in glosses)
    poses = make_poses(seed, num_frames, fps=fps, width=641, height=359, language=language, glosses=spans)
    poses = replace(poses, estimator=estimator)
    path = tmp_path / "clip.npz"
    write_signverse(poses, path, overwrite=True, body_confidence=body_confidence)
    back = read_signverse(path)

    expected = poses.confidence.copy()
    if not body_confidence:
        expected[:, BODY] = expected[:, BODY] > 0.3
    assert np.array_equal(back.confidence, expected)
    assert np.array_equal(back.keypoints, np.where(expected[..., None] > 0, poses.keypoints, 0))
    assert (back.fps, back.width, back.height) == (poses.fps, poses.width, poses.height)
    assert (back.language, back.glosses, back.source) == (poses.language, poses.glosses, str(path))
    assert back.estimator == estimator


def test_written_file_has_the_published_layout(make_poses, tmp_path, publish):
    poses = make_poses(num_frames=3)
    poses = replace(poses, keypoints=poses.keypoints.clip(0, 1))
    write_signverse(poses, tmp_path / "clip.npz")
    with np.load(tmp_path / "clip.npz", allow_pickle=True) as file:
        assert file.files == [
            "video_id", "fps", "total_frames", "frame_widths", "frame_heights", "frame_indices", "frame_payloads"
        ]  # fmt: skip
        assert [(file[key].dtype.kind, file[key].shape) for key in file.files] == [
            ("U", ()), ("i", ()), ("i", ()), ("i", (3,)), ("i", (3,)), ("i", (3,)), ("O", (3,))
        ]  # fmt: skip
        assert file["fps"].dtype == file["frame_indices"].dtype == np.int32
        assert file["frame_indices"].tolist() == [1, 2, 3]
        payload = file["frame_payloads"][0]
    published = publish([1]).payloads[0]
    assert {key: (value.dtype, value.shape) for key, value in payload.items()} == {
        key: (value.dtype, value.shape) for key, value in published.items()
    }
    assert list(payload) == list(published)
    seen = poses.confidence[0, BODY] > 0.3
    assert payload["person_000_body_scores"].tolist() == np.where(seen, np.arange(18), -1).tolist()
    with zipfile.ZipFile(tmp_path / "clip.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_body_codes_become_visibility(publish, save_poses_npz):
    published = publish([1, 2, 1])
    people = read_people(save_poses_npz(published.payloads))
    assert np.array_equal(people.confidence[..., BODY], published.confidence[..., BODY] > 0.3)
    assert "body-codes-1" in people.repairs
    assert (people.confidence[..., index("nose")] == (published.confidence[..., index("nose")] > 0.3)).all()


def test_true_body_confidences_are_kept(publish, save_poses_npz):
    published = publish([1, 1])
    for payload, confidence in zip(published.payloads, published.confidence, strict=True):
        payload["person_000_body_scores"] = confidence[0, BODY]
    people = read_people(save_poses_npz(published.payloads))
    assert np.array_equal(people.confidence[:, 0, BODY], published.confidence[:, 0, BODY])
    assert people.repairs == ()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_hands_return_to_their_owners(publish, save_poses_npz, count):
    published = publish([count] * 50, seed=count)
    path = save_poses_npz(published.payloads)
    people = read_people(path)
    hands = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
    assert np.array_equal(people.keypoints[:, :, hands], published.keypoints[:, :, hands])
    assert np.array_equal(people.confidence[:, :, hands], published.confidence[:, :, hands])
    assert ("hands-1" in people.repairs) == (count > 1)
    as_stored = read_people(path, repairs=Repairs(hands=False))
    assert np.array_equal(as_stored.keypoints, people.keypoints) == (count == 1)


def test_hands_already_at_their_owners_are_left_there(publish, save_poses_npz):
    published = publish([2] * 5)
    for payload, keypoints in zip(published.payloads, published.keypoints, strict=True):
        for person in range(2):
            for side in ("left_hand", "right_hand"):
                payload[f"person_{person:03d}_{side}_keypoints"] = keypoints[person, PARTS[side]]
    people = read_people(save_poses_npz(published.payloads))
    assert np.array_equal(people.keypoints, published.keypoints)
    assert "hands-1" not in people.repairs


def test_people_come_and_go(publish, save_poses_npz):
    counts = [1, 1, 0, 2, 2, 5, 0, 1, 1, 1, 2]
    published = publish(counts)
    path = save_poses_npz(published.payloads)
    people = read_people(path)
    assert people.num_people.tolist() == counts
    assert np.array_equal(people.keypoints, published.keypoints)
    assert read_people(path, max_people=2).keypoints.shape == (11, 2, 128, 2)


def test_a_person_without_hands(publish, save_poses_npz):
    (payload,) = publish([1]).payloads
    without = {key: value for key, value in payload.items() if "hand" not in key}
    poses = read_signverse(save_poses_npz([without]))
    assert not poses.part("left_hand")[1].any()
    assert not poses.part("right_hand")[1].any()
    assert poses.part("face")[1].any()


def signers(counts: list[int], seed: int = 0) -> People:
    """People side by side, each hand at its owner's wrist; some points are unseen, others sure."""
    random = np.random.default_rng(seed)
    shape = (len(counts), max([*counts, 0]), 128)
    keypoints = random.uniform(0, 0.05, (*shape, 2)).astype(np.float32)
    keypoints[..., 0] += np.arange(shape[1])[:, None] / max(shape[1], 1)
    confidence = random.uniform(0.31, 1, shape).astype(np.float32)
    confidence[random.random(shape) < 0.2] = 1
    confidence[..., PARTS["face"]][random.random((*shape[:2], 68)) < 0.2] = 0
    confidence[..., BODY] = random.random((*shape[:2], 18)) < 0.9
    for side in ("left", "right"):
        wrist, hand = index(f"{side}_wrist"), PARTS[f"{side}_hand"].start
        keypoints[..., hand, :] = keypoints[..., wrist, :]
        confidence[..., [wrist, hand]] = 1
    exists = np.arange(shape[1]) < np.array(counts)[:, None]
    keypoints, confidence = (
        np.where((confidence > 0)[..., None], keypoints, 0),
        np.where(exists[..., None], confidence, 0),
    )
    return People(
        np.where(exists[..., None, None], keypoints, 0).astype(np.float32), confidence.astype(np.float32),
        np.array(counts, np.int32), 24.0, 640, 360, "", (), (),
    )  # fmt: skip


def published_folder(folder, people: People, defects: Defects):
    """Writes a video as it is published."""
    for name, data in publish_video(people, "video", defects).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    defects=st.builds(
        Defects,
        scheme=st.sampled_from(["poses", "frames"]),
        decoding=st.sampled_from(["optimized", "stream", "jpg-spill"]),
        permuted_hands=st.booleans(),
        high_scores=st.booleans(),
        off_frame=st.booleans(),
    ),
)
def test_whatever_the_defects_the_people_come_back(tmp_path_factory, counts, seed, defects):
    people = signers(counts, seed)
    back = read_people(published_folder(tmp_path_factory.mktemp("video"), people, defects))
    assert np.array_equal(back.num_people, counts)
    columns = slice(max(counts))  # a video of phantoms alone still has a column for them
    assert np.array_equal(back.confidence[:, columns], people.confidence)
    assert not back.confidence[:, max(counts) :].any()
    seen = people.confidence > 0
    assert np.array_equal(back.keypoints[:, columns][seen], people.keypoints[seen])
    assert (back.fps, back.width, back.height) == (24, 640, 360)


def test_each_repair_is_reported_with_what_it_changed(tmp_path):
    """Four frames of two people, one of them empty but for a phantom."""
    people = signers([2, 0, 2, 1])
    sure = (people.confidence[..., 18:] == 1).sum()
    defects = Defects(decoding="jpg-spill", high_scores=True, off_frame=True)
    exists = np.arange(2) < people.num_people[:, None]
    unseen = ((people.confidence[..., 18:] == 0) & exists[..., None]).sum()
    repaired = {repair.name: repair for repair in read_people(published_folder(tmp_path, people, defects)).repaired}
    assert set(repaired) == set(VERSIONS)
    assert repaired["frame-indices"] == Repair("frame-indices", 1, frames=4)
    assert repaired["body-codes"] == Repair("body-codes", 1, frames=4, people=6, points=6 * 18)  # the phantom's as well
    assert repaired["hands"] == Repair("hands", 1, frames=2, people=4, points=4 * 42)
    assert repaired["phantoms"] == Repair("phantoms", 1, frames=1, people=1, points=128)
    assert repaired["scores"].points == sure
    assert (repaired["off-frame"].points, repaired["off-frame"].label) == (unseen, "off-frame-1")


@pytest.mark.parametrize("name", VERSIONS)
def test_each_repair_can_be_switched_off(tmp_path, name):
    people = signers([2, 0, 2, 1])
    folder = published_folder(tmp_path, people, Defects(decoding="jpg-spill", high_scores=True, off_frame=True))
    back = read_people(folder, repairs=Repairs().without([name]))
    assert {repair.name for repair in back.repaired} == set(VERSIONS) - {name}
    assert (not np.array_equal(back.confidence, people.confidence)) == (name != "frame-indices")
    if name == "body-codes":
        assert back.confidence[0, 0, BODY].tolist() == [0, *people.confidence[0, 0, BODY][1:]]  # the nose is joint 0


def test_a_stride_is_left_alone_when_asked(tmp_path):
    folder = published_folder(tmp_path, signers([1, 1]), Defects(stride=3))
    assert read_people(folder).fps == 24
    assert read_people(folder, repairs=Repairs(frame_indices=False)).fps == 72


def test_people_without_hands(tmp_path):
    people = read_people(published_folder(tmp_path, signers([2, 1]), Defects(without_hands=True)))
    assert not people.confidence[..., PARTS["left_hand"].start : PARTS["right_hand"].stop].any()
    assert people.confidence[..., PARTS["face"]].any()


def test_a_damaged_checksum_is_refused(tmp_path):
    for scheme, name in (("poses", r"poses\.npz"), ("frames", r"00000002\.npz")):
        folder = published_folder(tmp_path / scheme, signers([1, 1]), Defects(scheme=scheme, damaged_crc=True))
        with pytest.raises(PoseFileError, match=rf"{name}: must be a whole zip file, .*Bad CRC-32"):
            read_people(folder)


@pytest.mark.parametrize("decoding", ["optimized", "stream", "jpg-spill"])
@pytest.mark.parametrize("scheme", ["poses", "frames"])
def test_one_unsure_person_is_a_phantom_only_where_there_are_any(tmp_path, decoding, scheme):
    """The optimized way of decoding does not look for anybody in frames where nobody was detected."""
    people = signers([1, 1])
    people.confidence[1] = 0.2
    back = read_people(published_folder(tmp_path, people, Defects(scheme, decoding)))
    assert back.num_people.tolist() == [1, 1 if decoding == "optimized" else 0]


@pytest.mark.parametrize("part", ["body", "left_hand", "right_hand", "face"])
def test_who_shows_a_part_is_no_phantom(tmp_path, part):
    people = signers([1])
    people.confidence[:] = 0.2
    people.confidence[..., PARTS[part]] = 1
    assert read_people(published_folder(tmp_path, people, Defects(decoding="stream"))).num_people.tolist() == [1]


def test_a_point_a_little_off_the_frame_stays(tmp_path):
    people = signers([1])
    people.keypoints[0, 0, -2:] = [(-0.25, 1.25), (-0.26, 0.5)]
    people.confidence[0, 0, -2:] = 0.9
    back = read_people(published_folder(tmp_path, people, Defects()))
    assert back.confidence[0, 0, -2:].tolist() == [np.float32(0.9), 0]


def test_a_repair_that_a_file_calls_unneeded_must_be_known(publish, save_poses_npz):
    path = save_poses_npz(publish([1]).payloads, unneeded_repairs=np.array(["manners"]))
    with pytest.raises(PoseFileError, match=r"must name some of body-codes, .*, found 'manners'"):
        read_people(path)


def test_the_signer_is_followed_where_the_detector_swaps_people(tmp_path):
    people = signers([2] * 30)
    for array in (people.keypoints, people.confidence):
        array[:] = array[:1]  # nobody moves
        array[12:18] = array[12:18, ::-1]
    poses = read_signverse(published_folder(tmp_path, people, Defects()))
    assert np.array_equal(poses.confidence, np.repeat(people.confidence[:1, 0], 30, axis=0))
    assert (read_people(tmp_path).confidence[12:18, 0] == people.confidence[0, 1]).all()


@pytest.mark.parametrize(
    ("indices", "fps", "frames"),
    [
        ([1, 2, 3, 4], 24, [0, 1, 2, 3]),
        ([1, 1, 2, 2, 3, 3, 4, 4], 24, [0, 1, 2, 3]),
        ([], 24, [0, 1, 2, 3]),
        ([1, 4, 7, 10], 8, [0, 1, 2, 3]),
        ([1, 2, 5, 6], 24, [0, 1, 4, 5]),
    ],
    ids=["as they are", "doubled", "none", "stride", "gap"],
)
def test_frame_indices(publish, save_poses_npz, indices, fps, frames):
    published = publish([1] * 4)
    people = read_people(save_poses_npz(published.payloads, frame_indices=np.array(indices, np.int32)))
    assert people.fps == fps
    assert np.flatnonzero(people.num_people).tolist() == frames
    assert np.array_equal(people.keypoints[frames], published.keypoints)
    assert ("frame-indices-1" in people.repairs) == (indices != [1, 2, 3, 4])


@pytest.mark.parametrize("place", ["folder", "video folder", "zip", "zip of video folder"])
@pytest.mark.parametrize("marked", [False, True])
def test_one_file_a_frame(publish, tmp_path, place, marked):
    published = publish([1, 2, 1])
    folder = tmp_path / "video" / "npz"
    folder.mkdir(parents=True)
    for number, payload in enumerate(published.payloads, start=1):
        np.savez(folder / f"{number:08d}.npz", **payload)
    if marked:
        (folder / ".complete").write_text("video_id=video\nfps=12\nframes=3\n")
    path = folder if place == "folder" else folder.parent
    if place.startswith("zip"):
        root = folder if place == "zip" else tmp_path
        path = shutil.make_archive(str(tmp_path / "archive"), "zip", root, "." if place == "zip" else "video")
    people = read_people(path)
    assert people.fps == (12 if marked else 24)
    assert np.array_equal(people.keypoints, published.keypoints)


def test_a_video_folder_holds_poses_npz(publish, save_poses_npz, tmp_path):
    (tmp_path / "video" / "npz").mkdir(parents=True)
    shutil.move(save_poses_npz(publish([1]).payloads), tmp_path / "video" / "npz" / "poses.npz")
    assert len(read_signverse(tmp_path / "video")) == 1


def test_fractional_rates_are_refused_unless_close(make_poses, tmp_path):
    with pytest.raises(ValueError, match=r"whole frame rates, got 7\.5 per second; resample"):
        write_signverse(make_poses(fps=7.5), tmp_path / "clip.npz")
    assert not any(tmp_path.iterdir())


def test_an_existing_file_is_kept(make_poses, tmp_path):
    (tmp_path / "clip.npz").write_text("mine")
    with pytest.raises(ValueError, match="already there"):
        write_signverse(make_poses(), tmp_path / "clip.npz")
    assert (tmp_path / "clip.npz").read_text() == "mine"


def test_one_frame_with_nobody_is_refused(publish, save_poses_npz):
    nobody = {key: value for key, value in publish([1]).payloads[0].items() if key.startswith("frame_")}
    path = save_poses_npz([nobody | {"num_persons": np.asarray(0, np.int32)}] * 3)
    with pytest.raises(PoseFileError, match=r"poses\.npz: must show a person, but nobody is in any of its 3 frames"):
        read_signverse(path)
    assert read_people(path).keypoints.shape == (3, 0, 128, 2)


def _change(key, value):
    return lambda payload: payload | {key: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _change("person_000_face_keypoints", np.zeros((67, 2), np.float32)),
            r"must be float \[68, 2\], found float32",
        ),
        (_change("person_000_face_keypoints", None), r"face_keypoints must be float \[68, 2\], found none"),
        (_change("person_000_body_scores", np.zeros(18, np.int32)), r"body_scores must be float \[18\], found int32"),
        (
            _change("num_persons", np.asarray(2, np.int32)),
            "as many people as num_persons says, found 1 where it says 2",
        ),
        (_change("num_persons", None), "must state num_persons as a whole number, found none"),
        (_change("frame_width", None), "must state frame_width as a whole number, found none"),
        (_change("frame_width", np.asarray(0, np.int32)), "frame size of 1 to 65535 pixels, found 0 x 360"),
        (_change("frame_width", np.asarray(10**9, np.int32)), "frame size of 1 to 65535 pixels"),
        (
            _change("person_000_face_keypoints", np.full((68, 2), np.nan, np.float32)),
            "found NaN or infinity in frame 0",
        ),
        (_change("person_000_face_scores", np.full(68, np.nan, np.float32)), "face_scores must be finite"),
        (_change("person_000_body_scores", np.full(18, np.inf, np.float32)), "body_scores must be finite"),
        (_change("person_000_face_keypoints", np.full((68, 2), 1e39)), "found NaN or infinity"),
        (_change("person_000_face_keypoints", np.full((68, 2), 640, np.float32)), "middle 640 frame sizes away"),
    ],
)
def test_wrong_payloads_are_refused(publish, save_poses_npz, change, message):
    path = save_poses_npz([change(payload) for payload in publish([1]).payloads])
    with pytest.raises(PoseFileError, match=message) as error:
        read_signverse(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_changing_frame_size_is_refused(publish, save_poses_npz):
    payloads = publish([1, 1]).payloads + publish([1], width=360, height=640).payloads
    with pytest.raises(PoseFileError, match="found 640 x 360 in frame 0 and 360 x 640 in frame 2"):
        read_signverse(save_poses_npz(payloads))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"fps": np.asarray(0, np.int32)}, r"0\.1 to 1000 frames per second, found 0"),
        ({"fps": np.asarray(-5, np.int32)}, r"0\.1 to 1000 frames per second, found -5"),
        ({"fps": np.asarray("24")}, r"fps\.npy must be one number, found <U2"),
        ({"fps": np.zeros((0,), np.int32)}, r"fps\.npy must be one number"),
        ({"fps": None}, r"must hold fps\.npy, found no such"),
        ({"exact_fps": np.asarray(12.5)}, r"exact_fps must be within 5% of fps, found 12\.5 and 24"),
        ({"exact_fps": np.asarray(np.nan)}, r"exact_fps\.npy must be one number"),
        ({"frame_indices": np.arange(7)}, r"must hold no, 2 or 4 whole numbers, found int64 \[7\]"),
        ({"frame_indices": np.array([2, 1])}, r"frame_indices must rise, found \[2, 1\]"),
        ({"frame_indices": np.array([1.0, 2.0])}, "whole numbers, found float64"),
        ({"frame_indices": np.array([0, 2**62])}, r"0\.1 to 1000 frames per second, found 5\.20417e-18"),
        ({"frame_indices": np.array([-(2**63), 2**63 - 1])}, "frame_indices must rise"),
        ({"glosses": np.array(["A"])}, r"must hold gloss_spans\.npy, found no such"),
        ({"glosses": np.array([1]), "gloss_spans": np.array([[0, 1]])}, r"glosses\.npy must be text, found int64"),
        (
            {"glosses": np.frombuffer(b"\xff" * 4, "<U1"), "gloss_spans": np.array([[0, 1]])},
            r"glosses\.npy must be text",
        ),
        (
            {"glosses": np.frombuffer(b"\0\xd8\0\0", "<U1"), "gloss_spans": np.array([[0, 1]])},
            "must be text, found <U1",
        ),
        ({"glosses": np.array(["A"]), "gloss_spans": np.array([0, 1])}, "two whole numbers for each of 1 glosses"),
        (
            {"glosses": np.array(["A"]), "gloss_spans": np.array([[0, 3]])},
            "`glosses` must lie in frames 0 to 2, got 'A' from 0 to 3",
        ),
        ({"glosses": np.array(["A"]), "gloss_spans": np.array([[1, 1]])}, "got 'A' from 1 to 1"),
        ({"frame_payloads": np.zeros(2)}, r"frame_payloads\.npy must be an array of dictionaries, found numbers"),
        ({"frame_payloads": np.array([1, "a"], object)}, "each frame must be a dictionary, found int"),
        ({"frame_payloads": np.empty(0, object)}, "must hold at least one frame"),
        ({"frame_payloads": None}, r"found 'video_id\.npy', 'fps\.npy'"),
        ({"fps": np.array([24], object)}, "found pickled objects"),
    ],
)
def test_wrong_files_are_refused(publish, save_poses_npz, others, message):
    path = save_poses_npz(publish([1, 1]).payloads, **others)
    with pytest.raises(PoseFileError, match=message) as error:
        read_signverse(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fps", [0, 1e-320, 1e300])
def test_a_frame_rate_that_cannot_be_is_refused_before_several_people_are_followed(publish, save_poses_npz, fps):
    path = save_poses_npz(publish([2, 2]).payloads, fps=np.asarray(fps))
    with pytest.raises(PoseFileError, match=r"must state 0\.1 to 1000 frames per second"):
        read_people(path)


@pytest.mark.parametrize(
    ("value", "message"), [(np.inf, "found NaN or infinity"), (3e38, "in the middle (inf|3e\\+38) frame sizes away")]
)
def test_hands_without_end_are_refused_without_a_warning(publish, save_poses_npz, value, message):
    payloads = publish([2, 2]).payloads
    for payload in payloads:
        for key in payload:
            if key.endswith("keypoints"):
                payload[key] = np.full_like(payload[key], value)
    with pytest.raises(PoseFileError, match=message):
        read_people(save_poses_npz(payloads))


def test_many_glosses_are_refused_before_they_are_unpacked(publish, save_poses_npz):
    glosses = {"glosses": np.zeros(2**22, "<U1"), "gloss_spans": np.zeros((2, 2), np.int32)}
    path = save_poses_npz(publish([1, 1]).payloads, **glosses)
    with pytest.raises(PoseFileError, match=r"glosses\.npy must unpack to at most 16777216 bytes"):
        read_signverse(path)


def test_far_apart_frames_take_no_memory(publish, save_poses_npz):
    path = save_poses_npz(publish([1] * 3).payloads, frame_indices=np.array([1, 2, 2**40]))
    with pytest.raises(PoseFileError, match=r"must hold at most 262144 frames .*, found 1099511627776 frames"):
        read_signverse(path)


def test_a_folder_without_frames_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(PoseFileError, match=r"must hold poses\.npz, or 00000001\.npz and so on; found neither"):
        read_signverse(tmp_path)
    with pytest.raises(PoseFileError, match="no such file or folder"):
        read_signverse(tmp_path / "missing")


def test_a_zip_of_several_videos_is_refused(publish, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for video in ("a", "b"):
            archive.writestr(f"{video}/npz/00000001.npz", b"")
    with pytest.raises(PoseFileError, match="the frames of one video, found 2 folders"):
        read_signverse(tmp_path / "two.zip")


def test_the_writers_clip_is_the_readers(make_poses, tmp_path):
    """What was read once is written and read again without any loss."""
    path = tmp_path / "clip.npz"
    write_signverse(make_poses(num_frames=60), path)
    once = read_signverse(path)
    write_signverse(once, path, overwrite=True)
    assert np.array_equal(read_signverse(path).confidence, once.confidence)
    assert np.array_equal(read_signverse(path).keypoints, once.keypoints)


def test_empty_frames_inside_a_clip(make_poses, tmp_path):
    poses = make_poses(num_frames=3)
    poses.confidence[1], poses.keypoints[1] = 0, 0
    write_signverse(replace(poses), tmp_path / "clip.npz", body_confidence=True)
    assert np.array_equal(read_signverse(tmp_path / "clip.npz").confidence, poses.confidence)
    assert read_people(tmp_path / "clip.npz").num_people.tolist() == [1, 0, 1]
