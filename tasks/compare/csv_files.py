"""The report's full lists, as CSV files beside the page."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.compare.answers import Answer, AnsweredPhoto
from tasks.compare.names import printable
from tasks.contract.photos import Photo, Refusal

#: Of text, only what a formula could be is changed; numbers stay numbers.
Cell = str | int | float | None

REFUSED_CSV = "refused.csv"
ACROSS_CLASSES_CSV = "across-classes.csv"
ANSWERS_CSV = "test-photos.csv"

#: A spreadsheet takes a cell that begins like this for a formula, quoted or not; some also take
#: the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_refused(refused: Iterable[Refusal], path: Path) -> None:
    """Every refused file, by name."""
    columns = ("file", "class", "reason", "detail", "same pixels as")
    rows = ((r.entry, r.class_name, r.reason, r.detail, r.same_as) for r in refused)
    write_csv(path, columns, rows)


def write_across_classes(groups: Iterable[Sequence[Photo]], path: Path) -> None:
    """The photos of near-duplicate groups that lie in more than one class."""
    columns = ("group", "class", "split", "file")
    rows = (
        (str(number), photo.class_name, photo.split, photo.entry)
        for number, group in enumerate(groups, start=1)
        for photo in group
    )
    write_csv(path, columns, rows)


def write_answers(answers: Iterable[AnsweredPhoto], path: Path) -> None:
    """Every test photo with both networks' answers."""
    columns = [
        "file",
        "class",
        "outcome",
        *(
            f"{arm}: {column}"
            for arm in ("from scratch", "transfer")
            for column in ("answer", "its probability", "probability of the class")
        ),
    ]
    rows = (
        [
            answered.photo.entry,
            answered.photo.class_name,
            answered.outcome,
            *_cells(answered.scratch),
            *_cells(answered.transfer),
        ]
        for answered in answers
    )
    write_csv(path, columns, rows)


def _cells(answer: Answer) -> tuple[str, str, str]:
    return answer.class_name, f"{answer.probability:.6f}", f"{answer.true_probability:.6f}"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table; names of columns, too, may come from the archive. None is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_harmless(column) for column in columns])
        writer.writerows([_harmless(cell) for cell in row] for row in rows)


def _harmless(cell: Cell) -> Cell:
    """Text as everything else shows it, and no formula: an apostrophe in front makes a spreadsheet
    show it instead of working it out.

    Names come from the archive. That changes a name that begins so; ``refused.jsonl`` of the
    preprocess step has it as it is.
    """
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
