"""``python -m wildlife.site.health PART``: whether a part of the site works; exit status 0 or 1.

Asked every half minute in each container, so it imports nothing of Airflow, whose own
``airflow jobs check`` takes seconds of CPU time. A worker is asked through the broker; what the
others are is what they have told the database, as the API server gives it.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import urlopen

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in (*PARTS, "worker"):
        print(f"give one of {', '.join(PARTS)}, worker", file=sys.stderr)
        return os.EX_USAGE
    part = arguments[0]
    trouble = _worker_trouble() if part == "worker" else _trouble(part)
    if trouble:
        print(f"{part}: {trouble}", file=sys.stderr)
    return 1 if trouble else 0


def _trouble(part: str) -> str:
    """What the API server says is wrong with a part; empty if nothing is."""
    url = urljoin(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"], "/api/v2/monitor/health")
    try:
        with urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 the site's own address
            found = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        return f"{url} does not answer ({error})"
    status = found.get(part, {}).get("status")
    return "" if status == "healthy" else f"{status}"


def _worker_trouble() -> str:
    """Whether this container's Celery worker answers through the broker."""
    from celery import Celery  # half a second, which the other parts need not spend

    name = f"celery@{socket.gethostname()}"
    with Celery(broker=_broker_url()) as app:
        try:
            answers = app.control.ping(destination=[name], timeout=_SECONDS, limit=1)
        except Exception as error:  # noqa: BLE001 whatever the broker's client raises
            return f"the broker does not answer ({type(error).__name__})"
    return "" if answers else f"{name} does not answer"


def _broker_url() -> str:
    """As Airflow reads it: by a command, because it holds a password."""
    command = shlex.split(os.environ["AIRFLOW__CELERY__BROKER_URL_CMD"])
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
