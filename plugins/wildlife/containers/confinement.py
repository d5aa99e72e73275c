"""What a step's container may do: least privilege, and limits that hold."""

from collections.abc import Sequence
from typing import Any

from docker import APIClient
from docker.types import DeviceRequest, LogConfig, Mount

from wildlife.settings import DockerSettings

_MB, _GB = 2**20, 2**30
#: Where the image keeps its cache: the only place that can be written to and is kept.
CACHE = "/cache"


def host_config(
    client: APIClient, chosen: DockerSettings, devices: Sequence[DeviceRequest]
) -> dict[str, Any]:
    """The engine's ``HostConfig``.

    Written here because Airflow's operator can say neither ``read_only``, ``cap_drop``,
    ``security_opt``, ``tmpfs``, ``pids_limit`` nor ``init``, and takes ``cpus`` for a share.
    """
    memory = None if chosen.memory_gb is None else int(chosen.memory_gb * _GB)
    kind = "bind" if chosen.cache.startswith("/") else "volume"
    config: dict[str, Any] = client.create_host_config(
        init=True,  # passes SIGTERM on before Python has a handler, and buries dead children
        privileged=False,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges=true"],
        read_only=True,
        tmpfs={"/tmp": f"rw,nosuid,nodev,noexec,mode=1777,size={chosen.tmp_mb}m"},  # noqa: S108
        mounts=[Mount(CACHE, chosen.cache, type=kind)],
        network_mode=chosen.network,
        extra_hosts=chosen.extra_hosts or None,
        ipc_mode="private",
        shm_size=chosen.shm_mb * _MB,
        pids_limit=chosen.pids,
        mem_limit=memory,
        memswap_limit=memory,  # the same: none of it is swap
        nano_cpus=None if chosen.cpus is None else int(chosen.cpus * 1e9),
        device_requests=list(devices) or None,
        # Named, because the engine's default may be one whose logs cannot be read back.
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        auto_remove=False,
    )
    return config
