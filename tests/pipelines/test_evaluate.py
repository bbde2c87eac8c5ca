import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import clip_evaluation, evaluate, set_figures
from pipelines.cli import main
from pipelines.clip_evaluation import Judges
from pipelines.evaluate import run_evaluation
from pipelines.measures import dtw
from pipelines.measures.features import OrientedFilters
from pipelines.measures.reading import Readout
from pipelines.pairs import Pair, read_pairs
from pipelines.report import evaluation as page
from poses.clean import resample
from poses.draw import draw_poses
from poses.io import save_poses
from poses.video import write_video


class SeeingEstimator:
    """Finds the poses that the pictures were drawn from, clip by clip, and nobody once it runs out of them."""

    name = "seeing"
    version = "seeing 1"

    def __init__(self, *clips):
        self.clips = list(clips)
        self.frame = 0

    def reset(self):
        self.poses = self.clips.pop(0)
        self.frame = 0

    def estimate(self, frame):
        self.frame += 1
        return self.poses.keypoints[self.frame - 1], self.poses.confidence[self.frame - 1]

    def close(self):
        pass


def nobody(poses):
    return replace(poses, keypoints=np.zeros_like(poses.keypoints), confidence=np.zeros_like(poses.confidence))


def write_clip(folder, name, driving, shown=None, *, fps=24.0, size=128):
    save_poses(driving, folder / f"{name}.npz")
    shown = driving if shown is None else shown
    write_video(folder / f"{name}.mp4", draw_poses(shown, "videox-fun", height=size, width=size), fps=fps)


@pytest.fixture
def judged_by(monkeypatch, recognizer):
    def use(*clips):
        judges = Judges(SeeingEstimator(*clips), recognizer, OrientedFilters())
        monkeypatch.setattr(evaluate, "load_judges", lambda estimator: judges)
        # Nothing here looks at previews closely or at where intervals end.
        monkeypatch.setattr(page, "PREVIEW_PX", 32)
        monkeypatch.setattr(set_figures, "RESAMPLES", 20)

    return use


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


def test_a_set_is_evaluated_into_one_page_json_and_tables(folder, tmp_path, signer, judged_by):
    write_clip(folder, "good", signer)
    write_clip(folder, "lost", signer)
    judged_by(signer, nobody(signer))
    found = run_evaluation(folder, tmp_path / "report")
    good, lost = found.clips
    assert (good.name, good.figures["pck_0.1/right_hand"], good.figures["movement_ratio"]) == ("good", 1, 1)
    assert (lost.figures["pck_0.2/hands"], lost.figures["mean_error/hands"]) == (0, None)
    assert lost.problems == ("nobody was found in any of the 12 frames of the video",)
    figures = {figure.name: figure for figure in found.summary.figures}
    assert (figures["pck_0.2/hands"].value, figures["pck_0.2/hands"].clips) == (0.5, 2)
    assert (figures["mean_error/hands"].value, figures["mean_error/hands"].missing) == (0, 1)
    assert figures["ssim/face"].value is None
    assert figures["ssim/face"].missing == 2
    assert "|estimator:seeing 1|fps:24|frame:128x128|" in figures["pck_0.2/hands"].signature

    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "over clips. What could not" in page
    assert page.count('src="data:video/mp4;base64,') == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("nobody was found") == 2  # beside the clip and in the list
    assert "SSIM, face; PSNR (dB), face" in page  # without a reference on no clip
    held = json.loads((tmp_path / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert [clip["name"] for clip in held["clips"]] == ["good", "lost"]
    rows = pq.read_table(tmp_path / "report" / "clips.parquet").to_pylist()
    assert [row["pck_0.2/hands"] for row in rows] == [1, 0]
    table = pq.read_table(tmp_path / "report" / "figures.parquet").to_pylist()
    assert {row["name"] for row in table} >= {"pck_0.2/hands", "wer/video", "cohens_kappa"}


def test_tables_hold_what_any_clip_has_in_the_same_types_whatever_was_found():
    rows = [{"problems": [], "ssim/face": None, "width": 64}, {"problems": [], "ssim/face": None, "floor/pck": 0.5}]
    table = evaluate.to_table(rows)
    types = {field.name: field.type for field in table.schema}
    assert types == {
        "problems": pa.list_(pa.string()), "ssim/face": pa.float64(), "width": pa.int64(), "floor/pck": pa.float64()
    }  # fmt: skip
    assert table["floor/pck"].to_pylist() == [None, 0.5]
    assert table["width"].to_pylist() == [64, None]


@pytest.mark.long
def test_a_second_call_measures_only_what_is_new(folder, tmp_path, signer, judged_by):
    write_clip(folder, "one", signer)
    judged_by(signer)
    run_evaluation(folder, tmp_path / "report")
    write_clip(folder, "two", signer)
    judged_by(signer)  # were the first clip looked at again, nothing would be left for the second
    assert [clip.name for clip in run_evaluation(folder, tmp_path / "report").clips] == ["one", "two"]


def test_figures_of_another_version_are_not_mixed_in(folder, tmp_path, signer, judged_by, monkeypatch):
    write_clip(folder, "one", signer)
    judged_by(signer)
    run_evaluation(folder, tmp_path / "report")
    monkeypatch.setattr(evaluate, "VERSION", evaluate.VERSION + 1)
    with pytest.raises(ValueError, match="was begun with version 3, not 4"):
        run_evaluation(folder, tmp_path / "report")


@pytest.mark.long
def test_a_file_that_changed_is_measured_again(folder, tmp_path, signer, judged_by):
    write_clip(folder, "one", signer)
    judged_by(signer)
    assert run_evaluation(folder, tmp_path / "report").clips[0].figures["recall/face"] == 1
    write_video(folder / "one.mp4", [np.zeros((128, 128, 3), np.uint8)] * 12, fps=24, overwrite=True)
    judged_by(nobody(signer))
    assert run_evaluation(folder, tmp_path / "report").clips[0].figures["recall/face"] == 0


def test_a_clip_that_cannot_be_read_is_counted_and_said(folder, tmp_path, signer, judged_by, capsys):
    write_clip(folder, "good", signer)
    (folder / "torn.mp4").write_bytes((folder / "good.mp4").read_bytes()[:1500])
    save_poses(signer, folder / "torn.npz")
    judged_by(signer)
    assert main(["evaluate", str(folder), "--output", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 clips evaluated, 1 of 2 with something wrong in the input\ntorn: " in said
    found = run_evaluation(folder, tmp_path / "report")
    assert list(found.failed) == ["torn"]
    assert "truncated" in found.failed["torn"]
    assert {figure.missing for figure in found.summary.figures if figure.name == "recall/face"} == {1}
    assert "truncated" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_video_that_nobody_reads_is_refused_before_its_poses_are_found(folder, tmp_path, signer):
    save_poses(signer, folder / "slow.npz")
    write_video(folder / "slow.mp4", np.zeros((2, 64, 64, 3), np.uint8), fps=1)
    with pytest.raises(ValueError, match=r"slow\.mp4: expected 5 to 120 frames per second, found 1\."):
        run_evaluation(folder, tmp_path / "report")


def test_a_name_that_is_no_utf8_is_refused_before_anything_is_measured(folder, tmp_path, signer):
    write_clip(folder, "b\udcff", signer)
    with pytest.raises(ValueError, match=r"b\\udcff\.npz: its name must be UTF-8"):
        run_evaluation(folder, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_other_lengths_rates_and_shapes_are_said(folder, tmp_path, signer, judged_by):
    save_poses(signer, folder / "short.npz")
    write_video(folder / "short.mp4", draw_poses(signer[:9], "videox-fun", height=96, width=128), fps=24)
    judged_by(signer[:9])
    clip = run_evaluation(folder, tmp_path / "report").clips[0]
    assert clip.figures["duration_ratio"] == 0.75
    assert clip.figures["recall/face"] == 0.75
    assert clip.figures["mean_error/face"] == 0
    assert [problem.split(":")[0] for problem in clip.problems] == [
        "the video is 128 x 96, the driving pose 200 x 200",
        "the video has 9 frames, the driving pose 12 at its rate",
    ]


def test_a_video_at_another_rate_is_compared_at_its_times(folder, tmp_path, signer, judged_by):
    save_poses(replace(signer, glosses=()), folder / "slow.npz")
    write_video(folder / "slow.mp4", draw_poses(signer[:6], "videox-fun", height=128, width=128), fps=12)

    judged_by(resample(signer, 12))
    clip = run_evaluation(folder, tmp_path / "report").clips[0]
    assert clip.figures["mean_error/right_hand"] == pytest.approx(0, abs=1e-6)
    assert clip.problems == ("the video has 12 frames a second, the driving pose 24: resampled to the video's",)


def test_the_page_names_labels_of_one_clip_and_rates_that_differ(folder, tmp_path, signer, judged_by):
    write_clip(folder, "one", signer)
    write_clip(folder, "two", signer, fps=12.0)
    rows = "driving,video,glosses,signer", "one.npz,one.mp4,A B,anna", "two.npz,two.mp4,A,ben"
    (folder / "pairs.csv").write_text("\n".join(rows))
    judged_by(signer, signer)
    found = run_evaluation(folder / "pairs.csv", tmp_path / "report")
    said = "the video has 12 frames a second, the driving pose 24: compared frame by frame"
    assert found.clips[1].problems == (said,)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Shown by one clip only, so nothing can be said in general: B." in page
    assert "1 (one only)" in page
    assert "over clips and signers. What could not" in page
    (read,) = (figure for figure in found.summary.back_translation if figure.name == "wer/video")
    assert f"<td>{', '.join(map(str, read.errors))}</td><td>2</td><td>0</td>" in page
    assert f"<b>two</b>: {said}." in page


def test_without_glosses_the_page_speaks_of_what_is_read_from_the_pose(
    folder, tmp_path, signer, judged_by, monkeypatch, capsys
):
    unlabelled = replace(signer, glosses=())
    write_clip(folder, "lost", unlabelled)
    judged_by(nobody(unlabelled))
    read = Readout(("A", "B"), "", np.array([0.5, 0.5]), np.zeros((4, 2)))
    unread = Readout((), "no hand is seen", np.zeros(0), np.zeros((0, 0)))
    monkeypatch.setattr(clip_evaluation, "read_out", lambda poses, _: read if poses.confidence.any() else unread)
    assert main(["evaluate", str(folder), "--output", str(tmp_path / "report")]) == 0
    said = "1 of 1 with something wrong in the input\nlost: nobody was found in any of the 12 frames of the video.\n"
    assert said in capsys.readouterr().out
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<dt>Word error rate against what is read from the poses</dt><dd>1.000" in page
    assert '<th scope="col">Read from the pose</th><th class="words" scope="col">Read from the video</th>' in page
    assert '<th scope="col">Signed' not in page


def test_the_reference_gives_the_floor_and_the_likeness_of_pictures(folder, tmp_path, signer, judged_by):
    write_clip(folder, "hello", signer)
    (folder / "hello.reference.mp4").write_bytes((folder / "hello.mp4").read_bytes())
    judged_by(nobody(signer), signer)
    found = run_evaluation(folder, tmp_path / "report")
    figures = {figure.name: figure for figure in found.summary.figures}
    assert (figures["recall/face"].value, figures["recall/face"].floor) == (0, 1)
    assert (figures["ssim/right_hand"].value, figures["psnr/face"].value) == (1, 100)
    assert figures["oriented-filters-1_distance/face"].value == 0
    assert found.clips[0].floor_source == "reference"


def test_a_reference_of_another_length_is_not_compared_frame_by_frame(folder, tmp_path, signer, judged_by):
    write_clip(folder, "hello", signer)
    write_video(folder / "hello.reference.mp4", draw_poses(signer[:8], "videox-fun", height=128, width=128), fps=24)
    judged_by(signer, signer[:8])
    clip = run_evaluation(folder, tmp_path / "report").clips[0]
    assert clip.figures["ssim/face"] is None
    assert any("the reference has 8 frames" in problem for problem in clip.problems)


@pytest.mark.long
def test_a_video_that_is_longer_than_its_reference_is_compared_as_long_as_both_last(
    folder, tmp_path, signer, judged_by
):
    longer = replace(
        signer, keypoints=np.tile(signer.keypoints, (2, 1, 1)), confidence=np.tile(signer.confidence, (2, 1))
    )
    write_clip(folder, "hello", signer, longer)
    write_clip(folder, "cut", signer, signer[:8])
    for name in ("hello", "cut"):
        write_video(folder / f"{name}.reference.mp4", draw_poses(signer, "videox-fun", height=128, width=128), fps=24)
    judged_by(signer[:8], signer, longer, signer)
    cut, hello = run_evaluation(folder, tmp_path / "report").clips
    assert hello.figures["ssim/face"] == pytest.approx(1, abs=0.02)
    assert [problem.split(":")[1] for problem in hello.problems] == [" those beyond are left out frame by frame"]
    assert cut.figures["ssim/face"] is None
    assert cut.problems[-1] == "the video ends before its reference; no picture was compared with it"


def test_a_clip_too_long_to_be_warped_is_said(folder, tmp_path, signer, judged_by, monkeypatch):
    write_clip(folder, "long", signer)
    judged_by(signer)
    for module in (dtw, clip_evaluation):
        monkeypatch.setattr(module, "MAX_FRAMES", 11)
    (clip,) = run_evaluation(folder, tmp_path / "report").clips
    assert clip.figures["ndtwp"] is None
    assert clip.problems == ("it has more than 11 frames; no distance was warped",)


def test_a_table_names_files_beside_it(folder, signer):
    table = folder / "pairs.csv"
    table.write_text("driving,video,name,glosses,language\na.npz,a.mp4,first,HELLO YOU,ase\n", encoding="utf-8")
    assert read_pairs(table).pairs == (
        Pair("first", folder / "a.npz", folder / "a.mp4", glosses=("HELLO", "YOU"), language="ase"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("driving\na.npz\n", "found no video"),
        ("driving,video,score\na,b,c\n", "found 'score'"),
        ("driving,video\na.npz,\n", "line 2 must name a driving pose and a video"),
        ("driving,video\n", "found none"),
        ("driving,video\na.npz,a.mp4\nb.npz,a.mp4\n", "a name of its own, found 'a' twice"),
    ],
)
def test_wrong_tables_are_refused(folder, text, message):
    (folder / "pairs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_pairs(folder / "pairs.csv")


def test_a_folder_without_pairs_is_refused(folder):
    with pytest.raises(ValueError, match="expected pairs such as"):
        read_pairs(folder)
    for number in range(7):
        (folder / f"clip-{number}.mp4").touch()
    with pytest.raises(ValueError, match=r"found clip-0\.mp4, .*clip-4\.mp4 and 2 more alone\.$"):
        read_pairs(folder)
    with pytest.raises(ValueError, match=r"expected a \.csv table or a folder"):
        read_pairs(Path("nothing.txt"))


def test_files_without_a_partner_are_named(folder):
    for name in ("good.npz", "good.mp4", "lonely.npz"):
        (folder / name).touch()
    assert read_pairs(folder).alone == ("lonely.npz",)


def test_nothing_to_evaluate_is_refused(folder, tmp_path, judged_by):
    (folder / "pairs.csv").write_text("driving,video\nno.npz,no.mp4\n", encoding="utf-8")
    judged_by()
    with pytest.raises(ValueError, match="no clip could be evaluated"):
        run_evaluation(folder / "pairs.csv", tmp_path / "report")


def test_the_command_says_what_it_found(folder, tmp_path, signer, judged_by, capsys):
    write_clip(folder, "good", signer)
    judged_by(signer)
    assert main(["evaluate", str(folder), "--output", str(tmp_path / "report"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["clips"], told["failed"], told["with_problems"]) == (1, {}, 0)
    assert told["figures"]["pck_0.2/hands"]["value"] == 1
    assert main(["evaluate", str(tmp_path / "nothing"), "--output", str(tmp_path / "report")]) == 2
    assert "expected a .csv table or a folder" in capsys.readouterr().err
