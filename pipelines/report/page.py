"""Writes `index.html`: the report's figures in words, plots and tables, around the videos that lie beside it."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.measures.reading import read_right
from pipelines.output import ErrorRate, LoopReport
from pipelines.report.charts import error_limit, line_path, missed

PART_NAMES = {"right_hand": "Right hand", "left_hand": "Left hand", "face": "Face", "body": "Body"}
"""In the order in which they matter to a reader of signs."""

STAGE_NAMES = {
    "load": "loading models",
    "extract": "finding the pose in the input",
    "render": "rendering",
    "re-extract": "finding the pose in the render",
    "recognize": "reading",
    "draw": "drawing the skeletons",
    "inspect": "looking through",
    "evaluate": "comparing",
    "augment": "rendering and measuring",
}


def write_page(report: LoopReport, path: Path) -> None:
    """Writes the page of one run.

    Args:
        report: What the run found out.
        path: The page; the videos are expected beside it.
    """
    fidelity = report.fidelity
    expected = report.reference_glosses or report.driving_reading.glosses
    limit = error_limit(list(fidelity.error_over_time.values()))
    largest = max(
        (error for line in fidelity.error_over_time.values() for error in line if error is not None), default=0
    )
    page = (
        environment()
        .get_template("index.html.jinja")
        .render(
            report=report,
            parts=[
                {
                    "key": part,
                    "name": name,
                    "figures": fidelity.parts[part],
                    "line": line_path(fidelity.error_over_time[part], limit),
                    "missed": missed(fidelity.recall_over_time[part]),
                }
                for part, name in PART_NAMES.items()
            ],
            error_limit=limit,
            error_ticks=[0.1, 0.2] if limit <= 0.4 else [0.2, 0.5, 1.0] if limit > 0.5 else [0.1, 0.2, 0.5],
            clipped=largest > limit,
            stages=[
                {"name": STAGE_NAMES.get(stage, stage), "seconds": seconds, "share": seconds / report.total_seconds}
                for stage, seconds in report.seconds.items()
            ],
            errors={
                part: line for part, line in fidelity.error_over_time.items() if fidelity.parts[part].visible_points
            },
            driving_right=read_right(expected, report.driving_reading.glosses),
            render_right=read_right(expected, report.render_reading.glosses),
        )
    )
    path.write_text(page, encoding="utf-8")


@cache
def environment() -> Environment:
    """Where the templates of the pages lie, and how they write figures."""
    made = Environment(
        loader=PackageLoader("pipelines", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "number": number, "wer": wer_in_words}
    return made


def percent(share: float | None) -> str:
    """A share as a whole percentage; a dash where nothing could be measured.

    99.6 % is not rounded up to all. The space before the sign is narrow and does not break.
    """
    if share is None:
        return "–"
    rounded = round(100 * share)
    if rounded in (0, 100) and share not in (0, 1):
        return f"{100 * share:.1f}\u202f%"
    return f"{rounded}\u202f%"


def number(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits; a dash where nothing could be measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def wer_in_words(errors: ErrorRate | None) -> str:
    """What an error rate is made of."""
    if errors is None:
        return "nothing to compare with"
    counts = {"read as another": errors.substitutions, "not read": errors.deletions, "added": errors.insertions}
    said = [f"{count} {name}" for name, count in counts.items() if count]
    return f"{', '.join(said) or 'no error'} in {errors.reference_length}"
