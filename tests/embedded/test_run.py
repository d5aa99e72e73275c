"""What ``make run`` says of a training while it goes."""

from typing import Any

from embedded.run import lines_of_training
from tasks.contract.progress import TrainProgress


def progress(phase: Any, epoch: int, seconds_left: float | None = None) -> TrainProgress:
    curve = [0.5 + number / 10 for number in range(epoch)]
    return TrainProgress(
        step="train_scratch",
        phase=phase,
        epoch=epoch,
        epochs=3,
        seconds_left=seconds_left,
        curves={"accuracy": curve, "val_accuracy": curve},
    )


def test_every_epoch_is_told_though_several_passed_between_two_looks() -> None:
    assert lines_of_training(progress("training", 0), progress("training", 2, 7.4)) == [
        "epoch 1/3: accuracy 0.500, validation 0.500",
        "epoch 2/3: accuracy 0.600, validation 0.600, about 7 s left",
    ]


def test_training_comes_before_its_epochs_and_testing_after_them() -> None:
    assert [line[:7] for line in lines_of_training(None, progress("training", 1))] == [
        "trainin",
        "epoch 1",
    ]
    ended = lines_of_training(progress("training", 2), progress("evaluating", 3))
    assert [line[:7] for line in ended] == ["epoch 3", "testing"]


def test_nothing_new_is_nothing_said() -> None:
    assert lines_of_training(progress("training", 2), progress("training", 2)) == []
