"""What Airflow needs beyond its defaults at a site of several machines.

``docs/site-drill.md`` gives the reasons; the drill runs with these and nothing else, and
``docker/compose.yaml`` has the same, as ``tests/docker/test_compose_file.py`` sees to.
"""

import json

SITE = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__AUTH_MANAGER": (
        "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    ),
    # A worker that is gone is noticed in 90 s, not in 300.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    # A scheduler that comes back takes up the tasks of its forerunner in 30 s, not in 300.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    # An API server or a database that is away for a minute is asked again every few seconds. As
    # Airflow has it, five attempts end after some ten seconds, three such heartbeats end the task.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "20",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    # Longer than any step may take (WILDLIFE_STEP_TIMEOUT_HOURS): else it is delivered again.
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "604800",
    # A broker that refuses connections while a step is queued is tried again, and not taken for
    # the step's failure: Celery's own three attempts, half a second in all, are too few.
    "AIRFLOW__CELERY__OPERATION_TIMEOUT": "5.0",
    "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES": "20",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps(
        {
            "task_publish_retry_policy": {
                "max_retries": None,
                "interval_start": 0,
                "interval_step": 0.5,
                "interval_max": 1,
            }
        }
    ),
    # Where the log of a step can be read when its worker is on another machine.
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "wildlife_store",
}

#: What a worker has no use for: it reaches Airflow's database through the API server alone.
NOT_FOR_WORKERS = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
)
