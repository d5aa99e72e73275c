"""``python -m wildlife.containers.check``: whether this machine's engine can run steps.

Asks what a step asks first (the engine, its GPUs, the image and its code), so that a person who
sets up a host, or starts a run, need not wait for a task to fail.
"""

import os
import sys

import structlog

from tasks.contract.errors import StepError
from wildlife.containers import stopper
from wildlife.containers.engine import Engine, local_url
from wildlife.containers.gpus import device_requests
from wildlife.containers.image import find_image
from wildlife.settings import docker_settings, settings

#: The DAG has so many trainings; each may get another GPU.
_ARMS = 2


def main() -> int:
    """Run the command line; returns the exit status."""
    try:
        chosen = docker_settings()
        url = chosen.url or local_url()
        log = structlog.get_logger(__name__)
        engine = Engine(url, lambda: stopper.connect(url, chosen.tls), patience=0, log=log)
        known = engine.call_patiently(lambda client: client.info())
        gpus = [device_requests(settings().gpus, arm, known) for arm in range(_ARMS)]
        images = [find_image(engine, chosen, gpu, log) for gpu in sorted({False, *map(bool, gpus)})]
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    names = ", ".join(image.digest for image in images)
    print(f"the engine {url} has what steps need: {names}, {'GPUs' if any(gpus) else 'no GPU'}")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
