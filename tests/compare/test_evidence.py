"""Results that do not belong together are refused, with one line that names what differs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.errors import InputError
from tasks.contract.manifest import record_key
from tasks.contract.step import Facts, Job, Step
from tasks.contract.store import Store
from tasks.contract.training import (
    HISTORY_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    Epoch,
    Predictions,
)
from tests.compare.world import World

pytestmark = pytest.mark.store
EPOCH = Epoch(accuracy=0.5, loss=1.0, val_accuracy=0.5, val_loss=1.0, seconds=1.0)


def refusal(world: World, store: Store, cache: Cache) -> str:
    """The message, after checking that nothing half-written was left."""
    with pytest.raises(InputError) as caught:
        world.compare(store, cache)
    assert store.read(record_key("run-1", "compare")) is None
    assert not list(store.list("artifacts/compare/"))
    assert not list(store.list("reports/"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_arm_tested_on_other_photos_is_named(world: World, store: Store, cache: Cache) -> None:
    def other(arm: str, made: Predictions) -> Predictions:
        photos = made.photos.copy()
        photos[3] = "f" * 64
        return replace(made, photos=photos) if arm == "transfer" else made

    world.predictions = other
    message = refusal(world, store, cache)
    assert message.startswith("train_transfer was tested on other photos than preprocess")
    assert "run train_transfer again" in message


def test_an_arm_tested_on_fewer_photos_is_named(world: World, store: Store, cache: Cache) -> None:
    def fewer(arm: str, made: Predictions) -> Predictions:
        if arm == "transfer":
            return made
        return Predictions(made.photos[1:], made.labels[1:], made.probabilities[1:])

    world.predictions = fewer
    assert "train_scratch was tested on other photos" in (said := refusal(world, store, cache))
    assert "59 instead of 60" in said


def test_a_differing_label_is_named_with_its_photo(
    world: World, store: Store, cache: Cache
) -> None:
    def relabelled(_arm: str, made: Predictions) -> Predictions:
        labels = made.labels.copy()
        labels[0] = (labels[0] + 1) % 3
        return replace(made, labels=labels)

    world.predictions = relabelled
    message = refusal(world, store, cache)
    assert f"another label for photo {world.photos()[0].photo}" in message


def test_other_classes_are_named(world: World, store: Store, cache: Cache) -> None:
    def renamed(step: str, facts: Facts) -> Facts:
        if step == "train_scratch":
            facts["classes"] = ["bear", "lynx", "elk"]
        return facts

    world.facts = renamed
    assert "'lynx' instead of 'cougar'" in refusal(world, store, cache)


def test_probabilities_that_are_not_numbers_are_refused(
    world: World, store: Store, cache: Cache
) -> None:
    def broken(_arm: str, made: Predictions) -> Predictions:
        probabilities = made.probabilities.copy()
        probabilities[5] = np.nan
        return replace(made, probabilities=probabilities)

    world.predictions = broken
    assert "has no probabilities for photo" in refusal(world, store, cache)


def test_predictions_of_the_wrong_shape_are_refused(
    world: World, store: Store, cache: Cache
) -> None:
    world.predictions = lambda _arm, made: replace(made, probabilities=made.probabilities[:, :2])
    assert "have shape (60, 2) where (60, 3) is due" in refusal(world, store, cache)


def test_a_diverged_history_names_the_epoch_and_the_remedy(
    world: World, store: Store, cache: Cache
) -> None:
    bad = EPOCH.model_copy(update={"val_loss": float("nan")})
    world.history = lambda arm, _epochs: [EPOCH, bad] if arm == "scratch" else [EPOCH]
    message = refusal(world, store, cache)
    assert "train_scratch diverged: epoch 2" in message
    assert "lower scratch_learning_rate" in message


def test_a_result_of_an_older_shape_names_the_missing_fact(
    world: World, store: Store, cache: Cache
) -> None:
    def older(step: str, facts: Facts) -> Facts:
        if step == "train_transfer":
            del facts["parameters"]
        return facts

    world.facts = older
    message = refusal(world, store, cache)
    assert "the result of train_transfer cannot be read (parameters: Field required)" in message


def test_the_order_of_the_predictions_does_not_matter(
    world: World, store: Store, cache: Cache
) -> None:
    def compared(run_id: str) -> Facts:
        """But for the data beside those of the run before, which the first has none of."""
        facts = world.compare(store, cache, run_id, force=True).manifest.facts
        return {name: fact for name, fact in facts.items() if name != "data_change"}

    expected = compared("in-order")

    def shuffled(arm: str, made: Predictions) -> Predictions:
        order = np.random.default_rng(len(arm)).permutation(len(made.photos))
        return Predictions(made.photos[order], made.labels[order], made.probabilities[order])

    world.predictions = shuffled
    assert compared("shuffled") == expected


def test_metrics_of_other_answers_are_refused(world: World, store: Store, cache: Cache) -> None:
    world.metrics = lambda _arm, made: made.model_copy(update={"correct": made.correct - 1})
    message = refusal(world, store, cache)
    assert message == (
        "metrics.json of train_scratch is not of its predictions (29 of 60 photos right instead "
        "of 30 of 60): run train_scratch again with force"
    )


def test_a_measure_that_cannot_be_of_the_predictions_is_told(
    world: World, store: Store, cache: Cache
) -> None:
    world.metrics = lambda _arm, made: made.model_copy(update={"confusion": [[60]]})
    assert refusal(world, store, cache) == (
        "metrics.json of train_scratch is not of its predictions (its confusion matrix is not of "
        "3 by 3 classes): run train_scratch again with force"
    )


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_predictions_of_the_wrong_kind_are_refused(
    world: World, store: Store, cache: Cache, dtype: type
) -> None:
    world.predictions = lambda _arm, made: replace(
        made,
        labels=made.labels.astype(np.float64),
        probabilities=made.probabilities.astype(dtype),
    )
    assert "are not names, labels and numbers" in refusal(world, store, cache)


def test_probabilities_that_only_add_up_are_refused(
    world: World, store: Store, cache: Cache
) -> None:
    def beyond(_arm: str, made: Predictions) -> Predictions:
        probabilities = made.probabilities.copy()
        probabilities[5] = [2, -1, 0]
        return replace(made, probabilities=probabilities)

    world.predictions = beyond
    assert "has no probabilities for photo" in refusal(world, store, cache)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_history_with_accuracies_that_are_no_shares_is_refused(
    world: World, store: Store, cache: Cache, value: float
) -> None:
    world.history = lambda _arm, _epochs: [EPOCH, EPOCH.model_copy(update={"val_accuracy": value})]
    assert "in epoch 2): run train_scratch again with force" in refusal(world, store, cache)


@pytest.mark.parametrize("change", [{"label": 1}, {"class_name": "x" * 65_000}, {"height": 0}])
def test_a_photo_that_cannot_be_is_refused(
    world: World, store: Store, cache: Cache, change: dict[str, Any]
) -> None:
    world.photo = lambda photo: (
        photo.model_copy(update=change) if photo.entry == "photos/elk/7.jpg" else photo
    )
    message = refusal(world, store, cache)
    assert "cannot be: run preprocess again with force" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (METRICS_FILE, "{"),
        (METRICS_FILE, "[]"),
        (HISTORY_FILE, "3"),
        (HISTORY_FILE, "{"),
        (HISTORY_FILE, '[{"loss": 1}]'),
        (PREDICTIONS_FILE, "no archive"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    world: World, store: Store, cache: Cache, name: str, content: str
) -> None:
    train = world._train

    def spoiled(arm: str) -> Step:
        step = train(arm)

        def run(job: Job) -> Facts:
            facts = step.run(job)
            (job.output / name).write_text(content)
            return facts

        return replace(step, run=run)

    world._train = spoiled
    message = refusal(world, store, cache)
    assert message.startswith(f"{name} of train_scratch cannot be read (")
    assert message.endswith("): run train_scratch again with force")
