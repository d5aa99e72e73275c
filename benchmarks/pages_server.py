"""An Airflow API server with the plugin, a database of its own and 1,000 runs in it: a program.

``python -m benchmarks.pages_server PORT`` prints a viewer's token, then serves until it is stopped.
"""

import logging
import sys
from datetime import timedelta

from tests.plugins import airflow_home  # first: Airflow reads its settings on import

RUNS = 1000
#: Every twentieth run failed and left no report.
FAILED_EVERY = 20


def run_id(number: int) -> str:
    return f"manual__run-{number:04}"


def has_report(number: int) -> bool:
    return number % FAILED_EVERY != 0


def main(port: int) -> None:
    """Serve until somebody ends the process."""
    logging.disable(logging.ERROR)
    import uvicorn
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb

    assert airflow_home.AIRFLOW_HOME.is_dir()
    initdb()
    _add_runs()
    application = create_app(apps="core")
    viewer = SimpleAuthManagerUser(username="viewer", role="viewer")
    print(get_auth_manager().generate_jwt(viewer), flush=True)
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error")


def _add_runs() -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    from tasks.contract.manifest import now
    from wildlife.identity import DAG_ID

    with create_session() as session:
        for number in range(RUNS):
            started = now() - timedelta(hours=number)
            session.add(
                DagRun(
                    dag_id=DAG_ID,
                    run_id=run_id(number),
                    run_type=DagRunType.MANUAL,
                    run_after=started,
                    start_date=started,
                    state=DagRunState("success" if has_report(number) else "failed"),
                    triggered_by=DagRunTriggeredByType.TEST,
                )
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))
