"""What is other in this run than in the one before it, no stronger than the numbers are."""

from collections import defaultdict
from collections.abc import Iterator
from math import sqrt

from tasks.compare.earlier_runs import ListedArm, ListedRun
from tasks.compare.names import shortened
from tasks.compare.wording import NBSP, percent, points, points_range
from tasks.contract.statistics import Interval, unpaired_interval

#: A setting, and the network or step that it is of ("" if of the run as a whole).
_Setting = tuple[str, str]


def change_since(previous: ListedRun, current: ListedRun) -> str:
    """Sentences on what changed, and on how each network's accuracy did.

    Runs of different archives (other key and other bytes) are not compared.
    """
    then = f"run {previous.run_id} of {previous.created:%Y-%m-%d}"
    if not current.is_of_the_archive_of(previous):
        other = shortened(previous.archive_key) or f"SHA-256 {previous.archive_sha256[:12]}"
        return (
            f"The previous one, {then}, was of another archive ({other}): its photos are others, "
            "and its accuracies do not compare with this run’s."
        )
    changes = list(_changes(previous, current))
    if not changes:
        changes = ["nothing changed of what the reports tell that decides accuracy"]
    wider = max(previous.design_effect, current.design_effect)
    transfer = _accuracy_since(previous.transfer, current.transfer, wider)
    scratch = _accuracy_since(previous.scratch, current.scratch, wider)
    return (
        f"Since {then}: {'; '.join(changes)}. The accuracy of transfer learning {transfer}. "
        f"That of training from scratch {scratch}."
    )


def _changes(previous: ListedRun, current: ListedRun) -> Iterator[str]:
    more = current.photos_kept - previous.photos_kept
    if more:
        photos = "photo was" if abs(more) == 1 else "photos were"
        yield f"{abs(more):,} {'more' if more > 0 else 'fewer'} {photos} used"
    if current.archive_sha256 != previous.archive_sha256:
        yield f"the archive under {shortened(current.archive_key)} has other bytes"
    before, after = _settings(previous), _settings(current)
    # What changed in the same way for both networks, or in all steps, is told once.
    changed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (name, of), value in after.items():
        old = before.get((name, of))
        if old is not None and old != value:
            changed[name, old, value].append(of)
    all_of: dict[str, list[str]] = defaultdict(list)
    for name, of in after:
        all_of[name].append(of)
    for (name, old, value), own in changed.items():
        where = "" if own == all_of[name] else f" ({', '.join(own)})"
        yield f"{name}{where} {old} → {value}"


def _settings(run: ListedRun) -> dict[_Setting, str]:
    """What decides accuracies besides the archive, in words, where it is known."""
    found: dict[_Setting, object] = {
        ("classes", ""): run.classes,
        ("image size", ""): run.image_size,
        ("seed", ""): run.seed,
    }
    for of, arm in (("from scratch", run.scratch), ("transfer", run.transfer)):
        found |= {
            ("recipe", of): arm.recipe,
            ("weights", of): arm.weights,
            ("SHA-256 of the weights", of): (arm.weights_sha256 or "")[:12] or None,
            ("epochs", of): arm.epochs,
            ("batch size", of): arm.batch_size,
            ("learning rate", of): arm.learning_rate,
        }
    for name, option in run.options.items():
        value = "as the recipe" if option is None else option
        found[name.replace("_", " "), ""] = value
    for step, revision in run.revisions.items():
        found["source revision", step] = revision[:12]
    return {setting: _in_words(value) for setting, value in found.items() if value is not None}


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _accuracy_since(before: ListedArm, after: ListedArm, wider: float) -> str:
    change = after.accuracy - before.accuracy
    interval = _interval(before, after, wider)
    return (
        f"went from {percent(before.accuracy)} to {percent(after.accuracy)}: {points(change)} "
        f"percentage points (95{NBSP}% interval {points_range(interval)}), {_found(interval)}"
    )


def _interval(before: ListedArm, after: ListedArm, wider: float) -> Interval:
    """Newcombe's interval for independent proportions, widened by the design effect.

    Photos that look alike are right or wrong together, so that the variance of an accuracy is up
    to ``wider`` times that of as many independent photos (L. Kish, "Survey Sampling", 1965, 8.2).
    """
    change = after.accuracy - before.accuracy
    low, high = unpaired_interval(after.correct, after.photos, before.correct, before.photos)
    return Interval(
        max(-1.0, change - sqrt(wider) * (change - low)),
        min(1.0, change + sqrt(wider) * (high - change)),
    )


def _found(interval: Interval) -> str:
    if interval.holds_zero:
        return "not distinguishable"
    return "better" if interval.low > 0 else "worse"
