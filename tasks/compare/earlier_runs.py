"""What earlier runs came to, read out of the reports that they have published.

What is found here is not part of the comparison's fingerprint: a report tells what there was when
it was computed. Were it part, each run would change the next one's fingerprint, and a run that
finds nothing changed would compute its report again only to add a line about itself. So such a run
shows the same report, with the same earlier runs.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.compare.part import Part
from tasks.compare.publish import SUMMARY_FILE
from tasks.compare.statistics import Verdict, unpaired_interval, wilson_interval
from tasks.compare.wording import NBSP, percent, points
from tasks.contract.errors import StepError
from tasks.contract.store import ObjectHead, Store

log = logging.getLogger(__name__)

#: At most so many reports are read, and none with a summary of more bytes.
_MOST_RUNS, _MOST_BYTES = 30, 4_000_000

Share = Annotated[float, Field(ge=0, le=1)]


class EarlierArm(Part):
    """One network of an earlier run; its accuracy, 0..1, with the 95 % Wilson interval."""

    recipe: str
    photos: int
    correct: int
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share


class EarlierRun(Part):
    """What an earlier run came to.

    Attributes:
        archive_key: empty if its report did not name the archive's file yet.
        archive_sha256: hex.
        photos_kept: how many photos were used, all splits together.
        difference: accuracy of transfer minus that from scratch, -1..1.
    """

    run_id: str
    created: AwareDatetime
    title: str
    archive_key: str
    archive_sha256: str
    photos_kept: int
    test_photos: int
    scratch: EarlierArm
    transfer: EarlierArm
    difference: float
    verdict: Verdict


class _Published(BaseModel):
    """Of a published summary, what is shown here; it may hold more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Score(_Published):
    photos: Annotated[int, Field(ge=1, le=1_000_000_000)]
    correct: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _right_ones_are_among_all(self) -> Self:
        if self.correct > self.photos:
            raise ValueError("more photos are right than there are")
        return self


class _Arm(_Published):
    recipe: str
    test: _Score


class _Data(_Published):
    archive_key: str = ""
    archive_sha256: str
    kept: int


class _Summary(_Published):
    version: Literal[1]
    run_id: str
    created: AwareDatetime
    title: str
    verdict: Verdict
    difference: Annotated[float, Field(ge=-1, le=1)]
    scratch: _Arm
    transfer: _Arm
    data: _Data


def read_earlier_runs(store: Store, run_id: str) -> list[EarlierRun] | None:
    """The newest earlier runs that have a report, newest first, but for ``run_id`` itself.

    A run that found nothing changed has published the summary of the run that computed it, which
    is told once. A summary that cannot be read, or is of another version, is left out.

    Returns:
        None if the store failed: a report without its history is better than none.
    """
    runs: dict[str, EarlierRun] = {}
    try:
        for head in _newest(store.list("reports/")):
            found = _read(store, head)
            if found is not None and found.run_id != run_id:
                runs.setdefault(found.run_id, found)
    except StepError as error:
        log.warning("the reports of earlier runs could not be read: %s", error)
        return None
    return sorted(runs.values(), key=lambda run: run.created, reverse=True)


def _newest(heads: Iterable[ObjectHead]) -> list[ObjectHead]:
    """The summaries that were published last, of those with the same bytes one."""
    summaries = [head for head in heads if head.key.split("/")[2:] == [SUMMARY_FILE]]
    summaries.sort(
        key=lambda head: (head.last_modified or datetime.min.replace(tzinfo=UTC), head.key)
    )
    distinct = {head.version: head for head in summaries}
    return list(reversed(distinct.values()))[:_MOST_RUNS]


def _read(store: Store, head: ObjectHead) -> EarlierRun | None:
    if head.size > _MOST_BYTES:
        log.info("%s is not shown: it has %s bytes", store.uri(head.key), f"{head.size:,}")
        return None
    try:
        summary = _Summary.model_validate_json(store.read(head.key) or b"")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the whole"
        log.info("%s is not shown: %s: %s", store.uri(head.key), place, fault["msg"])
        return None
    return EarlierRun(
        run_id=summary.run_id,
        created=summary.created,
        title=summary.title,
        archive_key=summary.data.archive_key,
        archive_sha256=summary.data.archive_sha256,
        photos_kept=summary.data.kept,
        test_photos=summary.transfer.test.photos,
        scratch=_arm(summary.scratch),
        transfer=_arm(summary.transfer),
        difference=summary.difference,
        verdict=summary.verdict,
    )


def _arm(arm: _Arm) -> EarlierArm:
    low, high = wilson_interval(arm.test.correct, arm.test.photos)
    return EarlierArm(
        recipe=arm.recipe,
        photos=arm.test.photos,
        correct=arm.test.correct,
        accuracy=arm.test.correct / arm.test.photos,
        accuracy_low=low,
        accuracy_high=high,
    )


def change_since(
    previous: EarlierRun,
    *,
    archive_key: str,
    archive_sha256: str,
    photos_kept: int,
    correct: int,
    photos: int,
) -> str:
    """What is other than in the previous run, no stronger than the numbers are.

    The test splits count as two independent samples. They may share photos, and do if nothing was
    added; the interval is then wider than it need be.

    Args:
        correct, photos: of this run's test photos, how many transfer learning got right.
    """
    then = f"run {previous.run_id} of {previous.created:%Y-%m-%d}"
    if archive_key != previous.archive_key and archive_sha256 != previous.archive_sha256:
        other = previous.archive_key or f"SHA-256 {previous.archive_sha256[:12]}"
        return (
            f"The previous one, {then}, was of another archive ({other}): its photos are others, "
            "and its accuracies do not compare with this run’s."
        )
    before = previous.transfer
    low, high = unpaired_interval(correct, photos, before.correct, before.photos)
    change = correct / photos - before.accuracy
    found = "not distinguishable" if low <= 0 <= high else "better" if change > 0 else "worse"
    return (
        f"Since {then}, {_photos_since(photos_kept - previous.photos_kept)}; the accuracy of "
        f"transfer learning went from {percent(before.accuracy)} to {percent(correct / photos)}: "
        f"{points(change)} percentage points (95{NBSP}% interval {points(low)} to {points(high)}), "
        f"{found}."
    )


def _photos_since(more: int) -> str:
    if more == 0:
        return "as many photos were used"
    photos = "photo was" if abs(more) == 1 else "photos were"
    return f"{abs(more):,} {'more' if more > 0 else 'fewer'} {photos} used"
