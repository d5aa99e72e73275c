"""Retention: what of the bucket is old, and referred to by nothing that is kept, goes.

No step: Airflow's maintenance DAG and ``python -m tasks retention`` run it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from tasks.contract.champion import read_champions
from tasks.contract.config import RetentionOptions
from tasks.contract.errors import listed
from tasks.contract.manifest import now
from tasks.contract.store import Store
from tasks.retention.inventory import Inventory, Run
from tasks.retention.plan import (
    Ages,
    Removal,
    checkpoints_to_remove,
    kept_runs,
    results_to_remove,
    runs_to_remove,
    uploads_to_remove,
)
from tasks.retention.references import References, read_manifests, read_records
from tasks.retention.removal import remove, remove_runs, require_conditional_deletes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retained:
    """What was done, or by a dry run would be.

    Attributes:
        kept: the runs that stay, each with the reason.
        removed: what went, each with the reason.
        before: bytes of all that retention may remove, before.
    """

    kept: dict[str, str]
    removed: list[Removal]
    before: int

    @property
    def size(self) -> int:
        """Bytes that went."""
        return sum(removal.size for removal in self.removed)


def retain(
    store: Store,
    options: RetentionOptions,
    active: Callable[[], Collection[str]],
    *,
    dry_run: bool,
    moment: datetime | None = None,
) -> Retained:
    """Remove what the rules say, or only tell what that is.

    Runs go first. What results the others need is then read anew, so that a run that came to life
    meanwhile keeps its own.

    Args:
        active: ids of the runs that Airflow says are queued or running; asked twice.
        moment: that ages are reckoned from; now.

    Raises:
        StepError: the store failed, or ``champion.json`` cannot be read.
    """
    ages = Ages(options, moment or now())
    store.require_bucket()
    inventory = Inventory.of(store)
    before = inventory.size
    champions, _ = read_champions(store)
    champion = champions.current.run_id if champions.current else None
    kept = kept_runs(inventory, ages, active(), champion)
    removed = runs_to_remove(inventory, ages, kept)
    if removed and not dry_run:
        at_work = active()
        doomed = [removal for removal in removed if removal.name not in at_work]
        removed = remove_runs(store, inventory, doomed)
        inventory = Inventory.of(store)
        kept |= dict.fromkeys(inventory.runs.keys() - kept.keys(), "at work again")
    runs = [run for run_id, run in inventory.runs.items() if run_id in kept]
    rest = [
        *_results(store, inventory, ages, runs),
        *checkpoints_to_remove(inventory, ages, active()),
        *uploads_to_remove(inventory, ages),
    ]
    if not dry_run:
        if any(removal.manifest for removal in rest):
            require_conditional_deletes(store)
        rest = [removal for removal in rest if remove(store, removal)]
    retained = Retained(kept, removed + rest, before)
    _tell(store, retained, dry_run)
    return retained


def _results(
    store: Store, inventory: Inventory, ages: Ages, runs: Collection[Run]
) -> list[Removal]:
    """The results that go; none if it cannot be told what a run that stays refers to."""
    manifests, unreadable = read_records(store, runs)
    if unreadable:
        log.warning(
            "no artifact is removed, for what these refer to cannot be read: %s: run the step "
            "again, or remove them",
            listed([store.uri(key) for key in unreadable]),
        )
        return []
    champions, _ = read_champions(store)
    references = References.of(manifests, champions)
    return results_to_remove(inventory, ages, references, read_manifests(store, inventory))


def _tell(store: Store, retained: Retained, dry_run: bool) -> None:
    for removal in retained.removed:
        log.info("%s %s: %s (%s)", removal.kind, removal.name, removal.why, _amount(removal))
    reasons = Counter(retained.kept.values())
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    log.info("runs that stay: %s", told or "none")
    log.info(
        "%s %s of %s, %d runs and %d other things, in %s",
        "a dry run: would remove" if dry_run else "removed",
        _megabytes(retained.size),
        _megabytes(retained.before),
        sum(removal.kind == "run" for removal in retained.removed),
        sum(removal.kind != "run" for removal in retained.removed),
        store.uri(""),
    )


def _amount(removal: Removal) -> str:
    if removal.upload is not None:
        return "its parts"
    return f"{len(removal.all_objects):,} objects, {_megabytes(removal.size)}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
