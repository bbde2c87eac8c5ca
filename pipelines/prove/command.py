"""The command `signloop prove`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.gate import Gate
from pipelines.prove.plan import Comparison, Filming, Plan, Rendering, Training

FILMING, RENDERING, COMPARISON, TRAINING, GATE = Filming(), Rendering(), Comparison(), Training(), Gate()


def prove(
    *,
    data: Path | None = None,
    output: Path = Path("runs/prove"),
    consent: str | None = None,
    filming: Filming = FILMING,
    rendering: Rendering = RENDERING,
    comparison: Comparison = COMPARISON,
    training: Training = TRAINING,
    gate: Gate = GATE,
    seed: int = 0,
    workers: int = 1,
) -> tuple[dict[str, Any], str]:
    """Trains recognizers with and without synthetic video, equally long, and compares them on unseen signers.

    Stopped, it goes on where it was. docs/prove.md says what is compared with what.

    Args:
        data: A .csv table of labelled videos (video, gloss, signer, and maybe split and poses), or a folder with
            keypoints.npz, pose clips of which a stand-in for real video is made.
        output: A folder for index.html and prove.json, and all that they are made of.
        consent: Who is in the videos, as for `signloop render`; left out for pose clips.
        filming: The stand-in.
        rendering: The synthetic clips.
        comparison: Which ways of training are compared.
        training: How each recognizer is trained.
        gate: What a render must reach to be kept, where only those are used that are.
        seed: Decides everything that is random.
        workers: Processes.
    """
    from pipelines.prove.experiment import run_proof

    plan = Plan(filming, rendering, comparison, training)
    proof = run_proof(data, output, plan, consent=consent, gate=gate, seed=seed, workers=workers, show=True)
    lines = []
    for experiment in proof.experiments:
        lines += [f"{experiment.name}: chance {experiment.chance:.3f}"]
        for row in experiment.rows:
            change = "" if row.to_ceiling.low == row.to_ceiling.high == 0 else f"  {_signed(row.to_ceiling)}"
            lines.append(f"  {row.title:<66} {row.top1.value:.3f} [{row.top1.low:.3f}, {row.top1.high:.3f}]{change}")
    lines.append(f"report  {output / 'index.html'}")
    return {"output": str(output), **asdict(proof)}, "\n".join(lines)


def _signed(difference: Any) -> str:
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] to the ceiling"
