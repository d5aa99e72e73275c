"""What a training history says about over- and underfitting, by stated rules.

Each rule either has a sentence that its figures carry, or is silent. ``a`` and ``v`` are training
and validation accuracy after the last epoch, for those are the network that is tested. The interval
of ``v`` is Wilson's, 95 %: how far chance alone takes it with so many validation photos.

==============  ===================================================================================
``stopped``     There are fewer epochs than were planned.
``guessing``    The interval of ``v`` does not lie above the share of the class that has the most
                validation photos, which always naming that class would reach.
``overfitted``  ``a`` lies above the interval.
``no gap``      ``a`` lies inside it.
``below``       ``a`` lies below it, which is no sign of underfitting: ``a`` is measured while the
                weights change within the epoch, with dropout and on random views; ``v`` after it.
``underfitted`` ``a`` does not lie above the interval, which ends below 75 %. A network of four
                million weights can learn nearly all of its training photos by heart; where it names
                less than three quarters of either right, it has not taken what they offer.
``too few``     There are fewer than four epochs: too few to say where the curves were going. Else
                at most one of the following, on validation loss, which moves more finely than
                accuracy. A change counts from 5 % and 0.01 nats on.
``turned``      It ended higher than at its lowest, while training loss fell further.
``unsteady``    It ended higher than at its lowest, and training loss did not fall further.
``improving``   Its mean over the last epochs lies below that of as many before them.
``level``       Those means do not differ. (Half of the epochs each, and five at most.)
==============  ===================================================================================

The levels of 75 %, 5 % and 0.01 nats are conventions of this report, no laws: one training has one
curve, and nothing in it says how another training's would differ.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from tasks.compare.part import Part
from tasks.compare.statistics import wilson_interval
from tasks.compare.wording import NBSP, decimal, percent, percent_range
from tasks.contract.training import Epoch

Rule = Literal[
    "stopped",
    "guessing",
    "overfitted",
    "no gap",
    "below",
    "underfitted",
    "too few",
    "turned",
    "unsteady",
    "improving",
    "level",
]

_UNDERFITTED = 0.75
_FEWEST_EPOCHS = 4
_LONGEST_WINDOW = 5
_CHANGE, _CHANGE_NATS = 0.05, 0.01


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
    found.extend(_on_accuracy(history[-1], validation_photos))
    found.extend(_on_loss(history))
    return found


def _on_accuracy(last: Epoch, validation_photos: Sequence[int]) -> Iterator[Statement]:
    photos = sum(validation_photos)
    if not photos:
        return
    low, high = wilson_interval(round(last.val_accuracy * photos), photos)
    most = max(validation_photos) / photos
    training = f"training accuracy, {percent(last.accuracy)},"
    interval = f"95{NBSP}% interval {percent_range(low, high)}, {photos:,} photos"
    validation = f"validation accuracy, {percent(last.val_accuracy)} ({interval})"
    figures = {
        "accuracy": last.accuracy,
        "val_accuracy": last.val_accuracy,
        "val_accuracy_low": low,
        "val_accuracy_high": high,
    }
    if low <= most:
        yield Statement(
            rule="guessing",
            text=f"Not better than guessing, as far as these photos show: {validation}, is not "
            f"above {percent(most)}, which always naming the most frequent class reaches.",
            figures=figures | {"most_frequent_share": most},
        )
    if last.accuracy > high:
        yield Statement(
            rule="overfitted",
            text=f"Overfitted: at the end {training} lies above {validation}, by "
            f"{100 * (last.accuracy - last.val_accuracy):.1f} points.",
            figures=figures,
        )
    elif last.accuracy >= low:
        yield Statement(
            rule="no gap",
            text=f"No gap that these photos could show: at the end {training} is not "
            f"distinguishable from {validation}.",
            figures=figures,
        )
    else:
        yield Statement(
            rule="below",
            text=f"At the end {training} lies below {validation}. That is no sign of underfitting: "
            "it is measured while the network still learns, with dropout and on random views.",
            figures=figures,
        )
    if last.accuracy <= high < _UNDERFITTED:
        yield Statement(
            rule="underfitted",
            text=f"Underfitted: at the end neither {training} nor validation accuracy reaches "
            f"{percent(_UNDERFITTED, 0)}.",
            figures=figures,
        )


def _on_loss(history: Sequence[Epoch]) -> Iterator[Statement]:
    epochs, last = len(history), history[-1]
    if epochs < _FEWEST_EPOCHS:
        yield Statement(
            rule="too few",
            text=f"{epochs} {'epoch is' if epochs == 1 else 'epochs are'} too few to say where the "
            "curves were going.",
            figures={"epochs": epochs},
        )
        return
    best = min(history, key=lambda epoch: epoch.val_loss)
    window = min(_LONGEST_WINDOW, epochs // 2)
    before = _mean_loss(history[-2 * window : -window])
    recent = _mean_loss(history[-window:])
    means = {"window": window, "val_loss_before": before, "val_loss_recent": recent}
    if _lower(best.val_loss, last.val_loss):
        number = history.index(best) + 1
        figures = {
            "best_epoch": number,
            "best_val_loss": best.val_loss,
            "last_val_loss": last.val_loss,
            "best_loss": best.loss,
            "last_loss": last.loss,
        }
        rose = (
            f"it was lowest after epoch {number} ({decimal(best.val_loss)} nats) and "
            f"ended at {decimal(last.val_loss)}"
        )
        if last.loss < best.loss:
            yield Statement(
                rule="turned",
                text=f"Validation loss turned: {rose}, while training loss fell "
                f"from {decimal(best.loss)} to {decimal(last.loss)}.",
                figures=figures,
            )
        else:
            yield Statement(
                rule="unsteady",
                text=f"Validation loss was unsteady: {rose}, and training loss did not fall either "
                f"({decimal(best.loss)}, then {decimal(last.loss)}).",
                figures=figures,
            )
    elif _lower(recent, before):
        yield Statement(
            rule="improving",
            text=f"Still improving at the end: mean validation loss of the last {window} epochs "
            f"{decimal(recent)} nats, of the {window} before {decimal(before)}. More epochs may "
            "help.",
            figures=means,
        )
    elif not _lower(before, recent):
        yield Statement(
            rule="level",
            text=f"Validation loss was level at the end: mean of the last {window} epochs "
            f"{decimal(recent)} nats, of the {window} before {decimal(before)}.",
            figures=means,
        )


def _mean_loss(epochs: Sequence[Epoch]) -> float:
    # Each share by itself, for the sum of huge losses may not be finite.
    return sum(epoch.val_loss / len(epochs) for epoch in epochs)


def _lower(loss: float, other: float) -> bool:
    """Whether the one is lower by a change that counts."""
    return other - loss > max(_CHANGE * loss, _CHANGE_NATS)
