"""``python -m tasks <step> --run-id ID --config JSON``: run one step of the workflow.

The same command in a container, in a plain process, or typed by a person. Its exit code says
whether a retry can help (``tasks.contract.errors``); success is the record in the bucket.

``python -m tasks predict --model URI PHOTO…`` asks a trained network, and ``python -m tasks
champion show`` or ``rollback`` tells of the promoted one or takes it back. ``python -m tasks
retention`` removes what of the bucket is old and referred to by nothing that is kept.
"""

import argparse
import errno
import json
import logging
import os
import signal
import sys
from types import FrameType
from typing import TextIO

from tasks.contract.cache import Cache
from tasks.contract.config import Config, RetentionOptions
from tasks.contract.errors import StepError, UnavailableError
from tasks.contract.manifest import checked_run_id
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tasks.registry import STEP_NAMES, step_named

log = logging.getLogger("tasks")

#: The machine's own disk refuses; a retry, perhaps on another worker, can help.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command == "champion" and not (given.action or given.run_id):
        parser.error("champion needs --run-id of the run to compare, or 'show' or 'rollback'")
    predicting = given.command == "predict"
    _log_lines(sys.stderr if predicting else sys.stdout)  # what it predicts can be read alone
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        if predicting:
            from tasks.predict import predict

            return predict(given.model, given.photos, given.top, given.json)
        if getattr(given, "environment_from_stdin", False):
            os.environ.update(_environment_from_stdin())
        if given.command == "retention":
            from tasks.retention import retain

            retain(
                Store.from_environment(),
                RetentionOptions.parse(given.config),
                lambda: given.active,
                dry_run=given.dry_run,
            )
            return 0
        if given.command == "champion" and given.action:
            from tasks.champion import commands

            store = Store.from_environment()
            if given.action == "show":
                commands.show(store)
            else:
                commands.rollback(store, given.why)
            return 0
        run_step(
            step_named(given.command),
            Config.parse(given.config),
            checked_run_id(given.run_id),
            Store.from_environment(),
            Cache.from_environment(),
        )
    except StepError as error:
        log.error("%s failed: %s", given.command, error)
        return error.exit_code
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            where = error.filename or f"the disk of {os.environ.get('WILDLIFE_CACHE', 'the cache')}"
            log.error(
                "%s failed: %s: %s: make room there, or set WILDLIFE_CACHE to another folder",
                given.command,
                where,
                " ".join(str(error.strerror).split()),  # HDF5 fills pages
            )
            return os.EX_TEMPFAIL
        log.error(
            "%s failed: a fault of the program: %s: %s",
            given.command,
            type(error).__name__,
            error,
            exc_info=True,
        )
        return os.EX_SOFTWARE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks",
        description="Run one step of the wildlife training workflow, or ask a trained network.",
        epilog="The bucket is set by WILDLIFE_BUCKET, AWS_ENDPOINT_URL and AWS' own variables.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in STEP_NAMES:
        step = commands.add_parser(name, help=f"run the step {name}")
        step.add_argument(
            "--run-id", required=name != "champion", help="the run that the step belongs to"
        )
        step.add_argument(
            "--config", default="{}", metavar="JSON", help="options as JSON; defaults for the rest"
        )
        step.add_argument(
            "--environment-from-stdin",
            action="store_true",
            help="read more environment variables, a JSON object on one line, from standard input: "
            "a container's own are shown to whoever may inspect it",
        )
    retention = commands.add_parser("retention", help="remove what of the bucket is old")
    retention.add_argument(
        "--dry-run", action="store_true", help="only tell what would go, and why"
    )
    retention.add_argument(
        "--active",
        nargs="+",
        default=[],
        metavar="RUN_ID",
        help="runs that are queued or running: they stay",
    )
    retention.add_argument(
        "--config", default="{}", metavar="JSON", help="options as JSON; defaults for the rest"
    )
    champion = commands.choices["champion"]
    champion.add_argument(
        "action", nargs="?", choices=("show", "rollback"), help="tell of it, or take it back"
    )
    champion.add_argument("--why", default="", metavar="TEXT", help="why it is taken back")
    predict = commands.add_parser("predict", help="print the most probable classes of photos")
    predict.add_argument(
        "--model",
        required=True,
        metavar="URI",
        help="s3://BUCKET/artifacts/train_transfer/.../manifest.json, or RUN_ID/train_transfer",
    )
    predict.add_argument("--top", type=_count, default=5, help="how many classes; 5 by default")
    predict.add_argument("--json", action="store_true", help="one JSON object for each photo")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", help="files, of any format")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of classes: give 1 or more")
    return int(text)


def _log_lines(stream: TextIO) -> None:
    """Plain lines, flushed one by one: what a container's log and Airflow's page can show."""
    logging.basicConfig(
        stream=stream,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)


def _environment_from_stdin() -> dict[str, str]:
    """What the launcher sends as soon as the step has started.

    Raises:
        UnavailableError: the launcher ended before it did.
    """
    try:
        variables = json.loads(sys.stdin.readline())
        return {str(name): str(value) for name, value in variables.items()}
    except (ValueError, AttributeError):
        raise UnavailableError(
            "no environment arrived on standard input: whatever started this step has ended; "
            "start it again"
        ) from None


def _exit_on_sigterm(signum: int, _frame: FrameType | None) -> None:
    """Unwind through every ``with`` so that temporary files go, and exit as shells expect."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
