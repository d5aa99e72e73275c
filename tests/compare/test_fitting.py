"""Statements about a training say what its figures carry, each by one rule."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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
    few = statements_on([epoch(accuracy=0.98, val_accuracy=0.7)] * 4, None, [5, 5, 5, 5])
    assert "overfitted" in {statement.rule for statement in few}
    fewer = statements_on([epoch(accuracy=0.9, val_accuracy=0.8)] * 4, None, [4, 3, 3])
    assert "no gap" in {statement.rule for statement in fewer}


def test_what_rounds_alike_is_not_called_different() -> None:
    def rule(accuracy: float, val_accuracy: float, photos: int) -> str:
        history = [epoch(accuracy=accuracy, val_accuracy=val_accuracy)]
        return statements_on(history, None, [photos // 4] * 4)[0].rule

    high = 0.999422  # of 9,990 in 10,000, below
    assert rule(high + 0.00001, 0.99889, 100_000) == "no gap"
    assert rule(0.99951, 0.99889, 100_000) == "overfitted"
    assert rule(0.7496, 0.748, 1_000_000) != "underfitted"


def test_training_below_validation_is_not_called_underfitting() -> None:
    found = said([epoch(accuracy=0.6, val_accuracy=0.9)] * 4)
    assert "below" in found
    assert "underfitted" not in found


def test_a_network_that_names_neither_photos_right_is_underfitted() -> None:
    found = said([epoch(accuracy=0.5, val_accuracy=0.52)] * 4)
    assert plain(found["underfitted"].text) == (
        "Underfitted: at the end neither training accuracy, 50.0 %, nor validation accuracy, "
        "52.0 % (95 % interval 45.1 to 58.8 %, 200 photos), reaches 75 %."
    )
    assert "underfitted" not in said([epoch(accuracy=0.72, val_accuracy=0.72)] * 4)  # up to 77.8 %


def test_below_validation_and_underfitted_is_said_to_be_underfitted_alone() -> None:
    assert set(said([epoch(accuracy=0.4, val_accuracy=0.6)] * 4)) == {"underfitted", "too few"}


def test_guessing_is_what_naming_the_most_frequent_class_reaches() -> None:
    assert "guessing" in said([epoch(accuracy=0.3, val_accuracy=0.3)] * 4)
    assert "guessing" not in said([epoch(accuracy=0.35, val_accuracy=0.35)] * 4)
    uneven = statements_on([epoch(accuracy=0.8, val_accuracy=0.8)], None, [160, 20, 20])
    assert uneven[0].rule == "guessing"
    assert "80.0" in uneven[0].text


def test_guessing_says_what_may_help_and_is_not_called_overfitting() -> None:
    """As after three epochs, whose validation still lags behind."""
    found = said([epoch(accuracy=0.6, val_accuracy=0.28)] * 3)
    assert set(found) == {"guessing", "too few"}
    assert plain(found["guessing"].text).endswith(
        "is not clearly above 25.0 %, which always naming the most frequent class reaches. "
        "Training accuracy, 60.0 %, lies above it: what was learned from the training photos does "
        "not carry over to others yet. More photos may help."
    )
    assert found["too few"].text == (
        "3 epochs are too few to say where the curves were going; more would show."
    )


def test_where_validation_loss_turned_is_told_with_both_losses() -> None:
    falling = [1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1]
    val = [1.1, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    found = said(losses(*zip(falling, val, strict=True)))
    assert plain(found["turned"].text) == (
        "Validation loss turned: it was lowest after epoch 2 (0.800 nats) and rose since, to 1.10 "
        "in the mean of the last 5 epochs, while training loss fell from 0.700 to 0.300."
    )
    assert found["turned"].figures["best_epoch"] == 2


@pytest.mark.parametrize("end", [0.699999999, 0.7, 1e30])
def test_a_training_loss_that_hardly_falls_is_not_called_turned(end: float) -> None:
    val = [1.1, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    found = said(losses(*((loss, v) for loss, v in zip([1.0, 0.7] + [end] * 5, val, strict=True))))
    assert "rose" in found
    assert "turned" not in found


def test_a_rise_as_it_came_and_went_before_is_no_turn() -> None:
    swings = [1.0, 0.6, 0.7, 0.8, 0.9, 1.0, 0.8, 0.59, 0.65, 0.7, 0.75, 0.8, 0.9]
    assert not {"turned", "rose"} & set(said([epoch(val_loss=loss) for loss in swings]))


def test_still_improving_is_a_fall_to_the_end() -> None:
    found = said([epoch(val_loss=1 / number) for number in range(1, 13)])
    assert found["improving"].figures["window"] == 6
    assert plain(found["improving"].text) == (
        "Still improving at the end: validation loss fell over the last 6 epochs, from 0.143 to "
        "0.083 nats, lower than ever before. More epochs may help."
    )


def test_a_network_that_has_all_validation_photos_right_needs_no_more_epochs() -> None:
    history = [epoch(val_accuracy=1.0, val_loss=1 / number) for number in range(1, 13)]
    assert "may help" not in said(history)["improving"].text


@pytest.mark.parametrize("step", [31, 34, 36, 38, 39])
def test_one_step_down_is_not_still_improving(step: int) -> None:
    wobble = 0.01 * np.cos(5 * np.arange(40))
    stepped = np.where(np.arange(40) < step, 1.0, 0.5) + wobble
    assert "improving" not in said([epoch(val_loss=float(loss)) for loss in stepped])


def test_level_since_long_is_level_however_it_began() -> None:
    """A fall of the first epochs and then nothing, as where every photo is right from then on."""
    curve = [0.9, 0.2, 0.08, 0.03, 0.015, 0.012, 0.011, 0.012, 0.010, 0.011, 0.012, 0.012]
    assert "level" in said([epoch(val_accuracy=1.0, val_loss=loss) for loss in curve])


def test_a_change_within_five_percent_is_none() -> None:
    assert "level" in said([epoch(val_loss=1.0 - 0.009 * number) for number in range(6)])


@pytest.mark.parametrize(
    "curve", [(1.0, 1.0, 1.0, 5.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, 1.0, 900.0)]
)
def test_a_spike_among_the_last_epochs_is_unsteady(curve: tuple[float, ...]) -> None:
    found = said([epoch(val_loss=loss) for loss in curve])
    assert set(found) == {"no gap", "unsteady"}
    assert "ended at " + ("900" if curve[-1] > 1 else "1.00") in found["unsteady"].text


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_few_epochs_do_not_say_where_the_curves_went(epochs: int) -> None:
    found = said([epoch(val_loss=9.0 / (number + 1)) for number in range(epochs)])
    assert set(found) == {"no gap", "too few"}


def test_a_training_that_ended_early_says_so() -> None:
    history = [epoch()] * 6
    assert said(history, 20)["stopped"].text == "Training ended after 6 of 20 planned epochs."
    assert "stopped" not in said(history, 6)


def test_no_validation_photos_say_nothing_of_accuracy() -> None:
    assert [s.rule for s in statements_on([epoch()] * 6, None, [0, 0])] == ["level"]


def curve(shape: str, epochs: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Validation loss without noise."""
    time = np.arange(epochs)
    done = time / epochs
    if shape == "level after a fall":
        return 0.5 + np.exp(-15 * done)
    if shape == "step of the learning rate":
        return np.where(done < 0.75, 1.0, 0.5)
    if shape == "swinging":
        return 1 + 0.3 * np.sin(2 * np.pi * time / random.uniform(3, 10) + random.uniform(0, 6))
    if shape == "falling":
        return 2 * np.exp(-2 * done)
    if shape == "overfitting":
        return 0.5 + np.where(done < 0.4, (0.4 - done) * 4, (done - 0.4) * 1.5)
    return np.ones(epochs)


def rules_of(shape: str, epochs: int, noise: float, trainings: int = 100) -> Counter[str]:
    """How often each rule on loss speaks, while training loss falls."""
    random = np.random.default_rng(7)
    spoken: Counter[str] = Counter()
    for _ in range(trainings):
        noisy = curve(shape, epochs, random) * np.exp(noise * random.standard_normal(epochs))
        falling = np.exp(-2 * np.arange(epochs) / epochs)
        spoken.update(set(said(losses(*zip(falling.tolist(), noisy.tolist(), strict=True)))))
    return spoken


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("epochs", [6, 10, 20, 40])
@pytest.mark.parametrize(
    "shape", ["level", "level after a fall", "step of the learning rate", "swinging"]
)
def test_a_curve_without_a_trend_is_given_one_in_one_case_of_twenty_at_most(
    shape: str, epochs: int, noise: float
) -> None:
    spoken = rules_of(shape, epochs, noise)
    assert spoken["turned"] + spoken["rose"] + spoken["improving"] <= 5
    if shape == "swinging":
        assert not spoken["level"]


@pytest.mark.parametrize("epochs", [6, 10, 20, 40])
def test_a_curve_that_falls_to_the_end_is_seen_to_fall(epochs: int) -> None:
    for noise in (0.01, 0.03, 0.1):
        spoken = rules_of("falling", epochs, noise)
        assert spoken["turned"] + spoken["rose"] + spoken["level"] <= 5
    assert rules_of("falling", epochs, 0.01)["improving"] >= 95


@pytest.mark.parametrize("epochs", [10, 20, 40])
def test_a_curve_that_turned_is_seen_to_have_turned(epochs: int) -> None:
    for noise in (0.01, 0.03, 0.1):
        spoken = rules_of("overfitting", epochs, noise)
        assert spoken["improving"] + spoken["level"] + spoken["rose"] <= 5
    assert rules_of("overfitting", epochs, 0.03)["turned"] >= 95


share = st.floats(0, 1)
loss = st.floats(0, 1e308)


@given(st.lists(st.builds(epoch, share, share, loss, loss), min_size=1, max_size=30))
@settings(deadline=None)
def test_any_history_has_statements_that_do_not_contradict(history: list[Epoch]) -> None:
    rules = set(said(history))
    on_accuracy = {"guessing", "overfitted", "underfitted", "no gap", "below"}
    assert len(rules & on_accuracy) == 1
    assert len(rules - on_accuracy) <= 1
    assert not ("underfitted" in rules and {"turned", "rose"} & rules)


def shown(pattern: str, text: str) -> float:
    """The number that a sentence shows there."""
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


@given(st.integers(1, 10_000), share, share)
@settings(deadline=None)
def test_the_figures_of_a_sentence_show_what_it_says(photos: int, a: float, v: float) -> None:
    history = [epoch(accuracy=a, val_accuracy=round(v * 4 * photos) / (4 * photos))]
    found = statements_on(history, None, [photos] * 4)[0]
    text = plain(found.text)
    low, high = shown(r"interval (\S+) to", text), shown(r"interval \S+ to (\S+) %", text)
    training = shown(r"raining accuracy,? (?:is )?(\S+) %", text)
    if found.rule == "overfitted":
        gap = training - shown(r"validation accuracy, (\S+) %", text)
        assert training > high
        assert shown(r"by (\S+) points", text) == pytest.approx(gap)
        assert gap > 0
    elif found.rule == "underfitted":
        assert max(training, high) < 75
    elif found.rule == "no gap":
        assert low <= training <= high
    elif found.rule == "below":
        assert training < low
    else:
        assert low <= 25.0
