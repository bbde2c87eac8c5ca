"""Tables that people write: CSV files in UTF-8, with a line of column names."""

import csv
from collections.abc import Sequence
from pathlib import Path


def read_table(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The columns and the lines of a table.

    Cells that a line lacks are empty; those that it has too many are under the key None, as `csv` leaves them.

    Raises:
        ValueError: It can't be read, is no table in UTF-8, or two columns have one name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = reader.fieldnames or ()
            named = [column for column in columns if column]
            if len({*named}) < len(named):
                raise ValueError(f"{path}: every column must have a name of its own, found {', '.join(columns)}.")
            return columns, list(reader)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a table in UTF-8, which cannot be read ({error}).") from None
