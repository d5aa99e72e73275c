"""The test photos that are worth a look: where the networks part, and where each errs most surely.

The choice depends on the answers alone, so the same answers show the same photos.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from tasks.compare.answers import AnsweredPhoto
from tasks.contract.photos import Photo, read_record
from tasks.contract.step import Artifact

#: Five groups of so many thumbnails are about half a megabyte of a page.
_MOST_PHOTOS = 12
#: Of a thumbnail: the longest side, in pixels, and the JPEG quality.
_SIDE, _QUALITY = 160, 80
#: Records are read at once: each is one request, which waits more than it works.
_READERS = 8


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG image and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class PhotoGroup:
    """Photos that belong together.

    Attributes:
        about: what they have in common, and in which order they come.
        total: how many there are to choose from.
        photos: those that are shown, each with its thumbnail.
    """

    name: str
    title: str
    about: str
    total: int
    photos: list[tuple[AnsweredPhoto, Thumbnail]]


@dataclass(frozen=True)
class _Kind:
    """``first`` orders the photos that ``belongs`` picks; the smallest are shown."""

    name: str
    title: str
    about: str
    belongs: Callable[[AnsweredPhoto], bool]
    first: Callable[[AnsweredPhoto], float]


def _dispute(answered: AnsweredPhoto) -> float:
    return -abs(answered.transfer.true_probability - answered.scratch.true_probability)


_KINDS = (
    _Kind(
        "only-transfer",
        "Only transfer is right",
        "First come those on which the two differ most in the probability of the true class.",
        lambda answered: answered.outcome == "only transfer right",
        _dispute,
    ),
    _Kind(
        "only-scratch",
        "Only the one from scratch is right",
        "First come those on which the two differ most in the probability of the true class.",
        lambda answered: answered.outcome == "only scratch right",
        _dispute,
    ),
    _Kind(
        "both-wrong",
        "Both are wrong",
        "First come those whose label both find least probable: the photo may be hard, or the "
        "label wrong.",
        lambda answered: answered.outcome == "both wrong",
        lambda answered: answered.transfer.true_probability + answered.scratch.true_probability,
    ),
    _Kind(
        "transfer-mistakes",
        "Transfer’s most confident mistakes",
        "Its wrong answers of the highest probability.",
        lambda answered: not answered.transfer.right,
        lambda answered: -answered.transfer.probability,
    ),
    _Kind(
        "scratch-mistakes",
        "The most confident mistakes from scratch",
        "Its wrong answers of the highest probability.",
        lambda answered: not answered.scratch.right,
        lambda answered: -answered.scratch.probability,
    ),
)


def shown_photos(
    answers: Sequence[AnsweredPhoto], preprocess: Artifact, image_size: int
) -> list[PhotoGroup]:
    """Choose photos of each kind, and read their pixels from the prepared records.

    Raises:
        InputError: a record is damaged, or its file is gone.
    """
    chosen = [(kind, *_choose(kind, answers)) for kind in _KINDS]
    photos = list({one.photo.photo: one.photo for *_, own in chosen for one in own}.values())

    def thumbnail(photo: Photo) -> Thumbnail:
        return _thumbnail(Image.fromarray(read_record(photo, image_size, preprocess.read)))

    with ThreadPoolExecutor(_READERS, "records") as pool:
        made = pool.map(thumbnail, photos)
        thumbnails = {photo.photo: one for photo, one in zip(photos, made, strict=True)}
    return [
        PhotoGroup(
            name=kind.name,
            title=kind.title,
            about=kind.about,
            total=total,
            photos=[(one, thumbnails[one.photo.photo]) for one in own],
        )
        for kind, total, own in chosen
    ]


def _choose(kind: _Kind, answers: Sequence[AnsweredPhoto]) -> tuple[int, list[AnsweredPhoto]]:
    """How many photos are of a kind, and those to show; a tie goes by the photo's identity."""
    own = [answered for answered in answers if kind.belongs(answered)]
    own.sort(key=lambda answered: (kind.first(answered), answered.photo.photo))
    return len(own), own[:_MOST_PHOTOS]


def _thumbnail(image: Image.Image) -> Thumbnail:
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail(file.getvalue(), image.width, image.height)
