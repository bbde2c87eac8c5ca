import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gen.renderers.base import Placement
from pipelines.measures.pose import measure_fidelity
from pipelines.output import ClipFacts, ErrorRate, LoopReport, Model, to_json
from pipelines.report import write_page
from pipelines.report.charts import error_limit, line_path, missed, runs
from pipelines.report.page import number, percent, wer_in_words
from poses.sequence import GlossSpan
from recognizer.reading import GlossReading, Reading


@pytest.fixture
def report(signer) -> LoopReport:
    return LoopReport(
        signloop="0.1.0",
        input=ClipFacts("a test clip", "ase", 12, 24.0, 200, 200),
        placement=Placement(1.0, 0.0, 0.0, 200, 200),
        known_glosses=("A", "B", "C"),
        reference_glosses=signer.glosses,
        driving_reading=Reading((GlossReading("A", 0.9, 0, 6), GlossReading("B", 0.8, 6, 12))),
        render_reading=Reading((GlossReading("A", 0.7, 0, 6), GlossReading("C", 0.4, 6, 12))),
        driving_wer=ErrorRate(0.0, 0, 0, 0, 2),
        render_wer=ErrorRate(0.5, 1, 0, 0, 2),
        render_against_driving_wer=ErrorRate(0.5, 1, 0, 0, 2),
        fidelity=measure_fidelity(signer, signer, estimator="knowing 1"),
        models={
            "renderer": Model("skeleton", "1"),
            "recognizer": Model("tiny", "2"),
            "estimator": Model("knowing", "3"),
        },
        packages={"numpy": "2"},
        num_inference_steps=1,
        seed=7,
        seconds={"render": 1.5, "re-extract": 0.5},
        total_seconds=2.0,
        render_frames_per_second=8.0,
        total_frames_per_second=6.0,
        peak_memory_mib=512.25,
        machine="a computer",
    )


def page_of(report, tmp_path) -> str:
    write_page(report, tmp_path / "index.html")
    return (tmp_path / "index.html").read_text(encoding="utf-8")


class Links(HTMLParser):
    """Collects whatever a page could load, and checks that its elements are closed in order."""

    def __init__(self, page: str):
        super().__init__()
        self.sources: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.sources |= {value for name, value in attrs if name in ("src", "href", "srcset", "poster", "data")}
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_plays_what_lies_beside_it_and_loads_nothing_else(report, tmp_path):
    page = page_of(report, tmp_path)
    links = Links(page)
    assert links.open == []
    files = {"control.mp4", "render.mp4", "comparison.mp4", "reextracted.mp4"}
    assert links.sources == {*files, "driving.npz", "reextracted.npz", "report.json", "data:,"}
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_page_says_the_figures(report, tmp_path):
    words = " ".join(
        re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page_of(report, tmp_path), flags=re.DOTALL).split()
    )
    for said in (
        "SignLoop report · a test clip A B",
        "A C signed: A B",
        "Word error rate 0.50 from the driving pose itself: 0.00",
        "Right hand found again 100 % off by 0.00 shoulder widths",
        "1 read as another in 2",
        "Movement ratio: 1.00",
        "Left hand – – – – not in the clip",
        "2.0 s for 0.5 s of signing on a computer; at most 512 MiB",
        "rendering 1.5 s",
        "The recognizer knows 3 glosses and takes every sign for one of them: A B C.",
        "Seed, steps 7, 1",
    ):
        assert said in words


def test_wrong_glosses_are_marked(report, tmp_path):
    page = page_of(report, tmp_path)
    assert page.count('class="gloss wrong"') == 1
    assert 'title="C, frames 7 to 12, confidence 0.40, wrong"' in page


def test_page_without_glosses_says_why(report, tmp_path):
    silent = Reading((), "no hand is seen")
    bare = replace(
        report,
        reference_glosses=(),
        driving_reading=silent,
        render_reading=silent,
        driving_wer=None,
        render_wer=None,
        render_against_driving_wer=None,
    )
    page = page_of(bare, tmp_path)
    assert page.count("nothing was read: no hand is seen") == 2
    assert "nothing to compare with" in page
    Links(page)


def test_page_of_a_render_in_which_nobody_was_found(report, signer, tmp_path):
    nobody = replace(signer, confidence=signer.confidence * 0)
    page = page_of(replace(report, fidelity=measure_fidelity(signer, nobody, estimator="blind 1")), tmp_path)
    assert "0\u202f%" in page
    assert '"body": [null, null' in page


def test_what_a_file_name_says_stays_text(report, tmp_path):
    hostile = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'
    page = page_of(
        replace(
            report,
            input=replace(report.input, source=hostile),
            reference_glosses=(GlossSpan('"><img src=y>', 0, 12),),
        ),
        tmp_path,
    )
    assert "<img" not in page
    assert page.count("<script") == 2


def test_script_gets_the_errors_of_each_frame(report, tmp_path):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page_of(report, tmp_path))[1])
    assert data["frames"] == 12
    assert data["fps"] == 24
    assert data["errors"]["right_hand"] == [0.0] * 12
    assert "left_hand" not in data["errors"]


def test_json_is_complete_and_strict(report):
    said = json.loads(to_json(report))
    assert said["fidelity"]["parts"]["left_hand"]["recall"] is None
    assert said["render_reading"]["glosses"][1] == {"gloss": "C", "confidence": 0.4, "start": 6, "stop": 12}
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        to_json(replace(report, peak_memory_mib=float("nan")))


def test_line_path_by_hand():
    assert line_path([0.0, 0.1, None, 0.4], 0.2) == "M0.5 100L1.5 50M3.2 0L3.8 0"
    assert line_path([None, None], 0.2) == ""


def test_error_limit_by_hand():
    assert error_limit([[0.01, None], []]) == 0.25
    assert error_limit([[0.01], [0.31]]) == pytest.approx(0.35)
    assert error_limit([[0.3]]) == pytest.approx(0.3)
    assert error_limit([[7.0]]) == 1.0


def test_runs_by_hand():
    assert runs([True, False, True, True]) == [(0, 1), (2, 4)]
    assert runs([]) == []
    assert missed([1.0, 0.4, None, 0.0, 0.5]) == [(1, 2), (3, 4)]


def test_shares_and_numbers_are_not_prettier_than_they_are():
    assert [percent(share) for share in (None, 0.0, 0.5, 1.0)] == ["–", "0\u202f%", "50\u202f%", "100\u202f%"]
    assert percent(0.996) == "99.6\u202f%"
    assert percent(0.004) == "0.4\u202f%"
    assert (number(None), number(0.126)) == ("–", "0.13")


def test_error_rates_in_words():
    assert wer_in_words(None) == "nothing to compare with"
    assert wer_in_words(ErrorRate(0.0, 0, 0, 0, 3)) == "no error in 3"
    assert wer_in_words(ErrorRate(1.0, 1, 1, 1, 3)) == "1 read as another, 1 not read, 1 added in 3"
