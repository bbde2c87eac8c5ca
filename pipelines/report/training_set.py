"""Writes the page of a training set: what was kept and what was rejected, with reasons and videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.bulk import BulkResult
from pipelines.gate import RANKED_BY
from pipelines.report.page import environment
from poses.files import new_file, read_json

MAX_SHOWN = 48
"""Renders that are shown of the kept, and of the rejected."""

TITLES = {
    RANKED_BY: "Hands' points in place",
    "recall/hands": "Hands' points found again",
    "hands_in_frame": "Hands inside the picture",
    "label_share": "Glosses among the likeliest read",
    "delta_e/largest": "Colours unlike the signer's",
    "delta_e_drift": "Colours change",
    "drift/pose": "Hands drift off",
    "frozen_share": "Picture frozen while hands move",
}
"""What figures of the gate say, for a person; of all others the name stands."""

SHARES = (RANKED_BY, "label_share")
"""Figures that are said of every kept clip: where its hands are, and whether what it signs is read."""


def write_set_page(output: Path, result: BulkResult) -> None:
    """Writes `index.html` beside `parts/` and `dataset/`, whose files it shows.

    Args:
        output: The set's folder.
        result: What became of it.
    """
    renders = [render for item in sorted(result.parts) for render in _renders(output, item)]
    kept, rejected = ([render for render in renders if render["kept"] == wanted] for wanted in (True, False))
    page = (
        environment()
        .get_template("training_set.html.jinja")
        .render(
            kept=kept,
            rejected=rejected,
            failed=result.failed,
            seconds=sum((render["seconds"] for render in kept), 0.0),
            signers=sorted({render["signer"] for render in renders}),
            most=MAX_SHOWN,
        )
    )
    with new_file(output / "index.html", overwrite=True) as aside:
        aside.write_text(page, encoding="utf-8")


def in_words(change: Mapping[str, Any]) -> str:
    """How a clip was varied, for a person."""
    percent = round(100 * (change["speed"] - 1))
    nearer = round(100 * (change["zoom"] - 1))
    turned = max(abs(degrees) for degrees in change["turns_deg"].values())
    said = ["mirrored"] if change["mirrored"] else []
    said += [f"{abs(percent)} % {'faster' if percent > 0 else 'slower'}"] if percent else []
    said += [f"{abs(nearer)} % {'larger' if nearer > 0 else 'smaller'}"] if nearer else []
    said += [f"arms turned by up to {turned:.0f}°"] if turned >= 0.5 else []
    stretched = round(100 * max(abs(ratio - 1) for ratio in change["ratios"].values()))
    said += [f"proportions changed by up to {stretched} %"] if stretched else []
    moved = round(100 * max(abs(share) for share in change["shift"]))
    said += [f"moved by up to {moved} % of the picture"] if moved else []
    return ", ".join(said) or "as it was"


def reason_in_words(reason: str) -> str:
    """A reason of the gate with its figure's title in place of the name."""
    name, _, rest = reason.partition(" ")
    return f"{TITLES[name]}: {rest}" if name in TITLES else reason


def _renders(output: Path, item: str) -> list[dict[str, Any]]:
    """All that were tried of an item, with what the page says of each."""
    folder = output / "parts" / item
    clip, signer, variant = item.split("--")
    facts = read_json(folder / "clip.json") if (folder / "clip.json").exists() else None
    renders = []
    for tried in read_json(folder / "candidates.json"):
        video = folder / ("video.mp4" if tried["kept"] else f"candidate-{tried['candidate']}.mp4")
        known = facts if tried["kept"] else None
        renders.append(
            {
                "kept": tried["kept"],
                "title": " ".join(known["glosses"]) if known else clip,
                "clip": clip,
                "signer": signer,
                "variant": int(variant) + 1,
                "video": video.relative_to(output).as_posix() if video.exists() else "",
                "change": in_words(known["change"]) if known else "",
                "seconds": known["num_frames"] / known["fps"] if known else 0.0,
                "shares": {TITLES[name]: tried["figures"][name] for name in SHARES if name in tried["figures"]},
                "reasons": [reason_in_words(reason) for reason in tried["reasons"]],
            }
        )
    return renders
