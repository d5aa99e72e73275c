"""Whose a container is: written on it in labels, so that any worker can tell without a database."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tasks.contract.store import StoreSettings

BUCKET = "wildlife.bucket"
COMMAND = "wildlife.command"
_DAG, _RUN, _TASK, _TRY = "wildlife.dag", "wildlife.run", "wildlife.task", "wildlife.try"


@dataclass(frozen=True)
class Owner:
    """The task of Airflow's that a container works for."""

    dag_id: str
    run_id: str
    task_id: str

    def labels(self, bucket: str, try_number: int, command: str) -> dict[str, str]:
        """What is written on a container.

        Args:
            bucket: see ``bucket_label``.
            command: digest of what it runs, so that nobody adopts one that does something else.
        """
        identity = {_DAG: self.dag_id, _RUN: self.run_id, _TASK: self.task_id}
        return identity | {BUCKET: bucket, _TRY: str(try_number), COMMAND: command}

    def name(self, try_number: int) -> str:
        """A new name: no two containers ever have the same, and a person can read it."""
        run = re.sub(r"[^A-Za-z0-9.-]+", "-", self.run_id)[:60]
        return f"wildlife-{self.task_id}-{run}-try{try_number}-{secrets.token_hex(3)}"

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self:
        """Read them back from a container that has ``BUCKET``."""
        return cls(labels.get(_DAG, ""), labels.get(_RUN, ""), labels.get(_TASK, ""))


def bucket_label(store: StoreSettings) -> str:
    """Names the deployment: several may share an engine, and each cares for its own containers."""
    return f"s3://{store.bucket} at {store.endpoint_url or 'AWS'}"


def bucket_filter(bucket: str) -> dict[str, list[str]]:
    """Finds all containers of a deployment."""
    return {"label": [f"{BUCKET}={bucket}"]}
