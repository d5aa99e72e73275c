"""What has to be true of a site after a run, whatever was done to it meanwhile."""

import hashlib
import io
import json
import re
from collections.abc import Iterator

import numpy as np

from tasks.contract.manifest import FileReference, Manifest, RunRecord, record_key, report_prefix
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE
from tests.drill.site_of_two_workers import Site

#: What of the bucket no manifest tells of, by its first folder; ``docs/architecture.md`` has it.
KNOWN = ("datasets", "weights", "runs", "reports", "headlines", "logs")
KNOWN_FILES = ("champion.json", "headlines.json")


def records(site: Site, run_id: str) -> dict[str, RunRecord]:
    """The record of every node of the run that is a step."""
    found = {}
    for task in site.client.task_instances(run_id):
        content = site.store.read(record_key(run_id, task["task_id"]))
        if content is not None:
            found[task["task_id"]] = RunRecord.model_validate_json(content)
    return found


def completions(site: Site, run_id: str) -> dict[str, int]:
    """How often each step of the run was computed to its end, over all tries and workers."""
    return {
        step: sum(
            len(re.findall(rf"^{step}: done in", log, re.M))
            for log in site.step_logs(run_id, step).values()
        )
        for step in records(site, run_id)
    }


def faults_of_bucket(store: Store) -> list[str]:
    """Objects that nothing tells of, files that are not what their manifest says, half uploads."""
    keys = {head.key for head in store.list("")}
    manifests = dict(_manifests(store, keys))
    files = {file.key: file for manifest in manifests.values() for file in manifest.files.values()}
    faults = [f"{key}: nothing tells of it" for key in keys if not _is_known(key, files)]
    for file in files.values():
        content = store.read(file.key)
        if content is None:
            faults.append(f"{file.key}: is missing")
        elif not _is_whole(content, file):
            faults.append(f"{file.key}: is not what its manifest says")
    answer = store._client.list_multipart_uploads(Bucket=store.settings.bucket)
    faults += [f"{upload['Key']}: half uploaded" for upload in answer.get("Uploads", [])]
    return faults


def predictions(store: Store, record: RunRecord) -> np.ndarray:
    """What a training's network says of the test photos, shape (photos, classes)."""
    content = store.read(record.manifest.files[PREDICTIONS_FILE].key)
    assert content is not None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["probabilities"][np.argsort(arrays["photos"])]


def accuracies(store: Store, run_id: str) -> tuple[float, float]:
    """From scratch and by transfer, as the run's report says."""
    content = store.read(f"{report_prefix(run_id)}summary.json")
    assert content is not None, "there is no report"
    summary = json.loads(content)
    return summary["scratch_accuracy"], summary["transfer_accuracy"]


def _manifests(store: Store, keys: set[str]) -> Iterator[tuple[str, Manifest]]:
    for key in keys:
        content = store.read(key) or b""
        if key.startswith("artifacts/") and key.endswith("/manifest.json"):
            yield key, Manifest.model_validate_json(content)
        elif re.fullmatch(r"runs/[^/]+/\w+\.json", key):
            yield key, RunRecord.model_validate_json(content).manifest


def _is_known(key: str, files: dict[str, FileReference]) -> bool:
    if key in files or key in KNOWN_FILES:
        return True
    if key.startswith("artifacts/"):
        return key.endswith("/manifest.json")
    return key.partition("/")[0] in KNOWN


def _is_whole(content: bytes, file: FileReference) -> bool:
    return len(content) == file.size and hashlib.sha256(content).hexdigest() == file.sha256
