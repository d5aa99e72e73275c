"""What ``make run`` puts into the bucket before it triggers the DAG."""

import mimetypes
import tempfile
from pathlib import Path

from embedded.process import StackError
from embedded.sample import write_sample
from tasks.contract.config import PUBLISHED_WEIGHTS, Config
from tasks.contract.errors import UnavailableError
from tasks.contract.store import Store, sha256_of
from tasks.train.weight_files import mirror_weights

SAMPLE_KEY = "datasets/synthetic-sample.zip"


def put_file(store: Store, path: Path, key: str) -> str:
    """Put a file into the bucket unless the same bytes are there; returns its SHA-256 (hex).

    Raises:
        StackError: there is no such file.
    """
    if not path.is_file():
        raise StackError(f"there is no file {path}: check the path")
    sha256 = sha256_of(path)
    head = store.head(key)
    if head is None or head.sha256 != sha256:
        print(f"putting {path.name} ({path.stat().st_size / 1e6:.1f} MB) into {store.uri(key)}")
        kind, compression = mimetypes.guess_type(path.name)
        if kind is None or compression is not None:  # a .tar.gz is no tar before it is unpacked
            kind = "application/octet-stream"
        store.upload(path, key, sha256, kind)
    return sha256


def choose_archive(store: Store, path: Path | None) -> str:
    """The key of the archive to train on, put there if need be.

    The user's file if one is given; else the archive that the workflow expects by default, if
    somebody put it there; else the synthetic sample.
    """
    if path is not None:
        key = f"datasets/{path.name}"
        put_file(store, path, key)
        return key
    expected = Config().archive
    if store.head(expected):
        return expected
    if store.head(SAMPLE_KEY) is None:
        print("no archive given: drawing a synthetic sample (use ARCHIVE=path.zip for your own)")
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder, "sample.zip")
            write_sample(sample)
            put_file(store, sample, SAMPLE_KEY)
    return SAMPLE_KEY


def choose_weights(store: Store) -> str:
    """Keras' ImageNet weights if their host can be reached, else EfficientNet-Lite0's, said aloud.

    Only ``make run`` chooses; the DAG uses what it is told or fails.
    """
    try:
        mirror_weights(store, "imagenet")
        return "imagenet"
    except UnavailableError as error:
        reason = str(error).partition(": put ")[0]
        print(f"{reason}: using 'lite0', EfficientNet-Lite0's ImageNet weights, instead")
        mirror_weights(store, "lite0")
        return "lite0"


def require_weights(store: Store, weights: str) -> None:
    """See that weights of one's own are in the bucket before hours of training miss them.

    Raises:
        StackError: they are not.
    """
    if weights not in PUBLISHED_WEIGHTS and store.head(weights) is None:
        raise StackError(
            f"there is no {store.uri(weights)}: make put FILE=my.weights.h5 KEY={weights}"
        )
