"""Which GPUs a container gets. No GPU can exist on the machines of these tests: what the engine
says of itself is made up here; the refusals of a real engine are in test_docker_operator.py."""

from typing import Any

import pytest

from tasks.contract.errors import ConfigurationError
from wildlife.containers.gpus import device_requests
from wildlife.settings import GpuChoice

NOTHING: dict[str, Any] = {"Name": "bare", "Runtimes": {"runc": {}}}
NVIDIA: dict[str, Any] = {"Name": "gpu", "Runtimes": {"runc": {}, "nvidia": {}}}
CDI: dict[str, Any] = NOTHING | {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}
OTHER_CDI: dict[str, Any] = NOTHING | {
    "DiscoveredDevices": [{"Source": "cdi", "ID": "vendor.com/net=0"}]
}


@pytest.mark.parametrize("engine", [NOTHING, NVIDIA, CDI])
def test_none_means_none(engine: dict[str, Any]) -> None:
    assert device_requests("none", 0, engine) == []


@pytest.mark.parametrize("engine", [NOTHING, OTHER_CDI, NOTHING | {"DiscoveredDevices": None}])
def test_auto_without_an_nvidia_gpu_trains_on_the_cpu(engine: dict[str, Any]) -> None:
    assert device_requests("auto", 0, engine) == []


def test_auto_gives_all_gpus_there_are() -> None:
    (request,) = device_requests("auto", 1, NVIDIA)
    assert (request["Driver"], request["Count"], request["Capabilities"]) == (
        "nvidia",
        -1,
        [["gpu"]],
    )
    (request,) = device_requests("auto", 1, CDI)
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])


@pytest.mark.parametrize(
    ("ids", "given"),
    [(("2",), ["2", "2"]), (("0", "3"), ["0", "3"]), (("0", "1", "2"), ["0", "1"])],
)
def test_the_arms_are_spread_over_the_ids(ids: tuple[str, ...], given: list[str]) -> None:
    of_nvidia = [device_requests(ids, arm, NVIDIA)[0]["DeviceIDs"] for arm in (0, 1)]
    assert of_nvidia == [[one] for one in given]
    of_cdi = [device_requests(ids, arm, CDI)[0]["DeviceIDs"] for arm in (0, 1)]
    assert of_cdi == [[f"nvidia.com/gpu={one}"] for one in given]


@pytest.mark.parametrize("gpus", [("0",), ("GPU-8f1d", "1")])
def test_a_gpu_that_is_demanded_and_not_there_is_one_line(gpus: GpuChoice) -> None:
    with pytest.raises(ConfigurationError, match=r"engine bare knows no NVIDIA .*WILDLIFE_GPUS="):
        device_requests(gpus, 0, NOTHING)
