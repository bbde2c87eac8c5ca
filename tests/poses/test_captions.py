"""Captions: odd files read or refused in one line, repeats and overlaps taken out, times as frames."""

import json
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poses.captions import (
    Caption,
    CaptionTrack,
    cut_clips,
    format_vtt,
    frame_number,
    frame_span,
    is_word_timed,
    parse_captions_json,
    parse_tracks,
    parse_vtt,
    provenance,
    read_captions,
    tidied,
    without_overlaps,
    without_repeats,
)
from poses.sequence import PoseFileError, PoseSequence

ROLL_UP = b"""WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.550 align:start position:0%
 
hello<00:00:00.400><c> my</c><00:00:01.000><c> friends</c>

00:00:02.550 --> 00:00:02.560 align:start position:0%
hello my friends
 

00:00:02.560 --> 00:00:04.000 align:start position:0%
hello my friends
how<00:00:03.000><c> are</c><00:00:03.200><c> you</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
how are you
 

00:00:04.010 --> 00:00:06.000 align:start position:0%
how are you
today
"""  # noqa: W293 - a line of one blank does not end a cue

ODD = (
    "\ufeffWEBVTT - a title\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nNOTE\r\nnothing --\r\nhere\r\n\r\n"
    "intro\r\n01:02.500-->01:04.000 line:0\r\n<v Ann>Tom &amp; <i>Jerry</i>\r\n - 5\u200b\r\n"
    "100:00:01.000 --> 100:00:02.000\r\nno blank line before\r\n\r\n"
    "00:00.000 --> 00:01.000\r\n<c></c>\r\n\r\n00:00.500 --> 00:00.500\r\n7"
).encode()


def test_a_roll_up_file_as_it_is_and_tidied():
    captions = parse_vtt(ROLL_UP, "a.vtt")
    assert [caption.text for caption in captions] == [
        "hello my friends", "hello my friends", "hello my friends\nhow are you", "how are you", "how are you\ntoday"
    ]  # fmt: skip
    assert without_repeats(captions) == (
        Caption(0.16, 2.56, "hello my friends"),
        Caption(2.56, 4.01, "how are you"),
        Caption(4.01, 6.0, "today"),
    )
    assert is_word_timed(ROLL_UP)
    assert not is_word_timed(ODD)


def test_an_odd_file():
    assert parse_vtt(ODD, "a.vtt") == (
        Caption(0.5, 0.5, "7"),
        Caption(62.5, 64.0, "Tom & Jerry\n- 5"),
        Caption(360001.0, 360002.0, "no blank line before"),
    )
    assert parse_vtt(b"WEBVTT", "a.vtt") == ()


TIMES = st.integers(0, 3_600_000 * 200).map(lambda thousandths: thousandths / 1000)
WORDS = st.text("aß&<>;-.7\u4e2d", min_size=1, max_size=6)


@given(
    st.lists(
        st.builds(
            lambda a, b, words: Caption(min(a, b), max(a, b), " ".join(words)),
            TIMES,
            TIMES,
            st.lists(WORDS, min_size=1, max_size=3),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read(captions):
    written = sorted(captions, key=lambda caption: caption.start_s)
    assert parse_vtt(format_vtt(written), "a.vtt") == tuple(written)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"^a\.vtt: must begin with WEBVTT, found ''"),
        (b"WEBVTTx\n", "must begin with WEBVTT, found 'WEBVTTx'"),
        (b"\xff\xfeW\0", r"must be UTF-8 text, but byte 0 is not"),
        (b"WEBVTT\n\n00:01 --> 00:02\nx", r"line 3 must hold times such as .*, found '00:01 --> 00:02'"),
        (b"WEBVTT\n\n00:99.000 --> 01:00.000\nx", "line 3 must hold times"),
        (b"WEBVTT\n\n00:02.000 --> 00:01.000\nx", "line 3: a caption must .* got 2 to 1 s"),
        (b"WEBVTT\n\n9999:00:00.000 --> 9999:00:00.000\nx", r"line 3: a caption must .* got 3\.59964e\+07"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\na\n\nb", "line 6 must be a cue's times or its name, found 'b'"),
        (b"WEBVTT\n\n1\n00:01,000 -> 00:02,000\na", "line 3 must be a cue's times or its name, found '1'"),
        (b"WEBVTT\n" + b"x" * 2**24, "must be at most 16777216 bytes"),
        (
            b"WEBVTT\n\n00:01.000 --> 00:02.000\n&#" + b"9" * 5000,
            "line 3 must name characters .* found one without end",
        ),
    ],
)
def test_wrong_files_are_refused_in_one_line(data, message):
    with pytest.raises(PoseFileError, match=message) as error:
        parse_vtt(data, "a.vtt")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("unit", [b"<", b"-->", b"\n\n", b"<00:00:00.000>", b"&#", b"NOTE\n", b"00:00.000 --> "])
def test_hostile_files_take_no_time(unit):
    data = b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + unit * (200_000 // len(unit))
    begin = time.process_time()
    is_word_timed(data)
    assert len(_reason(parse_vtt, data)) < 200
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("tidy", [without_repeats, without_overlaps])
def test_a_long_text_before_many_short_ones_takes_no_time(tidy):
    captions = [Caption(0, 1, "a b " * 400_000), *[Caption(0, 1, "a")] * 10_000]
    begin = time.process_time()
    assert tidy(captions)
    assert time.process_time() - begin < 2


def test_what_joins_letters_is_part_of_a_text():
    """Persian words hold it, and emoji; alone it shows nothing."""
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f467"
    data = f"WEBVTT\n\n00:00.000 --> 00:01.000\n{joined}\n\n00:01.000 --> 00:02.000\n\u200c\u200d"
    assert parse_vtt(data.encode(), "a.vtt") == (Caption(0, 1, joined),)


def _reason(parse, data: bytes) -> str:
    try:
        parse(data, "a.vtt")
    except PoseFileError as error:
        return str(error)
    return ""


@given(st.binary(max_size=60) | st.text("0123:.->\n aW<&;", max_size=60).map(str.encode))
def test_any_bytes_give_captions_or_a_reason(tail):
    for data in (tail, b"WEBVTT\n\n00:00.000 --> 00:01.000" + tail):
        for parse in (parse_vtt, parse_captions_json):
            assert "\n" not in _reason(parse, data)


LINES = st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=6).map(" ".join)


@given(st.lists(LINES, min_size=1, max_size=12, unique=True), st.integers(1, 3), st.booleans())
def test_rolling_lines_are_said_once(lines, height, hold):
    """What is rolled over `height` lines comes back line by line."""
    lines = [f"{line} {number}" for number, line in enumerate(lines)]
    rolled = []
    for at in range(len(lines)):
        rolled.append(Caption(at, at + 0.9, "\n".join(lines[max(at - height + 1, 0) : at + 1])))
        if hold:
            rolled.append(Caption(at + 0.9, at + 1, lines[at]))
    expected = [Caption(at, at + (1 if hold else 0.9), line) for at, line in enumerate(lines)]
    assert without_repeats(rolled) == tuple(expected)
    assert without_repeats(without_repeats(rolled)) == tuple(expected)


def test_what_is_said_again_later_stays():
    captions = (Caption(0, 1, "no"), Caption(1.2, 2, "no"), Caption(2, 3, "no never"))
    assert [caption.text for caption in without_repeats(captions)] == ["no", "no", "never"]
    human = CaptionTrack("en", "human", captions)
    assert tidied(human) == human
    assert [caption.text for caption in tidied(CaptionTrack("en", "unknown", captions)).captions][2] == "never"


CAPTIONS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9), st.text("ab ", min_size=1).filter(str.strip)), max_size=8
).map(lambda items: [Caption(start / 4, (start + length) / 4, text) for start, length, text in items])


@given(CAPTIONS)
def test_no_overlaps_and_no_text_lost(captions):
    apart = without_overlaps(captions)
    assert all(before.end_s <= after.start_s for before, after in pairwise(apart))
    assert sorted("\n".join(caption.text for caption in apart)) == sorted("\n".join(c.text for c in captions))
    assert {caption.start_s for caption in apart} == {caption.start_s for caption in captions}


def test_overlaps_are_cut():
    captions = [Caption(0, 5, "a"), Caption(2, 3, "b"), Caption(2, 4, "c"), Caption(4, 6, "d")]
    assert without_overlaps(captions) == (Caption(0, 2, "a"), Caption(2, 4, "b\nc"), Caption(4, 6, "d"))


@pytest.mark.parametrize(
    ("language", "word_timed", "by"),
    [
        ("en", False, "unknown"), ("en", True, "automatic"), ("en-orig", False, "automatic"),
        ("en-de", False, "machine-translated"), ("en-zh-Hans", False, "machine-translated"),
        ("de-en", False, "machine-translated"), ("en-GB", False, "unknown"), ("pt-BR", False, "unknown"),
        ("zh-Hans", False, "unknown"), ("", False, "unknown"),
    ],
)  # fmt: skip
def test_provenance(language, word_timed, by):
    assert provenance(language, word_timed=word_timed) == by


def _json(**languages) -> bytes:
    held = {
        language: {"segments": [{"start_sec": a, "end_sec": b, "text": text} for a, b, text in segments]}
        for language, segments in languages.items()
    }
    return json.dumps({"video_id": "x", "languages": held}).encode()


def test_a_videos_tracks(tmp_path):
    files = {
        "english.en.native.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nhuman",
        "english.en.nllb.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nmachine",
        "original.pt-BR.manual.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nhumano",
        "abcdefghijk.de.vtt": ROLL_UP,
        "abcdefghijk.captions.json": _json(de=[(0, 1, "x")], fr=[(1, 2, "  un \n deux "), (0, 1, "z"), (2, 3, "")]),
        "abcdefghijk.es.vtt": b"",
    }
    tracks, problems = parse_tracks(files, "shard/abcdefghijk")
    assert [(track.language, track.provenance, len(track.captions)) for track in tracks] == [
        ("de", "automatic", 5), ("en", "human", 1), ("en", "machine-translated", 1), ("fr", "unknown", 2),
        ("pt-BR", "human", 1),
    ]  # fmt: skip
    assert tracks[3].captions == (Caption(0, 1, "z"), Caption(1, 2, "un deux"))
    assert problems == ("shard/abcdefghijk/abcdefghijk.es.vtt: must begin with WEBVTT, found ''.",)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(PoseFileError, match=r"abcdefghijk\.es\.vtt: must begin with WEBVTT"):
        read_captions(tmp_path)
    (tmp_path / "abcdefghijk.es.vtt").unlink()
    assert read_captions(tmp_path) == tracks
    assert read_captions(tmp_path / "english.en.nllb.vtt") == (tracks[2],)


def test_no_captions_are_refused(tmp_path):
    with pytest.raises(PoseFileError, match=r"must be \.vtt or \.captions\.json, or a folder with them"):
        read_captions(tmp_path)
    with pytest.raises(PoseFileError, match=r"a\.vtt: cannot be read \(No such file"):
        read_captions(tmp_path / "a.vtt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", r"^a\.json: must be JSON, but it is damaged"),
        (b"[" * 100_000, "must be JSON, but it is damaged"),
        (b"9" * 5000, "must be JSON, but it is damaged"),
        (b"\xff", "must be UTF-8 text"),
        (b"[]", "must hold `languages`, found none"),
        (b'{"languages": {"en": []}}', "'en' must hold a list of segments"),
        (b'{"languages": {"en": {"segments": [1]}}}', "'en', segment 0 must hold start_sec, end_sec and text"),
        (_json(en=[(True, 1, "x")]), "segment 0 must hold start_sec"),
        (_json(en=[(0, 1, 5)]), "segment 0 must hold start_sec"),
        (_json(en=[(float("nan"), 1, "x")]), "segment 0: a caption must .* got nan to 1"),
        (_json(en=[(0, 10**400, "x")]), "segment 0: its times are too large"),
        (_json(en=[(2, 1, "x")]), "segment 0: a caption must .* got 2 to 1"),
        (_json(en=[(0, 1, "x\ud800")]), "'en', segment 0 must hold whole characters, found half of one"),
        (_json(**{"en\udc80": [(0, 1, "x")]}), r"'en\\udc80' must hold whole characters"),
    ],
)
def test_wrong_json_is_refused(data, message):
    with pytest.raises(PoseFileError, match=message):
        parse_captions_json(data, "a.json")


def test_a_caption_needs_a_text():
    with pytest.raises(ValueError, match="must have a text, got none"):
        Caption(0, 1, " \n")


def test_frames_count_from_one_in_the_corpus_and_from_zero_here():
    assert [frame_number(time_s) for time_s in (0, 0.02, 0.021, 1, 1.979, 1.98)] == [1, 1, 2, 25, 48, 49]
    assert frame_span(Caption(0, 1, "x")) == (0, 24)
    assert frame_span(Caption(1, 1, "x")) == (24, 25)
    assert frame_span(Caption(1, 2, "x"), fps=12.5) == (13, 25)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=8, unique=True).map(sorted), st.sampled_from([24.0, 29.97]))
def test_captions_in_turn_share_no_frame(milliseconds, fps):
    spans = [
        frame_span(Caption(a / 1000, b / 1000, "x"), fps=fps) for a, b in pairwise(milliseconds) if b - a > 1000 / fps
    ]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert all(start < stop for start, stop in spans)


def test_clips_are_cut_by_caption():
    keypoints = np.zeros((48, 128, 2), np.float32)
    keypoints[:, 0, 0] = np.arange(48)
    poses = PoseSequence(keypoints, np.ones((48, 128), np.float32), 24.0, 640, 360)
    captions = [Caption(0.5, 1, "a"), Caption(1.5, 9, "b"), Caption(2, 3, "after the end")]
    clips = [(caption.text, clip.keypoints[:, 0, 0].tolist()) for caption, clip in cut_clips(poses, captions)]
    assert clips == [("a", list(range(12, 24))), ("b", list(range(36, 48)))]
