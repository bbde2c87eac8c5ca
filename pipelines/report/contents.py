"""Writes the page that shows what a file or a shard holds."""

from pathlib import Path

from pipelines.inspect import MAX_LISTED, Contents
from pipelines.report.page import environment
from poses.languages import sign_languages


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
            languages={code: language.name for code, language in sign_languages().items()},
        )
    )
    path.write_text(page, encoding="utf-8")
