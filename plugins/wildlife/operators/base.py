"""What every runner of steps does the same: what it starts, and what it believes."""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tasks.contract.config import Config
from tasks.contract.errors import FINAL_EXIT_CODES, StepError
from tasks.contract.manifest import checked_run_id, now
from tasks.contract.step import missing_file, read_record
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment
from wildlife.form import chosen_options
from wildlife.links import ReportLink


class StepOperator(BaseOperator):
    """Runs ``python -m tasks <step>`` and succeeds when the run has the step's verified result.

    An exit status of 0 is not believed, and nothing is read from what the step prints but the
    reason of a failure. Options come from the DAG run's parameters, which anybody who may trigger
    the DAG has typed: they are validated here and travel as JSON in an argument list.
    """

    ui_color = "#e8f3ec"
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, step: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.step = step

    def execute(self, context: Context) -> None:
        started = now()
        try:
            run_id = checked_run_id(str(context["run_id"]))
            config = Config.parse(chosen_options(dict(context["params"])))
            secrets = store_environment()
            command = ["-m", "tasks", self.step, "--run-id", run_id]
            command += ["--config", config.model_dump_json()]
            exit_code, reason = self.run_to_end(command, secrets, context)
            if exit_code != 0:
                self._fail(exit_code, reason)
            self._require_result(run_id, started, secrets)
        except StepError as error:
            failure = AirflowException if error.retryable else AirflowFailException
            raise failure(str(error)) from error

    @abstractmethod
    def run_to_end(
        self, command: list[str], secrets: Mapping[str, str], context: Context
    ) -> tuple[int, str]:
        """Run Python with this command line and show its log.

        Args:
            secrets: variables for its environment, which must appear nowhere else.

        Returns:
            The exit code, and the last error line that was logged.
        """

    def _fail(self, exit_code: int, reason: str) -> NoReturn:
        if exit_code in FINAL_EXIT_CODES:
            raise AirflowFailException(reason)
        raise AirflowException(reason or f"{self.step} ended with exit status {exit_code}")

    def _require_result(self, run_id: str, started: datetime, secrets: Mapping[str, str]) -> None:
        store = Store(StoreSettings.from_environment(secrets))
        record = read_record(store, run_id, self.step)
        if record.finished < started:
            raise AirflowException(
                f"{self.step} ended with exit status 0, but the result in the bucket is older "
                "than this try: the step's program is not the workflow's"
            )
        if (name := missing_file(store, record.manifest)) is not None:
            raise AirflowException(
                f"{self.step} ended with exit status 0, but {name!r} of its result is not in the "
                "bucket: it will be tried again"
            )
        self.log.info("the result is complete: %s", store.uri(record.manifest.key))
