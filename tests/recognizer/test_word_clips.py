from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poses.keypoints import PARTS, index
from poses.sequence import PoseFileError
from recognizer.augmentation import either_may_lead, flip, stretch_time
from recognizer.framing import sample_frames
from recognizer.processing_sign_recognizer import SignRecognizerProcessor
from recognizer.word_clips import WordClip, gloss_name, mixed_batches, normalize_clips, read_word_set

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PROCESSOR = SignRecognizerProcessor(num_frames=8)


def arrays(clips=2, frames=5):
    rng = np.random.default_rng(0)
    pose = rng.uniform(0.2, 0.8, (clips, frames, 33, 3)).astype(np.float16)
    left, right = rng.uniform(0.2, 0.8, (2, clips, frames, 21, 2)).astype(np.float16)
    left[0] = 0
    return {
        "pose": pose,
        "lh": left,
        "rh": right,
        "label": np.array(["How are you", "-"][:clips]),
        "group": np.array(["ann", "bob"][:clips]),
    }


@pytest.fixture
def word_set(tmp_path):
    np.savez(tmp_path / "set.npz", **arrays())
    return tmp_path / "set.npz"


def test_a_set_is_read_clip_by_clip(word_set):
    first, second = read_word_set(word_set, "ins")
    assert (first.gloss, first.signer, second.gloss, second.signer) == ("ins:HOW-ARE-YOU", "ann", "-", "bob")
    poses = first.poses
    assert (len(poses), poses.width, poses.height, poses.language) == (5, 640, 480, "ins")
    assert not poses.part("left_hand")[1].any()
    given = np.load(word_set)
    np.testing.assert_array_equal(poses.part("right_hand")[0], given["rh"][0].astype(np.float32))
    np.testing.assert_array_equal(poses.keypoints[:, index("left_elbow")], given["pose"][0, :, 13, :2].astype("f4"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lh": None}, "expected an .npz of pose, lh, rh, label and group, found .*lh"),
        ({"lh": np.zeros((2, 5, 20, 2))}, "expected clips of 33, 21 and 21 points"),
        ({"group": np.array(["ann"])}, "expected clips of 33, 21 and 21 points"),
        ({"pose": np.full((2, 5, 33, 3), np.nan)}, "expected finite numbers, found NaN"),
        ({"label": np.array([object(), object()])}, "expected an .npz of pose, lh, rh, label and group"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    held = {name: value for name, value in (arrays() | change).items() if value is not None}
    np.savez(tmp_path / "set.npz", **held)
    with pytest.raises(PoseFileError, match=message):
        read_word_set(tmp_path / "set.npz", "ins")


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"", b"\x93NUMPY"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(PoseFileError, match=r"set.npz: expected an .npz of pose"):
        read_word_set(tmp_path / "set.npz", "ins")


@pytest.mark.skipif(not (DATA / "isl18").exists(), reason="shared data is not there")
def test_every_clip_of_the_real_sets_can_be_normalised():
    clips = read_word_set(DATA / "isl18" / "keypoints.npz", "ins")[::97]
    glosses = ("-", *sorted({clip.gloss for clip in clips}))
    assert normalize_clips(clips, glosses, PROCESSOR).keypoints.shape == (len(clips), 8, 49, 2)


def test_gloss_names_have_a_language():
    assert gloss_name("ase", "thank-you") == "ase:THANK-YOU"
    assert gloss_name("ase", "-") == "-"


def test_clips_become_one_length_whatever_their_frame_rate(word_set):
    clip = read_word_set(word_set, "ins")[0].poses
    slow = PROCESSOR.normalize(clip)
    fast = PROCESSOR.normalize(replace(clip, fps=60.0))
    assert slow[0].shape == (8, 49, 2)
    np.testing.assert_array_equal(slow[0], fast[0])


def test_frames_before_and_after_the_sign_are_cut(word_set):
    clip = read_word_set(word_set, "ins")[0].poses
    confidence = clip.confidence.copy()
    wrists = index("left_wrist", "right_wrist")
    confidence[[0, 4]] *= ~np.isin(np.arange(128), np.r_[PARTS["left_hand"], PARTS["right_hand"], wrists])
    cut = replace(clip, confidence=confidence)
    assert PROCESSOR.signing_span(cut) == (1, 4)
    # The clip may lead with the other hand in other frames, but here the same one is seen in both.
    np.testing.assert_allclose(PROCESSOR.normalize(cut)[1][:, 7:], PROCESSOR.normalize(clip[1:4])[1][:, 7:])


@pytest.mark.parametrize(("sure", "height", "span"), [(0.9, 0.5, (0, 4)), (0.3, 0.5, (1, 4)), (0.9, 0.99, (1, 4))])
def test_a_raised_wrist_signs_where_its_hand_is_not_found(word_set, sure, height, span):
    clip = read_word_set(word_set, "ins")[0].poses
    keypoints, confidence = clip.keypoints.copy(), clip.confidence.copy()
    keypoints[:, index("left_shoulder", "right_shoulder")] = [[0.6, 0.4], [0.4, 0.4]]
    keypoints[:, PARTS["right_hand"]] = 0.45
    confidence[[0, 4]] *= ~np.isin(np.arange(128), np.r_[PARTS["left_hand"], PARTS["right_hand"]])
    confidence[:, index("left_wrist", "right_wrist")] = 0
    keypoints[0, index("right_wrist")], confidence[0, index("right_wrist")] = [0.4, height], sure
    assert PROCESSOR.signing_span(replace(clip, keypoints=keypoints, confidence=confidence)) == span


def test_sampling_between_frames_by_hand():
    keypoints = torch.tensor([0.0, 4.0, 8.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    confidence = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1)
    points, sure = sample_frames(keypoints, confidence, torch.tensor([[0.0, 0.25, 1.0, 1.25, 1.75, 2.0]]))
    # Between two seen frames a mixture; where one is not seen, the nearer of the two.
    assert points[0, :, 0, 0].tolist() == [0, 1, 4, 4, 8, 8]
    assert sure[0, :, 0].tolist() == [1, 0.875, 0.5, 0.5, 0, 0]


def test_stretched_clips_keep_their_order():
    keypoints = torch.arange(9.0).view(1, 9, 1, 1).expand(4, 9, 49, 2).contiguous()
    points, _ = stretch_time(keypoints, torch.ones(4, 9, 49), torch.Generator().manual_seed(0))
    times = points[:, :, 0, 0]
    assert (times.diff(dim=1) >= 0).all()
    assert (times[:, 0] <= 2).all()
    assert (times[:, -1] >= 6).all()


def test_flipping_exchanges_sides():
    keypoints, confidence = torch.randn(2, 3, 49, 2), torch.rand(2, 3, 49)
    generator = torch.Generator().manual_seed(0)
    flipped, sure = flip(keypoints, confidence, generator, share=1.0)
    torch.testing.assert_close(flipped[:, :, 7:28, 0], -keypoints[:, :, 28:, 0])
    torch.testing.assert_close(flipped[:, :, 1:4, 1], keypoints[:, :, 4:, 1][:, :, :3])
    torch.testing.assert_close(flip(flipped, sure, generator, share=1.0)[0], keypoints)
    torch.testing.assert_close(flip(keypoints, confidence, generator, share=0.0)[1], confidence)
    some = flip(keypoints, confidence, generator, share=torch.tensor([0.0, 1.0]))[1]
    torch.testing.assert_close(some, torch.stack([confidence[0], sure[1]]))


def test_either_hand_may_lead_where_both_sign_alike():
    keypoints, confidence = torch.zeros(4, 8, 49, 2), torch.ones(4, 8, 49)
    confidence[1, :, 28:] = 0  # a sign of one hand
    keypoints[2, :, 28:, 1] = 1.2  # whose other hand rests
    confidence[3, :, 7:] = 0  # no hand at all
    assert either_may_lead(keypoints, confidence).tolist() == [True, False, False, False]


def test_same_seed_gives_the_same_batches(word_set):
    clips = normalize_clips(read_word_set(word_set, "ins"), ("-", "ins:HOW-ARE-YOU"), PROCESSOR)
    assert clips.labels.tolist() == [1, 0]
    assert clips[np.array([False, True])].signers == ("bob",)
    first, second = (next(mixed_batches(clips, num_labels=4, batch_size=3, seed=1)) for _ in "ab")
    assert first["keypoints"].shape == (3, 8, 49, 2)
    torch.testing.assert_close(first["labels"].sum(dim=1), torch.ones(3))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unknown_glosses_are_refused(word_set):
    clip = read_word_set(word_set, "ins")[0]
    with pytest.raises(ValueError, match=r"glosses that the recognizer knows, got 'ins:HOW-ARE-YOU' \(.*clip 0\)"):
        normalize_clips([clip], ("-", "ins:I"), PROCESSOR)


def test_clips_without_shoulders_are_refused(word_set):
    clip = read_word_set(word_set, "ins")[0]
    confidence = clip.poses.confidence.copy()
    confidence[:, index("left_shoulder")] = 0
    blind = WordClip(clip.gloss, clip.signer, replace(clip.poses, confidence=confidence))
    with pytest.raises(ValueError, match=r"must show both shoulders in at least one frame, got none \(.*clip 0\)"):
        normalize_clips([blind], ("-", clip.gloss), PROCESSOR)
