"""Finds the containers of dead runs: those whose task Airflow does not want to run any more.

Each step looks for them when it starts. ``python -m wildlife.containers.reaper`` does so by hand,
on the engine's machine or from wherever the engine can be reached.
"""

import argparse
import os
import sys
from collections.abc import Callable

import httpx
from docker import APIClient
from docker.errors import DockerException
from paramiko import SSHException

from tasks.contract.errors import StepError
from tasks.contract.store import StoreSettings
from wildlife.containers import stopper
from wildlife.containers.engine import local_url
from wildlife.containers.labels import Owner, bucket_filter, bucket_label
from wildlife.settings import docker_settings, settings

#: States after which a task does not run again unless somebody clears it.
_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
StateOf = Callable[[Owner], str | None]


class NoSuchTaskError(Exception):
    """Airflow knows no such task of such a run (any more)."""


def dead_containers(client: APIClient, bucket: str, state_of: StateOf) -> dict[str, Owner]:
    """Id and former owner of every container of this deployment that works for nobody.

    Args:
        state_of: the state of a task as Airflow has it; raises NoSuchTaskError.
    """
    found = client.containers(all=True, filters=bucket_filter(bucket))
    owners = {container["Id"]: Owner.of(container["Labels"]) for container in found}
    dead = {owner for owner in set(owners.values()) if _is_dead(owner, state_of)}
    return {container: owner for container, owner in owners.items() if owner in dead}


def _is_dead(owner: Owner, state_of: StateOf) -> bool:
    try:
        return state_of(owner) in _ENDED
    except NoSuchTaskError:
        return True


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m wildlife.containers.reaper",
        description="Stop and remove the containers of runs that Airflow has done with.",
        epilog="WILDLIFE_BUCKET and AWS_ENDPOINT_URL say whose containers, as the connection "
        "wildlife_store has them; WILDLIFE_AIRFLOW_URL and WILDLIFE_AIRFLOW_TOKEN (an access "
        "token of a user who may read the DAG's runs) where to ask.",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list them")
    given = parser.parse_args(arguments)
    try:
        bucket = bucket_label(StoreSettings.from_environment())
        chosen = docker_settings()
        url = chosen.url or local_url()
        client = stopper.connect(url, chosen.tls)
        with httpx.Client(
            base_url=os.environ.get("WILDLIFE_AIRFLOW_URL", "http://127.0.0.1:8080"),
            headers={"Authorization": f"Bearer {os.environ.get('WILDLIFE_AIRFLOW_TOKEN', '')}"},
        ) as airflow:
            dead = dead_containers(client, bucket, lambda owner: _state(airflow, owner))
        for container, owner in dead.items():
            print(f"{container[:12]}  {owner.task_id} of {owner.run_id}")
        if not given.dry_run and dead:
            stopper.stop_all(url, chosen.tls, settings().stop_seconds, dict.fromkeys(dead))
    except StepError as error:
        print(f"reap: {error}", file=sys.stderr)
        return error.exit_code
    except (httpx.HTTPError, DockerException, SSHException, OSError) as error:
        print(f"reap: {' '.join(str(error).split())}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    verb = "would be removed" if given.dry_run else "removed"
    print(f"{len(dead)} containers of dead runs {verb}")
    return 0


def _state(airflow: httpx.Client, owner: Owner) -> str | None:
    path = f"/api/v2/dags/{owner.dag_id}/dagRuns/{owner.run_id}/taskInstances/{owner.task_id}"
    answer = airflow.get(path)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NoSuchTaskError
    answer.raise_for_status()
    state: str | None = answer.json()["state"]
    return state


if __name__ == "__main__":
    sys.exit(main())
