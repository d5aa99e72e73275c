"""``make setup``: one environment from the lock, on a machine with only Python, make and git.

Runs before anything is installed, so it uses the standard library alone. The installer (uv) comes
by pip with its hash checked, then installs the whole lock with every hash checked. Package indexes
and certificates are whatever this machine's pip is set up to use.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "lock.txt"
INSTALLER = ROOT / "requirements" / "uv.txt"
OLDEST, NEWEST = (3, 11), (3, 13)


def main() -> int:
    python = _suitable_python()
    if python is None:
        print(
            f"setup: Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed and "
            f"{sys.executable} is {sys.version.split()[0]}: install one, or name it with "
            "'make setup PYTHON=/path/to/python3.12'",
            file=sys.stderr,
        )
        return 1
    stamp = VENV / ".installed"
    # With the path, because a virtual environment works only where it was made.
    wanted = hashlib.sha256(
        LOCK.read_bytes() + INSTALLER.read_bytes() + str(VENV).encode()
    ).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return 0
    if VENV.is_symlink():
        print(
            f"setup: {VENV} leads to another folder, which would be emptied: remove that link",
            file=sys.stderr,
        )
        return 1
    print("setup: installing the locked environment into .venv (about 2.7 GB on disk) ...")
    try:
        _run(python, "-m", "venv", "--clear", str(VENV))
    except subprocess.CalledProcessError:
        print(
            "setup: this Python cannot make virtual environments: install its venv package "
            "(Debian and Ubuntu: apt install python3-venv)",
            file=sys.stderr,
        )
        return 1
    inside = VENV / "bin" / "python"
    try:
        quiet = ("--quiet", "--disable-pip-version-check")
        _run(inside, "-m", "pip", "install", *quiet, "--require-hashes", "-r", str(INSTALLER))
        _run(
            VENV / "bin" / "uv",
            *("pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)),
            *("--python", str(inside)),
            environment=_like_pip(inside),
        )
    except subprocess.CalledProcessError as error:
        print(
            "setup: a locked package could not be installed (see above): check this machine's "
            "network and pip's index settings, then run it again",
            file=sys.stderr,
        )
        return error.returncode
    stamp.write_text(wanted)
    return 0


def _suitable_python() -> str | None:
    """This interpreter if its version is supported, else a supported one from the PATH."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        works = found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
        if works:
            return found
    return None


def _like_pip(python: Path) -> dict[str, str]:
    """The environment in which uv uses the indexes and certificates that pip is set up with."""
    environment = dict(os.environ)
    for option, variable in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("cert", "SSL_CERT_FILE"),
    ):
        value = _pip_setting(python, option)
        if value and variable not in environment:
            environment[variable] = value
    # pip takes the best match of all its indexes; the hashes make that safe.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def _pip_setting(python: Path, option: str) -> str:
    from_environment = os.environ.get(f"PIP_{option.upper().replace('-', '_')}")
    if from_environment:
        return from_environment
    for section in ("install", "global"):
        answer = subprocess.run(
            [str(python), "-m", "pip", "config", "get", f"{section}.{option}"],
            capture_output=True,
            text=True,
        )
        if answer.returncode == 0:
            return " ".join(answer.stdout.split())
    return ""


def _run(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, env=environment)


if __name__ == "__main__":
    sys.exit(main())
