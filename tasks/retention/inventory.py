"""What there is in the bucket that retention may remove: one listing, put in order.

``datasets/`` and ``weights/`` are not even listed.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from tasks.contract.manifest import is_run_id
from tasks.contract.store import ObjectHead, Store, Upload

_OF_RUNS = ("runs/", "reports/", "headlines/")
_OF_RESULTS = ("artifacts/", "checkpoints/")


class Address(NamedTuple):
    """Of a result, or of a training's checkpoints."""

    step: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.step}/{self.fingerprint[:12]}"


def modified(head: ObjectHead) -> datetime:
    assert head.last_modified is not None  # it was listed
    return head.last_modified


@dataclass(frozen=True)
class Run:
    """All that the bucket has of a run."""

    run_id: str
    objects: list[ObjectHead] = field(default_factory=list)

    def below(self, folder: str) -> list[ObjectHead]:
        """Its objects in ``runs/``, ``reports/`` or ``headlines/``."""
        return [head for head in self.objects if head.key.startswith(folder)]

    @property
    def reported(self) -> datetime | None:
        """When its report was put in place: its page is the last file of it."""
        page = f"reports/{self.run_id}/index.html"
        return next((modified(head) for head in self.objects if head.key == page), None)

    @property
    def began(self) -> datetime:
        return min(map(modified, self.objects))

    @property
    def last(self) -> datetime:
        return max(map(modified, self.objects))


@dataclass(frozen=True)
class Result:
    """The objects of one artifact's folder; without a manifest it is not published (any more)."""

    manifest: ObjectHead | None
    files: list[ObjectHead]

    @property
    def last(self) -> datetime:
        """When it was last used or written: who finds a result writes its manifest anew."""
        return max(map(modified, self.objects))

    @property
    def objects(self) -> list[ObjectHead]:
        return self.files if self.manifest is None else [self.manifest, *self.files]


@dataclass(frozen=True)
class Inventory:
    """All objects but those of ``datasets/``, ``weights/`` and what this program does not know."""

    runs: dict[str, Run]
    results: dict[Address, Result]
    checkpoints: dict[Address, list[ObjectHead]]
    uploads: list[Upload]

    @classmethod
    def of(cls, store: Store) -> Self:
        """List a bucket.

        Raises:
            StepError: the store failed.
        """
        heads = [head for folder in (*_OF_RUNS, *_OF_RESULTS) for head in store.list(folder)]
        uploads = [one for folder in _OF_RESULTS for one in store.unfinished_uploads(folder)]
        return cls.sorted(heads, uploads)

    @classmethod
    def sorted(cls, heads: Iterable[ObjectHead], uploads: Iterable[Upload] = ()) -> Self:
        runs: dict[str, Run] = {}
        results: dict[Address, Result] = {}
        checkpoints: dict[Address, list[ObjectHead]] = defaultdict(list)
        found: dict[Address, list[ObjectHead]] = defaultdict(list)
        for head in heads:
            if head.key.startswith(_OF_RUNS):
                run_id = _run_id_of(head.key)
                if run_id is not None:
                    runs.setdefault(run_id, Run(run_id)).objects.append(head)
            elif head.key.startswith(_OF_RESULTS) and head.key.count("/") >= 3:
                kind, step, fingerprint, _ = head.key.split("/", 3)
                kept = checkpoints if kind == "checkpoints" else found
                kept[Address(step, fingerprint)].append(head)
        for address, inside in found.items():
            key = f"artifacts/{address.step}/{address.fingerprint}/manifest.json"
            manifest = next((head for head in inside if head.key == key), None)
            results[address] = Result(manifest, [head for head in inside if head.key != key])
        return cls(runs, results, dict(checkpoints), list(uploads))

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        heads = [head for run in self.runs.values() for head in run.objects]
        for result in self.results.values():
            heads += result.objects
        heads += [head for inside in self.checkpoints.values() for head in inside]
        return sum(head.size for head in heads)


def _run_id_of(key: str) -> str | None:
    folder, _, rest = key.partition("/")
    if folder == "headlines":
        name = rest.removesuffix(".json")
    else:
        name, slash, _ = rest.partition("/")
        if not slash:
            return None
    return name if is_run_id(name) else None
