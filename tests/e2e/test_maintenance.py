"""The maintenance DAG in a real Airflow, which says which runs of the workflow are at work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.airflow import airflow_environment
from embedded.settings import ROOT, Settings
from tasks.contract.store import Store

pytestmark = pytest.mark.airflow


def test_a_dry_run_asks_airflow_who_is_at_work_and_changes_nothing(
    store: Store, store_settings: Settings, tmp_path: Path
) -> None:
    for run_id in ("run-1", "run-2"):
        store.write(f"runs/{run_id}/notes.json", b"{}")
        store.write(f"reports/{run_id}/index.html", b"a report", "text/html")
    before = {head.key: head.version for head in store.list("")}
    environment = airflow_environment(store_settings, os.environ) | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }

    def airflow(*command: str) -> str:
        program = Path(sys.executable).with_name("airflow")
        answer = subprocess.run(
            [program, *command], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
        return answer.stdout + answer.stderr

    airflow("db", "migrate")
    airflow("dags", "reserialize")
    airflow("dags", "trigger", "oregon_wildlife", "--run-id", "run-1")  # queued: nobody runs it
    log = airflow("dags", "test", "wildlife_maintenance")
    assert "runs that stay: 1 at work, 1 of the newest 50 reports" in log
    assert "a dry run: would remove 0.0 MB" in log
    assert {head.key: head.version for head in store.list("")} == before
