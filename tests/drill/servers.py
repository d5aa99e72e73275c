"""A site's own servers from the system's packages, on 127.0.0.1: PostgreSQL and Redis."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

from embedded.process import Program

_DATABASE_USER = "postgres"


def missing() -> str | None:
    """Why this machine cannot run them, in one line; None if it can."""
    if _postgres_folder() is None:
        return "needs PostgreSQL: apt-get install postgresql"
    if shutil.which("redis-server") is None:
        return "needs Redis: apt-get install redis-server"
    return None


class Server:
    """One server: started, and stopped in the order in which its init system does it."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str, home: Path, port: int) -> None:
        self.port = port
        self.home = home
        self.program = Program(name, home)
        self.password = secrets.token_hex(16)

    def stop(self) -> None:
        process = self.program.find()
        if process is not None:
            process.send_signal(self.stop_signal)
            process.wait(30)

    def _run(self, command: list[str]) -> None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        self.program.start(command, environment)
        self.program.wait_until(self.answers, seconds=60)

    def answers(self) -> bool:
        raise NotImplementedError


class Postgres(Server):
    """A cluster with Airflow's database.

    PostgreSQL refuses to run as root: then it runs as the user that its package made.
    """

    stop_signal = signal.SIGINT  # "fast": it ends its clients' connections, as its unit file does

    def __init__(self, home: Path, port: int) -> None:
        super().__init__("postgres", home, port)
        folder = _postgres_folder()
        assert folder is not None
        self._programs = folder
        self._data = home / "postgres"
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            ids = f"--reuid={_DATABASE_USER}", f"--regid={_DATABASE_USER}"
            self._as_user = ["setpriv", *ids, "--clear-groups"]

    def start(self) -> None:
        is_new = not (self._data / "PG_VERSION").exists()
        if is_new:
            self._make_cluster()
        self._run(
            [
                *(*self._as_user, str(self._programs / "postgres"), "-D", str(self._data)),
                *("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"),
                *("-c", "unix_socket_directories="),
            ]
        )
        if is_new:
            with self.connect("postgres") as administrator:
                administrator.execute(f"CREATE ROLE airflow LOGIN PASSWORD '{self.password}'")
                administrator.execute("CREATE DATABASE airflow OWNER airflow")

    @property
    def url(self) -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql://airflow:{self.password}@127.0.0.1:{self.port}/airflow"

    def connect(self, name: str = "airflow") -> psycopg.Connection:
        """As the user of this name, to the database of this name."""
        url = f"postgresql://{name}:{self.password}@127.0.0.1:{self.port}/{name}"
        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    def answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_cluster(self) -> None:
        self._data.mkdir(mode=0o700)
        password = self.home / "postgres.password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if self._as_user:
            user = pwd.getpwnam(_DATABASE_USER)
            for path in (self._data, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            [
                *(*self._as_user, str(self._programs / "initdb"), "-D", str(self._data)),
                *("-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"),
                *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            cwd=self.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        password.unlink()


class Redis(Server):
    """Celery's broker and its results, kept on disk (``appendonly``): a restart loses none."""

    def __init__(self, home: Path, port: int) -> None:
        super().__init__("redis", home, port)

    def url(self, database: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        data = self.home / "redis"
        data.mkdir(exist_ok=True)
        settings = data / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {data}\n"
            f"requirepass {self.password}\nappendonly yes\n"
        )
        self._run(["redis-server", str(settings)])

    def answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url(0)) as client:
            return bool(client.ping())
        return False


def _postgres_folder() -> Path | None:
    """Where Debian's package keeps the programs, which are not on the PATH; the newest version."""
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parent if newest else None
