"""What a run has of the photos that the run before it had."""

from collections.abc import Iterable

from tasks.compare.earlier_runs import ListedRun
from tasks.compare.names import shortened
from tasks.compare.part import Part


class ClassLoss(Part):
    """A class that has less than half of the photos that it had, or none."""

    name: str
    photos: int
    photos_before: int


class DataChange(Part):
    """The photos of this run beside those of an earlier one of the same archive.

    Attributes:
        run_id: the earlier run, which computed its report.
        photos: how many were used, all splits together.
        refused_share: of the photos that were used or refused, 0..1; None if it is not known.
        lost: what is left of classes that lost most, the greatest loss first; empty, too, if the
            earlier run does not tell of its classes.
    """

    run_id: str
    photos: int
    photos_before: int
    refused_share: float | None
    refused_share_before: float | None
    lost: list[ClassLoss]


def data_change(current: ListedRun, earlier: Iterable[ListedRun]) -> DataChange | None:
    """What changed since the newest run of the same archive; None if there is none.

    Args:
        earlier: newest first.
    """
    before = next((run for run in earlier if current.is_of_the_archive_of(run)), None)
    if before is None:
        return None
    return DataChange(
        run_id=before.run_id,
        photos=current.photos_kept,
        photos_before=before.photos_kept,
        refused_share=_refused_share(current),
        refused_share_before=_refused_share(before),
        lost=_lost(before.class_photos, current.class_photos),
    )


def _refused_share(run: ListedRun) -> float | None:
    if run.refused is None or run.photos_kept + run.refused == 0:
        return None
    return run.refused / (run.photos_kept + run.refused)


def _lost(before: dict[str, int], now: dict[str, int]) -> list[ClassLoss]:
    found = [
        ClassLoss(name=shortened(name), photos=now.get(name, 0), photos_before=photos)
        for name, photos in before.items()
        if now.get(name, 0) < photos / 2
    ]
    return sorted(found, key=lambda loss: (loss.photos - loss.photos_before, loss.name))
