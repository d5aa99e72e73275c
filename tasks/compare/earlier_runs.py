"""What earlier runs came to, read out of the reports that they have published.

What is found here is not part of the comparison's fingerprint: a report tells what there was when
it was computed. Were it part, each run would change the next one's fingerprint, and a run that
finds nothing changed would compute its report again only to add a line about itself. So such a run
shows the same report, with the same earlier runs.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from tasks.compare.names import shortened
from tasks.compare.part import Part
from tasks.compare.publish import SUMMARY_FILE
from tasks.compare.results import first_fault
from tasks.contract.bounded import Count, Moment, Share
from tasks.contract.errors import StepError
from tasks.contract.statistics import Verdict, wilson_interval
from tasks.contract.store import ObjectHead, Store

log = logging.getLogger(__name__)

#: At most so many reports are read, and none with a summary of more bytes.
_MOST_RUNS, _MOST_BYTES = 30, 4_000_000

#: Options of the steps that decide accuracies, but for those that the networks' own fields tell.
_DECIDING = (
    "fit",
    "min_side",
    "validation_share",
    "test_share",
    "near_duplicate_bits",
    "feature_views",
    "fine_tune_epochs",
    "class_weights",
    "precision",
    "deterministic",
)
#: Steps whose source decides accuracies.
_DECIDING_STEPS = ("preprocess", "train_scratch", "train_transfer")

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: A text that nothing bounds where it comes from.
Text = Annotated[str, AfterValidator(shortened)]
Option = bool | int | float | str | None


class ListedArm(Part):
    """One network of a run; its accuracy, 0..1, with the 95 % Wilson interval.

    How it was trained is None if the run's report did not tell yet.
    """

    recipe: str
    photos: int
    correct: int
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weights: str | None = None
    weights_sha256: str | None = None


class ListedRun(Part):
    """What a run came to, and what decided it; long names are shortened.

    What a run's report did not tell yet is None, or absent from ``options`` and ``revisions``.

    Attributes:
        archive_key: empty if its report did not name the archive's file yet.
        archive_sha256: hex.
        photos_kept: how many photos were used, all splits together.
        difference: accuracy of transfer minus that from scratch, -1..1.
        design_effect: by how much photos that look alike may widen the variance of an accuracy;
            an upper bound if the report tells only how many such photos there are.
        options: by name, those that decide accuracies; None is as the recipe.
        revisions: source revision by step, where it is known.
        refused: photos that were not used.
        class_photos: those that were used, by class, as far as its report tells. With ``refused``
            it is for ``data_change`` alone: many runs are listed, and each may have many classes.
    """

    run_id: str
    created: AwareDatetime
    title: str
    archive_key: str
    archive_sha256: str
    photos_kept: int
    test_photos: int
    scratch: ListedArm
    transfer: ListedArm
    difference: float
    verdict: Verdict
    classes: int | None = None
    image_size: int | None = None
    seed: int | None = None
    design_effect: float
    options: dict[str, Option] = Field(default_factory=dict)
    revisions: dict[str, str] = Field(default_factory=dict)
    refused: SkipJsonSchema[int | None] = Field(None, exclude=True)
    class_photos: SkipJsonSchema[dict[str, int]] = Field(default_factory=dict, exclude=True)

    def is_of_the_archive_of(self, other: Self) -> bool:
        """Whether both are of the same key, or of the same bytes."""
        same_key = self.archive_key == other.archive_key != ""
        return same_key or self.archive_sha256 == other.archive_sha256


class _Published(BaseModel):
    """Of a published summary, what is listed here; it may hold more, and an old one less."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Score(_Published):
    photos: Annotated[Count, Field(ge=1)]
    correct: Count

    @model_validator(mode="after")
    def _right_ones_are_among_all(self) -> Self:
        if self.correct > self.photos:
            raise ValueError("more photos are right than there are")
        return self


class _Weights(_Published):
    name: Text
    sha256: Text = ""


class _Arm(_Published):
    recipe: Text
    test: _Score
    epochs: Count | None = None
    batch_size: Count | None = None
    learning_rate: Rate | None = None
    weights: _Weights | None = None


class _Data(_Published):
    archive_key: Annotated[str, Field(max_length=1024)] = ""
    archive_sha256: Text
    kept: Count
    refused: Count | None = None
    image_size: Count | None = None
    near_duplicate_test_photos: Count | None = None


class _Splits(_Published):
    train: Count
    validation: Count
    test: Count


class _Class(_Published):
    name: str
    photos: _Splits


class _Paired(_Published):
    groups: Count | None = None
    design_effect: Annotated[float, Field(ge=1, le=1e9)] | None = None


class _Origin(_Published):
    options: dict[str, Any] = {}
    produced_by: dict[str, str] = {}


class _Summary(_Published):
    version: Literal[1]
    run_id: Annotated[str, Field(min_length=1, max_length=200)]
    created: Moment
    title: Text
    verdict: Verdict
    scratch: _Arm
    transfer: _Arm
    data: _Data
    paired: _Paired = _Paired()
    classes: list[Any] | None = None
    origin: dict[str, _Origin] = {}

    @model_validator(mode="after")
    def _both_were_tested_on_the_same_photos(self) -> Self:
        if self.scratch.test.photos != self.transfer.test.photos:
            raise ValueError("the networks were tested on different numbers of photos")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Of all steps together: one run has one configuration, of which each saw its slice."""
        return {
            name: value for step in self.origin.values() for name, value in step.options.items()
        }


def listed(content: Mapping[str, Any]) -> ListedRun:
    """A run as lists show it, out of its ``summary.json``.

    Raises:
        ValidationError: it is not a summary, or of another version.
    """
    return _listed(_Summary.model_validate(content))


def read_earlier_runs(store: Store, run_id: str, created: datetime) -> list[ListedRun] | None:
    """The newest runs with a report, newest first, before the run ``run_id`` of ``created``.

    A run that found nothing changed has published the summary of the run that computed it, which
    is told once. A summary that cannot be read, is of another version or is dated later than
    ``created`` is left out.

    Returns:
        None if the store failed: a report without its history is better than none.
    """
    runs: dict[str, ListedRun] = {}
    try:
        for head in _newest(store.list("reports/")):
            found = _read(store, head)
            if found is None or found.run_id == run_id:
                continue
            if found.created > created:
                log.info("%s is not shown: it is dated later than now", store.uri(head.key))
                continue
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


def _read(store: Store, head: ObjectHead) -> ListedRun | None:
    if head.size > _MOST_BYTES:
        log.info("%s is not shown: it has %s bytes", store.uri(head.key), f"{head.size:,}")
        return None
    try:
        return _listed(_Summary.model_validate_json(store.read(head.key) or b""))
    except ValidationError as error:
        log.info("%s is not shown: %s", store.uri(head.key), shortened(first_fault(error)))
        return None


def _listed(summary: _Summary) -> ListedRun:
    scratch, transfer = _arm(summary.scratch), _arm(summary.transfer)
    options = summary.options
    seed = options.get("seed")
    return ListedRun(
        run_id=summary.run_id,
        created=summary.created,
        title=summary.title,
        archive_key=summary.data.archive_key,
        archive_sha256=summary.data.archive_sha256,
        photos_kept=summary.data.kept,
        test_photos=transfer.photos,
        scratch=scratch,
        transfer=transfer,
        difference=transfer.accuracy - scratch.accuracy,
        verdict=summary.verdict,
        classes=None if summary.classes is None else len(summary.classes),
        image_size=summary.data.image_size,
        seed=seed if type(seed) is int and 0 <= seed < 2**31 else None,
        design_effect=_design_effect(summary),
        options={name: _option(options[name]) for name in _DECIDING if name in options},
        revisions={
            step: shortened(revision)
            for step in _DECIDING_STEPS
            if step in summary.origin
            and (revision := summary.origin[step].produced_by.get("revision", "unknown"))
            != "unknown"
        },
        refused=summary.data.refused,
        class_photos=dict(filter(None, map(_class_photos, summary.classes or []))),
    )


def _class_photos(told: Any) -> tuple[str, int] | None:
    """A class and how many of its photos were used, or None if that is not told as it should be."""
    try:
        found = _Class.model_validate(told)
    except ValidationError:
        return None
    return found.name, found.photos.train + found.photos.validation + found.photos.test


def _arm(arm: _Arm) -> ListedArm:
    low, high = wilson_interval(arm.test.correct, arm.test.photos)
    return ListedArm(
        recipe=arm.recipe,
        photos=arm.test.photos,
        correct=arm.test.correct,
        accuracy=arm.test.correct / arm.test.photos,
        accuracy_low=low,
        accuracy_high=high,
        epochs=arm.epochs,
        batch_size=arm.batch_size,
        learning_rate=arm.learning_rate,
        weights=arm.weights and arm.weights.name,
        weights_sha256=arm.weights and arm.weights.sha256,
    )


def _option(value: Any) -> Option:
    """Whatever JSON holds where a number, a word or nothing is due."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    return shortened(str(value))


def _design_effect(summary: _Summary) -> float:
    """As ``Evidence.design_effect``, or the most that it can be by what the summary tells.

    That is if of the groups of photos that look alike all but one are pairs. If it does not even
    tell how many photos look alike, all of them may.
    """
    if summary.paired.design_effect is not None:
        return summary.paired.design_effect
    photos = summary.transfer.test.photos
    told = summary.data.near_duplicate_test_photos
    alike = photos if told is None else min(told, photos)
    if alike == 0:
        return 1.0
    single = photos - alike
    pairs = max(0, (summary.paired.groups or 0) - single - 1)
    rest = max(2, alike - 2 * pairs)
    return max(1.0, (single + 4 * pairs + rest**2) / photos)
