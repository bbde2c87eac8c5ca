"""Writes the page of a proof: one file that opens from disk, a table and plots for each experiment."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipelines.prove.arms import CEILING, list_arms
from pipelines.prove.comparison import Estimate, Row
from pipelines.prove.plan import Comparison
from pipelines.prove.results import Experiment, Proof
from pipelines.report.page import environment

PLOT_WIDTH, PLOT_HEIGHT = 640, 260


@dataclass(frozen=True)
class Line:
    """One way of training over shares of the real clips, in pixels of the plot.

    Attributes:
        title: For readers.
        points: x, y, and where its interval begins and ends.
    """

    title: str
    points: tuple[tuple[float, float, float, float], ...]

    @property
    def path(self) -> str:
        """As SVG draws it."""
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in self.points)


def write_prove_page(proof: Proof, path: Path) -> None:
    """Writes the page."""
    page = (
        environment()
        .get_template("prove.html.jinja")
        .render(
            proof=proof,
            experiments=[
                {
                    "facts": experiment,
                    "groups": by_group(experiment),
                    "limit": axis_limit(experiment),
                    "lines": curves(experiment, proof.plan["comparison"]["fractions"]),
                    "ceiling": next(row for row in experiment.rows if row.arm == CEILING),
                }
                for experiment in proof.experiments
            ],
            width=PLOT_WIDTH,
            height=PLOT_HEIGHT,
            fractions=[(fraction, place(fraction)) for fraction in sorted(proof.plan["comparison"]["fractions"])],
        )
    )
    path.write_text(page, encoding="utf-8")


def by_group(experiment: Experiment) -> dict[str, list[Row]]:
    """Rows under their headings."""
    groups: dict[str, list[Row]] = {}
    for row in experiment.rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def axis_limit(experiment: Experiment) -> float:
    """Right end of the accuracy axis: the largest interval's end, rounded up to a tenth, and at least that."""
    largest = max(max(row.top1.high, *row.runs) for row in experiment.rows)
    return min(max(math.ceil(10 * largest) / 10, 0.1), 1.0)


def curves(experiment: Experiment, fractions: list[float] | tuple[float, ...]) -> list[Line]:
    """Accuracy over the share of the real clips, for each way that was trained with all shares."""
    top1: dict[str, Estimate] = {}
    for row in experiment.rows:
        top1.setdefault(row.arm, row.top1)  # the first row of an arm is that of the test
    arms = {arm.name: arm for arm in list_arms(Comparison(fractions=tuple(fractions)))}
    limit = axis_limit(experiment)
    lines = []
    for ending, title in (
        ("", f"{experiment.real} alone"),
        ("-classical", "augmented classically"),
        ("-synthetic-1", "with 1 × synthetic"),
        ("-synthetic-1-classical", "with 1 × synthetic, augmented classically"),
    ):
        points = []
        for fraction in sorted(fractions):
            name = f"real-{100 * fraction:g}{ending}"
            assert name in arms, f"{name} is no arm"
            found = top1[name]
            y, low, high = (PLOT_HEIGHT * (1 - value / limit) for value in (found.value, found.low, found.high))
            points.append((place(fraction), y, low, high))
        lines.append(Line(title, tuple(points)))
    return lines


def place(fraction: float) -> float:
    """Where a share of the real clips lies on the plot's axis, which is logarithmic and begins at 2 %."""
    return PLOT_WIDTH * (0.03 + 0.94 * (1 - math.log(max(fraction, 0.02)) / math.log(0.02)))
