"""Engines that are not on the worker's machine, and images that are not on the engine's: TLS, ssh
and a private registry, each for real, on this machine's loopback."""

import datetime
import io
import ipaddress
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from docker import APIClient

from embedded.ports import free_ports
from tasks.contract.code import code_digest
from tasks.contract.manifest import record_key
from tasks.contract.store import Store
from tests.engine import Engine
from tests.plugins.test_docker_operator import KEY, client, log, on_the_engine, run
from tests.plugins.waiting import wait_for
from tests.preprocess.archives import class_folders, zip_of
from wildlife.containers.image import CODE

__all__ = ["client", "log", "on_the_engine"]
pytestmark = pytest.mark.docker


def program(name: str) -> str:
    """A server's program; as with the engine, continuous integration must have it."""
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        reason = f"needs {name}, which is not installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return str(found)


@pytest.fixture
def archive(connected: Store, tmp_path: Path) -> Store:
    connected.write(KEY, zip_of(class_folders(3), tmp_path / "pets.zip").read_bytes())
    return connected


# TLS


def certificates(folder: Path) -> dict[str, Path]:
    """An authority, and what it signed for a server on the loopback and for a client."""
    now = datetime.datetime.now(datetime.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])

    def made(
        name: str, key: ec.EllipticCurvePrivateKey, usage: x509.ObjectIdentifier | None
    ) -> None:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=2))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), True)
        )
        if usage is not None:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([loopback]), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        signed = builder.sign(authority, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    made("tests", authority, None)
    made("server", ec.generate_private_key(ec.SECP256R1()), ExtendedKeyUsageOID.SERVER_AUTH)
    made("client", ec.generate_private_key(ec.SECP256R1()), ExtendedKeyUsageOID.CLIENT_AUTH)
    return {file.name: file for file in folder.iterdir()}


def test_a_step_runs_on_an_engine_behind_tls_and_not_without_its_certificates(
    engine: Engine, archive: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    files = certificates(folder)
    url = f"tcp://127.0.0.1:{free_ports(1)}"
    added = [f"--host={url}", "--tlsverify", f"--tlscacert={files['tests.pem']}"]
    added += [f"--tlscert={files['server.pem']}", f"--tlskey={files['server.key']}"]
    engine.arguments += added
    engine.restart()
    try:
        monkeypatch.setenv("WILDLIFE_DOCKER_URL", url)
        monkeypatch.setenv("WILDLIFE_DOCKER_PATIENCE_SECONDS", "1")
        with pytest.raises(AirflowException, match="WILDLIFE_DOCKER_URL"):
            run()
        # Workers behind a proxy of their own have this, and requests would believe it alone.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files["client.pem"]))
        for name, file in {"CA": "tests.pem", "CERT": "client.pem", "KEY": "client.key"}.items():
            monkeypatch.setenv(f"WILDLIFE_DOCKER_TLS_{name}", str(files[file]))
        run()
        assert archive.head(record_key("run-1", "fetch")) is not None
    finally:
        del engine.arguments[-len(added) :]
        engine.restart()


# ssh


@pytest.fixture
def ssh_url(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ssh server whose ``docker`` reaches the test engine; known, and open to a new key."""
    sshd = program("sshd")
    port = free_ports(1)
    home = tmp_path / "home"
    keys = home / ".ssh"
    keys.mkdir(parents=True)
    for name in (keys / "id_ed25519", tmp_path / "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name], check=True)
    authorized = tmp_path / "authorized"
    authorized.write_text((keys / "id_ed25519.pub").read_text())
    host_key = (tmp_path / "host_key.pub").read_text().rsplit(" ", 1)[0]
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (keys / "config").write_text(f"Host 127.0.0.1\n  IdentityFile {keys / 'id_ed25519'}\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    command = [sshd, "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", tmp_path / "host_key"]
    for option in (
        "ListenAddress=127.0.0.1",
        f"AuthorizedKeysFile={authorized}",
        "StrictModes=no",
        "PasswordAuthentication=no",
        "PermitRootLogin=prohibit-password",
        "PidFile=none",
        "UsePAM=no",
        f"SetEnv=DOCKER_HOST={engine.url} PATH={os.environ['PATH']}",
    ):
        command += ["-o", option]
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = subprocess.Popen(command, stderr=(tmp_path / "sshd.log").open("w"))
    yield f"ssh://root@127.0.0.1:{port}"
    server.terminate()
    server.wait()


def test_a_step_runs_on_an_engine_behind_ssh(
    ssh_url: str, archive: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_URL", ssh_url)
    run()
    assert archive.head(record_key("run-1", "fetch")) is not None


def test_an_ssh_host_that_does_not_know_us_is_one_line(
    ssh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authorized").write_text("")
    monkeypatch.setenv("WILDLIFE_DOCKER_URL", ssh_url)
    monkeypatch.setenv("WILDLIFE_DOCKER_PATIENCE_SECONDS", "1")
    with pytest.raises(AirflowException, match=f"^the Docker engine at {ssh_url}") as failure:
        run()
    assert "\n" not in str(failure.value)


# A private registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry that only the user ``wildlife`` with the password ``deer`` may read."""
    port = free_ports(1)
    password = bcrypt.hashpw(b"deer", bcrypt.gensalt(5)).decode()
    (tmp_path / "htpasswd").write_text(f"wildlife:{password}\n")
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(settings))  # JSON is YAML
    server = subprocess.Popen(
        [program("docker-registry"), "serve", tmp_path / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    address = f"127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"http://{address}/v2/", trust_env=False).status_code == 401
        except httpx.HTTPError:
            return False

    wait_for(answers)
    yield address
    server.terminate()
    server.wait()


@pytest.fixture
def pushed(registry: str, client: APIClient) -> str:
    """A small image of this code in the registry only, by digest. It runs nothing."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    name = f"{registry}/wildlife-tasks"
    changes = [f"LABEL {CODE}={code_digest('tasks')}", 'ENTRYPOINT ["/nothing"]']
    client.import_image_from_data(packed.getvalue(), repository=name, tag="1", changes=changes)
    credentials = {"username": "wildlife", "password": "deer"}
    said = list(client.push(name, "1", auth_config=credentials, stream=True, decode=True))
    digest = next(line["aux"]["Digest"] for line in said if "aux" in line)
    client.remove_image(f"{name}:1", force=True)
    return f"{name}@{digest}"


def log_in_as(monkeypatch: pytest.MonkeyPatch, registry: str, password: str) -> None:
    connection = {"conn_type": "docker", "host": registry, "login": "wildlife"}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection | {"password": password}))
    monkeypatch.setenv("WILDLIFE_DOCKER_CONNECTION", "registry")


def test_an_image_is_pulled_by_digest_with_the_connection_s_login(
    registry: str, pushed: str, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in_as(monkeypatch, registry, "deer")
    monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", pushed)
    with pytest.raises(AirflowException, match="exit status 127"):  # it was pulled, and tried
        run()
    assert client.inspect_image(pushed)["RepoDigests"] == [pushed]
    client.remove_image(pushed, force=True)


def test_without_the_login_the_line_names_the_image_and_the_setting(
    registry: str, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", pushed)
    with pytest.raises(AirflowFailException, match="WILDLIFE_DOCKER_CONNECTION") as failure:
        run()
    assert pushed in str(failure.value)
    log_in_as(monkeypatch, registry, "bear")
    with pytest.raises(AirflowFailException, match="WILDLIFE_DOCKER_CONNECTION") as failure:
        run()
    assert "deer" not in str(failure.value)
    assert "bear" not in str(failure.value)


def test_a_name_that_is_not_in_its_registry_is_told(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in_as(monkeypatch, registry, "deer")
    monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", f"{registry}/nowhere:1")
    began = time.monotonic()
    with pytest.raises(AirflowFailException, match=f"'{registry}/nowhere:1'"):
        run()
    assert time.monotonic() - began < 30
