"""What benchmarks do before they measure."""

import runpy
from pathlib import Path

import pytest

from benchmarks.kept import check_settings, check_training, clip_key
from benchmarks.renderer import result_path
from benchmarks.renderer_measures import colour_distance
from benchmarks.renderer_table import identity_figures
from benchmarks.words_loop import wer_above
from gen.bundled import BUNDLED_WEIGHTS
from recognizer.training import TrainConfig

FILES = sorted((Path(__file__).resolve().parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path):
    runpy.run_path(str(path), run_name=f"benchmarks.{path.stem}")


def test_results_of_a_network_are_told_apart_by_its_weights(tmp_path):
    path = result_path(tmp_path, "steps-1", "000003", str(BUNDLED_WEIGHTS))
    assert path.relative_to(tmp_path).match("steps-1-????????????/000003.json")
    assert result_path(Path(), "true", "000003", str(BUNDLED_WEIGHTS)) == Path("true/000003.json")


def test_results_are_never_taken_for_those_of_other_settings(tmp_path):
    path = tmp_path / "results" / "settings.json"
    check_settings(path, {"steps": 1, "folder": Path("a")})
    (path.parent / "result.json").write_text("{}")
    check_settings(path, {"folder": "a", "steps": 1})
    with pytest.raises(ValueError, match="holds results of other settings; choose another folder"):
        check_settings(path, {"folder": "a", "steps": 2})
    path.unlink()
    with pytest.raises(ValueError, match="holds results of other settings"):  # nobody knows of which
        check_settings(path, {"folder": "a", "steps": 1})


def test_a_training_is_the_same_wherever_it_lies_and_if_it_was_stopped(tmp_path):
    check_training(tmp_path / "net", TrainConfig(num_steps=5), glosses=("A",))
    check_training(tmp_path / "net", TrainConfig(num_steps=5, output_dir=tmp_path, resume=True), glosses=("A",))
    for other in ({"config": TrainConfig(num_steps=6), "glosses": ("A",)}, {"config": TrainConfig(num_steps=5)}):
        with pytest.raises(ValueError, match="holds results of other settings"):
            check_training(tmp_path / "net", **other)


def test_clips_of_one_number_in_two_sets_are_told_apart(tmp_path):
    for name, held in {"test": b"1", "validation": b"2"}.items():
        folder = tmp_path / name / "000003"
        folder.mkdir(parents=True)
        (folder / "frames.npy").write_bytes(held)
        (folder / "clip.json").write_text("{}")
    keys = [clip_key(tmp_path / name / "000003") for name in ("test", "validation", "test")]
    assert keys[0] == keys[2] != keys[1]
    assert keys[0].startswith("000003-")


def test_who_cannot_be_seen_is_recognized_as_nobody():
    pictures = [[[[50.0, 0, 0]], [[20.0 + 9 * signer, 0, 0]], []] for signer in range(3)]
    ceiling = {str(signer): {"signer": signer, "picture": picture} for signer, picture in enumerate(pictures)}
    assert colour_distance(pictures[0], [[], [], []]) is None
    assert colour_distance(pictures[0], pictures[1]) == 4.5
    right = identity_figures({clip: {"colours": of["picture"]} for clip, of in ceiling.items()}, ceiling)
    assert right == {"signers": 3, "right": [1, 1, 1]}
    unseen = identity_figures({clip: {"colours": [[], [], []]} for clip in ceiling}, ceiling)
    assert unseen == {"signers": 3, "right": [0, 0, 0]}
    swapped = {clip: {"colours": pictures[(int(clip) + 1) % 3]} for clip in ceiling}
    assert identity_figures(swapped, ceiling)["right"] == [0, 0, 0]


def test_two_ways_of_showing_words_are_compared_letter_by_letter():
    words = [("bzs", "AB"), ("gsg", "CAD")]
    above, (low, high) = wer_above(words, [["A", "B"], ["C", "A"]], [["A", "X"], ["C", "A", "D"]])
    assert above == 0  # B is lost, D is won
    assert low < 0 < high
    assert wer_above(words, [["A"], []], [["A"], []]) == (0, (0, 0))
    assert wer_above(words, [list("AB"), list("CAD")], [[], []]) == (1, (1, 1))
