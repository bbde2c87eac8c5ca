"""The judge does not know the generator: what reads shares no weights with what renders."""

import hashlib
from itertools import combinations
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
LETTERS, WORDS, VIDEO2POSE = (ROOT / "recognizer" / "weights" / name for name in ("", "words", "video2pose"))
SIGNER_SMALL, HAND_ERRORS = ROOT / "gen" / "weights" / "signer-small" / "unet", ROOT / "gen" / "signers"
NETWORKS = {
    folder: next(path for path in sorted(folder.glob("*.safetensors")) if path.name != "body.safetensors")
    for folder in (LETTERS, WORDS, VIDEO2POSE, SIGNER_SMALL, HAND_ERRORS)
}


def tensors(path: Path) -> set[str]:
    """Digests of all tensors that were learned: those that are neither constant nor a few numbers."""
    return {
        hashlib.sha256(tensor.half().numpy().tobytes()).hexdigest()
        for tensor in load_file(path).values()
        if tensor.numel() >= 16 and tensor.min() != tensor.max()
    }


def test_every_network_of_the_package_is_read():
    bundled = {path for top in ("gen", "recognizer") for path in (ROOT / top).rglob("*.safetensors")}
    assert bundled - {ROOT / "gen" / "signers" / "body.safetensors"} == set(NETWORKS.values())


def test_no_two_networks_share_a_weight():
    """So neither does a recognizer with a renderer, nor with Video2Pose, which saw films of synthetic signers."""
    learned = {folder: tensors(path) for folder, path in NETWORKS.items()}
    assert all(learned.values())
    for one, other in combinations(learned, 2):
        assert not learned[one] & learned[other], f"{one} and {other}"


def test_a_shared_weight_would_be_seen(tmp_path):
    weights = load_file(NETWORKS[LETTERS])
    name = max(weights, key=lambda name: weights[name].numel())
    save_file({"under_another_name": weights[name].float()}, tmp_path / "model.safetensors")
    assert tensors(tmp_path / "model.safetensors") & tensors(NETWORKS[LETTERS])


@pytest.mark.parametrize("folder", [LETTERS, WORDS])
def test_the_cards_of_recognizers_say_that_no_render_trained_them(folder):
    said = (folder / "README.md").read_text(encoding="utf-8").replace("**", "").replace("\n", " ")
    assert "No picture that a renderer made" in said or "Nothing that a renderer made is" in said
