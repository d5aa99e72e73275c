"""``python -m tasks predict``: what the trained network says to photos, as it said in its test."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.step import read_record, run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE, Predictions
from tasks.train import TRANSFER
from tests.train.conftest import Prepared, photo_set, result_of

pytestmark = pytest.mark.keras

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {"transfer_epochs": 1, "batch_size": 6, "weights": "lite0", "feature_views": 1}


@pytest.fixture
def trained(store: Store, cache: Cache) -> str:
    """The address of a trained model."""
    Prepared().publish(store, cache)
    manifest = run_step(TRANSFER, Config.parse(OPTIONS), "r1", store, cache).manifest
    return store.uri(manifest.key)


def predict(model: str, *arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tasks", "predict", "--model", model, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"WILDLIFE_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )


def test_a_network_says_what_it_said_in_its_test(
    trained: str, store: Store, cache: Cache, tmp_path: Path
) -> None:
    test = photo_set("test", store, cache)
    files = []
    for row, pixels in enumerate(test.pixels(range(3))):
        files.append(tmp_path / f"photo {row}.png")
        Image.fromarray(pixels).save(files[-1])
    answer = predict(trained, "--json", *files, cache=tmp_path / "empty")
    assert answer.returncode == 0, answer.stderr
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["photo"] for line in lines] == [str(file) for file in files]

    expected = Predictions.load(result_of("train_transfer", store, cache).path(PREDICTIONS_FILE))
    for line, probabilities in zip(lines, expected.probabilities, strict=False):
        given = {one["class"]: one["probability"] for one in line["classes"]}
        assert [given["bear"], given["elk"]] == pytest.approx(probabilities.tolist(), abs=1e-3)
        assert line["classes"][0]["probability"] == max(given.values())

    # The same by the run, for people; a bad photo does not keep the others from an answer.
    (tmp_path / "page.jpg").write_text("<html>")
    with (tmp_path / "film.jpg").open("wb") as film:
        film.truncate(10**9)
    other = predict(
        "r1/train_transfer",
        *("--top", 1, tmp_path / "page.jpg", files[0], tmp_path / "gone.jpg"),
        *("/dev/zero", tmp_path / "film.jpg"),
        cache=tmp_path / "empty",
    )
    assert other.returncode == os.EX_DATAERR
    name, best = other.stdout.splitlines()
    assert name == str(files[0])
    assert best.split("%")[1].strip() == lines[0]["classes"][0]["class"]
    assert "page.jpg: not an image" in other.stderr
    assert "gone.jpg: No such file" in other.stderr
    assert "/dev/zero: not an image: no regular file" in other.stderr
    assert "film.jpg: too large: 1,000 MB, and a photo may have 256" in other.stderr

    # Whoever reads only the beginning is not shown how Python ends.
    command = f"{sys.executable} -m tasks predict --model r1/train_transfer --top 1 "
    command += " ".join([f"'{files[0]}'"] * 40) + " | head -n 1"
    short = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=os.environ | {"WILDLIFE_CACHE": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
    )
    assert short.stdout.splitlines() == [str(files[0])]
    assert "Error" not in short.stderr


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("nonsense", "'nonsense' names no model: give s3://"),
        ("s3://{bucket}/artifacts/train_transfer/0/", "there is no s3://{bucket}/artifacts/"),
        ("r9/train_transfer", "run 'r9' has no result of 'train_transfer' yet"),
        ("{preprocess}", "is not the result of a training"),
    ],
)
def test_what_is_no_model_is_one_clear_line(
    model: str, complaint: str, store: Store, cache: Cache, tmp_path: Path
) -> None:
    Prepared().publish(store, cache)
    preprocess = store.uri(read_record(store, "r1", "preprocess").manifest.key)
    asked = model.format(bucket=store.bucket, preprocess=preprocess)
    answer = predict(asked, "x.jpg", cache=tmp_path)
    assert answer.returncode == os.EX_DATAERR
    errors = [line for line in answer.stderr.splitlines() if " ERROR " in line]
    assert len(errors) == 1, answer.stderr
    assert complaint.format(bucket=store.bucket) in errors[0]
    assert not answer.stdout
    assert "Traceback" not in answer.stderr


def test_damaged_weights_are_refused(trained: str, store: Store, tmp_path: Path) -> None:
    folder = trained.removeprefix(f"s3://{store.bucket}/").removesuffix("manifest.json")
    key = next(h.key for h in store.list(folder) if h.key.endswith("model.weights.h5"))
    content = io.BytesIO(store.read(key) or b"")
    content.seek(5000)
    content.write(np.random.default_rng(1).bytes(100))
    store.write(key, content.getvalue())
    answer = predict(trained, "x.jpg", cache=tmp_path)
    assert answer.returncode == os.EX_DATAERR
    assert "was changed or damaged" in answer.stderr
