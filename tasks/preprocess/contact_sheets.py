"""Contact sheets: what a class looks like, and what was refused, at a glance.

They are drawn from the prepared records, so they show what the networks see, and only the records
that are shown are read. The same photos give the same bytes: no fonts of the machine, no times.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from itertools import islice, zip_longest
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tasks.contract.photos import (
    CROSSED_TILES,
    DECODED_REASONS,
    REFUSED_SHEET,
    REFUSED_TILES,
    SHEET_PHOTOS,
    Photo,
    Pixels,
    Refusal,
    class_sheet,
)
from tasks.preprocess.records import Place, Records

_COLUMNS, _REFUSED_COLUMNS = 6, 8
#: In pixels: a thumbnail's side, the gap between two, and the line of text below a refused one.
_SIDE, _GAP, _CAPTION = 96, 2, 18
_PAPER, _INK, _BLANK, _CROSS = "#ffffff", "#1d2321", "#eef1ee", "#b6beba"
_QUALITY = 75
#: Pillow's own font at this size writes the longest reason within a thumbnail's width.
_FONT_SIZE = 11


def write_contact_sheets(
    folder: Path,
    photos: Sequence[Photo],
    refused: Sequence[Refusal],
    place_of: Mapping[str, Place],
    records: Records,
) -> None:
    """Write ``contact/<label>.jpg`` for each class, and one sheet of the refused photos.

    Args:
        place_of: where the record is of each entry that was decoded.
    """
    (folder / REFUSED_SHEET).parent.mkdir()
    of_class = defaultdict(list)
    for photo in photos:
        of_class[photo.label].append(photo)
    for label, own in of_class.items():
        thumbnails = [_thumbnail(records.read(place_of[photo.entry])) for photo in _sample(own)]
        _save(_grid(thumbnails, _COLUMNS), folder / class_sheet(label))
    if refused:
        tiles = [
            _refused_tile(refusal.reason, records, _place(refusal, place_of))
            for refusal in _of_each_reason(refused, place_of)
        ]
        _save(_grid(tiles, _REFUSED_COLUMNS), folder / REFUSED_SHEET)


def _sample(photos: Iterable[Photo]) -> list[Photo]:
    """The first by digest, which knows nothing of names and splits and so favours none of them;
    a photo that is added to the archive displaces at most one."""
    return nsmallest(SHEET_PHOTOS, photos, key=lambda photo: photo.photo)


def _of_each_reason(refused: Iterable[Refusal], place_of: Mapping[str, Place]) -> list[Refusal]:
    """A bounded number, as evenly of each reason as there are, those of one reason together."""
    of_reason = defaultdict(list)
    for refusal in refused:
        of_reason[refusal.reason].append(refusal)
    samples = []
    for _, own in sorted(of_reason.items()):
        decoded = any(_place(refusal, place_of) is not None for refusal in own)
        samples.append(nsmallest(REFUSED_TILES if decoded else CROSSED_TILES, own, key=_draw))
    in_turn = (refusal for turn in zip_longest(*samples) for refusal in turn if refusal)
    chosen = islice(in_turn, REFUSED_TILES)
    return sorted(chosen, key=lambda refusal: (refusal.reason, _draw(refusal)))


def _place(refusal: Refusal, place_of: Mapping[str, Place]) -> Place | None:
    """Where the record is of a photo that was decoded and refused; of an entry whose name is that
    of a used one, it would be that one's."""
    return place_of.get(refusal.entry) if refusal.reason in DECODED_REASONS else None


def _draw(refusal: Refusal) -> tuple[bytes, str]:
    """Orders refusals by chance, but always alike; by name one class would come first. Two photos
    of the same pixels and different labels draw the same, and so lie side by side."""
    first = min(refusal.entry, refusal.same_as or refusal.entry)
    return hashlib.sha256(first.encode()).digest(), refusal.entry


def _thumbnail(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def _refused_tile(reason: str, records: Records, place: Place | None) -> Image.Image:
    """A thumbnail, or a crossed field for what could not be decoded, with the reason below."""
    tile = Image.new("RGB", (_SIDE, _SIDE + _CAPTION), _PAPER)
    tile.paste(_crossed_field() if place is None else _thumbnail(records.read(place)))
    font = ImageFont.load_default(_FONT_SIZE)
    text = reason
    while font.getlength(text) > _SIDE:
        text = text.removesuffix("…")[:-1] + "…"
    ImageDraw.Draw(tile).text((_SIDE / 2, _SIDE + 3), text, _INK, font, anchor="ma")
    return tile


def _crossed_field() -> Image.Image:
    field = Image.new("RGB", (_SIDE, _SIDE), _BLANK)
    draw = ImageDraw.Draw(field)
    for corners in ((0, 0, _SIDE - 1, _SIDE - 1), (0, _SIDE - 1, _SIDE - 1, 0)):
        draw.line(corners, _CROSS)
    return field


def _grid(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """Tiles of one size, row by row."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = tiles[0].width + _GAP, tiles[0].height + _GAP
    sheet = Image.new("RGB", (columns * width - _GAP, rows * height - _GAP), _PAPER)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet.paste(tile, (column * width, row * height))
    return sheet


def _save(sheet: Image.Image, path: Path) -> None:
    sheet.save(path, "JPEG", quality=_QUALITY, optimize=True)
