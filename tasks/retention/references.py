"""What the kept runs and the champions refer to: what they need to be opened, or to answer."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import ValidationError

from tasks.contract.champion import Champions
from tasks.contract.manifest import Manifest, RunRecord
from tasks.contract.store import ObjectHead, Store
from tasks.retention.inventory import Address, Inventory, Run

_READERS = 16


@dataclass(frozen=True)
class References:
    """What must stay.

    Attributes:
        results: addresses of the results in use; what is published there stays.
        files: keys in use, wherever they lie.
        digests: of the results in use, which are the inputs of others.
    """

    results: frozenset[Address]
    files: frozenset[str]
    digests: frozenset[str]

    @classmethod
    def of(cls, manifests: Iterable[Manifest], champions: Champions) -> "References":
        """Of the results in the records of runs, and of all champions that can be gone back to.

        A champion needs its training and the list of the photos it has seen, and not its run.
        """
        manifests = [*manifests, *(one.training for one in champions.champions)]
        files = {file.key for manifest in manifests for file in manifest.files.values()}
        files |= {one.data.photos.key for one in champions.champions}
        return cls(
            frozenset(Address(manifest.step, manifest.fingerprint) for manifest in manifests),
            frozenset(files),
            frozenset(manifest.digest for manifest in manifests),
        )


def read_records(store: Store, runs: Iterable[Run]) -> tuple[list[Manifest], list[str]]:
    """The results of these runs, and the keys of records that cannot be read."""
    keys = [head.key for run in runs for head in run.below("runs/") if _may_be_a_record(head)]
    with ThreadPoolExecutor(_READERS) as pool:
        contents = list(pool.map(store.read, keys))
    manifests, unreadable = [], []
    for key, content in zip(keys, contents, strict=True):
        if content is None or not _is_a_record(content):
            continue
        try:
            manifests.append(RunRecord.model_validate_json(content).manifest)
        except ValidationError:
            unreadable.append(key)
    return manifests, unreadable


def read_manifests(store: Store, inventory: Inventory) -> dict[Address, Manifest | None]:
    """All published manifests; None for one that cannot be read."""
    found = {
        address: result.manifest.key
        for address, result in inventory.results.items()
        if result.manifest is not None
    }
    with ThreadPoolExecutor(_READERS) as pool:
        contents = pool.map(store.read, found.values())
    return {address: _manifest(content) for address, content in zip(found, contents, strict=True)}


def _manifest(content: bytes | None) -> Manifest | None:
    try:
        return Manifest.model_validate_json(content or b"")
    except ValidationError:
        return None


def _may_be_a_record(head: ObjectHead) -> bool:
    return head.key.endswith(".json") and not head.key.endswith(".progress.json")


def _is_a_record(content: bytes) -> bool:
    """Whether it refers to a result: another document of a run may lie beside its records."""
    try:
        document = json.loads(content)
    except ValueError:
        return True  # whatever it was, it cannot be told what it refers to
    return isinstance(document, dict) and "manifest" in document
