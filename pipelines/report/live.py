"""What the web page shows of an order while it waits, while it is carried out, and afterwards."""

import base64
import html
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.jobs import Job
from pipelines.report.page import STAGE_NAMES

logger = logging.getLogger(__name__)


def explain(error: Exception, uploads: Sequence[str | None]) -> str:
    """One line for a person: what was wrong, with uploads called by their names."""
    if not isinstance(error, ValueError):
        logger.error("An order failed.", exc_info=error)
        return f"SignLoop failed ({type(error).__name__}). This is not your fault; the terminal it runs in says more."
    line = " ".join(str(error).split())
    for upload in uploads:
        if upload:
            line = line.replace(upload, Path(upload).name)
    return line


def stage_name(stage: str) -> str:
    """What is done in a stage, in words."""
    name = STAGE_NAMES.get(stage, stage)
    return name[:1].upper() + name[1:]


def say(line: str) -> str:
    """A line that screen readers speak when they have time."""
    return f'<p role="status">{html.escape(line)}</p>'


def refuse(line: str) -> str:
    """A line that screen readers speak at once."""
    return f'<p role="alert">{html.escape(line)}</p>'


def show_progress(job: Job[Any], stages: tuple[str, ...]) -> str:
    """The stages of a job, with a bar for the one that runs."""
    rows = [f'<li class="done">{stage_name(stage)}</li>' for stage in job.stages_done]
    if job.stage:
        name, left = stage_name(job.stage), job.seconds_left()
        unit = "clips" if job.stage in ("inspect", "augment") else "frames"
        count = f"{int(job.num_done)} of {job.num_frames} {unit}" if job.num_frames else ""
        count += "" if left is None else f", {left:.0f} s left"
        share = f'value="{job.num_done}" max="{job.num_frames}"' if job.num_frames else ""
        rows.append(f'<li class="now">{name}<span>{count}</span><progress {share} aria-label="{name}"></progress></li>')
    met = {*job.stages_done, job.stage}
    ahead = [stage for stage in stages if stage not in met]
    return f'<ol class="stages">{"".join(rows)}{"".join(f"<li>{stage_name(stage)}</li>" for stage in ahead)}</ol>'


def show_wait(seconds: float | None) -> str:
    """How long somebody will wait, where that is known."""
    return "" if seconds is None else f'<p class="note">Your turn comes in about {seconds:.0f} s.</p>'


def show_preview(frames: Sequence[np.ndarray]) -> str:
    """The latest frames of a render, moving; the last one alone for who asked for less motion."""
    pictures = [Image.fromarray(frame) for frame in frames]
    still, moving = io.BytesIO(), io.BytesIO()
    pictures[-1].save(still, "webp", quality=60)
    pictures[0].save(moving, "webp", quality=60, save_all=True, append_images=pictures[1:], duration=42, method=0)
    still, moving = (f"data:image/webp;base64,{base64.b64encode(of.getvalue()).decode()}" for of in (still, moving))
    return (
        '<figure class="preview"><picture>'
        f'<source srcset="{still}" media="(prefers-reduced-motion: reduce)">'
        f'<img src="{moving}" alt="The signer as rendered so far"></picture>'
        "<figcaption>The latest frames. All of them, and what was read, follow when the work is done.</figcaption>"
        "</figure>"
    )


def show_report(page: Path, commands: tuple[str, ...]) -> str:
    """The report in a frame, where to see it alone, and how to get it again."""
    lines = html.escape("\n".join(commands))
    address = html.escape(f"gradio_api/file={page}")
    return (
        f'<iframe src="{address}" title="Report" scrolling="no"></iframe>'
        f'<p><a href="{address}" target="_blank">Open this report on a page of its own</a></p>'
        "<details><summary>The same from the command line</summary>"
        f'<pre tabindex="0"><code>{lines}</code></pre></details>'
    )
