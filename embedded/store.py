"""The embedded object store: SeaweedFS, a real S3 server, from PyPI and on 127.0.0.1 only."""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from embedded.process import Program, StackError, require_free_port
from embedded.settings import Settings

#: How many ports after the S3 port the store's parts take.
PORTS = 10


@dataclass(frozen=True)
class Keys:
    """The store's random access key, made once and kept where only its owner reads it."""

    access_key: str
    secret_key: str

    @classmethod
    def of(cls, home: Path) -> "Keys":
        file = home / "secrets" / "store.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)}
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                json.dump(made, out)
        return cls(**json.loads(file.read_text()))


def store_environment(settings: Settings) -> dict[str, str]:
    """What a step, or any S3 client, needs to reach the embedded store."""
    keys = Keys.of(settings.home)
    return {
        "WILDLIFE_BUCKET": settings.bucket,
        "AWS_ENDPOINT_URL": settings.store_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }


def start_store(settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
    """Start the store unless it runs already.

    Raises:
        StackError: a port is taken, or it did not come up.
    """
    program = Program("store", settings.home)
    if program.find():
        return
    port = settings.store_port
    for part in range(PORTS):
        require_free_port(port + part, "the object store", "WILDLIFE_STORE_PORT")
    data = settings.home / "store"
    data.mkdir(parents=True, exist_ok=True)
    command = [str(_weed()), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-s3.port={port}", f"-s3.port.grpc={port + 1}"]
    command += [f"-master.port={port + 2}", f"-master.port.grpc={port + 3}"]
    command += [f"-volume.port={port + 4}", f"-volume.port.grpc={port + 5}"]
    command += [f"-filer.port={port + 6}", f"-filer.port.grpc={port + 7}"]
    command += [f"-admin.port={port + 8}", f"-admin.port.grpc={port + 9}", "-admin.ui=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false"]
    command += ["-master.telemetry=false"]
    keys = {**store_environment(settings), "S3_BUCKET": settings.bucket}
    program.start(command, {**environment, **keys}, lambda: _answers(settings), seconds=60)


def stop_store(settings: Settings) -> bool:
    return Program("store", settings.home).stop()


def _answers(settings: Settings) -> bool:
    try:
        # Anonymous, so 403 is the answer of a gateway that is up and knows the bucket's keys.
        answer = httpx.get(f"{settings.store_url}/{settings.bucket}", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code in (200, 403)


def _weed() -> Path:
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        raise StackError(f"{weed} is missing: run 'make setup'")
    return weed
