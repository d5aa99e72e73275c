"""The CSV files: whole, readable by programs, and harmless in a spreadsheet."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compare.csv_files import _harmless, write_csv, write_refused
from tasks.compare.names import printable
from tasks.contract.photos import Refusal


def written(folder: Path, *entries: str) -> list[list[str]]:
    rows = [Refusal(entry=e, class_name="a", reason="empty", detail="no bytes") for e in entries]
    write_refused(rows, folder / "refused.csv")
    with (folder / "refused.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_refused_file_is_a_row_whatever_its_name(tmp_path: Path) -> None:
    names = ['a,"b"\nc;d', "größe 熊.jpg", *(f"{number}.jpg" for number in range(1000))]
    header, *rows = written(tmp_path, *names)
    assert header == ["file", "class", "reason", "detail", "same pixels as"]
    assert [row[0] for row in rows] == names
    assert rows[0][1:] == ["a", "empty", "no bytes", ""]


@pytest.mark.parametrize(
    "name", ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"]
)
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    _, row = written(tmp_path, name)
    assert row[0] == f"'{name}"


@given(st.text())
def test_only_a_cell_that_would_be_a_formula_is_changed(cell: str) -> None:
    written = str(_harmless(cell))
    assert written.removeprefix("'") == printable(cell).removeprefix("'")
    assert not written.startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("hidden", ["\u202e=1", "\u200f=1", "\u061c=1", "\x00=1", "\x1b=1"])
def test_no_character_that_cannot_be_seen_hides_anything(tmp_path: Path, hidden: str) -> None:
    _, row = written(tmp_path, hidden)
    assert row[0] == "\N{REPLACEMENT CHARACTER}=1"


def test_numbers_stay_numbers_and_names_of_columns_are_no_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", ("=1+1", "b"), [(-0.25, None), ("-0.25", 3)])
    assert (tmp_path / "table.csv").read_text().splitlines() == ["'=1+1,b", "-0.25,", "'-0.25,3"]
