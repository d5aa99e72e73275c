"""The container operator on a real Docker engine: what it starts, survives, ends and believes."""

import hashlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import tarfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from docker import APIClient
from docker.errors import APIError

from embedded.ports import free_ports
from tasks.contract.code import code_digest
from tasks.contract.manifest import RunRecord, record_key
from tasks.contract.store import Store
from tests.engine import Engine
from tests.plugins.tasks_of_airflow import StateFile, TaskLog, context
from tests.plugins.waiting import is_running, wait_for
from tests.preprocess.archives import class_folders, zip_of
from wildlife.containers import stopper
from wildlife.containers.labels import BUCKET
from wildlife.operators import step_operator
from wildlife.operators.base import StepOperator
from wildlife.settings import docker_settings, settings

pytestmark = pytest.mark.docker

KEY = "datasets/pets.zip"
Program = Callable[[str], str]
Worker = Callable[[str], "subprocess.Popen[bytes]"]
#: Prints a line each half second and ends by itself, or says how it was asked to stop.
PATIENT = """
    import signal, sys, time
    def stop(signum, frame):
        print("saving", flush=True)
        time.sleep({save})
        print("saved", flush=True)
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    for number in range({lines}):
        print(f"line {{number}}", flush=True)
        time.sleep(0.5)
    sys.exit({status})
"""


def patient(lines: int = 600, save: float = 0, status: int = 78) -> str:
    return PATIENT.format(lines=lines, save=save, status=status)


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The task's log as one that pytest can read; Airflow's own writes past it."""
    logger = TaskLog(logging.getLogger("the task's log"))
    monkeypatch.setattr(StepOperator, "log", logger, raising=False)
    caplog.set_level(logging.INFO)


@pytest.fixture
def client(engine: Engine) -> Iterator[APIClient]:
    """A client of the engine; what a test leaves there is removed."""
    client = APIClient(base_url=engine.url)
    yield client
    for container in client.containers(all=True):
        try:
            client.remove_container(container["Id"], force=True, v=True)
        except APIError as error:  # what stops it may be removing it just now
            if error.status_code not in (404, 409):
                raise


@pytest.fixture(autouse=True)
def on_the_engine(
    connected: Store,
    client: APIClient,
    engine: Engine,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps run in containers of the test engine, which reach the test store on this machine."""
    del connected, client
    for name, value in {
        "WILDLIFE_RUNNER": "docker",
        "WILDLIFE_DOCKER_URL": engine.url,
        "WILDLIFE_DOCKER_IMAGE": image,
        "WILDLIFE_DOCKER_NETWORK": "host",
        "WILDLIFE_DOCKER_PATIENCE_SECONDS": "60",
        "WILDLIFE_STOP_SECONDS": "20",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def container_program(
    client: APIClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """An image in which a program of the test's own stands in the place of ``python -m tasks``."""

    def write(code: str, digest: str | None = None) -> str:
        label = code_digest("tasks") if digest is None else digest
        files = {
            "Dockerfile": f"FROM {image}\nLABEL wildlife.code={label}\n"
            'COPY program.py /opt/wildlife/\nENTRYPOINT ["python", "program.py"]\n',
            "program.py": "import sys\ngiven = sys.stdin.readline()\n" + textwrap.dedent(code),
        }
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content.encode()))
        packed.seek(0)
        built = list(
            client.build(fileobj=packed, custom_context=True, tag="wildlife-test:own", decode=True)
        )
        assert "Successfully" in str(built[-1]), built
        monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", "wildlife-test:own")
        docker_settings.cache_clear()
        return "wildlife-test:own"

    return write


def run(try_number: int = 1, state: StateFile | None = None, **options: Any) -> None:
    """Execute a node as Airflow's task runner does."""
    settings.cache_clear()
    docker_settings.cache_clear()
    step_operator("fetch").execute(
        context(try_number=try_number, state=state, archive=KEY, **options)
    )


def start_worker(worker: Worker, folder: Path, **arguments: Any) -> "subprocess.Popen[bytes]":
    """Execute a node in a worker that may be killed."""
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return worker(
        f"""
        from pathlib import Path
        from tests.plugins.tasks_of_airflow import execute_in_worker
        execute_in_worker(Path({str(folder)!r}), {given})
        """
    )


def containers(client: APIClient) -> list[dict[str, Any]]:
    return list(client.containers(all=True, filters={"label": BUCKET}))


def only(client: APIClient) -> dict[str, Any]:
    """The one container there is, as ``docker inspect`` shows it."""
    (found,) = containers(client)
    inspected: dict[str, Any] = client.inspect_container(found["Id"])
    return inspected


def is_final(failure: pytest.ExceptionInfo[AirflowException]) -> bool:
    """Whether Airflow would not try again."""
    return isinstance(failure.value, AirflowFailException)


def printed(file: Path) -> list[str]:
    """The program's own lines in a worker's log, which may not be there yet."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if line.startswith(("line", "sav"))]


def running(client: APIClient) -> bool:
    return any(found["State"] == "running" for found in containers(client))


# What it runs


def test_the_real_step_leaves_its_record_and_shows_its_log_and_no_container(
    connected: Store, client: APIClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connected.write(KEY, zip_of(class_folders(3), tmp_path / "pets.zip").read_bytes())
    run()
    record = RunRecord.model_validate_json(connected.read(record_key("run-1", "fetch")) or b"")
    assert record.manifest.facts["classes"] == {"a": 3, "b": 3, "c": 3}
    assert record.manifest.produced_by["image"].startswith("sha256:")
    assert any(line.startswith("fetch: done in") for line in caplog.messages)
    assert caplog.messages[-1].startswith("the result is complete: s3://wildlife/artifacts/fetch/")
    assert containers(client) == []


def test_a_container_has_the_least_rights_a_step_can_do_with(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient())
    start_worker(worker, tmp_path)
    wait_for(lambda: running(client))
    found = only(client)
    host = found["HostConfig"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges=true"]
    assert host["ReadonlyRootfs"] is True
    assert host["PidsLimit"] == 4096
    assert host["IpcMode"] == "private"
    assert host["Init"] is True
    assert host["Binds"] is None
    assert [(mount["Type"], mount["Destination"]) for mount in found["Mounts"]] == [
        ("volume", "/cache")
    ]
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["StopTimeout"] == 20


def test_only_its_cache_and_its_memory_can_be_written_to(
    container_program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    container_program(
        """
        import os, pathlib
        for folder in ("/", "/etc", "/opt/wildlife", "/home", "/var", "/tmp", "/dev/shm", "/cache"):
            try:
                pathlib.Path(folder, "probe").write_text("x")
                print("can write", folder)
            except OSError:
                print("cannot write", folder)
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print("rights", status["CapEff"].strip(), status["NoNewPrivs"].strip(), os.getuid())
        raise SystemExit(78)
        """
    )
    with pytest.raises(AirflowException):
        run()
    writable = [line for line in caplog.messages if line.startswith("can write")]
    assert writable == ["can write /tmp", "can write /dev/shm", "can write /cache"]
    assert "rights 0000000000000000 1 10001" in caplog.messages


def test_limits_are_limits_and_not_shares(
    client: APIClient,
    container_program: Program,
    worker: Worker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "MEMORY_GB": "1.5",
        "CPUS": "0.5",
        "SHM_MB": "64",
        "TMP_MB": "32",
        "PIDS": "100",
        "EXTRA_HOSTS": "store:10.0.0.7, other:10.0.0.8",
        "CACHE": str(tmp_path / "cache-folder"),
        "USER": "12345:12345",
    }.items():
        monkeypatch.setenv(f"WILDLIFE_DOCKER_{name}", value)
    (tmp_path / "cache-folder").mkdir()
    container_program(patient())
    start_worker(worker, tmp_path)
    wait_for(lambda: running(client))
    found = only(client)
    host = found["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == int(1.5 * 2**30)
    assert host["NanoCpus"] == 500_000_000
    assert host["CpuShares"] == 0
    assert host["ShmSize"] == 64 * 2**20
    assert "size=32m" in host["Tmpfs"]["/tmp"]
    assert host["PidsLimit"] == 100
    assert sorted(host["ExtraHosts"]) == ["other:10.0.0.8", "store:10.0.0.7"]
    assert found["Mounts"][0]["Source"] == str(tmp_path / "cache-folder")
    assert found["Config"]["User"] == "12345:12345"


def test_the_store_s_keys_reach_the_step_and_appear_nowhere_else(
    client: APIClient,
    store_env: dict[str, str],
    container_program: Program,
    worker: Worker,
    tmp_path: Path,
) -> None:
    container_program(
        """
        import hashlib, json, os, time
        secret = json.loads(given)["AWS_SECRET_ACCESS_KEY"]
        print("line", hashlib.sha256(secret.encode()).hexdigest())
        for process in ("1", "self"):
            for file in ("environ", "cmdline"):
                print("line", open(f"/proc/{process}/{file}").read(), flush=True)
        time.sleep(300)
        """
    )
    start_worker(worker, tmp_path)
    wait_for(lambda: len(printed(tmp_path / "try1.log")) >= 5)
    secret, key = store_env["AWS_SECRET_ACCESS_KEY"], store_env["AWS_ACCESS_KEY_ID"]
    assert hashlib.sha256(secret.encode()).hexdigest() in printed(tmp_path / "try1.log")[0]
    for place in (json.dumps(only(client)), (tmp_path / "try1.log").read_text()):
        assert secret not in place
        assert key not in place


# What it believes


def test_exit_status_0_without_a_record_is_no_success(container_program: Program) -> None:
    container_program("print('all is well')")
    with pytest.raises(AirflowException, match="exit status 0, but left no record") as failure:
        run()
    assert not is_final(failure)


@pytest.mark.parametrize(("status", "final"), [(1, False), (75, False), (78, True), (65, True)])
def test_the_exit_status_says_whether_to_try_again(
    container_program: Program, client: APIClient, status: int, final: bool
) -> None:
    container_program(
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
    assert containers(client) == []


def test_running_out_of_memory_is_told_with_the_limit_and_is_final(
    container_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_MEMORY_GB", "0.25")
    container_program("taken = [bytearray(b'1' * 10_000_000) for _ in range(100)]")
    with pytest.raises(
        AirflowException, match=r"its limit of 0\.25 GB \(exit status 137\)"
    ) as failure:
        run()
    assert is_final(failure)


def test_a_step_that_succeeded_is_believed_although_a_child_ran_out_of_memory(
    container_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_MEMORY_GB", "0.25")
    container_program(
        """
        import subprocess, sys
        hungry = "taken = [bytearray(b'1' * 10_000_000) for _ in range(100)]"
        assert subprocess.run([sys.executable, "-c", hungry]).returncode == -9
        """
    )
    with pytest.raises(AirflowException, match="exit status 0, but left no record"):
        run()


# What it survives


def test_a_retry_after_a_killed_worker_goes_on_with_the_same_container(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(lines=30))
    first = start_worker(worker, tmp_path)
    wait_for(lambda: "line 14" in printed(tmp_path / "try1.log"))
    container = only(client)["Id"]
    first.kill()
    first.wait()
    time.sleep(1)
    assert only(client)["State"]["Running"]
    start_worker(worker, tmp_path, try_number=2)
    wait_for(lambda: printed(tmp_path / "try2.log"))
    assert only(client)["Id"] == container
    wait_for(lambda: "line 29" in printed(tmp_path / "try2.log"))
    shown = printed(tmp_path / "try1.log") + printed(tmp_path / "try2.log")
    assert set(shown) == {f"line {number}" for number in range(30)}, "a line was lost"
    repeated = len(shown) - 30
    assert repeated <= 14, "more than some seconds of the log are shown twice"
    wait_for(lambda: containers(client) == [])


def test_a_container_that_airflow_was_not_told_of_is_found_by_its_labels(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(lines=200))
    first = start_worker(worker, tmp_path)
    wait_for(lambda: running(client))
    container = only(client)["Id"]
    first.kill()
    first.wait()
    (tmp_path / "state.json").unlink(missing_ok=True)
    start_worker(worker, tmp_path, try_number=2)
    wait_for(lambda: printed(tmp_path / "try2.log"))
    assert only(client)["Id"] == container


def test_the_result_of_a_container_that_ended_without_its_worker_is_taken(
    connected: Store,
    client: APIClient,
    worker: Worker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connected.write(KEY, zip_of(class_folders(3), tmp_path / "pets.zip").read_bytes())
    code = f"""
        import os, signal
        from wildlife.operators.docker import DockerStepOperator
        from tests.plugins.tasks_of_airflow import StateFile, context
        from wildlife.operators import step_operator
        from pathlib import Path
        DockerStepOperator._take_over = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        state = StateFile(Path({str(tmp_path / "state.json")!r}))
        step_operator("fetch").execute(context(state=state, archive={KEY!r}))
        """
    worker(code).wait()
    wait_for(lambda: not running(client))
    run(try_number=2, state=StateFile(tmp_path / "state.json"))
    assert any(line.startswith("fetch: done in") for line in caplog.messages)
    assert caplog.messages[-1].startswith("the result is complete")
    assert containers(client) == []


def test_what_a_worker_left_unstarted_or_failed_is_removed_and_done_again(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(lines=2, status=1))
    code = f"""
        import os, signal
        from wildlife.operators.docker import DockerStepOperator
        from tests.plugins.tasks_of_airflow import StateFile, context
        from wildlife.operators import docker, step_operator
        docker._start_with = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        step_operator("fetch").execute(context(archive={KEY!r}))
        """
    worker(code).wait()
    unstarted = only(client)
    assert unstarted["State"]["Status"] == "created"
    with pytest.raises(AirflowException, match="exit status 1"):
        run(try_number=2)
    assert containers(client) == []


def test_a_restart_of_the_engine_that_lets_containers_live_goes_unnoticed(
    engine: Engine, client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    engine.restart(live_restore=True)
    try:
        container_program(patient(lines=40))
        step = start_worker(worker, tmp_path)
        wait_for(lambda: "line 3" in printed(tmp_path / "try1.log"))
        container = only(client)["Id"]
        engine.restart(live_restore=True)
        assert only(client)["Id"] == container
        wait_for(lambda: "line 39" in printed(tmp_path / "try1.log"), seconds=60)
        assert printed(tmp_path / "try1.log") == [f"line {number}" for number in range(40)]
        assert step.wait(20) != 0  # the program ends with 78
    finally:
        engine.restart()


def test_a_restart_of_the_engine_that_ends_containers_is_tried_again(
    engine: Engine, client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(save=2))
    step = start_worker(worker, tmp_path)
    log = tmp_path / "try1.log"
    wait_for(lambda: "line 3" in printed(log))
    engine.restart()
    wait_for(lambda: not is_running(step.pid), seconds=60)
    assert printed(log)[-2:] == ["saving", "saved"]
    assert containers(client) == []
    container_program("raise SystemExit(78)")
    with pytest.raises(AirflowFailException):
        run(try_number=2)


def test_an_engine_that_was_killed_is_waited_for(
    engine: Engine, client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient())
    step = start_worker(worker, tmp_path)
    log = tmp_path / "try1.log"
    wait_for(lambda: "line 3" in printed(log))
    engine.kill()
    wait_for(lambda: "does not answer" in log.read_text())
    engine.start()
    wait_for(lambda: not is_running(step.pid), seconds=60)
    wait_for(lambda: containers(client) == [])


# How it ends


def test_a_step_whose_time_is_over_gets_time_to_save_and_is_gone(
    client: APIClient, container_program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    container_program(patient(save=2))

    def over(*_: object) -> None:
        raise AirflowTaskTimeout("Timeout")

    signal.signal(signal.SIGALRM, over)
    signal.alarm(5)
    with pytest.raises(AirflowTaskTimeout):
        run()
    assert [line for line in caplog.messages if line.startswith("sav")] == ["saving", "saved"]
    assert containers(client) == []


def test_a_step_that_airflow_stops_gets_its_time_although_the_worker_is_killed(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(save=6))
    step = start_worker(worker, tmp_path, hears_airflow=True)
    log = tmp_path / "try1.log"
    wait_for(lambda: "line 3" in printed(log))
    container = only(client)["Id"]
    step.send_signal(signal.SIGTERM)
    time.sleep(2)
    step.kill()
    step.wait()
    assert only(client)["Name"].endswith(".stopping")
    followed = b"".join(client.logs(container, stream=True, follow=True))
    assert followed.endswith(b"saving\nsaved\n")
    wait_for(lambda: containers(client) == [])


def test_the_next_try_waits_for_a_container_that_is_saving(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(save=15))
    step = start_worker(worker, tmp_path, hears_airflow=True)
    log = tmp_path / "try1.log"
    wait_for(lambda: "line 3" in printed(log))
    first = only(client)["Id"]
    step.send_signal(signal.SIGTERM)
    time.sleep(1)
    step.kill()
    start_worker(worker, tmp_path, try_number=2)
    second = tmp_path / "try2.log"
    wait_for(lambda: second.exists() and "which is stopping" in second.read_text())
    assert [found["Id"] for found in containers(client)] == [first]
    wait_for(lambda: printed(second))
    assert [found["Id"] for found in containers(client)] != [first]


def test_an_earlier_try_that_still_breathes_cannot_stop_what_a_later_one_has_taken_over(
    client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient())
    first = start_worker(worker, tmp_path, hears_airflow=True)
    wait_for(lambda: printed(tmp_path / "try1.log"))
    container = only(client)["Id"]
    start_worker(worker, tmp_path, try_number=2)
    wait_for(lambda: printed(tmp_path / "try2.log"))
    first.send_signal(signal.SIGTERM)
    time.sleep(3)
    assert (only(client)["Id"], only(client)["State"]["Running"]) == (container, True)


def test_a_step_that_does_not_listen_is_killed_when_its_time_is_over(
    client: APIClient,
    container_program: Program,
    worker: Worker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WILDLIFE_STOP_SECONDS", "2")
    container_program(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('line 0', flush=True); time.sleep(300)"
    )
    step = start_worker(worker, tmp_path, hears_airflow=True)
    wait_for(lambda: printed(tmp_path / "try1.log"))
    step.send_signal(signal.SIGTERM)
    time.sleep(1)
    step.kill()
    wait_for(lambda: containers(client) == [])


def test_what_is_saving_is_not_asked_to_stop_a_second_time(
    engine: Engine, client: APIClient, container_program: Program, worker: Worker, tmp_path: Path
) -> None:
    container_program(patient(save=6))
    step = start_worker(worker, tmp_path, hears_airflow=True)
    log = tmp_path / "try1.log"
    wait_for(lambda: "line 3" in printed(log))
    container = only(client)["Id"]
    step.send_signal(signal.SIGTERM)
    wait_for(lambda: only(client)["Name"].endswith(".stopping"))
    name = only(client)["Name"].lstrip("/")
    with ThreadPoolExecutor() as pool:
        second = pool.submit(stopper.stop, APIClient(engine.url), container, name, 20)
        followed = b"".join(client.logs(container, stream=True, follow=True))
        assert second.result()
    assert followed.count(b"saving") == 1
    assert followed.endswith(b"saving\nsaved\n")


@pytest.mark.parametrize(
    ("state", "goes"), [("failed", True), ("success", True), (None, True), ("running", False)]
)
def test_containers_of_dead_runs_are_reaped_at_the_next_start_and_no_others(
    client: APIClient,
    container_program: Program,
    worker: Worker,
    tmp_path: Path,
    state: str | None,
    goes: bool,
) -> None:
    container_program(patient(save=1))
    orphaned = start_worker(worker, tmp_path)
    wait_for(lambda: running(client))
    orphaned.kill()
    orphan = only(client)["Id"]
    container_program("raise SystemExit(78)")
    states = {} if state is None else {"run-1": state}
    settings.cache_clear()
    with pytest.raises(AirflowFailException):
        step_operator("fetch").execute(context(run_id="run-2", states=states))
    if goes:
        wait_for(lambda: containers(client) == [])
    else:
        time.sleep(3)
        assert [found["Id"] for found in containers(client)] == [orphan]
        assert running(client)


def test_containers_of_another_deployment_are_left_alone(
    client: APIClient, container_program: Program, image: str
) -> None:
    container_program("raise SystemExit(78)")
    labels = {BUCKET: "s3://theirs at http://elsewhere", "wildlife.run": "gone"}
    theirs = client.create_container(image, ["--help"], labels=labels)["Id"]
    with pytest.raises(AirflowFailException):
        run()
    assert [found["Id"] for found in containers(client)] == [theirs]


# Bad input


def test_an_engine_that_is_not_there_is_one_line_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_PATIENCE_SECONDS", "1")
    for url in (f"unix://{tmp_path}/docker.sock", f"tcp://127.0.0.1:{free_ports(1)}"):
        monkeypatch.setenv("WILDLIFE_DOCKER_URL", url)
        with pytest.raises(AirflowException, match=r"WILDLIFE_DOCKER_URL") as failure:
            run()
        assert url in str(failure.value)
        assert "\n" not in str(failure.value)
        assert not is_final(failure)


def test_a_missing_image_says_which_command_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", "wildlife-tasks:nowhere")
    with pytest.raises(
        AirflowException, match=r"no image 'wildlife-tasks:nowhere' .* 'make image'"
    ) as failure:
        run()
    assert is_final(failure)


def test_an_image_of_other_code_than_the_dag_s_is_refused(container_program: Program) -> None:
    container_program("print('I am old')", digest="0" * 64)
    with pytest.raises(AirflowException, match=r"holds other code .* 'make image'") as failure:
        run()
    assert is_final(failure)


def train(arm: int = 0) -> None:
    step_operator("train_scratch", arm=arm).execute(context("train_scratch"))


def test_a_gpu_that_is_demanded_and_not_there_is_told_before_anything_starts(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_GPUS", "0")
    with pytest.raises(AirflowFailException, match=r"demands GPU 0, and the Docker engine .*none$"):
        train()
    assert containers(client) == []


def test_an_engine_that_cannot_give_the_gpu_it_promised_is_told(
    engine: Engine, client: APIClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is real; its NVIDIA runtime is runc by another name, for there is no GPU here."""
    monkeypatch.setenv("WILDLIFE_GPUS", "0,1")
    monkeypatch.setenv("WILDLIFE_DOCKER_GPU_IMAGE", image)
    engine.arguments.append("--add-runtime=nvidia=runc")
    engine.restart()
    try:
        with pytest.raises(AirflowFailException, match=r"cannot give a GPU .*container toolkit"):
            train(arm=1)
        assert containers(client) == []
    finally:
        engine.arguments.pop()
        engine.restart()


def test_without_a_gpu_image_the_line_says_how_to_build_that(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.arguments.append("--add-runtime=nvidia=runc")
    engine.restart()
    try:
        with pytest.raises(AirflowFailException, match="'make image TARGET=gpu'"):
            train()
    finally:
        engine.arguments.pop()
        engine.restart()


def test_a_full_disk_of_the_engine_is_told_and_tried_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine, whose data lie on a small disk of their own."""
    del engine  # only that there can be one
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=True)
    try:
        with Engine(disk / "home") as small:
            client = APIClient(base_url=small.url)
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                tar.addfile(tarfile.TarInfo("empty"))
            changes = [f"LABEL wildlife.code={code_digest('tasks')}", 'ENTRYPOINT ["/nothing"]']
            client.import_image_from_data(packed.getvalue(), repository="tiny", changes=changes)
            monkeypatch.setenv("WILDLIFE_DOCKER_URL", small.url)
            monkeypatch.setenv("WILDLIFE_DOCKER_IMAGE", "tiny")
            with (disk / "filler").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(disk).free)
            with pytest.raises(AirflowException, match=r"is full .*docker system prune") as failure:
                run()
            assert not is_final(failure)
            (disk / "filler").unlink()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_network_that_there_is_not_is_one_line_and_leaves_no_container(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_NETWORK", "nowhere")
    with pytest.raises(AirflowFailException, match=r"nowhere .*WILDLIFE_DOCKER_") as failure:
        run()
    assert "\n" not in str(failure.value)
    assert containers(client) == []


def test_an_option_out_of_range_starts_no_container(client: APIClient) -> None:
    with pytest.raises(AirflowFailException, match="option 'scratch_epochs' is 0"):
        run(scratch_epochs=0)
    assert containers(client) == []
