"""The rules: what is kept and why, and what goes. No request is made here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tasks.contract.config import RetentionOptions
from tasks.contract.manifest import Manifest
from tasks.contract.store import ObjectHead, Upload
from tasks.retention.inventory import Address, Inventory, Result, Run, modified
from tasks.retention.references import References

#: Steps that are a part of others. No record names them: they stay while their inputs do.
_PARTS = ("features",)

Kind = Literal["run", "artifact", "files", "checkpoint", "upload"]


@dataclass(frozen=True)
class Removal:
    """Something that goes, and why.

    Attributes:
        manifest: of an artifact; it goes first, and if it has changed, nothing goes.
        upload: its parts go; nobody has counted their bytes.
    """

    kind: Kind
    name: str
    why: str
    objects: list[ObjectHead] = field(default_factory=list)
    manifest: ObjectHead | None = None
    upload: Upload | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(head.size for head in self.all_objects)

    @property
    def all_objects(self) -> list[ObjectHead]:
        return self.objects if self.manifest is None else [self.manifest, *self.objects]


@dataclass(frozen=True)
class Ages:
    """How old things are at one moment, by the options."""

    options: RetentionOptions
    moment: datetime

    def beyond(self, days: float, since: datetime) -> bool:
        """Whether it is older than that, and than the grace."""
        return self.moment - since > timedelta(days=max(days, self.options.grace_days))

    def days(self, since: datetime) -> str:
        return f"{(self.moment - since).days} days"


def kept_runs(
    inventory: Inventory, ages: Ages, active: Collection[str], champion: str | None
) -> dict[str, str]:
    """The runs that stay, each with the reason.

    Args:
        active: runs that Airflow says are queued or running.
        champion: the run that promoted the present champion.
    """
    options = ages.options
    reported = [(run.reported, run.run_id) for run in inventory.runs.values() if run.reported]
    newest = {run_id for _, run_id in sorted(reported, reverse=True)[: options.keep_reports]}
    kept = {}
    for run_id, run in inventory.runs.items():
        if run_id in active:
            kept[run_id] = "at work"
        elif run_id == champion:
            kept[run_id] = "the champion's"
        elif run_id in newest:
            kept[run_id] = f"of the newest {options.keep_reports} reports"
        elif not ages.beyond(options.keep_days, run.last):
            kept[run_id] = f"younger than {max(options.keep_days, options.grace_days):g} days"
    return kept


def runs_to_remove(inventory: Inventory, ages: Ages, kept: Collection[str]) -> list[Removal]:
    """The runs that go, the oldest first."""
    gone = sorted(
        (run for run_id, run in inventory.runs.items() if run_id not in kept),
        key=lambda run: (run.last, run.run_id),
    )
    return [Removal("run", run.run_id, _why_run(run, ages), run.objects) for run in gone]


def _why_run(run: Run, ages: Ages) -> str:
    beyond = f" and beyond the newest {ages.options.keep_reports} reports" if run.reported else ""
    return f"{ages.days(run.last)} old{beyond}"


def results_to_remove(
    inventory: Inventory,
    ages: Ages,
    references: References,
    manifests: Mapping[Address, Manifest | None],
) -> list[Removal]:
    """The results that nothing kept refers to, and what earlier publications of others left."""
    found = []
    for address, result in inventory.results.items():
        if _is_in_use(address, references, manifests.get(address)):
            removal = _leftovers(address, result, ages, references, manifests.get(address))
        elif ages.beyond(0, result.last):
            objects = [head for head in result.files if head.key not in references.files]
            why = f"no kept run refers to it, last used {ages.days(result.last)} ago"
            removal = Removal("artifact", str(address), why, objects, result.manifest)
        else:
            removal = _leftovers(address, result, ages, references, manifests.get(address))
        if removal.all_objects:
            found.append(removal)
    return found


def _is_in_use(address: Address, references: References, manifest: Manifest | None) -> bool:
    if address.step in _PARTS:
        return manifest is not None and set(manifest.inputs.values()) <= references.digests
    return address in references.results


def _leftovers(
    address: Address,
    result: Result,
    ages: Ages,
    references: References,
    manifest: Manifest | None,
) -> Removal:
    """Files of earlier publications, and of those that were killed before their manifest."""
    named = {file.key for file in manifest.files.values()} if manifest else set()
    unknown = result.manifest is not None and manifest is None  # what it names cannot be told
    objects = [
        head
        for head in result.files
        if head.key not in references.files
        and head.key not in named
        and ages.beyond(0, modified(head))
        and not unknown
    ]
    why = "neither the published manifest nor a kept run names them"
    return Removal("files", str(address), why, objects)


def checkpoints_to_remove(
    inventory: Inventory, ages: Ages, active: Collection[str]
) -> list[Removal]:
    """Checkpoints that nobody went on with; a run at work may go on with what it has saved."""
    began = [run.began for run_id, run in inventory.runs.items() if run_id in active]
    found = []
    for address, heads in inventory.checkpoints.items():
        last = max(map(modified, heads))
        of_a_run_at_work = any(moment <= last for moment in began)
        if ages.beyond(ages.options.checkpoint_days, last) and not of_a_run_at_work:
            why = f"last saved {ages.days(last)} ago"
            found.append(Removal("checkpoint", str(address), why, heads))
    return found


def uploads_to_remove(inventory: Inventory, ages: Ages) -> list[Removal]:
    """Uploads in parts that were begun and never ended."""
    return [
        Removal("upload", one.key, f"begun {ages.days(one.begun)} ago, never ended", upload=one)
        for one in inventory.uploads
        if ages.beyond(0, one.begun)
    ]
