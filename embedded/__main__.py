"""``python -m embedded run|up|down|put|predict|reap|retain``: what the Makefile's targets call."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from embedded.airflow import (
    AirflowClient,
    airflow_environment,
    airflow_is_running,
    runner_of,
    start_airflow,
    stop_airflow,
)
from embedded.bucket import (
    SAMPLE_KEY,
    choose_archive,
    choose_weights,
    put_file,
    require_weights,
)
from embedded.process import StackError, require_running, running_programs
from embedded.run import headline, latest_run, report_url, run_workflow, save_report
from embedded.settings import ROOT, Settings, written_settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.config import Config, Options, RetentionOptions
from tasks.contract.errors import StepError
from tasks.contract.manifest import record_key
from tasks.contract.store import Store
from wildlife.settings import docker_settings
from wildlife.settings import settings as plugin_settings

_Ended = subprocess.CompletedProcess[bytes]

#: The synthetic sample is for seeing the workflow work within minutes, not for good numbers.
_SAMPLE_OPTIONS = {"scratch_epochs": 3, "transfer_epochs": 10}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the workflow once and print where the report is")
    run.add_argument("--archive", default="", help="zip or tar of photos, one folder per class")
    run.add_argument("--options", default="", help="options of the run: name=value name=value ...")
    commands.add_parser("up", help="start the object store and Airflow, and leave them running")
    commands.add_parser("down", help="stop them")
    put = commands.add_parser("put", help="put a file into the bucket and print its SHA-256")
    put.add_argument("--file", default="")
    put.add_argument("--key", default="")
    predict = commands.add_parser("predict", help="print the most probable classes of photos")
    predict.add_argument("--photos", default="", help="files, as a shell splits them")
    predict.add_argument("--run", default="", help="whose model; empty: the latest run's")
    predict.add_argument("--arm", default="", help="transfer or scratch; empty: transfer")
    reap = commands.add_parser("reap", help="remove the containers of dead runs")
    reap.add_argument("--dry-run", action="store_true", help="only list them")
    retain = commands.add_parser("retain", help="remove what of the bucket is old")
    retain.add_argument("--dry-run", action="store_true", help="only tell what would go, and why")
    retain.add_argument("--options", default="", help="what is kept: name=value name=value ...")
    given = parser.parse_args(arguments)
    _keep_loopback_off_proxies()
    try:
        settings = _settings()
        if given.command == "run":
            _run(settings, given.archive, _parsed(given.options))
        elif given.command == "up":
            _up(settings)
        elif given.command == "down":
            _down(settings)
        elif given.command == "reap":
            return _reap(settings, given.dry_run)
        elif given.command == "retain":
            return _retain(settings, given.dry_run, _parsed(given.options, RetentionOptions))
        elif given.command == "predict":
            return _predict(settings, given.photos, given.run, given.arm or "transfer")
        else:
            _put(settings, given.file, given.key)
    except (StackError, StepError) as error:
        print(f"{given.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{given.command}: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what was started goes on; 'make down' stops it", file=sys.stderr)
        return 130
    return 0


def _run(settings: Settings, archive_name: str, options: dict[str, Any]) -> None:
    Config.parse(options)  # before anything is started
    archive = _existing_file(archive_name, "ARCHIVE") if archive_name else None
    where = _where_steps_run(settings)
    if settings.runner == "docker":
        _require_engine(settings)
    client = _up(settings)
    store = _store(settings)
    began = time.monotonic()
    if archive is not None or "archive" not in options:
        options["archive"] = choose_archive(store, archive)
    if options["archive"] == SAMPLE_KEY:
        options = _SAMPLE_OPTIONS | options
    if "weights" in options:
        require_weights(store, options["weights"])
    else:
        options["weights"] = choose_weights(store)
    print(f"archive {store.uri(options['archive'])}, weights {options['weights']}")
    print(where)
    programs = running_programs(settings.home)
    run_id = run_workflow(client, store, options, lambda: require_running(settings.home, programs))
    page = save_report(store, run_id, settings.home / "reports")
    print(f"\n{headline(page.parent)}\n")
    print(f"the run took {time.monotonic() - began:.0f} s")
    print(f"report  {page}")
    print(f"        {report_url(settings.airflow_url, run_id)}")
    print(f"        (user admin, password {client.password()}; 'make down' stops Airflow)")


def _where_steps_run(settings: Settings) -> str:
    if settings.runner == "docker":
        return f"steps run in containers of {docker_settings().image} (docs/containers.md)"
    return "steps run as processes; WILDLIFE_RUNNER=docker runs them in containers"


def _put(settings: Settings, name: str, key: str) -> None:
    if not key or not name:
        raise StackError("name the file and its key: make put FILE=my.weights.h5 KEY=weights/my.h5")
    file = _existing_file(name, "FILE")
    if start_store(settings):
        print("the object store is up; 'make down' stops it")
    print(f"{put_file(_store(settings), file, key)}  {key}")


def _predict(settings: Settings, photos: str, run_id: str, arm: str) -> int:
    """A program of its own, the one that everybody has who has the training image."""
    if arm not in ("transfer", "scratch"):
        raise StackError(f"ARM is {arm!r}: transfer or scratch")
    names = _split(photos, "PHOTO")
    if not names:
        raise StackError("name a photo: make predict PHOTO=bear.jpg [RUN=run-...] [ARM=scratch]")
    if start_store(settings):
        print("the object store is up; 'make down' stops it", file=sys.stderr)
    store = _store(settings)
    step = f"train_{arm}"
    run_id = run_id or latest_run(store, step)
    if store.head(record_key(run_id, step)) is None:
        raise StackError(f"no run {run_id!r} has a result of {step}: leave RUN out for the latest")
    model = f"{run_id}/{step}"
    print(f"the network of {model}", file=sys.stderr)
    asked = [sys.executable, "-m", "tasks", "predict", "--model", model, "--", *names]
    return subprocess.run(asked, env=os.environ | store_environment(settings)).returncode


def _reap(settings: Settings, dry_run: bool) -> int:
    """A program of its own, the one that a site runs on its GPU hosts."""
    client = _client(settings)
    asked = {
        "WILDLIFE_AIRFLOW_URL": settings.airflow_url,
        "WILDLIFE_AIRFLOW_TOKEN": client.token(),
    }
    return _reaper(settings, *["--dry-run"] * dry_run, more=asked).returncode


def _retain(settings: Settings, dry_run: bool, options: dict[str, Any]) -> int:
    """A program of its own, the one that everybody has who has the steps."""
    RetentionOptions.parse(options)  # before anything is started
    command = [sys.executable, "-m", "tasks", "retention", "--config", json.dumps(options)]
    command += ["--dry-run"] * dry_run
    at_work = _client(settings).active_runs("queued", "running")
    if at_work:
        command += ["--active", *at_work]
    return subprocess.run(command, env=os.environ | store_environment(settings)).returncode


def _client(settings: Settings) -> AirflowClient:
    """Of Airflow, which alone knows which runs go on; it is started if need be."""
    if airflow_is_running(settings):
        return AirflowClient(settings)
    print("starting Airflow, to ask it which runs go on; 'make down' stops it")
    start_store(settings)
    return start_airflow(settings.model_copy(update={"runner": runner_of(settings)}))


def _reaper(settings: Settings, *arguments: str, more: Mapping[str, str] | None = None) -> _Ended:
    return _run_module(settings, "wildlife.containers.reaper", *arguments, more=more)


def _require_engine(settings: Settings) -> None:
    """See that there is an engine with the image before anything is started."""
    checked = _run_module(settings, "wildlife.containers.check", capture_output=True)
    if checked.returncode != os.EX_OK:
        raise StackError(checked.stderr.decode().strip().splitlines()[-1])


def _run_module(
    settings: Settings,
    *command: str,
    more: Mapping[str, str] | None = None,
    capture_output: bool = False,
) -> _Ended:
    """Run a program of Airflow's side with Airflow's settings, and ``more``."""
    environment = airflow_environment(settings) | store_environment(settings) | dict(more or {})
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'plugins'}"
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, capture_output=capture_output
    )


def _up(settings: Settings) -> AirflowClient:
    began = time.monotonic()
    start_store(settings)
    client = start_airflow(settings)
    print(f"store and Airflow are up ({time.monotonic() - began:.0f} s)")
    print(f"Airflow {settings.airflow_url}, user admin, password {client.password()}")
    return client


def _down(settings: Settings) -> None:
    running = running_programs(settings.home)
    if running:
        print(
            "stopping Airflow and the store; a step that runs gets up to "
            f"{plugin_settings().stop_seconds} s to save where it is"
        )
    # In any case: a program that was killed may have left processes behind.
    stop_airflow(settings)
    if running and runner_of(settings) == "docker":
        _reaper(settings, "--all")  # what they save, they save in the store
    stop_store(settings)
    print("stopped" if running else "nothing was running")


def _existing_file(name: str, variable: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise StackError(
            f"{path} is a folder: give {variable} a file (zip or tar the folder first)"
        )
    if not path.is_file():
        raise StackError(f"there is no file {path}: check {variable}")
    return path


def _keep_loopback_off_proxies() -> None:
    """The stack is on this machine; a proxy that the environment names is not asked for it."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [entry for entry in os.environ.get(name, "").split(",") if entry]
        os.environ[name] = ",".join([*known, "127.0.0.1", "localhost"])


def _settings() -> Settings:
    """This machine's settings; lines of ``.env`` are put where Airflow and the steps look, too."""
    try:
        for name, value in written_settings().items():
            os.environ.setdefault(name, value)
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        if not fault["loc"]:
            raise StackError(fault["msg"].removeprefix("Value error, ")) from None
        name = f"WILDLIFE_{str(fault['loc'][0]).upper()}"
        raise StackError(f"{name} is {fault['input']!r}: {fault['msg']}") from None
    except UnicodeDecodeError as error:
        raise StackError(f".env is not UTF-8 text ({error}): save it as such") from None


def _store(settings: Settings) -> Store:
    os.environ.update(store_environment(settings))
    return Store.from_environment()


def _parsed(text: str, model: type[Options] = Config) -> dict[str, Any]:
    """``name=value`` pairs as a shell splits them; a value that is JSON is taken as such."""
    options: dict[str, Any] = {}
    for pair in _split(text, "OPTIONS"):
        name, equals, value = pair.partition("=")
        if not equals:
            raise StackError(
                f"option {pair!r} has no value: write name=value, with quotes around a value "
                "that has spaces"
            )
        known = model.model_fields.get(name)
        try:
            options[name] = value if known and known.annotation is str else json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options


def _split(text: str, variable: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StackError(f"{variable} cannot be read ({error}): check its quotes") from None


if __name__ == "__main__":
    sys.exit(main())
