"""``summary.json``: everything the report shows, as numbers. Its schema is the model ``Summary``.

The headline lies at the top level, so that a list of many runs can be drawn from many summaries
without knowing the rest.
"""

from datetime import datetime
from math import inf
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.compare import wording
from tasks.compare.across_classes import groups_across_classes
from tasks.compare.changes import change_since
from tasks.compare.confusion import ConfusedPair, most_confused
from tasks.compare.data_change import DataChange, data_change
from tasks.compare.earlier_runs import ListedRun, listed
from tasks.compare.evidence import Arm, DataFacts, Evidence, Parameters, SplitCounts, Weights
from tasks.compare.fitting import Statement, statements_on
from tasks.compare.names import shortened
from tasks.compare.part import Part
from tasks.contract import statistics
from tasks.contract.decision import Decision, Duel
from tasks.contract.manifest import Manifest
from tasks.contract.statistics import PairedCounts, Verdict
from tasks.contract.training import Epoch

#: Raised when a field changes its meaning or goes; a new field does not raise it.
SUMMARY_VERSION: Literal[1] = 1

_DEFAULT_TITLE = "What transfer learning bought"

#: By option, the field of a step's recipe that an empty one takes; see ``tasks.train.recipes``.
_RECIPE_FIELDS = {
    "batch_size": "batch_size",
    "scratch_epochs": "epochs",
    "scratch_learning_rate": "learning_rate",
    "transfer_epochs": "epochs",
    "transfer_learning_rate": "learning_rate",
    "feature_views": "views",
    "fine_tune_epochs": "fine_tune_epochs",
}


class Score(Part):
    """A network's answers to the test photos.

    Attributes:
        accuracy: share of the photos that were right, 0..1, with its 95 % Wilson interval.
        top5_accuracy: share whose class is among the five most probable, 0..1.
        log_loss: mean cross-entropy, nats.
        macro_f1: mean F1 of the classes, 0..1.
        calibration_error: expected gap between confidence and accuracy, 0..1.
    """

    photos: int
    correct: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    top5_accuracy: float
    log_loss: float
    macro_f1: float
    calibration_error: float


class ArmSummary(Part):
    """One network: how it was trained, what that cost and what it can do. Times in seconds.

    ``seconds`` is the whole step's time, ``train_seconds`` the training's alone. A training that
    ``resumed`` from a checkpoint had several processes: ``seconds`` is of the last one only. Of
    ``train_seconds``, ``shared_seconds`` were spent by earlier runs, on features that were found.
    ``learning_rate`` is the highest one, unless it was ``constant_learning_rate``. The first
    ``early_epochs`` of the ``epochs`` were on photos of ``early_side`` pixels, all others on such
    of the image size.
    """

    architecture: str
    weights: Weights
    parameters: Parameters
    recipe: str
    epochs: int
    early_epochs: int
    early_side: int | None
    batch_size: int
    learning_rate: float
    constant_learning_rate: bool
    optimizer: str
    device: str
    resumed: int
    shared_seconds: float
    seconds: float | None
    train_seconds: float | None
    feature_seconds: float | None
    head_seconds: float | None
    photos_per_second: float | None
    test: Score
    most_confused: list[ConfusedPair]
    history: list[Epoch]
    statements: list[Statement]

    @property
    def border(self) -> int | None:
        """After how many epochs the photos became larger, if the curves show both kinds."""
        return self.early_epochs if 0 < self.early_epochs < len(self.history) else None


class Paired(Part):
    """On how many test photos both, one or none of the networks were right.

    The bootstrap's interval of the difference rests on ``groups`` of photos: a near-duplicate group
    counts once, and so does a photo that looks like no other. ``design_effect`` is by how much they
    may widen the variance of an accuracy: see ``Evidence``.
    """

    both: int
    only_transfer: int
    only_scratch: int
    neither: int
    groups: int
    design_effect: float
    bootstrap_low: float
    bootstrap_high: float
    interval_method: str = "Newcombe 1998, method 10, 95 %"
    test_method: str = "McNemar, exact, two-sided"
    bootstrap_method: str = (
        f"wild bootstrap of near-duplicate groups, {statistics.RESAMPLES:,} resamples, 95 %"
    )


class ClassSummary(Part):
    """One class. Recall is the share of its test photos that were right, 0..1.

    ``low`` and ``high`` are its 95 % Wilson interval. Without test photos there is none of it.
    """

    name: str
    photos: SplitCounts
    test_photos: int
    scratch_correct: int
    transfer_correct: int
    scratch_recall: float | None
    scratch_low: float | None
    scratch_high: float | None
    transfer_recall: float | None
    transfer_low: float | None
    transfer_high: float | None

    @property
    def difference(self) -> float | None:
        """Transfer's recall minus that from scratch, -1..1."""
        if self.scratch_recall is None or self.transfer_recall is None:
            return None
        return self.transfer_recall - self.scratch_recall


class Spread(Part):
    """Of a number that each photo has: the extremes, the quartiles and the median."""

    smallest: float
    lower_quartile: float
    median: float
    upper_quartile: float
    largest: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        low, lower, middle, upper, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
        return cls(
            smallest=low, lower_quartile=lower, median=middle, upper_quartile=upper, largest=high
        )


class DataSummary(Part):
    """What became of the archive's photos. ``archive_size`` in bytes, ``image_size`` in pixels.

    ``archive_key`` is where the archive lay when the run in ``origin.fetch`` fetched it. The same
    bytes under another name are the same data: nothing is computed again, and the key stays.
    ``near_duplicate_test_photos`` look like another test photo; all intervals but the bootstrap's
    count them as independent. Of the near-duplicate groups, those ``across_classes`` have photos of
    more than one class. ``longer_side`` (pixels) and ``aspect_ratio`` (width / height) are of the
    photos that are used.
    """

    name: str
    note: str
    archive_key: str
    archive_size: int
    archive_sha256: str
    fingerprint: str
    image_size: int
    entries: int
    kept: int
    refused: int
    refused_by_reason: dict[str, int]
    near_duplicate_groups: int
    near_duplicate_groups_across_classes: int
    near_duplicate_test_photos: int
    longer_side: Spread
    aspect_ratio: Spread


class ChampionSummary(Part):
    """The run's better network against the champion of that moment, see ``docs/champion.md``.

    Attributes:
        champion: the step that trained it, and the run; empty if there was none yet.
        champion_promoted: when that one was.
        challenger: the better network, by its accuracy in the test.
        newer: whether it was trained on another archive, prepared later; None without a champion.
        duel: how both did on the test photos that neither has seen; None if they did not meet, and
            ``trouble`` says why if there was a champion.
        rule: the option ``promote``.
        promotes: whether the rule lets the challenger be the champion, and ``reason`` why. What
            came of it, ``champion.json`` says: this is written before.
    """

    champion: str
    champion_promoted: datetime | None
    challenger: Literal["scratch", "transfer"]
    newer: bool | None
    duel: Duel | None
    trouble: str
    rule: str
    promotes: bool
    reason: str


class StepOrigin(Part):
    """Which execution made a step's result, and with what.

    ``fingerprint`` is empty for the comparison, which writes this before it has a manifest. Of the
    ``options``, those that were left empty have the values ``from_recipe``.
    """

    run_id: str
    created: datetime
    fingerprint: str = ""
    options: dict[str, Any]
    from_recipe: dict[str, Any] = Field(default_factory=dict)
    produced_by: dict[str, str]


class Summary(Part):
    """The report as numbers. Accuracies, shares and differences of them lie in -1..1.

    Attributes:
        run_id: the run that computed the comparison; later runs may have found it unchanged.
        difference: accuracy of transfer minus that from scratch, with its 95 % interval.
        p_value: McNemar's exact test that both are equally often right.
        statement: the page's first sentence.
        classes: in the order of their labels.
        earlier: runs with a report when this one was computed, newest first; None if the store did
            not say.
        since_previous: what changed since the newest of them, in sentences; empty without one.
        against_champion: how the better network did against the promoted one.
        data_change: the photos beside those of the newest one of the same archive; None without.
    """

    version: Literal[1] = SUMMARY_VERSION
    title: str
    synthetic: bool
    run_id: str
    created: datetime
    statement: str
    verdict: Verdict
    scratch_accuracy: float
    transfer_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    test_photos: int
    scratch: ArmSummary
    transfer: ArmSummary
    paired: Paired
    classes: list[ClassSummary]
    data: DataSummary
    earlier: list[ListedRun] | None
    since_previous: str
    against_champion: ChampionSummary
    data_change: DataChange | None
    origin: dict[str, StepOrigin] = Field(description="by name of the step")

    @property
    def classes_by_difference(self) -> list[ClassSummary]:
        """Those that transfer helps most first; those without test photos last."""
        return sorted(
            self.classes, key=lambda row: inf if row.difference is None else -row.difference
        )

    @property
    def as_listed(self) -> ListedRun:
        """As later runs will list it."""
        return listed(self.model_dump(mode="json"))

    @property
    def headline(self) -> dict[str, Any]:
        """What a list of many runs tells of each, and what became of the data: the step's facts."""
        names = (
            *("title", "synthetic", "scratch_accuracy", "transfer_accuracy"),
            *("difference", "difference_low", "difference_high"),
            *("p_value", "test_photos", "verdict"),
        )
        arms = {"scratch": self.scratch.test, "transfer": self.transfer.test}
        intervals = {
            f"{arm}_accuracy_{end}": getattr(test, f"accuracy_{end}")
            for arm, test in arms.items()
            for end in ("low", "high")
        }
        return {name: getattr(self, name) for name in names} | {
            **intervals,
            "archive": self.data.archive_key,
            "photos": self.data.kept,
            "weights": self.transfer.weights.name,
            "data_change": self.data_change and self.data_change.model_dump(),
        }


def summarise(
    evidence: Evidence, title: str, compared: StepOrigin, earlier: list[ListedRun] | None
) -> Summary:
    """Turn the evidence into numbers.

    Args:
        title: heading of the report; empty takes the data set's name.
        compared: the execution that this is.
        earlier: see ``read_earlier_runs``.
    """
    scratch, transfer = evidence.scratch, evidence.transfer
    transfer_right = transfer.predicted == evidence.labels
    scratch_right = scratch.predicted == evidence.labels
    counts = PairedCounts.of(transfer_right, scratch_right)
    grouped = statistics.grouped_interval(transfer_right, scratch_right, evidence.groups)
    verdict = statistics.verdict_of(counts, grouped)
    low, high = statistics.paired_interval(counts)
    scratch_summary = _arm_summary(scratch, evidence.data)
    transfer_summary = _arm_summary(transfer, evidence.data)
    summary = Summary(
        title=title or shortened(evidence.data.dataset.name) or _DEFAULT_TITLE,
        synthetic=evidence.data.dataset.synthetic,
        run_id=compared.run_id,
        created=compared.created,
        statement=wording.statement(
            counts,
            grouped,
            verdict,
            (transfer.measurements.train_seconds, scratch.measurements.train_seconds),
            (transfer.measurements.device, scratch.measurements.device),
        ),
        verdict=verdict,
        scratch_accuracy=scratch_summary.test.accuracy,
        transfer_accuracy=transfer_summary.test.accuracy,
        difference=counts.difference,
        difference_low=low,
        difference_high=high,
        p_value=statistics.mcnemar_exact(counts),
        test_photos=sum(counts),
        scratch=scratch_summary,
        transfer=transfer_summary,
        paired=Paired(
            **counts._asdict(),
            groups=len(np.unique(evidence.groups)),
            design_effect=evidence.design_effect,
            bootstrap_low=grouped.low,
            bootstrap_high=grouped.high,
        ),
        classes=_class_summaries(evidence),
        data=_data_summary(evidence),
        earlier=earlier,
        since_previous="",
        against_champion=_against_champion(evidence.decision),
        data_change=None,
        origin={
            "fetch": _origin(evidence.fetch),
            "preprocess": _origin(evidence.preprocess),
            "train_scratch": _origin(scratch.manifest),
            "train_transfer": _origin(transfer.manifest),
            "champion": _origin(evidence.champion),
            "compare": compared,
        },
    )
    if not earlier:
        return summary
    current = summary.as_listed
    since = {
        "since_previous": change_since(earlier[0], current),
        "data_change": data_change(current, earlier),
    }
    return summary.model_copy(update=since)


def _against_champion(decision: Decision) -> ChampionSummary:
    facts = decision.model_dump(exclude={"challenger", "situation"})
    return ChampionSummary(challenger=decision.challenger.removeprefix("train_"), **facts)


def _arm_summary(arm: Arm, data: DataFacts) -> ArmSummary:
    facts, metrics = arm.facts, arm.metrics
    low, high = statistics.wilson_interval(metrics.correct, metrics.photos)
    return ArmSummary(
        architecture=facts.architecture,
        weights=facts.weights,
        parameters=facts.parameters,
        recipe=facts.recipe.name,
        epochs=facts.epochs,
        early_epochs=min(facts.early_epochs, facts.epochs),
        early_side=facts.early_side,
        batch_size=facts.batch_size,
        learning_rate=facts.learning_rate,
        constant_learning_rate=facts.recipe.warm_up_epochs is None,
        optimizer=facts.optimizer,
        test=Score(
            photos=metrics.photos,
            correct=metrics.correct,
            accuracy=metrics.accuracy,
            top5_accuracy=metrics.top5_accuracy,
            accuracy_low=low,
            accuracy_high=high,
            log_loss=metrics.log_loss,
            macro_f1=metrics.macro_f1,
            calibration_error=metrics.calibration_error,
        ),
        most_confused=most_confused(metrics, data.classes),
        history=arm.history,
        statements=statements_on(
            arm.history,
            facts.recipe.planned_epochs,
            [data.per_class[name].validation for name in data.classes],
        ),
        **arm.measurements.model_dump(),
    )


def _class_summaries(evidence: Evidence) -> list[ClassSummary]:
    classes = evidence.data.classes

    def count(labels: NDArray[np.int32]) -> list[int]:
        return [int(n) for n in np.bincount(labels, minlength=len(classes))]

    def right(arm: Arm) -> list[int]:
        return count(evidence.labels[arm.predicted == evidence.labels])

    scratch, transfer = right(evidence.scratch), right(evidence.transfer)
    rows = zip(classes, count(evidence.labels), scratch, transfer, strict=True)
    return [
        ClassSummary(
            name=name,
            photos=evidence.data.per_class[name],
            test_photos=photos,
            scratch_correct=right_scratch,
            transfer_correct=right_transfer,
            **_recall("scratch", right_scratch, photos),
            **_recall("transfer", right_transfer, photos),
        )
        for name, photos, right_scratch, right_transfer in rows
    ]


def _recall(arm: str, right: int, photos: int) -> dict[str, float | None]:
    """The fields of one arm's recall."""
    low, high = statistics.wilson_interval(right, photos) if photos else (None, None)
    recall = right / photos if photos else None
    return {f"{arm}_recall": recall, f"{arm}_low": low, f"{arm}_high": high}


def _data_summary(evidence: Evidence) -> DataSummary:
    data = evidence.data
    width = np.array([photo.width for photo in evidence.photos])
    height = np.array([photo.height for photo in evidence.photos])
    return DataSummary(
        name=data.dataset.name,
        note=data.dataset.note,
        archive_key=evidence.fetch.options["archive"],
        archive_size=data.archive.size,
        archive_sha256=data.archive.sha256,
        fingerprint=evidence.preprocess.fingerprint,
        image_size=data.image_size,
        entries=data.photos.entries,
        kept=data.photos.kept,
        refused=data.photos.refused,
        refused_by_reason=dict(
            sorted(data.refused.items(), key=lambda reason: (-reason[1], reason[0]))
        ),
        near_duplicate_groups=data.near_duplicate_groups,
        near_duplicate_groups_across_classes=len(groups_across_classes(evidence.photos)),
        near_duplicate_test_photos=evidence.near_duplicates,
        longer_side=Spread.of(np.maximum(width, height)),
        aspect_ratio=Spread.of(width / height),
    )


def _origin(manifest: Manifest) -> StepOrigin:
    produced_by = dict(manifest.produced_by)
    return StepOrigin(
        run_id=produced_by.pop("run_id", "unknown"),
        created=manifest.created,
        fingerprint=manifest.fingerprint,
        options=manifest.options,
        from_recipe=_from_recipe(manifest),
        produced_by=produced_by,
    )


def _from_recipe(manifest: Manifest) -> dict[str, Any]:
    """What the recipe said for each option that was left empty, if the step states it."""
    recipe = manifest.facts.get("recipe", {})
    return {
        option: recipe[field]
        for option, field in _RECIPE_FIELDS.items()
        if option in manifest.options and manifest.options[option] is None and field in recipe
    }
