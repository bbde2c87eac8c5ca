"""The page that shows one run of the loop: self-contained, opens from disk, fetches nothing."""

from pipelines.report.page import write_page

__all__ = ["write_page"]
