"""What every runner of steps does the same: what it starts, and what it believes."""

import logging
import re
import signal
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from tasks.contract.config import Config
from tasks.contract.errors import FINAL_EXIT_CODES, StepError, UnavailableError
from tasks.contract.manifest import RunRecord, checked_run_id, record_key
from tasks.contract.step import missing_file, read_record
from tasks.contract.store import Store, StoreSettings
from wildlife.alerts.failure import keep_reason
from wildlife.connection import store_environment
from wildlife.form import chosen_options
from wildlife.links import ReportLink, report_link
from wildlife.published import CHAMPION, IF_PROMOTED
from wildlife.settings import settings

#: A line of a step's log: its time, which Airflow adds itself, its level, and what it says.
_LOG_LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")

#: Airflow's names of the kinds of runs that nobody asked for.
_BY_THEMSELVES = ("scheduled", "asset_triggered")


@dataclass(frozen=True)
class Outcome:
    """How a step's program ended.

    Attributes:
        exit_code: as a shell gives it: 128 + the signal's number if one ended it.
        reason: what the step gave for its failure.
        started: when it was started, by the clock of the machine that it ran on.
    """

    exit_code: int
    reason: str
    started: datetime


class StepOperator(BaseOperator):
    """Runs ``python -m tasks <step>`` and succeeds when the run has the step's verified result.

    An exit status of 0 is not believed, and nothing is read from what the step prints but the
    reason of a failure. Options come from the DAG run's parameters, which anybody who may trigger
    the DAG has typed: they are validated here and travel as JSON in an argument list.
    """

    ui_color = "#e8f3ec"

    def __init__(self, *, step: str, arm: int | None = None, **arguments: Any) -> None:
        """Args beyond Airflow's own:

        step: the step to run.
        arm: number of the training, 0 or 1, for a step that can use a GPU; None for the others.
        """
        super().__init__(**arguments)
        self.step = step
        self.arm = arm
        self.operator_extra_links = (ReportLink(),) if step == "compare" else ()

    def execute(self, context: Context) -> None:
        try:
            self._bring_about(context)
        except AirflowTaskTimeout:
            keep_reason(context, "it was stopped after WILDLIFE_STEP_TIMEOUT_HOURS")
            raise
        except Exception as error:
            keep_reason(context, str(error))
            raise

    def _bring_about(self, context: Context) -> None:
        try:
            run_id = checked_run_id(str(context["run_id"]))
            config = Config.parse(_options(context))
            secrets = store_environment()
            command = [self.step, "--run-id", run_id, "--config", config.model_dump_json()]
            outcome = self.run_to_end(command, secrets, context)
            if outcome.exit_code != 0:
                self._fail(outcome)
            store = Store(StoreSettings.from_environment(secrets))
            record = self._require_record(run_id, outcome.started, store)
            self._publish(record, store, context)
        except StepError as error:
            self.log.error("%s failed: %s", self.step, error)
            failure = AirflowException if error.retryable else AirflowFailException
            raise failure(str(error)) from error

    @abstractmethod
    def run_to_end(
        self, command: list[str], secrets: Mapping[str, str], context: Context
    ) -> Outcome:
        """Run ``python -m tasks`` with these arguments and show its log.

        Args:
            secrets: variables with which it reaches the store, which must appear nowhere else.
        """

    def show(self, line: str) -> None:
        """Log a line of the step at the level that it has there."""
        logged = _LOG_LINE.fullmatch(line)
        level, text = logged.groups() if logged else ("INFO", line)
        self.log.log(logging.getLevelNamesMapping()[level], "%s", text)

    def reason_in(self, line: str) -> str | None:
        """The reason for the step's failure, if the line gives one."""
        logged = _LOG_LINE.fullmatch(line)
        failed = f"{self.step} failed: "
        if logged is None or logged[1] != "ERROR" or not logged[2].startswith(failed):
            return None
        return logged[2].removeprefix(failed)

    def _fail(self, outcome: Outcome) -> NoReturn:
        """Raise what the exit code means: another try can help, or it cannot."""
        reason = outcome.reason
        if not reason:
            reason = f"{self.step} {_described(outcome.exit_code)}: read the end of its log"
            self.log.error("%s failed: %s", self.step, reason)
        if outcome.exit_code in FINAL_EXIT_CODES:
            raise AirflowFailException(reason)
        raise AirflowException(reason)

    def _require_record(self, run_id: str, started: datetime, store: Store) -> RunRecord:
        """Believe only a record of this try whose files are all in the bucket."""
        if store.head(record_key(run_id, self.step)) is None:
            self._disbelieve("left no record in the bucket")
        record = read_record(store, run_id, self.step)
        if (record.run_id, record.step) != (run_id, self.step):
            self._disbelieve(f"its record is of {record.step} in run {record.run_id}")
        if record.started < started:
            self._disbelieve("its record is older than this try")
        if (name := missing_file(store, record.manifest)) is not None:
            self._disbelieve(f"{name!r} of its result is not in the bucket")
        self.log.info("the result is complete: %s", store.uri(record.manifest.key))
        return record

    def _publish(self, record: RunRecord, store: Store, context: Context) -> None:
        """Say with the node's assets, which Airflow publishes on success, where they are."""
        told: dict[str, Any] = {
            "run_id": record.run_id,
            "manifest": store.uri(record.manifest.key),
            "link": report_link(record.run_id),
        }
        made = record.manifest
        promoted = made.facts.get("promoted") and made.produced_by["run_id"] == record.run_id
        for outlet in self.outlets:
            if outlet != IF_PROMOTED:
                context["outlet_events"][outlet].extra = told
            elif promoted:
                context["outlet_events"][outlet].add(CHAMPION, told)

    def _disbelieve(self, why: str) -> NoReturn:
        raise UnavailableError(f"{self.step} ended with exit status 0, but {why}")


def _options(context: Context) -> dict[str, Any]:
    """What was entered; in a run that began by itself, what the settings say of such runs."""
    options = chosen_options(dict(context["params"]))
    run = context.get("dag_run")
    if run is not None and run.run_type in _BY_THEMSELVES:
        watched = {"archive": settings().watch} if settings().watch else {}
        options |= watched | settings().scheduled_options
    return options


def _described(exit_code: int) -> str:
    try:
        number = signal.Signals(exit_code - 128)
    except ValueError:
        return f"ended with exit status {exit_code}"
    hint = " (often the machine was out of memory)" if number == signal.SIGKILL else ""
    return f"was ended by {number.name}{hint}"
