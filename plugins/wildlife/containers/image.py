"""The image that a step runs in: there, of the DAG's own code, and named by its content."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docker import APIClient
from docker.errors import NotFound

from tasks.contract.code import code_digest
from tasks.contract.errors import ConfigurationError, StepError
from wildlife.containers.engine import Engine, explained
from wildlife.settings import DockerSettings

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

#: Digest of the steps' code that is in an image; ``docker/Dockerfile`` sets it.
CODE = "wildlife.code"
_REVISION = "org.opencontainers.image.revision"
#: As Docker itself tells a registry from a user of its hub: ``ghcr.io/…``, ``localhost:5000/…``.
_REGISTRY = re.compile(r"[^/]*[.:][^/]*/|localhost/")


@dataclass(frozen=True)
class Image:
    """An image on the engine.

    Attributes:
        id: what containers are made of, so that a tag that moves meanwhile changes nothing.
        digest: for readers and for provenance: the registry's digest if it came from one.
    """

    id: str
    digest: str


def find_image(engine: Engine, chosen: DockerSettings, gpu: bool, log: "Logger") -> Image:
    """The image that the settings name, pulled if that is how it is to be had.

    A name without a registry is one that was built on the engine; it is never pulled, because a
    stranger may have put something of that name on a public registry.

    Args:
        gpu: whether the one for steps that got a GPU.

    Raises:
        ConfigurationError: it is not there, or holds other code than this DAG.
    """
    name, build, setting = (
        (chosen.gpu_image, "make image TARGET=gpu", "WILDLIFE_DOCKER_GPU_IMAGE")
        if gpu
        else (chosen.image, "make image", "WILDLIFE_DOCKER_IMAGE")
    )
    remote = _REGISTRY.match(name) is not None
    found = None if remote and chosen.pull == "always" else _inspected(engine, name)
    if found is None and remote:
        _pull(engine, name, log)
        found = _inspected(engine, name)
    if found is None:
        raise ConfigurationError(
            f"there is no image {name!r} at the Docker engine {engine.url}: build it there with "
            f"'{build}', or set {setting} to another"
        )
    labels = found.get("Config", {}).get("Labels") or {}
    _require_own_code(name, labels, build)
    return Image(found["Id"], next(iter(found.get("RepoDigests") or ()), found["Id"]))


def _inspected(engine: Engine, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = engine.call_patiently(lambda client: client.inspect_image(name))
    except NotFound:
        return None
    return found


def _require_own_code(name: str, labels: Mapping[str, str], build: str) -> None:
    """The DAG and the steps are one program; half of each is none."""
    here, there = code_digest("tasks"), labels.get(CODE, "")
    if there != here:
        revision = labels.get(_REVISION, "unknown")
        raise ConfigurationError(
            f"the image {name!r} (revision {revision}) holds other code than this DAG "
            f"({there[:12] or 'unknown'} there, {here[:12]} here): build it again with "
            f"'{build}', or deploy the two of one revision"
        )


def _pull(engine: Engine, name: str, log: "Logger") -> None:
    def pull(client: APIClient) -> None:
        for said in client.pull(name, stream=True, decode=True):
            if "error" in said:  # the engine's answer began well, so this is all there is of it
                raise explained(str(said["error"]), None, engine.url)
            # A line for each layer; what moves in between is for a terminal.
            if said.get("status") in ("Pull complete", "Already exists") or "id" not in said:
                log.info("%s %s", said.get("id", ""), said.get("status", ""))

    log.info("pulling %s", name)
    try:
        engine.call(pull)
    except NotFound as error:
        raise ConfigurationError(
            f"the image {name!r} is not in its registry ({error.explanation}): check its name, "
            "and the login of the connection that WILDLIFE_DOCKER_CONNECTION names"
        ) from error
    except StepError as error:
        raise type(error)(f"the image {name!r} cannot be pulled: {error}") from error
