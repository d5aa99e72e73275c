"""What the page shows of the data besides numbers: lists cut to what a page holds, and pictures.

The lists are whole in CSV files beside the page. The pictures are inside the page, but for the
contact sheets of very many classes, which would make it tens of megabytes.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

from PIL import Image

from tasks.compare.across_classes import groups_across_classes
from tasks.compare.csv_files import (
    ACROSS_CLASSES_CSV,
    REFUSED_CSV,
    write_across_classes,
    write_refused,
)
from tasks.compare.distributions import draw_distributions
from tasks.compare.drawing import FigureFile
from tasks.compare.evidence import Evidence
from tasks.compare.names import shortened
from tasks.compare.summary import Summary
from tasks.contract.photos import (
    REFUSED_SHEET,
    SHEET_PHOTOS,
    Photo,
    Refusal,
    class_sheet,
    refused_sheet_photos,
)
from tasks.contract.step import Artifact

#: Rows of each list on the page.
_ROWS = 100
#: A page of this many sheets of photos has about 3 MB.
_EMBEDDED_SHEETS = 30


@dataclass(frozen=True)
class Conflict:
    """Two entries with the same pixels in different classes."""

    entry: str
    class_name: str
    other: str
    other_class: str


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: a JPEG file of the report.

    Attributes:
        title: the class it shows, shortened.
        photos: how many there are to choose from.
        shown: how many of them are in it.
        width, height: in pixels.
    """

    name: str
    title: str
    photos: int
    shown: int
    width: int
    height: int


@dataclass(frozen=True)
class DataCard:
    """What the page shows of the data; ``across_classes`` has each photo with its group's number.

    Attributes:
        refused: the refused files, those of rare reasons first, cut to what a page holds.
        conflict_pairs, across_classes_photos: how many there are, before cutting.
        sheets: contact sheets that are inside the page, in the order of the classes.
        linked_sheets: those that only lie beside it.
    """

    refused: list[Refusal]
    conflicts: list[Conflict]
    conflict_pairs: int
    across_classes: list[tuple[int, Photo]]
    across_classes_photos: int
    distributions: list[FigureFile]
    sheets: list[Sheet]
    linked_sheets: list[Sheet]
    refused_sheet: Sheet | None


def write_data_card(
    evidence: Evidence, preprocess: Artifact, summary: Summary, folder: Path
) -> DataCard:
    """Write the figures, the contact sheets and the CSV files; returns what the page needs."""
    sheets = _class_sheets(preprocess, summary, folder)
    groups = groups_across_classes(evidence.photos)
    write_refused(evidence.refused, folder / REFUSED_CSV)
    write_across_classes(groups, folder / ACROSS_CLASSES_CSV)
    conflicts = _conflicts(evidence.refused)
    across = [(number, photo) for number, group in enumerate(groups, 1) for photo in group]
    inside = {
        sheet.name for sheet in nsmallest(_EMBEDDED_SHEETS, sheets, key=lambda sheet: sheet.photos)
    }
    return DataCard(
        refused=_rare_reasons_first(evidence.refused)[:_ROWS],
        conflicts=conflicts[:_ROWS],
        conflict_pairs=len(conflicts),
        across_classes=across[:_ROWS],
        across_classes_photos=len(across),
        distributions=draw_distributions(evidence.photos, summary, folder),
        sheets=[sheet for sheet in sheets if sheet.name in inside],
        linked_sheets=[sheet for sheet in sheets if sheet.name not in inside],
        refused_sheet=_refused_sheet(preprocess, summary, folder),
    )


def _rare_reasons_first(refused: Sequence[Refusal]) -> list[Refusal]:
    """So that a thousand copies do not push the one damaged photo off the page."""
    count = Counter(row.reason for row in refused)
    return sorted(refused, key=lambda row: (count[row.reason], row.reason, row.entry))


def _conflicts(refused: Sequence[Refusal]) -> list[Conflict]:
    """Each pair of entries once."""
    class_of = {row.entry: row.class_name for row in refused if row.reason == "label conflict"}
    pairs = {
        (min(row.entry, row.same_as), max(row.entry, row.same_as))
        for row in refused
        if row.reason == "label conflict"
    }
    return [Conflict(one, class_of[one], two, class_of[two]) for one, two in sorted(pairs)]


def _class_sheets(preprocess: Artifact, summary: Summary, folder: Path) -> list[Sheet]:
    sheets = []
    for label, row in enumerate(summary.classes):
        photos = row.photos.used
        shown = min(photos, SHEET_PHOTOS)
        title = shortened(row.name)
        sheets.append(_sheet(preprocess, class_sheet(label), title, photos, shown, folder))
    return sheets


def _refused_sheet(preprocess: Artifact, summary: Summary, folder: Path) -> Sheet | None:
    if REFUSED_SHEET not in preprocess.manifest.files:
        return None
    data = summary.data
    shown = refused_sheet_photos(data.refused_by_reason)
    return _sheet(preprocess, REFUSED_SHEET, "Refused photos", data.refused, shown, folder)


def _sheet(
    preprocess: Artifact, file: str, title: str, photos: int, shown: int, folder: Path
) -> Sheet:
    """Copy a sheet into the report, whose files lie in no folders."""
    target = folder / file.replace("/", "-")
    shutil.copyfile(preprocess.path(file), target)
    with Image.open(target, formats=("JPEG",)) as image:
        return Sheet(target.name, title, photos, shown, image.width, image.height)
