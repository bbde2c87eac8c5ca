import csv
import json
import random
from itertools import pairwise

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.rating import (
    ANSWER_COLUMNS,
    KEY_COLUMNS,
    RatingClip,
    in_order,
    krippendorff_alpha,
    make_sheets,
    score_sheets,
)
from poses.video import read_frames, read_info, write_video

KEY = [
    RatingClip("clip-001", "ours", "HELLO", glosses="HELLO"),
    RatingClip("clip-002", "theirs", "HELLO", glosses="HELLO"),
    RatingClip("clip-003", "ours", "YOU"),
    RatingClip("clip-004", "theirs", "YOU"),
    RatingClip("clip-005", "ours", "YOU", "repeat", "clip-003"),
    RatingClip("clip-006", "ours", "HELLO", "blurred"),
]


def write_key(path):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(KEY_COLUMNS)
        writer.writerows([[getattr(clip, column) for column in KEY_COLUMNS] for clip in KEY])
    return path


def write_answers(path, rater, answers, signed=None):
    """One number a clip, given to every question."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(ANSWER_COLUMNS)
        for clip, number in zip(KEY, answers, strict=True):
            writer.writerow([rater, clip.clip, number, number, number, (signed or {}).get(clip.clip, ""), ""])
    return path


def test_scores_by_hand(tmp_path):
    key = write_key(tmp_path / "key.csv")
    answers = [
        write_answers(tmp_path / "a.csv", "ann", [5, 2, 4, 1, 4, 1], {"clip-001": "hello ", "clip-002": "house"}),
        write_answers(tmp_path / "b.csv", "ben", [4, 2, 4, "", 3, 2]),
        write_answers(tmp_path / "c.csv", "cleo", [1, 1, 1, 1, 5, 5]),
    ]
    scores = score_sheets(key, answers)
    assert scores.raters == ("ann", "ben")
    assert scores.left_out == {
        "cleo": "failed 2 of 2 catch trials: rated one clip differently when it came again, "
        "understood a clip blurred beyond recognition"
    }
    ours, theirs = scores.systems
    assert (ours.system, ours.ratings, ours.means["understood"], ours.identified) == ("ours", 4, 4.25, 0.5)
    assert (theirs.ratings, theirs.means["natural"], theirs.identified) == (3, pytest.approx(5 / 3), 0.0)
    low, high = ours.intervals["hands"]
    assert 4 <= low <= 4.25 <= high <= 5
    # An answer left open with all its questions is no answer at all.
    assert scores.unanswered == 0


def test_who_cannot_tell_what_is_signed_has_not_told_it(tmp_path):
    key = write_key(tmp_path / "key.csv")
    answers = [
        write_answers(tmp_path / "a.csv", "ann", [5, 2, 4, "", 4, 1], {"clip-001": "he ll o"}),
        write_answers(tmp_path / "b.csv", "ben", [2, "", 4, 1, 4, 1], {"clip-002": "Hello"}),
        write_answers(tmp_path / "c.csv", "cleo", [2, "", 4, 1, 4, 1]),
    ]
    # Clip-001, ours, was told by one of three; of clip-002, theirs, Ann could not tell, and Cleo answered nothing.
    ours, theirs = score_sheets(key, answers).systems
    assert (ours.identified, theirs.identified) == (pytest.approx(1 / 3), 0.5)
    assert (theirs.ratings, theirs.means["hands"]) == (4, pytest.approx(4 / 3))


def test_agreement_is_that_of_the_literature():
    # Krippendorff 2011, example C: four observers, twelve units, interval alpha 0.849.
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[value for value in unit if value is not None] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha([[3, 3], [3, 3]]) is None
    assert krippendorff_alpha([[3], [4]]) is None


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("rater,clip\nann,clip-001\n", "expected the columns rater, clip, understood"),
        (f"{','.join(ANSWER_COLUMNS)}\nann,clip-009,1,1,1,,\n", "line 2 rates 'clip-009'"),
        (f"{','.join(ANSWER_COLUMNS)}\nann,clip-001,6,1,1,,\n", "understood, must be 1 to 5 or open, got '6'"),
        (f"{','.join(ANSWER_COLUMNS)}\n" + "ann,clip-001,1,1,1,,\n" * 2, "clip-001 is answered twice"),
        (f"{','.join(ANSWER_COLUMNS)}\n", "no rater is left"),
    ],
)
def test_wrong_answers_are_refused(tmp_path, answers, message):
    (tmp_path / "a.csv").write_text(answers, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        score_sheets(write_key(tmp_path / "key.csv"), [tmp_path / "a.csv"])


def test_sheets_tell_nothing_of_the_systems(tmp_path):
    for system, size, name in (("ours", 32, "HELLO"), ("theirs", 48, "HELLO")):
        (tmp_path / "in" / system).mkdir(parents=True)
        rng = np.random.default_rng(size)
        frames = rng.integers(0, 256, (3, size, size, 3), np.uint8)
        write_video(tmp_path / "in" / system / f"{name}.mp4", frames, fps=10, comment="by somebody")
    key = make_sheets(tmp_path / "in", tmp_path / "out", raters=2, catch=1)
    assert sorted(clip.kind for clip in key) == ["blurred", "clip", "clip", "repeat"]
    folder = tmp_path / "out" / "for_raters"
    assert {path.name for path in folder.iterdir()} == {
        *(f"clip-00{number}.mp4" for number in range(1, 5)), "sheet-1.html", "sheet-2.html",
        "answers-1.csv", "answers-2.csv",
    }  # fmt: skip
    for path in folder.glob("*.mp4"):
        info = read_info(path)
        assert (info.width, info.height, info.comment) == (32, 32, "A clip to be rated. It may be AI-generated.")
    for path in (*folder.glob("*.html"), *folder.glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        assert "ours" not in text.replace("yours", "")
        assert "theirs" not in text
        assert all(clip.clip in text for clip in key)
    blurred = next(clip.clip for clip in key if clip.kind == "blurred")
    plain = next(clip.clip for clip in key if clip.kind == "clip")
    detail = [
        np.abs(np.diff(next(read_frames(folder / f"{clip}.mp4")).astype(int), axis=0)).mean()
        for clip in (blurred, plain)
    ]
    assert detail[0] < detail[1]


def test_the_same_item_does_not_follow_itself():
    clips = [RatingClip(f"clip-{number}", "a", item) for number, item in enumerate("AABBCCDD")]
    order = in_order(clips, random.Random(0))
    assert sorted(clip.clip for clip in order) == sorted(clip.clip for clip in clips)
    assert all(one.item != other.item for one, other in pairwise(order))


def test_wrong_numbers_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one subfolder of \.mp4 files a system"):
        make_sheets(tmp_path, tmp_path / "out")
    (tmp_path / "in" / "ours").mkdir(parents=True)
    write_video(tmp_path / "in" / "ours" / "A.mp4", np.zeros((2, 16, 16, 3), np.uint8), fps=10)
    with pytest.raises(ValueError, match="`catch` 0 to 1, the number of clips, got 0 and 2"):
        make_sheets(tmp_path / "in", tmp_path / "out", raters=0, catch=2)
    with pytest.raises(
        ValueError, match="`raters` must be 1 to 1000 and `catch` 0 to 1, the number of clips, got 1001"
    ):
        make_sheets(tmp_path / "in", tmp_path / "out", raters=1001, catch=0)
    (tmp_path / "in" / "ours" / "A.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"A\.txt: expected glosses in UTF-8, which cannot be read"):
        make_sheets(tmp_path / "in", tmp_path / "out", catch=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_folder_without_answers_is_told(tmp_path, capsys):
    (tmp_path / "answers").mkdir()
    key = write_key(tmp_path / "key.csv")
    assert main(["rate", "score", str(tmp_path / "answers"), "--key", str(key)]) == 2
    assert "answers: expected tables (.csv) that raters sent back, found none." in capsys.readouterr().err


def test_scores_from_the_command_line(tmp_path, capsys):
    key = write_key(tmp_path / "key.csv")
    (tmp_path / "answers").mkdir()
    write_answers(tmp_path / "answers" / "a.csv", "ann", [5, 2, 4, 1, 4, 1])
    write_answers(tmp_path / "answers" / "b.csv", "ben", [3, 2, 4, 1, 4, 1])
    assert main(["rate", "score", str(tmp_path / "answers"), "--key", str(key), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {system["system"]: system["means"]["hands"] for system in told["systems"]} == {"ours": 4.0, "theirs": 1.5}
    assert main(["rate", "score", str(tmp_path / "answers"), "--key", str(key)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, system in zip(lines, told["systems"], strict=False):
        identified = system["identified"]
        said = "" if identified is None else f"; {identified:.0%} wrote down what was signed"
        assert line.endswith(f"({system['ratings']} ratings{said})")
    assert any("wrote down" in line for line in lines)
