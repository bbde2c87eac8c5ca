"""Writes the page that shows what a file or a shard holds."""

from pathlib import Path

from pipelines.inspect import MAX_LISTED, Contents
from pipelines.report.page import environment
from poses.languages import sign_languages

DEFECTS = {
    "body-codes": "joint numbers in place of the body's scores",
    "hands": "hands given to the wrong person",
    "frame-indices": "frame numbers stored twice, not at all, or with gaps",
    "phantoms": "somebody where nobody was detected",
    "scores": "scores below 0 or above 1",
    "off-frame": "lost points far outside the frame",
}
"""What the repairs of SignVerse-2M's files mend, for a person; docs/formats.md says more."""


def write_contents_page(contents: Contents, path: Path) -> None:
    """Writes the page.

    Args:
        contents: What was found; its first `MAX_LISTED` clips are described.
        path: The page; the contact sheet is expected beside it as `sheet.png`.
    """
    page = (
        environment()
        .get_template("contents.html.jinja")
        .render(
            contents=contents,
            facts=contents.facts(),
            clips=contents.clips[:MAX_LISTED],
            defects=DEFECTS,
            languages={code: language.name for code, language in sign_languages().items()},
        )
    )
    path.write_text(page, encoding="utf-8")
