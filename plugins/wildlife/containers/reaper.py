"""Finds the containers of dead runs: those whose task Airflow does not want to run any more.

Each step looks for them when it starts. ``python -m wildlife.containers.reaper`` does so by hand,
on the engine's machine or from wherever the engine can be reached.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from docker import APIClient
from docker.errors import DockerException
from paramiko import SSHException

from tasks.contract.errors import ConfigurationError, StepError, UnavailableError
from tasks.contract.store import StoreSettings
from wildlife.containers import stopper
from wildlife.containers.engine import local_url
from wildlife.containers.labels import Owner, bucket_filter, bucket_label
from wildlife.identity import ENDED
from wildlife.settings import docker_settings, settings

StateOf = Callable[[Owner], str | None]


class NoSuchTaskError(Exception):
    """Airflow knows no such task of such a run (any more)."""


@dataclass(frozen=True)
class Found:
    """A container of this deployment, with the name that it had when it was looked for."""

    id: str
    name: str
    owner: Owner


def all_containers(client: APIClient, bucket: str) -> list[Found]:
    """Every container of this deployment, running or not."""
    return [
        Found(one["Id"], one["Names"][0].lstrip("/"), Owner.of(one["Labels"]))
        for one in client.containers(all=True, filters=bucket_filter(bucket))
    ]


def dead_containers(found: list[Found], state_of: StateOf) -> list[Found]:
    """Those that work for nobody.

    Args:
        state_of: the state of a task as Airflow has it; raises NoSuchTaskError.
    """
    dead = {owner for owner in {one.owner for one in found} if _is_dead(owner, state_of)}
    return [one for one in found if one.owner in dead]


def _is_dead(owner: Owner, state_of: StateOf) -> bool:
    try:
        return state_of(owner) in ENDED
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
    parser.add_argument(
        "--all", action="store_true", help="also those of runs that go on; Airflow is not asked"
    )
    given = parser.parse_args(arguments)
    try:
        bucket = bucket_label(StoreSettings.from_environment())
        chosen = docker_settings()
        url = chosen.url or local_url()
        client = stopper.connect(url, chosen.tls)
        doomed = all_containers(client, bucket)
        if doomed and not given.all:
            with _airflow() as airflow:
                doomed = dead_containers(doomed, lambda owner: _state(airflow, owner))
        for one in doomed:
            print(f"{one.id[:12]}  {one.owner.task_id} of {one.owner.run_id}")
        if not given.dry_run and doomed:
            names = {one.id: one.name for one in doomed}
            stopper.stop_all(url, chosen.tls, settings().stop_seconds, names)
    except StepError as error:
        print(f"reap: {error}", file=sys.stderr)
        return error.exit_code
    except (DockerException, SSHException, OSError) as error:
        print(f"reap: {' '.join(str(error).split())}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    verb = "would be removed" if given.dry_run else "removed"
    containers = "container" if len(doomed) == 1 else "containers"
    print(f"{len(doomed)} {containers} {'' if given.all else 'of dead runs '}{verb}")
    return 0


def _airflow() -> httpx.Client:
    """A client of Airflow's API.

    Raises:
        ConfigurationError: there is no token that could be sent.
    """
    token = os.environ.get("WILDLIFE_AIRFLOW_TOKEN", "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            "WILDLIFE_AIRFLOW_TOKEN is no access token of Airflow's: get one by POST /auth/token"
        )
    url = os.environ.get("WILDLIFE_AIRFLOW_URL", "http://127.0.0.1:8080")
    try:
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"WILDLIFE_AIRFLOW_URL is {url!r}: {error}") from None


def _state(airflow: httpx.Client, owner: Owner) -> str | None:
    """The state of a task; nothing but Airflow's own word makes one dead.

    Raises:
        NoSuchTaskError: Airflow says that there is none.
        UnavailableError: what answered is not this Airflow, or nothing did.
    """
    dag, run, task = (quote(name, safe="") for name in (owner.dag_id, owner.run_id, owner.task_id))
    try:
        answer = airflow.get(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}")
        said = answer.json()
        if answer.status_code == httpx.codes.NOT_FOUND and "was not found" in str(said["detail"]):
            raise NoSuchTaskError
        answer.raise_for_status()
        state: str | None = said["state"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"what answers at WILDLIFE_AIRFLOW_URL {airflow.base_url} is not an Airflow that knows "
            f"this user ({type(error).__name__}): check that and WILDLIFE_AIRFLOW_TOKEN"
        ) from error
    return state


if __name__ == "__main__":
    sys.exit(main())
