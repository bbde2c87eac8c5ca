import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.word_corpus import read_word_clips
from poses.io import save_poses


@pytest.fixture
def folder(signer, tmp_path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    rows = ["poses,glosses,language,signer"]
    for name, gloss in (("one", "hello"), ("two", "NO"), ("three", "-")):
        save_poses(replace(signer, glosses=()), folder / f"{name}.npz")
        rows.append(f"{name}.npz,{gloss},ase,ann")
    (folder / "glosses.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_clips_get_the_gloss_the_language_and_the_signer_of_the_table(folder):
    clips = read_word_clips([folder])
    assert [(clip.gloss, clip.signer) for clip in clips] == [("ase:HELLO", "ann"), ("-", "ann"), ("ase:NO", "ann")]
    assert len(clips[0].poses) == 12


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "one.npz,HOW ARE YOU,ase,ann",
            r"one.npz: its table must give it one gloss and a language, found glosses \['HOW'",
        ),
        ("one.npz,,ase,ann", r"one gloss and a language, found glosses \[\], language 'ase'"),
        ("one.npz,HELLO,,ann", r"found glosses \['HELLO'\], language ''"),
    ],
)
def test_clips_without_one_gloss_and_a_language_are_refused(folder, row, message):
    (folder / "glosses.csv").write_text(f"poses,glosses,language,signer\n{row}\ntwo.npz,NO,ase,a\nthree.npz,I,ase,a\n")
    with pytest.raises(ValueError, match=message):
        read_word_clips([folder])


def test_no_folder_is_refused():
    with pytest.raises(ValueError, match=r"`data` must name at least one folder of pose files with a .csv of glosses"):
        read_word_clips([])


@pytest.mark.long
def test_words_are_trained_and_read_by_command(folder, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command = ["train", "words", "--config", "isolated-quick", "--data", f'["{folder}"]', "--num_steps", "2"]
    assert main([*command, "--batch_size", "2", "--mixed_precision", "no", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts == {"output": "runs/words-quick", "glosses": ["ase:HELLO", "ase:NO"], "temperature": 1.0}
    trained = "runs/words-quick/model"
    assert main(["recognize", str(folder / "one.npz"), "--recognizer", trained, "--json"]) == 0
    read = json.loads(capfd.readouterr().out)
    assert read["vocabulary"] == trained
    assert {item["gloss"] for item in read["candidates"]} == {"ase:HELLO", "ase:NO"}
    assert main(["recognize", str(folder / "one.npz"), "--recognizer", trained]) == 0
    said = capfd.readouterr().out
    assert "less likely: ase:" in said or "likeliest: ase:" in said  # as sure as it became in so few steps


def test_an_unknown_vocabulary_is_refused_in_one_line(folder, capfd):
    assert main(["recognize", str(folder / "one.npz"), "--vocabulary", "sentences"]) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert said[-1] == "signloop: `vocabulary` must be one of letters, words, got 'sentences'."
