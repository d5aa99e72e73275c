"""Statements about a training say what its figures carry, each by one rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compare.fitting import Statement, statements_on
from tasks.contract.training import Epoch

PHOTOS = [50, 50, 50, 50]


def epoch(
    accuracy: float = 0.9, val_accuracy: float = 0.9, loss: float = 0.4, val_loss: float = 0.4
) -> Epoch:
    return Epoch(
        accuracy=accuracy, loss=loss, val_accuracy=val_accuracy, val_loss=val_loss, seconds=1.0
    )


def losses(*pairs: tuple[float, float]) -> list[Epoch]:
    return [epoch(loss=loss, val_loss=val_loss) for loss, val_loss in pairs]


def said(history: list[Epoch], planned: int | None = None) -> dict[str, Statement]:
    found = statements_on(history, planned, PHOTOS)
    assert len({statement.rule for statement in found}) == len(found)
    return {statement.rule: statement for statement in found}


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_training_accuracy_above_the_interval_of_validation_is_overfitting() -> None:
    found = said([epoch(accuracy=0.98, val_accuracy=0.7)] * 4)
    assert plain(found["overfitted"].text) == (
        "Overfitted: at the end training accuracy, 98.0 %, lies above validation accuracy, 70.0 % "
        "(95 % interval 63.3 to 75.9 %, 200 photos), by 28.0 points."
    )
    assert found["overfitted"].figures["val_accuracy_high"] == pytest.approx(0.7593, abs=1e-4)
    assert "no gap" not in found


def test_a_gap_that_so_few_photos_cannot_show_is_none() -> None:
    few = statements_on([epoch(accuracy=0.98, val_accuracy=0.7)] * 4, None, [5, 5])
    assert "overfitted" in {statement.rule for statement in few}
    fewer = statements_on([epoch(accuracy=0.75, val_accuracy=0.7)] * 4, None, [5, 5])
    assert {"no gap"} <= {statement.rule for statement in fewer}
    assert not {"overfitted", "underfitted"} & {statement.rule for statement in fewer}


def test_training_below_validation_is_not_called_underfitting() -> None:
    found = said([epoch(accuracy=0.6, val_accuracy=0.9)] * 4)
    assert "below" in found
    assert "underfitted" not in found


def test_a_network_that_names_neither_photos_right_is_underfitted() -> None:
    found = said([epoch(accuracy=0.5, val_accuracy=0.52)] * 4)
    assert plain(found["underfitted"].text) == (
        "Underfitted: at the end neither training accuracy, 50.0 %, nor validation accuracy "
        "reaches 75 %."
    )
    assert "underfitted" not in said([epoch(accuracy=0.72, val_accuracy=0.72)] * 4)  # up to 77.8 %


def test_guessing_is_what_naming_the_most_frequent_class_reaches() -> None:
    assert "guessing" in said([epoch(accuracy=0.3, val_accuracy=0.3)] * 4)
    assert "guessing" not in said([epoch(accuracy=0.35, val_accuracy=0.35)] * 4)
    uneven = statements_on([epoch(accuracy=0.8, val_accuracy=0.8)], None, [160, 20, 20])
    assert uneven[0].rule == "guessing"
    assert "80.0" in uneven[0].text


def test_where_validation_loss_turned_is_told_with_both_losses() -> None:
    history = losses((1.0, 1.1), (0.6, 0.8), (0.3, 0.9), (0.1, 1.0))
    assert plain(said(history)["turned"].text) == (
        "Validation loss turned: it was lowest after epoch 2 (0.800 nats) and ended at 1.00, while "
        "training loss fell from 0.600 to 0.100."
    )
    assert said(history)["turned"].figures["best_epoch"] == 2


def test_a_training_loss_that_rises_too_is_unsteady_and_not_turned() -> None:
    found = said(losses((1.0, 1.1), (0.6, 0.8), (0.9, 900.0), (2.0, 1e30)))
    assert "unsteady" in found
    assert "turned" not in found


def test_still_improving_compares_the_last_epochs_with_those_before() -> None:
    found = said([epoch(val_loss=1 / number) for number in range(1, 13)])
    assert found["improving"].figures["window"] == 5
    assert plain(found["improving"].text).startswith(
        "Still improving at the end: mean validation loss of the last 5 epochs 0.102 nats, of the "
        "5 before 0.219."
    )
    assert not {"turned", "level"} & set(found)


def test_a_change_within_five_percent_is_none() -> None:
    assert "level" in said([epoch(val_loss=1.0 - 0.01 * number) for number in range(6)])


def test_a_spike_among_the_last_epochs_is_neither_level_nor_improving() -> None:
    found = said([epoch(val_loss=loss) for loss in (1.0, 1.0, 1.0, 5.0, 1.0, 1.0)])
    assert not {"turned", "unsteady", "level", "improving"} & set(found)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_few_epochs_do_not_say_where_the_curves_went(epochs: int) -> None:
    found = said([epoch(val_loss=9.0 / (number + 1)) for number in range(epochs)])
    assert set(found) == {"no gap", "too few"}


def test_a_training_that_ended_early_says_so() -> None:
    history = [epoch()] * 6
    assert said(history, 20)["stopped"].text == "Training ended after 6 of 20 planned epochs."
    assert "stopped" not in said(history, 6)


def test_no_validation_photos_say_nothing_of_accuracy() -> None:
    assert [s.rule for s in statements_on([epoch()] * 4, None, [0, 0])] == ["level"]


share = st.floats(0, 1)
loss = st.floats(0, 1e308)


@given(st.lists(st.builds(epoch, share, share, loss, loss), min_size=1, max_size=30))
def test_any_history_has_statements_that_do_not_contradict(history: list[Epoch]) -> None:
    rules = set(said(history))
    assert len(rules & {"overfitted", "no gap", "below"}) == 1
    assert len(rules & {"too few", "turned", "unsteady", "improving", "level"}) <= 1
    assert not rules >= {"overfitted", "underfitted"}
