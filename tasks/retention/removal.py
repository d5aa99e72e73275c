"""Removing, in an order that leaves nothing half to be seen, whoever is killed on the way.

A run is taken apart against the order in which it was made: its records, which make its results
ones in use; its headline, and with it the report's place in the list; the report's page; the rest.
What is left of a run by a kill is older than ever, so the next removal finishes it.

A result goes manifest first, by a conditional delete: who finds a result writes its manifest anew
(``find_manifest``), so if anybody has found it since it was listed, it stays whole. Without its
manifest nobody finds it, and its files have names that no later publication uses again.
"""

import logging
from collections.abc import Sequence
from uuid import uuid4

from tasks.contract.errors import ConfigurationError
from tasks.contract.headline import withdraw_headlines
from tasks.contract.store import Store
from tasks.retention.inventory import Inventory, Run
from tasks.retention.plan import Removal

log = logging.getLogger(__name__)


def remove_runs(store: Store, inventory: Inventory, removals: Sequence[Removal]) -> list[Removal]:
    """Remove the runs; returns those that went: one that has changed meanwhile stays."""
    gone = []
    for removal in removals:
        run = inventory.runs[removal.name]
        if _has_changed(store, run):
            log.info("run %s is at work again: it stays", removal.name)
            continue
        # And the folder itself, which some stores keep when it is empty: the pages would list it.
        store.delete_all([head.key for head in run.below("runs/")])
        store.delete(f"runs/{run.run_id}/")
        gone.append(removal)
    if gone:  # whether they have a headline or not: a kill may have left it in the file of all
        withdraw_headlines(store, [removal.name for removal in gone])
    for removal in gone:
        keys = [head.key for head in inventory.runs[removal.name].below("reports/")]
        pages = [key for key in keys if key.endswith("/index.html")]
        store.delete_all(pages)
        store.delete_all([key for key in keys if key not in pages])
    return gone


def _has_changed(store: Store, run: Run) -> bool:
    folders = (f"runs/{run.run_id}/", f"reports/{run.run_id}/")
    now = {(head.key, head.version, head.last_modified) for f in folders for head in store.list(f)}
    then = {
        (head.key, head.version, head.last_modified)
        for head in run.objects
        if head.key.startswith(folders)
    }
    return now != then


def remove(store: Store, removal: Removal) -> bool:
    """Remove anything but a run; False if it is in use again."""
    if removal.upload is not None:
        store.abort_upload(removal.upload)
        return True
    manifest = removal.manifest
    if manifest is not None and not store.delete_if(manifest.key, manifest.etag):
        log.info("%s %s is in use again: it stays", removal.kind, removal.name)
        return False
    store.delete_all([head.key for head in removal.objects])
    return True


def require_conditional_deletes(store: Store) -> None:
    """See that the store refuses to delete an object that is another one than was seen.

    Raises:
        ConfigurationError: it does not; a result could vanish under a run that has just found it.
    """
    key = f"artifacts/retention/{uuid4()}/probe"  # where a later removal finds what a kill leaves
    store.write(key, b"1", "text/plain")
    seen = store.head(key)
    store.write(key, b"22", "text/plain")
    if seen is None or store.delete_if(key, seen.etag):
        raise ConfigurationError(
            f"the store of {store.uri('')} deletes an object whatever its ETag: no result can be "
            "removed safely; use a store with conditional deletes (If-Match)"
        )
    store.delete(key)
