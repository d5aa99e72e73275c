"""Devices are used as they can be. There is no GPU here: several are played by logical CPUs."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from tasks.train.device import policy_for, prepare

pytestmark = pytest.mark.keras

ROOT = Path(__file__).resolve().parents[2]


def play_gpus(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> list[object]:
    gpus = [object() for _ in capabilities]
    details = dict(zip(gpus, capabilities, strict=True))
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": details[gpu]},
    )
    return gpus


@pytest.mark.parametrize(
    ("capabilities", "policy"),
    [
        ((), "float32"),
        (((6, 1),), "float32"),
        (((7, 0),), "mixed_float16"),
        (((8, 0),), "mixed_bfloat16"),
        (((9, 0), (7, 5)), "mixed_float16"),
    ],
)
def test_the_precision_is_the_one_that_all_gpus_are_made_for(
    capabilities: tuple[tuple[int, int], ...], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy_for(play_gpus(monkeypatch, *capabilities)) == policy


def test_on_the_processor_everything_is_float32() -> None:
    prepare(1)
    assert keras.mixed_precision.global_policy().name == "float32"


CHILD = """
import sys
import numpy as np
import tensorflow as tf
import keras
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from tasks.train.compiling import compile_classifier
from tasks.train.device import prepare, strategy_over
from tasks.train.recipes.recipe import Recipe

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        random = np.random.default_rng(index)
        return random.integers(0, 256, (6, 8, 8, 3)).astype("u1"), random.integers(0, 2, 6)

prepare(1)
devices = tf.config.list_logical_devices("CPU")[: int(sys.argv[1])]
strategy = strategy_over(devices)
assert strategy.num_replicas_in_sync == len(devices)
with strategy.scope():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, activation="softmax")])
    compile_classifier(model, Recipe(2, 6, 0.01, warm_up_epochs=1), 24)
    history = model.fit(Batches(), epochs=2, shuffle=False, verbose=0)
print(history.history["loss"], [float(np.sum(w)) for w in model.get_weights()])
"""


def test_two_devices_train_what_one_does() -> None:
    outcomes = []
    for devices in "12":
        answer = subprocess.run(
            [sys.executable, "-c", CHILD, devices], cwd=ROOT, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        outcomes.append(answer.stdout.splitlines()[-1])
    numbers = [
        [float(n) for n in o.replace("[", " ").replace("]", " ").replace(",", " ").split()]
        for o in outcomes
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-5)
