import pytest

from poses.tables import read_table


def test_a_table_of_any_program_is_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffposes,gloss\r\na.npz,"ÄPFEL, zwei"\r\nb.npz\r\nc.npz,C,more\r\n'.encode())
    columns, rows = read_table(path)
    assert columns == ["poses", "gloss"]
    assert rows[:2] == [{"poses": "a.npz", "gloss": "ÄPFEL, zwei"}, {"poses": "b.npz", "gloss": ""}]
    assert rows[2][None] == ["more"]
    path.write_bytes(b"")
    assert read_table(path) == ((), [])


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no\.csv: cannot be read \(No such file or directory\)\.$"):
        read_table(tmp_path / "no.csv")
    (tmp_path / "table.csv").write_bytes("poses,gloss\na.npz,Ä".encode("latin-1"))
    with pytest.raises(ValueError, match=r"table\.csv: expected a table in UTF-8, which cannot be read \('utf-8'"):
        read_table(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("poses,gloss,poses\n")
    with pytest.raises(ValueError, match=r"every column must have a name of its own, found poses, gloss, poses\.$"):
        read_table(tmp_path / "table.csv")
