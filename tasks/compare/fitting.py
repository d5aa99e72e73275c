"""What a training history says about over- and underfitting, by stated rules.

Each rule either has a sentence that its figures carry, or is silent. ``a`` and ``v`` are training
and validation accuracy after the last epoch, for those are the network that is tested. The interval
of ``v`` is Wilson's, 95 %: how far chance alone takes it with so many validation photos. Shares
count as they are printed, to a tenth of a percent, so that no sentence contradicts its figures. Of
the rules on accuracy, ``guessing`` to ``below``, the first that holds speaks, and of those on
validation loss, which moves more finely than accuracy, from ``too few`` on.

==============  ===================================================================================
``stopped``     There are fewer epochs than were planned.
``guessing``    The interval of ``v`` does not lie above the share of the class that has the most
                validation photos, which always naming that class would reach.
``overfitted``  ``a`` lies above the interval.
``underfitted`` The interval ends below 75 %, and validation loss did not turn. A network of four
                million weights can learn nearly all of its training photos by heart; where it names
                less than three quarters of either right, it has not taken what they offer.
``no gap``      ``a`` lies inside the interval.
``below``       ``a`` lies below it, which is no sign of underfitting: ``a`` is measured while the
                weights change within the epoch, with dropout and on random views; ``v`` after it.
``too few``     There are fewer than six epochs: too few to tell a trend from chance.
``turned``      It rose since its lowest: the epochs after that one rise by Kendall's rank test, and
                the mean of the last of them lies higher by a change that counts and by more than it
                had risen before, the first quarter of the epochs aside. Training loss fell
                meanwhile by a change that counts.
``rose``        Likewise, and training loss did not fall so much.
``improving``   It ended lower, by a change that counts, than ever before the last epochs. These
                fall by the rank test, and in their later half by a change that counts, even without
                their largest fall from one epoch to the next: a step of the learning rate is none.
``level``       The last epochs lie within a change that counts of each other.
``unsteady``    They have no trend by that test, and rose from one epoch to the next by a change
                that counts.
==============  ===================================================================================

The last epochs are a quarter of them, at least six and at most ten. A change counts from 5 % and
0.01 nats on. The rank test (H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945)
245-259) is one-sided, at p < 0.01. Fewer than five epochs cannot pass it. Noise around a level does
in one case of a hundred, wherever its lowest epoch is, for that one is left out; drift does more
often. docs/reading-the-report.md has how often a trend was claimed in simulated curves.

The levels of 75 %, 5 % and 0.01 nats are conventions of this report, no laws: one training has one
curve, and nothing in it says how another training's would differ.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from tasks.compare.part import Part
from tasks.compare.wording import NBSP, as_printed, count, decimal, percent, percent_range
from tasks.contract.statistics import wilson_interval
from tasks.contract.training import Epoch

Rule = Literal[
    "stopped",
    "guessing",
    "overfitted",
    "underfitted",
    "no gap",
    "below",
    "too few",
    "turned",
    "rose",
    "improving",
    "level",
    "unsteady",
]

_UNDERFITTED = 0.75
_FEWEST_EPOCHS = 6
_LONGEST_WINDOW = 10
_CHANGE, _CHANGE_NATS = 0.05, 0.01
_CHANCE = 0.01


class Statement(Part):
    """A sentence about a training, by one rule. Its ``figures`` are in the history's units."""

    rule: Rule
    text: str
    figures: dict[str, float]


def statements_on(
    history: Sequence[Epoch], planned: int | None, validation_photos: Sequence[int]
) -> list[Statement]:
    """What the rules say of a training.

    Args:
        history: at least one epoch.
        planned: how many epochs the recipe wanted, if that is known.
        validation_photos: of each class.
    """
    found = []
    if planned is not None and len(history) < planned:
        found.append(
            Statement(
                rule="stopped",
                text=f"Training ended after {len(history)} of {planned} planned epochs.",
                figures={"epochs": len(history), "planned": planned},
            )
        )
    on_loss = _on_loss(history)
    turned = any(statement.rule in ("turned", "rose") for statement in on_loss)
    return [*found, *_on_accuracy(history[-1], validation_photos, turned), *on_loss]


def _on_accuracy(
    last: Epoch, validation_photos: Sequence[int], turned: bool
) -> Iterator[Statement]:
    photos = sum(validation_photos)
    if not photos:
        return
    low, high = wilson_interval(round(last.val_accuracy * photos), photos)
    most = max(validation_photos) / photos
    interval = f"95{NBSP}% interval {percent_range(low, high)}, {count(photos, 'photo')}"
    training = f"training accuracy, {percent(last.accuracy)},"
    validation = f"validation accuracy, {percent(last.val_accuracy)} ({interval})"
    above = as_printed(last.accuracy) > as_printed(high)
    rule: Rule
    if as_printed(low) <= as_printed(most):
        rule = "guessing"
        why = (
            f"Training accuracy, {percent(last.accuracy)}, lies above it: what was learned from "
            "the training photos does not carry over to others yet. More photos may help."
            if above
            else f"Training accuracy is {percent(last.accuracy)}. Too few photos or an unsuitable "
            "learning rate can be why."
        )
        text = (
            f"Not better than guessing, as far as these photos show: at the end {validation}, is "
            f"not clearly above {percent(most)}, which always naming the most frequent class "
            f"reaches. {why}"
        )
    elif above:
        rule = "overfitted"
        gap = 100 * (as_printed(last.accuracy) - as_printed(last.val_accuracy))
        text = f"Overfitted: at the end {training} lies above {validation}, by {gap:.1f} points."
    elif as_printed(high) < _UNDERFITTED and not turned:
        rule = "underfitted"
        text = (
            f"Underfitted: at the end neither {training} nor {validation}, reaches "
            f"{percent(_UNDERFITTED, 0)}."
        )
    elif as_printed(last.accuracy) >= as_printed(low):
        rule = "no gap"
        text = (
            f"No gap that these photos could show: at the end {training} is not distinguishable "
            f"from {validation}."
        )
    else:
        rule = "below"
        text = (
            f"At the end {training} lies below {validation}. That is no sign of underfitting: "
            "it is measured while the network still learns, with dropout and on random views."
        )
    figures = {
        "accuracy": last.accuracy,
        "val_accuracy": last.val_accuracy,
        "val_accuracy_low": low,
        "val_accuracy_high": high,
    }
    if rule == "guessing":
        figures["most_frequent_share"] = most
    yield Statement(rule=rule, text=text, figures=figures)


def _on_loss(history: Sequence[Epoch]) -> list[Statement]:
    """At most one statement."""
    epochs = len(history)
    if epochs < _FEWEST_EPOCHS:
        few = count(epochs, "epoch is", "epochs are")
        text = f"{few} too few to say where the curves were going; more would show."
        return [Statement(rule="too few", text=text, figures={"epochs": epochs})]
    window = min(max(epochs // 4, _FEWEST_EPOCHS), _LONGEST_WINDOW)
    losses = [epoch.val_loss for epoch in history]
    rise = _rise_since_lowest(history, losses, window)
    if rise is not None:
        return [rise]
    last, recent = losses[-1], losses[-window:]
    lowest, highest = min(recent), max(recent)
    figures = {"window": window, "lowest": lowest, "highest": highest, "last": last}
    rule: Rule
    if _still_falling(losses, window):
        rule = "improving"
        help_ = " More epochs may help." if history[-1].val_accuracy < 1 else ""
        text = (
            f"Still improving at the end: validation loss fell over the last {window} epochs, from "
            f"{decimal(recent[0])} to {decimal(last)} nats, lower than ever before.{help_}"
        )
    elif not _lower(lowest, highest):
        rule = "level"
        text = (
            f"Validation loss was level at the end: over the last {window} epochs it lay between "
            f"{decimal(lowest)} and {decimal(highest)} nats."
        )
    elif not (_rises(recent) or _falls(recent)) and any(map(_lower, recent, recent[1:])):
        rule = "unsteady"
        text = (
            f"Validation loss was unsteady at the end: over the last {window} epochs it lay "
            f"between {decimal(lowest)} and {decimal(highest)} nats, without a clear trend, and "
            f"ended at {decimal(last)}."
        )
    else:
        return []
    return [Statement(rule=rule, text=text, figures=figures)]


def _rise_since_lowest(
    history: Sequence[Epoch], losses: list[float], window: int
) -> Statement | None:
    lowest = min(losses)
    best = losses.index(lowest)
    after = losses[best + 1 :]
    if not _rises(after):
        return None
    last = min(window, len(after))
    recent = _mean(losses[-last:])
    # In the first quarter, losses may still jump without saying anything of the rest.
    before = _largest_rise(losses[len(losses) // 4 : best + 1])
    if not _lower(lowest, recent) or recent - lowest <= before:
        return None
    loss, recent_loss = history[best].loss, _mean([epoch.loss for epoch in history[-last:]])
    figures = {
        "best_epoch": best + 1,
        "window": last,
        "best_val_loss": lowest,
        "recent_val_loss": recent,
        "best_loss": loss,
        "recent_loss": recent_loss,
    }
    rose = (
        f"it was lowest after epoch {best + 1} ({decimal(lowest)} nats) and rose since, to "
        f"{decimal(recent)} in the mean of the last {last} epochs"
    )
    trained = f"from {decimal(loss)} to {decimal(recent_loss)}"
    if _lower(recent_loss, loss):
        text = f"Validation loss turned: {rose}, while training loss fell {trained}."
        return Statement(rule="turned", text=text, figures=figures)
    text = (
        f"Validation loss rose: {rose}, while training loss fell little or not at all ({trained})."
    )
    return Statement(rule="rose", text=text, figures=figures)


def _still_falling(losses: list[float], window: int) -> bool:
    recent = np.array(losses[-window:])
    steps = np.diff(recent)
    with np.errstate(over="ignore", invalid="ignore"):  # losses that exploded do not fall
        rest = recent[0] + np.cumsum([0.0, *np.delete(steps, np.argmin(steps))])
        fell_late = rest[len(rest) // 2] - rest[-1] > _change_that_counts(losses[-1])
    earlier = losses[:-window] or losses[:1]
    return bool(fell_late and _lower(losses[-1], min(earlier)) and _falls(rest))


def _rises(losses: Sequence[float] | NDArray[np.float64]) -> bool:
    """Kendall's rank test of a rising trend. Of equal losses, the later counts as lower."""
    if len(losses) < 2:
        return False
    epochs = np.arange(len(losses))
    ranks = np.empty_like(epochs)
    ranks[np.lexsort((-epochs, np.asarray(losses)))] = epochs
    return bool(kendalltau(epochs, ranks, alternative="greater").pvalue < _CHANCE)


def _falls(losses: Sequence[float] | NDArray[np.float64]) -> bool:
    return _rises(-np.asarray(losses))


def _largest_rise(losses: Sequence[float]) -> float:
    """From any epoch to any later one; zero where none is higher."""
    return float(np.max(losses - np.minimum.accumulate(losses), initial=0.0))


def _mean(losses: Sequence[float]) -> float:
    # Each share by itself, for the sum of huge losses may not be finite.
    return sum(loss / len(losses) for loss in losses)


def _lower(loss: float, other: float) -> bool:
    """Whether the one is lower by a change that counts, and that its figures show."""
    return other - loss > _change_that_counts(loss) and decimal(loss) != decimal(other)


def _change_that_counts(loss: float) -> float:
    return max(_CHANGE * loss, _CHANGE_NATS)
