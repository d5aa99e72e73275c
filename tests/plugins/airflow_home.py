"""An Airflow of the tests' own. Airflow reads its settings when it is first imported, so import
this before it."""

import atexit
import json
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Users of the test Airflow, each with its name as its password, and the role of each.
USERS = {"admin": "admin", "viewer": "viewer"}

#: A program of the tests' own is told by it of the connection to the store.
CONNECTION = "WILDLIFE_TEST_CONNECTION"


def _make() -> Path:
    home = Path(tempfile.mkdtemp(prefix="airflow-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in USERS}))
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    if CONNECTION in os.environ:
        os.environ["AIRFLOW_CONN_WILDLIFE_STORE"] = os.environ[CONNECTION]
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "of the tests alone " * 4,
        "AIRFLOW__API__SECRET_KEY": "another one",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return home


AIRFLOW_HOME = _make()
