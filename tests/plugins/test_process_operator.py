"""The process operator, with real processes and the real store: what it starts, and believes."""

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.context import OutletEventAccessors

from embedded.ports import free_ports
from tasks.contract.manifest import RunRecord, now, record_key
from tasks.contract.store import Store
from tests.plugins.conftest import connection
from tests.plugins.waiting import is_running, pid_in, wait_for
from tests.preprocess.archives import class_folders, zip_of
from wildlife.operators import step_operator
from wildlife.operators.base import StepOperator
from wildlife.published import REPORT

KEY = "datasets/pets.zip"
Program = Callable[[str], Path]


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The task's log as one that pytest can read; Airflow's own writes past it."""
    logger = logging.getLogger("the task's log")
    monkeypatch.setattr(StepOperator, "log", logger, raising=False)
    return logger


@pytest.fixture(autouse=True)
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "process")


def run(step: str = "fetch", run_id: str = "run-1", **options: Any) -> None:
    """Execute a node as Airflow's task runner does."""
    step_operator(step).execute({"run_id": run_id, "params": {"archive": KEY, **options}})


def is_final(failure: pytest.ExceptionInfo[AirflowException]) -> bool:
    """Whether Airflow would not try again."""
    return isinstance(failure.value, AirflowFailException)


@pytest.fixture
def archive(connected: Store, tmp_path: Path) -> Store:
    connected.write(KEY, zip_of(class_folders(3), tmp_path / "pets.zip").read_bytes())
    return connected


@pytest.fixture
def fetched(archive: Store) -> RunRecord:
    """The record of a fetch that an operator ran for real."""
    run()
    return RunRecord.model_validate_json(archive.read(record_key("run-1", "fetch")) or b"")


def test_the_real_step_leaves_its_record_and_shows_its_log(
    archive: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run()
    record = RunRecord.model_validate_json(archive.read(record_key("run-1", "fetch")) or b"")
    assert record.manifest.facts["classes"] == {"a": 3, "b": 3, "c": 3}
    assert any(line.startswith("fetch: done in") for line in caplog.messages)
    assert caplog.messages[-1].startswith("the result is complete: s3://wildlife/artifacts/fetch/")


def test_what_a_node_publishes_tells_the_run_and_where_the_result_is(archive: Store) -> None:
    events = OutletEventAccessors()
    params = {"archive": KEY}
    step_operator("fetch", outlets=[REPORT]).execute(
        {"run_id": "run+1", "params": params, "outlet_events": events}
    )
    extra = events[REPORT].extra
    assert extra["run_id"] == "run+1"
    assert extra["link"] == "dags/oregon_wildlife/runs/run%2B1/plugin/wildlife-report"
    key = str(extra["manifest"]).removeprefix("s3://wildlife/")
    assert archive.read(key) is not None


def test_a_failed_step_publishes_nothing(connected: Store) -> None:
    events = OutletEventAccessors()
    with pytest.raises(AirflowFailException):
        step_operator("fetch", outlets=[REPORT]).execute(
            {"run_id": "run-1", "params": {"archive": KEY}, "outlet_events": events}
        )
    assert len(events) == 0


def test_a_missing_archive_is_final_and_says_which(connected: Store) -> None:
    with pytest.raises(AirflowException, match=r"'datasets/pets\.zip' in bucket") as failure:
        run()
    assert is_final(failure)
    assert "\n" not in str(failure.value)
    assert list(connected.list("runs/")) == []


def test_wrong_keys_are_final_and_name_the_connection(
    connected: Store, store_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = store_env | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(wrong))
    with pytest.raises(AirflowException, match="wildlife_store") as failure:
        run()
    assert is_final(failure)


def test_a_store_that_is_down_is_tried_again(
    connected: Store, store_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    down = store_env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}"}
    monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(down))
    with pytest.raises(AirflowException, match="does not answer") as failure:
        run()
    assert not is_final(failure)


def test_a_missing_connection_is_final_and_says_what_to_make(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_WILDLIFE_STORE", raising=False)
    with pytest.raises(AirflowException, match="no Airflow connection 'wildlife_store'") as failure:
        run()
    assert is_final(failure)


@pytest.mark.parametrize(
    ("options", "run_id", "complaint"),
    [
        ({"scratch_epochs": 0}, "run-1", "option 'scratch_epochs' is 0"),
        ({"epoch": 3}, "run-1", "unknown option 'epoch'"),
        ({}, "../../datasets", "cannot name a folder"),
    ],
)
def test_bad_input_is_final_before_anything_starts(
    connected: Store,
    program: Program,
    options: dict[str, Any],
    run_id: str,
    complaint: str,
) -> None:
    folder = program("open('started', 'w').close()")
    with pytest.raises(AirflowException, match=complaint) as failure:
        run(run_id=run_id, **options)
    assert is_final(failure)
    assert not (folder / "started").exists()


def test_options_travel_as_one_argument_that_no_shell_and_no_template_reads(
    connected: Store, program: Program
) -> None:
    folder = program("import json, sys; json.dump(sys.argv[1:], open('argv', 'w')); sys.exit(78)")
    title = "$(touch pwned) {{ 7 * 7 }} `id` \"'; rm -rf / \x00"
    with pytest.raises(AirflowFailException):
        run(title=title, weights_sha256=None)
    step, flag, run_id, config_flag, config = json.loads((folder / "argv").read_text())
    assert (step, flag, run_id, config_flag) == ("fetch", "--run-id", "run-1", "--config")
    assert json.loads(config)["title"] == title
    assert json.loads(config)["weights_sha256"] == ""


@pytest.mark.parametrize(("status", "final"), [(1, False), (75, False), (78, True), (65, True)])
def test_the_exit_status_says_whether_to_try_again(
    connected: Store, program: Program, status: int, final: bool
) -> None:
    program(
        f"""
        import sys
        print("12:00:00 ERROR fetch failed: the archive is a brick: bring a zip")
        print("  and this is no reason", file=sys.stderr)
        sys.exit({status})
        """
    )
    with pytest.raises(AirflowException, match=r"^the archive is a brick: bring a zip$") as failure:
        run()
    assert is_final(failure) == final


def test_a_step_that_gives_no_reason_still_fails_with_a_line(
    connected: Store, program: Program
) -> None:
    program("raise SystemExit(78)")
    with pytest.raises(AirflowFailException, match=r"^fetch ended with exit status 78: read"):
        run()


def test_a_step_that_was_killed_says_so_and_is_tried_again(
    connected: Store, program: Program
) -> None:
    program("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(AirflowException, match=r"fetch was ended by SIGKILL .*memory") as failure:
        run()
    assert not is_final(failure)


def test_exit_status_0_without_a_record_is_no_success(connected: Store, program: Program) -> None:
    program("print('all is well')")
    with pytest.raises(AirflowException, match="exit status 0, but left no record"):
        run()


def test_the_record_of_an_earlier_try_is_no_success(fetched: RunRecord, program: Program) -> None:
    program("print('all is well')")
    with pytest.raises(AirflowException, match="older than this try"):
        run()


def test_the_record_of_another_run_is_no_success(
    archive: Store, fetched: RunRecord, program: Program
) -> None:
    archive.write(record_key("run-2", "fetch"), fetched.model_dump_json().encode())
    program("print('all is well')")
    with pytest.raises(AirflowException, match="of fetch in run run-1"):
        run(run_id="run-2")


def test_a_record_whose_file_is_gone_is_no_success(
    archive: Store, fetched: RunRecord, program: Program
) -> None:
    fresh = fetched.model_copy(update={"started": now().replace(year=now().year + 1)})
    archive.write(record_key("run-1", "fetch"), fresh.model_dump_json().encode())
    name, file = next(iter(fetched.manifest.files.items()))
    archive.delete(file.key)
    program("print('all is well')")
    with pytest.raises(AirflowException, match=f"'{name}' of its result is not in the bucket"):
        run()


def test_the_store_s_keys_reach_the_step_and_appear_nowhere_else(
    connected: Store,
    program: Program,
    store_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "of Airflow alone")
    monkeypatch.setenv("SOME_TOKEN", "of somebody else")
    folder = program(
        """
        import json, os, sys
        json.dump(dict(os.environ), open("environment", "w"))
        json.dump(open(f"/proc/{os.getpid()}/cmdline").read(), open("command", "w"))
        sys.exit(78)
        """
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(AirflowFailException) as failure:
        run()
    environment = json.loads((folder / "environment").read_text())
    assert store_env.items() <= environment.items()
    assert environment["WILDLIFE_CACHE"]
    assert not [name for name in environment if name.startswith("AIRFLOW")]
    assert "SOME_TOKEN" not in environment
    shown = caplog.text + str(failure.value) + (folder / "command").read_text()
    assert store_env["AWS_SECRET_ACCESS_KEY"] not in shown


def test_lines_keep_their_level_and_no_line_is_longer_than_the_worker_can_bear(
    connected: Store, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    program(
        """
        import sys
        print("12:00:00 WARNING 3 photos cannot be read")
        print("12:00:00 INFO train_scratch: \\N{MIDDLE DOT} epoch 1/2")
        sys.stdout.buffer.write(b"\\xff" * 1_000_000)
        sys.exit(78)
        """
    )
    with caplog.at_level(logging.INFO), pytest.raises(AirflowFailException):
        run()
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("WARNING", "3 photos cannot be read") in lines
    assert ("INFO", "train_scratch: \N{MIDDLE DOT} epoch 1/2") in lines
    assert max(len(line) for _, line in lines) == 8192
    assert sum(len(line) for _, line in lines) >= 1_000_000


def test_a_step_s_lines_are_shown_while_it_runs(
    connected: Store, program: Program, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step waits for the test, which waits for the step's first line."""
    folder = program(
        """
        import os, sys, time
        print("12:00:00 INFO first")
        for _ in range(2000):
            if os.path.exists("go"): sys.exit(78)
            time.sleep(0.01)
        sys.exit(1)
        """
    )

    class Answer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "first":
                (folder / "go").touch()

    monkeypatch.setattr(log, "handlers", [Answer()])
    monkeypatch.setattr(log, "level", logging.INFO)
    with pytest.raises(AirflowFailException):
        run()


PATIENT = """
    import logging, os, signal, sys, time
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    open("pid", "w").write(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        time.sleep(0.3)
        logging.info("saved")
        open("saved", "w").close()
    """


def test_a_stopped_step_saves_its_work_and_the_node_fails(
    connected: Store, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow's SIGTERM handler calls on_kill and returns into execute."""
    folder = program(PATIENT)
    operator = step_operator("fetch")
    before = signal.signal(signal.SIGALRM, lambda *_: operator.on_kill())
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with (
            caplog.at_level(logging.INFO),
            pytest.raises(AirflowException, match="fetch was ended by SIGTERM") as failure,
        ):
            operator.execute({"run_id": "run-1", "params": {}})
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not is_final(failure)
    assert (folder / "saved").exists()
    assert "saved" in caplog.messages


def test_a_timed_out_step_has_ended_before_airflow_may_try_again(
    connected: Store, program: Program
) -> None:
    folder = program(PATIENT)

    def time_out(*_: object) -> None:
        raise AirflowTaskTimeout("Timeout")

    before = signal.signal(signal.SIGALRM, time_out)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(AirflowTaskTimeout):
            run()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (folder / "saved").exists()
    assert not is_running(pid_in(folder / "pid"))


def test_a_killed_worker_takes_its_step_with_it(
    connected: Store, program: Program, worker: Callable[[str], Any]
) -> None:
    folder = program(PATIENT)
    process = worker(
        f"""
        from pathlib import Path
        from wildlife.operators import process, step_operator
        process._PROJECT = Path({str(folder)!r})
        step_operator("fetch").execute({{"run_id": "run-1", "params": {{}}}})
        """
    )
    pid = pid_in(folder / "pid")
    assert is_running(pid)
    process.kill()
    wait_for(lambda: not is_running(pid))
    assert (folder / "saved").exists(), "it was killed without time to save"
