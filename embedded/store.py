"""The embedded object store: SeaweedFS, a real S3 server, from PyPI and on 127.0.0.1 only."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from embedded.keys import keys_of
from embedded.process import Program, StackError, require_free_port
from embedded.settings import STORE_PORTS, Settings
from tasks.contract.errors import StepError
from tasks.contract.store import Store, StoreSettings


def store_environment(settings: Settings) -> dict[str, str]:
    """What a step, or any S3 client, needs to reach the embedded store."""
    keys = keys_of(
        settings.home,
        "store",
        lambda: {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)},
    )
    return {
        "WILDLIFE_BUCKET": settings.bucket,
        "AWS_ENDPOINT_URL": settings.store_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
    }


def start_store(settings: Settings, environment: Mapping[str, str] = os.environ) -> bool:
    """Start the store unless it runs already; tells whether it had to.

    Raises:
        StackError: a port is taken, or it did not come up.
    """
    program = Program("store", settings.home)
    if program.find():
        return False
    port = settings.store_port
    for part in range(STORE_PORTS):
        require_free_port(port + part, "the object store", "WILDLIFE_STORE_PORT")
    data = settings.home / "store"
    data.mkdir(parents=True, exist_ok=True)
    command = [str(_weed()), "-logtostderr=true", "mini", f"-dir={data}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    # Relative, because a socket's path may have only 107 characters: it runs in its home.
    command += ["-s3.localSocket=run/store-s3.sock", "-filer.localSocket=run/store-filer.sock"]
    command += [f"-s3.port={port}", f"-s3.port.grpc={port + 1}"]
    command += [f"-master.port={port + 2}", f"-master.port.grpc={port + 3}"]
    command += [f"-volume.port={port + 4}", f"-volume.port.grpc={port + 5}"]
    command += [f"-filer.port={port + 6}", f"-filer.port.grpc={port + 7}"]
    command += [f"-admin.port={port + 8}", f"-admin.port.grpc={port + 9}", "-admin.ui=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false"]
    command += ["-master.telemetry=false"]
    own = store_environment(settings)
    program.start(command, {**environment, **own, "S3_BUCKET": settings.bucket})
    program.wait_until(lambda: _has_bucket(own), seconds=60)
    return True


def stop_store(settings: Settings) -> None:
    """Stop the store, and remove the sockets it leaves."""
    if not Program("store", settings.home).stop():
        return
    for port in range(settings.store_port, settings.store_port + STORE_PORTS):
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 weed's own choice
            socket.unlink(missing_ok=True)
    for socket in (settings.home / "run").glob("store-*.sock"):
        socket.unlink(missing_ok=True)


def _has_bucket(environment: Mapping[str, str]) -> bool:
    """Whether a signed request finds the bucket, which the store makes after it first answers."""
    try:
        Store(StoreSettings.from_environment(environment), patient=False).require_bucket()
    except StepError:
        return False
    return True


def _weed() -> Path:
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        raise StackError(f"{weed} is missing: run 'make setup'")
    return weed
