from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.pose_corpus import read_corpus
from poses.io import save_poses
from poses.sequence import GlossSpan


@pytest.fixture
def folder(signer, tmp_path) -> Path:
    for name in ("one", "two"):
        save_poses(replace(signer, glosses=()), tmp_path / f"{name}.npz")
    return tmp_path


def test_a_table_says_what_is_signed(folder):
    (folder / "words.csv").write_text("poses,glosses,caption,language\ntwo.npz,HELLO,Hello!,gsg\n")
    one, two = read_corpus([folder])
    assert (one.name, one.glosses, two.glosses) == ("one", (), ("HELLO",))
    poses = two.load()
    assert poses.language == "gsg"
    assert poses.glosses == (GlossSpan("HELLO", 0, 12),)
    assert two.captions(0.5) == [
        {"language": "", "provenance": "table", "start_s": 0.0, "end_s": 0.5, "text": "Hello!"}
    ]
    assert one.digest() != two.digest()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("poses,glosses\nnone.npz,A\n", r"must name pose files beside it, found 'none.npz'"),
        ("file,glosses\none.npz,A\n", r"expected the column poses and any of glosses, .*, found \['file', 'glosses'\]"),
        ("poses\none.npz\none.npz\n", r"line 3 must name a pose file that no other line names"),
    ],
)
def test_a_wrong_table_is_refused(folder, table, message):
    (folder / "words.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        read_corpus([folder])


def test_what_is_no_corpus_is_refused(folder):
    with pytest.raises(ValueError, match=r"must be a pose file, a folder of them or a store, found nothing"):
        read_corpus([folder / "none"])
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: must hold pose files \(.npz, .pose\), found none"):
        read_corpus([folder / "empty"])
    with pytest.raises(ValueError, match=r"must have a name of its own, found 'one' twice"):
        read_corpus([folder, folder / "one.npz"])
    for name in "ab":
        (folder / f"{name}.csv").write_text("poses\n")
    with pytest.raises(ValueError, match=r"must hold one table of glosses at most, found 2 .csv files"):
        read_corpus([folder])
    (folder / "empty" / "b\udcff.npz").touch()
    with pytest.raises(ValueError, match=r"empty/b\\udcff\.npz: its name must be UTF-8"):
        read_corpus([folder / "empty"])
