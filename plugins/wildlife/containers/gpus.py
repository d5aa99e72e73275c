"""Which GPUs a container gets."""

from collections.abc import Mapping
from typing import Any

from docker.types import DeviceRequest

from tasks.contract.errors import ConfigurationError
from wildlife.settings import GpuChoice

_CDI_KIND = "nvidia.com/gpu"


def device_requests(gpus: GpuChoice, arm: int, engine: Mapping[str, Any]) -> list[DeviceRequest]:
    """What to ask the engine for; nothing means that the step trains on the CPU.

    ``--gpus 1`` always gives the first device, so devices are asked for by id.

    Args:
        gpus: the setting.
        arm: number of the training in the DAG, 0 or 1: arms are spread over the ids.
        engine: what the engine says of itself (``docker info``).

    Raises:
        ConfigurationError: ids are demanded of an engine that knows no NVIDIA GPU.
    """
    if gpus == "none":
        return []
    nvidia, cdi = "nvidia" in engine.get("Runtimes", {}), _has_cdi(engine)
    if not nvidia and not cdi:
        if gpus == "auto":
            return []
        raise ConfigurationError(
            f"WILDLIFE_GPUS demands GPU {', '.join(gpus)}, and the Docker engine "
            f"{engine.get('Name', '')} knows no NVIDIA runtime and no CDI device: install the "
            "NVIDIA container toolkit there, or set WILDLIFE_GPUS=none"
        )
    chosen = None if gpus == "auto" else gpus[arm % len(gpus)]
    if nvidia:
        which: dict[str, Any] = {"device_ids": [chosen]} if chosen else {"count": -1}
        return [DeviceRequest(driver="nvidia", capabilities=[["gpu"]], **which)]
    return [DeviceRequest(driver="cdi", device_ids=[f"{_CDI_KIND}={chosen or 'all'}"])]


def _has_cdi(engine: Mapping[str, Any]) -> bool:
    """Engines list their CDI devices from version 28.2 on."""
    devices = engine.get("DiscoveredDevices") or ()
    return any(str(device.get("ID", "")).startswith(f"{_CDI_KIND}=") for device in devices)
