"""Writes the page of one reading: the clip under its skeleton, and what was read when."""

from pathlib import Path

from pipelines.measures.reading import read_right
from pipelines.output import RecognitionReport
from pipelines.report.page import STAGE_NAMES, environment


def write_reading_page(report: RecognitionReport, size: tuple[int, int], path: Path) -> None:
    """Writes the page.

    Args:
        report: What was read.
        size: Width and height of `overlay.mp4`, which is expected beside the page.
        path: The page.
    """
    page = (
        environment()
        .get_template("reading.html.jinja")
        .render(
            report=report,
            size=size,
            right=read_right(report.reference_glosses or report.reading.glosses, report.reading.glosses),
            seconds={STAGE_NAMES[stage]: seconds for stage, seconds in report.seconds.items() if stage in STAGE_NAMES},
        )
    )
    path.write_text(page, encoding="utf-8")
