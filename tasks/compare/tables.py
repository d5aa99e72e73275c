"""The page's tables as CSV files: numbers unrounded, shares 0..1, times in seconds."""

from collections.abc import Iterator
from pathlib import Path

from tasks.compare.csv_files import Cell, write_csv
from tasks.compare.evidence import Evidence
from tasks.compare.summary import ArmSummary, Summary
from tasks.contract.training import Epoch, Metrics

SIDE_BY_SIDE_CSV = "side-by-side.csv"
CLASSES_CSV = "classes.csv"
HISTORY_CSV = "history.csv"
CONFUSED_PAIRS_CSV = "confused-pairs.csv"
EARLIER_RUNS_CSV = "earlier-runs.csv"
CONFUSION_CSV = {"scratch": "confusion-scratch.csv", "transfer": "confusion-transfer.csv"}


def write_tables(evidence: Evidence, summary: Summary, folder: Path) -> None:
    """Write them all."""
    _write_side_by_side(summary, folder / SIDE_BY_SIDE_CSV)
    _write_classes(summary, folder / CLASSES_CSV)
    _write_history(summary, folder / HISTORY_CSV)
    _write_confused_pairs(summary, folder / CONFUSED_PAIRS_CSV)
    _write_earlier_runs(summary, folder / EARLIER_RUNS_CSV)
    classes = evidence.data.classes
    _write_confusion(evidence.scratch.metrics, classes, folder / CONFUSION_CSV["scratch"])
    _write_confusion(evidence.transfer.metrics, classes, folder / CONFUSION_CSV["transfer"])


def _write_side_by_side(summary: Summary, path: Path) -> None:
    rows = zip(_measures(summary.scratch), _measures(summary.transfer), strict=True)
    write_csv(
        path,
        ("measure", "from scratch", "transfer"),
        ((name, scratch, transfer) for (name, scratch), (_, transfer) in rows),
    )


def _measures(arm: ArmSummary) -> Iterator[tuple[str, Cell]]:
    """By the names of ``summary.json``, in the order of the page."""
    yield from arm.test.model_dump().items()
    for name in (
        "train_seconds",
        "feature_seconds",
        "head_seconds",
        "resumed",
        "shared_seconds",
        "seconds",
        "photos_per_second",
        "device",
    ):
        yield name, getattr(arm, name)
    yield "weights", arm.weights.name
    yield "parameters_trained", arm.parameters.trained
    yield "parameters_total", arm.parameters.total
    for name in (
        "epochs",
        "early_epochs",
        "early_side",
        "recipe",
        "optimizer",
        "learning_rate",
        "batch_size",
        "architecture",
    ):
        yield name, getattr(arm, name)


def _write_classes(summary: Summary, path: Path) -> None:
    arms = ("scratch", "transfer")
    fields = [f"{arm}_{name}" for arm in arms for name in ("correct", "recall", "low", "high")]
    write_csv(
        path,
        ("class", "test_photos", *fields, "difference"),
        (
            (row.name, row.test_photos, *(getattr(row, name) for name in fields), row.difference)
            for row in summary.classes_by_difference
        ),
    )


def _by_name(summary: Summary) -> list[tuple[str, ArmSummary]]:
    return [("scratch", summary.scratch), ("transfer", summary.transfer)]


def _write_history(summary: Summary, path: Path) -> None:
    write_csv(
        path,
        ("arm", "epoch", *Epoch.model_fields),
        (
            (name, number, *epoch.model_dump().values())
            for name, arm in _by_name(summary)
            for number, epoch in enumerate(arm.history, start=1)
        ),
    )


def _write_confused_pairs(summary: Summary, path: Path) -> None:
    write_csv(
        path,
        ("arm", "true_class", "named", "photos", "share"),
        (
            (name, pair.true_class, pair.named, pair.photos, pair.share)
            for name, arm in _by_name(summary)
            for pair in arm.most_confused
        ),
    )


def _write_earlier_runs(summary: Summary, path: Path) -> None:
    """Without this run, as ``summary.json`` has them."""
    facts = (
        "run_id",
        "created",
        "archive_key",
        "archive_sha256",
        "classes",
        "photos_kept",
        "test_photos",
        "image_size",
        "seed",
    )
    measures = (
        "recipe",
        "epochs",
        "batch_size",
        "learning_rate",
        "weights",
        "correct",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
    )
    arms = ("scratch", "transfer")
    rows = []
    for run in summary.earlier or []:
        flat = run.model_dump(mode="json")
        row: list[Cell] = [flat[name] for name in facts]
        row += [flat[arm][name] for arm in arms for name in measures]
        rows.append([*row, run.difference, run.verdict])
    names = [f"{arm}_{name}" for arm in arms for name in measures]
    write_csv(path, (*facts, *names, "difference", "verdict"), rows)


def _write_confusion(metrics: Metrics, classes: list[str], path: Path) -> None:
    """A row per true class, a column per named one."""
    rows: Iterator[list[Cell]] = (
        [name, *row] for name, row in zip(classes, metrics.confusion, strict=True)
    )
    write_csv(path, ("true class", *classes), rows)
