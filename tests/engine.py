"""A Docker engine of the tests' own: a real ``dockerd`` that leaves the machine's alone.

Its data (images, cached layers) stays between sessions, so that the training image is built once.
Everything else (sockets, state of running containers) lies in a short folder below ``/run`` and is
removed at the end. It touches no network settings: containers have ``--network host`` or none.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

PROGRAMS = {"dockerd": "docker.io", "containerd": "containerd", "docker": "docker.io"}
PROGRAMS |= {"debootstrap": "debootstrap", "make": "make", "git": "git"}
WAIT_FOR_LOCK = 300
WAIT_FOR_START = 60
# dockerd gives its containers 15 s to end when it is asked to stop.
WAIT_FOR_STOP = 60


class EngineError(Exception):
    """One line: the engine could not be started or stopped."""


def home_folder() -> Path:
    """Where the test engine keeps its data."""
    chosen = os.environ.get("WILDLIFE_TEST_ENGINE")
    return Path(chosen or "~/.cache/wildlife-test-engine").expanduser().absolute()


def missing() -> str | None:
    """Why this machine cannot start an engine, in one line; None if it can."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            return f"needs a Docker engine: {program} is not installed: apt-get install {package}"
    if os.geteuid() != 0:
        return "needs a Docker engine: dockerd needs root: run the tests as root"
    return None


def what_cuts_bridges_off() -> str | None:
    """Why containers on one bridge of this engine do not reach each other; None if they do.

    The machine's own engine makes the firewall drop what it does not know, and leaves it so.
    """
    filters = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not filters.exists() or filters.read_text().strip() == "0":
        return None
    told = subprocess.run(["iptables", "--list-rules", "FORWARD"], capture_output=True, text=True)
    if "-P FORWARD DROP" not in told.stdout:
        return None
    return (
        "needs bridges whose containers reach each other, which the firewall, as this machine's "
        "engine has it, drops: stop that engine, then iptables --policy FORWARD ACCEPT"
    )


class Engine:
    """A ``dockerd`` and the ``containerd`` below it, which outlives its restarts.

    Args:
        home: the folder of its data; one engine at a time.
        arguments: more arguments for dockerd; what this list holds counts at the next start.
    """

    def __init__(self, home: Path, arguments: Sequence[str] = ()) -> None:
        self.home = home
        self.arguments = list(arguments)
        # Below /run because a socket's path may have 107 characters, a test's folder often more;
        # always the same one, so that a session can end what a killed one left behind.
        name = hashlib.sha256(str(home).encode()).hexdigest()[:8]
        self.run = Path("/run") / f"wildlife-engine-{name}"
        self._live_restore = False
        self._dockerd: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"unix://{self.run}/docker.sock"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which ``docker`` and ``make image`` reach this engine."""
        return {"DOCKER_HOST": self.url}

    @property
    def log(self) -> Path:
        """What dockerd wrote since this object was made."""
        return self.home / "dockerd.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the daemon and wait until it answers.

        Raises:
            EngineError: another session has its data, or it did not come up.
        """
        if self._lock is None:
            self._take()
        if self._containerd is None:
            self._start_containerd()
        if self._dockerd is not None and self._dockerd.poll() is None:
            return
        self._configure()
        command = ["dockerd", f"--config-file={self._configuration}", f"--host={self.url}"]
        command += [f"--data-root={self.home / 'data'}", f"--exec-root={self.run / 'exec'}"]
        command += [f"--pidfile={self.run / 'dockerd.pid'}", f"--containerd={self._containerd_at}"]
        # Nothing of the machine's network is changed, so no rule of it can be lost either.
        command += [f"--bridge={self._bridge()}", "--iptables=false", "--ip6tables=false"]
        command += ["--ip-forward=false", "--ip-masq=false"]
        self._dockerd = _spawn([*command, *self.arguments], self.log)
        self._wait_for(self._dockerd, self.log, lambda: bool(self._ask("{{.ServerVersion}}")))

    def stop(self) -> None:
        """SIGTERM: the daemon ends its containers, unless live restore is on, and then itself."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL the daemon alone, as a crash would; its containers go on."""
        self._end(signal.SIGKILL)

    def restart(self, live_restore: bool = False) -> None:
        """Stop the daemon if it runs, and start it; containers go on only with live restore.

        After ``kill``, live restore finds the containers that went on; without it they are ended.
        """
        self._live_restore = live_restore
        self._configure()
        if self._dockerd is not None and self._dockerd.poll() is None:
            # The daemon that stops must know as well: it decides whether the containers end.
            self._dockerd.send_signal(signal.SIGHUP)
            wanted = str(live_restore).lower()
            self._wait_for(
                self._dockerd, self.log, lambda: self._ask("{{.LiveRestoreEnabled}}") == wanted
            )
            self.stop()
        self.start()

    def close(self) -> None:
        """Remove every container, stop everything, and leave nothing but the data."""
        if self._lock is None:
            return
        try:
            # Live restore, so that a start after ``kill`` does not wait for containers to end.
            self._live_restore, self.arguments = True, []
            self.start()
            containers = self.docker("ps", "--all", "--quiet").split()
            if containers:
                self.docker("rm", "--force", "--volumes", *containers)
            # What earlier builds left; not at once, because untagged images are a build's cache.
            self.docker("image", "prune", "--force", "--filter", "until=336h")
            self.stop()
        finally:
            self._sweep()
            os.close(self._lock)
            self._lock = self._dockerd = self._containerd = None

    def docker(self, *arguments: str) -> str:
        """What ``docker ARGUMENTS`` prints.

        Raises:
            EngineError: it failed.
        """
        answer = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        if answer.returncode != 0:
            raise EngineError(f"docker {arguments[0]}: {answer.stderr.strip()}")
        return answer.stdout.strip()

    def _take(self) -> None:
        """Lock the data, and end what a killed session left of itself."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        last = time.monotonic() + WAIT_FOR_LOCK
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > last:
                    os.close(lock)
                    raise EngineError(
                        f"another test session uses the engine in {self.home}: wait for its end, "
                        "or give this one another folder in WILDLIFE_TEST_ENGINE"
                    ) from None
            time.sleep(0.5)
        self._lock = lock
        self._sweep()
        self.run.mkdir(mode=0o700, exist_ok=True)
        self.log.write_text("")
        # An address of an earlier session's bridge may be one of this machine's network by now.
        shutil.rmtree(self.home / "data" / "network", ignore_errors=True)

    def _bridge(self) -> str:
        """The bridge that dockerd is told to use: none, or one of our own that nobody uses.

        Told ``none``, dockerd deletes the interface docker0: that of the machine's own engine.
        """
        interfaces = _interfaces()
        if "docker0" not in interfaces:
            return "none"
        if self._own_bridge not in interfaces:
            # Without an address: dockerd picks one that no route of this machine has.
            subprocess.run(["ip", "link", "add", self._own_bridge, "type", "bridge"], check=True)
        return self._own_bridge

    @property
    def _own_bridge(self) -> str:
        return f"wl-{self.run.name[-8:]}"  # an interface's name has 15 characters at most

    def _configure(self) -> None:
        # A file of its own also keeps dockerd from reading the machine's /etc/docker/daemon.json.
        self._configuration.write_text(json.dumps({"live-restore": self._live_restore}))

    @property
    def _configuration(self) -> Path:
        return self.run / "daemon.json"

    @property
    def _containerd_at(self) -> Path:
        return self.run / "containerd.sock"

    def _start_containerd(self) -> None:
        """One of its own: dockerd would share a system's, with the containers of its engine."""
        configuration = self.run / "containerd.toml"
        configuration.write_text(
            f'version = 2\nroot = "{self.home}/containerd"\nstate = "{self.run}/containerd"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self._containerd_at}"\n'
        )
        log = self.home / "containerd.log"
        log.write_text("")
        self._containerd = _spawn(["containerd", f"--config={configuration}"], log)
        self._wait_for(self._containerd, log, self._containerd_at.exists)

    def _ask(self, question: str) -> str:
        """One fact of ``docker info``; empty while the daemon does not answer."""
        try:
            return self.docker("info", "--format", question)
        except EngineError:
            return ""

    def _wait_for(
        self, program: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]
    ) -> None:
        name = log.stem
        last = time.monotonic() + WAIT_FOR_START
        while not ready():
            if program.poll() is not None:
                words = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise EngineError(f"{name} did not start ({log}): {''.join(words)}")
            if time.monotonic() > last:
                raise EngineError(f"{name} did not answer within {WAIT_FOR_START} s: see {log}")
            time.sleep(0.1)

    def _end(self, how: signal.Signals) -> None:
        if self._dockerd is None:
            return
        self._dockerd.send_signal(how)
        try:
            self._dockerd.wait(WAIT_FOR_STOP)
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"dockerd did not stop within {WAIT_FOR_STOP} s: {self.log}"
            ) from None
        self._dockerd = None
        # A killed daemon leaves it, and the next one refuses to start if another process has
        # been given its number meanwhile.
        (self.run / "dockerd.pid").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """End every process of this engine, unmount what it mounted, remove its run folder."""
        # All of them (daemons, shims) name the run folder in their command line.
        ours = [process for process in psutil.process_iter() if self._runs(process)]
        # dockerd before containerd; a container's own processes are its shim's children.
        for name in ("dockerd", "containerd-shim", "containerd"):
            for process in ours:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name().startswith(name):
                        family = [process]
                        if name == "containerd-shim":
                            family += process.children(recursive=True)
                        _finish(family)
        for mount in reversed(_mounts()):
            if mount.is_relative_to(self.run) or mount.is_relative_to(self.home):
                subprocess.run(["umount", "--lazy", str(mount)], capture_output=True)
        if self._own_bridge in _interfaces():
            subprocess.run(["ip", "link", "delete", self._own_bridge], capture_output=True)
        shutil.rmtree(self.run, ignore_errors=True)

    def _runs(self, process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
        except psutil.Error:
            return False
        known = bool(command) and Path(command[0]).name.startswith(("dockerd", "containerd"))
        return known and any(f"{self.run}/" in part for part in command[1:])


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own: Ctrl-C is for the tests, which then stop it."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _finish(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=20)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _mounts() -> list[Path]:
    """Where something is mounted, in the order in which it was."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [Path(line.split()[4].replace("\\040", " ")) for line in lines]
