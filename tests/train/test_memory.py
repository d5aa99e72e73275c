"""A batch that does not fit is refused with the one that would."""

from typing import Any

import pytest
import tensorflow as tf

from tasks.contract.errors import InputError
from tasks.train import memory
from tasks.train.memory import require_memory, told_if_too_large
from tests.train.conftest import small_network

pytestmark = pytest.mark.keras


def test_what_the_machine_has_no_memory_for_is_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_available_bytes", lambda: 4e9)
    require_memory(16, 224)
    with pytest.raises(InputError, match=r"batch_size of 64 does not fit \(4.0 GB .*: 19 would"):
        require_memory(64, 224)
    require_memory(64, 96)
    monkeypatch.setattr(memory, "_available_bytes", lambda: 1e9)
    with pytest.raises(InputError, match="not even one photo does: lower image_size"):
        require_memory(1, 224)


def test_this_machine_has_memory_for_a_small_batch() -> None:
    require_memory(1, 32)


@pytest.mark.parametrize(("most", "told"), [(5, "4 would"), (0, "not even one photo does")])
def test_a_device_that_is_exhausted_is_told_with_the_batch_that_fits(
    most: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is here to exhaust: its refusal is made up, in TensorFlow's own words."""
    model = small_network()

    def train_on_batch(photos: Any, _labels: Any) -> None:
        if len(photos) > most:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(model, "train_on_batch", train_on_batch)
    with (
        pytest.raises(InputError, match=f"batch_size of 32 does not fit .* exhausted.: {told}"),
        told_if_too_large(model, 32),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
